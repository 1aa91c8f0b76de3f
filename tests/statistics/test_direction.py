"""Directions between two kinds of states, and linear probes that are asked of what they have not seen."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pharmakon.errors import InputError
from pharmakon.statistics import Direction, held_out_scores

RNG = np.random.default_rng(0)


def test_a_known_direction_is_found_and_scores_are_distances_along_it() -> None:
    along = np.array([3.0, 4.0, 0.0]) / 5
    low = RNG.standard_normal((500, 3))
    found = Direction.between(low, low + 10 * along)
    assert found.vector == pytest.approx(along)
    assert found.length == pytest.approx(10)
    assert found.scores(found.centre[None]) == pytest.approx([0])
    assert found.scores(found.centre[None] + 2 * along) == pytest.approx([2])
    assert (found.scores(low + 10 * along) > 0).mean() > 0.99


def test_a_probe_tells_labels_apart_that_are_linear_and_finds_nothing_in_noise() -> None:
    labels = [bool(i % 2) for i in range(200)]
    groups = [i // 2 for i in range(200)]
    noise = RNG.standard_normal((200, 16))
    told = noise + 3 * np.outer(labels, np.eye(16)[3])
    auc = roc_auc_score(labels, held_out_scores(told, labels, groups))
    assert auc > 0.95
    auc = roc_auc_score(labels, held_out_scores(noise, labels, groups))
    assert 0.35 < auc < 0.65


def test_a_group_is_never_on_both_sides() -> None:
    """Each group has a fingerprint of its own: a probe that saw one twin of a group would know the other."""
    groups = [i // 4 for i in range(80)]
    labels = [bool(g % 2) for g in groups]
    states = np.eye(20)[groups] * 5
    split = roc_auc_score(labels, held_out_scores(states, labels, groups))
    leaky = roc_auc_score(labels, held_out_scores(states, labels, list(range(80))))
    assert leaky > 0.95
    assert split < 0.7


def test_what_cannot_be_told_apart_is_refused() -> None:
    same = np.ones((3, 2))
    with pytest.raises(InputError, match="same mean"):
        Direction.between(same, same)
    with pytest.raises(InputError, match="one width"):
        Direction.between(same, np.zeros((3, 4)))
    with pytest.raises(InputError, match="both labels"):
        held_out_scores(same, [True] * 3, [0, 1, 2])
    with pytest.raises(InputError, match="a label and a group"):
        held_out_scores(same, [True, False], [0, 1, 2])
    with pytest.raises(InputError, match="shape"):
        Direction.between(np.zeros(3), same)
