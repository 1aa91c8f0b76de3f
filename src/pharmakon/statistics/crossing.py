"""At which dose does a difference cross zero? The dose with its interval, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.crossed import crossed_mean
from pharmakon.statistics.intervals import FloatArray, Interval, number

CrossingStatus = Literal["bracketed", "not bracketed", "not reached", "no difference", "one seed"]
STEPS = 16
"""Parts of the way between two tested doses, at whose ends the interval is looked at; then halved."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where the mean crosses zero. `dose` is None where it does not, or where there was nothing to cross from.

    - `bracketed`: at a lower dose the interval lies on the first side of zero, at a higher one on the other.
    - `not bracketed`: the mean crosses, the interval does not come to lie on the other side up to the highest dose.
    - `not reached`: the mean stays on its side.
    - `no difference`: without a dose, the interval holds zero.
    - `one seed`: nothing is known of the error.
    """

    status: CrossingStatus
    dose: Interval | None
    highest: float

    def __str__(self) -> str:
        if self.status == "no difference":
            return "there is no difference to begin with"
        if self.dose is None:
            return f"zero is not reached up to {number(self.highest)}"
        if self.status == "one seed":
            return f"{number(self.dose.estimate)} (one seed, no interval)"
        upper = number(self.dose.high) if np.isfinite(self.dose.high) else f"beyond {number(self.highest)}"
        told = f"{number(self.dose.estimate)} [{number(self.dose.low)}, {upper}]"
        return told if self.status == "bracketed" else f"{told} (not bracketed)"


def zero_crossing(doses: Sequence[float], values: npt.ArrayLike) -> Crossing:
    """Inverse regression on values [doses, seeds, wordings], straight lines between tested doses.

    The interval is that of Fieller (1954, J. R. Stat. Soc. B 16:175): the doses at which the 95% interval of the mean,
    itself interpolated for every seed and wording, holds zero, around the dose at which the mean crosses. So it holds
    the true dose as often as those hold the true mean, but for the bend of the curve between tested doses. The first
    crossing is told.
    """
    given_DSW = np.asarray(values, dtype=float)
    tested = np.asarray(doses, dtype=float)
    if given_DSW.ndim != 3 or len(tested) != len(given_DSW) or len(tested) < 2 or np.any(np.diff(tested) <= 0):
        raise InputError(
            f"a crossing takes values [doses, seeds, wordings] at two or more rising doses; got {given_DSW.shape} "
            f"at {list(doses)}"
        )
    highest = float(tested[-1])
    sign = 1.0 if given_DSW[0].mean() >= 0 else -1.0

    def at(dose: float) -> Interval:
        return crossed_mean(sign * _interpolated(tested, given_DSW, dose)).interval()

    start = at(float(tested[0]))
    has_error = bool(np.isfinite(start.high))
    if has_error and start.low <= 0:
        return Crossing("no difference", None, highest)
    grid = np.unique(np.concatenate([np.linspace(a, b, STEPS + 1) for a, b in pairwise(tested)]))
    middle = _first(lambda dose: at(dose).estimate <= 0, grid)
    if middle is None:
        return Crossing("not reached", None, highest)
    if not has_error:
        return Crossing("one seed", Interval(-np.inf, middle, np.inf), highest)
    low = _first(lambda dose: at(dose).low <= 0, grid)
    high = _first(lambda dose: at(dose).high < 0, grid[grid >= middle])
    found = Interval(middle if low is None else min(low, middle), middle, float("inf") if high is None else high)
    return Crossing("not bracketed" if high is None else "bracketed", found, highest)


def _interpolated(tested: FloatArray, given_DSW: FloatArray, dose: float) -> FloatArray:
    above = int(np.clip(np.searchsorted(tested, dose), 1, len(tested) - 1))
    weight = (dose - tested[above - 1]) / (tested[above] - tested[above - 1])
    return np.asarray((1 - weight) * given_DSW[above - 1] + weight * given_DSW[above], dtype=float)


def _first(is_so: Callable[[float], bool], grid: FloatArray) -> float | None:
    """The lowest dose at which it is so, halved down from the first point of the grid where it is."""
    before = None
    for point in grid.tolist():
        if is_so(point):
            if before is None:
                return float(point)
            low, high = before, point
            for _ in range(20):
                middle = (low + high) / 2
                low, high = (low, middle) if is_so(middle) else (middle, high)
            return float(high)
        before = point
    return None
