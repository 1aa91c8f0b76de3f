"""How a threshold grows with the size of the corpus: as a count, as a fraction, or in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray, Interval
from pharmakon.statistics.observations import Observations
from pharmakon.statistics.solution import levels
from pharmakon.statistics.tolerance import WIDEST, Likelihood, brackets

Verdict = Literal["count", "fraction", "neither", "undecided"]

STEEPEST = 4.0
"""The slope is looked for from minus this to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """Observations at one size of the corpus; `group`: what may have a threshold of its own, as a size of model.

    The same seed at the same size is the same corpus, whatever the group.
    """

    size: float
    observations: Observations
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdLaw:
    """Fitted by `threshold_law`. Log-likelihoods are natural, each at its own best threshold and spread.

    Groups that share their corpora share one corpus's worth of likelihood between them.
    """

    slope: Interval
    """b of threshold = a x size^b: 0 is a constant count, 1 a constant fraction. 95%; infinite if unbounded."""
    loglik_free: float
    loglik_count: float
    loglik_fraction: float
    p_count: float
    """Of the constant count against a free slope, two-sided."""
    p_fraction: float
    loglik_own: float
    """With a threshold of its own at each size, which follows no law."""
    p_law: float
    """Of threshold = a x size^b against it; 1 with two sizes, through which any law passes."""
    num_tolerances: int
    num_corpora: int
    """Different corpora, a size and a seed each: what counts as independent."""

    @property
    def evidence(self) -> float:
        """The likelihood of a constant count divided by that of a constant fraction. Both fit as many numbers."""
        return float(np.exp(np.clip(self.loglik_count - self.loglik_fraction, -700, 700)))

    @property
    def verdict(self) -> Verdict:
        """The hypothesis that the interval of the slope holds, if it leaves the other out."""
        holds = [self.slope.low <= value <= self.slope.high for value in (0.0, 1.0)]
        return "undecided" if all(holds) else "count" if holds[0] else "fraction" if holds[1] else "neither"


