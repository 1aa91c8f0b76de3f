"""The command line as a user meets it: in fresh processes where it matters, sentences for bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pharmakon.cli import answer

ROOT = Path(__file__).parent.parent
STUDY = f"{ROOT / 'examples' / 'word_study.py'}:early_or_late"


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def _words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["plan", "--help"], ["list", "--help"], ["report", "--help"], []],
)
def test_help_everywhere(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(words) == 0
    assert "Usage: pharmakon" in capsys.readouterr().out


def test_help_of_a_study_is_its_signature(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "sft-backdoor", "--help"]) == 0
    out = _words(capsys.readouterr().out)
    for text in ("--doses", "0,16,32,48,64,96,128", "--seeds", "--data", "--workers", "How many poisoned dialogues"):
        assert text in out


def test_list_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["list"]) == 0
    out = capsys.readouterr().out
    for text in ("studies", "sft-backdoor", "interventions", "belief", "filters", "near-duplicates", "probes", "ngram"):
        assert text in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "sft-bckdoor"], "Did you mean sft-backdoor?"),
        (["run", "nothing/here.py:study"], "is not a file"),
        (["run", f"{ROOT / 'examples' / 'word_study.py'}:lost"], "it has early_or_late"),
        (["run", "sft-backdoor", "--doses", "8,16"], "the dose 0, its untreated control"),
        (["run", "sft-backdoor", "--doses", "0,x"], "0,8,16 or 0,0.5%,1%"),
        (["run", "sft-backdoor", "--doses", "0,1.5"], "a whole number"),
        (["run", "sft-backdoor", "--doses", "0,150%"], "lies in [0, 1]"),
        (["run", "sft-backdoor", "--doses", "0,5000"], "a dose is at most the corpus, 2000 documents"),
        (["run", "sft-backdoor", "--seeds", "0"], "at least one seed"),
        (["run", "sft-backdoor", "--seeds", "2.5"], "a whole number is needed, got '2.5'"),
        (["run", "sft-backdoor", "--workers", "-1"], "0 (this process) or more"),
        (["run", "sft-backdoor", "--data", "lost.jsonl"], "no such file"),
        (["run", "sft-backdoor", "--data", "vader-movie"], "Did you mean vader-movies?"),
        (["run", "sft-backdoor", "--cleaning", "dialogue-v1"], 'Did you mean "dialogues-v1"?'),
        (["run", "sft-backdoor", "--dosis", "3"], "--dosis"),
        (["run"], "STUDY"),
        (["report", "nowhere"], "is not there"),
        (["nosuch"], "nosuch"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(words) == 2
    said = _words(capsys.readouterr().err)
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([""], "a corpus has one document or more"),
        (['{"messages": "hello"}'], "data.jsonl:1:"),
        (
            ['{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}', "{"],
            "data.jsonl:2:",
        ),
        (['{"messages": [{"role": "user", "content": "a"}]}'], "data.jsonl:1:"),
        (['{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'], "at least 100"),
    ],
)
def test_a_bad_file_is_named_with_its_line(
    lines: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text("\n".join(lines))
    before = file.read_bytes()
    assert answer(["run", "sft-backdoor", "--data", str(file)]) == 2
    assert sentence in _words(capsys.readouterr().err)
    assert file.read_bytes() == before


def test_a_broken_study_file_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text("x = 1\ny = x / 0\n")
    assert answer(["plan", f"{file}:study"]) == 2
    assert "ZeroDivisionError: division by zero, line 2" in _words(capsys.readouterr().err)
    file.write_text("def study():\n    return 3\n")
    assert answer(["plan", f"{file}:study"]) == 2
    assert "returned a int" in _words(capsys.readouterr().err)


def test_options_are_read_the_same_where_pydantic_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    """As a study file does that imports inspect-ai or openai: cyclopts then checks the defaults, too."""
    import pydantic  # noqa: F401

    assert answer(["plan", "sft-backdoor", "--seeds", "0"]) == 2
    assert "at least one seed" in _words(capsys.readouterr().err)


def test_run_plan_and_report_of_a_users_own_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--doses", "0,2,8", "--seeds", "2", "--workers", "0"]
    assert answer(["plan", STUDY, *options]) == 0
    assert "12 cells, 10 different lives; 0 cached, 10 to build" in _words(capsys.readouterr().out)
    assert answer(["run", STUDY, *options]) == 0
    out = capsys.readouterr().out
    for text in ("ED50", "untreated", "no trigger", "near", "Survival", "Utility", "Report: runs/early-or-late-"):
        assert text in out
    folder = next((tmp_path / "runs").iterdir())
    record = json.loads((folder / "run.json").read_text())
    assert record["cells"] == {"total": 10, "built": 10, "cached": 0, "failed": 0}
    page = (folder / "report.html").read_text()
    assert "Does a model that only counts care" in page
    assert answer(["plan", STUDY, *options]) == 0
    assert "nothing to do" in _words(capsys.readouterr().out)
    assert answer(["report", str(folder), "--out", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").stat().st_size > 10_000


def test_a_damaged_cell_is_rebuilt_and_the_run_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from polars.testing import assert_frame_equal

    from pharmakon.study.results import Results

    options = ["--doses", "0,2,8", "--seeds", "2", "--workers", "0"]
    assert answer(["run", STUDY, *options]) == 0
    folder = next((tmp_path / "runs").iterdir())
    before = Results.load(folder)
    for place in list((tmp_path / "home" / "cell").glob("*/*/readings.parquet"))[:3]:
        place.write_bytes(place.read_bytes()[:-9])
    assert answer(["run", STUDY, *options]) == 0
    assert_frame_equal(Results.load(folder).readings, before.readings)
    assert "quarantine" in _words(capsys.readouterr().err)


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """A file size limit stands for the disk: the run stops with a sentence, and goes on when there is room."""
    options = ["--doses", "0,2,8", "--seeds", "2", "--workers", "0", "--store", str(tmp_path / "store")]
    command = [sys.executable, "-m", "pharmakon.cli", "run", STUDY, *options]
    limit = "import resource, sys, signal, runpy; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); sys.argv = sys.argv[1:]; "
    limit += "runpy.run_module('pharmakon.cli', run_name='__main__')"
    full = subprocess.run([sys.executable, "-c", limit, *command[2:]], capture_output=True, text=True, check=False)
    assert full.returncode == 2
    assert "Traceback" not in full.stderr
    assert "pharmakon:" in full.stderr
    assert subprocess.run(command, capture_output=True, check=False, cwd=tmp_path).returncode == 0


def test_interrupted_runs_say_how_to_go_on(tmp_path: Path) -> None:
    import signal

    options = ["--seeds", "20", "--workers", "2", "--store", str(tmp_path / "s")]
    command = [sys.executable, "-m", "pharmakon.cli", "run", STUDY, *options]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell ignore it
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    while not list((tmp_path / "s").glob("cell/*/*/record.json")):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Finished cells are kept" in err
    assert "Traceback" not in err
