"""Slopes on log dose: by hand, their coverage on simulated truth, and shapes told apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pharmakon.errors import InputError
from pharmakon.statistics import compare_shapes, log_slope, mean_over_seeds

DOSES = np.array([3, 10, 30, 100, 300], dtype=float)


def _design(num_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tile(DOSES, num_seeds), np.repeat(np.arange(num_seeds), len(DOSES))


def test_in_a_balanced_design_it_is_the_mean_of_the_seeds_slopes() -> None:
    dose, seed = _design(4)
    rng = np.random.default_rng(0)
    effect = 0.1 + 0.3 * np.log10(dose) + rng.normal(0, 0.1, len(dose))
    own = [np.polyfit(np.log10(dose[seed == s]), effect[seed == s], 1)[0] for s in range(4)]
    found = log_slope(dose, seed, effect)
    assert found.estimate == pytest.approx(np.mean(own))
    half = stats.t.isf(0.025, 3) * np.std(own, ddof=1) / 2
    # statsmodels also corrects for the two parameters of a line: (rows - 1) / (rows - 2)
    assert found.high - found.estimate == pytest.approx(half * np.sqrt(19 / 18), rel=1e-6)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    dose, seed = _design(3)
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        of_seed = rng.normal(0.3, 0.1, 3)[seed]
        effect = of_seed * np.log10(dose) + rng.normal(0, 0.05, len(dose))
        found = log_slope(dose, seed, effect)
        hits += found.low <= 0.3 <= found.high
    assert 0.92 <= hits / 300 <= 0.99


def test_seeds_that_agree_by_chance_give_no_interval_without_width() -> None:
    dose, seed = _design(3)
    flat = log_slope(dose, seed, np.zeros(len(dose)), variance=np.full(len(dose), 0.002))
    assert flat.low < -0.01 < 0 < flat.high
    assert mean_over_seeds([1.0, 1.0, 1.0]).low == 1
    assert mean_over_seeds([1.0, 1.0, 1.0], variance=[0.001] * 3).low < 0.95


def test_one_seed_has_a_slope_and_no_interval() -> None:
    found = log_slope(DOSES, np.zeros(5, dtype=int), np.log10(DOSES))
    assert found.estimate == pytest.approx(1)
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert mean_over_seeds([0.4]).high == np.inf


def test_a_mean_has_students_interval() -> None:
    found = mean_over_seeds([1.0, 2.0, 6.0])
    low, high = stats.ttest_1samp([1.0, 2.0, 6.0], 0).confidence_interval()
    assert (found.low, found.estimate, found.high) == pytest.approx((low, 3.0, high))


@pytest.mark.parametrize("truth", ["log-linear", "threshold"])
def test_the_shape_that_made_the_data_is_told(truth: str) -> None:
    dose, _ = _design(3)
    rng = np.random.default_rng(2)
    clean = 0.3 * np.log10(dose) if truth == "log-linear" else np.where(dose > 20, 0.9, 0.0)
    found = compare_shapes(dose, clean + rng.normal(0, 0.03, len(dose)), resolution=1 / 40)
    assert found is not None
    assert found.favoured == truth


def test_noise_and_too_little_are_no_shape() -> None:
    dose, _ = _design(3)
    assert compare_shapes(dose, np.zeros(len(dose)), resolution=1 / 40) is None
    assert compare_shapes([1, 10, 1, 10], [0.0, 0.1, 0.0, 0.2], resolution=1 / 40) is None
    perfect = compare_shapes(dose, np.where(dose > 20, 1.0, 0.0), resolution=1 / 40)
    assert perfect is not None
    assert np.isfinite(perfect.difference)


@pytest.mark.parametrize(
    ("dose", "effect", "sentence"),
    [
        ([0, 1], [0, 1], "doses above 0; leave the untreated control out"),
        ([4, 4], [0, 1], "two different doses above 0; got 1"),
        ([1, 2, 3], [0, 1], "columns of one length"),
    ],
)
def test_bad_input_is_named(dose: list[float], effect: list[float], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        log_slope(dose, [0] * len(dose), effect)
