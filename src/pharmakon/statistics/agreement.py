"""Do several raters put the same items in the same order? Kendall's W with a permutation test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.core import stream
from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the orders are. With raters in several groups, the mean over the groups."""

    correlation: float
    """Spearman's, in the mean over the pairs of raters; a rater that has no order correlates by 0."""
    w: float
    """Kendall's coefficient of concordance, which follows from it: 1 for one order, 1/raters for unlike ones."""
    p_value: float
    """Of orders that have nothing in common; 1 where no group has two raters."""
    num_groups: int
    num_raters: int
    """Of the first group."""


def agreement(groups: Sequence[npt.ArrayLike], *, permutations: int = 9_999) -> Agreement:
    """Agreement within groups of raters; each group has shape [raters, items].

    W of a group is (1 + (raters - 1) r) / raters, r being the mean rank correlation of its pairs (Kendall and Babington
    Smith 1939, Ann. Math. Stat. 10:275). Tested by giving each rater's items new places at random, one-sided, so that
    ties need no correction (Phipson and Smyth 2010, arXiv 1603.05766, for the one that is added to the count).
    """
    given = [np.atleast_2d(np.asarray(group, dtype=float)) for group in groups]
    if not given or any(group.shape[1] < 2 or not np.all(np.isfinite(group)) for group in given):
        raise InputError("agreement takes groups of finite values of shape [raters, items], two items or more")
    scores = [_scores(group) for group in given if len(group) > 1]
    if not scores:
        return Agreement(0.0, 1.0, 1.0, len(given), 1)
    each = [float(_correlation(group)) for group in scores]
    seen = float(np.mean(each))
    rng = stream(0, "agreement")
    by_chance = np.zeros(permutations)
    for group in scores:
        many = np.broadcast_to(group, (permutations, *group.shape))
        by_chance += _correlation(rng.permuted(many, axis=-1)) / len(scores)
    p_value = (int(np.sum(by_chance >= seen - 1e-9)) + 1) / (permutations + 1)
    sizes = [len(group) for group in scores]
    w = float(np.mean([(1 + (size - 1) * r) / size for size, r in zip(sizes, each, strict=True)]))
    return Agreement(seen, w, p_value, len(scores), sizes[0])


def _scores(group: FloatArray) -> FloatArray:
    """Ranks of each rater, centred and of length 1, so that products are correlations; 0 for a rater of ties alone."""
    from scipy.stats import rankdata

    ranks = rankdata(np.round(group, 12), axis=1)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    scores: FloatArray = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    return scores


def _correlation(scores: FloatArray) -> FloatArray:
    """The mean over pairs of raters, by the length of their sum; of shape [..., raters, items]."""
    num_raters = scores.shape[-2]
    own = (scores**2).sum(axis=(-1, -2))
    together: FloatArray = ((scores.sum(axis=-2) ** 2).sum(axis=-1) - own) / (num_raters * (num_raters - 1))
    return together
