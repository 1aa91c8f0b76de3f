"""`pharmakon manifest`: record what the records of a data set are; check a data set against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pharmakon.commands import tell

if TYPE_CHECKING:
    from pharmakon.collection import Difference, Differences

app = App(
    name="manifest",
    help="Record address, size, time and SHA-256 of every record of a data set; check a data set against it.",
    help_format="plaintext",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)
Word = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
Flag = Annotated[bool, Parameter(negative=())]


@app.command
def write(data: Path, /, *, out: Path, address: Word = None, force: Flag = False) -> int:
    """Write the manifest of a data set, and print its root: one hash over all records, to publish or sign.

    Parameters
    ----------
    data
        A JSONL file (also .jsonl.gz), a Parquet file, or a folder of files.
    out
        The manifest: a Parquet file with one row for each record. It is there whole, or not at all.
    address
        The field or column that is a record's address, such as url; by default the number of the line or row. In a
        folder it is the path.
    force
        Write over a file that is there.
    """
    from pharmakon.collection import write_manifest

    try:
        made = write_manifest(data, out, address=address, force=force)
    except KeyboardInterrupt:
        return _stopped()
    tell(f"Manifest: {out} ({_records(made.num_records)}, {made.num_bytes / 1e6:,.1f} MB)")
    tell(f"Root: {made.root}")
    return 0


@app.command
def check(
    data: Path,
    manifest: Path,
    /,
    *,
    root: Word = None,
    out: Path | None = None,
    force: Flag = False,
) -> int:
    """Say which records changed, vanished, appeared or were reordered. Exit code 0: none; 1: some; 2: bad input.

    Parameters
    ----------
    data
        The data set as it is now. It is only read.
    manifest
        Its manifest.
    root
        The published root: a manifest that has another is refused.
    out
        Where all differences are written, .jsonl or .parquet.
    force
        Write over a file that is there.
    """
    from pharmakon.collection import check as check_

    try:
        found = check_(data, manifest, root=root, out=out, force=force)
    except KeyboardInterrupt:
        return _stopped()
    for line in _lines(found):
        tell(line)
    if out is not None:
        tell(f"All differences: {out}")
    return 1 if found else 0


@app.command
def root(manifest: Path, /) -> None:
    """Print the root of a manifest, and nothing else.

    Parameters
    ----------
    manifest
        The manifest.
    """
    from pharmakon.collection import read_manifest

    print(read_manifest(manifest).root)


def _stopped() -> int:
    from rich.console import Console

    Console(stderr=True, highlight=False).print("pharmakon: Stopped. Nothing was written.")
    return 130


def _lines(found: Differences) -> list[str]:
    """What was found: a sentence, then the first few of each kind."""
    from pharmakon.collection.differences import WHATS

    whole = f"{_records(found.manifest.num_records)} in the manifest, {found.num_records:,} in the data"
    if found.identical:
        return [f"Identical: {_records(found.num_records)}, in the manifest's order. Root: {found.manifest.root}"]
    lines = [f"Different: {whole}."]
    for what in WHATS:
        count, shown = getattr(found, what), [one for one in found.first if one.what == what]
        if count:
            more = f"  … and {count - len(shown):,} more" if count > len(shown) else ""
            lines += [f"{count:,} {what}", *(f"  {_line(one, found)}" for one in shown), *([more] if more else [])]
    return lines


def _line(one: Difference, found: Differences) -> str:
    name = _plain(one.address) if found.manifest.named else f"record {one.address}"
    if one.what == "reordered":
        return f"{name} (was record {one.record_before:,}, is record {one.record_after:,})"
    sizes = [f"{size:,}" for size in (one.size_before, one.size_after) if size is not None]
    return f"{name} ({' -> '.join(sizes)} bytes)"


def _plain(address: str) -> str:
    """An address as a terminal may show it: it is another's text, and can hold anything."""
    shown = address if address.isprintable() else json.dumps(address)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def _records(count: int) -> str:
    return f"{count:,} {'record' if count == 1 else 'records'}"
