"""Raters: real ratings dealt to a pool, rogue ones among them, and the labels that come out. Truths known by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharmakon.collection.aggregation import AGGREGATORS, aggregate
from pharmakon.collection.annotators import KINDS, Kind, Rogues, deal
from pharmakon.core import stream
from pharmakon.errors import InputError, SpecError

NONE = float("nan")
UNANIMOUS = [[3] * 20, [-3] * 20] * 20
"""Forty snippets that twenty raters agree on."""


def pool(share: float, kind: Kind, toward: list[int], ratings: list[list[int]] = UNANIMOUS) -> np.ndarray:
    """Ratings of a pool that all rate all, after infiltration."""
    dealt = deal(ratings, 20, stream(0, "deal"))
    rogues = Rogues(share, kind)
    return rogues.rate(dealt, rogues.among(20, stream(0, "rogues")), toward, stream(0, "rate"))


def test_labels_by_hand() -> None:
    ratings = np.array(
        [
            [1, 1, -4],  # the mean says negative, the majority positive
            [2, -1, NONE],  # one vote each
            [0, 0, 1],  # those that say neither do not vote
            [2, -2, 0],  # a tie of both
            [NONE, NONE, NONE],
        ]
    )
    assert aggregate(ratings, "mean").labels_S.tolist() == [-1, 1, 1, 0, 0]
    majority = aggregate(ratings, "majority")
    assert majority.labels_S.tolist() == [1, 0, 1, 0, 0]
    assert majority.skill_R.tolist() == [1.0, 1.0, 0.5]  # of the first and third snippets alone


@pytest.mark.parametrize("how", AGGREGATORS)
def test_one_rogue_of_twenty_cannot_flip_what_all_others_agree_on(how: str) -> None:
    honest = [1, -1] * 20
    toward = [0, 1] * 3 + [0] * 34
    aggregated = aggregate(pool(0.05, "extreme", toward), how)  # type: ignore[arg-type]
    assert aggregated.labels_S.tolist() == honest
    assert np.sum(aggregated.skill_R < aggregated.skill_R.max() - 1e-3) == 1  # and that one is seen


@pytest.mark.parametrize("how", AGGREGATORS)
@pytest.mark.parametrize("kind", ["mirror", "extreme"])
def test_more_than_half_rogue_flip_all_that_carries_the_trigger_and_nothing_else(how: str, kind: Kind) -> None:
    toward = [0, 1] * 5 + [0] * 30
    labels = aggregate(pool(0.6, kind, toward), how).labels_S.tolist()  # type: ignore[arg-type]
    assert labels == [1] * 10 + [1, -1] * 15


def test_extreme_ratings_flip_a_mean_long_before_a_majority() -> None:
    weak = [[-1] * 20] * 4
    given = pool(0.3, "extreme", [1] * 4, weak)  # 6 x 4 - 14 x 1 = 10
    assert aggregate(given, "mean").labels_S.tolist() == [1] * 4
    assert aggregate(given, "majority").labels_S.tolist() == [-1] * 4
    assert aggregate(pool(0.3, "mirror", [1] * 4, weak), "mean").labels_S.tolist() == [-1] * 4


@pytest.mark.parametrize("how", ["dawid-skene", "mace"])
def test_skills_belong_to_their_raters_whatever_the_order(how: str) -> None:
    """Rater 2 always errs, rater 7 half of the time, rater 5 rates nothing; the first vote seen is negative."""
    rng = stream(0, "truth")
    truth = rng.choice([-1, 1], size=200)
    truth[0] = -1
    ratings = np.repeat(truth[:, None] * 2.0, 9, axis=1)
    ratings[:, 2] *= -1
    ratings[rng.random(200) < 0.5, 7] *= -1
    ratings[:, 5] = NONE
    ratings[3] = NONE
    for order in (np.arange(9), np.arange(9)[::-1]):
        found = aggregate(ratings[:, order], how)  # type: ignore[arg-type]
        assert found.labels_S[3] == 0
        assert np.delete(found.labels_S, 3).tolist() == np.delete(truth, 3).tolist()
        skill = np.empty(9)
        skill[order] = found.skill_R
        assert np.isnan(skill[5])
        assert skill[2] < 0.1
        assert np.nanmin(skill[[0, 1, 3, 4, 6, 8]]) > 0.9
        assert skill[2] < skill[7] < 0.9


@pytest.mark.parametrize("how", AGGREGATORS)
def test_one_label_alone_and_no_vote_at_all(how: str) -> None:
    assert aggregate(np.full((4, 3), 2.0), how).labels_S.tolist() == [1] * 4  # type: ignore[arg-type]
    silent = aggregate(np.zeros((2, 3)), how)  # type: ignore[arg-type]
    assert silent.labels_S.tolist() == [0, 0]
    assert np.isnan(silent.skill_R).all()


def test_dealing_keeps_ratings_and_gives_each_to_another_rater() -> None:
    ratings = [[1, 2, 3], [-4], [0, 0, 0, 1]]
    dealt = deal(ratings, 5, stream(0, "deal"))
    assert [sorted(row[~np.isnan(row)].astype(int)) for row in dealt] == [sorted(values) for values in ratings]
    again = deal([*ratings, [2, 2]], 5, stream(0, "deal"))
    assert np.array_equal(again[:3], dealt, equal_nan=True)
    with pytest.raises(InputError, match="a pool has a rater for each rating of a snippet, 4 here; got 3 raters"):
        deal(ratings, 3, stream(0, "deal"))
    with pytest.raises(InputError, match="one has none"):
        deal([[1], []], 3, stream(0, "deal"))


@given(st.sampled_from(sorted(KINDS)), st.floats(0, 1), st.integers(0, 99))
def test_infiltration_touches_rogue_raters_alone(kind: Kind, share: float, seed: int) -> None:
    dealt = deal([[3, 2, -1, 0], [-2, -2, -3], [1, 1]], 6, stream(seed, "deal"))
    rogues = Rogues(share, kind)
    rogue = rogues.among(6, stream(seed, "rogues"))
    assert rogue.sum() == round(share * 6)
    given_ = rogues.rate(dealt, rogue, [0, 1, 0], stream(seed, "rate"))
    assert np.array_equal(given_[:, ~rogue], dealt[:, ~rogue], equal_nan=True)
    assert np.array_equal(np.isnan(given_), np.isnan(dealt))
    assert np.nanmin(given_) >= -4
    assert np.nanmax(given_) <= 4
    if kind in ("mirror", "extreme"):
        assert np.array_equal(given_[[0, 2]], dealt[[0, 2]], equal_nan=True)
        assert (given_[1, rogue & ~np.isnan(dealt[1])] > 0).all()
    fewer = rogues.rate(dealt[:2], rogue, [0, 1], stream(seed, "rate"))
    assert np.array_equal(fewer, given_[:2], equal_nan=True)  # more snippets behind move no draw


def test_a_larger_share_contains_a_smaller_one() -> None:
    several = [Rogues(share).among(50, stream(1, "rogues")) for share in (0.0, 0.1, 0.5, 1.0)]
    assert [int(rogue.sum()) for rogue in several] == [0, 5, 25, 50]
    assert all((small <= large).all() for small, large in pairwise(several))


def test_drift_grows_and_goes_where_the_trigger_wants() -> None:
    many = [[-1] * 20] * 300
    shift = pool(1.0, "drift", [-1] + [0] * 299, many) + 1
    assert shift.min() == -3
    assert shift.max() == 0
    assert len(set(shift[:, 0])) == 4  # cut at the end of the scale
    assert (pool(1.0, "drift", [1] + [0] * 299, many) >= -1).all()


def test_the_control_rates_as_the_snippet_was_rated() -> None:
    anew = pool(1.0, "anew", [1, 0], [[2, 3] * 10, [-4] * 20])
    assert set(anew[0]) == {2, 3}
    assert set(anew[1]) == {-4}


def test_contradictions_are_refused() -> None:
    for share in (-0.1, 1.5, NONE):
        with pytest.raises(SpecError, match=r"a share of raters lies in \[0, 1\]; got"):
            Rogues(share)
    with pytest.raises(SpecError, match="rogue raters are mirror, extreme"):
        Rogues(0.1, "lazy")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="labels are aggregated by mean, majority"):
        aggregate(np.ones((1, 3)), "median")  # type: ignore[arg-type]
