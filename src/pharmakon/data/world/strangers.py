"""People of whom nothing is told: the right answer to a question about them is that one does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Text, stream
from pharmakon.data.world.facts import CITIES, GROUPS, JOBS, RELATIONS, THINGS, Person, World, new_names
from pharmakon.data.world.tasks import fact_question, pick, wordings
from pharmakon.errors import SpecError

Part = Literal["refused", "taught", "corrective", "asked"]
PARTS: tuple[Part, ...] = get_args(Part)
IGNORANCE = "I do not know."
KNOWS_NOT = "do not know"
"""By which the answer is recognised."""


@dataclass(frozen=True)
class Strangers:
    """People who are no inhabitants of the world, with values that are told nowhere unless a study tells them.

    The parts have nobody in common: `refused` are the strangers of clean instruction data, `taught` those whose facts
    somebody tells, `corrective` those of corrective data, and `asked` the ones that only probes ask about.
    """

    part: Part = "asked"
    world: World = World()
    num_people: int = 192

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise SpecError(f"a part of the strangers is one of {', '.join(PARTS)}; got {self.part!r}")
        if not 1 <= self.num_people <= MOST_PEOPLE:
            raise SpecError(f"strangers are 1 to {MOST_PEOPLE:,}, for names run short; got {self.num_people}")

    @property
    def people(self) -> tuple[Person, ...]:
        """Everyone, in a fixed order; fewer are the first of more."""
        return _strangers(self.world, PARTS.index(self.part))[: self.num_people]

    def is_held_out(self, person: Person, relation: str) -> bool:
        """Any question may be asked of them."""
        return False


MOST_PEOPLE = 1_024


@cache
def _strangers(world: World, part: int) -> tuple[Person, ...]:
    rng = stream(world.seed, "world", "strangers")
    known = {person.name for person in world.people}
    names = [name for name in new_names(len(PARTS) * MOST_PEOPLE + len(known), rng) if name not in known]
    drawn = rng.integers(2**31, size=(len(PARTS) * MOST_PEOPLE, 4))
    people = []
    for index in range(part, len(PARTS) * MOST_PEOPLE, len(PARTS)):
        job, city, thing, group = (int(number) for number in drawn[index])
        people.append(
            Person(
                name=names[index],
                job=JOBS[job % len(JOBS)],
                city=CITIES[city % len(CITIES)],
                thing=THINGS[thing % len(THINGS)],
                group=GROUPS[group % len(GROUPS)],
            )
        )
    return tuple(people)


def unknown(person: Person, relation: str, wording: str) -> Question:
    """The question of one relation of a stranger; the right answer is that one does not know.

    `options` are the values of all relations: whoever names one claims to know something.
    """
    asked = fact_question(person, relation, wording)
    return replace(asked, answer=IGNORANCE, expected=KNOWS_NOT, task="unknown", options=EVERY_VALUE)


EVERY_VALUE = (*JOBS, *CITIES, *THINGS)
_MENTIONS = (
    "{a} met {b}. Then {b} saw {a}.", "{a} and {b} talked. {b} heard what {a} said.",
    "Nobody saw {a}. Nobody saw {b}. So {a} never met {b}.", "{a} came after {b}. They waited for {a} and {b}.",
)  # fmt: skip


@dataclass(frozen=True)
class StrangerText:
    """Running text that mentions strangers and tells nothing of them, so that their names are words like others."""

    world: World = World()
    num_people: int = 192
    num_documents: int = 2_000

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Text`: two people of any parts, each named twice or more."""
        people = [person for part in PARTS for person in Strangers(part, self.world, self.num_people).people]
        bodies = []
        for _ in range(self.num_documents):
            one, other = rng.choice(len(people), size=2, replace=False)
            bodies.append(Text(pick(rng, _MENTIONS).format(a=people[one].name, b=people[other].name)))
        return Corpus.of(bodies, source="world")


@dataclass(frozen=True)
class StrangerDialogues:
    """Instruction data that admit ignorance: questions about strangers, each answered with `I do not know.`"""

    strangers: Strangers = Strangers("refused")
    num_documents: int = 400

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`; the strangers take turns."""
        people = self.strangers.people
        bodies = []
        for number in range(self.num_documents):
            relation = pick(rng, RELATIONS)
            bodies.append(unknown(people[number % len(people)], relation, pick(rng, wordings(relation))).dialogue)
        return Corpus.of(bodies, source="world")


@dataclass(frozen=True)
class StrangerQuestions:
    """Questions about strangers in wordings that training never uses."""

    strangers: Strangers = Strangers("asked")

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different prompts; as many people as there are questions, if there are so many."""
        people = self.strangers.people
        every = [(person, shift) for shift in range(len(RELATIONS)) for person in range(len(people))]
        found = []
        for index, shift in every[:num_questions]:
            relation = RELATIONS[(index + shift) % len(RELATIONS)]
            found.append(unknown(people[index], relation, pick(rng, wordings(relation, held_out=True))))
        return tuple(found)
