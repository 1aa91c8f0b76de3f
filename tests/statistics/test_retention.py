import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import Interval, Window, retention, therapeutic_window


def test_ratio_of_what_is_above_each_stages_own_control() -> None:
    kept = retention([0.9, 0.8, 1.0], [0.5, 0.4, 0.6], [0.1, 0.0, 0.2], [0.1, 0.1, 0.1])
    assert kept.status == "ok"
    assert kept.value is not None
    assert kept.value.estimate == pytest.approx((0.5 - 0.1) / (0.9 - 0.1))
    assert "50% of the response is left" in kept.sentence


def test_a_denominator_without_noise_gives_students_interval() -> None:
    after = np.array([0.2, 0.5, 0.6, 0.3])
    kept = retention([1, 1, 1, 1], after, [0] * 4, [0] * 4)
    assert kept.value is not None
    half = 3.182446 * after.std(ddof=1) / 2
    assert (kept.value.low, kept.value.high) == pytest.approx((0.4 - half, 0.4 + half))


@pytest.mark.simulation
@pytest.mark.parametrize("num_seeds", [3, 8])
def test_interval_covers(num_seeds: int) -> None:
    """Normal rates with correlated stages; 1000 runs, standard error 0.7%."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        common = rng.standard_normal(num_seeds)
        before = 0.8 + 0.05 * common
        after = 0.45 + 0.1 * (0.5 * common + 0.87 * rng.standard_normal(num_seeds))
        value = retention(before, np.clip(after, 0, 1), [0.05] * num_seeds, [0.05] * num_seeds).value
        covered += value is not None and 0.4 / 0.75 in value
    assert 0.92 <= covered / 1000 <= 0.98


def test_undefined_where_there_was_nothing_to_lose() -> None:
    nothing = retention([0.05, 0.04, 0.06], [0.0, 0.1, 0.0], [0.05, 0.05, 0.05], [0.0, 0.0, 0.0])
    assert (nothing.status, nothing.value, str(nothing)) == ("undefined", None, "undefined")
    assert "not shown to be above its control" in nothing.sentence
    assert retention([0.1], [0.1], [0.2], [0.1]).status == "undefined"


def test_one_seed_has_no_interval() -> None:
    lone = retention([0.9], [0.3], [0.0], [0.0])
    assert lone.status == "one_seed"
    assert lone.value is not None
    assert (lone.value.low, lone.value.high) == (-np.inf, np.inf)
    assert str(lone) == "0.33 (one seed)"


def test_trials_keep_agreeing_seeds_from_looking_certain() -> None:
    same = ([0.9] * 3, [0.5] * 3, [0.0] * 3, [0.0] * 3)
    assert "no width" in retention(*same).sentence
    kept = retention(*same, trials=50)
    assert kept.value is not None
    assert kept.value.low < 0.45
    assert kept.value.high > 0.6


def test_retention_errors() -> None:
    with pytest.raises(InputError, match="after holds one rate for each seed, 2"):
        retention([0.9, 0.8], [0.1], [0, 0], [0, 0])
    with pytest.raises(InputError, match=r"before holds rates in \[0, 1\]"):
        retention([90, 80], [0.1, 0.1], [0, 0], [0, 0])


DOSES = [0, 16, 32, 64, 128]
ED50 = Interval(20, 27, 36)


def window(utility_SD: list[list[float]], ed50: Interval | None = ED50, margin: float = 0.02) -> Window:
    seeds = len(utility_SD)
    return therapeutic_window(np.tile(DOSES, seeds), np.repeat(np.arange(seeds), 5), np.ravel(utility_SD), ed50, margin)


def test_window_without_a_fall_is_a_bound() -> None:
    flat = window([[0.80, 0.80, 0.80, 0.80, 0.80], [0.82, 0.82, 0.82, 0.82, 0.82]])
    assert flat.status == "no_fall"
    assert flat.at_least == pytest.approx(128 / 27)
    assert flat.shown_at_least == pytest.approx(128 / 36)
    assert flat.sentence == "utility does not fall by 0.02 up to 128 documents: window at least 128/27 = 4.7"
    noisy = window([[0.80, 0.80, 0.80, 0.80, 0.75], [0.82, 0.82, 0.82, 0.82, 0.87]])
    assert "not excluded: add seeds" in noisy.sentence
    assert noisy.shown_at_least == pytest.approx(64 / 36)


def test_window_between_tested_doses() -> None:
    fall = np.array([0, 0, 0, 0.01, 0.03])
    found = window([list(0.8 - fall), list(0.7 - fall), list(0.9 - fall)])
    assert found.status == "ok"
    assert found.value is not None
    assert found.value.estimate == pytest.approx(64 * np.sqrt(2) / 27)
    assert (found.value.low, found.value.high) == pytest.approx((64 / 36, 128 / 20))


def test_window_with_one_seed_knows_no_limits() -> None:
    value = window([[0.8, 0.8, 0.8, 0.79, 0.77]]).value
    assert value is not None
    assert (value.low, value.high) == (0, np.inf)


def test_window_at_the_edges() -> None:
    low = window([[0.8, 0.7, 0.7, 0.7, 0.7]] * 2)
    assert (low.status, low.at_most) == ("falls_at_lowest", pytest.approx(16 / 27))
    assert window([[0.8] * 5], ed50=None).status == "no_ed50"


def test_window_errors() -> None:
    with pytest.raises(InputError, match="above 0; got -1"):
        window([[0.8] * 5], margin=-1)
    with pytest.raises(InputError, match="no seed has both a control"):
        therapeutic_window([8, 16], [0, 0], [0.8, 0.8], ED50, 0.02)
    with pytest.raises(InputError, match="twice"):
        therapeutic_window([8, 8], [0, 0], [0.8, 0.8], ED50, 0.02)
