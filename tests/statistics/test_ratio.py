"""The ratio of two estimates: by hand, against simulation, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import Interval, ratio


def test_symmetric_limits_add_as_squares() -> None:
    top, bottom = (Interval(np.exp(m - r), np.exp(m), np.exp(m + r)) for m, r in ((2.0, 0.3), (1.0, 0.4)))
    found = ratio(top, bottom)
    assert np.log([found.low, found.estimate, found.high]) == pytest.approx([0.5, 1.0, 1.5])


def test_it_covers_as_often_as_its_parts() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for a, b in rng.normal([0.0, 1.0], [0.2, 0.4], size=(2_000, 2)):
        parts = [Interval(np.exp(x - 1.96 * s), np.exp(x), np.exp(x + 1.96 * s)) for x, s in ((a, 0.2), (b, 0.4))]
        covered += np.exp(-1.0) in ratio(*parts)
    assert 0.935 < covered / 2_000 < 0.965


def test_a_limit_that_is_not_known_stays_unknown() -> None:
    found = ratio(Interval(0.0, 2.0, 4.0), Interval(1.0, 2.0, np.inf))
    assert (found.low, found.estimate) == (0.0, 1.0)
    assert 2.0 < found.high < np.inf
    with pytest.raises(InputError, match="positive estimates; bottom is"):
        ratio(Interval(1, 2, 3), Interval(-1, 0, 1))
