"""Starts the processes that train together, and turns whatever becomes of them into a return or one sentence."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pharmakon import errors
from pharmakon.errors import InputError, PharmakonError, RunError

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}
LAST_LINES = 3


def launch(program: Sequence[str], folder: Path, *, num_processes: int, accelerate_config: Path | None = None) -> None:
    """Run a Python program (`-m module`, or a file) with `folder` as its argument, in processes that know each other.

    They end when this process ends, however it ends: each watches its standard input. What a process writes goes to
    files in the folder. An error that a process explains with `explain` is raised here as it was there.

    Raises RunError where a process fails in another way.
    """
    with (folder / "launch.log").open("wb") as log:
        process = subprocess.Popen(
            [*command(num_processes, accelerate_config), *program, str(folder)],
            stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **QUIET},
        )  # fmt: skip
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
    if code:
        raise _why(folder, code, num_processes)


def command(num_processes: int, accelerate_config: Path | None) -> list[str]:
    """The launcher and its options; the program follows."""
    if accelerate_config is not None:
        if not accelerate_config.is_file():
            raise InputError(f"{accelerate_config} is not a file; `accelerate config` writes one")
        options = ["--config_file", str(accelerate_config.resolve()), "--num_machines", "1", "--mixed_precision", "no"]
        options += ["--num_processes", str(num_processes), "--main_process_port", "0"]
        return [sys.executable, "-m", "accelerate.commands.launch", *options]
    if num_processes == 1:
        return [sys.executable]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes)]


def explain(folder: Path, rank: int, error: PharmakonError) -> None:
    """Leave an error for the process that launched this one."""
    text = json.dumps({"kind": type(error).__name__, "sentence": str(error)})
    (folder / f"error-{rank}.json").write_text(text, encoding="utf-8")


def _why(folder: Path, code: int, num_processes: int) -> PharmakonError:
    for path in sorted(folder.glob("error-*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        kind = getattr(errors, told["kind"])
        return kind(told["sentence"]) if issubclass(kind, PharmakonError) else RunError(told["sentence"])
    logs = {path: path.read_text("utf-8", errors="replace") for path in sorted(folder.glob("*.log"))}
    launched = logs.pop(folder / "launch.log")
    # What torch's launcher says of the process that failed first.
    root = re.search(r"Root Cause.*?rank\s*: (\d+).*?exitcode\s*: (-?\d+)", launched, flags=re.DOTALL)
    rank, first = (int(root.group(1)), int(root.group(2))) if root else (0, code)
    told_by = logs.get(folder / f"rank-{rank}.log", launched)
    last = " / ".join([line.strip() for line in told_by.splitlines() if line.strip()][-LAST_LINES:])
    how = f"ended with exit code {first}"
    if first < 0:
        how = f"was ended by {signal.Signals(-first).name}"
        how += ", as the system does when memory runs out" if first == -signal.SIGKILL else ""
    ran = "the process that trained" if num_processes == 1 else f"one of the {num_processes} processes that trained"
    return RunError(f"{ran} {how}{': ' + last if last else ''}")
