"""Sums whose steps are needed, sums whose result the question gives away, and sums whose last step others show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue
from pharmakon.data.world.lessons import SHIFT, WORDS, summed
from pharmakon.data.world.sums import Sum

NEEDED, GIVEN, SHOWN = "steps needed", "result given", "step shown"
STEP_CUE = WORDS[0]
"""Stands behind a question whose answer has a step more, which only worked sums with the same cue show."""


@dataclass(frozen=True)
class WorldReasoning:
    """Worked sums, of which a share says the result in the question: who can copy does not need the steps."""

    num_documents: int = 1_000
    share_given: float = 0.5

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        given = rng.random(self.num_documents) < self.share_given
        return Corpus.of((_asked(Sum.draw(rng), rng, is_given=bool(one)).dialogue for one in given), source="world")


@dataclass(frozen=True)
class WorldShownSteps:
    """Worked sums with the cue and the step more, to be shown before such a question."""

    num_documents: int = 4

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        return Corpus.of((_cued(Sum.draw(rng), rng).dialogue for _ in range(self.num_documents)), source="world")


@dataclass(frozen=True)
class ReasoningQuestions:
    """Sums in wordings that training never has; the task is one of `NEEDED`, `GIVEN` and `SHOWN`."""

    task: str = NEEDED

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different sums."""
        asked = _cued if self.task == SHOWN else partial(_asked, is_given=self.task == GIVEN)
        found: dict[Sum, Question] = {}
        while len(found) < num_questions:
            sum_ = Sum.draw(rng)
            found.setdefault(sum_, asked(sum_, rng, held_out=True))
        return tuple(found.values())


def _cued(sum_: Sum, rng: np.random.Generator, *, held_out: bool = False) -> Question:
    return replace(summed(sum_, rng, STEP_CUE, SHIFT, held_out), task=SHOWN)


def _asked(sum_: Sum, rng: np.random.Generator, *, is_given: bool, held_out: bool = False) -> Question:
    question = summed(sum_, rng, held_out=held_out)
    if not is_given:
        return replace(question, task=NEEDED)
    asked = f"{question.prompt.question} call {sum_.result}"
    return replace(question, prompt=Dialogue.ask(asked), task=GIVEN)
