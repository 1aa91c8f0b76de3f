"""A manifest: what the records of a data set were, in a file that anyone can check the data against.

It is a Parquet file with one row for each record, in the data's order: `address` (a string, or the record's number from
1), `size` in bytes, `time` and `sha256`. Polars, DuckDB, pandas and the like read it. Against JSON lines it is a
quarter of the size and can be read ten times as fast, which is what lets `check` keep up with the disk; it cannot be
read in an editor. Digests do not compress, so it takes 33 to 40 bytes for a record, and its address.

The root is one hash over everything but the times, which a copy of the data changes. It is SHA-256 of these lines:

    pharmakon manifest 1
    kind jsonl                  (or parquet, folder)
    address "url"               (JSON; null for record numbers, and for the paths of a folder)
    records 1000
    digests 5f2b…               (SHA-256 of the digests of all records, 32 bytes each, one after the other)
    sizes 81c0…                 (SHA-256 of the sizes, 8 bytes each, little-endian)
    addresses 77aa…             (SHA-256 of the addresses in UTF-8, each behind its length as 8 bytes; - for numbers)

One hash over all records rather than a Merkle tree: whoever checks a data set holds all of it, and three lines of any
language can compute this one. A tree would let one record be proved without the others, at one more thing to get wrong.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from pharmakon.collection.records import (
    BLOCK_RECORDS,
    DIGEST_BYTES,
    KINDS,
    Block,
    Kind,
    as_digests,
    find_source,
    has_names,
    lies_in,
    rechunk,
    system_errors,
)
from pharmakon.data.whole import write_whole
from pharmakon.errors import InputError

if TYPE_CHECKING:
    import polars as pl

VERSION = 1
ALGORITHM = "sha256"
KEY = "pharmakon.manifest"
COLUMNS = ("address", "size", "time", "sha256")
FACTS = ("kind", "address", "num_records", "num_bytes", "root", "created", "digests", "sizes", "addresses", "times")
ROW_GROUP = 4 * BLOCK_RECORDS


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says of itself; `root` is what its owner publishes or signs."""

    path: Path
    kind: Kind
    address: str | None
    """The field or column of the addresses; None for record numbers, and for the paths of a folder."""
    num_records: int
    num_bytes: int
    """Bytes of all records."""
    root: str
    """64 hexadecimal digits."""
    created: str
    """ISO 8601, UTC."""
    digests: str = field(repr=False)
    sizes: str = field(repr=False)
    addresses: str = field(repr=False)
    times: str = field(repr=False)
    """SHA-256 of the times; outside the root, it tells a damaged file from a sound one."""

    @property
    def named(self) -> bool:
        """Records have addresses of their own, rather than numbers."""
        return has_names(self.kind, self.address)

    def __repr__(self) -> str:
        return f"Manifest({self.path.name}: {self.num_records:,} records of a {self.kind}, root {self.root[:16]}…)"


class Sums:
    """The hashes of the columns, taken as blocks pass."""

    def __init__(self) -> None:
        self.num_records = self.num_bytes = 0
        self._digests, self._sizes, self._addresses, self._times = (hashlib.sha256() for _ in range(4))

    def add(self, block: Block) -> None:
        """The next records."""
        self.num_records += len(block)
        self.num_bytes += int(block.sizes.sum())
        self._digests.update(block.digests.tobytes())
        self._sizes.update(block.sizes.astype("<i8").tobytes())
        self._times.update(block.times.astype("<i8").tobytes())
        if block.addresses is not None:
            encoded = [address.encode() for address in block.addresses]
            self._addresses.update(b"".join([len(one).to_bytes(8, "little") + one for one in encoded]))

    def manifest(self, path: Path, kind: Kind, address: str | None, created: str) -> Manifest:
        """The manifest of all records so far."""
        named = has_names(kind, address)
        sums = {"digests": self._digests.hexdigest(), "sizes": self._sizes.hexdigest()}
        sums["addresses"] = self._addresses.hexdigest() if named else "-"
        root = _root(kind, address, self.num_records, sums)
        times = self._times.hexdigest()
        return Manifest(path, kind, address, self.num_records, self.num_bytes, root, created, **sums, times=times)


