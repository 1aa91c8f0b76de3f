"""Lists of addresses: how records are spread over domains, and sentences about lists that cannot be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.collection.addresses import AddressFile, Zipf
from pharmakon.errors import InputError
from pharmakon.identity import identify

URLS = [
    "https://a.example/1",
    "http://www.A.example:8080/2?x=http://c.example/",
    "https://user@a.example#top",
    "ftp://b.example",
    "https://b.example./p q",
    "https://sub.b.example/",
    "http://127.0.0.1:80/x",
    "http://[::1]/",
    "https://bücher.example/ä",
]
SPREAD = {"a.example": 3, "b.example": 2, "bücher.example": 1, "sub.b.example": 1}


def written(path: Path, urls: list[str]) -> Path:
    """The same list in the format of the suffix."""
    if path.suffix == ".parquet":
        pl.DataFrame({"n": list(range(len(urls))), "url": urls}).write_parquet(path)
    elif path.suffix == ".txt":
        path.write_text("\n\n".join(urls), encoding="utf-8")
    else:
        lines = "".join(json.dumps({"caption": "x", "url": url}) + "\n" for url in urls).encode()
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


@pytest.mark.parametrize("name", ["list.txt", "list.jsonl", "list.jsonl.gz", "list.parquet"])
def test_every_format_gives_the_same_spread(tmp_path: Path, name: str) -> None:
    """Hosts without `www.`, port and user; what is on an IP is counted and cannot be bought."""
    spread = AddressFile.of(written(tmp_path / name, URLS)).spread()
    assert dict(zip(spread.names, spread.records.tolist(), strict=True)) == SPREAD
    assert spread.total == 9
    assert spread.top(1) == pytest.approx(3 / 9)
    assert spread.num_for(0.5) == 2
    assert spread.num_for(1.0) == 4


def test_identity_is_the_content_and_the_column(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    one = AddressFile.of(written(tmp_path / "list.txt", URLS))
    same = AddressFile.of(written(tmp_path / "elsewhere" / "list.txt", URLS))
    other = AddressFile.of(written(tmp_path / "elsewhere" / "list.txt", URLS[1:]))
    assert identify(one) == identify(same) != identify(other)
    written(tmp_path / "list.txt", URLS[2:])
    with pytest.raises(InputError, match="has changed since"):
        one.spread()


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("list.txt", ["https://a.example/", "a.example/no-scheme"], ":3: an address is a URL such as"),
        ("list.txt", ["https://a..example/"], ":1: an address is a URL such as"),
        ("list.jsonl", ["https://a.example/", "https:///path"], ":2: an address is a URL such as"),
        ("list.parquet", ["https://a.example/", "not one"], ", row 2: an address is a URL such as"),
        ("list.txt", [], "has no addresses"),
        ("list.jsonl", [], "has no addresses"),
        ("list.txt", ["http://10.0.0.1/"], "has no domains: all of its 1 addresses"),
    ],
)
def test_what_is_no_list_is_named_with_its_line(tmp_path: Path, name: str, lines: list[str], said: str) -> None:
    path = written(tmp_path / name, lines)
    with pytest.raises(InputError) as caught:
        AddressFile.of(path).spread()
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_missing_values_columns_and_files(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"URL": ["https://a.example/", None], "n": [1, 2]}).write_parquet(path)
    with pytest.raises(InputError, match=r'no column "url" with addresses; there is URL, n. Set --field'):
        AddressFile.of(path).spread()
    with pytest.raises(InputError, match='the column "n" has the type Int64'):
        AddressFile.of(path, "n").spread()
    with pytest.raises(InputError, match=r"list.parquet, row 2: an address is a URL .* got nothing"):
        AddressFile.of(path, "URL").spread()
    with pytest.raises(InputError, match="no such file"):
        AddressFile.of(tmp_path / "none.txt")
    with pytest.raises(InputError, match=r'its suffix is "\.csv"'):
        AddressFile.of(tmp_path / "list.csv")
    lines = tmp_path / "list.jsonl"
    lines.write_text('{"url": "https://a.example/"}\n{"link": 1}\n')
    with pytest.raises(InputError, match=r'list.jsonl:2: the record has no field "url"'):
        AddressFile.of(lines).spread()
    text = tmp_path / "list.txt"
    text.write_bytes(b"https://a.example/\nhttps://\xff.example/\n")
    with pytest.raises(InputError, match=r"list.txt:2: a list of addresses is UTF-8; byte 0xff at column 9"):
        AddressFile.of(text).spread()


def test_a_file_that_was_cut_off_says_where(tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", URLS)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"list.parquet: the Parquet file is cut off at offset \d+"):
        AddressFile.of(path).spread()
    packed = written(tmp_path / "list.jsonl.gz", URLS)
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(InputError, match="the gzip file is damaged or cut off after line"):
        AddressFile.of(packed).spread()


def test_a_simulated_list_follows_its_exponent() -> None:
    spread = Zipf(num_records=1_100_000, num_domains=1_000, exponent=1.0).spread()
    harmonic = float((1 / np.arange(1, 1_001)).sum())
    assert spread.records[0] == round(1_100_000 / harmonic)
    assert spread.records[9] == pytest.approx(spread.records[0] / 10, abs=1)
    assert len(spread.records) == 1_000
    assert abs(spread.total - 1_100_000) < 500
    assert len(set(Zipf(num_records=100, num_domains=10, exponent=0).spread().records)) == 1
    with pytest.raises(InputError, match="at least one domain, and a record on each"):
        Zipf(num_records=5, num_domains=6)
    with pytest.raises(InputError, match="the exponent of a list is 0"):
        Zipf(exponent=-1)
