"""Intervals for success rates whose items are nested in seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError

FloatArray = npt.NDArray[np.float64]


def number(value: float) -> str:
    """A quantity as a reader wants it: 27, 4.7, 0.013; no decimals from ten on."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 10 or value == 0:
        return f"{value:.0f}"
    return f"{value:.2g}"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between its confidence limits; a limit the data do not give is infinite."""

    low: float
    estimate: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.estimate <= self.high:
            raise InputError(
                f"an interval is low <= estimate <= high; got {self.low:g}, {self.estimate:g}, {self.high:g}"
            )

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{number(self.estimate)} [{number(self.low)}, {number(self.high)}]"

    def clipped(self, least: float = 0.0, most: float = 1.0) -> Interval:
        """Without what cannot be: limits within what the quantity can be, by default a share."""
        return Interval(max(self.low, least), self.estimate, min(self.high, most))

    def columns(self, name: str) -> dict[str, float]:
        """Three columns of a table: the estimate under this name, `low` and `high`."""
        return {name: self.estimate, "low": self.low, "high": self.high}


def counts(successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both as float arrays of one shape, checked: whole numbers, 0 <= successes <= trials, trials >= 1."""
    hits, asked = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    if hits.shape != asked.shape or hits.size == 0:
        raise InputError(f"successes and trials have one shape, not empty; got {hits.shape} and {asked.shape}")
    if not (np.all(np.isfinite(hits)) and np.all(np.isfinite(asked))):
        raise InputError("successes and trials are finite numbers; got a missing or infinite value. Leave the row out")
    if np.any(hits != np.round(hits)) or np.any(asked != np.round(asked)):
        raise InputError("successes and trials are whole numbers of items; got a fraction. Give counts, not rates")
    wrong = (hits < 0) | (hits > asked) | (asked < 1)
    if np.any(wrong):
        first = int(np.flatnonzero(wrong)[0])
        got = f"{hits.flat[first]:g} of {asked.flat[first]:g} in row {first}"
        raise InputError(f"0 <= successes <= trials and trials >= 1; got {got}")
    return hits, asked


def share(name: str, value: float) -> float:
    """The value, checked to lie in [0, 1]."""
    if not 0 <= value <= 1:
        raise InputError(f"{name} lies in [0, 1]; got {value:g}")
    return float(value)


def proportion(successes: float, trials: float, *, level: float = 0.95) -> Interval:
    """Wilson's score interval for a binomial proportion (Wilson 1927, JASA 22:209).

    The counts may be effective ones, not whole. Raises `InputError` unless 0 <= successes <= trials and trials > 0.
    """
    from statsmodels.stats.proportion import proportion_confint

    if not (np.isfinite(trials) and trials > 0 and 0 <= successes <= trials):
        raise InputError(f"0 <= successes <= trials and trials > 0; got {successes:g} of {trials:g}")
    low, high = proportion_confint(successes, trials, alpha=1 - share("level", level), method="wilson")
    estimate = successes / trials
    return Interval(min(float(low), estimate), estimate, max(float(high), estimate))


def clopper_pearson(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """The exact interval of a binomial proportion, which holds it at least as often as it says (Clopper, Pearson 1934).

    Wider than Wilson's: for rates whose limits are themselves the claim, such as false positives.
    """
    from statsmodels.stats.proportion import proportion_confint

    if trials < 1 or not 0 <= successes <= trials:
        raise InputError(f"0 <= successes <= trials and trials > 0; got {successes} of {trials}")
    low, high = proportion_confint(successes, trials, alpha=1 - share("level", level), method="beta")
    return Interval(float(low) if successes else 0.0, successes / trials, float(high) if successes < trials else 1.0)


def student(estimate: float, variance: float, num_seeds: int, *, level: float = 0.95) -> Interval:
    """Student's interval of an estimate that has this variance and comes from 2 seeds or more."""
    from scipy import stats

    reach = float(stats.t.isf((1 - level) / 2, num_seeds - 1)) * float(np.sqrt(variance))
    return Interval(estimate - reach, estimate, estimate + reach)


def mean_over_seeds(values: npt.ArrayLike, *, variance: npt.ArrayLike = 0.0, level: float = 0.95) -> Interval:
    """A mean of one value a seed with Student's interval, infinite with one seed; [seeds].

    `variance`: of the items behind each value. That of the mean is not taken to be below it, since a few seeds may
    agree by chance.
    """
    given = np.atleast_1d(np.asarray(values, dtype=float))
    num_seeds = len(given)
    if num_seeds < 2:
        return Interval(-np.inf, float(given.mean()), np.inf)
    of_items = float(np.mean(np.asarray(variance, dtype=float))) / num_seeds
    return student(float(given.mean()), max(float(given.var(ddof=1)) / num_seeds, of_items), num_seeds, level=level)


def effective_trials(trials: npt.ArrayLike, icc: float) -> float:
    """Independent items that carry as much information as these clustered ones.

    Kish's design effect 1 + (m - 1) icc, with m the size-weighted mean cluster size (Kish 1965, *Survey Sampling*).
    `trials` has shape [seeds].
    """
    asked = np.atleast_1d(np.asarray(trials, dtype=float))
    mean_size = float(np.sum(asked**2) / np.sum(asked))
    return float(np.sum(asked)) / (1 + (mean_size - 1) * share("icc", icc))


def clustered_proportion(
    successes: npt.ArrayLike, trials: npt.ArrayLike, icc: float, *, level: float = 0.95
) -> Interval:
    """Wilson's interval on the effective sample size of items nested in seeds.

    `successes` and `trials` have shape [seeds]; `icc` is the intraclass correlation of items within a seed, in [0, 1]:
    at 0 every item counts, at 1 a seed counts as one item. Raises `InputError` for impossible counts.
    """
    hits, asked = counts(successes, trials)
    effective = effective_trials(asked, icc)
    return proportion(float(hits.sum() / asked.sum()) * effective, effective, level=level)


def intraclass_correlation(dose: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike) -> float:
    """How alike the items of one seed are, beyond their dose: one-way ANOVA estimator, pooled over doses, in [0, 1].

    All three have shape [rows], a row being one seed at one dose. Between- and within-seed sums of squares are added
    over the doses, so that three seeds at seven doses give 14 degrees of freedom rather than 2 (Ridout, Demétrio and
    Firth 1999, Biometrics 55:137). With one seed at every dose it is not estimable; 0 is returned.
    """
    hits, asked = counts(successes, trials)
    doses = np.asarray(dose, dtype=float)
    if doses.shape != hits.shape:
        raise InputError(f"dose, successes and trials have one shape; got {doses.shape} and {hits.shape}")
    between = within = spread = 0.0
    between_df = within_df = 0
    for level in np.unique(doses):
        here = doses == level
        size, rate = asked[here], hits[here] / asked[here]
        mean = float(hits[here].sum() / size.sum())
        between += float(np.sum(size * (rate - mean) ** 2))
        within += float(np.sum(size * rate * (1 - rate)))
        between_df += len(size) - 1
        within_df += int(np.sum(size - 1))
        spread += float(size.sum() - np.sum(size**2) / size.sum())
    if between_df == 0 or between == 0:
        return 0.0
    mean_between, mean_within = between / between_df, within / max(within_df, 1)
    size_0 = spread / between_df
    return float(np.clip((mean_between - mean_within) / (mean_between + (size_0 - 1) * mean_within), 0, 1))
