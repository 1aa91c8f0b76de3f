"""Lines over seeds: known slopes are found, and intervals keep their level."""

from __future__ import annotations

import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import line

SEEDS = np.repeat(np.arange(3), 8)
X = np.tile(np.linspace(0, 1, 8), 3)
Z = np.tile([0.0, 1.0], 12)


def test_exact_slopes_are_found_whatever_the_seeds_start_from() -> None:
    found = line(SEEDS, 2 * X - 3 * Z + 10 * SEEDS, {"x": X, "z": Z})
    assert found.slopes["x"].value.estimate == pytest.approx(2)
    assert found.slopes["z"].value.estimate == pytest.approx(-3)
    assert found.explained == pytest.approx([1, 1, 1])
    assert found.slopes["x"].p_value < 1e-6
    assert found.slopes["x"].is_shown


def test_the_interval_covers_the_slope_of_seeds_that_differ() -> None:
    rng = np.random.default_rng(0)
    covered, rejected = 0, 0
    for _ in range(400):
        own = 2 + rng.normal(size=3)[SEEDS]
        found = line(SEEDS, own * X + rng.normal(scale=0.3, size=24), {"x": X}).slopes["x"]
        covered += 2 in found.value
        null = (own - 2) * X + rng.normal(scale=0.3, size=24)
        rejected += line(SEEDS, null, {"x": X}).slopes["x"].p_value < 0.05
    assert 0.92 <= covered / 400 <= 0.98
    assert 0.02 <= rejected / 400 <= 0.08


def test_items_and_single_seeds_leave_doubt() -> None:
    flat = line(SEEDS, np.zeros(24), {"x": X}, variance=0.01).slopes["x"]
    assert flat.value.low < 0 < flat.value.high
    assert not flat.is_shown
    assert 0 < flat.smallest < 5
    one = line(SEEDS[:8], X[:8], {"x": X[:8]}).slopes["x"]
    assert (one.value.low, one.p_value, one.smallest) == (-np.inf, 1.0, np.inf)


def test_a_smallest_slope_is_seen_in_four_of_five_runs() -> None:
    rng, variance = np.random.default_rng(1), 0.04
    least = line(SEEDS, np.zeros(24), {"x": X}, variance=variance).slopes["x"].smallest
    seen = sum(
        line(SEEDS, least * X + rng.normal(scale=0.2, size=24), {"x": X}, variance=variance).slopes["x"].is_shown
        for _ in range(300)
    )
    assert 0.65 <= seen / 300 <= 0.95


def test_too_few_different_rows_are_a_sentence() -> None:
    with pytest.raises(InputError, match="differ in x; seed 0 has too few"):
        line(SEEDS, X, {"x": np.ones(24)})
    with pytest.raises(InputError, match="columns of one length"):
        line(SEEDS[:3], X, {"x": X})
