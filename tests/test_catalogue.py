"""Parts by name: the package's own exist, those of other packages are found and not imported until asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from pharmakon.catalogue import KINDS, OWN, find_study, parts
from pharmakon.errors import InputError


@pytest.mark.parametrize("kind", KINDS)
def test_own_parts_exist_and_say_what_they_do(kind: str) -> None:
    for part in parts(kind):
        module, _, name = part.place.partition(":")
        assert hasattr(import_module(module), name)
        assert len(part.about) > 20


def test_a_part_of_another_package_is_listed_and_imported_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package as pip installs it: a module and its metadata with an entry point."""
    (tmp_path / "other_lab.py").write_text("def spread(seeds: int = 1):\n    '''Does it spread?'''\n")
    info = tmp_path / "other_lab-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-lab\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[pharmakon.studies]\nspread = other_lab:spread\n[pharmakon.filters]\nlost = other_lab:Lost\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    listed = {part.name: part.about for part in parts("studies")}
    assert listed["spread"] == "from other-lab 1.2"
    assert {part.name for part in parts("filters")} == {*OWN["filters"], "lost"}
    assert "other_lab" not in sys.modules
    assert find_study("spread").function.__doc__ == "Does it spread?"
    sys.modules.pop("other_lab")


def test_an_unknown_study_names_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean sft-backdoor"):
        find_study("sft-backdor")
