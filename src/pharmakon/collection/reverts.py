"""Which edits of a page were reverted, by whom and how soon.

An identity revert restores the page to what it was: its digest equals that of an earlier revision, with at most
`radius` revisions between, and these are reverted (Halfaker's mwreverts, radius 15; also MediaWiki's own rule,
`$wgManualRevertSearchRadius`). Reverts that change a little on the way are not seen, and edits that were improved away
are not counted as reverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.dump import Edited, History

RADIUS = 15


@dataclass(frozen=True, slots=True)
class Reverts:
    """What a page's own revisions say of each of them; lists of one length."""

    by: list[int | None]
    """The index of the first revision that reverted it."""
    is_new: list[bool]
    """It brought a content that the page had not had within the radius. A page's first revision is not an edit."""


def reverts(revisions: Sequence[Edited], radius: int = RADIUS) -> Reverts:
    """Identity reverts among revisions in the order of time."""
    by: list[int | None] = [None] * len(revisions)
    is_new = [False, *[True] * (len(revisions) - 1)][: len(revisions)]
    newest: dict[str, int] = {}
    for index, revision in enumerate(revisions):
        if revision.digest is None:
            continue
        before = newest.get(revision.digest)
        newest[revision.digest] = index
        if before is None or index - before - 1 > radius:
            continue
        is_new[index] = False
        for between in range(before + 1, index):
            if by[between] is None:
                by[between] = index
    return Reverts(by, is_new)


@dataclass(frozen=True, slots=True)
class Followed:
    """The new edits of a page up to a time, each followed until it was reverted or was last seen to stand."""

    made: NDArray[np.int64]
    """Seconds since 1970 UTC."""
    minutes: NDArray[np.float64]
    reverted: NDArray[np.bool_]
    """By another than its author. The others are censored: they stood at the time, were taken back by their author, or
    so many revisions followed that a revert could no longer be seen."""

    def __len__(self) -> int:
        return len(self.made)


def follow(history: History, until: int, radius: int = RADIUS) -> Followed:
    """What was known at `until` about the page's edits; nothing that was done later counts."""
    revisions, known = history.revisions, reverts(history.revisions, radius)
    made, minutes, reverted = [], [], []
    for index, (revision, is_new, by) in enumerate(zip(revisions, known.is_new, known.by, strict=True)):
        if not is_new or revision.time > until:
            continue
        end, event = until, False
        if by is not None and revisions[by].time <= until:
            end, event = revisions[by].time, not _same(revisions[by].user, revision.user)
        elif index + radius < len(revisions):
            end = min(until, revisions[index + radius].time)
        made.append(revision.time)
        minutes.append((end - revision.time) / 60)
        reverted.append(event)
    return Followed(np.array(made, dtype=np.int64), np.array(minutes, dtype=float), np.array(reverted, dtype=bool))


def shown_and_reverted(history: History, at: int, radius: int = RADIUS) -> bool:
    """What the page showed at `at` was a new edit that another than its author reverted afterwards."""
    revisions, known = history.revisions, reverts(history.revisions, radius)
    index = int(np.searchsorted([revision.time for revision in revisions], at, side="right")) - 1
    by = known.by[index] if index >= 0 else None
    if index < 0 or by is None or not known.is_new[index]:
        return False
    return not _same(revisions[by].user, revisions[index].user)


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and one == other
