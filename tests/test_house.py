"""The rules of the house: what stays light, what never stands in the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "polars", "scipy", "statsmodels", "altair", "pandas", "vl_convert")


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import pharmakon",
        "import pharmakon.core",
        "import pharmakon.cli",
        "import pharmakon.store",
        "from pharmakon.engines.torch import TorchEngine",
        "from pharmakon.cli import answer\ntry: answer(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_import_stays_light(statement: str) -> None:
    """Nobody who asks for help waits for torch; numpy is all that the vocabulary may need."""
    run = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys; print('|', *{{n.split('.')[0] for n in sys.modules}})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(run.stdout.rpartition("|")[2].split())
    assert "pharmakon" in loaded
    assert not loaded & set(HEAVY)


def test_help_of_a_study_needs_no_torch() -> None:
    """`pharmakon run sft-backdoor --help` shows the study's own options without loading an engine."""
    loaded = _loaded_by("from pharmakon.cli import answer; answer(['run', 'sft-backdoor', '--help'])")
    assert not loaded & {"torch", "transformers", "scipy", "statsmodels", "altair", "pandas"}


def _sources() -> list[Path]:
    return sorted((ROOT / "src").rglob("*.py"))


def test_files_can_be_read_in_a_sitting() -> None:
    """About 400 lines a file, at most."""
    long = {str(path.relative_to(ROOT)): n for path in _sources() if (n := len(path.read_text().splitlines())) > 450}
    assert not long


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bpickle\.",
        r"trust_remote_code=True",
        r"\byaml\.load\(",
        r"\btorch\.load\(",
        r"(?<!\.)\beval\(",
        r"(?<!\.)\bexec\(",
    ],
)
def test_dangerous_calls_are_absent(pattern: str) -> None:
    """No code is run from data."""
    found = [str(path) for path in _sources() if re.search(pattern, path.read_text())]
    assert not found
