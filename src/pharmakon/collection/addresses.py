"""A data set that is distributed as a list of addresses: how its records are spread over domains.

Who buys one domain serves all of its records, so that the spread decides what a share of the data costs. `Zipf` is a
simulated list, `AddressFile` a real one. A file is only read: no address is contacted, no domain looked up.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.records import find_source, system_errors
from pharmakon.data.whole import file_sha256
from pharmakon.errors import InputError

SUFFIXES = (".txt", ".jsonl", ".jsonl.gz", ".parquet")
_LABEL = r"[^/?#:@\[\]\s.]+"
_NAME = rf"\[[0-9A-Fa-f:.]+\]|{_LABEL}(?:\.{_LABEL})*"
_HOST = rf"^\s*[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@\s]*@)?({_NAME})\.?(?::[0-9]*)?(?:[/?#]|\s*$)"
"""A URL, and of it the host."""
_ROWS = 200_000
"""How many addresses are looked at together."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How many records lie on each domain that can be bought, the most first."""

    records: NDArray[np.int64]
    total: int
    """Records of the list, with those that no purchase of a domain can reach (addresses of an IP)."""
    names: tuple[str, ...] = ()
    """The domains; empty for a simulated list."""

    def top(self, count: int) -> float:
        """The share of all records that lie on so many of the largest domains."""
        return float(self.records[:count].sum()) / self.total

    def num_for(self, share: float) -> int:
        """How many of the largest domains hold this share of all records; all of them if they hold less."""
        reached = np.cumsum(self.records) >= share * self.total
        return int(np.argmax(reached)) + 1 if reached.any() else len(self.records)


@runtime_checkable
class Listing(Protocol):
    """A list of addresses, a frozen value."""

    def spread(self) -> Spread: ...


@dataclass(frozen=True, kw_only=True)
class Zipf:
    """A simulated list: the domain of rank r has a number of records in proportion to r ** -exponent, at least one.

    By default as large as LAION-400M (408 million records). Its number of domains and the exponent are assumptions;
    `Market` says what they are chosen to meet.
    """

    version: ClassVar[int] = 1
    num_records: int = 408_000_000
    num_domains: int = 1_000_000
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.num_domains <= self.num_records:
            rule = "a list has at least one domain, and a record on each of them"
            raise InputError(f"{rule}; got {self.num_domains:,} domains and {self.num_records:,} records")
        if not 0 <= self.exponent < float("inf"):
            raise InputError(f"the exponent of a list is 0 (all domains are alike) or more; got {self.exponent:g}")

    def spread(self) -> Spread:
        """Exactly these domains; the number of records is met but for rounding."""
        weights = np.arange(1, self.num_domains + 1, dtype=float) ** -self.exponent
        records = np.maximum(1, np.rint(self.num_records * weights / weights.sum())).astype(np.int64)
        return Spread(records, int(records.sum()))


@dataclass(frozen=True)
class AddressFile:
    """The user's own list: a text file of one URL a line, or a field of JSON lines, or a column of a Parquet file.

    Its identity is its content, not where it lies. A domain is the host without a leading `www.`. Which part of a host
    can be bought is known from the public suffix list only, and this is not consulted: `a.example.org` and
    `b.example.org` are two domains here and one purchase in truth, `a.blogspot.com` is a domain here and not for sale.
    """

    version: ClassVar[int] = 1
    sha256: str
    name: str
    path: Path = field(compare=False, metadata={"identity": False})
    column: str = "url"

    @staticmethod
    def of(path: str | Path, column: str = "url") -> AddressFile:
        """The list in this file as it is now."""
        path = Path(path)
        if not path.name.lower().endswith(SUFFIXES):
            rule = "a list of addresses is a file named .txt (one URL a line), .jsonl, .jsonl.gz or .parquet"
            got = f'"{path.suffix}"' if path.suffix else "none"
            raise InputError(f"{path}: {rule}; its suffix is {got}")
        if not path.is_file():
            raise InputError(f"{path} is not a file" if path.exists() else f"{path}: no such file")
        with system_errors(path, "read"):
            return AddressFile(file_sha256(path), path.name, path.resolve(), column)

    def spread(self) -> Spread:
        """Records by domain. A line that is no URL is an `InputError` that names file and line (or row)."""
        with system_errors(self.path, "read"):
            if file_sha256(self.path) != self.sha256:
                raise InputError(f"the content of {self.path} has changed since it was named. Run it again")
        return _spread(self)


