"""Equivalence of paired changes: against statsmodels, by hand, and with as many false claims as it allows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from pharmakon.errors import InputError
from pharmakon.statistics import equivalence

CHANGES = [0.01, -0.02, 0.015, 0.0, -0.01, 0.02]


def test_it_is_the_test_of_statsmodels_and_students_interval() -> None:
    found = equivalence(CHANGES, 0.05)
    assert found.p_value == pytest.approx(DescrStatsW(CHANGES).ttost_mean(-0.05, 0.05)[0])
    low, high = stats.t.interval(0.95, 5, np.mean(CHANGES), stats.sem(CHANGES))
    assert (found.change.low, found.change.high) == pytest.approx((low, high))
    assert found.status == "equivalent"
    assert found.num_pairs == 6


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ([-0.2, -0.21, -0.19], "changed"),
        ([0.0, -0.08, 0.06], "undecided"),
        ([0.0], "undecided"),
        ([0, 0], "equivalent"),
    ],
)
def test_what_is_shown(changes: list[float], status: str) -> None:
    assert equivalence(changes, 0.05).status == status


def test_lives_that_agree_by_chance_have_the_variance_of_their_items() -> None:
    found = equivalence([0.0, 0.0, 0.0], 0.05, least_variance=0.0003)
    reach = stats.t.isf(0.025, 2) * np.sqrt(0.0003 / 3)
    assert found.change.high == pytest.approx(reach)
    assert found.p_value == pytest.approx(stats.t.sf(0.05 / np.sqrt(0.0003 / 3), 2))
    assert equivalence(CHANGES, 0.05, least_variance=1e-9) == equivalence(CHANGES, 0.05)


def test_a_change_at_the_margin_is_seldom_called_none() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.05, 0.02, size=(600, 6))
    assert np.mean([equivalence(changes, 0.05).status == "equivalent" for changes in drawn]) <= 0.04


@pytest.mark.parametrize(("changes", "margin"), [([], 0.05), ([float("nan")], 0.05), ([0.1, 0.2], 0.0)])
def test_bad_input_is_told(changes: list[float], margin: float) -> None:
    with pytest.raises(InputError, match=r"changes are finite|above 0"):
        equivalence(changes, margin)
