"""The Python blocks of the pages run, from top to bottom; the commands that they show exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from pharmakon.cli import answer

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def _blocks(page: Path, language: str) -> list[str]:
    found = re.findall(r"^```([^\n]*)\n(.*?)^```[ \t]*$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [body for kind, body in found if re.fullmatch(language, kind)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _blocks(page, "python")
    if not blocks:
        pytest.skip("no Python on this page")
    monkeypatch.chdir(tmp_path)
    name = f"page_{page.stem.replace('-', '_').lower()}"
    file = tmp_path / f"{name}.py"
    file.write_text("\n".join(blocks))  # as a module: identities need a class to have a place
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        module = __import__(name)
        assert module.__file__ == str(file)
    finally:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every `pharmakon` command of the page is one, with options that it knows."""
    lines = [line for block in _blocks(page, "(?:console|bash|sh)?") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines if line.strip().startswith("pharmakon ")]
    assert commands or page.name in ("CONTRIBUTING.md",)
    for command in commands:
        words = [word for word in command[1:] if word != "…"]
        if not words or words[0] in ("report",) or "my_file.py" in command[2 if len(command) > 2 else 1]:
            continue
        options = [word for word in words if word.startswith("--")]
        subject = words[:2] if words[0] in ("run", "plan", "assets", "export", "manifest") else words[:1]
        assert answer([*subject, "--help"]) == 0
        shown = capsys.readouterr().out
        assert not [option for option in options if not re.search(rf"{option}(?![\w-])", shown)]
