"""How a level falls with the steps since: by an exponential or by a power law, and when half of it is gone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray


@dataclass(frozen=True, slots=True)
class Decay:
    """Two laws of decay, each of two parameters, fitted to the same points by least squares."""

    exponential_half_life: float
    """In steps; infinite where the level does not fall."""
    power_exponent: float
    """b of level ~ (1 + steps)^-b; 0 or below where it does not fall."""
    advantage_of_power: float
    """AIC of the exponential less that of the power law: above 0 where the power law fits better."""
    half_gone: float
    """The step at which the level first falls below half of the first one, between two points by a straight line;
    infinite where no point is so low."""


def decay(steps: npt.ArrayLike, level: npt.ArrayLike) -> Decay:
    """The decay of one life, measured at rising steps since what was learned was last seen; both of shape [points].

    Exponential: a 2^(-steps / h); power law: a (1 + steps)^-b, as forgetting curves are compared (Wixted and Ebbesen
    1991, Psychol. Sci. 2:409). Both have two parameters, so that their AIC differ by points x log of the ratio of their
    sums of squares. Raises InputError for fewer than four points, or a first level that is not above 0.
    """
    from scipy.optimize import curve_fit

    when, what = np.asarray(steps, dtype=float), np.asarray(level, dtype=float)
    if when.ndim != 1 or when.shape != what.shape or len(when) < 4 or np.any(np.diff(when) <= 0) or when[0] < 0:
        raise InputError(f"decay is told by four points or more at rising steps; got {when.tolist()}")
    if not (np.all(np.isfinite(what)) and what[0] > 0):
        raise InputError(f"a level that decays is finite and begins above 0; got {what.tolist()}")
    scale, span = float(what[0]), float(when[-1])

    def exponential(t: FloatArray, a: float, k: float) -> FloatArray:
        return a * np.exp(-k * t / span)

    def power(t: FloatArray, a: float, b: float) -> FloatArray:
        return a * (1 + t) ** (-b)

    bounds = ([0.0, -20.0], [np.inf, 200.0])
    (_, k), _ = found = curve_fit(exponential, when, what, p0=(scale, 0.5), bounds=bounds, maxfev=20_000)
    (_, b), _ = also = curve_fit(power, when, what, p0=(scale, 0.2), bounds=bounds, maxfev=20_000)
    least = 1e-12 * scale**2 * len(when)  # two perfect fits are equally good
    squares = [
        max(float(np.sum((what - law(when, *fit[0])) ** 2)), least)
        for law, fit in ((exponential, found), (power, also))
    ]
    half_life = float(np.log(2) * span / k) if k > 0 else float("inf")
    return Decay(half_life, float(b), len(when) * float(np.log(squares[0] / squares[1])), _half_gone(when, what))


def _half_gone(when: FloatArray, what: FloatArray) -> float:
    below = np.flatnonzero(what < what[0] / 2)
    if not len(below):
        return float("inf")
    after = int(below[0])
    part = (what[after - 1] - what[0] / 2) / (what[after - 1] - what[after])
    return float(when[after - 1] + part * (when[after] - when[after - 1]))


def dose_reaching(doses: npt.ArrayLike, response: npt.ArrayLike, level: float) -> float:
    """The dose at which the rising mean of a response reaches a level; infinite where it does not up to the highest.

    The response, [doses], is made to rise by isotonic regression; between tested doses it is linear in log dose, below
    the lowest positive one in the dose itself. 0 where it is reached without any.
    """
    from scipy.optimize import isotonic_regression

    given, raw = np.asarray(doses, dtype=float), np.asarray(response, dtype=float)
    if given.ndim != 1 or given.shape != raw.shape or len(given) < 2 or np.any(np.diff(given) <= 0) or given[0] < 0:
        raise InputError(f"a response is given at two or more rising doses; got {given.tolist()}")
    rising = np.asarray(isotonic_regression(raw).x, dtype=float)
    if rising[-1] < level:
        return float("inf")
    at = int(np.argmax(rising >= level))
    if at == 0:
        return float(given[0])
    part = (level - rising[at - 1]) / (rising[at] - rising[at - 1])
    low, high = float(given[at - 1]), float(given[at])
    return low + part * (high - low) if low == 0 else float(low * (high / low) ** part)
