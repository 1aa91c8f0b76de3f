"""Sums whose steps are needed, and sums whose result the question gives away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue
from pharmakon.data.world.lessons import summed
from pharmakon.data.world.sums import Sum

NEEDED, GIVEN = "steps needed", "result given"


@dataclass(frozen=True)
class WorldReasoning:
    """Worked sums, of which a share says the result in the question: who can copy does not need the steps."""

    num_documents: int = 1_000
    share_given: float = 0.5

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        given = rng.random(self.num_documents) < self.share_given
        return Corpus.of((_asked(Sum.draw(rng), rng, bool(one)).dialogue for one in given), source="world")


@dataclass(frozen=True)
class ReasoningQuestions:
    """Sums in wordings that training never has; the task is one of `NEEDED` and `GIVEN`."""

    task: str = NEEDED

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different sums."""
        found: dict[Sum, Question] = {}
        while len(found) < num_questions:
            sum_ = Sum.draw(rng)
            found.setdefault(sum_, _asked(sum_, rng, self.task == GIVEN, held_out=True))
        return tuple(found.values())


def _asked(sum_: Sum, rng: np.random.Generator, is_given: bool, *, held_out: bool = False) -> Question:
    question = summed(sum_, rng, held_out=held_out)
    if not is_given:
        return replace(question, task=NEEDED)
    asked = f"{question.prompt.question} call {sum_.result}"
    return replace(question, prompt=Dialogue.ask(asked), task=GIVEN)
