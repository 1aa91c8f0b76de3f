"""What the model is for: right answers to held-out questions, and the perplexity of held-out documents."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question, Questions
from pharmakon.core import Body, Data, Dialogue, Ledger, Model, Prompt, Reading, Text
from pharmakon.errors import InputError
from pharmakon.probes.judged import judged


@dataclass(frozen=True)
class Utility:
    """Asks held-out questions; the value is 1 for a right answer, the condition is the question's task."""

    name: ClassVar[str] = "utility"
    reads_ledger: ClassVar[bool] = False

    questions: Questions
    num_items: int = 60
    max_tokens: int = 32

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each different question."""
        draw, answering = rng.spawn(2)
        asked = self._asked(draw)
        prompts = [question.prompt for question in asked]
        answers = model.generate(prompts, max_tokens=self.max_tokens, rng=answering)
        for question, answer in zip(asked, answers, strict=True):
            yield judged(self.name, question.task, question, answer)

    def asked(self, rng: np.random.Generator) -> list[Question]:
        """The questions that `readings` asks with this rng, for whoever asks them elsewhere."""
        return self._asked(rng.spawn(2)[0])

    def _asked(self, draw: np.random.Generator) -> list[Question]:
        return list({question.prompt: question for question in self.questions.questions(self.num_items, draw)}.values())


@dataclass(frozen=True)
class Perplexity:
    """The perplexity per white-space word of held-out documents: one reading, in words, 1 or more.

    It is exp(-log probability / number of words), both summed over the documents: of a `Dialogue` the final answer
    given what stands before it, of a `Text` all words given the first. Words, not tokens, so that models with different
    tokenizers can be compared.
    """

    name: ClassVar[str] = "perplexity"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True

    data: Data
    num_documents: int = 50

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """One reading. Raises InputError if the data has neither answers nor texts of two words."""
        bodies = [document.body for document in self.data.corpus(rng)]
        pairs = [pair for pair in map(_pair, bodies) if pair is not None][: self.num_documents]
        if not pairs:
            raise InputError(f"perplexity takes Text of two words or answered Dialogue; {self.data!r} has none")
        num_words = sum(len(completion.split()) for _, completion in pairs)
        value = math.exp(-math.fsum(model.logprob(pairs)) / num_words)
        yield Reading(probe=self.name, condition="held out", item=f"{len(pairs)} documents", value=value)


def _pair(body: Body) -> tuple[Prompt, str] | None:
    """What stands before, and the words whose probability counts."""
    if isinstance(body, Dialogue):
        return (body.prompt, body.answer) if body.answer.split() else None
    if isinstance(body, Text):
        words = body.text.split(maxsplit=1)
        return (Text(words[0]), f" {words[1]}") if len(words) == 2 else None
    return None
