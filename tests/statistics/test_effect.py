import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from pharmakon.errors import InputError
from pharmakon.statistics import Observations, Test, dose_effect, holm


def rows(rates_SD: list[list[float]], num_items: int = 100) -> Observations:
    rates = np.asarray(rates_SD)
    seeds, doses = rates.shape
    hits = np.round(rates.ravel() * num_items).astype(int)
    dose = np.tile([0, *(2.0 ** np.arange(2, doses + 1))], seeds)
    return Observations(dose, np.repeat(np.arange(seeds), doses), hits, np.full(hits.size, num_items))


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("num_seeds", "num_doses", "base", "seed_sd", "run_sd"),
    [
        (3, 6, 0.3, 1.0, 0.7),
        (5, 7, 0.05, 0.5, 0.0),
        (8, 5, 0.9, 0.0, 0.5),
        (3, 2, 0.3, 0.5, 0.5),
        (1, 7, 0.3, 0.0, 0.0),
    ],
)
def test_p_values_are_valid_without_an_effect(
    num_seeds: int, num_doses: int, base: float, seed_sd: float, run_sd: float
) -> None:
    """Seeds and runs that vary on the logit scale, 50 items each; 600 runs: 3 standard errors at 5% are 2.7%."""
    rng = np.random.default_rng(3)
    num_runs = 600
    p_values = []
    for _ in range(num_runs):
        noise = seed_sd * rng.standard_normal((num_seeds, 1)) + run_sd * rng.standard_normal((num_seeds, num_doses))
        rates = rng.binomial(50, expit(logit(base) + noise)) / 50
        p_values.append(dose_effect(rows(rates.tolist(), 50), permutations=299).p_value)
    for alpha in (0.01, 0.05, 0.1, 0.2, 0.5):
        share = np.mean(np.asarray(p_values) <= alpha)
        error = np.sqrt(alpha * (1 - alpha) / num_runs)
        assert share <= alpha + 3 * error
        if num_seeds > 1 and num_doses > 2:  # a permutation test: exact, not only valid
            assert share >= alpha - 3 * error - 1 / 300


def test_a_step_at_any_dose_is_seen() -> None:
    for first in range(1, 6):
        test = dose_effect(rows([[0.02] * first + [0.98] * (6 - first)] * 3))
        assert test.method == "permutation within seeds"
        assert test.p_value < 0.01


def test_few_runs_fall_back_on_the_t_test() -> None:
    pair = dose_effect(rows([[0, 1]] * 3))
    assert (pair.method, pair.p_value < 0.01) == ("t over seeds", True)
    # one seed of five responds: one freak run would do that
    lone = dose_effect(rows([[0, 0, 0, 1], *[[0, 0, 0, 0]] * 4]))
    assert (lone.method, lone.p_value > 0.1) == ("t over seeds", True)
    assert dose_effect(rows([[0, 0, 0, 1]])).method == "items of one seed"


def test_direction() -> None:
    falling = rows([[0.9, 0.9, 0.5, 0.1, 0.1]] * 3)
    assert dose_effect(falling).p_value > 0.9
    assert dose_effect(falling, alternative="less").p_value < 0.01
    assert dose_effect(falling, alternative="two-sided").p_value < 0.02


def test_without_any_variation_there_is_no_evidence() -> None:
    for rate in (0.0, 0.3, 1.0):
        assert dose_effect(rows([[rate] * 5] * 3)).p_value == 1.0


def test_seed_levels_do_not_matter() -> None:
    """What a seed does at every dose alike is not an effect of dose."""
    step = np.array([0.0, 0.02, 0.1, 0.3])
    near = dose_effect(rows([list(0.1 + step), list(0.1 + step), list(0.1 + step)]))
    far = dose_effect(rows([list(0.1 + step), list(0.4 + step), list(0.6 + step)]))
    assert near.p_value == far.p_value
    assert near.statistic == pytest.approx(far.statistic)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_and_keeps_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(p_values, kind="stable")] == sorted(adjusted)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    with pytest.raises(InputError, match=r"p-values lie in \[0, 1\]"):
        holm([1.5])


def test_same_data_same_p_value() -> None:
    data = rows([[0.1, 0.2, 0.15, 0.3, 0.25]] * 4)
    first = dose_effect(data)
    assert isinstance(first, Test)
    assert first == dose_effect(data)
