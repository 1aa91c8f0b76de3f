"""`pharmakon doctor`: true of this machine, useful where a thing is missing or broken, safe to paste into a report."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pharmakon.cli import answer
from pharmakon.commands import doctor
from pharmakon.data.assets import ASSETS, assets_root
from pharmakon.extras import EXTRAS


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "kept"))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the seconds that a measurement takes."""
    monkeypatch.setattr(doctor, "_torch", lambda threads: {"torch": None, "not_measured": "", "way_out": ""})


def _facts(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    assert answer(["doctor", "--json"]) == 0
    out = capsys.readouterr().out
    return json.loads(out), out


def test_the_facts_are_true_and_tell_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:password-of-nobody@index.example/simple")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    facts, out = _facts(capsys)
    assert "of-nobody" not in out
    assert str(tmp_path) not in out
    assert facts["environment"]["OPENAI_API_KEY"] == facts["environment"]["PIP_INDEX_URL"] == "set"
    assert facts["environment"]["HF_TOKEN"] == "not set"
    assert facts["store"]["path"] == "~/kept"
    assert not (tmp_path / "kept").exists()  # looking changes nothing
    assert [it["extra"] for it in facts["features"]] == ["", *(extra for extra in EXTRAS if extra != "dev")]
    assert all(it["installed"] and "way_out" not in it for it in facts["features"])
    found = facts["machine"]["torch"]
    import torch

    assert (
        found["torch"]
        == torch.__version__
        == next(it for it in facts["features"] if it["extra"] == "torch")["libraries"]["torch"]
    )
    assert found["threads"] == facts["machine"]["cores_usable"]
    assert all(found[f"{kind}{how}"] > 0 for kind in ("float32", "bfloat16") for how in ("", "_one_thread"))


def test_the_page_for_the_eye_says_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = {"float32": 200.4, "bfloat16": 900.0, "float32_one_thread": 100.0, "bfloat16_one_thread": 450.0}
    gpu = {"name": "A Card [80GB]", "kind": "cuda", "memory_gb": 80.0}
    monkeypatch.setattr(doctor, "_torch", lambda threads: {"torch": {"threads": 2, "devices": [gpu], **speeds}})
    assert answer(["doctor"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "float32 200 GF/s matrix product, 2 threads; 100 with one" in lines
    assert "GPU 80 GB A Card [80GB] (cuda)" in lines
    assert any(line.startswith("place yes ~/kept (PHARMAKON_HOME)") for line in lines)
    assert {"Features", "This machine", "Store", "Assets", "Programs", "Environment"} <= set(lines)


@pytest.mark.usefixtures("unmeasured")
def test_an_asset_is_cached_once_its_file_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    name = next(iter(ASSETS))
    folder = assets_root() / f"{name}-{'0' * 8}"
    folder.mkdir(parents=True)
    (folder / ".a.part").write_text("half")
    (assets_root() / f"{name}-and-more-{'0' * 8}").mkdir()
    assert not any(it["cached"] for it in _facts(capsys)[0]["assets"])
    (folder / "file.txt").write_text("x" * 200_000)
    facts, _ = _facts(capsys)
    assert {it["name"]: it["cached"] for it in facts["assets"]} == {other: other == name for other in ASSETS}
    assert facts["store"]["size_mb"] == 0.2


@pytest.mark.usefixtures("unmeasured")
def test_a_library_that_is_too_old_stops_its_feature(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "4.1" if name == "transformers" else real(name))
    features = {it["extra"]: it for it in _facts(capsys)[0]["features"]}
    assert not features["torch"]["installed"]
    [sentence] = features["torch"]["wrong_version"]
    assert sentence.startswith("transformers 4.1, not ")
    assert features["torch"]["way_out"] == "pip install 'pharmakon[torch]'"
    assert not features["trl"]["installed"]  # which contains it
    assert features["hub"]["installed"]


def test_a_torch_that_does_not_start_is_told_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libgomp.so.1: no such file')\n")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    machine = _facts(capsys)[0]["machine"]
    assert machine["torch"] is None
    assert machine["not_measured"].endswith("ImportError: libgomp.so.1: no such file")


@pytest.mark.usefixtures("unmeasured")
def test_a_store_that_cannot_be_written_has_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "file" / "below"))
    store = _facts(capsys)[0]["store"]
    assert not store["writable"]
    assert "PHARMAKON_HOME" in store["way_out"]


def test_the_home_folder_is_hidden_and_only_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    told = {"a": ["in /home/ann/x and /home/ann."], "b": "/home/anna /mnt/home/ann", "c": 3, "d": None}
    assert doctor.without_home(told) == {"a": ["in ~/x and ~."], "b": "/home/anna /mnt/home/ann", "c": 3, "d": None}
    monkeypatch.setenv("HOME", "/")
    assert doctor.without_home("/tmp/x") == "/tmp/x"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_only_cores_that_the_process_may_use_count() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert doctor.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
