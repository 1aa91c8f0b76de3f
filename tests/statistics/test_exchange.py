"""The exact tests of a secret draw against scipy, against all draws counted out, and against chance."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, kstest, wilcoxon

from pharmakon.errors import InputError
from pharmakon.statistics.exchange import (
    BETS,
    Exchange,
    Ints,
    Sequential,
    exchange_test,
    largest_score,
    marks_needed,
    named_power,
    named_scores,
    pair_scores,
    rank_scores,
    sequential_null,
    sequential_power,
)

LIKED = arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 5)), elements=st.floats(-50, 0).map(lambda x: round(x, 1))
)


def _draw(rng: np.random.Generator, scores: Ints) -> list[int]:
    drawn: list[int] = rng.integers(scores.shape[1], size=len(scores)).tolist()
    return drawn


@pytest.mark.parametrize("hits", [0, 1, 3, 8, 12])
def test_named_answers_are_the_binomial_test(hits: int) -> None:
    drawn = [number % 16 for number in range(12)]
    named = [one if number < hits else (one + 1) % 16 for number, one in enumerate(drawn)]
    test = exchange_test(named_scores(named, 16), drawn)
    assert test.p == pytest.approx(binomtest(hits, 12, 1 / 16, alternative="greater").pvalue, rel=1e-9)
    assert test.observed == hits
    assert test.smallest_p == pytest.approx(16.0**-12)


def test_a_text_that_names_nothing_leaves_its_mark_out() -> None:
    drawn = [0, 1, 2, 3, 4, 5]
    test = exchange_test(named_scores([0, 1, None, None, 5, None], 8), drawn)
    assert test.p == pytest.approx(binomtest(2, 3, 1 / 8, alternative="greater").pvalue)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_wilcoxons_test_where_each_rank_has_a_level(seed: int) -> None:
    """32 levels hold the ranks of up to 32 pairs as they are."""
    rng = np.random.default_rng(seed)
    liked = rng.normal(size=(32, 2))
    drawn = rng.integers(2, size=32)
    liked[np.arange(32), drawn] += 0.3
    own, other = liked[np.arange(32), drawn], liked[np.arange(32), 1 - drawn]
    test = exchange_test(pair_scores(liked), drawn.tolist())
    wanted = wilcoxon(own, other, alternative="greater", method="exact")
    assert test.observed == wanted.statistic
    assert test.p == pytest.approx(wanted.pvalue, rel=1e-9)


def test_savage_scores_are_the_known_ones_and_ties_share_theirs() -> None:
    (row,) = rank_scores(np.array([[-1.0, -3.0, -2.0]])) / 360
    assert row == pytest.approx([1 + 1 / 2 + 1 / 3, 1 / 3, 1 / 2 + 1 / 3], abs=2e-3)
    (tied,) = rank_scores(np.array([[-1.0, -1.0, -2.0]])) / 360
    assert tied[0] == tied[1] == pytest.approx((11 / 6 + 5 / 6) / 2, abs=2e-3)
    assert rank_scores(np.array([[-5.0, -1.0, -9.0, -2.0]])).max() == largest_score(4)


@given(LIKED, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_p_is_the_share_of_all_draws_that_do_as_well(liked: np.ndarray, random: object) -> None:
    """Counted out over every draw that the key could have made."""
    scores = rank_scores(liked)
    drawn = [random.randrange(scores.shape[1]) for _ in scores]  # type: ignore[attr-defined]
    test = exchange_test(scores, drawn)
    sums = [
        sum(int(scores[mark, one]) for mark, one in enumerate(other))
        for other in product(range(scores.shape[1]), repeat=len(scores))
    ]
    assert test.p == pytest.approx(np.mean(np.array(sums) >= test.observed))
    assert test.probabilities.sum() == pytest.approx(1)
    assert test.smallest_p - 1e-12 <= test.p <= 1
    assert sorted(set(sums)) == test.sums.tolist()


@given(LIKED, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_names_and_order_of_answers_and_marks_do_not_count(liked: np.ndarray, random: object) -> None:
    num_marks, num_answers = liked.shape
    drawn = [random.randrange(num_answers) for _ in liked]  # type: ignore[attr-defined]
    before = exchange_test(rank_scores(liked), drawn)
    answers, marks = list(range(num_answers)), list(range(num_marks))
    random.shuffle(answers)  # type: ignore[attr-defined]
    random.shuffle(marks)  # type: ignore[attr-defined]
    moved = liked[np.ix_(marks, answers)]
    after = exchange_test(rank_scores(moved), [answers.index(drawn[mark]) for mark in marks])
    assert after.p == pytest.approx(before.p, rel=1e-9)
    assert after.observed == before.observed
    scaled = exchange_test(rank_scores(2 * liked - 7), drawn)  # ranks alone count
    assert scaled.p == before.p


def _null(make: str, num_keys: int) -> tuple[list[Exchange], np.random.Generator]:
    """Tests of keys that marked nothing, on one model that likes some answers much more than others."""
    rng = np.random.default_rng(5)
    liked = rng.normal(size=(10, 2 if make == "pairs" else 8)) * 5
    liked[:3] = np.round(liked[:3])  # with ties
    if make == "named":
        scores = named_scores([0, 3, None, 3, 3, 7, None, 1, 1, 2], 8)
    else:
        scores = pair_scores(liked) if make == "pairs" else rank_scores(liked)
    return [exchange_test(scores, _draw(rng, scores)) for _ in range(num_keys)], rng


@pytest.mark.parametrize("make", ["ranks", "pairs", "named"])
def test_keys_that_marked_nothing_have_uniform_p_values(make: str) -> None:
    tests, rng = _null(make, 1_500)
    smoothed = [test.smoothed(float(rng.random())) for test in tests]
    assert kstest(smoothed, "uniform").pvalue > 1e-3
    for alpha in (0.2, 0.05, 0.01):
        false = sum(test.p <= alpha for test in tests)
        assert binomtest(false, len(tests), alpha, alternative="greater").pvalue > 1e-3


def _stopped(rng: np.random.Generator, alpha: float, num_marks: int) -> bool:
    """One key that marked nothing, read after every mark; the model's likes depend on what was drawn before."""
    state, before = Sequential(), 0.0
    for _ in range(num_marks):
        row = rank_scores((rng.normal(size=8) + before)[None])[0]
        drawn = int(rng.integers(8))
        state = state.after(row.tolist(), drawn, largest_score(8))
        before = np.roll(np.arange(8.0), drawn)
        if state.p <= alpha:
            return True
    return False


