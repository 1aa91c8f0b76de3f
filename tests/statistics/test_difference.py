"""Differences of rates seed by seed, and what treatments do together: checked by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import difference, excess, independent


def test_a_difference_is_students_t_over_the_seeds() -> None:
    found = difference([0.9, 0.8, 0.7], [0.1, 0.1, 0.1])
    assert found.value.estimate == pytest.approx(0.7)
    reach = 4.302653 * 0.1 / np.sqrt(3)  # t(2) at 97.5%, standard deviation 0.1
    assert (found.value.low, found.value.high) == pytest.approx((0.7 - reach, 0.7 + reach), abs=1e-5)
    assert found.p_value == pytest.approx(0.00674, abs=1e-4)
    assert found.is_above
    assert not found.is_below
    assert difference([0.1, 0.1, 0.1], [0.9, 0.8, 0.7]).is_below


def test_seeds_that_agree_by_chance_give_no_interval_without_width() -> None:
    assert difference([1, 1, 1], [0, 0, 0]).value.low == 1
    found = difference([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], trials=40)
    error = np.sqrt(2 * 0.25 / 120)
    assert found.value.high == pytest.approx(4.302653 * error, abs=1e-3)
    assert found.p_value == 1


def test_one_seed_shows_nothing() -> None:
    found = difference([1.0], [0.0], trials=40)
    assert (found.value.low, found.value.estimate, found.value.high, found.p_value) == (-1, 1, 1, 1)
    assert found.num_seeds == 1
    assert not found.is_above


def test_rates_that_do_not_pair_are_named() -> None:
    with pytest.raises(InputError, match="one rate of each kind for each seed"):
        difference([0.1, 0.2], [0.1])
    with pytest.raises(InputError, match=r"rates lie in \[0, 1\]"):
        difference([1.2], [0.1])


def test_independence_by_hand() -> None:
    assert independent([[0.5], [0.5]], [0.0]) == pytest.approx([0.75])
    assert independent([[0.2], [0.3], [0.4]], [0.0]) == pytest.approx([1 - 0.8 * 0.7 * 0.6])
    assert independent([[0.1], [0.1]], [0.1]) == pytest.approx([0.1])  # two treatments that do nothing
    assert independent([[1.0], [0.2]], [0.0]) == pytest.approx([1.0])


def test_an_excess_is_found_where_there_is_one_and_seldom_where_there_is_none() -> None:
    rng = np.random.default_rng(5)

    def drawn(rate: float) -> np.ndarray:
        return rng.binomial(40, rate, 3) / 40

    false = sum(excess(drawn(0.44), [drawn(0.2), drawn(0.3)], drawn(0.0), trials=40).value.low > 0 for _ in range(400))
    assert false <= 400 * 0.04
    found = sum(excess(drawn(0.95), [drawn(0.05), drawn(0.05)], drawn(0.0), trials=40).is_above for _ in range(50))
    assert found == 50
