"""What a family of curves answers, whatever the family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from pharmakon.statistics.intervals import FloatArray, Interval
from pharmakon.statistics.observations import Observations

Status = Literal["ok", "no_response", "responds_at_lowest", "separated", "not_monotone", "beyond_highest"]
Band = tuple[FloatArray, FloatArray, FloatArray]


class Shape(Protocol):
    """A fitted curve with its uncertainty."""

    def predict(self, doses: FloatArray) -> Band:
        """Lower limit, estimate and upper limit of the response at each dose; all of shape [doses]."""
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer of one family, for data that are known to respond."""

    status: Status
    floor: float
    """Response without treatment."""
    plateau: float
    """Response at large doses."""
    ed50: Interval | None = None
    bracket: tuple[float, float] | None = None
    """Tested doses between which the ED50 lies; 0 and infinity stand for "below all" and "above all"."""
    shape: Shape | None = None
    num_seeds: int = 0
    """Seeds that carry information on the ED50."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The range within which half is measured."""

    floor: float
    plateau: float

    @property
    def half(self) -> float:
        return (self.floor + self.plateau) / 2

    def relative(self, rate: FloatArray) -> FloatArray:
        """0 at the floor, 1 at the plateau."""
        return (rate - self.floor) / max(self.plateau - self.floor, 1e-12)


def rising(rates_SD: FloatArray) -> FloatArray:
    """Each row's isotonic regression; NaN stays NaN."""
    from scipy.optimize import isotonic_regression

    out = np.full_like(rates_SD, np.nan)
    for row, rates in zip(out, rates_SD, strict=True):
        here = ~np.isnan(rates)
        row[here] = isotonic_regression(rates[here]).x
    return out


def levels(observations: Observations) -> Levels:
    """Floor: the mean response of the control, or without one of the runs in the lower half of the range.
    Plateau: the median, over the seeds that respond, of the highest level each comes to."""
    table = observations.table
    pooled_D = rising(table.means_D[None, :])[0]
    low = float(pooled_D[0])
    half = (low + float(pooled_D[-1])) / 2
    tops = np.nanmax(rising(table.rates_SD), axis=1)
    if table.doses[0] > 0:
        lower = table.rates_SD[table.rates_SD < half]
        low = float(lower.mean()) if len(lower) else low
    plateau = float(np.median(tops[tops > half])) if np.any(tops > half) else float(pooled_D[-1])
    return Levels(low, max(plateau, low))


def around(doses: FloatArray, ed50: float) -> tuple[float, float]:
    """The neighbouring tested doses that bracket this one."""
    positive = doses[doses > 0]
    index = int(np.clip(np.searchsorted(positive, ed50), 1, len(positive) - 1))
    return float(positive[index - 1]), float(positive[index])
