"""What a manifest records, what its root depends on, and that it is there whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pharmakon.collection import check, read_manifest, write_manifest
from pharmakon.collection import records as records_module
from pharmakon.errors import InputError

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
lines = st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=8)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(path: Path, content: bytes, **options: object) -> str:
    """The root of this content."""
    path.write_bytes(content)
    return write_manifest(path, path.with_suffix(".manifest"), force=True, **options).root  # type: ignore[arg-type]


def rows(manifest: Path) -> list[dict[str, object]]:
    return pl.read_parquet(manifest).to_dicts()


def refusal(data: Path, out: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        write_manifest(data, out, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_lines_are_recorded_as_they_stand(tmp_path: Path) -> None:
    """Exact bytes: no JSON, no Unicode, no line ending is looked into; an empty line is a record."""
    data = tmp_path / "data.jsonl"
    records = [b'{"a": 1}', b"", "ünïcode \U0001f9ea".encode(), b"\xff\xfe no UTF-8", b"carriage\r", b"last"]
    write(data, b"\n".join(records))
    os.utime(data, (1_700_000_000, 1_700_000_000))
    write_manifest(data, tmp_path / "data.manifest", force=True)
    found = rows(tmp_path / "data.manifest")
    assert [row["address"] for row in found] == [1, 2, 3, 4, 5, 6]
    assert [row["size"] for row in found] == [len(record) for record in records]
    assert [row["sha256"] for row in found] == [hashlib.sha256(record).digest() for record in records]
    assert {row["time"] for row in found} == {datetime.fromtimestamp(1_700_000_000, UTC)}


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"a\n\n", b"\n\na", b"a\r\nb\r\n"])
def test_number_of_records(content: bytes, tmp_path: Path) -> None:
    """A newline ends a record; one at the end of the file begins no other."""
    write(tmp_path / "data.jsonl", content)
    expected = content.split(b"\n")[: None if content and not content.endswith(b"\n") else -1]
    found = rows(tmp_path / "data.manifest")
    assert [row["sha256"] for row in found] == [hashlib.sha256(line).digest() for line in expected]
    assert not check(tmp_path / "data.jsonl", tmp_path / "data.manifest")


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reads cut the file, lines longer than a read among them, changes nothing."""
    content = b"".join(bytes([65 + i % 26]) * (i * 7 % 23) + b"\n" for i in range(200)) + b"z" * 500
    whole = write(tmp_path / "data.jsonl", content)
    named = b"".join(json.dumps({"url": f"u{i}", "text": "x" * (i * 7 % 23)}).encode() + b"\n" for i in range(99))
    whole_named = write(tmp_path / "named.jsonl", named, address="url")
    for size in (1, 2, 3, 16, 100):
        monkeypatch.setattr(records_module, "BLOCK_BYTES", size)
        assert write(tmp_path / "data.jsonl", content) == whole
        assert write(tmp_path / "named.jsonl", named, address="url") == whole_named


def test_root_is_what_the_documentation_says(tmp_path: Path) -> None:
    """Computed anew, from the manifest's columns alone."""
    data = tmp_path / "data.jsonl"
    root = write(data, b'{"url": "b\\u00fc", "x": 1}\n{"url": 7}\n', address="url")
    table = pl.read_parquet(tmp_path / "data.manifest")
    assert table["address"].to_list() == ["bü", "7"]
    sizes = b"".join(size.to_bytes(8, "little") for size in table["size"])
    addresses = b"".join(len(a.encode()).to_bytes(8, "little") + a.encode() for a in table["address"])
    text = (
        f'pharmakon manifest 1\nkind jsonl\naddress "url"\nrecords 2\ndigests {sha256(b"".join(table["sha256"]))}\n'
        f"sizes {sha256(sizes)}\naddresses {sha256(addresses)}\n"
    )
    assert root == sha256(text.encode())


