"""Which record of now is which record of then, and which of them kept their order.

Two sequences of records lie on disk (`Spool`); their places are what is held in memory: 4 bytes a record of now and
one of then between the first difference and the last, and 4 more if any is out of order.

A record's key is its address; without addresses, its content.

- Same beginning and end are set aside. If nearly all between is the same in the same place, that is matched; else runs
  of the same records are, each found by a record near the end of the run before.
- The rest is matched by key, a share of all keys at a time so that memory stays small: first what is there once on
  both sides; then copies, by their content and by their neighbours; then what is left of the copies, the first with
  the first.
- Kept in order is a longest subsequence of the matched records whose order is the same: taking the others, the fewest
  possible, out of both leaves the same order. (Schensted 1961; by patience sorting, as in patience diff.)
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.spool import STEP, Spool, steps
from pharmakon.errors import InputError

BUCKET = 100_000
"""Records of a side that are matched at once."""
WINDOW = 1_024
"""Records of a side among which the next run is looked for."""
MAX_RUNS = 10_000
"""Beyond these, matching by key is faster."""
FIRST_STEP = 256
MOSTLY = 0.9
MAX_RECORDS = 2**31 - 1
MIX = np.uint64(0x9E3779B97F4A7C15)

Words = NDArray[np.uint64]


class Alignment:
    """Records of then and now from `start` on, up to the same end; places count from the beginning of the spools."""

    def __init__(self, then: Spool, now: Spool) -> None:
        self.then, self.now = then, now
        self.start, tail = _same_ends(then, now)
        self.num_then, self.num_now = len(then) - tail - self.start, len(now) - tail - self.start
        self.num_outside = self.start + tail
        if max(self.num_then, self.num_now) > MAX_RECORDS:
            raise InputError(f"records that differ are told apart up to {MAX_RECORDS:,}; check the data in parts")
        self.match = np.full(self.num_now, -1, dtype=np.int32)
        """For each record of now, its place p among those of then; -1 for none; -2 - p if it is out of order."""
        self.matched = np.zeros(self.num_then, dtype=bool)
        if not self._match_in_place():
            self._match_runs()
        self._match_by(_key, unique=True)
        if then.named:
            self._match_by(_key_and_content)
        self._match_neighbours()
        self._match_by(_key)
        _mark_out_of_order(self.match)

    @property
    def num_matched(self) -> int:
        return int(np.count_nonzero(self.matched))

    def _match_in_place(self) -> bool:
        """Match the same records in the same place, if that is nearly all."""
        if self.num_then != self.num_now:
            return False
        same = np.zeros(self.num_now, dtype=bool)
        for begin, end in steps(0, self.num_now):
            same[begin:end] = self._same(begin, begin, end - begin)
        if same.sum() < MOSTLY * len(same):
            return False
        self.matched |= same
        for begin, end in steps(0, self.num_now):
            places = np.flatnonzero(same[begin:end]) + begin
            self.match[places] = places
        return True

    def _match_runs(self) -> None:
        """Match runs of the same records. Where one ends, the next is found by the nearest that both have once."""
        then = now = num_runs = 0
        step = FIRST_STEP
        while then < self.num_then and now < self.num_now and num_runs < MAX_RUNS:
            count = min(step, self.num_then - then, self.num_now - now)
            same = self._same(then, now, count)
            length = count if same.all() else int(np.argmin(same))
            self._accept_run(then, now, length)
            then, now, step = then + length, now + length, min(2 * step, STEP)
            if length == count:
                continue
            num_runs, step = num_runs + 1, FIRST_STEP
            windows = self._window(self.then, then, self.num_then), self._window(self.now, now, self.num_now)
            ours, theirs = _pairs(*windows, unique=True)
            if not len(ours):
                then, now = then + WINDOW, now + WINDOW
                continue
            nearest = int(np.argmin(ours + theirs))
            skipped = int(ours[nearest]), int(theirs[nearest])
            then, now = then + skipped[0], now + skipped[1]
            # What is the same just before it has copies nearby, or it would have been found itself.
            back = next(
                (n for n in range(min(skipped)) if not self._same(then - n - 1, now - n - 1, 1)[0]), min(skipped)
            )
            self._accept_run(then - back, now - back, back)

    def _same(self, then: int, now: int, count: int) -> NDArray[np.bool_]:
        """For so many records from these places on: key and content are the same."""
        return _same(self.then, self.start + then, self.now, self.start + now, count)

    def _same_key(self, then: int, now: int) -> bool:
        ours, theirs = self.start + then, self.start + now
        return self.then.keys.read(ours, ours + 1) == self.now.keys.read(theirs, theirs + 1)

    def _window(self, spool: Spool, place: int, end: int) -> Words:
        return _key_and_content(spool, self.start + place, self.start + min(end, place + WINDOW))

    def _match_neighbours(self) -> None:
        """Match what follows, and what precedes, a matched record on both sides and has the same key."""
        for step, places in ((1, self.appeared()), (-1, self.appeared(backwards=True))):
            edge = 0 if step == 1 else self.num_now - 1
            for place in places:
                neighbour = -1 if step == 1 else self.num_then
                if place != edge and (neighbour := int(self.match[place - step])) < 0:
                    continue
                was = neighbour + step
                if 0 <= was < self.num_then and not self.matched[was] and self._same_key(was, place):
                    self._accept_run(was, place, 1)

    def _match_by(self, key: Callable[[Spool, int, int], Words], *, unique: bool = False) -> None:
        """Match what has no match by its key; `unique`: only keys that are there once on either side."""
        if self.num_matched == min(self.num_then, self.num_now):
            return
        num_buckets = -(-(max(self.num_then, self.num_now) - self.num_matched) // BUCKET)
        for bucket in range(num_buckets):
            then, places_then = self._bucket(self.then, key, bucket, num_buckets)
            now, places_now = self._bucket(self.now, key, bucket, num_buckets)
            a, b = _pairs(then, now, unique=unique)
            self._accept(places_then[a], places_now[b])

    def _bucket(
        self, spool: Spool, key: Callable[[Spool, int, int], Words], bucket: int, of: int
    ) -> tuple[Words, NDArray[np.int64]]:
        """Keys and places of the unmatched records of one side in one bucket."""
        keys, places = [], []
        for begin, end in steps(0, self.num_then if spool is self.then else self.num_now):
            chosen = ~self.matched[begin:end] if spool is self.then else self.match[begin:end] < 0
            if not chosen.any():
                continue
            words = key(spool, self.start + begin, self.start + end)
            if of > 1:
                chosen &= words[:, 0] % np.uint64(of) == np.uint64(bucket)
            keys.append(words[chosen])
            places.append(np.flatnonzero(chosen) + begin)
        if not keys:
            return np.empty((0, 1), dtype=np.uint64), np.empty(0, dtype=np.int64)
        return np.concatenate(keys), np.concatenate(places)

    def _accept(self, then: NDArray[np.int64], now: NDArray[np.int64]) -> None:
        self.match[now] = then
        self.matched[then] = True

    def _accept_run(self, then: int, now: int, length: int) -> None:
        self.match[now : now + length] = np.arange(then, then + length, dtype=np.int32)
        self.matched[then : then + length] = True

    def vanished(self) -> Iterator[int]:
        """Places of records that are only in the manifest."""
        return _where(self.num_then, lambda a, b: ~self.matched[a:b])

    def appeared(self, *, backwards: bool = False) -> Iterator[int]:
        """Places of records that are only in the data."""
        return _where(self.num_now, lambda a, b: self.match[a:b] == -1, backwards=backwards)

    def in_order(self) -> Iterator[int]:
        """Places in the data of records that are matched and in order."""
        return _where(self.num_now, lambda a, b: self.match[a:b] >= 0)

    def reordered(self) -> Iterator[int]:
        """Places in the data of records that are matched and out of order."""
        return _where(self.num_now, lambda a, b: self.match[a:b] < -1)

    def then_of(self, place: int) -> int:
        """The place in the manifest of a matched record of the data."""
        was = int(self.match[place])
        return was if was >= 0 else -2 - was

    def changed_content(self) -> Iterator[tuple[int, int]]:
        """Matched records, as (then, now), whose content is not the same; without addresses there are none."""
        if not self.then.named:
            return
        for begin, end in steps(0, self.num_now):
            places = np.flatnonzero(self.match[begin:end] != -1)
            was = self.match[begin:end][places]
            was = np.where(was >= 0, was, -2 - was)
            digests = self.now.words(self.now.digests, self.start + begin, self.start + end)[places]
            cuts = np.flatnonzero(np.diff(was) != 1) + 1
            for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(was)], strict=True):
                if first == last:
                    continue
                run = self.start + int(was[first])
                before = self.then.words(self.then.digests, run, run + last - first)
                for at in np.flatnonzero((before != digests[first:last]).any(axis=1)) + first:
                    yield int(was[at]), begin + int(places[at])


def _where(num_places: int, mask: Callable[[int, int], NDArray[np.bool_]], *, backwards: bool = False) -> Iterator[int]:
    order = -1 if backwards else 1
    for begin, end in list(steps(0, num_places))[::order]:
        yield from (np.flatnonzero(mask(begin, end))[::order] + begin).tolist()


def _same(then: Spool, ours: int, now: Spool, theirs: int, count: int) -> NDArray[np.bool_]:
    """For so many records from these places on: key and content are the same."""
    columns = [(then.digests, now.digests), (then.keys, now.keys)][: 1 + then.named]
    same = np.ones(count, dtype=bool)
    for one, other in columns:
        same &= (then.words(one, ours, ours + count) == now.words(other, theirs, theirs + count)).all(axis=1)
    return same


def _same_ends(then: Spool, now: Spool) -> tuple[int, int]:
    """How many records are the same at the beginning, and at the end."""
    most = min(len(then), len(now))
    head = most
    for begin, end in steps(0, most):
        same = _same(then, begin, now, begin, end - begin)
        if not same.all():
            head = begin + int(np.argmin(same))
            break
    tail = most - head
    for begin, end in steps(0, most - head):
        same = _same(then, len(then) - end, now, len(now) - end, end - begin)
        if not same.all():
            tail = begin + int(np.argmin(same[::-1]))
            break
    return head, tail


def _key(spool: Spool, start: int, stop: int) -> Words:
    return spool.words(spool.keys, start, stop)


def _key_and_content(spool: Spool, start: int, stop: int) -> Words:
    """Both, behind a word that depends on both: rows are told apart by the first word before the others."""
    keys = _key(spool, start, stop)
    if not spool.named:
        return keys
    contents = spool.words(spool.digests, start, stop)
    return np.concatenate([keys[:, :1] + contents[:, :1] * MIX, keys, contents], axis=1)


def _pairs(then: Words, now: Words, *, unique: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows with the same key: the first with the first, the second with the second, and so on."""
    nothing = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if not len(then) or not len(now):
        return nothing
    words = np.concatenate([then, now])
    order = np.argsort(words[:, 0], kind="stable")
    new = _begins(words[order])
    same_first = words[order[1:], 0] == words[order[:-1], 0]
    if (same_first & new[1:]).any():  # different keys, same first word: somebody's deliberate work
        order = np.lexsort(tuple(words[:, column] for column in reversed(range(words.shape[1]))))
        new = _begins(words[order])
    group = np.cumsum(new) - 1
    is_now = order >= len(then)
    first = np.flatnonzero(new)
    counts_now = np.bincount(group, weights=is_now, minlength=len(first)).astype(np.int64)
    counts = np.diff(np.append(first, len(order)))
    counts_then = counts - counts_now
    if unique:
        whole = (counts_now == 1) & (counts_then == 1)
        return order[first[whole]].astype(np.int64), order[first[whole] + 1].astype(np.int64) - len(then)
    # In a group, those of then come first, both in their order: the sort is stable.
    rank = np.arange(len(order)) - first[group]
    rank = np.where(is_now, rank - counts_then[group], rank)
    taken = rank < np.minimum(counts_then, counts_now)[group]
    return order[taken & ~is_now].astype(np.int64), order[taken & is_now].astype(np.int64) - len(then)


