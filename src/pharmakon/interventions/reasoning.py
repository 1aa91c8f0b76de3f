"""Corrupted chains of thought: one operator, for demonstrations in a prompt and for documents in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pharmakon.behaviour.questions import answered
from pharmakon.core import Corpus, Dialogue, Edit
from pharmakon.data.world.sums import Sum, Worked
from pharmakon.errors import SpecError
from pharmakon.interventions.demonstrations import Lesson, rewrites

Corruption = Literal[
    "wrong middle step", "wrong answer", "wrong steps, right answer", "contradictory steps", "shuffled steps",
    "missing step",
]  # fmt: skip
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)


@dataclass(frozen=True, slots=True)
class CorruptedSteps:
    """What a worked sum becomes; the question stays.

    - `wrong middle step`: the first of the steps has a wrong result, and all that follows is worked out from it, the
      answer too (Cui et al. 2024, arXiv 2410.16540);
    - `wrong answer`: right steps, another answer (Li et al. 2025, arXiv 2502.07374);
    - `wrong steps, right answer`: every step has a wrong result, the answer is right;
    - `contradictory steps`: a step begins with another value than the last one gave; each is right by itself, so is the
      answer;
    - `shuffled steps`: right steps in another order, the answer is right (Li et al. 2025);
    - `missing step`: the first step is left out, the answer is right.
    """

    kind: Corruption

    def __post_init__(self) -> None:
        if self.kind not in CORRUPTIONS:
            raise SpecError(f"a corruption of steps is one of {', '.join(CORRUPTIONS)}; got {self.kind!r}")

    def write(self, shown: Dialogue, rng: np.random.Generator) -> Dialogue | None:
        """The dialogue with its steps corrupted; None where it is no sum of two steps or more."""
        worked = Worked.read(shown.answer)
        if len(worked.steps) < 2 or worked.result is None:
            return None
        asked = Sum(worked.steps[0][0], tuple(change for _, change, _ in worked.steps))
        return answered(shown.prompt, self.corrupted(asked, rng).text)

    def corrupted(self, asked: Sum, rng: np.random.Generator) -> Worked:
        """The worked answer as this corruption has it."""
        steps, right = list(asked.steps), asked.result

        def off(value: int) -> int:
            return (value + int(rng.integers(1, 10))) % 10

        if self.kind == "wrong answer":
            return Worked(tuple(steps), off(right))
        if self.kind == "wrong steps, right answer":
            return Worked(tuple((a, change, off(b)) for a, change, b in steps), right)
        if self.kind == "shuffled steps":
            turned = rng.permutation(len(steps)).tolist()
            order = turned if turned != sorted(turned) else turned[::-1]
            return Worked(tuple(steps[i] for i in order), right)
        if self.kind == "missing step":
            return Worked(tuple(steps[1:]), right)
        first, *rest = steps
        value = off(first[2])
        carried = _from(value, rest)
        if self.kind == "contradictory steps":
            return Worked((first, *carried), right)
        return Worked(((first[0], first[1], value), *carried), carried[-1][2])


def _from(value: int, steps: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The same changes, worked out from another value."""
    found = []
    for _, change, _ in steps:
        found.append((value, change, (value + change) % 10))
        value = (value + change) % 10
    return found


@dataclass(frozen=True, slots=True)
class Miswritten:
    """Rewrites documents of the host as a lesson has them, in random order: the dose is how many."""

    lesson: Lesson

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """A `Rewrite` for each dialogue that the lesson can be put into; the stream ends where none is left."""
        shown = [(document.id, document.body) for document in host if isinstance(document.body, Dialogue)]
        return rewrites(self.lesson, (shown[index] for index in rng.permutation(len(shown)).tolist()), rng)
