"""Effects against the logarithm of the dose: the slope, and whether a straight line or a threshold fits better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray, Interval, student


def log_slope(
    dose: npt.ArrayLike,
    seed: npt.ArrayLike,
    effect: npt.ArrayLike,
    *,
    variance: npt.ArrayLike = 0.0,
    level: float = 0.95,
) -> Interval:
    """What an effect gains with each tenfold dose: least squares on log10 dose, errors clustered over seeds.

    All have shape [rows], doses above 0 and at least two different ones. The interval is Student's with seeds - 1
    degrees of freedom; in a balanced design it is that of the mean of the seeds' own slopes (Cameron and Miller 2015,
    J. Human Resources 50:317). `variance`: of each effect by its items alone; seeds that agree by chance give no
    interval narrower than it allows. With one seed the interval is infinite.
    """
    import statsmodels.api as sm

    x, y, groups = _columns(dose, seed, effect)
    logs = np.log10(x)
    codes = np.unique(groups, return_inverse=True)[1]
    model = sm.OLS(y, sm.add_constant(logs))
    num_seeds = int(codes.max()) + 1
    if num_seeds < 2:
        return Interval(-np.inf, float(model.fit().params[1]), np.inf)
    made = model.fit(cov_type="cluster", cov_kwds={"groups": codes, "df_correction": True}, use_t=True)
    weights = (logs - logs.mean()) / np.sum((logs - logs.mean()) ** 2)
    of_items = float(np.sum(weights**2 * np.asarray(variance, dtype=float)))
    return student(float(made.params[1]), max(float(made.bse[1]) ** 2, of_items), num_seeds, level=level)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Akaike's criterion, corrected for small samples, of two shapes; the smaller one fits better."""

    log_linear: float
    threshold: float

    @property
    def difference(self) -> float:
        """Above 0 the threshold fits better."""
        return self.log_linear - self.threshold

    @property
    def favoured(self) -> str | None:
        """`log-linear` or `threshold`; None where they differ by less than 2 (Burnham and Anderson 2002)."""
        if abs(self.difference) < 2:
            return None
        return "threshold" if self.difference > 0 else "log-linear"


def compare_shapes(dose: npt.ArrayLike, effect: npt.ArrayLike, *, resolution: float) -> Shapes | None:
    """A line in log dose against a log-logistic curve from 0 to a free plateau; None with too few rows or no effect.

    Both by least squares with normal errors, on one effect for each seed and dose. `resolution`: the step in which an
    effect is counted, 1 / items; residuals are not believed to be smaller than it allows.
    """
    from scipy.optimize import minimize

    x, y, _ = _columns(dose, np.zeros(np.shape(dose)), effect)
    if len(np.unique(x)) < 4 or np.ptp(y) == 0:
        return None
    logs = np.log10(x)
    slope = log_slope(x, np.zeros(len(x), dtype=int), y).estimate
    line = float(np.sum((y - y.mean() - slope * (logs - logs.mean())) ** 2))
    span = float(np.ptp(logs))
    bounds = [(0.0, 1.0), (logs.min() - span, logs.max() + span), (0.3, 40.0)]
    fits = [
        minimize(
            lambda p: float(np.sum((y - _log_logistic(logs, *p)) ** 2)),
            [float(np.clip(y.max(), 0.01, 0.99)), float(middle), steepness],
            method="TNC",  # no BLAS: on a busy machine threads would make these tiny problems 50 times slower
            bounds=bounds,
        )
        for middle in np.unique(logs)
        for steepness in (2.0, 10.0)
    ]
    curve = min(float(fit.fun) for fit in fits)
    return Shapes(_criterion(line, len(y), 3, resolution), _criterion(curve, len(y), 4, resolution))


def _log_logistic(logs: FloatArray, plateau: float, middle: float, steepness: float) -> FloatArray:
    from scipy.special import expit

    return np.asarray(plateau * expit(steepness * (logs - middle)), dtype=float)


def _criterion(squares: float, num: int, num_parameters: int, resolution: float) -> float:
    """AICc of normal errors; a rounded number has a variance of a twelfth of its squared step."""
    variance = max(squares / num, resolution**2 / 12)
    correction = 2 * num_parameters * (num_parameters + 1) / max(num - num_parameters - 1, 1)
    return float(num * np.log(variance) + 2 * num_parameters + correction)


def _columns(
    dose: npt.ArrayLike, seed: npt.ArrayLike, effect: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    x, y, groups = np.asarray(dose, dtype=float), np.asarray(effect, dtype=float), np.asarray(seed)
    if x.ndim != 1 or x.shape != y.shape or x.shape != groups.shape:
        raise InputError(f"dose, seed and effect are columns of one length; got {x.shape}, {groups.shape}, {y.shape}")
    if not np.all(np.isfinite(x) & (x > 0)):
        raise InputError("a logarithm is taken of doses above 0; leave the untreated control out")
    if len(np.unique(x)) < 2:
        raise InputError(f"a slope needs two different doses above 0; got {len(np.unique(x))}. Give 0,4,16,64")
    return x, y, groups
