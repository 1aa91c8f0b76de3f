"""The bytes of a Parquet row: what changes them, what does not, and what they are."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pharmakon.collection import check, write_manifest
from pharmakon.collection.rows import encode_rows
from pharmakon.errors import InputError

MANY = pl.DataFrame(
    {
        "text": ["a", None, "ü\U0001f9ea", ""],
        "n": pl.Series([1, -2, None, 2**40], dtype=pl.Int64),
        "small": pl.Series([1, 255, None, 0], dtype=pl.UInt8),
        "real": [0.1, float("nan"), None, -0.0],
        "half": pl.Series([0.5, 1.0, None, 2.0], dtype=pl.Float32),
        "yes": [True, None, False, True],
        "raw": [b"\x00", b"", None, b"\xff"],
        "day": [date(2026, 1, 1), None, date(1969, 12, 31), date(2026, 1, 1)],
        "at": [datetime(year, 1, 1, tzinfo=UTC) if year else None for year in (2026, None, 1960, 2027)],
        "clock": [time(1, 2, 3), None, time(0), time(23)],
        "took": [timedelta(seconds=1), None, timedelta(days=-1), timedelta(0)],
        "price": pl.Series([Decimal("1.50"), None, Decimal("-0.01"), Decimal("0")], dtype=pl.Decimal(20, 2)),
        "huge": pl.Series([2**100, None, -(2**100), 0], dtype=pl.Int128),
        "kind": pl.Series(["x", None, "y", "x"], dtype=pl.Categorical),
        "none": pl.Series([None] * 4, dtype=pl.Null),
        "tags": [["a", "b"], None, [], [None, "c"]],
        "pair": pl.Series([[1, 2], None, [3, 4], [None, 5]], dtype=pl.Array(pl.Int16, 2)),
        "messages": [
            [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}],
            None,
            [],
            [{"role": "user", "content": ""}],
        ],
    }
)  # fmt: skip


def integer(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def test_the_bytes_are_what_the_documentation_says() -> None:
    """Computed anew for the types of most data: text, number, null, list, struct."""
    frame = pl.DataFrame(
        {"t": ["ü"], "a": [7], "m": [[{"r": "u", "c": None}]], "z": [None]}, schema_overrides={"z": pl.Null}
    )
    inner = '{"list":{"struct":[["c","null"],["r","string"]]},"size":null}'
    schema = f'[["a","int64"],["m",{inner}],["t","string"],["z","null"]]'
    item = integer(-1) + integer(1) + b"u"
    messages = integer(len(item)) + item
    expected = hashlib.sha256(schema.encode()).digest()
    expected += integer(8) + integer(len(messages)) + integer(2) + integer(-1)
    expected += integer(7) + messages + "ü".encode()
    assert encode_rows(frame) == [expected]


def test_bytes_of_every_type_stay_as_they_are() -> None:
    """A manifest that was published must still hold in a later version, and with a later reader."""
    assert (
        hashlib.sha256(b"".join(encode_rows(MANY))).hexdigest()
        == "dbbb670178ead9c2cade316776843e4e24dd0beb6ba9e21c5eb7373e7dfe3627"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "uncompressed"},
        {"compression": "gzip", "row_group_size": 1},
        {"compression": "lz4", "row_group_size": 3, "data_page_size": 1},
        {"compression": "snappy", "statistics": False},
    ],
)
def test_layout_does_not_show(options: dict[str, Any], tmp_path: Path) -> None:
    """Row groups, pages, codecs and the order of columns are no part of a row."""
    MANY.write_parquet(tmp_path / "one.parquet")
    MANY.select(reversed(MANY.columns)).write_parquet(tmp_path / "two.parquet", **options)
    one = write_manifest(tmp_path / "one.parquet", tmp_path / "one.manifest")
    two = write_manifest(tmp_path / "two.parquet", tmp_path / "two.manifest")
    assert one.root == two.root
    assert not check(tmp_path / "two.parquet", one)


def test_a_dictionary_is_no_other_text(tmp_path: Path) -> None:
    """Whether a column of text is a category is a matter of how it is stored."""
    frame = pl.DataFrame({"a": ["x", "y", "x"]})
    assert encode_rows(frame) == encode_rows(frame.cast(pl.Categorical)) == encode_rows(frame.cast(pl.Enum(["y", "x"])))


@pytest.mark.parametrize("name", MANY.columns)
def test_every_value_shows(name: str) -> None:
    """Rows are alike exactly if all their values are: no column is left out, and a null is not an empty value."""
    rows = encode_rows(MANY.select(name))
    assert len(set(rows)) == len(set(map(str, MANY[name].to_list())))
    taken = encode_rows(MANY.with_columns(pl.col(name).reverse()))
    assert [row != other for row, other in zip(taken, encode_rows(MANY), strict=True)] == [
        str(value) != str(other) for value, other in zip(MANY[name], MANY[name].reverse(), strict=True)
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["bc"], "b": ["d"]}, {"a": ["b"], "b": ["cd"]}),
        ({"a": [["b", "c"]]}, {"a": [["bc"]]}),
        ({"a": [[["b"], []]]}, {"a": [[[], ["b"]]]}),
        ({"a": [""]}, {"a": [None]}),
        ({"a": ["b"]}, {"c": ["b"]}),
        ({"a": [1]}, {"a": [1.0]}),
        ({"a": ["1"]}, {"a": [1]}),
        ({"a": [{"b": "c", "d": ""}]}, {"a": [{"b": "", "d": "c"}]}),
        ({"a": [{"b": None}]}, {"a": [None]}),
        ({"a": [0.0]}, {"a": [-0.0]}),
    ],
)
def test_different_rows_have_different_bytes(one: dict[str, Any], other: dict[str, Any]) -> None:
    schema = pl.DataFrame(one).schema if other == {"a": [None]} else None
    assert encode_rows(pl.DataFrame(one)) != encode_rows(pl.DataFrame(other, schema=schema))


def test_slices_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table longer than what is decoded at once, with lists cut anywhere."""
    frame = pl.concat([MANY] * 60)
    frame.write_parquet(tmp_path / "data.parquet", row_group_size=7)
    whole = write_manifest(tmp_path / "data.parquet", tmp_path / "1.manifest")
    monkeypatch.setattr("pharmakon.collection.rows.ROW_BYTES", 1)
    cut = write_manifest(tmp_path / "data.parquet", tmp_path / "2.manifest")
    digests = pl.read_parquet(tmp_path / "2.manifest")["sha256"].to_list()
    assert whole.root == cut.root
    assert digests == [hashlib.sha256(row).digest() for row in encode_rows(frame)]