def threshold_law(parts: Sequence[Sized]) -> ThresholdLaw:
    """Fit threshold = a x size^b to the seeds' tolerances at several sizes.

    A seed's tolerance at a size is known to lie between two tested doses, or beyond them all. Its logarithm is normal
    around log a + b log size, with an `a` and a spread for each group and one b for all: a regression of
    interval-censored data (Finney 1971, *Probit Analysis*; Turnbull 1976, JRSS B 38:290). The interval of b is that of
    its profile likelihood, widened for few tolerances as `Tolerance` does: 2 dlogL <= n log(1 + t^2 / (n - k)), k the
    number of a's and b, which is Student's interval where tolerances are seen exactly. p-values turn this rule round;
    that of the law itself is an F-test by it.

    Groups that learn from the same corpora may have tolerances that go together, to an unknown degree. They are not
    counted twice: n is the number of corpora, and the log-likelihood and k are divided by how often each was used,
    which holds for any correlation and is wide where there is none.

    Half is measured at each size between the floor and the plateau of its group at all sizes. Raises InputError for
    fewer than two sizes, or fewer corpora than numbers to fit and one more.
    """
    from scipy import stats

    sizes = {part.size for part in parts}
    if len(sizes) < 2:
        raise InputError("a law over sizes needs two sizes of the corpus or more")
    names = dict.fromkeys(part.group for part in parts)
    groups = [_Group.of([part for part in parts if part.group == name]) for name in names]
    num_tolerances = sum(len(group.log_size) for group in groups)
    num = len({(part.size, int(seed)) for part in parts for seed in part.observations.table.seeds})
    weight = num / sum(len(part.observations.table.seeds) for part in parts)
    fitted = weight * len(groups) + 1
    if num <= fitted:
        raise InputError(f"{num} corpora of all sizes cannot fit {fitted:.2g} numbers; give more seeds or sizes")

    def profile(b: float) -> float:
        return weight * sum(group.best(b) for group in groups)

    slope, top = _peak(profile)
    allowed = num * np.log1p(float(stats.t.isf(0.025, num - fitted)) ** 2 / (num - fitted)) / 2
    ends = [_limit(profile, slope, top - allowed, side) for side in (-1, 1)]
    own = max(weight * sum(group.best_by_size() for group in groups), top)
    return ThresholdLaw(
        slope=Interval(ends[0], slope, ends[1]),
        loglik_free=top,
        loglik_count=(count := profile(0.0)),
        loglik_fraction=(fraction := profile(1.0)),
        p_count=_p(top - count, num, fitted),
        p_fraction=_p(top - fraction, num, fitted),
        loglik_own=own,
        p_law=_p_law(own - top, num, weight * sum(group.num_sizes for group in groups), fitted),
        num_tolerances=num_tolerances,
        num_corpora=num,
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """The tolerances of one group: brackets in natural-log doses, shape [tolerances, 2], and the log of each size."""

    log_brackets: FloatArray
    log_size: FloatArray
    finest: float

    @staticmethod
    def of(parts: Sequence[Sized]) -> _Group:
        joint = [part.observations for part in parts]
        every = Observations(
            np.concatenate([o.dose for o in joint]),
            np.concatenate([o.seed + 1_000_000 * i for i, o in enumerate(joint)]),
            np.concatenate([o.successes for o in joint]),
            np.concatenate([o.trials for o in joint]),
        )
        scale = levels(every)
        rows = [brackets(part.observations, scale) for part in parts]
        sizes = np.concatenate([np.full(len(row), np.log(part.size)) for row, part in zip(rows, parts, strict=True)])
        doses = every.table.doses[every.table.doses > 0]
        finest = float(np.diff(np.log(doses)).min()) / 50 if len(doses) > 1 else 0.01
        with np.errstate(divide="ignore"):
            return _Group(np.log(np.concatenate(rows)), sizes - sizes.mean(), finest)

    @property
    def num_sizes(self) -> int:
        """How many sizes it has tolerances at."""
        return len(np.unique(self.log_size))

    def best_by_size(self) -> float:
        """The largest log-likelihood with a threshold of its own at each size and one spread."""
        ends = self.log_brackets[np.isfinite(self.log_brackets)]
        if not len(ends):
            return 0.0
        spreads, grid = np.geomspace(self.finest, WIDEST, 60), np.linspace(ends.min() - 2, ends.max() + 2, 240)
        total = np.zeros(len(spreads))
        for size in np.unique(self.log_size):
            here = self.log_brackets[self.log_size == size]
            likelihood = Likelihood(here[:, 0], here[:, 1], np.ones(len(here)), spreads)
            total += likelihood.at(grid[:, None], spreads[None, :]).max(axis=0)
        return float(total.max())

    def best(self, b: float) -> float:
        """The largest log-likelihood with this slope."""
        from scipy.optimize import minimize

        shifted = self.log_brackets - b * self.log_size[:, None]
        ends = shifted[np.isfinite(shifted)]
        if not len(ends):  # no seed switches anywhere
            return 0.0
        spreads = np.geomspace(self.finest, WIDEST, 24)
        likelihood = Likelihood(shifted[:, 0], shifted[:, 1], np.ones(len(shifted)), spreads)
        grid = np.linspace(ends.min() - 2, ends.max() + 2, 48)
        values = likelihood.at(grid[:, None], spreads[None, :])
        row, column = np.unravel_index(int(np.argmax(values)), values.shape)

        def loss(point: FloatArray) -> float:
            spread = np.exp(np.clip(point[1], np.log(self.finest), np.log(WIDEST)))
            return -float(likelihood.at(point[:1], np.asarray([spread]))[0])

        found = minimize(loss, [grid[row], np.log(spreads[column])], method="Nelder-Mead", options={"xatol": 1e-3})
        return max(float(values[row, column]), -float(found.fun))


def _peak(profile: Callable[[float], float]) -> tuple[float, float]:
    """The slope of the largest profile likelihood; the middle of those that fit alike."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(-STEEPEST, STEEPEST, 33)
    values = np.asarray([profile(float(b)) for b in grid])
    best = int(np.argmax(values))
    ends = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    found = minimize_scalar(lambda b: -profile(b), bounds=ends, method="bounded", options={"xatol": 1e-3})
    top = max(float(values[best]), -float(found.fun))
    alike = [*grid[values >= top - 1e-3], *([float(found.x)] if -found.fun >= top - 1e-3 else [])]
    return float(min(alike) + max(alike)) / 2, top


def _limit(profile: Callable[[float], float], slope: float, cut: float, side: int) -> float:
    """Where the profile falls below the cut on this side; infinite where it does not within reach."""
    from scipy.optimize import brentq

    inner = slope
    for outer in slope + side * np.geomspace(0.05, 2 * STEEPEST, 14):
        if profile(float(outer)) < cut:
            return float(brentq(lambda b: profile(b) - cut, inner, float(outer), xtol=1e-3))
        inner = float(outer)
    return side * np.inf


def _p(lost: float, num: int, fitted: float) -> float:
    """Two-sided, from the log-likelihood that a fixed slope loses."""
    from scipy import stats

    squared = (num - fitted) * np.expm1(2 * max(lost, 0.0) / num)
    return float(2 * stats.t.sf(np.sqrt(squared), num - fitted))


def _p_law(gained: float, num: int, own: float, fitted: float) -> float:
    """Of the law, from the log-likelihood that `own` numbers gain over the `fitted` ones."""
    from scipy import stats

    if own <= fitted or num <= own:
        return 1.0
    ratio = np.expm1(2 * max(gained, 0.0) / num) * (num - own) / (own - fitted)
    return float(stats.f.sf(ratio, own - fitted, num - own))
