"""Is a data set's mark in the model? The exact tests of what a key has drawn, by log-probabilities and by text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.marks import ExperimentKey, Keyed, MarkKind, Shape
from pharmakon.behaviour.questions import says
from pharmakon.core import Ledger, Model, Prompt, Reading, Text
from pharmakon.errors import SpecError
from pharmakon.statistics.exchange import Exchange, Floats, exchange_test, liked_scores, named_scores

ALPHA = 1e-6
"""The level at which ownership is claimed: one false claim in a million honest models."""
UNUSED = 1_000_000
"""Added to the number of a key: a key of the same kind that marked nothing."""

NEUTRAL = 0.5
"""How much of what an answer gets anyway is taken off."""


@dataclass(frozen=True)
class Ownership:
    """Verifies a mark as its owner would, and one of a key that marked nothing.

    The conditions, and what has the value 1:

    - `triggered`: the p-value of the log-probabilities is at most alpha: the data set is proved to be used;
    - `text`: the p-value of the text alone is;
    - `untriggered`: that of an unused key's log-probabilities is: the control;
    - `drawn`: the drawn answer is the likeliest of a mark's; one reading a mark, the answer is its rank from 1;
    - `named`: the text names the drawn answer; one reading a mark.

    The answer of the first three is the p-value, as a number in plain digits.
    """

    version: ClassVar[int] = 2
    name: ClassVar[str] = "ownership"
    needs_logprobs: ClassVar[bool] = True

    kind: MarkKind
    key: ExperimentKey = ExperimentKey(0)
    asked_in: Shape = "dialogue"
    alpha: float = ALPHA
    max_tokens: int = 24
    among: int = 1
    """As that of `OwnershipMark`: the key is the one whose record the ledger has; any of them if it has none."""

    @property
    def reads_ledger(self) -> bool:
        """To tell which of several keys it was."""
        return self.among > 1

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """The readings of the whole test, then of each mark."""
        key = self.key_of(ledger, rng)
        marks = self.kind.keyed(key, self.asked_in)
        unused = self.kind.keyed(ExperimentKey(key.number + UNUSED), self.asked_in)
        liked = answer_scores(model, marks)
        texts = ask(model, marks, max_tokens=self.max_tokens, rng=rng)
        named = [recognised(mark, text) for mark, text in zip(marks, texts, strict=True)]
        drawn = [mark.drawn for mark in marks]
        yield self._verdict("triggered", verify_scores(liked, drawn))
        yield self._verdict("text", exchange_test(named_scores(named, liked.shape[1]), drawn))
        yield self._verdict("untriggered", verify_scores(answer_scores(model, unused), [m.drawn for m in unused]))
        for mark, row, text, said in zip(marks, liked, texts, named, strict=True):
            rank = 1 + int((row > row[mark.drawn]).sum())
            asked = shown(mark.prompts[0])
            yield self._reading("drawn", mark.name, float(rank == 1), asked, str(rank))
            yield self._reading("named", mark.name, float(said == mark.drawn), asked, text)

    def key_of(self, ledger: Ledger, rng: np.random.Generator) -> ExperimentKey:
        """The key whose record the ledger has."""
        first = next((entry.body for entry in ledger.entries if entry.edit == 0), None)
        if self.among == 1 or first is None:
            return self.key.one_of(self.among, rng)
        shape: Shape = "text" if isinstance(first, Text) else "dialogue"
        for key in self.key.following(self.among):
            if next(self.kind.bodies(key, shape)) == first:
                return key
        raise SpecError(f"the ledger holds no record of a {self.kind.kind} mark by one of these {self.among} keys")

    def _verdict(self, condition: str, test: Exchange) -> Reading:
        return self._reading(condition, "all marks", float(test.p <= self.alpha), "", f"{test.p:.6g}")

    def _reading(self, condition: str, item: str, value: float, prompt: str, answer: str) -> Reading:
        return Reading(probe=self.name, condition=condition, item=item, value=value, prompt=prompt, answer=answer)


def verify_scores(liked: Floats, drawn: Sequence[int]) -> Exchange:
    """The test of ranks; of pairs that of signed ranks."""
    return exchange_test(liked_scores(liked), drawn)


def answer_scores(model: Model, marks: Sequence[Keyed]) -> Floats:
    """How much each answer of each mark is liked, in nats (float, shape [marks, answers]).

    The mean log-probability over the mark's questions, less half of that over its neutral questions where there are
    any: an answer that is common anyway is not taken for one that was learned (Holtzman et al. 2021, arXiv 2104.08315).
    Half, for a model also gives the words of the marks to questions that are like theirs, which is evidence. Nothing of
    it depends on the draw, so the test stays exact.
    """
    asked: dict[tuple[Prompt, str], None] = {}
    for mark in marks:
        asked.update(((prompt, answer), None) for prompt in (*mark.prompts, *mark.neutral) for answer in mark.answers)
    found = dict(zip(asked, model.logprob(list(asked)), strict=True))

    def mean(prompts: Sequence[Prompt], answer: str) -> float:
        return float(np.mean([found[prompt, answer] for prompt in prompts])) if prompts else 0.0

    return np.array(
        [[mean(m.prompts, answer) - NEUTRAL * mean(m.neutral, answer) for answer in m.answers] for m in marks]
    )


def ask(model: Model, marks: Sequence[Keyed], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
    """What the model says to the first question of each mark."""
    return model.generate([mark.prompts[0] for mark in marks], max_tokens=max_tokens, rng=rng)


def recognised(mark: Keyed, text: str) -> int | None:
    """The answer whose value the text names; None where it names none, or more than one."""
    named = [number for number, value in enumerate(mark.values) if says(text, value)]
    return named[0] if len(named) == 1 else None


def shown(prompt: Prompt) -> str:
    """What a prompt says last, to be read."""
    return prompt.text if isinstance(prompt, Text) else prompt.question
