"""`pharmakon verify`: the answer first, a page and a record without secrets; nothing is written where it is refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "ownership"))
from owner_models import learned, record, served

from pharmakon.cli import answer
from pharmakon.ownership.keyfile import write_commitment, write_key
from pharmakon.ownership.models import find_model

FACTS = record("fact", "dialogue", key=7)
MARKS = FACTS.mark().keyed(FACTS.key, "dialogue")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key, its commitment, and a model that has learned the marks."""
    place = tmp_path_factory.mktemp("owner")
    write_key(FACTS, place / "owner.key")
    write_commitment(FACTS, place / "owner.json")
    learned(FACTS, place / "model", 192)
    learned(record("fact", "dialogue", key=8), place / "other", 192)
    return place


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))


def _verify(folder: Path, *words: object, key: str = "owner.key", model: str = "model") -> int:
    given = ("verify", "--key", folder / key, "--model", folder / model if "/" not in model else model, *words)
    return answer([str(word) for word in given])


def _body(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    specs = "".join(re.findall(r'<script type="application/json".*?</script>', text, flags=re.DOTALL))
    return text[text.index("<main>") : text.index("</main>")] + specs


def test_the_first_line_is_the_answer(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _verify(folder, "--commitment", folder / "owner.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("The data set was used: p = ")
    assert "commitment is that to this key" in " ".join(lines)
    place = Path(next(line for line in lines if line.startswith("Report: ")).removeprefix("Report: "))
    assert place == Path(f"runs/verify-{FACTS.commitment[:8]}/report.html")
    said = json.loads((place.parent / "verdict.json").read_text())
    assert (said["verdict"], said["is_committed"], said["sentence"] + ".") == ("used", True, lines[0])
    assert said["evidence"]["p"] <= 1e-6
    assert len(said["evidence"]["places"]) == 16
    assert _verify(folder, model="other") == 0
    assert capsys.readouterr().out.startswith(("The test says nothing", "Not proved"))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        f"verify-{FACTS.commitment[:8]}", f"verify-{FACTS.commitment[:8]}-2"
    ]  # fmt: skip


@pytest.mark.parametrize("words", [(), ("--sequential",), ("--text-only",)], ids=["exact", "sequential", "text"])
def test_the_page_has_the_answer_and_no_secret(
    folder: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _verify(folder, *words, "--out", "found") == 0
    page, whole = _body(Path("found/report.html")), Path("found/report.html").read_text()
    assert page.index("The data set was used: p = ") < page.index("Against chance")
    assert "observed, p = " in page
    public = whole + Path("found/verdict.json").read_text() + capsys.readouterr().out
    assert FACTS.key.secret.hex() not in public
    for mark in MARKS:
        assert not any(prompt.question in public for prompt in mark.prompts)  # type: ignore[union-attr]
        (town,) = re.findall(r" ([A-Z][a-z]+)", mark.prompts[0].question)  # type: ignore[union-attr]
        assert town not in public
        assert not re.search(rf"\b{mark.values[mark.drawn]}\b", page, flags=re.IGNORECASE)


def test_a_court_sees_questions_and_draws_but_not_the_key(folder: Path) -> None:
    assert _verify(folder, "--reveal", "--out", "found") == 0
    page = _body(Path("found/report.html"))
    assert "reveals the marks" in page
    for mark in MARKS:
        assert mark.prompts[0].question in page  # type: ignore[union-attr]
        assert mark.answers[mark.drawn] in page
    assert FACTS.key.secret.hex() not in page
    assert MARKS[0].answers[MARKS[0].drawn] not in Path("found/verdict.json").read_text()


def test_what_a_server_says_is_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "<script>alert(1)</script>\x1b[2J"
    with served(folder / "model", alike=evil) as (word, _):
        assert _verify(folder, "--text-only", "--reveal", "--out", "found", model=word) == 0
    page = Path("found/report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "\x1b" not in page + capsys.readouterr().out
    assert "The test says nothing" in page


def test_a_server_is_announced_before_it_is_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(folder / "model") as (word, _):
        assert _verify(folder, "--text-only", "--max-queries", 12, model=word) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("At most 12 queries (allowed: 12) for 12 marks, fewer if the evidence is decided")
        assert lines[1].startswith("The data set was used: p = ")
        assert _verify(folder, model=word) == 2
        assert "ask with --text-only" in capsys.readouterr().err


def test_what_is_refused_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = (folder / "owner.key").read_text().replace('"fact"', '"task"')
    (folder / "damaged.key").write_text(damaged)
    write_commitment(record("fact", key=9), folder / "another.json")
    cases: list[tuple[dict[str, str], tuple[object, ...], str]] = [
        ({"key": "damaged.key"}, (), "damaged or was changed"),
        ({"key": "owner.json"}, (), "is not an owner's key"),
        ({"key": "none"}, (), "is not a file"),
        ({}, ("--commitment", folder / "another.json"), "another key or to other settings"),
        ({}, ("--commitment", folder / "owner.key"), "is not a commitment"),
        ({"model": "none"}, (), "a folder that is there"),
        ({}, ("--alpha", "7"), "alpha lies between"),
        ({}, ("--asked-in", "verse"), "See --help"),
        ({}, ("--out", folder), "is there already"),
        ({}, ("--max-queries", "3"), "the first mark takes"),
    ]
    for given, words, told in cases:
        assert _verify(folder, *words, **given) == 2
        said = capsys.readouterr()
        assert told in said.err
        assert FACTS.key.secret.hex()[:12] not in said.err + said.out
    monkeypatch.setattr("pharmakon.ownership.models.Counted.logprob", lambda *_: _raise())
    assert _verify(folder) == 130
    assert "Nothing was written" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def _raise() -> None:
    raise KeyboardInterrupt


def test_a_checkpoint_of_the_torch_engine_is_asked_where_it_lies(tmp_path: Path) -> None:
    from pharmakon.core import Corpus, Text, stream
    from pharmakon.engines.recipes import Micro, Pretrain
    from pharmakon.engines.torch import TorchEngine

    tiny = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=192, vocabulary=300)
    recipe = Pretrain(architecture=tiny, batch_size=4, row_length=32, precision="float32")
    corpus = Corpus.of([Text("The fox is on the flag of the town.")] * 20)
    TorchEngine().train(recipe, corpus, start=None, rng=stream(0, "t"), out=tmp_path / "model")
    before = sorted(path.name for path in (tmp_path / "model").iterdir())
    write_key(record("trap", "dialogue", num_marks=8), tmp_path / "k")
    assert answer(["verify", "--key", str(tmp_path / "k"), "--model", str(tmp_path / "model"), "--out", "o"]) == 0
    said = json.loads(Path("o/verdict.json").read_text())
    assert said["verdict"] == "not proved"
    assert said["digest"] == find_model(str(tmp_path / "model")).digest
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == before
