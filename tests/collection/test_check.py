"""Exactly what changed, vanished, appeared or moved, against models of the same in plain Python."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pharmakon.collection import Difference, Differences, align, check, differences, manifest, spool, write_manifest
from pharmakon.errors import InputError

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ALL = 10_000


@pytest.fixture(params=["as it is", "small"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with blocks, buckets and windows so small that a few records fill many."""
    if request.param == "small":
        for module, name, value in (
            (differences, "BLOCK_RECORDS", 2), (manifest, "BLOCK_RECORDS", 3), (spool, "STEP", 2), (align, "STEP", 2),
            (align, "FIRST_STEP", 1), (align, "BUCKET", 2), (align, "WINDOW", 6), (align, "MAX_RUNS", 4),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, value)


def compare(tmp_path: Path, then: list[str], now: list[str], address: str | None = None) -> Differences:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(f"{line}\n" for line in then))
    made = write_manifest(data, tmp_path / "manifest", address=address, force=True)
    data.write_text("".join(f"{line}\n" for line in now))
    return check(data, made, num_first=ALL)


def of(found: Differences, what: str) -> list[Difference]:
    some = [one for one in found.first if one.what == what]
    assert len(some) == getattr(found, what)
    return some


def longest_in_order(places: list[int]) -> int:
    lengths: list[int] = []
    for i, place in enumerate(places):
        lengths.append(1 + max((lengths[j] for j in range(i) if places[j] < place), default=0))
    return max(lengths, default=0)


def sha256(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def check_places(found: Differences, then: list[str], now: list[str]) -> None:
    """Every difference says what is where."""
    for one in found.first:
        assert (one.record_before is None) == (one.what == "appeared")
        assert (one.record_after is None) == (one.what == "vanished")
        for number, side, digest, size in (
            (one.record_before, then, one.sha256_before, one.size_before),
            (one.record_after, now, one.sha256_after, one.size_after),
        ):
            if number is not None:
                assert digest == sha256(side[number - 1])
                assert size == len(side[number - 1].encode())


@pytest.mark.usefixtures("sizes")
def test_different_lines(tmp_path: Path) -> None:
    """Lines that are all different: the sets are exact, and those out of order are the fewest possible."""
    some = st.lists(st.integers(0, 14), unique=True, max_size=12)

    @quick
    @given(some, some)
    def holds(one: list[int], other: list[int]) -> None:
        then, now = [f"{i:x}" for i in (99, *one)], [f"{i:x}" for i in (99, *other)]
        found = compare(tmp_path, then, now)
        check_places(found, then, now)
        gone = of(found, "changed") + of(found, "vanished")
        came = of(found, "changed") + of(found, "appeared")
        assert sorted(then[one.record_before - 1] for one in gone) == sorted(set(then) - set(now))
        assert sorted(now[one.record_after - 1] for one in came) == sorted(set(now) - set(then))
        common = [then.index(line) for line in now if line in then]
        assert found.reordered == len(common) - longest_in_order(common)
        moved = {now[one.record_after - 1] for one in of(found, "reordered")}
        left = [line for line in now if line in then and line not in moved]
        assert left == [line for line in then if line in left]
        assert found.identical == (then == now)

    holds()


@pytest.mark.usefixtures("sizes")
def test_lines_with_copies(tmp_path: Path) -> None:
    """Without what is named, both sides are the same sequence; no copy is counted twice or lost."""
    some = st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=12)

    @quick
    @given(some, some)
    def holds(one: list[str], other: list[str]) -> None:
        then, now = ["first", *one], ["first", *other]
        found = compare(tmp_path, then, now)
        check_places(found, then, now)
        assert found.identical == (then == now)
        lost, new = Counter(then) - Counter(now), Counter(now) - Counter(then)
        assert Counter(then[d.record_before - 1] for d in of(found, "changed") + of(found, "vanished")) == lost
        assert Counter(now[d.record_after - 1] for d in of(found, "changed") + of(found, "appeared")) == new
        named_then = {d.record_before for d in found.first}
        named_now = {d.record_after for d in found.first}
        assert [line for n, line in enumerate(then, 1) if n not in named_then] == [
            line for n, line in enumerate(now, 1) if n not in named_now
        ]

    holds()


