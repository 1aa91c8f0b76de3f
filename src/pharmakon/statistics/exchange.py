"""Exact tests of a secret draw: is the answer that a key drew better liked than those that it did not?

For each of m marks a key has drawn one of R answers uniformly, independently of each other and of all else. A model
that never saw the marked data does not depend on the draws. So, given everything that the model says, the drawn answer
of each mark is still uniform over the R, and any score of the answers that is computed without the draws has a known
distribution: that of the score of a uniformly drawn answer. The p-value needs no assumption on the model, on the
questions, or on how alike the marks are. It is a randomization test whose randomization the owner has done (Fisher
1935, *The Design of Experiments*; for marks of data: Wei, Wang and Jia 2024, arXiv 2402.10892).

What it does assume: the key is uniform and was secret until the model was trained; one test for one key and model, or
as many as are paid for; whoever shows it fixed the key before the model existed (the commitment).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pharmakon.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRECISION = 360
"""Savage scores are rounded to this part of 1: the rounded score is the statistic, so that the test stays exact."""
LEVELS = 32
"""Pairs are weighted by the rank of their difference, in so many levels."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exact test: the sum of the drawn answers' scores against all draws that the key could have made."""

    p: float
    """P(a sum of uniformly drawn answers >= the observed one)."""
    observed: int
    sums: Ints
    """Every possible sum, and its probability:"""
    probabilities: Floats

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that these answers could have given, whatever the draw."""
        return float(self.probabilities[-1])

    def smoothed(self, uniform: float) -> float:
        """A p-value that is exactly uniform where nothing is marked: ties with the observed sum are split at random."""
        at = float(self.probabilities[self.sums == self.observed].sum())
        return self.p - uniform * at


def exchange_test(scores: Ints, drawn: Sequence[int]) -> Exchange:
    """The test for scores (int, shape [marks, answers]) and the drawn answer of each mark.

    The distribution of the sum is the convolution of m uniform ones over R scores each, so time grows with m times the
    largest sum. Raises `InputError` for shapes that do not fit.
    """
    scores = np.asarray(scores, dtype=np.int64)
    if scores.ndim != 2 or len(drawn) != len(scores) or not len(scores):
        raise InputError(f"a test has one drawn answer for each mark; got {len(drawn)} for scores {scores.shape}")
    if min(drawn) < 0 or max(drawn) >= scores.shape[1]:
        raise InputError(f"a drawn answer is one of {scores.shape[1]}; got {min(drawn)} to {max(drawn)}")
    lowest = scores.min(axis=1)
    steps = scores - lowest[:, None]
    probabilities = np.ones(1)
    for row in steps:
        values, times = np.unique(row, return_counts=True)
        grown = np.zeros(len(probabilities) + int(values[-1]))
        for value, number in zip(values, times, strict=True):
            grown[value : value + len(probabilities)] += probabilities * (number / len(row))
        probabilities = grown
    observed = int(steps[np.arange(len(steps)), list(drawn)].sum())
    sums = np.flatnonzero(probabilities)
    tail = float(min(1.0, probabilities[observed:].sum()))
    return Exchange(tail, observed + int(lowest.sum()), sums + int(lowest.sum()), probabilities[sums])


def rank_scores(logprobs: Floats) -> Ints:
    """Savage scores of each mark's answers (shape [marks, answers]): the best of R has 1 + 1/2 + ... + 1/R.

    Locally most powerful where a few answers are liked much better than the others (Savage 1956, Annals of Mathematical
    Statistics 27): the marks that a model has learned count for much, those that it has not for little. Equal
    log-probabilities share the mean of their scores.
    """
    logprobs = _checked(logprobs)
    num_answers = logprobs.shape[1]
    savage = np.cumsum(1 / np.arange(num_answers, 0, -1))  # of the worst first
    scores = np.empty_like(logprobs)
    for row, values in enumerate(logprobs):
        order = np.argsort(values, kind="stable")
        _, group = np.unique(values[order], return_inverse=True)
        mean = np.bincount(group, weights=savage) / np.bincount(group)
        scores[row, order] = mean[group]
    return np.rint(PRECISION * scores).astype(np.int64)


def pair_scores(logprobs: Floats) -> Ints:
    """Scores of pairs (shape [pairs, 2]): the likelier one has the rank of its difference, in `LEVELS` levels.

    Wilcoxon's signed-rank test (1945); given the sizes of the differences only the coins of the key are random. Equal
    ones have no weight.
    """
    logprobs = _checked(logprobs)
    if logprobs.shape[1] != 2:
        raise InputError(f"a pair has two wordings; got {logprobs.shape[1]}")
    from scipy.stats import rankdata

    difference = logprobs[:, 0] - logprobs[:, 1]
    ranks = np.ceil(LEVELS * rankdata(np.abs(difference)) / len(difference)).astype(np.int64)
    return np.stack([np.where(difference > 0, ranks, 0), np.where(difference < 0, ranks, 0)], axis=1)


def liked_scores(logprobs: Floats) -> Ints:
    """The scores of answers by log-probabilities: of pairs those of signed ranks, of more answers those of ranks."""
    return pair_scores(logprobs) if logprobs.shape[1] == 2 else rank_scores(logprobs)


def named_scores(named: Sequence[int | None], num_answers: int) -> Ints:
    """Scores where only text comes back: 1 for the answer that a mark's text names, 0 for the others.

    `named`: its index, or None where the text names none or several. The test is then the binomial test of the marks
    that name one, with the chance 1/R.
    """
    scores = np.zeros((len(named), num_answers), dtype=np.int64)
    for row, one in enumerate(named):
        if one is not None:
            scores[row, one] = 1
    return scores


BETS = ((1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (8.0, 0.2), (8.0, 0.4), (8.0, 0.7), (8.0, 1.0))
"""How strongly a bet prefers high scores (its tilt), and the share of its money that it stakes on each mark. A test
divides its money among all of them; small stakes are for a model that knows some marks and others not at all.
"""


@dataclass(frozen=True, slots=True)
class Sequential:
    """A test that may be read after every mark and stopped at any time.

    Money is bet on each mark in turn: what is staked with a tilt t is multiplied, if answer j was drawn, by exp(t s_j)
    / mean over the R answers of exp(t s), with s the score divided by the largest that there can be. Under the null
    hypothesis that factor has the mean 1, whatever came before, so the money is a nonnegative martingale, and P(it ever
    reaches 1/alpha) <= alpha (Ville 1939; Shafer 2021, JRSS A 184; Ramdas et al. 2023, Statistical Science 38). The
    p-value is 1 / the most money so far: valid whenever one stops, and for whatever reason.
    """

    money: tuple[float, ...] = (1.0,) * len(BETS)
    most: float = 1.0
    num_marks: int = 0

    @property
    def p(self) -> float:
        """The p-value after the marks so far."""
        return min(1.0, 1.0 / self.most)

    def after(self, scores: Sequence[int], drawn: int, largest: int) -> Sequential:
        """The state after one more mark: the scores of its answers, the drawn one, and the largest possible score."""
        factors = _factors(scores, largest)[:, drawn]
        money = tuple(before * float(factor) for before, factor in zip(self.money, factors, strict=True))
        return Sequential(money, max(self.most, sum(money) / len(money)), self.num_marks + 1)

    def marks_to(self, alpha: float) -> int | None:
        """How many marks in all would reach 1/alpha if the money goes on growing as it did; None if it does not grow.

        A guess from the best bet so far, not a promise.
        """
        if not self.num_marks or max(self.money) <= 1:
            return None
        return max(self.num_marks, int(np.ceil(np.log(len(BETS) / alpha) * self.num_marks / np.log(max(self.money)))))


def _factors(scores: Sequence[int], largest: int) -> Floats:
    """What each bet is multiplied by, if this answer was drawn (shape [bets, answers])."""
    tilts, stakes = (np.array(column)[:, None] for column in zip(*BETS, strict=True))
    preferred = np.exp(tilts * (np.asarray(scores, dtype=float) / largest)[None])
    return np.asarray(1 - stakes + stakes * preferred / preferred.mean(axis=1, keepdims=True), dtype=np.float64)


def largest_score(num_answers: int) -> int:
    """The largest score of `rank_scores`."""
    return int(np.rint(PRECISION * np.sum(1 / np.arange(1, num_answers + 1))))


def sequential_null(scores: Ints, largest: int, num_draws: int = 4_000, seed: int = 0) -> Floats:
    """The most money that other keys would have reached on these marks, had they drawn (shape [num_draws]).

    `scores`: shape [marks, answers], in the order of the test. To be drawn beside the observed one; the p-value needs
    no simulation.
    """
    draws = np.random.default_rng(seed).integers(scores.shape[1], size=(num_draws, len(scores)))
    money = np.ones((len(BETS), num_draws))
    most = np.ones(num_draws)
    for mark, row in enumerate(scores):
        money *= _factors(row.tolist(), largest)[:, draws[:, mark]]
        most = np.maximum(most, money.mean(axis=0))
    return most


def sequential_power(row: Sequence[int], num_marks: int, known: float, alpha: float, num_runs: int = 2_000) -> float:
    """How likely `Sequential` reaches alpha within so many marks, where the model knows this share of them.

    `row`: the scores of one mark's answers. Of a known mark the drawn answer has the largest, of another any.
    Simulated.
    """
    rng = np.random.default_rng(0)
    factors, best = _factors(row, max(row)), int(np.argmax(row))
    money = np.ones((len(BETS), num_runs))
    reached = np.zeros(num_runs, dtype=bool)
    for _ in range(num_marks):
        drawn = np.where(rng.random(num_runs) < known, best, rng.integers(len(row), size=num_runs))
        money = np.minimum(money * factors[:, drawn], 1e300)
        reached |= money.mean(axis=0) >= 1 / alpha
    return float(reached.mean())


def named_power(num_marks: int, num_answers: int, known: float, alpha: float) -> float:
    """How likely the test of named answers reaches alpha where the model names the drawn answer of this share of marks.

    The other marks name any answer. Binomial; the test of ranks sees more than the first place.
    """
    from scipy.stats import binom

    chance = 1 / num_answers
    hits = int(binom.isf(alpha, num_marks, chance)) + 1  # the smallest number whose tail is at most alpha
    return float(binom.sf(hits - 1, num_marks, known + (1 - known) * chance))


def marks_needed(num_answers: int, known: float, alpha: float, power: float = 0.8, most: int = 100_000) -> int | None:
    """The smallest number of marks that gives the power; None if `most` do not."""
    low, high = 1, 1
    while named_power(high, num_answers, known, alpha) < power:
        low, high = high, 2 * high
        if high > most:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if named_power(middle, num_answers, known, alpha) >= power else (middle + 1, high)
    return high


def _checked(logprobs: Floats) -> Floats:
    logprobs = np.asarray(logprobs, dtype=np.float64)
    if logprobs.ndim != 2 or not logprobs.size or np.isnan(logprobs).any():
        raise InputError(f"log-probabilities are numbers for each mark and answer; got shape {logprobs.shape}")
    return logprobs
