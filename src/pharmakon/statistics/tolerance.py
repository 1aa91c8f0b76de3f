"""Seeds that switch: the classical bioassay, a log-normal distribution of tolerances over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pharmakon.statistics.intervals import FloatArray, Interval
from pharmakon.statistics.observations import Observations
from pharmakon.statistics.solution import Band, Levels, Solution, around, levels

REACH = 8.0  # natural-log units beyond the tested doses within which a limit is looked for
WIDEST = 20.0  # largest standard deviation of log tolerance


def brackets(observations: Observations, scale: Levels) -> FloatArray:
    """For each seed the doses its tolerance lies between, shape [seeds, 2]: (0, lowest] to (highest, infinity).

    Below the first every response is under half of the scale, from the second on every response is at half or above.
    A seed that wavers gets the wider bracket that holds all its crossings. Seeds without a positive dose are left out.
    """
    table = observations.table
    positive = table.doses > 0
    doses = table.doses[positive]
    rows = []
    for rates in table.rates_SD[:, positive]:
        here = ~np.isnan(rates)
        if not here.any():
            continue
        tested, high = doses[here], rates[here] >= scale.half
        first_high = int(np.argmax(high)) if high.any() else len(high)
        last_low = int(len(high) - 1 - np.argmax(~high[::-1])) if not high.all() else -1
        lower = tested[first_high - 1] if first_high > 0 else 0.0
        upper = tested[last_low + 1] if last_low + 1 < len(tested) else np.inf
        rows.append((lower, upper))
    return np.asarray(rows, dtype=float).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-likelihood of interval-censored log-normal tolerances."""

    lower: FloatArray
    """Natural log of the bracket's lower dose, shape [distinct brackets]; -inf if left-censored."""
    upper: FloatArray
    weights: FloatArray
    """Seeds in each bracket."""
    sigmas: FloatArray
    """Grid of standard deviations over which is maximised, shape [grid]."""

    @staticmethod
    def of(brackets_S2: FloatArray, doses: FloatArray) -> Likelihood:
        distinct, weights = np.unique(brackets_S2, axis=0, return_counts=True)
        with np.errstate(divide="ignore"):
            lower, upper = np.log(distinct[:, 0]), np.log(distinct[:, 1])
        # far below the spacing the likelihood no longer changes: a limit rather than a value
        finest = float(np.diff(np.log(doses)).min()) / 50
        return Likelihood(lower, upper, weights.astype(float), np.geomspace(finest, WIDEST, 120))

    def at(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """Log-likelihood; `mu` and `sigma` broadcast."""
        from scipy.special import log_ndtr

        a = (self.lower - mu[..., None]) / sigma[..., None]
        b = (self.upper - mu[..., None]) / sigma[..., None]
        above = a > 0  # in the upper tail, mirrored: the difference of two numbers near 1 would be lost
        low, high = np.where(above, -b, a), np.where(above, -a, b)
        log_high = np.maximum(log_ndtr(high), -1e6)
        gap = np.minimum(log_ndtr(low) - log_high, -1e-15)
        return np.asarray((log_high + np.log(-np.expm1(gap))) @ self.weights, dtype=float)

    def profile(self, mu: float) -> float:
        """The largest log-likelihood at this mean, over the standard deviations."""
        return float(self.at(np.full_like(self.sigmas, mu), self.sigmas).max())


@dataclass(frozen=True, slots=True)
class ToleranceShape:
    """The share of seeds that respond, on the scale from floor to plateau."""

    likelihood: Likelihood
    scale: Levels
    mu: float
    sigma: float
    cut: float
    """Log-likelihood above which (mu, sigma) belongs to the confidence region."""
    reach: tuple[float, float]
    """Least and largest mu of that region."""

    def predict(self, doses: FloatArray) -> Band:
        """Profile-likelihood limits: the envelope of all curves within the confidence region."""
        from scipy.special import ndtr

        mu, sigma = np.meshgrid(np.linspace(*self.reach, 61), self.likelihood.sigmas[::2], indexing="ij")
        inside = self.likelihood.at(mu, sigma) >= self.cut
        mu_R, sigma_R = np.append(mu[inside], self.mu), np.append(sigma[inside], self.sigma)
        with np.errstate(divide="ignore"):
            log_dose = np.log(doses)
        share_RD = ndtr((log_dose - mu_R[:, None]) / sigma_R[:, None])
        span = self.scale.plateau - self.scale.floor
        low, mid, high = (
            self.scale.floor + span * part for part in (share_RD.min(axis=0), share_RD[-1], share_RD.max(axis=0))
        )
        return low, mid, high

    def quantile(self, share: float) -> Interval:
        """The dose at which this share of the seeds responds, with the limits of its own profile likelihood.

        A limit is infinite, or 0, where it lies far beyond the tested doses.
        """
        from scipy.special import ndtri

        z, sigmas = float(ndtri(share)), self.likelihood.sigmas
        middle = self.mu + z * self.sigma
        ends = []
        for side in (-1, 1):
            grid_G = middle + side * np.linspace(0, 2 * REACH, 400)
            gap_G = self.likelihood.at(grid_G[:, None] - z * sigmas, sigmas[None, :]).max(axis=1) - self.cut
            out = int(np.argmax(gap_G < 0))
            crossing = gap_G[out - 1 : out + 1][::-1], grid_G[out - 1 : out + 1][::-1]
            ends.append(float(np.interp(0.0, *crossing)) if out else side * np.inf)
        return Interval(float(np.exp(ends[0])), float(np.exp(middle)), float(np.exp(ends[1])))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Each seed has a tolerance, the dose at which it switches; their logarithms are normal over the seeds.

    A tolerance is known only to lie between two tested doses, or beyond them all: the likelihood is that of interval-
    censored data (Finney 1971, *Probit Analysis*; Turnbull 1976, JRSS B 38:290). The ED50, the median tolerance, has a
    profile-likelihood interval, widened for few seeds to 2 dlogL <= n log(1 + t^2 / (n - 1)), which for n tolerances
    seen exactly is Student's interval.
    """

    level: float = 0.95
    """Confidence level, in (0, 1)."""

    def solve(self, observations: Observations) -> Solution:
        """The ED50 of data that respond."""
        from scipy import stats
        from scipy.optimize import brentq, minimize_scalar

        scale = levels(observations)
        doses = observations.table.doses[observations.table.doses > 0]
        brackets_S2 = brackets(observations, scale)
        num_seeds = len(brackets_S2)
        if np.sum(brackets_S2[:, 0] == 0) * 2 >= num_seeds:
            bracket = (0.0, float(doses[0]))
            return Solution("responds_at_lowest", scale.floor, scale.plateau, bracket=bracket, num_seeds=num_seeds)
        if np.sum(np.isinf(brackets_S2[:, 1])) * 2 >= num_seeds:
            bracket = (float(doses[-1]), np.inf)
            return Solution("beyond_highest", scale.floor, scale.plateau, bracket=bracket, num_seeds=num_seeds)
        if len(np.unique(brackets_S2, axis=0)) == 1:
            bracket = (float(brackets_S2[0, 0]), float(brackets_S2[0, 1]))
            return Solution("separated", scale.floor, scale.plateau, bracket=bracket, num_seeds=num_seeds)

        likelihood = Likelihood.of(brackets_S2, doses)
        least, most = float(np.log(doses[0])), float(np.log(doses[-1]))
        grid = np.linspace(least, most, 32)
        profile = np.asarray([likelihood.profile(mu) for mu in grid])
        peak = int(np.argmax(profile))
        around_peak = (grid[max(peak - 1, 0)], grid[min(peak + 1, len(grid) - 1)])
        found = minimize_scalar(lambda mu: -likelihood.profile(mu), bounds=around_peak, method="bounded")
        mu, top = (float(found.x), -float(found.fun)) if -found.fun > profile[peak] else (grid[peak], profile[peak])

        t = float(stats.t.isf((1 - self.level) / 2, num_seeds - 1))
        cut = float(top) - num_seeds * np.log1p(t**2 / (num_seeds - 1)) / 2

        def limit(side: int) -> float:
            inner, end = mu, (least - REACH if side < 0 else most + REACH)
            for outer in np.linspace(mu, end, 25)[1:]:
                if likelihood.profile(float(outer)) < cut:
                    return float(brentq(lambda m: likelihood.profile(m) - cut, inner, float(outer), xtol=1e-4))
                inner = float(outer)
            return side * np.inf

        low, high = limit(-1), limit(1)
        ed50 = Interval(float(np.exp(low)), float(np.exp(mu)), float(np.exp(high)))
        sigma = float(
            likelihood.sigmas[np.argmax(likelihood.at(np.full_like(likelihood.sigmas, mu), likelihood.sigmas))]
        )
        reach = (max(low, least - REACH), min(high, most + REACH))
        shape = ToleranceShape(likelihood, scale, float(mu), sigma, cut, reach)
        return Solution("ok", scale.floor, scale.plateau, ed50, around(doses, ed50.estimate), shape, num_seeds)