def _begins(words: Words) -> NDArray[np.bool_]:
    """Rows that differ from the one before."""
    new = np.ones(len(words), dtype=bool)
    new[1:] = (words[1:] != words[:-1]).any(axis=1)
    return new


def _mark_out_of_order(match: NDArray[np.int32]) -> None:
    """Mark what is not in one longest increasing subsequence. The lengths that end at each record go to disk."""
    if _increasing(match):
        return
    ends = np.zeros(int(np.count_nonzero(match >= 0)), dtype=np.int32)
    longest = 0  # ends[k], for k below it: the smallest last value of an increasing subsequence of length k + 1
    with tempfile.TemporaryFile() as file:
        for begin, end in steps(0, len(match)):
            values = match[begin:end]
            lengths, longest = _lengths(values[values >= 0], ends, longest)
            file.write(lengths.tobytes())
        del ends
        _walk_back(match, file, longest)


def _increasing(match: NDArray[np.int32]) -> bool:
    last = -1
    for begin, end in steps(0, len(match)):
        values = match[begin:end]
        values = values[values >= 0]
        if len(values) and (values[0] <= last or (np.diff(values) <= 0).any()):
            return False
        last = int(values[-1]) if len(values) else last
    return True


def _lengths(values: NDArray[np.int32], ends: NDArray[np.int32], longest: int) -> tuple[NDArray[np.int32], int]:
    """For each value, the length of the longest increasing subsequence that it ends; and the longest so far."""
    if len(values) and (not longest or values[0] > ends[longest - 1]) and (np.diff(values) > 0).all():
        before, longest = longest, longest + len(values)
        ends[before:longest] = values
        return np.arange(before + 1, longest + 1, dtype=np.int32), longest
    view = memoryview(cast("Any", ends))
    lengths = []
    for value in values.tolist():
        place = longest if not longest or value > view[longest - 1] else bisect_left(view, value, 0, longest)
        view[place] = value
        longest = max(longest, place + 1)
        lengths.append(place + 1)
    return np.array(lengths, dtype=np.int32), longest


def _walk_back(match: NDArray[np.int32], file: IO[bytes], longest: int) -> None:
    """From the end: keep the first record of each length that is below the one kept before it; mark the others."""
    need, last = longest, MAX_RECORDS + 1
    row = file.tell() // 4
    for begin, end in reversed(list(steps(0, len(match)))):
        places = np.flatnonzero(match[begin:end] >= 0)
        row -= len(places)
        file.seek(row * 4)
        lengths = np.frombuffer(file.read(4 * len(places)), dtype=np.int32).tolist()
        values = match[begin:end][places].tolist()
        for at in range(len(places) - 1, -1, -1):
            if lengths[at] == need and values[at] < last:
                need, last = need - 1, values[at]
            else:
                match[begin + places[at]] = -2 - values[at]
