"""Straight lines through the runs of a few seeds: slopes with intervals, and whether the line bends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray, Interval, mean_over_seeds


@dataclass(frozen=True, slots=True)
class Slope:
    """What an outcome gains with each unit of a regressor, the others held; the mean of the seeds' own slopes."""

    value: Interval
    p_value: float
    """Two-sided, of no slope; 1 with one seed."""
    smallest: float
    """The smallest slope, up or down, that a run like this one sees with 80% power; infinite with one seed."""
    num_seeds: int

    @property
    def is_shown(self) -> bool:
        """The interval leaves 0 out."""
        return 0 not in self.value


@dataclass(frozen=True, slots=True)
class Line:
    """A slope for each regressor, and the share of the variance within seeds that they explain together."""

    slopes: Mapping[str, Slope]
    explained: FloatArray
    """R squared of each seed's own line; [seeds]."""


def line(
    seed: npt.ArrayLike,
    outcome: npt.ArrayLike,
    regressors: Mapping[str, npt.ArrayLike],
    *,
    variance: npt.ArrayLike = 0.0,
) -> Line:
    """Least squares for each seed by itself, with its own intercept; then Student's t over the seeds' coefficients.

    All have shape [rows]. Runs of one seed share their data and start, so that seeds are the clusters; with few of
    them, one estimate a cluster and a t test over these keeps its level, where errors clustered in one regression do
    not (Ibragimov and Müller 2010, J. Bus. Econ. Stat. 28:453). `variance`: of each outcome by its items alone; no
    slope is taken to be more certain than they allow. Raises InputError where a seed has too few different rows.
    """
    import statsmodels.api as sm
    from scipy import stats

    y, groups = np.asarray(outcome, dtype=float), np.asarray(seed)
    x = np.column_stack([np.asarray(column, dtype=float) for column in regressors.values()])
    noise = np.broadcast_to(np.asarray(variance, dtype=float), y.shape)
    if x.shape[0] != len(y) or groups.shape != y.shape:
        raise InputError(
            f"seed, outcome and regressors are columns of one length; got {groups.shape}, {y.shape}, {x.shape}"
        )
    found, floors, explained = [], [], []
    for one in np.unique(groups):
        here = groups == one
        design = sm.add_constant(x[here], has_constant="add")
        if np.linalg.matrix_rank(design) < design.shape[1]:
            names = ", ".join(regressors)
            raise InputError(
                f"a line needs rows of each seed that differ in {names}; seed {one} has too few. Add doses"
            )
        made = sm.OLS(y[here], design).fit()
        weights = np.linalg.pinv(design)[1:]
        found.append(made.params[1:])
        floors.append(weights**2 @ noise[here])
        explained.append(made.rsquared if np.ptp(y[here]) > 0 else np.nan)
    num_seeds = len(found)
    slopes = {}
    for index, name in enumerate(regressors):
        value = mean_over_seeds([f[index] for f in found], variance=[f[index] for f in floors])
        p_value, smallest = 1.0, np.inf
        if num_seeds > 1:
            error = (value.high - value.estimate) / float(stats.t.isf(0.025, num_seeds - 1))
            exact = error == 0
            p_value = (
                float(value.estimate == 0)
                if exact
                else 2 * float(stats.t.sf(abs(value.estimate) / error, num_seeds - 1))
            )
            smallest = error * float(stats.t.isf(0.025, num_seeds - 1) + stats.t.isf(0.2, num_seeds - 1))
        slopes[name] = Slope(value, p_value, smallest, num_seeds)
    return Line(slopes, np.array(explained))