def test_addresses_of_a_column(tmp_path: Path) -> None:
    data = tmp_path / "data.parquet"
    pl.DataFrame({"url": ["a", "b"], "n": [1, 2]}).write_parquet(data)
    write_manifest(data, tmp_path / "m", address="url")
    assert pl.read_parquet(tmp_path / "m")["address"].to_list() == ["a", "b"]
    with pytest.raises(InputError, match=r'no column "uri" .* there is n, url'):
        write_manifest(data, tmp_path / "n", address="uri")
    pl.DataFrame({"url": ["a", None]}).write_parquet(data)
    with pytest.raises(InputError, match=r'data.parquet, row 2: the address "url" .* got nothing'):
        write_manifest(data, tmp_path / "n", address="url")


def test_no_rows(tmp_path: Path) -> None:
    for frame in (pl.DataFrame({"a": []}, schema={"a": pl.Int8}), pl.DataFrame()):
        frame.write_parquet(tmp_path / "data.parquet")
        made = write_manifest(tmp_path / "data.parquet", tmp_path / "m", force=True)
        assert made.num_records == 0
        assert not check(tmp_path / "data.parquet", made)


def test_a_broken_file_is_named_with_its_place(tmp_path: Path) -> None:
    data = tmp_path / "data.parquet"
    frame = pl.DataFrame({"a": [str(i) * 50 for i in range(20_000)]})
    frame.write_parquet(data, row_group_size=2_000, compression="zstd")
    whole = data.read_bytes()
    for cut in (0, 5, len(whole) // 2, len(whole) - 1):
        data.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=rf"{data.name}: .*offset"):
            write_manifest(data, tmp_path / "m")
    middle = len(whole) // 2
    data.write_bytes(whole[:middle] + bytes(2_000) + whole[middle + 2_000 :])
    with pytest.raises(InputError, match=r"data.parquet: the Parquet file is damaged: .* row \d"):
        write_manifest(data, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["data.parquet"]
