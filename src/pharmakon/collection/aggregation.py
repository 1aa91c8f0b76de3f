"""Many ratings of a snippet become one label: by mean, by majority, or weighed by how far each rater is to be trusted.

Dawid and Skene 1979 (*Applied Statistics* 28:20) estimate a table of errors for each rater; MACE (Hovy 2013, N13-1132)
how often each rater spams. Both are those of the crowd-kit library.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pharmakon.collection.annotators import FloatArray
from pharmakon.errors import SpecError
from pharmakon.extras import need

Aggregator = Literal["mean", "majority", "dawid-skene", "mace"]
AGGREGATORS: tuple[Aggregator, ...] = get_args(Aggregator)

NUM_ITERATIONS = 20
"""Of MACE: with 20 ratings a snippet, 50 change the estimates in the fourth digit."""


@dataclass(frozen=True, eq=False, slots=True)
class Aggregate:
    """The labels of snippets, and how reliable their raters seem."""

    labels_S: npt.NDArray[np.int64]
    """1 positive, -1 negative, 0 no label: a tie, or no rating that says either."""
    skill_R: FloatArray
    """Higher is better; NaN for a rater without a vote. Mean and majority: the share of votes that agree with the
    label. Dawid-Skene: the estimated share of right votes. MACE: the estimated share that is not spam."""


def aggregate(ratings_SR: FloatArray, how: Aggregator) -> Aggregate:
    """One label for each snippet. A rating votes with its sign; a rating of 0 does not vote, but counts in the mean."""
    check_aggregator(how)
    votes_SR = np.sign(np.nan_to_num(ratings_SR)).astype(np.int64)
    if how in ("mean", "majority"):
        sums_S = np.nansum(ratings_SR, axis=1) if how == "mean" else votes_SR.sum(axis=1)
        labels_S = np.sign(sums_S).astype(np.int64)
        return Aggregate(labels_S, agreement(votes_SR, labels_S))
    need("collection", "aggregating annotators")
    return _crowd_kit(votes_SR, _dawid_skene if how == "dawid-skene" else _mace)


def check_aggregator(how: str) -> None:
    """Refuse what is not one of the ways."""
    if how not in AGGREGATORS:
        raise SpecError(f"labels are aggregated by {', '.join(AGGREGATORS)}; got {how!r}")


def agreement(votes_SR: npt.NDArray[np.int64], labels_S: npt.NDArray[np.int64]) -> FloatArray:
    """The share of each rater's votes that agree with the label, of those on snippets that have one."""
    counted_SR = (votes_SR != 0) & (labels_S != 0)[:, None]
    agreed_R = np.sum(counted_SR & (votes_SR == labels_S[:, None]), axis=0)
    counted_R = counted_SR.sum(axis=0)
    return np.where(counted_R > 0, agreed_R / np.maximum(counted_R, 1), np.nan)


Solve = Callable[[Any, int, int], tuple[FloatArray, FloatArray]]
"""Votes -> the probability of each label of each snippet, and the skill of each rater."""


def _crowd_kit(votes_SR: npt.NDArray[np.int64], solve: Solve) -> Aggregate:
    """crowd-kit on those who voted, and back to all.

    Its MACE numbers raters, snippets and labels by first appearance in one place and sorts them in another, so each is
    numbered here such that both orders are the same.
    """
    import pandas as pd

    raters, snippets = np.nonzero(votes_SR.T)  # sorted by rater
    labels_S = np.zeros(len(votes_SR), dtype=np.int64)
    skill_R = np.full(votes_SR.shape[1], np.nan)
    if not len(raters):
        return Aggregate(labels_S, skill_R)
    votes = votes_SR[snippets, raters]
    signs = list(dict.fromkeys(votes.tolist()))
    voted, worker = np.unique(raters, return_inverse=True)
    rated = np.array(list(dict.fromkeys(snippets.tolist())))
    place_S = np.zeros(len(votes_SR), dtype=np.int64)
    place_S[rated] = np.arange(len(rated))
    label = np.where(votes == signs[0], 0, 1)
    table = pd.DataFrame({"task": place_S[snippets], "worker": worker, "label": label})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library uses what pandas will drop
        likely_SL, skill = solve(table, len(signs), len(voted))
    labels_S[rated] = np.array(signs)[likely_SL.argmax(axis=1)]
    skill_R[voted] = skill
    return Aggregate(labels_S, skill_R)


def _dawid_skene(table: Any, num_labels: int, num_raters: int) -> tuple[FloatArray, FloatArray]:
    from crowdkit.aggregation import DawidSkene

    model = DawidSkene(n_iter=100).fit(table)
    order = list(range(num_labels))
    errors_RLL = np.zeros((num_raters, num_labels, num_labels))  # rater, label given, true label
    given = model.errors_.index
    errors_RLL[given.get_level_values("worker"), given.get_level_values("label")] = model.errors_[order].to_numpy()
    right_R = np.einsum("rll,l->r", errors_RLL, model.priors_.reindex(order).to_numpy())
    return model.probas_.sort_index()[order].to_numpy(), right_R


def _mace(table: Any, num_labels: int, num_raters: int) -> tuple[FloatArray, FloatArray]:
    from crowdkit.aggregation import MACE

    # One start: with a fixed random state every restart of the library is the same.
    model = MACE(n_restarts=1, n_iter=NUM_ITERATIONS).fit(table)
    return model.probas_.sort_index()[list(range(num_labels))].to_numpy(), model.spamming_[:, 1]
