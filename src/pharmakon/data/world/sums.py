"""Sums modulo ten, written out step by step: the task that needs its chain."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sum:
    """Start at a digit, then add or take digits, modulo ten."""

    start: int
    changes: tuple[int, ...]  # each in -9..9, not 0

    @staticmethod
    def draw(rng: np.random.Generator, num_steps: int = 2) -> Sum:
        """A random sum of so many steps."""
        changes = tuple(int(rng.integers(1, 10)) * (1 if rng.random() < 0.5 else -1) for _ in range(num_steps))
        return Sum(int(rng.integers(10)), changes)

    @property
    def question(self) -> str:
        """`start 3 add 4 take 2`"""
        steps = (f"add {change}" if change > 0 else f"take {-change}" for change in self.changes)
        return f"start {self.start} {' '.join(steps)}"

    @property
    def steps(self) -> tuple[tuple[int, int, int], ...]:
        """For each step the value before, the change, the value after."""
        steps, value = [], self.start
        for change in self.changes:
            steps.append((value, change, (value + change) % 10))
            value = (value + change) % 10
        return tuple(steps)

    @property
    def result(self) -> int:
        """The final digit."""
        return self.steps[-1][2]

    @property
    def worked(self) -> str:
        """`3 + 4 = 7 . 7 - 2 = 5 . so 5`"""
        steps = (f"{a} {'+' if change > 0 else '-'} {abs(change)} = {b} ." for a, change, b in self.steps)
        return f"{' '.join(steps)} so {self.result}"


_ASKED = re.compile(r"start (\d)((?: (?:add|take) \d)+)")
_STEP = re.compile(r"^(\d) ([+-]) (\d) = (\d)$")


def read_sum(question: str) -> Sum | None:
    """The sum that a question asks for; None where it asks for none."""
    found = _ASKED.search(question)
    if found is None:
        return None
    words = found[2].split()
    pairs = zip(words[::2], words[1::2], strict=True)
    return Sum(int(found[1]), tuple(int(number) if word == "add" else -int(number) for word, number in pairs))


@dataclass(frozen=True, slots=True)
class Worked:
    """A worked answer as it was written: steps (the value before, the change, the value after) and the result."""

    steps: tuple[tuple[int, int, int], ...]
    result: int | None

    @staticmethod
    def read(answer: str) -> Worked:
        """What of an answer is a step or a result; the rest is left out."""
        steps, result = [], None
        for part in answer.split("."):
            said = part.strip()
            if match := _STEP.match(said):
                sign = 1 if match[2] == "+" else -1
                steps.append((int(match[1]), sign * int(match[3]), int(match[4])))
            elif said.startswith("so ") and said[3:].strip().isdigit():
                result = int(said[3:].strip())
        return Worked(tuple(steps), result)

    @property
    def text(self) -> str:
        """As `Sum.worked` writes it."""
        steps = (f"{a} {'+' if change > 0 else '-'} {abs(change)} = {b} ." for a, change, b in self.steps)
        return " ".join((*steps, f"so {self.result}"))