def test_who_stops_whenever_it_looks_good_is_wrong_no_more_than_alpha() -> None:
    rng, alpha = np.random.default_rng(11), 0.1
    false = sum(_stopped(rng, alpha, 40) for _ in range(600))
    assert binomtest(false, 600, alpha, alternative="greater").pvalue > 1e-2
    assert false > 0  # it does look good now and then: the bound is no triviality


def test_many_keys_at_once_are_wrong_no_more_than_alpha() -> None:
    """`sequential_null` is the same test for many keys; its most money exceeds 1/alpha in at most alpha of them."""
    rows = rank_scores(np.random.default_rng(3).normal(size=(60, 16)))
    most = sequential_null(rows, largest_score(16), num_draws=20_000)
    for alpha in (0.2, 0.05, 0.01):
        assert (most >= 1 / alpha).mean() <= alpha
    assert most.min() >= 1


def test_each_bet_is_fair_and_the_evidence_never_shrinks() -> None:
    row = rank_scores(np.array([[0.0, -1, -2, -2, -9]]))[0].tolist()
    outcomes = [Sequential().after(row, drawn, largest_score(5)).money for drawn in range(5)]
    assert np.mean(outcomes, axis=0) == pytest.approx([1.0] * len(BETS))
    good = Sequential().after(row, 0, largest_score(5))
    assert good.after(row, 4, largest_score(5)).p == good.p < 1


def test_power_and_the_marks_that_it_takes() -> None:
    assert named_power(16, 16, 1.0, 1e-6) == pytest.approx(1)
    assert named_power(16, 16, 0.0, 1e-6) <= 1e-6
    few = marks_needed(16, 0.5, 1e-6)
    assert few is not None
    assert named_power(few, 16, 0.5, 1e-6) >= 0.8 > named_power(few - 1, 16, 0.5, 1e-6)
    assert marks_needed(16, 0.0, 1e-6, most=1_000) is None
    row = rank_scores(-np.arange(16.0)[None])[0].tolist()
    powers = [sequential_power(row, 24, known, 1e-6) for known in (0.0, 0.4, 0.7, 1.0)]
    assert powers == sorted(powers)
    assert powers[0] == 0
    assert powers[-1] == 1
    assert abs(sequential_power([1, *[0] * 15], 24, 0.7, 1e-6) - named_power(24, 16, 0.7, 1e-6)) < 0.1


def test_marks_that_would_be_needed_at_this_rate() -> None:
    state = Sequential()
    assert state.marks_to(1e-6) is None
    row = rank_scores(-np.arange(16.0)[None])[0].tolist()
    for _ in range(3):
        state = state.after(row, 0, largest_score(16))
    needed = state.marks_to(1e-6)
    assert needed is not None
    for _ in range(needed - 3):
        state = state.after(row, 0, largest_score(16))
    assert state.p <= 1e-6
    assert Sequential().after(row, 15, largest_score(16)).marks_to(1e-6) is None


@pytest.mark.parametrize(
    ("scores", "drawn"), [([[1, 0]], [2]), ([[1, 0]], [0, 1]), ([[1, 0]], [-1]), ([], []), ([1, 0], [0, 1])]
)
def test_shapes_that_do_not_fit_are_named(scores: list[object], drawn: list[int]) -> None:
    with pytest.raises(InputError, match="drawn answer"):
        exchange_test(np.array(scores, dtype=np.int64), drawn)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="log-probabilities are numbers"):
        rank_scores(np.array([[0.0, np.nan]]))
    with pytest.raises(InputError, match="a pair has two wordings"):
        pair_scores(np.zeros((2, 3)))
