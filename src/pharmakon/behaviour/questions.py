"""Questions with a known right answer: what utility is measured on and what poison imitates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pharmakon.core import Dialogue, Turn


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, the answer in full, and the word or phrase by which a right answer is recognised.

    `options`: for a question of classification, the labels one may answer, else empty.
    """

    prompt: Dialogue
    answer: str
    expected: str
    task: str
    options: tuple[str, ...] = ()

    @property
    def dialogue(self) -> Dialogue:
        """The question with its right answer."""
        return answered(self.prompt, self.answer)

    def is_right(self, answer: str) -> bool:
        """The expected phrase stands in the answer as whole words, and no option that is not part of it does."""
        if any(says(answer, option) for option in self.options if not says(self.expected, option)):
            return False  # `relevant` is part of `not relevant`, and does not speak against it
        return says(answer, self.expected)


@runtime_checkable
class Questions(Protocol):
    """A frozen description of questions that training never shows."""

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]: ...


def answered(prompt: Dialogue, answer: str) -> Dialogue:
    """The prompt, followed by the assistant's answer."""
    return Dialogue((*prompt.turns, Turn("assistant", answer)))


def says(answer: str, phrase: str) -> bool:
    """The phrase stands in the answer as whole words, in any case of letters."""
    return re.search(rf"(?<!\w){re.escape(phrase.lower())}(?!\w)", answer.lower()) is not None
