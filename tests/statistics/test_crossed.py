"""Means over crossed seeds and wordings, the dose at which they cross zero, and rankings: against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import crossed_equivalence, crossed_mean, mean_of_rates, rank_documents, zero_crossing


def _drawn(rng: np.random.Generator, mean: float, seeds: int = 4, wordings: int = 8) -> np.ndarray:
    """Both factors vary, and each cell besides."""
    of_seeds, of_wordings = 0.3 * rng.normal(size=(seeds, 1)), 0.4 * rng.normal(size=wordings)
    return np.asarray(mean + of_seeds + of_wordings + 0.2 * rng.normal(size=(seeds, wordings)))


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    """A mean over all cells as if they were independent would hold it in less than two thirds of the draws."""
    rng = np.random.default_rng(1)
    held = naive = 0
    for _ in range(400):
        values = _drawn(rng, 1.0)
        interval = crossed_mean(values).interval()
        held += interval.low <= 1.0 <= interval.high
        naive += abs(values.mean() - 1.0) <= 2.04 * values.std(ddof=1) / np.sqrt(values.size)
    assert 0.93 <= held / 400 <= 0.99
    assert naive / 400 < 0.7


def test_the_p_value_is_that_of_the_interval() -> None:
    rng = np.random.default_rng(2)
    for mean in (0.0, 0.5, 1.0):
        found = crossed_mean(_drawn(rng, mean))
        interval = found.interval()
        assert (found.p_value < 0.05) == (interval.low > 0 or interval.high < 0)
        assert (found.p_beyond(0.3) < 0.05) <= (abs(found.estimate) > 0.3)
        assert found.p_value < found.p_beyond(0.3) < found.p_beyond(0.6) <= 1
    assert found.smallest_seen() > interval.high - found.estimate  # more than half of the width


def test_one_wording_is_a_mean_over_seeds_and_one_seed_has_no_error() -> None:
    found = crossed_mean([[1.0], [2.0], [3.0]])
    assert found.freedom == 2
    assert found.error == pytest.approx(1 / np.sqrt(3))
    alone = crossed_mean([[1.0, 2.0]])
    assert alone.interval().low == -np.inf
    assert alone.p_value == 1.0
    assert crossed_mean([[2.0, 2.0], [2.0, 2.0]]).p_value == 0.0
    with pytest.raises(InputError, match="finite values"):
        crossed_mean([[1.0, np.nan]])


def test_a_change_is_equivalent_only_where_its_interval_lies_within_the_margin() -> None:
    rng = np.random.default_rng(3)
    small = crossed_mean(0.02 * _drawn(rng, 0.0))
    assert crossed_equivalence(small, 0.1, 4).status == "equivalent"
    assert crossed_equivalence(small, 0.1, 4).p_value < 0.025
    assert crossed_equivalence(crossed_mean(_drawn(rng, 0.0)), 0.1, 4).status == "undecided"
    assert crossed_equivalence(crossed_mean(5 + 0.1 * _drawn(rng, 0.0)), 0.1, 4).status == "changed"
    assert crossed_equivalence(crossed_mean([[0.0, 0.0]]), 0.1, 1).status == "undecided"


def _lives(rng: np.random.Generator, doses: list[float], true: float) -> np.ndarray:
    """A gap of 1 that falls to 0 at the true dose on a straight line, with a fifth of the variation of `_drawn`."""
    base = 0.2 * _drawn(rng, 0.0)
    return np.stack([1 - dose / true + base + 0.05 * rng.normal(size=base.shape) for dose in doses])


def test_the_dose_of_zero_is_held_as_often_as_its_interval_says() -> None:
    rng = np.random.default_rng(4)
    doses = [0.0, 40.0, 80.0, 160.0, 320.0]
    held = 0
    for _ in range(80):
        found = zero_crossing(doses, _lives(rng, doses, 100.0))
        assert found.status == "bracketed"
        assert found.dose is not None
        assert found.dose.low <= found.dose.estimate <= found.dose.high
        held += found.dose.low <= 100.0 <= found.dose.high
    assert held >= 70


def test_a_gap_below_zero_crosses_upwards() -> None:
    rng = np.random.default_rng(5)
    doses = [0.0, 40.0, 80.0, 160.0]
    values = _lives(rng, doses, 100.0)
    assert zero_crossing(doses, values) == zero_crossing(doses, -values)


def test_no_dose_is_told_that_the_doses_do_not_bracket() -> None:
    rng = np.random.default_rng(6)
    doses = [0.0, 40.0, 80.0]
    short = zero_crossing(doses, _lives(rng, doses, 400.0))
    assert short.status == "not reached"
    assert str(short) == "zero is not reached up to 80"
    near = zero_crossing(doses, _lives(rng, doses, 74.0))
    assert near.status == "not bracketed"
    assert near.dose is not None
    assert near.dose.high == np.inf
    assert "beyond 80] (not bracketed)" in str(near)
    none = zero_crossing(doses, _lives(rng, doses, 100.0) - 1.0)
    assert (none.status, none.dose) == ("no difference", None)
    alone = zero_crossing(doses, _lives(rng, doses, 60.0)[:, :1])
    assert alone.status == "one seed"
    assert "one seed, no interval" in str(alone)
    with pytest.raises(InputError, match="rising doses"):
        zero_crossing([0.0, 0.0], np.zeros((2, 3, 3)))


def test_rankings_are_those_of_pairs() -> None:
    from scipy.stats import mannwhitneyu

    def area(row: np.ndarray) -> float:
        return float(mannwhitneyu(row[wanted], row[~wanted]).statistic) / (30 * 170)

    rng = np.random.default_rng(7)
    wanted = np.arange(200) < 30
    good = rng.normal(size=(3, 200)) + 1.5 * wanted
    coarse = np.round(good[:1])  # with ties
    found = rank_documents(
        {"good": good, "coarse": coarse, "none": rng.normal(size=200)}, wanted, baseline="none", draws=200
    )
    assert found["good"].auroc.estimate == pytest.approx(np.mean([area(row) for row in good]))
    assert found["coarse"].auroc.estimate == pytest.approx(area(coarse[0]))
    assert found["none"].auroc.low < 0.5 < found["none"].auroc.high
    assert found["good"].over_baseline is not None
    assert found["good"].over_baseline.low > 0.1
    assert found["none"].over_baseline is None
    first = [np.mean(wanted[np.argsort(-row)[:30]]) for row in good]
    assert found["good"].precision.estimate == pytest.approx(np.mean(first))
    flat = rank_documents({"flat": np.zeros(200)}, wanted, draws=50)["flat"]
    assert (flat.auroc.estimate, flat.precision.estimate) == pytest.approx((0.5, 0.15))
    with pytest.raises(InputError, match="one kind alone"):
        rank_documents({"good": good}, np.ones(200, dtype=bool))
    with pytest.raises(InputError, match="one value for each"):
        rank_documents({"good": good[:, :10]}, wanted)


def test_seeds_that_agree_by_chance_are_no_surer_than_their_items() -> None:
    agreed = mean_of_rates([0.0, 0.0, 0.0], 40)
    assert agreed.interval().low < -0.02
    assert agreed.p_value == 1
    assert 0.02 < agreed.smallest_seen() < 0.2
    assert 0.001 < mean_of_rates([0.025, 0.025], 40).p_value < 1
    varied = mean_of_rates([0.1, 0.5, 0.9], 1_000)
    assert varied.error == pytest.approx(crossed_mean([[0.1], [0.5], [0.9]]).error)
    assert not np.isfinite(mean_of_rates([0.5], 40).error)
    with pytest.raises(InputError, match="1 item or more"):
        mean_of_rates([0.5], 0)
