"""Graded responses: a log-logistic curve through the items of all seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pharmakon.statistics.intervals import FloatArray, Interval
from pharmakon.statistics.observations import Observations, Table
from pharmakon.statistics.solution import Band, Solution, around, levels

# parameters: log ED50, log slope, logit of the floor, logit of (plateau - floor) / (1 - floor)
EDGE = 14.0  # a logit that stands for 0 or 1
STILL_RISING = 3.84  # chi-squared, 1 degree of freedom, 5%


def response(parameters: FloatArray, log_dose: FloatArray) -> FloatArray:
    """floor + (plateau - floor) / (1 + (ED50 / dose)^slope); parameters [..., 4], doses [D] -> [..., D]."""
    from scipy.special import expit

    mu, log_slope, a, c = (parameters[..., [i]] for i in range(4))
    floor, slope = expit(a), np.exp(np.clip(log_slope, -50, 50))  # a step, or a plain: no infinity times zero
    return np.asarray(floor + (1 - floor) * expit(c) * expit(slope * (log_dose - mu)), dtype=float)


@dataclass(frozen=True, slots=True)
class Binomial:
    """Pooled counts at each dose, and the bounds of the parameters."""

    log_dose: FloatArray
    successes: FloatArray
    trials: FloatArray
    bounds: tuple[tuple[float, float], ...]

    def loss(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Negative log-likelihood and its gradient."""
        from scipy.special import expit

        mu, log_slope, a, c = parameters
        floor, part = expit(a), expit(c)
        slope = np.exp(log_slope)
        curve = expit(slope * (self.log_dose - mu))
        rate = np.clip(floor + (1 - floor) * part * curve, 1e-12, 1 - 1e-12)
        misses = self.trials - self.successes
        value = -float(self.successes @ np.log(rate) + misses @ np.log1p(-rate))
        pull = -(self.successes / rate - misses / (1 - rate))
        bend = (1 - floor) * part * curve * (1 - curve)
        distance = np.where(np.isinf(self.log_dose), 0.0, self.log_dose - mu)
        gradient = np.array(
            [
                pull @ (-slope * bend),
                pull @ (slope * distance * bend),
                pull @ (floor * (1 - floor) * (1 - part * curve)),
                pull @ ((1 - floor) * part * (1 - part) * curve),
            ]
        )
        return value, gradient

    def fit(self, start: FloatArray, **fixed: float) -> tuple[FloatArray, float]:
        """Maximum-likelihood parameters and the negative log-likelihood; `floor` or `plateau` fixed as a logit."""
        from scipy.optimize import minimize

        bounds = list(self.bounds)
        for index, name in ((2, "floor"), (3, "plateau")):
            if name in fixed:
                bounds[index] = (fixed[name], fixed[name])
        clipped = np.clip(start, [low for low, _ in bounds], [high for _, high in bounds])
        scale = 1 / float(self.trials.sum())
        found = minimize(
            lambda p: tuple(scale * part for part in self.loss(p)),
            clipped,
            jac=True,
            method="TNC",  # no BLAS: on a busy machine threads would make these tiny problems 50 times slower
            bounds=bounds,
            options={"maxfun": 500},
        )
        return np.asarray(found.x, dtype=float), float(found.fun) / scale


@dataclass(frozen=True, slots=True)
class LogLogisticShape:
    """The fitted curve and the fits that leave out one seed each."""

    parameters: FloatArray
    replicates: FloatArray
    """Shape [seeds, 4]."""
    error_scale: float
    """Turns the root of the replicates' sum of squares about their mean into half an interval."""
    log_range: tuple[float, float]

    def predict(self, doses: FloatArray) -> Band:
        """Student's interval with the jackknife's error on the logit scale, made to rise with dose."""
        from scipy.special import expit, logit

        with np.errstate(divide="ignore"):
            log_dose = np.log(doses)
        # limits rise with dose whatever doses are asked: smoothed on one grid, then looked up
        grid = np.concatenate([[-np.inf], np.linspace(self.log_range[0] - 5, self.log_range[1] + 5, 241)])
        eta = logit(np.clip(response(self.parameters, grid), 1e-9, 1 - 1e-9))
        eta_R = logit(np.clip(response(self.replicates, grid), 1e-9, 1 - 1e-9))
        half = self.error_scale * np.sqrt(np.sum((eta_R - eta_R.mean(axis=0)) ** 2, axis=0))
        low = np.maximum.accumulate(expit(eta - half))
        high = np.minimum.accumulate(expit(eta + half)[::-1])[::-1]
        finite = np.nan_to_num(log_dose, neginf=grid[1] - 1)
        axis = np.concatenate([[grid[1] - 1], grid[1:]])
        mid = response(self.parameters, log_dose)
        return np.minimum(np.interp(finite, axis, low), mid), mid, np.maximum(np.interp(finite, axis, high), mid)


