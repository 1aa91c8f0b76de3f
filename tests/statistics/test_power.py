import numpy as np
import pytest
from scipy import stats

from pharmakon.errors import InputError
from pharmakon.statistics import smallest_detectable_rate


def test_agrees_with_cohens_formula() -> None:
    rate = smallest_detectable_rate(0.05, num_seeds=1, trials_per_seed=200)
    assert rate is not None
    h = 2 * (np.arcsin(np.sqrt(rate)) - np.arcsin(np.sqrt(0.05)))
    assert h * np.sqrt(100) == pytest.approx(stats.norm.isf(0.05) + stats.norm.ppf(0.8), abs=1e-3)


def test_correlated_items_and_few_seeds_cost_power() -> None:
    def seen(**more: float) -> float:
        return smallest_detectable_rate(0.1, num_seeds=int(more.pop("seeds", 5)), trials_per_seed=100, **more) or 1.0

    assert 0.1 < seen() < seen(icc=0.1) < seen(icc=0.5) <= 1
    assert seen(seeds=10) < seen(seeds=3)


def test_nothing_is_detectable_above_a_base_near_one() -> None:
    assert smallest_detectable_rate(0.99, num_seeds=2, trials_per_seed=10) is None


def test_errors() -> None:
    with pytest.raises(InputError, match="base lies in"):
        smallest_detectable_rate(1.2, num_seeds=3, trials_per_seed=10)
    with pytest.raises(InputError, match="1 or more"):
        smallest_detectable_rate(0.1, num_seeds=0, trials_per_seed=10)


@pytest.mark.simulation
def test_the_power_is_reached() -> None:
    """Eight beta-binomial seeds in either arm, icc 0.05, compared by the t test of their rates."""
    rng = np.random.default_rng(4)
    icc, base, num_runs = 0.05, 0.3, 2000
    rate = smallest_detectable_rate(base, num_seeds=8, trials_per_seed=60, icc=icc)
    assert rate is not None
    size = (1 - icc) / icc
    rates = [
        rng.binomial(60, rng.beta(mean * size, (1 - mean) * size, size=(num_runs, 8))) / 60 for mean in (base, rate)
    ]
    p_values = stats.ttest_ind(rates[1], rates[0], axis=1, alternative="greater").pvalue
    assert np.mean(p_values < 0.05) == pytest.approx(0.8, abs=0.04)
