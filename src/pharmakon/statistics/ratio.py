"""How many times as large is one estimate as another? Of two estimates that are independent."""

from __future__ import annotations

import numpy as np

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import Interval


def ratio(top: Interval, bottom: Interval) -> Interval:
    """The ratio of two positive estimates, with the limits that follow from theirs.

    The method of variance estimates recovery on the logarithms (MOVER; Zou and Donner 2008, Stat. Med. 27:1693): the
    distances of the limits from the estimates are added as squares, each to its own side, so that they need not be
    symmetric. It has the level of the two intervals. A limit of 0 or infinity makes one of the ratio infinite or 0.
    """
    for name, value in (("top", top), ("bottom", bottom)):
        if not (value.low >= 0 and 0 < value.estimate < np.inf):
            raise InputError(f"a ratio is of positive estimates; {name} is {value}")
    with np.errstate(divide="ignore"):
        low_a, a, high_a = np.log([top.low, top.estimate, top.high])
        low_b, b, high_b = np.log([bottom.low, bottom.estimate, bottom.high])
    low = a - b - float(np.hypot(a - low_a, high_b - b))
    high = a - b + float(np.hypot(high_a - a, b - low_b))
    estimate = top.estimate / bottom.estimate
    return Interval(min(float(np.exp(low)), estimate), estimate, max(float(np.exp(high)), estimate))
