"""Rates of single lives by what they were asked, and sums of such rates over the same seeds with their interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pharmakon.statistics import Interval, mean_over_seeds
from pharmakon.statistics.intervals import FloatArray

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Term:
    """One rate of a sum: of an arm, of what was asked, with its sign."""

    sign: int
    arm: str
    asked: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sums of signed rates, one for each seed, and the variance that the items alone give each."""

    values: FloatArray
    variances: FloatArray
    least: float
    """What the sum can be at least and at most, since rates lie between 0 and 1."""
    most: float

    def interval(self, level: float = 0.95) -> Interval:
        """Student's interval of the mean; its variance is not taken to be below that of the items."""
        return within(mean_over_seeds(self.values, variance=self.variances, level=level), self.least, self.most)


def pairs(lives: pl.DataFrame, dose: int, terms: Sequence[Term]) -> Pairs | None:
    """The sum of signed rates at a dose, seed by seed; None if no seed has all of them.

    `lives` has the columns arm, asked, dose, seed, hits and items, one row each. To the items two hits and two misses
    are added for their variance, so that it is never none (Agresti and Coull 1998).
    """
    import polars as pl

    parts = []
    for term in terms:
        rows = lives.filter(pl.col("arm") == term.arm, pl.col("asked") == term.asked, pl.col("dose") == dose)
        parts.append({seed: (hits, items) for seed, hits, items in rows.select("seed", "hits", "items").iter_rows()})
    seeds = sorted(set.intersection(*(set(part) for part in parts)))
    if not seeds:
        return None
    values, variances = np.zeros(len(seeds)), np.zeros(len(seeds))
    for term, part in zip(terms, parts, strict=True):
        hits, items = np.array([part[seed] for seed in seeds], dtype=float).T
        shrunk = (hits + 2) / (items + 4)
        values += term.sign * hits / items
        variances += shrunk * (1 - shrunk) / items
    signs = [term.sign for term in terms]
    return Pairs(values, variances, sum(min(sign, 0) for sign in signs), sum(max(sign, 0) for sign in signs))


def contrast(lives: pl.DataFrame, dose: int, terms: Sequence[Term], *, level: float = 0.95) -> Interval | None:
    """The interval of the mean of `pairs`."""
    found = pairs(lives, dose, terms)
    return None if found is None else found.interval(level)


def within(value: Interval, least: float, most: float) -> Interval:
    """The interval without what cannot be; that of one seed stays infinite, for it says nothing."""
    return value.clipped(least, most) if np.isfinite(value.high - value.low) else value


def told(value: Interval) -> str:
    """`+0.66 [+0.43, +0.90]`; of one seed without limits."""
    if not np.isfinite(value.high - value.low):
        return f"{value.estimate:+.2f} (one seed)"
    return f"{value.estimate:+.2f} [{value.low:+.2f}, {value.high:+.2f}]"
