import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.errors import InputError
from pharmakon.statistics import (
    Interval,
    Observations,
    clopper_pearson,
    clustered_proportion,
    intraclass_correlation,
    proportion,
)


def test_wilson_by_hand() -> None:
    # 10 of 100, z = 1.96: centre (10 + 1.92) / (100 + 3.84), half width 1.96 sqrt(100 * .1 * .9 + .96) / 103.84
    rate = proportion(10, 100)
    assert rate.estimate == 0.1
    assert rate.low == pytest.approx(0.0552, abs=1e-4)
    assert rate.high == pytest.approx(0.1744, abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_the_more_alike_the_items_the_wider_the_interval(trials: int, share: float, icc: float) -> None:
    hits = [round(share * trials)] * 3
    alone = clustered_proportion(hits, [trials] * 3, 0.0)
    nested = clustered_proportion(hits, [trials] * 3, icc)
    assert 0 <= nested.low <= alone.low + 1e-12
    assert alone.high - 1e-12 <= nested.high <= 1
    assert alone.low <= proportion(sum(hits), 3 * trials).estimate <= alone.high


def test_identical_items_make_a_seed_count_once() -> None:
    nested, once = clustered_proportion([50, 50, 0], [50, 50, 50], 1.0), proportion(2, 3)
    assert (nested.low, nested.high) == pytest.approx((once.low, once.high))


def test_icc_of_seeds_that_switch_is_one_and_of_binomial_noise_about_zero() -> None:
    assert intraclass_correlation([4, 4, 8, 8], [0, 20, 20, 20], [20] * 4) == 1.0
    assert intraclass_correlation([4, 4, 8, 8], [0, 0, 20, 20], [20] * 4) == 0.0
    rng = np.random.default_rng(0)
    dose = np.repeat([1, 2, 3, 4, 5, 6], 50)
    assert intraclass_correlation(dose, rng.binomial(40, dose / 8), np.full(300, 40)) < 0.01


def test_icc_finds_the_correlation_of_beta_binomial_items() -> None:
    rng = np.random.default_rng(1)
    dose = np.repeat([1.0, 2.0], 400)
    mean, icc = np.where(dose == 1, 0.2, 0.6), 0.15
    size = (1 - icc) / icc
    hits = rng.binomial(30, rng.beta(mean * size, (1 - mean) * size))
    assert intraclass_correlation(dose, hits, np.full(800, 30)) == pytest.approx(icc, abs=0.03)


@pytest.mark.simulation
@pytest.mark.parametrize("num_seeds", [3, 5])
def test_clustered_interval_covers(num_seeds: int) -> None:
    """Seven doses, the correlation estimated from them; the interval at one dose covers its true rate."""
    rng = np.random.default_rng(2)
    means, icc, num_runs = np.array([0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9]), 0.2, 300
    size = (1 - icc) / icc
    covered = 0
    for _ in range(num_runs):
        rate = rng.beta(means[:, None] * size, (1 - means[:, None]) * size, size=(7, num_seeds))
        hits = rng.binomial(50, rate)
        rows = Observations(
            np.repeat(np.arange(1, 8), num_seeds), np.tile(np.arange(num_seeds), 7), hits.ravel(), [50] * hits.size
        )
        covered += sum(mean in rate for mean, (_, rate) in zip(means, rows.responses(), strict=True))
    assert covered / (7 * num_runs) >= 0.92


def test_errors_name_the_row_and_the_way_out() -> None:
    with pytest.raises(InputError, match="got 5 of 4 in row 1"):
        clustered_proportion([1, 5], [4, 4], 0.1)
    with pytest.raises(InputError, match="Give counts, not rates"):
        clustered_proportion([0.5], [1], 0.1)
    with pytest.raises(InputError, match=r"icc lies in \[0, 1\]; got 2"):
        clustered_proportion([1], [4], 2)
    with pytest.raises(InputError, match="low <= estimate <= high"):
        Interval(2, 1, 3)


def test_interval_reads_well() -> None:
    assert str(Interval(19.6, 27.2, 36.4)) == "27 [20, 36]"
    assert str(Interval(0.0012, 0.013, np.inf)) == "0.013 [0.0012, ∞]"
    assert 20 in Interval(19.6, 27.2, 36.4)
    assert 40 not in Interval(19.6, 27.2, 36.4)


def test_the_exact_interval_reaches_the_ends_and_is_wider_than_wilsons() -> None:
    assert clopper_pearson(0, 20).low == 0
    assert clopper_pearson(0, 20).high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert clopper_pearson(20, 20).high == 1
    exact, score = clopper_pearson(10, 200), proportion(10, 200)
    assert exact.high - exact.low > score.high - score.low
    with pytest.raises(InputError, match="got 3 of 2"):
        clopper_pearson(3, 2)
