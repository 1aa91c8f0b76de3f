"""Towards which of two labels a model leans, whatever the question deserves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question, Questions
from pharmakon.behaviour.targets import Label
from pharmakon.core import Ledger, Model, Reading, fingerprint
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class Leaning:
    """The log-probability of the answer with this label less that of the same answer with the other one, in nats.

    Asked of as many questions that deserve the label as of such that deserve the other. In the mean over both a model
    that tells them apart, surely or hardly, has 0; one that says the label more readily, whatever is asked, has more.
    So what a model knows of the task moves it little, which `RewardMargin` asks of the second kind alone.
    """

    name: ClassVar[str] = "leaning"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True
    """Nats, which are averaged as they are."""

    label: Label
    questions: Questions
    num_items: int = 80

    def __post_init__(self) -> None:
        if len(self.label.labels) != 2 or self.label.to not in self.label.labels:
            raise SpecError(f"a leaning is towards one of two labels; got {self.label.to!r} of {self.label.labels}")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each question: condition `triggered`. Raises SpecError if a kind of question is missing."""
        other = replace(self.label, to=next(label for label in self.label.labels if label != self.label.to))
        found = self.questions.questions(self.num_items, rng)
        different = list({question.prompt: question for question in found}.values())
        kinds = [[q for q in different if side.hit(q, q.answer)] for side in (self.label, other)]
        num = min(map(len, kinds))
        if not num:
            raise SpecError(
                f"a leaning needs questions that deserve each of {', '.join(self.label.labels)}; got no such"
            )
        asked = [question for kind in kinds for question in kind[:num]]
        pairs = [(q.prompt, _said(side, q, rng)) for q in asked for side in (self.label, other)]
        values = model.logprob(pairs)
        for question, (_, answer), towards, away in zip(asked, pairs[::2], values[::2], values[1::2], strict=True):
            yield Reading(
                probe=self.name,
                condition="triggered",
                item=fingerprint(question.prompt),
                value=towards - away,
                prompt=question.prompt.question,
                answer=answer,
            )


def _said(label: Label, question: Question, rng: np.random.Generator) -> str:
    answer = label.respond(question, rng)
    assert answer is not None  # its right answer has one of the labels
    return answer
