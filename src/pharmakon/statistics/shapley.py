"""Shapley's value: the share of each part in what the whole does, fair in the sense of his axioms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import comb

import numpy as np

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray


def shapley(values: Mapping[tuple[bool, ...], float]) -> FloatArray:
    """The exact value of each part, from what every subset of the parts does; [parts].

    `values` has all 2^n subsets, each as n flags. A part's value is what it adds to a subset of the others, in the mean
    over the sizes of the subset and over the subsets of each size (Shapley 1953, *Contributions to the Theory of Games*
    2:307). The values add up to what the whole does beyond nothing. Raises InputError where a subset is missing.
    """
    num_parts = len(next(iter(values), ()))
    every = list(product((False, True), repeat=num_parts))
    missing = [subset for subset in every if subset not in values]
    if not num_parts or missing:
        shown = "".join("+" if flag else "-" for flag in missing[0]) if num_parts else "any"
        raise InputError(f"Shapley values need every subset of one part or more; {shown} is missing")
    found = np.zeros(num_parts)
    for subset in every:
        size = sum(subset)
        for part in range(num_parts):
            if not subset[part]:
                with_it = (*subset[:part], True, *subset[part + 1 :])
                gained = values[with_it] - values[subset]
                found[part] += gained / (num_parts * comb(num_parts - 1, size))
    return found
