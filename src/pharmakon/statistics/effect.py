"""Does the dose do anything? Tests that take the seed, not the item, as the unit that varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray
from pharmakon.statistics.observations import Observations, Table

Alternative = Literal["greater", "less", "two-sided"]
Method = Literal["permutation within seeds", "t over seeds", "items of one seed"]

FINEST_P = 0.0125  # a permutation test that cannot go below this can hardly reject; use the t test instead


@dataclass(frozen=True, slots=True)
class Test:
    """The outcome of a significance test."""

    __test__ = False  # for pytest: a value, not a test case

    statistic: float
    p_value: float
    method: Method
    alternative: Alternative
    num_seeds: int


def dose_effect(observations: Observations, *, alternative: Alternative = "greater", permutations: int = 9999) -> Test:
    """Test that the response does not change with dose, against a rise ("greater"), a fall ("less") or either.

    If dose does nothing, the runs of one seed are exchangeable: their rates are permuted among its doses. Two
    statistics are combined by the smaller of their p-values, itself compared with its permutation distribution
    (Pesarin and Salmaso 2010, *Permutation Tests for Complex Data*, ch. 4): the largest standardised step "doses from k
    on against the doses before", for a threshold at any k (Bretz and Hothorn 2002, Stat. Med. 21:3325), and the linear
    trend over the ranks of the doses, for a gradual rise. The p-value counts the observed order among the permuted
    ones, so it is valid whatever the variation between seeds and runs (Phipson and Smyth 2010, SAGMB 9:39), if every
    run has about as many items. The draws are fixed. The `statistic` is the larger of the two, standardised.

    Where the seeds and doses are too few for any permutation p-value below 0.0125, a t test over the seeds' linear
    trends is used, with a standard error never below the binomial one; with one seed, items are taken as independent
    but for the visible scatter about a rising curve, so variation between runs is not in that p-value.
    """
    if permutations < 99:
        raise InputError(f"permutations are 99 or more; got {permutations}")
    if alternative == "two-sided":
        sides = [dose_effect(observations, alternative=side, permutations=permutations) for side in ("greater", "less")]
        best = min(sides, key=lambda side: side.p_value)
        return Test(best.statistic, min(1.0, 2 * best.p_value), best.method, alternative, best.num_seeds)
    table = observations.table
    sign = 1.0 if alternative == "greater" else -1.0
    rates_SD = sign * table.rates_SD
    num_seeds = len(table.seeds)
    if len(table.doses) < 2 or np.nanmax(rates_SD) == np.nanmin(rates_SD):
        return Test(0.0, 1.0, "t over seeds", alternative, num_seeds)
    if _finest_p(rates_SD) <= FINEST_P:
        statistic, p_value = _permutation(rates_SD, permutations)
        return Test(statistic, p_value, "permutation within seeds", alternative, num_seeds)
    if num_seeds > 1:
        statistic, p_value = _t_over_seeds(table, rates_SD)
        return Test(statistic, p_value, "t over seeds", alternative, num_seeds)
    statistic, p_value = _one_seed(table, rates_SD)
    return Test(statistic, p_value, "items of one seed", alternative, num_seeds)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number, e.g. over the arms of a study (Holm 1979, Scand. J. Stat. 6:65)."""
    from statsmodels.stats.multitest import multipletests

    if any(not 0 <= p <= 1 for p in p_values):
        raise InputError(f"p-values lie in [0, 1]; got {list(p_values)}")
    return [float(p) for p in multipletests(list(p_values), method="holm")[1]] if len(p_values) else []


def _finest_p(rates_SD: FloatArray) -> float:
    """The smallest p-value a permutation within seeds can give; permuting does not change it."""
    ways = 1.0
    for row in rates_SD:
        values, ties = np.unique(row[~np.isnan(row)], return_counts=True)
        ways *= factorial(int(ties.sum())) / prod(factorial(int(tie)) for tie in ties) if len(values) else 1.0
    return 1 / ways


