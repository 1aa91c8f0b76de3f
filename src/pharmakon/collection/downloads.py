"""Two downloads of one list of addresses, and what a check of the second against the first refuses.

The check is `manifest write` and `manifest check` themselves, on files: nothing of their answer is assumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.differences import check
from pharmakon.collection.manifest import write_manifest
from pharmakon.collection.pages import Drift, copied, replaced, signatures, similarity, written
from pharmakon.errors import InputError

CLEAN, COPIED, REPLACED = range(3)
"""Whose a page is in the second download: its owner's; or an attacker's, who has a copy of it or has none."""


@dataclass(frozen=True, slots=True)
class Download:
    """The second download, one entry for each address of the list."""

    owner: NDArray[np.int64]
    """`CLEAN`, `COPIED` or `REPLACED`."""
    there: NDArray[np.bool_]
    """False where the page has vanished."""
    same: NDArray[np.bool_]
    """It has the bytes of the first download."""
    refused: NDArray[np.bool_]
    """`manifest check` names it as changed."""
    similarity: NDArray[np.float64]
    """To the first download, by published signatures; 0 where it is not there."""


def downloads(
    drift: Drift, ages: Sequence[float], count: int, *, taken: float, rng: np.random.Generator
) -> Iterator[Download]:
    """A first download of so many pages with its manifest, and one after each of the ages (years), checked against it.

    `taken`: the share of the addresses that are an attacker's by then; half of these pages are copies of the old one
    with a sentence inserted, half are other pages with that sentence.
    """
    if count < 2:
        raise InputError(f"a check is measured on 2 pages or more; got {count}")
    pages = written(count, rng)
    first = signatures(pages)
    urls = [f"https://site-{number}.invalid/" for number in range(count)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_manifest(_write(folder / "first.jsonl", urls, pages), folder / "manifest", address="url")
        for age in ages:
            later = drift.later(pages, age, rng)
            owner = rng.choice((CLEAN, COPIED, REPLACED), size=count, p=(1 - taken, taken / 2, taken / 2))
            others = written(count, rng)
            for place in np.flatnonzero(owner != CLEAN):
                later[place] = copied(pages[place], rng) if owner[place] == COPIED else replaced(others[place])
            data, out = _write(folder / "later.jsonl", urls, later), folder / "differences.jsonl"
            check(data, manifest, root=manifest.root, out=out, force=True)
            changed = {line["address"] for line in map(json.loads, out.open()) if line["what"] == "changed"}
            there = np.array([page is not None for page in later])
            alike = np.where(there, similarity(first, signatures([page or "" for page in later])), 0.0)
            same = np.array([page == old for page, old in zip(later, pages, strict=True)])
            yield Download(owner, there, same, np.array([url in changed for url in urls]), alike)


def _write(path: Path, urls: Sequence[str], pages: Sequence[str | None]) -> Path:
    lines = (json.dumps({"url": u, "text": page}) for u, page in zip(urls, pages, strict=True) if page is not None)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
