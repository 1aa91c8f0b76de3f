"""Columns of fixed width in files without a name: what is to be looked at again is kept on disk, not in memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.records import DIGEST_BYTES, Block

STEP = 32_768
"""Rows that are read at once."""


class Column:
    """Rows of so many bytes each, written once, then read from anywhere. Gone when it is closed."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.num_rows = 0
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`

    def append(self, rows: NDArray[np.generic]) -> None:
        """Add rows; their bytes are a multiple of the width."""
        self._file.write(rows.tobytes())
        self.num_rows += rows.nbytes // self.width

    def read(self, start: int, stop: int) -> bytes:
        """The bytes of these rows."""
        self._file.seek(start * self.width)
        return self._file.read((stop - start) * self.width)

    def close(self) -> None:
        self._file.close()


class Spool:
    """Records of one side: their digests and sizes, and, where they are named, addresses and the digests of these."""

    def __init__(self, named: bool) -> None:
        self.named = named
        self.digests, self.sizes = Column(DIGEST_BYTES), Column(8)
        self.keys = Column(DIGEST_BYTES) if named else self.digests
        """What says which record it is: its address, or else its content."""
        self._ends, self._names = Column(8), Column(1)

    def __len__(self) -> int:
        return self.digests.num_rows

    def append(self, block: Block) -> None:
        """The next records."""
        self.digests.append(block.digests)
        self.sizes.append(block.sizes)
        if block.addresses is None:
            return
        encoded = [address.encode() for address in block.addresses]
        sha256 = hashlib.sha256
        self.keys.append(np.frombuffer(b"".join([sha256(one).digest() for one in encoded]), dtype=np.uint8))
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        self._ends.append(np.cumsum(lengths) + self._names.num_rows)
        self._names.append(np.frombuffer(b"".join(encoded), dtype=np.uint8))

    def words(self, column: Column, start: int, stop: int) -> NDArray[np.uint64]:
        """Digests as four words each, shape [records, 4]."""
        return np.frombuffer(column.read(start, stop), dtype="<u8").reshape(-1, 4)

    def size(self, place: int) -> int:
        """The size in bytes of one record."""
        return int.from_bytes(self.sizes.read(place, place + 1), "little")

    def sha256(self, place: int) -> str:
        """The digest of one record, 64 hexadecimal digits."""
        return self.digests.read(place, place + 1).hex()

    def address(self, place: int) -> str | None:
        """The address of one record, where records have addresses of their own."""
        if not self.named:
            return None
        begin = int.from_bytes(self._ends.read(place - 1, place), "little") if place else 0
        end = int.from_bytes(self._ends.read(place, place + 1), "little")
        return self._names.read(begin, end).decode()

    def close(self) -> None:
        for column in (self.digests, self.sizes, self.keys, self._ends, self._names):
            column.close()


def steps(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Ranges that cover start to stop, in order."""
    for begin in range(start, stop, STEP):
        yield begin, min(stop, begin + STEP)
