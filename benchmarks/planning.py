"""How long it takes to plan a study of 1,000 cells that are all cached."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def measure() -> dict[str, Any]:
    """Wall seconds of planning 1,000 cached cells, with fresh specifications and a fresh store object."""
    from pharmakon.core import Dose
    from pharmakon.store import Store
    from pharmakon.studies.threat.sft_backdoor import sft_backdoor
    from pharmakon.study import plan

    base = sft_backdoor()
    study = replace(base, arms=base.arms[:1], doses=tuple(Dose(n) for n in range(100)), seeds=tuple(range(10)))
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for planned in plan(study, store).cells:
            store.build("cell", planned.key, _fill, spec=planned.cell)
        begun = time.monotonic()
        found = plan(study, Store(Path(folder)))
        seconds = time.monotonic() - begun
    assert len(found.cells) == 1_000
    assert not found.missing
    return {"num_cells": len(found.cells), "seconds": seconds}


def _fill(out: Path) -> dict[str, Any]:
    for name in ("readings.parquet", "ledger.parquet", "cleaning.json"):
        (out / name).write_bytes(b"0" * 20_000)
    return {"stages": []}
