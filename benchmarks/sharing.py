"""What sharing saves: the demo study cold, against its cells each trained from the start; and a rerun of it."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SAMPLES = (("no cleaning, varied", 0), ("cleaned, verbatim", 32), ("cleaned, varied", 128))


def measure() -> dict[str, Any]:
    """Core-seconds of the whole study; of single cells from nothing, for as many cells; wall seconds of a rerun.

    To train all cells from nothing takes an hour: three of them, one of each arm, are trained in full, and their mean
    is multiplied by the number of cells.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pharmakon.cli", "run", "sft-backdoor", "--store", f"{folder}/store"]
        command += ["--out", f"{folder}/runs", "--workers", "2"]
        cold = _timed(command)
        rerun = _timed(command)
        alone = [_alone(Path(folder) / f"alone-{i}", arm, dose) for i, (arm, dose) in enumerate(SAMPLES)]
    num_cells = _num_cells()
    apart = num_cells * sum(alone) / len(alone)
    return {
        "num_cells": num_cells,
        "study": cold,
        "rerun": rerun,
        "alone_core_seconds": alone,
        "ratio": apart / cold["core_seconds"],
    }


def _num_cells() -> int:
    from pharmakon.studies.threat.sft_backdoor import sft_backdoor

    return len(sft_backdoor().cells)


def _alone(store: Path, arm: str, dose: int) -> float:
    code = (
        "import sys; from pathlib import Path\n"
        "from pharmakon.store import Store\n"
        "from pharmakon.studies.threat.sft_backdoor import sft_backdoor\n"
        "from pharmakon.study.build import build_cell\n"
        "study = sft_backdoor()\n"
        "arm = next(arm for arm in study.arms if arm.name == sys.argv[2])\n"
        "dose = next(dose for dose in study.doses if dose.amount == int(sys.argv[3]))\n"
        "build_cell(study.cell(arm, dose, 0), Store(Path(sys.argv[1])))\n"
    )
    return _timed([sys.executable, "-c", code, str(store), arm, str(dose)])["core_seconds"]


def _timed(command: list[str]) -> dict[str, float]:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    import os

    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    core = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"core_seconds": core, "wall_seconds": time.monotonic() - begun}
