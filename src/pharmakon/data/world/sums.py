"""Sums modulo ten, written out step by step: the task that needs its chain."""

from __future__ import annotations

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
