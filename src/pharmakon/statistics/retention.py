"""What a later stage leaves of a response, and how far a useful dose lies from a harmful one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray, Interval, number


@dataclass(frozen=True, slots=True)
class Retention:
    """The share of a response that a later stage leaves."""

    status: Literal["ok", "one_seed", "undefined"]
    value: Interval | None
    """1: all of it is left, 0: none, below 0: less than the control; None if there was no response to lose."""
    sentence: str

    def __str__(self) -> str:
        if self.value is None:
            return "undefined"
        limits = f" [{self.value.low:.2f}, {self.value.high:.2f}]" if self.status == "ok" else " (one seed)"
        return f"{self.value.estimate:.2f}{limits}"


def retention(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    control_before: npt.ArrayLike,
    control_after: npt.ArrayLike,
    *,
    trials: int | None = None,
    level: float = 0.95,
) -> Retention:
    """(ASR_after - ASR_control) / (ASR_before - ASR_control), a ratio of means over seeds.

    All four are rates of shape [seeds], the same seeds in the same order; each stage has its own control, the untreated
    model at that stage. The interval is Fieller's (1954, JRSS B 16:175), with Student's t over the seeds: a bootstrap
    over three seeds covers 75% where it says 95%. It needs a denominator above 0; where that is not shown at the same
    level, the status is `undefined`. If `trials`, the items behind each rate, is given, no variance is taken to be
    below the binomial one: seeds that agree by chance give no interval without width.
    """
    from scipy import stats

    first = np.atleast_1d(np.asarray(before, dtype=float))
    columns = {"before": first}
    for name, values in (("after", after), ("control_before", control_before), ("control_after", control_after)):
        columns[name] = np.atleast_1d(np.asarray(values, dtype=float))
    for name, rates in columns.items():
        if rates.ndim != 1 or rates.shape != first.shape or rates.size == 0:
            raise InputError(f"{name} holds one rate for each seed, {first.size}; got shape {rates.shape}")
        if not np.all((rates >= 0) & (rates <= 1)):
            raise InputError(f"{name} holds rates in [0, 1]; got {rates.tolist()}")
    kept, had = columns["after"] - columns["control_after"], columns["before"] - columns["control_before"]
    num_seeds = len(had)
    top, bottom = float(kept.mean()), float(had.mean())
    change = f"{bottom:+.2f} over the control before, {top:+.2f} after"
    if num_seeds == 1:
        if bottom <= 0:
            return Retention("undefined", None, f"the response before is not above its control ({change})")
        value = Interval(-np.inf, top / bottom, np.inf)
        return Retention("one_seed", value, f"{top / bottom:.0%} of the response is left ({change}); add seeds")

    covariance = np.cov(kept, had) / num_seeds
    if trials is not None:
        chance = {name: chance_variance(rates, trials) for name, rates in columns.items()}
        covariance[0, 0] = max(covariance[0, 0], chance["after"] + chance["control_after"])
        covariance[1, 1] = max(covariance[1, 1], chance["before"] + chance["control_before"])
    t_squared = float(stats.t.isf((1 - level) / 2, num_seeds - 1)) ** 2
    a = bottom**2 - t_squared * covariance[1, 1]
    if bottom <= 0 or a <= 0:
        sentence = f"no response to keep or lose: before, it is not shown to be above its control ({change}); add seeds"
        return Retention("undefined", None, sentence)
    b, c = top * bottom - t_squared * covariance[0, 1], top**2 - t_squared * covariance[0, 0]
    root = float(np.sqrt(max(b**2 - a * c, 0.0)))
    ratio = top / bottom
    # Success rates lie in [0, 1], so what is left lies between none of it and all that the control leaves room for.
    least, most = (edge - float(columns["control_after"].mean()) for edge in (0.0, 1.0))
    low, high = max((b - root) / a, least / bottom), min((b + root) / a, most / bottom)
    value = Interval(min(low, ratio), ratio, max(high, ratio))
    sentence = (
        f"{ratio:.0%} of the response is left ({level:.0%} interval {value.low:.0%} to {value.high:.0%}; {change})"
    )
    if root == 0:
        sentence += "; the seeds agree exactly, so the interval has no width: give `trials`"
    return Retention("ok", value, sentence)


def chance_variance(rates: FloatArray, trials: int) -> float:
    """The binomial variance of a mean over seeds, never none: two hits and two misses are added (Agresti-Coull)."""
    shrunk = (rates * trials + 2) / (trials + 4)
    return float(np.mean(shrunk * (1 - shrunk))) / (trials * len(rates))


@dataclass(frozen=True, slots=True)
class Window:
    """Dose at which utility has fallen by the margin / ED50 of the wanted effect: above 1, there is room."""

    status: Literal["ok", "no_fall", "falls_at_lowest", "no_ed50"]
    value: Interval | None
    """Only with status `ok`."""
    at_least: float | None
    """With `no_fall`: the highest tested dose / ED50."""
    at_most: float | None
    """With `falls_at_lowest`: the lowest tested dose / ED50."""
    sentence: str
    shown_at_least: float = 0.0
    """The last tested dose up to which such a fall is excluded / upper limit of the ED50; 0 if there is none."""


def therapeutic_window(
    dose: npt.ArrayLike,
    seed: npt.ArrayLike,
    utility: npt.ArrayLike,
    ed50: Interval | None,
    margin: float,
    *,
    unit: str = "documents",
) -> Window:
    """The room between the wanted effect and the harm.

    `dose`, `seed`, `utility` have shape [rows], one row for each dose and seed; dose 0 is the control each seed is
    compared with, higher utility is better, `margin` is in utility's unit. The dose of the fall is where the isotonic
    mean fall crosses the margin, linear in log dose between tested doses. Its limits are tested doses: the last up to
    which a fall by the margin is excluded, and the first from which it is shown (t over seeds, 97.5% each); the
    limits of the ratio combine them with the opposite ones of the ED50, so they are wide rather than narrow. With one
    seed they are 0 and infinity.
    """
    from scipy.optimize import isotonic_regression

    if not margin > 0:
        raise InputError(f"the margin is a fall of utility above 0; got {margin:g}")
    doses, mean_D, low_D, high_D = _falls(dose, seed, utility)
    if ed50 is None:
        sentence = "the wanted effect has no ED50, so there is no window; see the curve's own sentence"
        return Window("no_ed50", None, None, None, sentence)
    reference = f"{number(ed50.estimate)} {unit}"
    rising_D = isotonic_regression(mean_D).x
    safe = int(np.argmax(high_D >= margin)) if np.any(high_D >= margin) else len(doses)
    low = float(doses[safe - 1]) / ed50.high if safe > 0 else 0.0
    if rising_D[-1] < margin:
        bound, top = float(doses[-1] / ed50.estimate), number(float(doses[-1]))
        sentence = f"utility does not fall by {margin:g} up to {top} {unit}: "
        sentence += f"window at least {top}/{number(ed50.estimate)} = {number(bound)}"
        if safe < len(doses):
            sentence += f"; with so few seeds a fall by {margin:g} is not excluded: add seeds"
        return Window("no_fall", None, bound, None, sentence, low)
    crossing = int(np.argmax(rising_D >= margin))
    if crossing == 0:
        bound, bottom = float(doses[0] / ed50.estimate), number(float(doses[0]))
        sentence = f"utility falls by {margin:g} at the lowest dose already, {bottom} {unit}: "
        sentence += f"window at most {bottom}/{number(ed50.estimate)} = {number(bound)}; add smaller doses"
        return Window("falls_at_lowest", None, None, bound, sentence)
    before, after = rising_D[crossing - 1], rising_D[crossing]
    log_doses = np.log(doses)
    part = (margin - before) / (after - before)
    harm = float(np.exp(log_doses[crossing - 1] + part * (log_doses[crossing] - log_doses[crossing - 1])))
    shown = low_D > margin
    harmful = len(doses) if not shown[-1] else int(len(doses) - np.argmax(~shown[::-1])) if not shown.all() else 0
    high = float(doses[harmful]) / ed50.low if harmful < len(doses) and ed50.low > 0 else np.inf
    value = Interval(low, harm / ed50.estimate, high)
    sentence = f"utility falls by {margin:g} at {number(harm)} {unit}, the ED50 is {reference}: window {value}"
    return Window("ok", value, None, None, sentence, low)


def _falls(
    dose: npt.ArrayLike, seed: npt.ArrayLike, utility: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Positive doses, and the mean fall of utility at each with its lower and upper limits over seeds."""
    from scipy import stats

    doses, seeds, values = np.asarray(dose, dtype=float), np.asarray(seed), np.asarray(utility, dtype=float)
    if doses.ndim != 1 or doses.shape != seeds.shape or doses.shape != values.shape:
        raise InputError(
            f"dose, seed and utility are columns of one length; got {doses.shape}, {seeds.shape}, {values.shape}"
        )
    if not np.all(np.isfinite(values)) or not np.all(np.isfinite(doses) & (doses >= 0)):
        raise InputError("utility is finite, and a dose is finite and 0 or more; got another value. Leave the row out")
    cells = {(float(d), int(s)): float(u) for d, s, u in zip(doses, seeds, values, strict=True)}
    if len(cells) < len(doses):
        raise InputError("one row for each dose and seed; some pair comes twice")
    tested, mean, low, high = [], [], [], []
    for level in np.unique(doses[doses > 0]).tolist():
        falls = np.array([cells[0.0, s] - u for (d, s), u in cells.items() if d == level and (0.0, s) in cells])
        if len(falls) == 0:
            continue
        error = float(falls.std(ddof=1) / np.sqrt(len(falls))) if len(falls) > 1 else np.inf
        reach = float(stats.t.isf(0.025, max(len(falls) - 1, 1))) * error
        tested.append(level)
        mean.append(float(falls.mean()))
        low.append(mean[-1] - reach)
        high.append(mean[-1] + reach)
    if not tested:
        raise InputError("no seed has both a control, dose 0, and a positive dose")
    return np.array(tested), np.array(mean), np.array(low), np.array(high)
