"""Check a data set against its manifest: which records changed, vanished, appeared or were reordered.

With addresses (a field, a column, the paths of a folder) a record is its address: changed means the same address with
other bytes. Without, a record is its content, so an inserted line does not make all that follow it differ. There, what
vanished and what appeared between the same two unchanged neighbours is paired, the first with the first, and called
changed. Reordered are the fewest records that, taken out, leave the rest in the manifest's order. Identical records
cannot be told apart: which of them is named is a convention. A record can be changed and reordered.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pharmakon.collection.align import Alignment
from pharmakon.collection.manifest import (
    Manifest,
    check_out,
    check_root,
    manifest_blocks,
    put_whole,
    read_manifest,
    sink,
)
from pharmakon.collection.records import BLOCK_RECORDS, Block, Source, find_source, lies_in, rechunk, system_errors
from pharmakon.collection.spool import Spool
from pharmakon.errors import InputError

if TYPE_CHECKING:
    import polars as pl

What = Literal["changed", "vanished", "appeared", "reordered"]
WHATS: tuple[What, ...] = get_args(What)
OUT_SUFFIXES = (".jsonl", ".parquet")
OUT_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that differs. `_before` is of the manifest, `_after` of the data; None where it is not there."""

    what: What
    address: str
    """Its address; without addresses its number in the data, or in the manifest if it vanished."""
    record_before: int | None
    """Its number, from 1."""
    record_after: int | None
    size_before: int | None
    """Bytes."""
    size_after: int | None
    sha256_before: str | None
    sha256_after: str | None


@dataclass(frozen=True, slots=True)
class Differences:
    """How a data set differs from its manifest: counts of records, and the first few of each kind."""

    manifest: Manifest
    num_records: int
    """Of the data as it is now."""
    changed: int = 0
    vanished: int = 0
    appeared: int = 0
    reordered: int = 0
    first: tuple[Difference, ...] = ()

    @property
    def identical(self) -> bool:
        """Every record is there, the same, in the same order."""
        return not any(getattr(self, what) for what in WHATS)

    def __bool__(self) -> bool:
        """True if anything differs."""
        return not self.identical

    def __repr__(self) -> str:
        if self.identical:
            return f"Differences(none: {self.num_records:,} records)"
        found = ", ".join(f"{getattr(self, what):,} {what}" for what in WHATS if getattr(self, what))
        return f"Differences({found}; {self.num_records:,} records, {self.manifest.num_records:,} in the manifest)"


def check(
    data: str | Path,
    manifest: str | Path | Manifest,
    *,
    root: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    num_first: int = 5,
) -> Differences:
    """Compare a data set with its manifest; nothing of either is changed.

    `root`: 64 hexadecimal digits; a manifest with another root is refused before anything is read. `out`: a .jsonl or
    .parquet file for all differences, which must not exist unless `force`. `num_first`: how many of each kind the
    result holds. `InputError`: data or manifest cannot be read, is damaged, or of different kinds; or both have records
    and share none, which is another data set rather than a different one.

    Memory is about 120 MB for JSONL and folders, however large. Between the first difference and the last, a record
    adds 5 bytes, 4 more if any is out of order, and some 200 for each copy of one record that has many. A Parquet file
    adds its reader's: about the largest row group, unpacked.
    """
    given = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    if root is not None:
        check_root(given, root)
    target = None if out is None else Path(out)
    source = find_source(data, given.address if Path(data).is_file() else None, skip=_own(data, given, target))
    if source.kind != given.kind:
        rule = f"a {given.kind} is checked against its own kind; {source.path} is a {source.kind}"
        raise InputError(
            f"{given.path} is the manifest of a {given.kind}: {rule}. Give the data that it was written of"
        )
    if target is not None:
        if target.suffix not in OUT_SUFFIXES:
            raise InputError(f"differences are written to {' or '.join(OUT_SUFFIXES)}; got {target}")
        check_out(target, force=force, keep=(source.path, given.path))
    with closing(_Comparison(given, source)) as comparison:
        found = comparison.found(num_first)
        if target is not None:
            with system_errors(target, "written"), tempfile.TemporaryFile(dir=target.parent) as file:
                _write(comparison.differences(), file, target)
                put_whole(file, target)
    return found


def _own(data: str | Path, manifest: Manifest, out: Path | None) -> frozenset[Path]:
    """Files in a folder of data that are the check's, not the data's."""
    folder = Path(data)
    paths = [manifest.path] + ([] if out is None else [out])
    return frozenset(folder / path.name for path in paths if lies_in(path, folder))


