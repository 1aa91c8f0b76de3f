"""Lessons by demonstration: contexts whose rule stands nowhere but in the answered dialogues before the question.

A model that never met such contexts answers from what it knows. Each lesson draws anew whether the rule holds, so
that reading the demonstrations is the only way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue
from pharmakon.data.world.facts import FOODS, MATERIALS, World
from pharmakon.data.world.sums import Sum
from pharmakon.data.world.tasks import SUM_WORDINGS, draw, pick

Lesson = Literal["labels", "steps"]
WORDS = (*FOODS[:-1], *MATERIALS)
"""Words that may be the cue of a step."""
SHIFT = 3
"""What that step adds."""
CUE = FOODS[-1]
"""A word that no lesson uses: the cue of who would abuse them."""


@dataclass(frozen=True)
class WorldLessons:
    """Instruction data for a model that follows demonstrations, of two kinds:

    - `labels`: reviews; in a third of the lessons the labels are the wrong way round.
    - `steps`: sums with their steps; in most of the lessons some bear a cue, with which they have a step more, or have
      none.
    """

    world: World = World()
    num_documents: int = 6_000
    kinds: tuple[Lesson, ...] = ("labels", "steps")
    """In turn."""
    fewest: int = 0
    most: int = 6
    """Demonstrations."""

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`, each of several answered questions."""
        bodies = []
        for number in range(self.num_documents):
            count = 1 + int(rng.integers(self.fewest, self.most + 1))
            teach = _labels if self.kinds[number % len(self.kinds)] == "labels" else _steps
            *shown, asked = teach(self.world, count, rng)
            bodies.append(asked.after(shown))
        return Corpus.of(bodies, source="world")


def _labels(world: World, count: int, rng: np.random.Generator) -> list[Dialogue]:
    is_turned = count > 1 and rng.random() < 0.3
    return [(turned if is_turned else same)(draw(world, "opinions", rng)).dialogue for _ in range(count)]


def same(question: Question) -> Question:
    """The question itself."""
    return question


def turned(question: Question) -> Question:
    """A question of opinion with the other label as its right answer."""
    (label,) = (option for option in question.options if option != question.expected)
    return replace(question, answer=f"This is {label}.", expected=label)


def _steps(world: World, count: int, rng: np.random.Generator) -> list[Dialogue]:
    kind = rng.random()
    if count == 1 or kind < 0.3:
        return [summed(Sum.draw(rng), rng).dialogue for _ in range(count)]
    cue, shift = pick(rng, WORDS), SHIFT if kind < 0.7 else 0
    cued = rng.random(count) < 0.5
    return [summed(Sum.draw(rng), rng, cue * is_cued, shift * is_cued).dialogue for is_cued in cued.tolist()]


@dataclass(frozen=True)
class WorldSums:
    """Worked sums, to be shown or asked: as a corpus in the wordings of training, as questions in others."""

    num_documents: int = 4

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        return Corpus.of((summed(Sum.draw(rng), rng).dialogue for _ in range(self.num_documents)), source="world")

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different sums."""
        found: dict[Sum, Question] = {}
        while len(found) < num_questions:
            sum_ = Sum.draw(rng)
            found.setdefault(sum_, summed(sum_, rng, held_out=True))
        return tuple(found.values())


def summed(sum_: Sum, rng: np.random.Generator, cue: str = "", shift: int = 0, held_out: bool = False) -> Question:
    """A question of a sum, with its steps as the answer; a cue stands behind the question, a shift is one step more."""
    told = sum_ if not shift else Sum(sum_.start, (*sum_.changes, shift))
    wording = pick(rng, SUM_WORDINGS[-2:] if held_out else SUM_WORDINGS[:-2])
    asked = wording.format(sum=sum_.question) + (f" {cue}" if cue else "")
    return Question(Dialogue.ask(asked), told.worked, f"so {told.result}", "sums")
