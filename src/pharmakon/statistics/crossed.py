"""A mean over seeds and wordings that are crossed: every seed is asked in every wording, and both vary at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.equivalence import Equivalence
from pharmakon.statistics.intervals import Interval


@dataclass(frozen=True, slots=True)
class CrossedMean:
    """The mean with its standard error and Satterthwaite's degrees of freedom; one seed gives an infinite error."""

    estimate: float
    error: float
    freedom: float

    def interval(self, level: float = 0.95) -> Interval:
        """Student's."""
        if not np.isfinite(self.error):
            return Interval(-np.inf, self.estimate, np.inf)
        reach = self._quantile(0.5 + level / 2) * self.error
        return Interval(self.estimate - reach, self.estimate, self.estimate + reach)

    @property
    def p_value(self) -> float:
        """Two-sided, of a mean of 0."""
        return self.p_beyond(0.0)

    def p_beyond(self, margin: float) -> float:
        """Two-sided, of a mean that is not beyond +-margin; that of a mean at the margin, where it is largest."""
        from scipy.special import stdtr

        if not np.isfinite(self.error):
            return 1.0
        ends = abs(self.estimate) - margin, abs(self.estimate) + margin
        if self.error == 0:
            return float(ends[0] <= 0)
        return min(1.0, float(sum(stdtr(self.freedom, -end / self.error) for end in ends)))

    def smallest_seen(self, *, power: float = 0.8, alpha: float = 0.05) -> float:
        """The smallest mean that a test at this level would have found so often, given this error."""
        return self.error * (self._quantile(1 - alpha / 2) + self._quantile(power))

    def _quantile(self, p: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, p))


def crossed_mean(values: npt.ArrayLike) -> CrossedMean:
    """The mean of values [seeds, wordings], both taken as drawn from more of their kind.

    To take the wordings as fixed would tell of these wordings alone (Clark 1973, J. Verbal Learning 12:335). The
    variance of the mean is (MS seeds + MS wordings - MS rest) / cells, of the two-way random-effects analysis of
    variance, and not below the larger of the first two; the degrees of freedom are Satterthwaite's (1946, Biometrics
    2:110), and not below those of the smaller factor. With one wording it is the mean over seeds, with one seed
    nothing is known of its error.
    """
    given_SW = np.atleast_2d(np.asarray(values, dtype=float))
    if given_SW.ndim != 2 or not given_SW.size or not np.all(np.isfinite(given_SW)):
        raise InputError(f"a crossed mean takes finite values of shape [seeds, wordings]; got {given_SW.shape}")
    num_seeds, num_wordings = given_SW.shape
    mean = float(given_SW.mean())
    if num_seeds == 1:
        return CrossedMean(mean, float("inf"), 1.0)
    of_seeds = num_wordings * float(given_SW.mean(axis=1).var(ddof=1))
    if num_wordings == 1:
        return CrossedMean(mean, float(np.sqrt(of_seeds / num_seeds)), num_seeds - 1.0)
    of_wordings = num_seeds * float(given_SW.mean(axis=0).var(ddof=1))
    rest_SW = given_SW - given_SW.mean(axis=1, keepdims=True) - given_SW.mean(axis=0, keepdims=True) + mean
    free = num_seeds - 1, num_wordings - 1, (num_seeds - 1) * (num_wordings - 1)
    rest = float(np.sum(rest_SW**2)) / free[2]
    total = max(of_seeds + of_wordings - rest, of_seeds, of_wordings)
    parts = of_seeds**2 / free[0] + of_wordings**2 / free[1] + rest**2 / free[2]
    freedom = max(total**2 / parts, float(min(free[:2]))) if parts else float(min(free[:2]))
    return CrossedMean(mean, float(np.sqrt(total / given_SW.size)), freedom)


def mean_of_rates(values: npt.ArrayLike, items: int) -> CrossedMean:
    """The mean over seeds of rates of so many items each, or of differences of such rates; [seeds].

    Its variance is not taken to be below that which the items alone give (two hits and two misses are added: Agresti
    and Coull 1998, Am. Stat. 52:119), since a few seeds may agree by chance. One seed gives an infinite error.
    """
    given = np.asarray(values, dtype=float)
    if given.ndim != 1 or not len(given) or items < 1:
        raise InputError(f"rates have one value a seed, of 1 item or more; got shape {given.shape}, {items} items")
    rate = (np.abs(given) * items + 2) / (items + 4)
    if len(given) < 2:
        return CrossedMean(float(given.mean()), float("inf"), 1.0)
    variance = max(float(given.var(ddof=1)), float((rate * (1 - rate)).mean()) / items)
    return CrossedMean(float(given.mean()), float(np.sqrt(variance / len(given))), len(given) - 1.0)


def crossed_equivalence(change: CrossedMean, margin: float, num_seeds: int) -> Equivalence:
    """Whether a mean change over seeds and wordings lies within +-margin, as `equivalence` says of one over lives."""
    from scipy.special import stdtr

    if not margin > 0:
        raise InputError(f"a margin of equivalence is above 0; got {margin:g}")
    found = change.interval()
    if not np.isfinite(change.error):
        return Equivalence("undecided", found, 1.0, margin, num_seeds)
    distance = margin - abs(change.estimate)
    p_value = float(distance <= 0) if change.error == 0 else float(stdtr(change.freedom, -distance / change.error))
    if -margin < found.low and found.high < margin:
        return Equivalence("equivalent", found, p_value, margin, num_seeds)
    is_beyond = found.low > margin or found.high < -margin
    return Equivalence("changed" if is_beyond else "undecided", found, p_value, margin, num_seeds)
