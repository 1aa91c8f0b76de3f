"""A light install: what works without the extras, and the sentence where one is needed. The extras' libraries are
made unimportable in a fresh process, as if they were not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pharmakon.catalogue import find_study
from pharmakon.errors import InputError
from pharmakon.extras import EXTRAS, install, missing, need, way_out

ROOT = Path(__file__).parent.parent
STUDY = f"{ROOT / 'examples' / 'word_study.py'}:early_or_late"
ABSENT = sorted({module for extra, it in EXTRAS.items() if extra != "dev" for module in it.modules} - {"jinja2"})
"""jinja2 comes with altair, a light install has it."""
LIGHT = f"""
import os, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
RUN = LIGHT + "from pharmakon.cli import main\nif __name__ == '__main__': main()\n"


def _light(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line where no extra is installed, in its worker processes too."""
    script = folder / "light.py"
    script.write_text(RUN)
    env = {**os.environ, "PHARMAKON_HOME": str(folder / "home"), "COLUMNS": "100"}
    command = [sys.executable, str(script), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=env)


@pytest.mark.parametrize("words", [["--help"], ["list"], ["run", "sft-backdoor", "--help"], ["plan", "sft-backdoor"]])
def test_it_answers_without_any_extra(words: list[str], tmp_path: Path) -> None:
    done = _light(tmp_path, *words)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_study_on_the_ngram_engine_needs_no_extra(tmp_path: Path) -> None:
    done = _light(tmp_path, "run", STUDY, "--doses", "0,2,8", "--seeds", "2", "--workers", "1")
    assert (done.returncode, done.stderr) == (0, "")
    page = next((tmp_path / "runs").iterdir()) / "report.html"
    assert page.stat().st_size > 10_000


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_study_that_trains_says_what_to_install_before_any_work(workers: str, tmp_path: Path) -> None:
    done = _light(tmp_path, "run", "sft-backdoor", "--workers", workers)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("pharmakon: torch, transformers and ")
    assert line.endswith("needed for training and loading models. Install them: pip install 'pharmakon[torch]'")
    assert not list((tmp_path / "home").rglob("record.json"))


def test_doctor_names_every_missing_extra_and_its_command(tmp_path: Path) -> None:
    done = _light(tmp_path, "doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    features = {it["extra"]: it for it in facts["features"]}
    assert features.pop("")["installed"]
    assert set(features) == set(EXTRAS) - {"dev"}
    for extra, it in features.items():
        assert not it["installed"]
        assert it["way_out"] == install(extra) == f"pip install 'pharmakon[{extra}]'"
        assert it["missing"]
    assert facts["machine"]["torch"] is None
    assert facts["machine"]["way_out"] == install("torch")


@pytest.mark.parametrize(
    "call", ["engine.train(None, None, start=None, rng=None, out=None)", "engine.load('').__enter__()"]
)
def test_the_engine_itself_says_it_too(call: str) -> None:
    code = f"{LIGHT}\nfrom pharmakon.engines.torch import TorchEngine\nengine = TorchEngine()\n{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pharmakon.errors.InputError: torch, transformers and ")
    assert last.endswith(install("torch"))


def test_an_own_study_that_imports_torch_says_it_with_its_line(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("import math\nimport torch\n")
    done = _light(tmp_path, "run", f"{mine}:study")
    assert done.returncode == 2
    assert "could not be imported: torch is not installed; it is needed for training" in done.stderr
    assert done.stderr.strip().endswith("pip install 'pharmakon[torch]', line 2")


def test_a_study_of_another_package_that_lacks_a_library_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_study.py").write_text("import a_library_of_nobody\n")
    info = tmp_path / "other_study-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-study\nVersion: 3.1\n")
    (info / "entry_points.txt").write_text("[pharmakon.studies]\nspread-far = other_study:spread\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"spread-far, other-study 3\.1, could not be imported: .*a_library_of_nobody"):
        find_study("spread-far")


def test_need_says_one_library_and_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)  # what an import of it would fail on
    assert missing("endpoint") == ("openai",)
    sentence = (
        "openai is not installed; it is needed for asking a server. Install it: pip install 'pharmakon[endpoint]'"
    )
    with pytest.raises(InputError) as caught:
        need("endpoint", "asking a server")
    assert str(caught.value) == sentence
    with pytest.raises(ModuleNotFoundError) as failed:
        import openai.types  # noqa: F401
    assert way_out(failed.value) == sentence.replace("asking a server", EXTRAS["endpoint"].feature)
    assert way_out(ModuleNotFoundError("No module named 'nobody'", name="nobody")) is None


def test_doctor_prints_the_commands_whole(tmp_path: Path) -> None:
    done = _light(tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (0, "")
    words = " ".join(done.stdout.split())
    assert "training and loading models: pip install 'pharmakon[torch]' (missing: " in words
    assert "speed missing not measured, torch is not installed: pip install 'pharmakon[torch]'" in words


def test_the_page_about_installing_names_every_extra() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    assert not [extra for extra in EXTRAS if f"`{extra}`" not in page]
