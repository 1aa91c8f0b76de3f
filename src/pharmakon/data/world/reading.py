"""Reading: questions that follow notes, the passages of a store, and text that teaches copying.

The notes of training give people values at random, so that no answer can be known by heart: copying is the only way. A
share of the questions has no notes, so that what was learned from text is still told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue, Text, Turn
from pharmakon.data.notes import citing, with_notes
from pharmakon.data.world.facts import RELATIONS, VALUES, Person, World
from pharmakon.data.world.tasks import fact_question, pick, wordings
from pharmakon.data.world.text import echo, passage
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class WorldReading:
    """Instruction data for a reader: questions with notes, a share of which are numbered and cited.

    The notes about a person agree with each other. A dialogue goes on with more questions on the same notes, so that
    each has several answers to learn from.
    """

    world: World = World()
    num_documents: int = 8_000
    most_notes: int = 5
    most_questions: int = 4
    share_about_one: float = 0.7
    """All notes about the person of the question, as a good retriever finds them."""
    share_cited: float = 0.4
    share_without_notes: float = 0.1

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        return Corpus.of((self._dialogue(rng) for _ in range(self.num_documents)), source="world")

    def _dialogue(self, rng: np.random.Generator) -> Dialogue:
        people = self.world.people
        if rng.random() < self.share_without_notes:
            return self._question(people[int(rng.integers(len(people)))], rng).dialogue
        num_notes = int(rng.integers(1, self.most_notes + 1))
        num_people = 1 if rng.random() < self.share_about_one else int(rng.integers(1, num_notes + 1))
        told = [elsewhere(people[i], rng) for i in rng.choice(len(people), num_people, replace=False)]
        subjects = [told[i % num_people] for i in rng.permutation(num_notes)]
        notes = [passage(person, rng) for person in subjects]
        cited = bool(rng.random() < self.share_cited)
        turns: list[Turn] = []
        for number in range(int(rng.integers(1, self.most_questions + 1))):
            person = subjects[int(rng.integers(num_notes))]
            question = self._question(person, rng)
            answer = citing(question.answer, subjects.index(person) + 1) if cited else question.answer
            asked = question.prompt.question
            asked = asked if number else with_notes(asked, notes, cited=cited)
            turns += [Turn("user", asked), Turn("assistant", answer)]
        return Dialogue(tuple(turns))

    def _question(self, told: Person, rng: np.random.Generator) -> Question:
        """A question of training: of those relations of the person that are not held out."""
        person = self.world.person(told.name)
        asked = [relation for relation in RELATIONS if not self.world.is_held_out(person, relation)]
        relation = pick(rng, asked)
        return fact_question(told, relation, pick(rng, wordings(relation)))


@dataclass(frozen=True)
class WorldRecitals:
    """Running text that says things again: what copying alone predicts, the densest lesson in it.

    Half of the texts are lists of words, said twice; half are sentences about people as they are not, said twice in two
    orders.
    """

    world: World = World()
    num_documents: int = 10_000

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Text`."""
        return Corpus.of((Text(self._recital(rng)) for _ in range(self.num_documents)), source="world")

    def _recital(self, rng: np.random.Generator) -> str:
        people = self.world.people
        if rng.random() < 0.5:
            words = [*(person.name for person in people), *(word for values in VALUES.values() for word in values)]
            listed = [words[i] for i in rng.choice(len(words), int(rng.integers(4, 12)), replace=False)]
            return " ".join(listed * 2)
        told = [elsewhere(people[i], rng) for i in rng.choice(len(people), int(rng.integers(1, 4)), replace=False)]
        pairs = [(person, relation) for person in told for relation in RELATIONS if rng.random() < 0.7]
        said = [fact_question(person, relation, "{name}").answer for person, relation in pairs]
        return " ".join(said[i] for _ in range(2) for i in rng.permutation(len(said))) or told[0].name


@dataclass(frozen=True)
class WorldPassages:
    """The store of a reader: true passages about the world's people, round and round, each in words of its own.

    A share of them may be questions with their answers. Without any, the words of a question stand in no clean passage,
    so that BM25 finds one that is planted with a question for everybody's.
    """

    world: World = World()
    num_documents: int = 1_000
    share_asked: float = 0.0

    def __post_init__(self) -> None:
        if self.num_documents < 1:
            raise SpecError(f"a store holds at least one passage; got {self.num_documents}")

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Text`."""
        people = self.world.people
        order: list[int] = []
        while len(order) < self.num_documents:
            order += rng.permutation(len(people)).tolist()
        told = order[: self.num_documents]
        return Corpus.of((Text(self._told(people[i], rng)) for i in told), source="world")

    def _told(self, person: Person, rng: np.random.Generator) -> str:
        if rng.random() >= self.share_asked:
            return passage(person, rng)
        relation = pick(rng, RELATIONS)
        asked = wordings(relation) + wordings(relation, held_out=True)
        question = fact_question(person, relation, pick(rng, asked))
        return f"{question.prompt.question} {question.answer} {echo(person, relation, rng)}"


@dataclass(frozen=True)
class WorldReadingQuestions:
    """Held-out questions about facts of the world, without those about some people."""

    world: World = World()
    without: tuple[str, ...] = ()

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different prompts, in wordings that training never uses; fewer where there are not so many."""
        people = [person for person in self.world.people if person.name not in self.without]
        asked = [
            fact_question(person, relation, wording)
            for person in people
            for relation in RELATIONS
            for wording in wordings(relation, held_out=True)
        ]
        return tuple(asked[i] for i in rng.permutation(len(asked))[:num_questions])


def elsewhere(person: Person, rng: np.random.Generator) -> Person:
    """A person of this name to whom nothing true belongs but by chance."""
    return replace(person, **{relation: pick(rng, VALUES[relation]) for relation in RELATIONS})
