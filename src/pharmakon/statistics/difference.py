"""How far two rates lie apart, seed by seed, and whether two treatments together do more than each alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray, Interval, student
from pharmakon.statistics.retention import chance_variance


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean over seeds of a difference of rates, with its interval, and the two-sided p-value of none."""

    value: Interval
    p_value: float
    num_seeds: int

    @property
    def is_above(self) -> bool:
        """Shown to be above 0."""
        return self.value.low > 0

    @property
    def is_below(self) -> bool:
        """Shown to be below 0."""
        return self.value.high < 0


def difference(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    trials: int | None = None,
    floor: float | None = None,
    level: float = 0.95,
) -> Difference:
    """first - second, rates of shape [seeds], the same seeds in the same order: Student's t over the differences.

    `trials`, the items behind each rate: the variance is then never taken to be below the binomial one, since two or
    three seeds may agree by chance. `floor` gives another least variance of the mean difference in place of that. One
    seed tells nothing of the spread: its interval is all of [-1, 1].
    """
    from scipy import stats

    one, other = np.atleast_1d(np.asarray(first, dtype=float)), np.atleast_1d(np.asarray(second, dtype=float))
    if one.ndim != 1 or one.shape != other.shape or not one.size:
        raise InputError(f"a difference has one rate of each kind for each seed; got {one.shape} and {other.shape}")
    if not (np.all((one >= 0) & (one <= 1)) and np.all((other >= 0) & (other <= 1))):
        raise InputError(f"rates lie in [0, 1]; got {one.tolist()} and {other.tolist()}")
    gap = one - other
    mean, num_seeds = float(gap.mean()), len(gap)
    if num_seeds == 1:
        return Difference(Interval(-1.0, mean, 1.0), 1.0, 1)
    if floor is None:
        floor = 0.0 if trials is None else chance_variance(one, trials) + chance_variance(other, trials)
    error = float(np.sqrt(max(float(gap.var(ddof=1)) / num_seeds, floor)))
    if error == 0:
        return Difference(Interval(mean, mean, mean), 1.0 if mean == 0 else 0.0, num_seeds)
    found = student(mean, error**2, num_seeds, level=level)
    p_value = 2 * float(stats.t.sf(abs(mean) / error, num_seeds - 1))
    return Difference(found.clipped(-1.0, 1.0), p_value, num_seeds)


def independent(parts: Sequence[npt.ArrayLike], control: npt.ArrayLike) -> FloatArray:
    """The rate that treatments together would have if each acted by itself: 1 - prod(1 - p) / (1 - p_0)^(k - 1).

    Bliss independence (Bliss 1939, Ann. Appl. Biol. 26:585), with the control's rate counted once. Shape [seeds].
    """
    spared = np.prod([1 - np.asarray(part, dtype=float) for part in parts], axis=0)
    left = np.maximum(1 - np.asarray(control, dtype=float), 1e-9) ** (len(parts) - 1)
    return np.asarray(np.clip(1 - spared / left, 0.0, 1.0), dtype=float)


def excess(
    together: npt.ArrayLike, parts: Sequence[npt.ArrayLike], control: npt.ArrayLike, *, trials: int
) -> Difference:
    """What treatments together do beyond Bliss independence of the same doses alone; all of shape [seeds].

    The least variance is the binomial one of every rate, carried through the formula (delta method; the control's is
    left out, for it is next to nothing where the control is quiet).
    """
    alone = [np.asarray(part, dtype=float) for part in parts]
    floor = chance_variance(np.asarray(together, dtype=float), trials)
    for index, part in enumerate(alone):
        others = float(np.prod([1 - other.mean() for place, other in enumerate(alone) if place != index]))
        floor += others**2 * chance_variance(part, trials)
    return difference(together, independent(alone, control), floor=floor)
