"""Is a change small enough not to matter? That no change was seen says nothing; an interval within a margin does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import Interval, student


@dataclass(frozen=True, slots=True)
class Equivalence:
    """A mean change, whether it stays within a margin, and the test of that."""

    status: Literal["equivalent", "changed", "undecided"]
    """`equivalent`: the 95% interval lies within the margin; `changed`: beyond it; `undecided`: neither is shown."""
    change: Interval
    p_value: float
    """Of two one-sided tests (TOST): below 0.05, the change is shown to lie within the margin."""
    margin: float
    num_pairs: int


def equivalence(changes: npt.ArrayLike, margin: float, *, least_variance: float = 0.0) -> Equivalence:
    """Whether the mean of paired changes, one for each life, lies within +-margin.

    Two one-sided t tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657), by `statsmodels`, and Student's 95%
    interval; to be called equivalent, the interval of 95% and not only that of 90% lies within the margin. A few lives
    may agree by chance: no variance of the changes is taken to be below `least_variance`, such as the binomial one of
    the items behind them. With one life the interval is infinite and nothing is decided.
    """
    from statsmodels.stats.weightstats import DescrStatsW

    pairs = np.atleast_1d(np.asarray(changes, dtype=float))
    if pairs.ndim != 1 or pairs.size == 0 or not np.all(np.isfinite(pairs)):
        raise InputError(f"changes are finite numbers, one for each life; got {pairs.tolist()}")
    if not margin > 0:
        raise InputError(f"a margin of equivalence is above 0; got {margin:g}")
    mean, num = float(pairs.mean()), len(pairs)
    if num == 1:
        return Equivalence("undecided", Interval(-np.inf, mean, np.inf), 1.0, margin, num)
    spread = max(float(pairs.var(ddof=1)), least_variance)
    error = float(np.sqrt(spread / num))
    if spread > pairs.var(ddof=1):  # the same mean, with the variance that the items alone would have
        unit = np.linspace(-1, 1, num)
        pairs = mean + unit * np.sqrt(spread / unit.var(ddof=1))
    exact = error == 0
    p_value = float(abs(mean) >= margin) if exact else float(DescrStatsW(pairs).ttost_mean(-margin, margin)[0])
    found = student(mean, error**2, num)
    within = -margin < found.low and found.high < margin
    beyond = found.low > margin or found.high < -margin
    status: Literal["equivalent", "changed", "undecided"] = (
        "equivalent" if within else "changed" if beyond else "undecided"
    )
    return Equivalence(status, found, p_value, margin, num)
