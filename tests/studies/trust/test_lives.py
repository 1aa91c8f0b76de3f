"""Sums of signed rates over the same seeds: by hand, with what the items alone would vary, within what can be."""

from __future__ import annotations

import math

import polars as pl
import pytest
from scipy import stats

from pharmakon.statistics import Interval
from pharmakon.studies.trust.lives import Term, contrast, pairs, told, within

ROWS = [("a", 0, 30), ("a", 1, 36), ("a", 2, 27), ("b", 0, 10), ("b", 1, 12), ("c", 0, 40), ("c", 1, 40), ("c", 2, 40)]
LIVES = pl.DataFrame(
    [(arm, "asked", 8, seed, hits, 40) for arm, seed, hits in ROWS],
    schema=["arm", "asked", "dose", "seed", "hits", "items"], orient="row",
)  # fmt: skip
GAP = (Term(1, "a", "asked"), Term(-1, "b", "asked"))


def test_the_seeds_that_have_all_rates_are_paired() -> None:
    found = pairs(LIVES, 8, GAP)
    assert found is not None
    assert found.values.tolist() == pytest.approx([0.5, 0.6])
    shrunk = [(h + 2) / 44 for h in (30, 10)]
    assert found.variances[0] == pytest.approx(sum(p * (1 - p) / 40 for p in shrunk))
    assert (found.least, found.most) == (-1, 1)
    assert contrast(LIVES, 16, GAP) is None


def test_seeds_that_agree_by_chance_keep_the_variance_of_their_items() -> None:
    same = contrast(LIVES, 8, (Term(1, "c", "asked"),))
    assert same is not None
    shrunk = 42 / 44
    reach = float(stats.t.isf(0.025, 2)) * math.sqrt(shrunk * (1 - shrunk) / 40 / 3)
    assert same.low == pytest.approx(1 - reach)
    assert same.high == 1  # no rate is above it


def test_what_cannot_be_is_left_out() -> None:
    assert within(Interval(-1.4, -0.9, 1.3), -1, 1) == Interval(-1, -0.9, 1)
    alone = within(Interval(-math.inf, 0.5, math.inf), -1, 1)
    assert told(alone) == "+0.50 (one seed)"
    assert told(Interval(-0.1, 0.25, 0.6)) == "+0.25 [-0.10, +0.60]"