@dataclass(frozen=True, slots=True)
class LogLogistic:
    """Binomial log-logistic curve with free floor and plateau (Finney 1971; Ritz et al. 2015, PLoS ONE 10:e0146021).

    The curve is fitted to the counts pooled over seeds. Items of one seed are not independent: the error of log ED50
    is the delete-one-seed jackknife's, with Student's t on seeds - 1 degrees of freedom (cluster jackknife: MacKinnon,
    Nielsen and Webb 2023, J. Econometrics 232:272). With one seed the error is the items' alone, inflated by
    Pearson's chi-squared.
    """

    level: float = 0.95
    """Confidence level, in (0, 1)."""

    def solve(self, observations: Observations) -> Solution:
        """The ED50 of data that respond."""
        table = observations.table
        positive = table.doses[table.doses > 0]
        least, most = float(np.log(positive[0])), float(np.log(positive[-1]))
        pooled = self._pool(table)
        starts = self._starts(observations)
        fits = [pooled.fit(start) for start in starts]
        best, loss = min(fits, key=lambda pair: pair[1])
        ends = response(best, np.array([-np.inf, np.inf]))
        floor, plateau = float(ends[0]), float(ends[1])
        num_seeds = len(table.seeds)

        def answer(status: str, **more: object) -> Solution:
            return Solution(status, floor, plateau, num_seeds=num_seeds, **more)  # type: ignore[arg-type]

        # the level the curve comes to must have been seen, not guessed: is "all the way to 1, but later" as likely?
        design = 1 + max(float(np.nanmean(table.trials_SD)) - 1, 0.0) * observations.icc
        to_one, loss_one = min((pooled.fit(start, plateau=EDGE) for start in starts), key=lambda pair: pair[1])
        if best[0] >= most or (to_one[0] >= most and 2 * (loss_one - loss) / design < STILL_RISING):
            return answer("beyond_highest", bracket=(float(positive[-1]), np.inf))
        if table.doses[0] > 0:
            from_zero, loss_zero = min((pooled.fit(start, floor=-EDGE) for start in starts), key=lambda pair: pair[1])
            if from_zero[0] <= least and 2 * (loss_zero - loss) / design < STILL_RISING:
                return answer("responds_at_lowest", bracket=(0.0, float(positive[0])))
        if best[0] <= least:
            return answer("responds_at_lowest", bracket=(0.0, float(positive[0])))
        bracket = around(positive, float(np.exp(best[0])))
        if best[1] >= pooled.bounds[1][1] - 1e-6:
            return answer("separated", bracket=bracket)

        shape, half_width = self._uncertainty(table, pooled, best)
        mu = float(best[0])
        with np.errstate(over="ignore"):
            ed50 = Interval(float(np.exp(mu - half_width)), float(np.exp(mu)), float(np.exp(mu + half_width)))
        return answer("ok", ed50=ed50, bracket=bracket, shape=shape)

    @staticmethod
    def _pool(table: Table, without: int | None = None) -> Binomial:
        with np.errstate(divide="ignore"):
            log_dose = np.log(table.doses)
        keep = np.arange(len(table.seeds)) != without
        trials = np.nansum(table.trials_SD[keep], axis=0)
        successes = np.nansum((table.rates_SD * table.trials_SD)[keep], axis=0)
        finite = log_dose[np.isfinite(log_dose)]
        steepest = float(np.log(30 / np.diff(finite).min())) if len(finite) > 1 else 4.0
        bounds = ((finite[0] - 4, finite[-1] + 4), (np.log(0.05), steepest), (-EDGE, 6.0), (-6.0, EDGE))
        return Binomial(log_dose, successes, trials, bounds)

    @staticmethod
    def _starts(observations: Observations) -> list[FloatArray]:
        from scipy.special import logit

        table, scale = observations.table, levels(observations)
        means_D = np.maximum.accumulate(table.means_D)
        past = np.flatnonzero((means_D >= scale.half) & (table.doses > 0))
        positive = table.doses[table.doses > 0]
        dose = float(table.doses[past[0]]) if len(past) else float(positive[-1])
        lower, _ = around(positive, dose) if len(positive) > 1 else (dose, dose)
        mu = float(np.log(lower) + np.log(dose)) / 2
        floor = float(np.clip(scale.floor, 1e-3, 0.98))
        part = float(np.clip((scale.plateau - floor) / (1 - floor), 0.02, 0.995))
        return [np.array([mu, np.log(slope), logit(floor), logit(part)]) for slope in (1.0, 4.0)]

    def _uncertainty(self, table: Table, pooled: Binomial, best: FloatArray) -> tuple[LogLogisticShape, float]:
        from scipy import stats

        num_seeds = len(table.seeds)
        if num_seeds > 1:
            replicates = np.array([self._pool(table, without=s).fit(best)[0] for s in range(num_seeds)])
            t = float(stats.t.isf((1 - self.level) / 2, num_seeds - 1))
            error_scale = t * np.sqrt((num_seeds - 1) / num_seeds)
        else:
            covariance, free = _item_covariance(pooled, best)
            # four symmetric pairs of parameters whose sum of squares about the mean is this covariance
            values, vectors = np.linalg.eigh(covariance)
            steps = vectors * np.sqrt(np.maximum(values, 0) / 2)
            replicates = np.concatenate([best + steps.T, best - steps.T])
            error_scale = float(stats.t.isf((1 - self.level) / 2, max(free, 1)))
        shift = replicates[:, 0] - replicates[:, 0].mean()
        log_dose = pooled.log_dose[np.isfinite(pooled.log_dose)]
        shape = LogLogisticShape(best, replicates, error_scale, (float(log_dose[0]), float(log_dose[-1])))
        return shape, error_scale * float(np.sqrt(np.sum(shift**2)))


def _item_covariance(pooled: Binomial, best: FloatArray) -> tuple[FloatArray, int]:
    """Inverse Fisher information times Pearson's dispersion (at least 1), and its degrees of freedom."""
    step = 1e-5
    rate = np.clip(response(best, pooled.log_dose), 1e-9, 1 - 1e-9)
    jacobian: FloatArray = np.stack(
        [(response(best + step * e, pooled.log_dose) - response(best - step * e, pooled.log_dose)) for e in np.eye(4)]
    ) / (2 * step)
    precision = pooled.trials / (rate * (1 - rate))
    free = len(rate) - 4
    squares = (pooled.successes / pooled.trials - rate) ** 2 * precision
    dispersion = max(1.0, float(squares.sum()) / max(free, 1))
    covariance = np.linalg.pinv((jacobian * precision) @ jacobian.T, rcond=1e-8) * dispersion
    return np.asarray(covariance, dtype=float), free