@lru_cache(maxsize=2)
def _spread(listing: AddressFile) -> Spread:
    hosts: Counter[str] = Counter()
    with system_errors(listing.path, "read"):
        for numbers, addresses in _addresses(listing):
            hosts.update(_hosts(listing.path, numbers, addresses))
    total = sum(hosts.values())
    if not total:
        raise InputError(f"{listing.path} has no addresses; a list has at least one")
    found = sorted(((count, host) for host, count in hosts.items() if not _is_ip(host)), key=lambda it: (-it[0], it[1]))
    if not found:
        raise InputError(f"{listing.path} has no domains: all of its {total:,} addresses are of an IP")
    records = np.array([count for count, _ in found], dtype=np.int64)
    return Spread(records, total, tuple(host for _, host in found))


def _hosts(path: Path, numbers: Sequence[int], addresses: Sequence[str | None]) -> dict[str, int]:
    """How many of the addresses have each host. `numbers`: those of their lines or rows."""
    import polars as pl

    given = pl.Series("host", addresses, dtype=pl.String)
    hosts = given.str.extract(_HOST).str.to_lowercase().str.strip_prefix("www.")
    if hosts.null_count():
        first = int(np.argmax(hosts.is_null().to_numpy()))
        value = addresses[first]
        got = "nothing" if value is None else repr(value if len(value) <= 100 else f"{value[:97]}...")
        place = f"{path}, row {numbers[first]}" if _is_parquet(path) else f"{path}:{numbers[first]}"
        raise InputError(f"{place}: an address is a URL such as https://example.org/page; got {got}")
    counted = hosts.value_counts()
    return dict(zip(counted["host"].to_list(), counted["count"].to_list(), strict=True))


def _addresses(listing: AddressFile) -> Iterator[tuple[Sequence[int], Sequence[str | None]]]:
    """Numbers of lines or rows, from 1, with their addresses, some at a time."""
    if listing.path.name.lower().endswith(".txt"):
        yield from _text(listing.path)
        return
    blocks: Iterator[Sequence[str | None]] = (
        _column(listing.path, listing.column)
        if _is_parquet(listing.path)
        else (block.addresses or [] for block in find_source(listing.path, listing.column).blocks())
    )
    before = 0
    for addresses in blocks:
        yield range(before + 1, before + len(addresses) + 1), addresses
        before += len(addresses)


def _text(path: Path) -> Iterator[tuple[Sequence[int], Sequence[str]]]:
    """The lines of a text that are not blank."""
    with path.open("rb") as file:
        lines = enumerate(file, 1)
        while some := list(islice(lines, _ROWS)):
            numbers, addresses = [], []
            for number, line in some:
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                except UnicodeDecodeError as error:
                    bad = f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not"
                    raise InputError(f"{path}:{number}: a list of addresses is UTF-8; {bad}") from None
                if text:
                    numbers.append(number)
                    addresses.append(text)
            yield numbers, addresses


def _column(path: Path, column: str) -> Iterator[list[str | None]]:
    """The column of a Parquet file."""
    import polars as pl

    from pharmakon.collection.rows import frames

    first = next(frames(path), None)
    if first is None:
        return
    if column not in first.columns:
        names = ", ".join(sorted(first.columns))
        raise InputError(f'{path}: there is no column "{column}" with addresses; there is {names[:200]}. Set --field')
    if not isinstance(first.schema[column], pl.String | pl.Categorical | pl.Enum):
        raise InputError(f'{path}: addresses are text; the column "{column}" has the type {first.schema[column]}')
    for frame in frames(path, [column], _ROWS):
        yield frame[column].cast(pl.String).to_list()


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def _is_ip(host: str) -> bool:
    """Not a domain: nobody can buy it."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
