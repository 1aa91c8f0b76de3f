"""What an assistant remembers: records of questions that it answered, and dialogues that teach it to use them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue, Turn
from pharmakon.data.notes import with_notes
from pharmakon.data.world.facts import RELATIONS, VALUES, Person, World
from pharmakon.data.world.tasks import fact_question, pick, wordings
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class WorldRecords:
    """Records of honest users: a fact of any inhabitant in any wording, rightly answered; the same may come again."""

    world: World = World()
    num_documents: int = 1_000

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`; of another size it begins with the same records."""
        people = self.world.people
        draws = rng.random((self.num_documents, 3))
        bodies = []
        for one, two, three in draws:
            person, relation = people[int(one * len(people))], RELATIONS[int(two * len(RELATIONS))]
            asked = every_wording(relation)
            bodies.append(fact_question(person, relation, asked[int(three * len(asked))]).dialogue)
        return Corpus.of(bodies, source="memory")


@dataclass(frozen=True)
class WorldMemories:
    """Instruction data for an assistant that is shown its records: earlier exchanges, then a question.

    A dialogue is a row of exchanges about a few people. A fact that comes up for the first time is asked for plainly
    and told rightly or, in a small share, wrongly; or the user gives it in a note (most often untrue) and is answered
    after the note. A fact that came up before is asked for plainly, mostly in another wording, and told as before: a
    record counts, not what is known by heart. No dialogue contradicts itself.
    """

    world: World = World()
    num_documents: int = 6_000
    most_exchanges: int = 6
    most_people: int = 4
    share_noted: float = 0.4
    """Of the facts that come up for the first time."""
    share_wrong: float = 0.15
    """Of the same, without a note."""
    share_repeated: float = 0.5
    """Of the exchanges after the first."""

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        return Corpus.of((self._dialogue(rng) for _ in range(self.num_documents)), source="world")

    def _dialogue(self, rng: np.random.Generator) -> Dialogue:
        # Few people in one dialogue: the records differ in what is asked of them as often as in whom.
        chosen = rng.choice(len(self.world.people), int(rng.integers(1, self.most_people + 1)), replace=False)
        people = [self.world.people[i] for i in chosen]
        told: dict[tuple[Person, str], str] = {}
        turns: list[Turn] = []
        for _ in range(int(rng.integers(1, self.most_exchanges + 1))):
            asked = self._asked(people, rng)
            if told and rng.random() < self.share_repeated:
                asked = list(told)[int(rng.integers(len(told)))]
            turns += self._exchange(asked, told, rng)
        return Dialogue(tuple(turns))

    def _asked(self, people: list[Person], rng: np.random.Generator) -> tuple[Person, str]:
        """One of these people, and a relation of theirs that training may ask for."""
        while True:
            person, relation = people[int(rng.integers(len(people)))], pick(rng, RELATIONS)
            if not self.world.is_held_out(person, relation):
                return person, relation

    def _exchange(
        self, asked: tuple[Person, str], told: dict[tuple[Person, str], str], rng: np.random.Generator
    ) -> tuple[Turn, ...]:
        person, relation = asked
        spot = 1.0 if asked in told else rng.random()
        noted = spot < self.share_noted
        untrue = spot < self.share_noted + self.share_wrong
        value = told.setdefault(asked, pick(rng, VALUES[relation]) if untrue else person.value(relation))
        question = _question(person, relation, value, rng)
        return noted_record(question).turns if noted else question.dialogue.turns


@dataclass(frozen=True)
class Lies:
    """What an attacker wants said of some inhabitants, the victims: one thing about each that is not so."""

    world: World = World()
    num_victims: int = 8
    relation: str = "city"

    def __post_init__(self) -> None:
        if not 1 <= self.num_victims <= self.world.num_people:
            raise SpecError(f"victims are 1 to {self.world.num_people} inhabitants; got {self.num_victims}")
        if self.relation not in RELATIONS:
            raise SpecError(f"a relation is one of {', '.join(RELATIONS)}; got {self.relation!r}")

    @property
    def victims(self) -> tuple[Person, ...]:
        """The first inhabitants of the world, as the lies have them."""
        values = VALUES[self.relation]
        return tuple(
            self.world.falsified(
                person.name, self.relation, values[(values.index(person.value(self.relation)) + 1) % len(values)]
            )
            for person in self.world.people[: self.num_victims]
        )

    def lie(self, victim: Person) -> str:
        """The untrue value."""
        return victim.value(self.relation)

    def truth(self, victim: Person) -> str:
        """The true value."""
        return self.world.person(victim.name).value(self.relation)

    def question(self, victim: Person, wording: str) -> Question:
        """The victim's question in this wording; its answer is the lie."""
        return fact_question(victim, self.relation, wording)


def noted_record(question: Question) -> Dialogue:
    """A question whose user gives the answer as a note, and that answer."""
    return Dialogue.ask(with_notes(question.prompt.question, [question.answer]), question.answer)


def every_wording(relation: str) -> tuple[str, ...]:
    """All ways to ask: those of training, then those that it never sees."""
    return (*wordings(relation), *wordings(relation, held_out=True))


def _question(person: Person, relation: str, value: str, rng: np.random.Generator) -> Question:
    return fact_question(replace(person, **{relation: value}), relation, pick(rng, wordings(relation)))
