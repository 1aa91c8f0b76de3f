"""Directions in hidden states that tell two kinds of prompts apart, and how well they do so for states not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Direction:
    """A unit vector from the mean of one kind of states to that of another, and the point half way between them."""

    vector: FloatArray
    """Shape [width], of length 1."""
    centre: FloatArray
    """Shape [width]."""
    length: float
    """How far apart the two means are."""

    @staticmethod
    def between(without: npt.ArrayLike, with_it: npt.ArrayLike) -> Direction:
        """The difference of means, from states without a property to states with it; each of shape [states, width].

        The simplest linear probe, and the direction that moves a model most reliably when it is added (Marks and
        Tegmark 2023, arXiv 2310.06824). Raises InputError where the means are the same.
        """
        low, high = _states(without), _states(with_it)
        if low.shape[1] != high.shape[1]:
            raise InputError(f"both kinds of states have one width; got {low.shape[1]} and {high.shape[1]}")
        start, end = low.mean(axis=0), high.mean(axis=0)
        length = float(np.linalg.norm(end - start))
        if not length > 0:
            raise InputError("states of both kinds have the same mean: there is no direction between them")
        return Direction((end - start) / length, (start + end) / 2, length)

    def scores(self, states: npt.ArrayLike) -> FloatArray:
        """How far along the direction states are, from the centre; shape [states]. Above 0: nearer to `with_it`."""
        return np.asarray((_states(states) - self.centre) @ self.vector, dtype=float)


def held_out_scores(
    states: npt.ArrayLike, labels: Sequence[bool], groups: Sequence[int | str], *, folds: int = 5, seed: int = 0
) -> FloatArray:
    """What a linear probe says of each state, trained without the states of its group; shape [states].

    Logistic regression on standardised states (Alain and Bengio 2016, arXiv 1610.01644; scikit-learn), by folds that
    never split a group: a prompt and its twin with a trigger belong together, else the probe knows the question. A
    score is the log-odds of the label. Raises InputError for fewer than two groups or a single label.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    given, wanted, owners = _states(states), np.asarray(labels, dtype=bool), np.asarray(groups)
    if not len(given) == len(wanted) == len(owners):
        raise InputError(f"each state has a label and a group; got {len(given)}, {len(wanted)} and {len(owners)}")
    num_groups = len(set(owners.tolist()))
    if num_groups < 2 or wanted.all() or not wanted.any():
        raise InputError("a linear probe needs states of two groups or more and of both labels")
    scores = np.zeros(len(given))
    splits = GroupKFold(n_splits=min(folds, num_groups), shuffle=True, random_state=seed)
    for train, test in splits.split(given, wanted, owners):
        if wanted[train].all() or not wanted[train].any():
            raise InputError("a fold of a linear probe has one label alone; give groups that hold both")
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1_000))
        probe.fit(given[train], wanted[train])
        scores[test] = probe.decision_function(given[test])
    return scores


def _states(states: npt.ArrayLike) -> FloatArray:
    found = np.asarray(states, dtype=float)
    if found.ndim != 2 or not len(found):
        raise InputError(f"states have the shape [states, width], one state or more; got {list(found.shape)}")
    return found
