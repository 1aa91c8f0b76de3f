"""`pharmakon verify`: was a model trained on a marked data set?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pharmakon.commands import tell
from pharmakon.errors import InputError
from pharmakon.ownership.verify import How

if TYPE_CHECKING:
    from pharmakon.ownership.verify import Verification

app = App(
    name="verify",
    help="Ask a model for the marks of a data set: p-value, verdict, report.",
    help_format="plaintext",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)
Word = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
Flag = Annotated[bool, Parameter(negative=())]
REPORT, VERDICT = "report.html", "verdict.json"
RUNS = Path("runs")


@app.default
def verify(
    *,
    key: Path,
    model: str,
    commitment: Path | None = None,
    reference: Word = None,
    how: How = How(),
    out: Path | None = None,
    reveal: Flag = False,
) -> int:
    """Say whether a model was trained on a data set that this key has marked. Exit code 0 whatever the verdict.

    The questions and the answers are kept nowhere, and neither the report nor verdict.json holds them or the key.

    Parameters
    ----------
    key
        The owner's key file, as `pharmakon mark` wrote it.
    model
        smollm2, hf:ORG/NAME, a folder in the format of Hugging Face, or endpoint:http://HOST/v1#NAME.
    commitment
        The published commitment, to be checked.
    reference
        A model that has surely not seen the data: what it likes anyway is taken off.
    out
        The folder of report and verdict, one that is not there yet; by default runs/verify-….
    reveal
        Put the questions, the drawn answers and the model's own into the report, for a court: who reads it can take
        the marks out of the data.
    """
    from rich.console import Console

    from pharmakon.ownership.keyfile import read_key
    from pharmakon.ownership.verify import verify as verify_

    if out is not None and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise InputError(f"a verification is written into a new folder; {out} is there already. Give another --out")
    record = read_key(key)
    try:
        with Console(stderr=True).status("asking"):
            found = verify_(record, model, how, reference=reference, commitment=commitment, tell=tell)
    except KeyboardInterrupt:
        Console(stderr=True, highlight=False).print("pharmakon: Stopped. Nothing was written.")
        return 130
    folder = _write(found, out, reveal=reveal)
    _print(found, folder)
    return 0


def _write(found: Verification, out: Path | None, *, reveal: bool) -> Path:
    """Both files, made before the first is written."""
    from pharmakon.data.whole import write_whole
    from pharmakon.report.ownership import verification_page
    from pharmakon.report.page import write_page

    page = verification_page(found, reveal=reveal)
    record = json.dumps(found.record(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    folder = out or _new(RUNS / f"verify-{found.commitment[:8]}")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / VERDICT, lambda file: file.write(record.encode()))
    write_page(page, folder / REPORT)
    return folder


def _new(folder: Path) -> Path:
    """This folder, or the first with a number behind its name that is not there: a verdict is never written over."""
    number, place = 1, folder
    while place.exists():
        number += 1
        place = folder.with_name(f"{folder.name}-{number}")
    return place


def _print(found: Verification, folder: Path) -> None:
    """The answer first, then what it means, then how it was got."""
    from pharmakon.ownership.sentences import details, meaning, sentence
    from pharmakon.report.markup import visible

    tell(visible(sentence(found)) + ".")
    tell("")
    for line in meaning(found):
        tell(line)
    tell("")
    for name, value in details(found):
        tell(f"{name}: {visible(value)}")
    tell("")
    tell(f"Report: {folder / REPORT}")
    tell(f"Verdict: {folder / VERDICT}")
