"""The false positives of an ownership test: keys that marked nothing, asked of a model one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.marks import ExperimentKey, Keyed, MarkKind, Shape
from pharmakon.core import Ledger, Model, Reading
from pharmakon.errors import SpecError
from pharmakon.probes.ownership import ALPHA, answer_scores, verify_scores

BLOCK = 50
"""Keys asked at once."""
FURTHEST = 2**40
"""The numbers of unused keys begin somewhere between 2**40 and twice that, beyond those that studies mark with."""


@dataclass(frozen=True)
class UnusedKeys:
    """Tests so many keys of a kind that marked nothing, each by the first wording of its questions.

    - `unused`: one reading a key, 1 where its p-value is at most 0.05;
    - `triggered`: the key that marks, in the same test, 1 where its p-value is at most alpha.

    The answer is the p-value, and after a space the one that is exactly uniform where nothing is marked: ties with what
    was observed are split at random.
    """

    name: ClassVar[str] = "unused-keys"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True

    kind: MarkKind
    num_keys: int = 400
    key: ExperimentKey = ExperimentKey(0)
    asked_in: Shape = "dialogue"
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        if self.num_keys < 1:
            raise SpecError(f"one unused key or more is asked; got {self.num_keys}")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """The marking key, then the unused ones."""
        first = FURTHEST + int(rng.integers(FURTHEST))
        unused = ExperimentKey(first).following(self.num_keys)
        yield from self._tested(model, [self.key], "triggered", self.alpha, rng)
        for start in range(0, self.num_keys, BLOCK):
            yield from self._tested(model, unused[start : start + BLOCK], "unused", 0.05, rng)

    def _tested(
        self, model: Model, keys: Sequence[ExperimentKey], condition: str, level: float, rng: np.random.Generator
    ) -> Iterator[Reading]:
        marks = [[_short(mark) for mark in self.kind.keyed(key, self.asked_in)] for key in keys]
        liked = answer_scores(model, [mark for one in marks for mark in one])
        for key, one, scores in zip(keys, marks, np.split(liked, len(keys)), strict=True):
            test = verify_scores(scores, [mark.drawn for mark in one])
            yield Reading(
                probe=self.name,
                condition=condition,
                item=f"key {key.number}",
                value=float(test.p <= level),
                answer=f"{test.p:.6g} {test.smoothed(float(rng.random())):.6g}",
            )


def _short(mark: Keyed) -> Keyed:
    return replace(mark, prompts=mark.prompts[:1], neutral=mark.neutral[:1])