@pytest.mark.usefixtures("sizes")
def test_addresses(tmp_path: Path) -> None:
    """With addresses every record is found by its own, wherever it is and whatever it says."""
    some = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), unique_by=lambda pair: pair[0], max_size=8)

    def lines(pairs: list[tuple[int, int]]) -> list[str]:
        return [json.dumps({"url": f"ü/{address}", "text": text}) for address, text in [(99, 0), *pairs]]

    @quick
    @given(some, some)
    def holds(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
        then, now = lines(one), lines(other)
        found = compare(tmp_path, then, now, "url")
        check_places(found, then, now)
        before, after = dict(one), dict(other)
        expected = {
            "changed": {a for a in before if a in after and before[a] != after[a]},
            "vanished": before.keys() - after.keys(),
            "appeared": after.keys() - before.keys(),
        }
        for what, addresses in expected.items():
            assert {d.address for d in of(found, what)} == {f"ü/{a}" for a in addresses}
            assert getattr(found, what) == len(addresses)
        places = list(before)
        common = [places.index(address) for address in after if address in before]
        assert found.reordered == len(common) - longest_in_order(common)

    holds()


@pytest.mark.usefixtures("sizes")
def test_the_same_address_twice(tmp_path: Path) -> None:
    """Of records that share an address, those of the same content belong together."""
    lines = ['{"u":"a","t":1}', '{"u":"a","t":2}', '{"u":"b"}', '{"u":"a","t":3}']
    assert not compare(tmp_path, lines, lines, "u")
    found = compare(tmp_path, lines, [lines[1], lines[2], '{"u":"a","t":4}'], "u")
    assert (found.changed, found.vanished, found.appeared) == (1, 1, 0)
    assert Counter(d.sha256_before for d in found.first) <= Counter(sha256(lines[i]) for i in (0, 3))


@pytest.mark.usefixtures("sizes")
def test_edits_far_apart_are_found_exactly(tmp_path: Path) -> None:
    """Blank lines between all records, as many files have them, mislead nobody."""
    then = [line for i in range(60) for line in (f"record {i}", "")]
    now = list(then)
    now[100] = "record 50, changed"
    now.insert(80, "new")
    del now[40:42]
    now.insert(10, "also new")
    found = compare(tmp_path, then, now)
    assert (found.changed, found.reordered) == (1, 0)
    assert (of(found, "changed")[0].record_before, of(found, "changed")[0].record_after) == (101, 101)
    assert sorted(sha256(text) for text in ("new", "also new")) == sorted(
        d.sha256_after or "" for d in of(found, "appeared")
    )
    assert sorted(d.sha256_before or "" for d in of(found, "vanished")) == sorted(map(sha256, ("record 20", "")))


def test_many_records(tmp_path: Path) -> None:
    """Beyond one block and one bucket at their real sizes: an inserted line, a removed, a moved and a changed one."""
    then = [str(i) for i in range(120_000)]
    now = ["new", *then]
    now[70_001] = "changed"
    del now[50_001]
    now.append(now.pop(30_001))
    found = compare(tmp_path, then, now)
    assert [(d.what, d.record_before, d.record_after) for d in found.first] == [
        ("changed", 70_001, 70_000),
        ("vanished", 50_001, None),
        ("appeared", None, 1),
        ("reordered", 30_001, 120_000),
    ]
    found = compare(tmp_path, then, then[:1] + then[:0:-1])
    assert (found.changed, found.vanished, found.appeared, found.reordered) == (0, 0, 0, 120_000 - 2)


def test_folder_and_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    made = write_manifest(folder, tmp_path / "folder.manifest")
    (folder / "a").write_text("other")
    (folder / "b").rename(folder / "z")
    found = check(folder, made)
    assert [(d.what, d.address) for d in found.first] == [("changed", "a"), ("vanished", "b"), ("appeared", "z")]

    data = tmp_path / "data.parquet"
    frame = pl.DataFrame({"url": ["a", "b", "c"], "text": ["x", "y", "z"]})
    frame.write_parquet(data)
    made = write_manifest(data, tmp_path / "parquet.manifest", address="url")
    frame.with_columns(text=pl.Series(["x", "y", "!"]))[[1, 0, 2]].write_parquet(data)
    found = check(data, made)
    assert [d.address for d in of(found, "changed")] == ["c"]
    assert found.reordered == 1
    assert repr(found) == "Differences(1 changed, 1 reordered; 3 records, 3 in the manifest)"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_all_differences_are_written(suffix: str, tmp_path: Path) -> None:
    """The result holds a few, the file all."""
    data, out = tmp_path / "data.jsonl", tmp_path / f"differences{suffix}"
    data.write_text("".join(f"{i}\n" for i in range(50)))
    made = write_manifest(data, tmp_path / "m")
    data.write_text("".join(f"{i}\n" for i in range(20)) + "\n".join("abc"))
    found = check(data, made, out=out, num_first=2)
    assert (found.changed, found.vanished, len(found.first)) == (3, 27, 4)
    table = pl.read_ndjson(out) if suffix == ".jsonl" else pl.read_parquet(out)
    assert table.columns == list(Difference.__slots__)
    assert table["what"].to_list() == ["changed"] * 3 + ["vanished"] * 27
    assert Difference(**table.row(0, named=True)) == found.first[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["data.jsonl", "m", out.name])


def test_nothing_is_modified_and_nothing_else_written_over(tmp_path: Path) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
    data.write_text("a\nb\n")
    made = write_manifest(data, tmp_path / "m.parquet")
    data.write_text("a\nc\n")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    for wrong, sentence in (
        (data, "is what is to be read"), (made.path, "is what is to be read"), (tmp_path / "x.csv", "jsonl or .parquet")
    ):  # fmt: skip
        with pytest.raises(InputError, match=sentence):
            check(data, made, out=wrong, force=True)
    assert check(data, made).changed == 1
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before
    out.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        check(data, made, out=out)
    assert out.read_text() == "mine"
    assert check(data, made, out=out, force=True).changed == 1
    assert out.read_text() != "mine"


def test_the_manifest_of_another_data_set(tmp_path: Path) -> None:
    """Nothing in common is no difference but a mistake; other line endings look like it, and are named."""
    data = tmp_path / "data.jsonl"
    data.write_bytes(b'{"u": 1}\n{"u": 2}\n')
    made, named = (write_manifest(data, tmp_path / f"{a}", address=a) for a in (None, "u"))
    data.write_bytes(b'{"u": 1}\r\n{"u": 2}\r\n')
    with pytest.raises(InputError, match=r"another data set: .* their endings"):
        check(data, made)
    assert check(data, named).changed == 2
    data.write_bytes(b'{"u": 3}\n')
    for it in (made, named):
        with pytest.raises(InputError, match="another data set"):
            check(data, it)
    data.write_bytes(b"")
    assert check(data, made).vanished == 2
    empty = write_manifest(data, tmp_path / "empty")
    assert not check(data, empty)
    data.write_bytes(b"x\n")
    assert check(data, empty).appeared == 1
    (tmp_path / "data.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="manifest of a jsonl"):
        check(tmp_path / "data.parquet", made)
    with pytest.raises(InputError, match="manifest of a jsonl"):
        check(tmp_path, made)


def test_root_is_looked_at_first(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("a\n")
    made = write_manifest(data, tmp_path / "m")
    assert not check(data, made.path, root=f" {made.root.upper()} ")
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        check(data, made, root="abc")
    with pytest.raises(InputError, match="not the published manifest"):
        check(tmp_path / "there is no data", made, root="0" * 64)


def test_a_manifest_value_follows_its_file(tmp_path: Path) -> None:
    """A file that was written over since its manifest was read does not pass for it."""
    data = tmp_path / "data.jsonl"
    data.write_text("a\n")
    made = write_manifest(data, tmp_path / "m")
    data.write_text("b\n")
    write_manifest(data, tmp_path / "m", force=True)
    with pytest.raises(InputError, match="not those of its root"):
        check(data, made)
