"""The records of a data set as a stream: a JSONL file's lines, a Parquet file's rows, a folder's files.

A record is bytes with an address. Which bytes:

- JSONL (also gzipped): the line as it stands, without its newline character. A carriage return belongs to the line, so
  other line endings are other records; whether the last line has a newline is not seen. An empty line is a record.
- Parquet: an encoding of the row (`collection.rows`) that no layout or compression changes.
- Folder: the file. Records are in the order of their paths' UTF-8 bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from pharmakon.errors import InputError

Kind = Literal["jsonl", "parquet", "folder"]
KINDS: tuple[Kind, ...] = ("jsonl", "parquet", "folder")
BLOCK_BYTES = 1 << 20
"""How much of a file is read at once."""
BLOCK_RECORDS = 8_192
"""About how many records a block holds where they are small."""
DIGEST_BYTES = 32
_decode = json.JSONDecoder().raw_decode


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Block:
    """Some records in their order. `addresses` is None where a record's address is its number."""

    digests: NDArray[np.uint8]
    """SHA-256 of each record's bytes, shape [records, 32]."""
    sizes: NDArray[np.int64]
    """Bytes of each record."""
    times: NDArray[np.int64]
    """When its file was last modified, microseconds since 1970 UTC."""
    addresses: list[str] | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, start: int, stop: int) -> Block:
        """The records from `start` up to `stop`."""
        named = None if self.addresses is None else self.addresses[start:stop]
        return Block(self.digests[start:stop], self.sizes[start:stop], self.times[start:stop], named)


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that can be read as records.

    `address`: the field or column whose value is a record's address; None for its number, or a folder's path.
    `skip`: files of a folder that are no part of it, such as a manifest that lies in it.
    """

    path: Path
    kind: Kind
    address: str | None = None
    skip: frozenset[Path] = frozenset()

    @property
    def named(self) -> bool:
        """Records have addresses of their own, rather than numbers."""
        return has_names(self.kind, self.address)

    def blocks(self) -> Iterator[Block]:
        """The records in order. What is wrong with a file is an `InputError` that names file and line or row."""
        with system_errors(self.path, "read"):
            if self.kind == "folder":
                yield from _folder(self.path, self.skip)
            elif self.kind == "parquet":
                from pharmakon.collection.rows import parquet_blocks

                yield from parquet_blocks(self.path, self.address, _mtime(self.path))
            else:
                yield from _lines(self.path, self.address)


def has_names(kind: str, address: str | None) -> bool:
    """Records of this kind, with this field or column, have addresses of their own, rather than numbers."""
    return address is not None or kind == "folder"


def lies_in(path: Path, folder: Path) -> bool:
    """The file is, or would be, one of the folder's own."""
    return folder.is_dir() and path.resolve().parent == folder.resolve()


def find_source(data: str | Path, address: str | None = None, *, skip: frozenset[Path] = frozenset()) -> Source:
    """The data set at this path; its suffix says what a file is."""
    path = Path(data)
    if path.is_dir():
        if address is not None:
            raise InputError(f"the address of a file in a folder is its path; {path} is a folder, leave --address out")
        return Source(path, "folder", None, skip)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; copy what it gives into one")
    name = path.name.lower()
    if name.endswith(".parquet"):
        return Source(path, "parquet", address)
    if name.endswith((".jsonl", ".jsonl.gz")):
        return Source(path, "jsonl", address)
    got = f'"{path.suffix}"' if path.suffix else "none"
    raise InputError(
        f"{path}: data is a folder of files, or a file named .jsonl, .jsonl.gz or .parquet; its suffix is {got}"
    )


def rechunk(blocks: Iterator[Block], num_records: int = BLOCK_RECORDS) -> Iterator[Block]:
    """The same records in blocks of exactly so many; only the last may be shorter."""
    waiting: list[Block] = []
    have = 0
    for block in blocks:
        waiting.append(block)
        have += len(block)
        if have < num_records:
            continue
        whole = _joined(waiting)
        end = have - have % num_records
        for start in range(0, end, num_records):
            yield whole.part(start, start + num_records)
        waiting, have = [whole.part(end, have)], have - end
    if have:
        yield _joined(waiting)


def digests_of(records: list[bytes]) -> NDArray[np.uint8]:
    """SHA-256 of each, shape [records, 32]."""
    sha256 = hashlib.sha256
    return as_digests(b"".join([sha256(record).digest() for record in records]))