class _Comparison:
    """One pass over manifest and data side by side; from the first block that differs, both are kept on disk."""

    def __init__(self, manifest: Manifest, source: Source) -> None:
        self.manifest = manifest
        self.then, self.now = Spool(manifest.named), Spool(manifest.named)
        self.num_records = self.before = 0
        """Records of the data; records before the first block that differs."""
        try:
            with system_errors(Path(tempfile.gettempdir()), "used for temporary files"):
                self._stream(source)
                self.alignment = Alignment(self.then, self.now) if len(self.then) or len(self.now) else None
            self._check_common()
        except BaseException:
            self.close()
            raise

    def _stream(self, source: Source) -> None:
        sides = (
            rechunk(manifest_blocks(self.manifest), BLOCK_RECORDS),
            rechunk(source.blocks(), BLOCK_RECORDS),
        )
        equal = True
        while True:
            then, now = next(sides[0], None), next(sides[1], None)
            if then is None and now is None:
                return
            self.num_records += 0 if now is None else len(now)
            if equal and _same_block(then, now):
                self.before += 0 if now is None else len(now)
                continue
            equal = False
            if then is not None:
                self.then.append(then)
            if now is not None:
                self.now.append(now)

    def _check_common(self) -> None:
        """Refuse the manifest of another data set."""
        it = self.alignment
        if it is None or not len(self.then) or not len(self.now) or self.before or it.num_outside or it.num_matched:
            return
        hint = ""
        if not self.manifest.named and self.manifest.kind == "jsonl" and len(self.then) == len(self.now):
            hint = "Were all lines changed, for instance their endings? "
        rule = f"{self.manifest.path} is the manifest of another data set: none of its records is in this one"
        raise InputError(f"{rule}. {hint}Give the data that it was written of")

    def found(self, num_first: int) -> Differences:
        counts: dict[What, int] = dict.fromkeys(WHATS, 0)
        first: dict[What, list[tuple[int | None, int | None]]] = {what: [] for what in WHATS}
        for what, then, now in self._places():
            counts[what] += 1
            if counts[what] <= num_first:
                first[what].append((then, now))
        few = tuple(self._difference(what, *places) for what in WHATS for places in first[what])
        return Differences(self.manifest, self.num_records, **counts, first=few)

    def differences(self) -> Iterator[Difference]:
        """All, one kind after the other."""
        for what, then, now in self._places():
            yield self._difference(what, then, now)

    def _places(self) -> Iterator[tuple[What, int | None, int | None]]:
        it = self.alignment
        if it is None:
            return
        if self.manifest.named:
            for then, now in it.changed_content():
                yield "changed", then, now
            yield from (("vanished", place, None) for place in it.vanished())
            yield from (("appeared", None, place) for place in it.appeared())
        else:
            yield from _gaps(it)
        for place in it.reordered():
            yield "reordered", it.then_of(place), place

    def _difference(self, what: What, then: int | None, now: int | None) -> Difference:
        assert self.alignment is not None
        start, before = self.alignment.start, self.alignment.start + self.before
        number_then = None if then is None else before + then + 1
        number_now = None if now is None else before + now + 1
        spool, place = (self.then, then) if now is None else (self.now, now)
        assert place is not None
        address = spool.address(start + place) or ""
        if not self.manifest.named:
            address = str(number_then if now is None else number_now)
        return Difference(
            what,
            address,
            number_then,
            number_now,
            None if then is None else self.then.size(start + then),
            None if now is None else self.now.size(start + now),
            None if then is None else self.then.sha256(start + then),
            None if now is None else self.now.sha256(start + now),
        )

    def close(self) -> None:
        self.then.close()
        self.now.close()


def _same_block(then: Block | None, now: Block | None) -> bool:
    return (
        then is not None
        and now is not None
        and len(then) == len(now)
        and np.array_equal(then.digests, now.digests)
        and then.addresses == now.addresses
    )


def _gaps(it: Alignment) -> Iterator[tuple[What, int | None, int | None]]:
    """Pair what is only in the manifest with what is only in the data, between records that both have in order."""
    lost, new = it.vanished(), it.appeared()
    gone, came = next(lost, None), next(new, None)
    for place in chain(it.in_order(), [None]):
        end_now = it.num_now if place is None else place
        end_then = it.num_then if place is None else it.then_of(place)
        while True:
            has_gone, has_come = gone is not None and gone < end_then, came is not None and came < end_now
            if has_gone and has_come:
                yield "changed", gone, came
                gone, came = next(lost, None), next(new, None)
            elif has_gone:
                yield "vanished", gone, None
                gone = next(lost, None)
            elif has_come:
                yield "appeared", None, came
                came = next(new, None)
            else:
                break


def _write(differences: Iterator[Difference], file: IO[bytes], out: Path) -> None:
    if out.suffix == ".jsonl":
        for one in differences:
            line = {name: getattr(one, name) for name in Difference.__slots__}
            file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
        return
    import polars as pl

    schema: dict[str, Any] = {
        name: pl.Int64 if name.startswith(("record", "size")) else pl.String for name in Difference.__slots__
    }

    def frames(*_: object) -> Iterator[pl.DataFrame]:
        while rows := [[getattr(one, n) for n in Difference.__slots__] for one in islice(differences, OUT_ROWS)]:
            yield pl.DataFrame(rows, schema=schema, orient="row")

    sink(frames, schema, file, out)
