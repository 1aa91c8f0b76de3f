"""pharmakon assets: what it prints, what it refuses, what is left in the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from pharmakon import cli
from pharmakon.cli import answer
from pharmakon.data import assets
from pharmakon.data.assets import ASSETS, cache, table

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from packages import CONTENT, SOME, forget_pip, wheel


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, no index, and one asset more."""
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path))
    forget_pip(monkeypatch)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("COLUMNS", "140")
    for module in (assets, cache, table):
        monkeypatch.setattr(module, "ASSETS", MappingProxyType({**ASSETS, SOME.name: SOME}))
    return tmp_path / "assets"


def put(home: Path, data: bytes) -> None:
    (home / "downloads").mkdir(parents=True, exist_ok=True)
    (home / "downloads" / SOME.archive).write_bytes(data)


def test_fetch_path_list_remove(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(home, wheel())
    path = home / f"some-data-{SOME.content_sha256[:8]}" / "data.txt"
    assert answer(["assets", "path", "some-data"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"pharmakon: the asset some-data is not in the cache {home}. Fetch it: pharmakon assets fetch some-data\n"
    )
    for _ in range(2):
        assert answer(["assets", "fetch", "some-data"]) == 0
        assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes() == CONTENT
    assert answer(["assets", "path", "some-data"]) == 0
    assert capsys.readouterr().out == f"{path}\n"

    assert answer(["assets", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line and not line.startswith(" ")}
    assert set(ASSETS) < set(rows)
    assert rows["some-data"][1:] == ["text", "0.1", "yes", "a", "file"]
    assert rows["smollm2"][1:4] == ["model", "92.9", "no"]
    assert lines[-1] == f"Cache: {home}"
    assert "Apache-2.0" in [line.strip() for line in lines]

    assert answer(["assets", "remove", "some-data", "minilm"]) == 0
    assert capsys.readouterr().out == "some-data: 0.0 MB removed\nminilm: was not in the cache\n"
    assert not path.exists()
    assert answer(["assets", "path", "some-data"]) == 2


def test_a_damaged_asset_has_no_path(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(home, wheel())
    assert answer(["assets", "fetch", "some-data"]) == 0
    path = Path(capsys.readouterr().out.strip())
    path.write_bytes(CONTENT[:3])
    assert answer(["assets", "path", "some-data"]) == 2
    assert "the asset some-data is damaged in the cache" in capsys.readouterr().err
    assert answer(["assets", "fetch", "some-data"]) == 0
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_and_no_network(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(home, wheel()[:-20])
    assert answer(["assets", "fetch", "some-data"]) == 2
    error = capsys.readouterr().err
    assert (
        f"the file at {home / 'downloads' / SOME.archive} has another SHA-256. Where there is a network, get" in error
    )
    assert error.count("pharmakon: ") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fetch"], "fetch takes at least one name"),
        (["remove"], "remove takes at least one name"),
        (["fetch", "some-data", "smolm2"], "did you mean smollm2?"),
        (["remove", "smolm2"], "did you mean smollm2?"),
        (["path", "hf:org/name"], "models of a hub are huggingface_hub's: its command `hf cache list` shows them"),
        (["remove", "hf:org/name"], "its command `hf cache rm` removes them"),
        (["fetch", "hf:a/b/c"], "a model of the hub is named hf:ORG/NAME"),
        (["path"], "See --help"),
    ],
)
def test_what_it_refuses(words: list[str], sentence: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["assets", *words]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err.replace("\n", " ")
    assert shown.out == ""
    assert not (home / "downloads").exists()  # names are looked at before the first download


def test_a_hub_that_cannot_be_reached(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    assert answer(["assets", "fetch", "hf:org/name"]) == 2
    assert capsys.readouterr().err.startswith(
        "pharmakon: the hub http://127.0.0.1:9 could not be reached (ConnectError)"
    )


def test_the_command_is_named_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["--help"]) == 0
    assert " assets " in capsys.readouterr().out
    assert set(cli.COMMANDS) >= {"assets"}
