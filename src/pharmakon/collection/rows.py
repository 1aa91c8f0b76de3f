"""The bytes of a Parquet row: an encoding of its values that no row group, page, codec or dictionary changes.

A row is the concatenation of

1. 32 bytes: SHA-256 of the schema, a JSON list of [name, type] in UTF-8, without spaces, sorted by the names' bytes;
2. for each column in that order, 8 bytes: the length of its value, a little-endian signed integer; -1 for null;
3. for each column in that order, the value.

A value: text in UTF-8 (also of a category, and of decimals and 128-bit integers in decimal digits); binary as it is;
integers, floats, and dates, times and durations (as integers of their unit) in the little-endian bytes of their type;
a boolean as one byte, 0 or 1. A list is, for each item, its length as in 2 and its value. A struct is 2 and 3 of its
fields. So a row changes if a value, a null, a column's name or a column's type does; not if columns change places.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.records import BLOCK_RECORDS, Block, as_address, digests_of
from pharmakon.errors import InputError

if TYPE_CHECKING:
    import polars as pl

Cells = tuple[list[bytes], NDArray[np.int64]]
"""The values of a column and their lengths; a null is an empty value of length -1."""
MAGIC = b"PAR1"
SMALLEST_FILE = 12
ROW_BYTES = 8 << 20
"""About how many bytes of rows are decoded at once."""


def parquet_blocks(path: Path, address: str | None, time: int) -> Iterator[Block]:
    """Blocks of rows. The number of a row begins with 1."""
    number = 0
    for frame in frames(path):
        if address is not None and address not in frame.columns:
            names = ", ".join(sorted(frame.columns))
            raise InputError(f'{path}: there is no column "{address}" to be the address; there is {names[:200]}')
        rows = encode_rows(frame, path)
        sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        named = None
        if address is not None:
            column = frame[address].to_list()
            named = [
                value if type(value) is str else as_address(value, f"{path}, row {n}", address)  # a column is Unicode
                for n, value in enumerate(column, number + 1)
            ]
        number += len(rows)
        yield Block(digests_of(rows), sizes, np.full(len(rows), time, dtype=np.int64), named)


def frames(path: Path, columns: list[str] | None = None, num_rows: int | None = None) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file in order, `num_rows` at a time; by default as many as take a few megabytes.

    Damage is an `InputError` that names where it was met. Slices rather than the reader's own batches: these fetch row
    groups ahead, and take two to three times the memory.
    """
    import polars as pl

    check_ends(path)
    panic: type[BaseException] = pl.exceptions.PanicException  # damage can end in one; it is not an Exception
    number = 0

    def damaged(error: BaseException) -> NoReturn:
        lines = str(error).strip().splitlines()
        why = lines[0][:160] if lines else type(error).__name__
        rule = f"the Parquet file is damaged: it cannot be read beyond row {number:,} ({why})"
        raise InputError(f"{path}: {rule}. Fetch or write it again") from None

    try:
        # A handle, not a name: polars would read a name with [ or * as a pattern.
        with path.open("rb") as file:
            lazy = pl.scan_parquet(file, low_memory=True, parallel="none")
            lazy = lazy if columns is None else lazy.select(columns)
            schema = lazy.collect_schema()
            file.seek(0)
            total = int(lazy.select(pl.len()).collect().item()) if len(schema) else 0
            step = num_rows or max(64, min(BLOCK_RECORDS, ROW_BYTES * total // max(1, 4 * path.stat().st_size)))
            while number < total:
                file.seek(0)
                frame = lazy.slice(number, step).collect()
                if not len(frame):
                    raise InputError(f"{path}: the Parquet file is damaged: it has {number:,} of its {total:,} rows")
                yield frame
                number += len(frame)
    except panic as error:
        damaged(error)
    except (OSError, InputError, GeneratorExit):
        raise
    except pl.exceptions.PolarsError as error:
        damaged(error)


def encode_rows(frame: pl.DataFrame, path: Path | str = "the table") -> list[bytes]:
    """The bytes of each row."""
    names = sorted(frame.columns, key=str.encode)
    schema = [[name, _type(frame.schema[name], f'{path}: column "{name}"')] for name in names]
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    head = hashlib.sha256(text.encode()).digest()
    return _rows([_cells(frame[name]) for name in names], len(frame), head)


def _rows(columns: list[Cells], num_rows: int, head: bytes = b"") -> list[bytes]:
    """Head, lengths and values of each row."""
    if not columns:
        return [head] * num_rows
    lengths = np.stack([lengths for _, lengths in columns], axis=1).astype("<i8").tobytes()
    width = 8 * len(columns)
    starts = range(0, width * num_rows, width)
    values = zip(*(values for values, _ in columns), strict=True)
    return [b"".join((head, lengths[start : start + width], *row)) for start, row in zip(starts, values, strict=True)]


def _cells(series: pl.Series) -> Cells:
    """The values of a column as bytes."""
    import polars as pl

    dtype = series.dtype
    null = series.is_null().to_numpy() if series.null_count() else None
    if isinstance(dtype, pl.Struct):
        fields = sorted((field.name for field in dtype.fields), key=str.encode)
        values = _rows([_cells(series.struct.field(name)) for name in fields], len(series))
    elif isinstance(dtype, pl.List | pl.Array):
        values = _list_values(series.arr.to_list() if isinstance(dtype, pl.Array) else series)
    elif dtype == pl.Null:
        values = [b""] * len(series)
    elif dtype == pl.Binary or _is_text(dtype):
        raw = series if dtype == pl.Binary else series.cast(pl.String).cast(pl.Binary)
        values = (raw if null is None else raw.fill_null(b"")).to_list()
        null_free = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
        return values, null_free if null is None else np.where(null, -1, null_free)
    else:
        values = _fixed_values(series)
    if null is not None:
        values = [b"" if is_null else value for value, is_null in zip(values, null.tolist(), strict=True)]
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    return values, lengths if null is None else np.where(null, -1, lengths)


def _fixed_values(series: pl.Series) -> list[bytes]:
    import polars as pl

    plain = series.cast(pl.UInt8) if series.dtype == pl.Boolean else series.to_physical()
    array = plain.fill_null(0).to_numpy() if plain.null_count() else plain.to_numpy()
    raw, width = array.astype(array.dtype.newbyteorder("<")).tobytes(), array.dtype.itemsize
    return [raw[start : start + width] for start in range(0, len(raw), width)]


def _list_values(series: pl.Series) -> list[bytes]:
    """Each list's items, each behind its length."""
    counts = series.list.len().fill_null(0).to_list()
    items, lengths = _cells(series.explode(empty_as_null=False, keep_nulls=False))
    raw = lengths.astype("<i8").tobytes()
    pieces = list(chain.from_iterable(zip((raw[k : k + 8] for k in range(0, len(raw), 8)), items, strict=True)))
    values, place = [], 0
    for count in counts:
        values.append(b"".join(pieces[place : place + 2 * count]))
        place += 2 * count
    return values


def _is_text(dtype: Any) -> bool:
    import polars as pl

    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Int128) or isinstance(dtype, pl.Decimal)


def _type(dtype: Any, place: str) -> Any:
    """The name of a type, as the schema of a row gives it. A test pins them."""
    import polars as pl

    if isinstance(dtype, pl.Struct):
        fields = sorted(dtype.fields, key=lambda field: field.name.encode())
        return {"struct": [[field.name, _type(field.dtype, place)] for field in fields]}
    if isinstance(dtype, pl.List | pl.Array):
        size = dtype.size if isinstance(dtype, pl.Array) else None
        return {"list": _type(dtype.inner, place), "size": size}
    if isinstance(dtype, pl.Datetime):
        return f"datetime[{dtype.time_unit},{dtype.time_zone or ''}]"
    if isinstance(dtype, pl.Duration):
        return f"duration[{dtype.time_unit}]"
    if isinstance(dtype, pl.Decimal):
        return f"decimal[{dtype.scale}]"
    if dtype in (pl.Categorical, pl.Enum):
        return "string"
    if dtype.is_integer() or dtype.is_float() or dtype in (
        pl.String, pl.Binary, pl.Boolean, pl.Date, pl.Time, pl.Null
    ):  # fmt: skip
        return dtype.base_type().__name__.lower()
    raise InputError(f"{place} has the type {dtype}, for which a record's bytes are not defined. Leave it out")


def check_ends(path: Path) -> None:
    """A Parquet file begins and ends with the same four bytes: the cheapest sign of one that was cut off."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(len(MAGIC))
        file.seek(max(0, size - len(MAGIC)))
        last = file.read(len(MAGIC))
    if first != MAGIC:
        raise InputError(f"{path}: a Parquet file begins with PAR1; this one does not (offset 0). It is another format")
    if last != MAGIC or size < SMALLEST_FILE:
        raise InputError(f"{path}: the Parquet file is cut off at offset {size:,}. Fetch or write it again")
