"""Shapley values, agreement of orders, laws of decay: known games, known ranks, known curves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import agreement, decay, dose_reaching, shapley

MASKS = list(product((False, True), repeat=4))


def test_an_additive_game_is_its_weights() -> None:
    weights = np.array([0.5, -0.2, 0.0, 0.3])
    found = shapley({mask: 0.1 + float(weights @ np.array(mask)) for mask in MASKS})
    assert found == pytest.approx(weights)


def test_parts_that_are_needed_together_share_alike_and_a_dummy_has_nothing() -> None:
    both = shapley({mask: float(mask[0] and mask[1]) for mask in MASKS})
    assert both == pytest.approx([0.5, 0.5, 0, 0])
    majority = shapley({mask[:3]: float(sum(mask[:3]) >= 2) for mask in MASKS})
    assert majority == pytest.approx([1 / 3] * 3)
    either = shapley({mask: float(mask[0] or (mask[1] and mask[2])) for mask in MASKS})
    assert either == pytest.approx([4 / 6, 1 / 6, 1 / 6, 0])  # pivotal in so many of the orders


def test_the_values_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    game = {mask: float(rng.random()) for mask in MASKS}
    assert shapley(game).sum() == pytest.approx(game[True, True, True, True] - game[False, False, False, False])


def test_a_missing_part_is_named() -> None:
    with pytest.raises(InputError, match=r"\+- is missing"):
        shapley({(False, False): 0.0, (True, True): 1.0, (False, True): 0.5})
    with pytest.raises(InputError, match="every subset"):
        shapley({})


def test_raters_who_agree_and_raters_who_do_not() -> None:
    alike = agreement([np.array([[1, 2, 3, 4, 5.0]] * 4)])
    assert (alike.correlation, alike.w) == (pytest.approx(1), pytest.approx(1))
    assert alike.p_value < 0.001
    against = agreement([np.array([[1, 2, 3, 4], [4, 3, 2, 1.0]])])
    assert (against.correlation, against.w) == (pytest.approx(-1), pytest.approx(0))
    assert against.p_value > 0.9


def test_w_is_kendalls_and_a_rater_without_an_order_adds_none() -> None:
    ranks = np.array([[1, 2, 3, 4], [2, 1, 3, 4], [1, 3, 2, 4.0]])
    sums = ranks.sum(axis=0)
    by_hand = 12 * float(((sums - sums.mean()) ** 2).sum()) / (3**2 * (4**3 - 4))
    assert agreement([ranks]).w == pytest.approx(by_hand)
    tied = agreement([np.array([[1, 2, 3.0], [0, 0, 0.0]])])
    assert tied.correlation == 0
    assert tied.p_value == 1


def test_chance_is_found_as_often_as_the_test_says() -> None:
    rng = np.random.default_rng(1)
    small = [agreement([rng.random((3, 5))], permutations=199).p_value <= 0.05 for _ in range(200)]
    assert np.mean(small) <= 0.09
    groups = [np.array([[1, 2, 3.0], [1, 2, 3.0]]) for _ in range(6)]
    assert agreement(groups).p_value < 0.001 < agreement(groups[:1]).p_value  # groups add up
    assert agreement([np.array([[1.0, 2.0]])]).p_value == 1
    with pytest.raises(InputError, match="raters, items"):
        agreement([])


STEPS = np.array([4, 12, 20, 36, 68, 132, 260.0])


def test_an_exponential_and_a_power_law_are_told_apart() -> None:
    falling = decay(STEPS, 8 * 0.5 ** (STEPS / 50))
    assert falling.exponential_half_life == pytest.approx(50, rel=1e-3)
    assert falling.advantage_of_power < -10
    law = decay(STEPS, 8 * (1 + STEPS) ** -0.4)
    assert law.power_exponent == pytest.approx(0.4, rel=1e-3)
    assert law.advantage_of_power > 10


def test_when_half_is_gone() -> None:
    level = np.array([10, 9, 8, 6, 4, 3, 2.0])
    assert decay(STEPS, level).half_gone == pytest.approx(36 + 32 / 2)
    assert decay(STEPS, np.full(7, 5.0) + np.arange(7)).half_gone == np.inf
    rising = decay(STEPS, np.arange(1.0, 8.0))
    assert rising.exponential_half_life == np.inf
    for steps, what in (([1, 2, 3], [1, 1, 1]), (STEPS, -level), (STEPS[::-1], level)):
        with pytest.raises(InputError):
            decay(steps, what)


def test_the_dose_that_reaches_a_level() -> None:
    doses = [0, 16, 64, 256]
    assert dose_reaching(doses, [0, 0, 0.25, 0.75], 0.5) == pytest.approx(128)
    assert dose_reaching(doses, [0, 1, 1, 1], 0.5) == pytest.approx(8)
    assert dose_reaching(doses, [0.6, 1, 1, 1], 0.5) == 0
    assert dose_reaching(doses, [0, 0.1, 0.2, 0.4], 0.5) == np.inf
    assert dose_reaching(doses, [0, 0.6, 0.2, 0.8], 0.4) == pytest.approx(16)  # made to rise: 0.4 at 16 and 64
    with pytest.raises(InputError, match="rising doses"):
        dose_reaching([16, 0], [0, 1], 0.5)
