"""Rank correlations within seeds, and their mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pharmakon.statistics.intervals import Interval, mean_over_seeds


def seed_correlations(one: npt.ArrayLike, other: npt.ArrayLike, seeds: npt.ArrayLike) -> dict[int, float]:
    """Spearman's correlation of two measures within each seed; seeds where one of them is constant are left out."""
    from scipy import stats

    x, y, groups = np.asarray(one, dtype=float), np.asarray(other, dtype=float), np.asarray(seeds)
    found = {}
    for seed in np.unique(groups).tolist():
        here = groups == seed
        if here.sum() > 2 and np.ptp(x[here]) > 0 and np.ptp(y[here]) > 0:
            found[seed] = float(stats.spearmanr(x[here], y[here]).statistic)
    return found


def mean_correlation(found: Sequence[float]) -> tuple[Interval, float]:
    """The mean of correlations, one a seed, by Fisher's z with Student's interval; and the p-value of none.

    Seeds that agree to the last digit, or one alone, tell nothing of how seeds differ: any correlation is possible.
    """
    from scipy import stats

    z = np.arctanh(np.clip(found, -0.999, 0.999))
    made = mean_over_seeds(z) if len(z) else Interval(-np.inf, 0.0, np.inf)
    error = float(z.std(ddof=1)) / np.sqrt(len(z)) if len(z) > 1 else 0.0
    if error < 1e-9:
        return Interval(-1.0, float(np.tanh(made.estimate)), 1.0), 1.0
    p_value = float(2 * stats.t.sf(abs(made.estimate) / error, len(z) - 1))
    return Interval(*(float(np.tanh(end)) for end in (made.low, made.estimate, made.high))), p_value