def _permutation(rates_SD: FloatArray, permutations: int) -> tuple[float, float]:
    rng = np.random.default_rng(20240229)  # the draws are part of the definition: same data, same p-value
    num_seeds, num_doses = rates_SD.shape
    present_SD = ~np.isnan(rates_SD)
    low_SK = np.cumsum(present_SD, axis=1)[:, :-1]  # doses before the step k, k = 1 ... doses - 1
    high_SK = present_SD.sum(axis=1, keepdims=True) - low_SK
    usable_SK = (low_SK > 0) & (high_SK > 0)
    scale_SK = np.where(usable_SK, 1 / np.maximum(low_SK, 1) + 1 / np.maximum(high_SK, 1), 0.0)

    centred_SD = np.where(present_SD, rates_SD - np.nanmean(rates_SD, axis=1, keepdims=True), 0.0)
    free_S = np.maximum(present_SD.sum(axis=1) - 1, 1)
    variance_K = (np.sum(centred_SD**2, axis=1) / free_S) @ scale_SK
    # the mean of each row is 0, so mean(high) - mean(low) = -sum(low) (1/low + 1/high)
    deviation_K = np.sqrt(np.maximum(variance_K, 1e-300))

    drawn_BSD = np.zeros((permutations + 1, num_seeds, num_doses))
    drawn_BSD[0] = centred_SD
    for seed in range(num_seeds):
        columns = np.flatnonzero(present_SD[seed])
        order_BD = rng.random((permutations, len(columns))).argsort(axis=1)
        drawn_BSD[1:, seed, columns] = centred_SD[seed, columns][order_BD]
    steps_BK = -np.einsum("bsk,sk->bk", np.cumsum(drawn_BSD, axis=2)[:, :, :-1], scale_SK) / deviation_K
    steps_BK[:, variance_K <= 1e-24] = 0.0
    weights_SD = _slopes(centred_SD, present_SD.astype(float))[1]
    spread = float(np.sum(np.sum(centred_SD**2, axis=1) / free_S * np.sum(weights_SD**2, axis=1)))
    trend_B = np.einsum("bsd,sd->b", drawn_BSD, weights_SD) / np.sqrt(max(spread, 1e-300))
    both_2B = np.stack([steps_BK.max(axis=1), trend_B])
    smaller_B = np.min([_upper_ranks(statistic_B) for statistic_B in both_2B], axis=0)
    as_extreme = int(np.sum(smaller_B <= smaller_B[0]))  # the observed order is one of them
    return float(both_2B[:, 0].max()), as_extreme / (permutations + 1)


def _upper_ranks(statistic_B: FloatArray) -> npt.NDArray[np.int64]:
    """How many are as large as each; what differs by rounding alone counts as equal."""
    rounded_B = np.round(statistic_B, 9)
    return len(rounded_B) - np.searchsorted(np.sort(rounded_B), rounded_B, side="left")