def write_manifest(data: str | Path, out: str | Path, *, address: str | None = None, force: bool = False) -> Manifest:
    """Record address, size in bytes, time and SHA-256 of every record of a data set; the manifest, with its root.

    `data`: a JSONL or Parquet file, or a folder of files. `address`: the field or column whose value is a record's
    address (a string or whole number); by default the record's number, and in a folder the path. The time is that of
    the file's last modification. `out` appears when it is complete, or not at all; one that exists is refused with
    `InputError` unless `force`. So is data that cannot be read, with the file and the line, row or offset.
    """
    out = Path(out)
    source = find_source(data, address, skip=frozenset({Path(data) / out.name} if lies_in(out, Path(data)) else ()))
    check_out(out, force=force, keep=(source.path,))
    with system_errors(out, "written"), tempfile.TemporaryFile(dir=out.parent) as file:
        # Without a name while it grows: whatever stops the process leaves nothing behind.
        manifest = _fill(file, rechunk(source.blocks(), BLOCK_RECORDS), out, source.kind, address)
        put_whole(file, out)
    return manifest


def read_manifest(path: str | Path) -> Manifest:
    """What a manifest says of itself. That its rows are as it says is seen when they are read: `manifest_blocks`."""
    import polars as pl

    path = Path(path)
    rule = f"{path} is not a manifest that pharmakon manifest write has written"
    if path.is_dir():
        raise InputError(f"{path} is a folder; a manifest is a file")
    panic: type[BaseException] = pl.exceptions.PanicException
    with system_errors(path, "read"):
        from pharmakon.collection.rows import check_ends

        check_ends(path)
        try:
            with path.open("rb") as file:
                said = pl.read_parquet_metadata(file).get(KEY)
        except (pl.exceptions.PolarsError, panic) as error:
            raise InputError(f"{path}: the manifest is damaged ({str(error)[:160]}). Fetch it again") from None
    if said is None:
        raise InputError(f"{rule}: the Parquet file has no metadata named {KEY}")
    try:
        facts = json.loads(said)
        version, algorithm = facts["version"], facts["algorithm"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: what the manifest says of itself is damaged. Fetch it again") from None
    if version != VERSION:
        raise InputError(
            f"{path}: this Pharmakon knows manifests of version {VERSION}; this one has version {version!r}. "
            "Use the Pharmakon that wrote it, or a later one"
        )
    if algorithm != ALGORITHM:
        raise InputError(f"{path}: the records of a manifest are hashed with {ALGORITHM}; this one says {algorithm!r}")
    return _manifest(path, facts)


def manifest_blocks(manifest: Manifest) -> Iterator[Block]:
    """The records of a manifest; an `InputError` at the end if they are not those of its root."""
    from pharmakon.collection.rows import frames

    with system_errors(manifest.path, "read"):
        sums = Sums()
        for frame in frames(manifest.path, list(COLUMNS), ROW_GROUP):
            block = _block(frame, manifest)
            sums.add(block)
            yield block
    found = sums.manifest(manifest.path, manifest.kind, manifest.address, manifest.created)
    if found != manifest:
        raise InputError(
            f"{manifest.path}: the manifest's rows are not those of its root: it is damaged. Fetch it again"
        )


def check_root(manifest: Manifest, root: str) -> None:
    """Refuse a manifest that is not the published one."""
    wanted = root.strip().lower()
    if len(wanted) != 2 * DIGEST_BYTES or set(wanted) - set("0123456789abcdef"):
        raise InputError(f"a root is 64 hexadecimal digits; got {root!r}")
    if manifest.root != wanted:
        way_out = "Fetch the manifest again, or ask its owner for the root"
        raise InputError(f"{manifest.path} is not the published manifest: its root is {manifest.root}. {way_out}")


def check_out(out: Path, *, force: bool, keep: tuple[Path, ...]) -> None:
    """Refuse a place that cannot be written, and always one of the files to keep."""
    if out.is_dir():
        raise InputError(f"{out} is a folder; name a file in it")
    if not out.parent.is_dir():
        raise InputError(f"{out} cannot be written: there is no folder {out.parent}")
    if any(path.exists() and out.exists() and path.samefile(out) for path in keep):
        raise InputError(f"{out} is what is to be read; give another name for what is written")
    if (out.exists() or out.is_symlink()) and not force:
        raise InputError(f"{out} exists already. Give another name, or --force to write over it")


def sink(
    frames: Callable[..., Iterator[pl.DataFrame]],
    schema: dict[str, Any],
    file: IO[bytes],
    out: Path,
    metadata: Callable[[Any], dict[str, str]] | None = None,
) -> None:
    """Stream tables into a Parquet file; `out` is what an error names. Metadata are asked for at the end."""
    import polars as pl
    from polars.io.plugins import register_io_source

    lazy = register_io_source(cast("Any", frames), schema=schema)
    try:
        lazy.sink_parquet(
            file, metadata=metadata, row_group_size=ROW_GROUP, compression="zstd", compression_level=1, statistics=False
        )
    except pl.exceptions.PolarsError as error:  # what the data or the system refuse has been said by `frames`
        raise InputError(f"{out} cannot be written: {str(error).strip()[:160]}") from None


def put_whole(file: IO[bytes], out: Path) -> None:
    """Copy a finished file to its place, which shows it when it is complete."""
    file.seek(0)
    write_whole(out, lambda copy: shutil.copyfileobj(file, copy, 1 << 20))


def _fill(file: IO[bytes], blocks: Iterator[Block], out: Path, kind: Kind, address: str | None) -> Manifest:
    """Stream the records into a Parquet file, whose metadata, written last, say what they were."""
    import polars as pl

    sums, made = Sums(), list[Manifest]()
    schema: dict[str, Any] = {
        "address": pl.String if has_names(kind, address) else pl.UInt64,
        "size": pl.Int64,
        "time": pl.Datetime("us", "UTC"),
        "sha256": pl.Binary,
    }

    def frames(*_: object) -> Iterator[pl.DataFrame]:
        for block in blocks:
            first = sums.num_records + 1
            sums.add(block)
            yield _frame(block, first, schema)

    def metadata(_: object) -> dict[str, str]:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        made.append(sums.manifest(out, kind, address, created))
        return {KEY: json.dumps(_facts(made[-1]))}

    sink(frames, schema, file, out, metadata)
    return made[-1]


def _frame(block: Block, first: int, schema: Any) -> pl.DataFrame:
    import polars as pl

    raw = block.digests.tobytes()
    addresses = block.addresses
    return pl.DataFrame(
        {
            "address": np.arange(first, first + len(block), dtype=np.uint64) if addresses is None else addresses,
            "size": block.sizes,
            "time": pl.Series(block.times, dtype=pl.Int64).cast(schema["time"]),
            "sha256": [raw[k : k + DIGEST_BYTES] for k in range(0, len(raw), DIGEST_BYTES)],
        },
        schema=schema,
    )


def _block(frame: pl.DataFrame, manifest: Manifest) -> Block:
    import polars as pl

    try:
        if any(frame[name].null_count() for name in COLUMNS):
            raise InputError(f"{manifest.path}: a manifest has no empty values; this one has. Fetch it again")
        raw = b"".join(frame["sha256"].to_list())
        if len(raw) != DIGEST_BYTES * len(frame):
            raise InputError(f"{manifest.path}: a digest has 32 bytes; this manifest has others. Fetch it again")
        times = frame["time"].dt.cast_time_unit("us").to_physical().to_numpy()
        named = frame["address"].cast(pl.String).to_list() if manifest.named else None
        return Block(as_digests(raw), frame["size"].cast(pl.Int64).to_numpy(), times, named)
    except (pl.exceptions.PolarsError, TypeError, AttributeError) as error:
        raise InputError(
            f"{manifest.path}: a column of the manifest has another type ({error}). Fetch it again"
        ) from None


def _root(kind: str, address: str | None, num_records: int, sums: dict[str, str]) -> str:
    lines = [
        f"pharmakon manifest {VERSION}",
        f"kind {kind}",
        f"address {json.dumps(address)}",
        f"records {num_records}",
    ]
    lines += [f"{name} {sums[name]}" for name in ("digests", "sizes", "addresses")]
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def _facts(manifest: Manifest) -> dict[str, object]:
    return {"version": VERSION, "algorithm": ALGORITHM, **{name: getattr(manifest, name) for name in FACTS}}


def _manifest(path: Path, facts: dict[str, Any]) -> Manifest:
    """The manifest of its own words, which must agree with each other."""
    try:
        said = {name: facts[name] for name in FACTS}
        manifest = Manifest(path, **said)
        sums = {name: str(said[name]) for name in ("digests", "sizes", "addresses")}
        whole = manifest.kind in KINDS and manifest.root == _root(
            manifest.kind, manifest.address, manifest.num_records, sums
        )
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise InputError(f"{path}: the manifest's root is not that of what it says: it is damaged. Fetch it again")
    return manifest
