"""The commands as a person types them: what they print, their exit codes, and that bad input is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pharmakon.cli import answer


def test_write_check_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, manifest = tmp_path / "data.jsonl", tmp_path / "data.manifest"
    data.write_text("".join(f'{{"url": "u/{i}"}}\n' for i in range(10)))
    assert answer(["manifest", "write", str(data), "--out", str(manifest)]) == 0
    said = capsys.readouterr().out
    assert "10 records" in said
    root = said.split("Root: ")[1].strip()
    assert answer(["manifest", "root", str(manifest)]) == 0
    assert capsys.readouterr().out == f"{root}\n"
    assert answer(["manifest", "check", str(data), str(manifest), "--root", root]) == 0
    assert "Identical: 10 records" in capsys.readouterr().out

    lines = data.read_text().splitlines()
    data.write_text("\n".join(["new", *lines[9:], *lines[:3], *lines[8:9]]))
    out = tmp_path / "differences.parquet"
    assert answer(["manifest", "check", str(data), str(manifest), "--out", str(out)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "Different: 10 records in the manifest, 6 in the data.",
        "5 vanished",
        *(f"  record {i} (14 bytes)" for i in (4, 5, 6, 7, 8)),
        "1 appeared",
        "  record 1 (3 bytes)",
        "1 reordered",
        "  record 2 (was record 10, is record 2)",
        f"All differences: {out}",
    ]


def test_only_a_few_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, manifest = tmp_path / "data", tmp_path / "data.manifest"
    data.mkdir()
    (data / "kept").write_text("kept")
    assert answer(["manifest", "write", str(data), "--out", str(manifest)]) == 0
    for i in range(1_203):
        (data / f"new-{i:04}").touch()
    (data / "\x1b[31mred").touch()
    capsys.readouterr()
    assert answer(["manifest", "check", str(data), str(manifest)]) == 1
    said = capsys.readouterr().out
    assert "1,204 appeared" in said
    assert "… and 1,199 more" in said
    assert "\x1b" not in said  # a name is another's text: it does not speak to the terminal
    assert "\\u001b[31mred" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["write", "none.jsonl", "--out", "m"], "no such file"),
        (["write", "data.jsonl", "--out", "data.manifest"], "exists already"),
        (["write", "data.jsonl", "--out", "m", "--address", "url"], "data.jsonl:1"),
        (["check", "data.jsonl", "none"], "No such file"),
        (["check", "data.jsonl", "data.jsonl"], "PAR1"),
        (["check", "data.jsonl", "data.manifest", "--root", "x"], "64 hexadecimal"),
        (["check", "data.jsonl", "data.manifest", "--root", "0" * 64], "not the published"),
        (["check", "data.jsonl", "data.manifest", "--out", "o.txt"], ".jsonl or .parquet"),
        (["check", "other.jsonl", "data.manifest"], "another data set"),
        (["root", "cut.manifest"], "cut off at offset 100"),
        (["write"], "requires an argument"),
    ],
)
def test_bad_input_is_a_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.jsonl").write_text("a\n")
    Path("other.jsonl").write_text("b\n")
    assert answer(["manifest", "write", "data.jsonl", "--out", "data.manifest"]) == 0
    Path("cut.manifest").write_bytes(Path("data.manifest").read_bytes()[:100])
    before = {path: path.read_bytes() for path in Path().iterdir()}
    assert answer(["manifest", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().iterdir()} == before