def _slopes(rates_SD: FloatArray, present_SD: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each seed's linear contrast over the ranks of the doses, and its weights [seeds, doses]."""
    ranks_D = np.arange(rates_SD.shape[1], dtype=float)
    centre_S = (present_SD * ranks_D).sum(axis=1) / present_SD.sum(axis=1)
    weights_SD = present_SD * (ranks_D - centre_S[:, None])
    return np.sum(weights_SD * np.nan_to_num(rates_SD), axis=1), weights_SD


def _binomial_variance(table: Table, weights_SD: FloatArray) -> FloatArray:
    """Variance [seeds] of a contrast of rates if every item had the one, pooled rate."""
    pooled = float(np.nansum(table.rates_SD * table.trials_SD) / np.nansum(table.trials_SD))
    return np.asarray(pooled * (1 - pooled) * np.nansum(weights_SD**2 / table.trials_SD, axis=1), dtype=float)


def _t_over_seeds(table: Table, rates_SD: FloatArray) -> tuple[float, float]:
    from scipy import stats

    several = np.sum(~np.isnan(rates_SD), axis=1) > 1
    present_SD = (~np.isnan(rates_SD)).astype(float)
    slope_S, weights_SD = _slopes(rates_SD, present_SD)
    slope_S, floor_S = slope_S[several], _binomial_variance(table, weights_SD)[several]
    if len(slope_S) < 2:
        return 0.0, 1.0
    variance = max(float(slope_S.var(ddof=1)), float(floor_S.mean())) / len(slope_S)
    statistic = float(slope_S.mean()) / np.sqrt(variance)
    return float(statistic), float(stats.t.sf(statistic, len(slope_S) - 1))


def _one_seed(table: Table, rates_SD: FloatArray) -> tuple[float, float]:
    from scipy import stats
    from scipy.optimize import isotonic_regression

    slope_S, weights_SD = _slopes(rates_SD, np.ones_like(rates_SD))
    trials_D = table.trials_SD[0]
    fitted_D = isotonic_regression(rates_SD[0], weights=trials_D).x
    free = len(fitted_D) - len(np.unique(fitted_D))
    noise_D = np.maximum(np.abs(fitted_D) * (1 - np.abs(fitted_D)) / trials_D, 1e-12)
    scatter = float(np.sum((rates_SD[0] - fitted_D) ** 2 / noise_D)) / max(free, 1)
    statistic = float(slope_S[0] / np.sqrt(_binomial_variance(table, weights_SD)[0] * max(scatter, 1.0)))
    return statistic, float(stats.t.sf(statistic, max(len(fitted_D) - 2, 1)))


@dataclass(frozen=True, slots=True)
class Fall:
    """A response that rose to a peak and came down again past the middle of its range."""

    peak_dose: float
    peak: float
    later_dose: float
    later: float
    p_value: float


def fall(observations: Observations, *, alpha: float = 0.05) -> Fall | None:
    """Evidence that the response rises and falls again, or None.

    Every pair of doses is compared by a paired t test over seeds (standard error never below the binomial one),
    Bonferroni over the pairs. Both a rise to a dose and a fall after it must pass, and the fall must cross the middle
    of the observed range. Valid under any rising curve; with one seed there is no evidence to be had.
    """
    from scipy import stats

    table = observations.table
    means_D = table.means_D
    num_doses = len(means_D)
    if len(table.seeds) < 2 or num_doses < 3:
        return None
    middle = (means_D.min() + means_D.max()) / 2
    p_DD = np.ones((num_doses, num_doses))  # [a, b]: evidence that a responds more than b
    num_pairs = num_doses * (num_doses - 1) / 2
    for a in range(num_doses):
        for b in range(num_doses):
            both = ~np.isnan(table.rates_SD[:, a] + table.rates_SD[:, b])
            if means_D[a] <= middle or means_D[b] >= middle or both.sum() < 2:
                continue
            gap_S = table.rates_SD[both, a] - table.rates_SD[both, b]
            if gap_S.mean() <= 0:  # the seeds that have both doses do not fall
                continue
            pooled = float(table.rates_SD[both][:, [a, b]].mean())
            floor = pooled * (1 - pooled) * float((1 / table.trials_SD[both][:, [a, b]]).sum(axis=1).mean())
            error = np.sqrt(max(float(gap_S.var(ddof=1)), floor) / len(gap_S))
            p_DD[a, b] = min(1.0, num_pairs * float(stats.t.sf(gap_S.mean() / error, len(gap_S) - 1)))
    found = [
        Fall(float(table.doses[peak]), float(means_D[peak]), float(table.doses[later]), float(means_D[later]), p)
        for peak in range(1, num_doses)
        for later in range(peak + 1, num_doses)
        if (p := float(p_DD[peak, later])) <= alpha and p_DD[peak, :peak].min() <= alpha
    ]
    return min(found, key=lambda one: (one.p_value, one.peak_dose, one.later_dose), default=None)
