"""From which dose on does something hold? Doses are tested from the highest down until one fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pharmakon.statistics.intervals import Interval


def lowest_from(holds: Mapping[int, bool]) -> int | None:
    """The lowest dose at which it holds, as it does at every higher one; None where it does not at the highest.

    The order of the tests is fixed beforehand, from the highest dose down, and the first that fails ends them: the
    error over all doses is then that of one test (Maurer, Hothorn and Lehmacher 1995).
    """
    found = None
    for dose in sorted(holds, reverse=True):
        if not holds[dose]:
            break
        found = dose
    return found


def raised_from(rises: Iterable[tuple[int, Interval]]) -> int | None:
    """The lowest dose from which on every interval lies above 0; None if that of the highest does not."""
    return lowest_from({dose: rise.low > 0 for dose, rise in rises})