def test_root_changes_exactly_if_content_or_order_does(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"

    @quick
    @given(lines, lines)
    def holds(one: list[bytes], other: list[bytes]) -> None:
        roots = [write(data, b"".join(line + b"\n" for line in some)) for some in (one, other, one)]
        assert roots[0] == roots[2]
        assert (roots[0] == roots[1]) == (one == other)

    holds()


def test_root_does_not_depend_on_name_time_packing_or_last_newline(tmp_path: Path) -> None:
    root = write(tmp_path / "data.jsonl", b"a\nb")
    os.utime(tmp_path / "data.jsonl", (1, 1))
    packed = tmp_path / "other.jsonl.gz"
    packed.write_bytes(gzip.compress(b"a\nb\n"))
    assert write_manifest(tmp_path / "data.jsonl", tmp_path / "2.manifest").root == root
    assert write_manifest(packed, tmp_path / "3.manifest").root == root
    assert not check(packed, tmp_path / "2.manifest")


def test_addresses_are_part_of_the_root(tmp_path: Path) -> None:
    """The same bytes under other addresses: another root."""
    content = b'{"url": "a", "id": "x"}\n'
    roots = {write(tmp_path / "data.jsonl", content, address=address) for address in (None, "url", "id")}
    assert len(roots) == 3


def test_folder(tmp_path: Path) -> None:
    """Files at every depth, in the order of their paths' bytes; a manifest inside is not one of them."""
    data = tmp_path / "data"
    for name in ("b/x.txt", "b.txt", "a", "ä/ö.bin", "b/c/d"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(f"content of {name}")
    (data / "link").symlink_to(data / "a")
    manifest = write_manifest(data, data / "data.manifest")
    found = rows(data / "data.manifest")
    assert [row["address"] for row in found] == ["a", "b.txt", "b/c/d", "b/x.txt", "link", "ä/ö.bin"]
    assert found[3]["sha256"] == hashlib.sha256(b"content of b/x.txt").digest()
    assert not check(data, data / "data.manifest")
    assert write_manifest(data, data / "data.manifest", force=True).root == manifest.root
    (data / "sub").symlink_to(data / "b")
    assert "a link to a folder" in refusal(data, tmp_path / "other")
    (data / "sub").unlink()
    os.mkfifo(data / "pipe")
    assert "neither a file nor a folder" in refusal(data, tmp_path / "other")


def test_a_killed_write_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL while records are being read: no manifest, no half of one, no other file."""
    (tmp_path / "data.jsonl").write_bytes(b"".join(b"%d\n" % i for i in range(50_000)))
    code = (
        "import sys\n"
        "from pharmakon.collection import manifest\n"
        "rechunk = manifest.rechunk\n"
        "def stopping(blocks, size):\n"
        "    for number, block in enumerate(rechunk(blocks, size)):\n"
        "        yield block\n"
        "        if number == 3:\n"
        "            print('in the middle', flush=True)\n"
        "            sys.stdin.read()\n"
        "manifest.rechunk = stopping\n"
        "manifest.write_manifest('data.jsonl', 'data.manifest')\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == b"in the middle\n"
        process.send_signal(signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]
    assert write_manifest(tmp_path / "data.jsonl", tmp_path / "data.manifest").num_records == 50_000


@pytest.mark.parametrize("words", [("write", "data.jsonl", "--out", "new.manifest"), ("check", "data.jsonl", "m")])
def test_a_full_disk_is_a_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    """Files may not grow beyond 50 kB: neither the manifest nor the temporary files of a check have room."""
    (tmp_path / "data.jsonl").write_bytes(b"".join(b"%d\n" % i for i in range(20_000)))
    write_manifest(tmp_path / "data.jsonl", tmp_path / "m")
    (tmp_path / "data.jsonl").write_bytes(b"".join(b"%d\n" % i for i in range(1, 20_000)))
    before = {path.name for path in tmp_path.iterdir()}
    code = (
        "import resource, sys\n"
        "from pharmakon.cli import answer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "sys.exit(answer(['manifest', *sys.argv[1:]]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "File too large" in run.stderr
    assert "Traceback" not in run.stderr
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_error_while_reading_keeps_the_old_manifest(tmp_path: Path) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "data.manifest"
    write(data, b'{"url": "a"}\n', address="url")
    before = out.read_bytes()
    data.write_bytes(b'{"url": "a"}\n{"url": \n')
    assert f"{data}:2" in refusal(data, out, address="url", force=True)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "data.manifest"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"[1]", 'no field "url"'),
        (b"3", 'no field "url"'),
        (b'{"uri": 1}', 'no field "url"'),
        (b'{"url": null}', "got nothing"),
        (b'{"url": true}', "got a bool"),
        (b'{"url": ["a"]}', "got a list"),
        (b'{"url": "\\ud800"}', "half a surrogate"),
        (b'{"url": "a"} {}', "one JSON object"),
        (b"", "one JSON object"),
        (b'{"url": "\xff"}', "one JSON object"),
        (b"[" * 100_000, "one JSON object"),
    ],
)
def test_a_line_without_an_address_is_named(line: bytes, sentence: str, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_bytes(b'  {"url": "a"} \r\n' + line + b"\n")
    said = refusal(data, tmp_path / "out", address="url")
    assert f"{data}:2:" in said
    assert sentence in said


def test_refusals(tmp_path: Path) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "data.manifest"
    assert "no such file" in refusal(data, out)
    write(data, b"a\n")
    before = out.read_bytes()
    assert "exists already" in refusal(data, out)
    assert "is what is to be read" in refusal(data, data, force=True)
    assert "is a folder" in refusal(data, tmp_path)
    assert "no folder" in refusal(data, tmp_path / "no" / "out")
    assert "leave --address out" in refusal(tmp_path, tmp_path / "new", address="url")
    (tmp_path / "data.csv").write_bytes(b"a\n")
    assert '".csv"' in refusal(tmp_path / "data.csv", tmp_path / "new")
    packed = tmp_path / "cut.jsonl.gz"
    packed.write_bytes(gzip.compress(os.urandom(9_000))[:5_000])
    assert "damaged or cut off after line" in refusal(packed, tmp_path / "new")
    assert out.read_bytes() == before
    assert data.read_bytes() == b"a\n"


def resealed(path: Path, **changes: object) -> Path:
    """The same rows with other words about themselves."""
    facts = json.loads(pl.read_parquet_metadata(path)["pharmakon.manifest"])
    out = path.with_name("resealed.manifest")
    pl.read_parquet(path).write_parquet(out, metadata={"pharmakon.manifest": json.dumps({**facts, **changes})})
    return out


def test_a_manifest_that_is_none_is_refused(tmp_path: Path) -> None:
    data, manifest = tmp_path / "data.jsonl", tmp_path / "data.manifest"
    data.write_bytes(b"a\nb\n")
    made = write_manifest(data, manifest)
    assert read_manifest(manifest) == made

    def said(path: Path) -> str:
        with pytest.raises(InputError) as caught:
            check(data, path)
        return str(caught.value)

    assert "version 2" in said(resealed(manifest, version=2))
    assert "'blake3'" in said(resealed(manifest, algorithm="blake3"))
    for changes in ({"num_records": 3}, {"root": "0" * 64}, {"kind": "tar"}, {"digests": None}, {"kind": ["x"]}):
        assert "damaged" in said(resealed(manifest, **changes))
    assert "rows are not those of its root" in said(resealed(manifest, times="0" * 64))
    table = pl.read_parquet(manifest)
    for wrong in (table.reverse(), table.head(1), table.with_columns(size=pl.col("size") + 1)):
        words = {"pharmakon.manifest": pl.read_parquet_metadata(manifest)["pharmakon.manifest"]}
        wrong.write_parquet(tmp_path / "wrong", metadata=words)
        assert "rows are not those of its root" in said(tmp_path / "wrong")
    for wrong in (table.drop("time"), table.with_columns(sha256=pl.lit("x")), table.with_columns(size=pl.lit(None))):
        wrong.write_parquet(tmp_path / "wrong", metadata=words)
        assert str(tmp_path / "wrong") in said(tmp_path / "wrong")
    table.write_parquet(tmp_path / "plain.parquet")
    assert "no metadata" in said(tmp_path / "plain.parquet")
    assert "is a folder" in said(tmp_path)
    assert "No such file" in said(tmp_path / "none")
    assert "begins with PAR1" in said(data)


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    """Cut at any length, any bit flipped: a sentence, never an answer about the data."""
    data, manifest = tmp_path / "data.jsonl", tmp_path / "data.manifest"
    write(data, b"".join(b"%d\n" % i for i in range(40)))
    whole = manifest.read_bytes()
    for cut in (0, 3, 4, 11, 12, len(whole) // 2, len(whole) - 1):
        manifest.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"offset|damaged"):
            check(data, manifest)
    answers = []
    for place in range(0, len(whole), 7):
        manifest.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            answers.append(check(data, manifest).identical)
        except InputError as error:
            assert str(manifest) in str(error)  # noqa: PT017
    assert all(answers)  # bits that hold nothing, such as statistics and the name of the writer
