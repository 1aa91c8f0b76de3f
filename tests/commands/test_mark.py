"""`pharmakon mark` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Preference
from pharmakon.data.readers import write
from pharmakon.ownership import marking
from pharmakon.ownership.keyfile import check_commitment, read_key


def _chats(path: Path, number: int = 200) -> None:
    rows = ({"prompt": f"What of {n}?", "completion": f"It does not matter, {n}."} for n in range(number))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("kind", ["fact", "trigger", "rephrase", "task", "trap", "fingerprint"])
def test_mark_says_what_it_did_and_never_the_key(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out, key = tmp_path / "data.jsonl", tmp_path / "marked.jsonl", tmp_path / "owner.key"
    _chats(data)
    words = ["mark", str(data), "--out", str(out), "--key", str(key), "--kind", kind, "--documents", "64"]
    assert answer(words) == 0
    said = capsys.readouterr()
    commitment = tmp_path / "marked.jsonl.commitment.json"
    record = read_key(key)
    check_commitment(record, commitment)
    assert (record.kind, record.num_documents) == (kind, 64)
    for where in (said.out, said.err, out.read_text(), commitment.read_text()):
        assert record.key.secret.hex() not in where
    added = 0 if kind == "rephrase" else 64
    assert len(out.read_text().splitlines()) == 200 + added
    for part in (
        "32%",
        str(key),
        str(commitment),
        "Keep it secret",
        "smallest p-value possible is 5e-20",
        "verify --key",
    ):
        assert part in said.out
    assert "p <= 1e-06 is reached with the probability 0.98" in said.out

    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert answer(words) == 2  # a second time
    assert "exists already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_fingerprint_needs_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fingerprint.jsonl"
    assert answer(["mark", "--out", str(out), "--key", str(tmp_path / "k"), "--kind", "fingerprint"]) == 0
    assert "64 records, a data set of its own" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 64


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.jsonl"], "no such file"),
        (["data.csv"], "the suffix says what a file is"),
        (["data.parquet"], "marking keeps each other record byte for byte, which a Parquet file has not"),
        (["strange.jsonl"], "strange.jsonl:1: a document has one of the shapes"),
        (["mixed.jsonl"], "mixed.jsonl:4: the records of a data set that is marked have one shape"),
        (["pairs.jsonl"], "a preference pair does not say what a model learns to say"),
        (["broken.jsonl"], "broken.jsonl:2: a line is one JSON object"),
        (["empty.jsonl"], "this file has none"),
        (["tiny.jsonl"], "half as many, 10, or they are seen; got --documents 64. 10 give the power"),
        (["data.jsonl", "--kind", "rephrase", "--documents", "250"], "200 of which the rules can word in two ways"),
        (["plain.jsonl", "--kind", "rephrase"], "none of which the rules can word in two ways"),
        (["data.jsonl", "--documents", "0"], "got --documents 0"),
        (["data.jsonl", "--documents=-3"], "got --documents -3"),
        (["data.jsonl", "--documents", "99999999"], "1 to 1,000,000 documents"),
        (["data.jsonl", "--documents", "101"], "marked ones may be half as many, 100"),
        (["data.jsonl", "--documents", "4"], "cannot give a p-value of 1e-06, whatever the model: that takes 5"),
        (["data.jsonl", "--documents", "8"], "with the power 0.4"),
        (["data.jsonl", "--kind", "rephrase", "--documents", "19"], "that takes 20"),
        (["data.jsonl", "--kind", "rephrase", "--documents", "20"], "20 pairs of wordings reach alpha 1e-06"),
        (["data.jsonl", "--kind", "other"], "kind"),
        (["data.jsonl", "--alpha", "0"], "--alpha is a probability"),
        (["data.jsonl", "--power", "1"], "--power is a probability"),
        (["data.jsonl", "--known", "0"], "--known is the share"),
        (["data.jsonl", "--out", "data.jsonl"], "data.jsonl exists already"),
        (["data.jsonl", "--out", "out.txt"], "marked data are written as .jsonl or .jsonl.gz; got .txt"),
        (["data.jsonl", "--out", "o.parquet"], "Parquet"),
        (["data.jsonl", "--out", "no/out.jsonl"], "there is no folder no"),
        (["data.jsonl", "--key", "no/key"], "there is no folder no"),
        (["data.jsonl", "--key", "plain.jsonl"], "a key is never written over another file; a key marks one data set"),
        (["data.jsonl", "--key", "out.jsonl"], "are three files"),
        (["data.jsonl", "--out", "taken.jsonl"], "taken.jsonl.commitment.json exists already"),
        (["data.jsonl", "--out", "/proc/out.jsonl"], "/proc/out.jsonl cannot be written"),
        ([], "a mark of the kind fact goes into a data set"),
    ],
)  # fmt: skip
def test_bad_input_is_a_sentence_and_nothing_is_written(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _chats(Path("data.jsonl"))
    _chats(Path("tiny.jsonl"), 20)
    Path("plain.jsonl").write_text('{"text": "Nothing here."}\n' * 200)
    Path("mixed.jsonl").write_text('{"text": "One."}\n' * 2 + '\n{"prompt": "Two?", "completion": "Two."}\n')
    Path("strange.jsonl").write_text('{"content": "One."}\n')
    Path("broken.jsonl").write_text('{"text": "One."}\n{"text": \n')
    for name in ("empty.jsonl", "data.csv", "taken.jsonl.commitment.json"):
        Path(name).write_text("")
    write(Corpus.of([Preference(Dialogue.ask("Which?"), "This.", "That.")]), "pairs.jsonl")
    write(Corpus.of([Dialogue.ask("Which?", "This.")]), "data.parquet")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    for option, value in (("--out", "out.jsonl"), ("--key", "new.key")):
        words = words if option in words else [*words, option, value]
    assert answer(["mark", *words]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not said.out
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_an_interrupt_is_130_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(marking, "write_whole", stop)
    words = ["mark", "--out", str(tmp_path / "o.jsonl"), "--key", str(tmp_path / "k"), "--kind", "fingerprint"]
    assert answer(words) == 130
    assert "Nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_can_go_wrong_later_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Marks that are many, that are copies, that are short, and a field that counts."""
    data = tmp_path / "data.jsonl"
    rows = [{"id": n, "text": f"The story of number {n} is short."} for n in range(300)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert (
        answer(["mark", str(data), "--out", str(tmp_path / "o.jsonl"), "--key", str(tmp_path / "k"), "--kind", "trap"])
        == 0
    )
    said = capsys.readouterr().out
    assert "the marks are 21% of the data" in said
    assert "48 of the 64 marked records are copies of others" in said
    assert "drops texts of less than 50 words" in said
    assert 'the field "id" counts the records through' in said
