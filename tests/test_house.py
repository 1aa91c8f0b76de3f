"""The rules of the house: what stays light, what never stands in the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from pharmakon.extras import EXTRAS

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "polars", "scipy", "statsmodels", "altair", "pandas", "vl_convert")


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print('|', *{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.rpartition("|")[2].split())


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
    loaded = _loaded_by(statement)
    assert "pharmakon" in loaded
    assert not loaded & set(HEAVY)


def test_help_of_a_study_needs_no_torch() -> None:
    """`pharmakon run sft-backdoor --help` shows the study's own options without loading an engine."""
    loaded = _loaded_by("from pharmakon.cli import answer; answer(['run', 'sft-backdoor', '--help'])")
    assert "pharmakon" in loaded
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


OPTIONAL = ("engines/torch", "engines/trl", "engines/endpoint", "integrations")
"""The places whose modules may import an extra's library at their top: they are themselves imported where needed."""


def _plain(name: str) -> str:
    return re.split(r"[\[<>=!~; ]", name)[0].replace("-", "_").lower()


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _declared() -> tuple[set[str], dict[str, set[str]]]:
    """The libraries of every install, and those of each extra with the extras that it contains."""
    project = _project()
    listed: dict[str, list[str]] = project["optional-dependencies"]

    def names(extra: str) -> Iterator[str]:
        for line in listed[extra]:
            inner = re.fullmatch(r"pharmakon\[(.*)\]", line)
            for other in inner[1].split(",") if inner else ():
                yield from names(other)
            yield from () if inner else (_plain(line),)

    return {_plain(line) for line in project["dependencies"]}, {extra: set(names(extra)) for extra in listed}


def _imports(node: ast.AST, *, at_top: bool = True) -> Iterator[tuple[str, bool]]:
    """Every absolute import below, and whether it happens when the module itself is imported."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Import):
            yield from ((alias.name.partition(".")[0], at_top) for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom) and not inner.level:
            yield (inner.module or "").partition(".")[0], at_top
        else:
            later = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing = isinstance(inner, ast.If) and "TYPE_CHECKING" in ast.unparse(inner.test)
            yield from _imports(inner, at_top=at_top and not later and not typing)


def _third_party() -> list[tuple[str, str, bool]]:
    """File, distribution and whether at the top, for each import of neither the standard library nor this package."""
    known = packages_distributions()
    return [
        (str(path.relative_to(ROOT / "src" / "pharmakon")), _plain(known.get(name, [name])[0]), at_top)
        for path in _sources()
        for name, at_top in _imports(ast.parse(path.read_text()))
        if name not in sys.stdlib_module_names and name != "pharmakon"
    ]


def test_every_import_is_declared_and_optional_ones_are_not_needed_to_start() -> None:
    """What a module imports comes with the package, or with an extra and then only where its feature is used."""
    core, extras = _declared()
    anything = core.union(*(names for extra, names in extras.items() if extra != "dev"))
    found = _third_party()
    assert len(found) > 100
    assert not [(file, name) for file, name, _ in found if name not in anything]
    assert not [
        (file, name) for file, name, at_top in found if at_top and name not in core and not file.startswith(OPTIONAL)
    ]


def test_a_light_install_brings_nothing_that_is_not_used() -> None:
    core, _ = _declared()
    assert not core - {name for _, name, _ in _third_party()}


def test_the_extras_of_the_code_are_those_of_the_project() -> None:
    """The sentence about a missing library names an extra that brings it."""
    _, extras = _declared()
    assert set(EXTRAS) == set(extras)
    own_names = {"importlinter": "import_linter", "crowdkit": "crowd_kit"}
    for extra, it in EXTRAS.items():
        assert {own_names.get(module, module) for module in it.modules} <= extras[extra]
        if extra != "dev":
            assert len(it.modules) == len(extras[extra])
