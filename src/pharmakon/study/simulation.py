"""A study that trains nothing: a simulation, or an account of a user's own files. Effort in, administered dose out."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from pharmakon import __version__
from pharmakon.data.whole import write_whole
from pharmakon.errors import InputError
from pharmakon.store import Key, identify
from pharmakon.study.finding import FINDINGS, Finding, read_findings, write_findings

RECORD: Final = "simulation.json"


@runtime_checkable
class Trial(Protocol):
    """A frozen value whose fields are all that its findings depend on; it draws from streams of its own seed."""

    def findings(self) -> Iterator[Finding]: ...


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A question, and the trial that answers it. `cautions`: what this design cannot tell."""

    name: str
    question: str
    trial: Trial
    cautions: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What its findings depend on."""
        return identify((self.name, self.question, self.trial, self.cautions))


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What a simulation found, and how it was made."""

    study: str
    question: str
    key: str
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...] = ()
    version: str = __version__
    python: str = ""
    seconds: float = 0.0
    created: str = ""
    command: str = ""

    def answer(self) -> str:
        """The sentence of the first finding."""
        return self.findings[0].sentence if self.findings else "Nothing was found."

    def save(self, folder: Path) -> Path:
        """Write the findings and then the record into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {k: v for k, v in asdict(self).items() if k != "findings"}
        text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
        (folder / RECORD).unlink(missing_ok=True)
        write_whole(folder / FINDINGS, lambda file: file.write(write_findings(self.findings).encode()))
        write_whole(folder / RECORD, lambda file: file.write(text.encode()))
        return folder

    @staticmethod
    def load(folder: Path) -> Simulated:
        """What `save` wrote; `InputError` where it is damaged or not there."""
        path = folder / RECORD
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            known = {item.name for item in fields(Simulated)} - {"findings"}
            given = {name: record[name] for name in known if name in record}
            given["cautions"] = tuple(given.get("cautions", ()))
            return Simulated(**given, findings=read_findings(folder / FINDINGS))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}. Run the study again") from None


def simulate(simulation: Simulation, *, command: str = "") -> Simulated:
    """Do the trial of a simulation."""
    begun = time.monotonic()
    findings = tuple(simulation.trial.findings())
    return Simulated(
        study=simulation.name,
        question=simulation.question,
        key=simulation.key,
        findings=findings,
        cautions=simulation.cautions,
        python=platform.python_version(),
        seconds=round(time.monotonic() - begun, 1),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
    )
