"""Doses are tested from the highest down, and the first that fails ends it."""

from __future__ import annotations

from pharmakon.statistics import Interval, lowest_from, raised_from


def test_what_fails_stops_the_search() -> None:
    assert lowest_from({10: True, 1: False, 3: True}) == 3  # in whatever order they are given
    assert lowest_from({1: True, 3: False, 10: True}) == 10
    assert lowest_from({1: True, 3: True, 10: False}) is None
    assert lowest_from({}) is None
    assert lowest_from({0: True, 1: True}) == 0


def test_a_rise_is_an_interval_above_zero() -> None:
    up, none = Interval(0.1, 0.2, 0.3), Interval(0.0, 0.1, 0.3)
    assert raised_from([(1, none), (3, up), (10, up)]) == 3
    assert raised_from([(1, up), (3, none), (10, up)]) == 10
    assert raised_from([(1, up), (3, up), (10, none)]) is None