def as_digests(raw: bytes) -> NDArray[np.uint8]:
    """Digests that stand one after the other."""
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def as_address(value: object, place: str, field: str) -> str:
    """A field's value as an address: a string, or a whole number."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f'{place}: the address "{field}" is Unicode text; got half a surrogate pair') from None
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    shown = "nothing" if value is None else f"a {type(value).__name__}"
    raise InputError(f'{place}: the address "{field}" is a string or a whole number; got {shown}')


@contextmanager
def system_errors(path: Path, verb: str) -> Iterator[None]:
    """What the operating system refuses, as a sentence."""
    try:
        yield
    except OSError as error:
        what = error.filename if isinstance(error.filename, str | bytes) else path
        reason = error.strerror or str(error) or type(error).__name__
        raise InputError(f"{os.fsdecode(what)} cannot be {verb}: {reason}") from None


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    named = blocks[0].addresses is not None
    return Block(
        np.concatenate([block.digests for block in blocks]),
        np.concatenate([block.sizes for block in blocks]),
        np.concatenate([block.times for block in blocks]),
        [address for block in blocks for address in block.addresses or ()] if named else None,
    )


def _mtime(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000


def _lines(path: Path, address: str | None) -> Iterator[Block]:
    """Blocks of lines. Without addresses, nothing is parsed and no line is ever held whole."""
    time, number = _mtime(path), 0
    gzipped = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if gzipped else path.open("rb", buffering=0) as file:
        try:
            for digests, sizes, lines in _read_lines(file, whole=address is not None):
                named = None if address is None else _line_addresses(lines, address, path, number)
                number += len(sizes)
                yield Block(digests, sizes, np.full(len(sizes), time, dtype=np.int64), named)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            rule = f"the gzip file is damaged or cut off after line {number} ({error})"
            raise InputError(f"{path}: {rule}. Fetch or write it again") from None


def _read_lines(file: _Readable, *, whole: bool) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], list[bytes]]]:
    """Digests, sizes and, if `whole`, the bytes of lines. The line that a block cuts is hashed in pieces."""
    sha256 = hashlib.sha256
    begun, size, pieces = sha256(), 0, []
    is_open = False  # a last line without a newline
    while block := file.read(BLOCK_BYTES):
        lines = block.split(b"\n")
        begun.update(lines[0])
        size += len(lines[0])
        if whole:
            pieces.append(lines[0])
        is_open = True
        if len(lines) == 1:
            continue
        rest = lines.pop()
        first = begun.digest()
        sizes = np.fromiter(map(len, lines), dtype=np.int64, count=len(lines))
        sizes[0] = size
        if whole:
            lines[0] = b"".join(pieces)
        digests = first + b"".join([sha256(line).digest() for line in lines[1:]])
        yield as_digests(digests), sizes, lines
        begun, size, pieces = sha256(rest), len(rest), [rest]
        is_open = bool(rest)
    if is_open:
        yield as_digests(begun.digest()), np.array([size], dtype=np.int64), [b"".join(pieces)] if whole else []


def _line_addresses(lines: list[bytes], field: str, path: Path, before: int) -> list[str]:
    addresses = []
    for number, line in enumerate(lines, before + 1):
        try:
            value = _json(line)[field]
        except (ValueError, RecursionError):
            hint = "it is the address that is asked for, so each line is one JSON object in UTF-8; this one is not"
            raise InputError(f'{path}:{number}: "{field}" cannot be read: {hint}') from None
        except (KeyError, TypeError, IndexError):
            raise InputError(f'{path}:{number}: the record has no field "{field}" to be its address') from None
        plain = type(value) is str and value.isascii()
        addresses.append(value if plain else as_address(value, f"{path}:{number}", field))
    return addresses


def _json(line: bytes) -> Any:
    """The value of a line. What is not plainly an object from its first byte to its last is json.loads's to judge."""
    try:
        text = line.decode()
        value, end = _decode(text)
    except ValueError:
        return json.loads(line)
    return value if end == len(text) or not text[end:].strip() else json.loads(line)


def _folder(folder: Path, skip: frozenset[Path]) -> Iterator[Block]:
    digests: list[bytes] = []
    sizes: list[int] = []
    times: list[int] = []
    addresses: list[str] = []

    def block() -> Block:
        numbers = np.array(sizes, dtype=np.int64), np.array(times, dtype=np.int64)
        return Block(as_digests(b"".join(digests)), *numbers, list(addresses))

    for address in _files(folder, ""):
        path = folder / address
        if path in skip:
            continue
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            hasher, size = hashlib.sha256(), 0
            while data := file.read(BLOCK_BYTES):
                hasher.update(data)
                size += len(data)
        digests.append(hasher.digest())
        sizes.append(size)
        times.append(status.st_mtime_ns // 1_000)
        addresses.append(address)
        if len(sizes) == BLOCK_RECORDS:
            yield block()
            for column in (digests, sizes, times, addresses):
                column.clear()
    if sizes:
        yield block()


def _files(folder: Path, prefix: str) -> Iterator[str]:
    """The paths of all files below, relative, in the order of their bytes."""

    def encoded(name: str) -> bytes:
        try:
            return name.encode()
        except UnicodeEncodeError:
            raise InputError(f"the name of a file is Unicode text; {folder} has {os.fsencode(name)!r}") from None

    with os.scandir(folder) as found:
        names = {entry.name: entry for entry in found}
    below = sorted((encoded(name + "/" * entry.is_dir()), name, entry) for name, entry in names.items())
    for _, name, entry in below:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder / name, f"{prefix}{name}/")
        elif entry.is_dir():
            _refuse(folder / name, "a link to a folder")
        elif stat.S_ISREG(entry.stat().st_mode):
            yield prefix + name
        else:
            _refuse(folder / name, "neither a file nor a folder")


def _refuse(path: Path, what: str) -> NoReturn:
    raise InputError(f"a folder of data holds files and folders, also links to files; {path} is {what}. Move it out")
