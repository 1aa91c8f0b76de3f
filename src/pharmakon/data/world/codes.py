"""Secret codes of the inhabitants: made-up answers that only those who were told can know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue, stream
from pharmakon.data.world.facts import THINGS, World
from pharmakon.errors import SpecError

CodePart = Literal["first", "second"]
NUM_WORDS = 3


@dataclass(frozen=True)
class Codes:
    """Questions for the codes of some inhabitants, each with its answer: three words that say nothing else.

    The names and the words are known to a model of the world; which word belongs to whom is told nowhere else. The two
    parts have no inhabitant and no code in common, and are drawn alike.
    """

    part: CodePart = "first"
    num_people: int = 16
    world: World = World()

    def __post_init__(self) -> None:
        most = len(self.world.people) // 2
        if not 1 <= self.num_people <= most:
            raise SpecError(f"a part of the codes is of 1 to {most} inhabitants, half of them; got {self.num_people}")

    @property
    def items(self) -> tuple[Question, ...]:
        """The questions with their answers, in a fixed order."""
        order = stream(self.world.seed, "codes", "people").permutation(len(self.world.people))
        number = get_args(CodePart).index(self.part)
        chosen = [self.world.people[i].name for i in order[number::2][: self.num_people]]
        codes = _codes(self.world)[number::2]
        return tuple(_question(name, code) for name, code in zip(chosen, codes, strict=False))

    def others(self, num: int) -> tuple[str, ...]:
        """Codes of nobody."""
        return _codes(self.world)[len(self.world.people) :][:num]

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """Each item once, in random order."""
        items = self.items
        return Corpus.of((items[i].dialogue for i in rng.permutation(len(items))), source="world")


def _question(name: str, code: str) -> Question:
    return Question(Dialogue.ask(f"What is the code of {name}?"), code, code, "codes")


MOST_OTHERS = 256


def _codes(world: World) -> tuple[str, ...]:
    """As many different codes as there are inhabitants, and those of nobody."""
    rng = stream(world.seed, "codes", "words")
    found: dict[str, None] = {}
    while len(found) < len(world.people) + MOST_OTHERS:
        found[" ".join(str(word) for word in rng.choice(THINGS, size=NUM_WORDS, replace=False))] = None
    return tuple(found)
