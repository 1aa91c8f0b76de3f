"""What torch finds on this machine: the speed of its arithmetic, and the devices beside the processor.

Run as a program it prints its answer as JSON: a build of torch that this processor cannot run ends that process only.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pharmakon.engines.torch.allocator import keep_memory

SIDE = 1024
"""Of the square matrices that are multiplied: 2 * SIDE**3 operations each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A graphics processor that torch can use."""

    name: str
    kind: Literal["cuda", "mps"]
    memory_gb: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Speeds are in GF/s, 1e9 operations a second, of the processor alone."""

    torch: str
    threads: int
    float32: float
    """With so many threads."""
    bfloat16: float
    float32_one_thread: float
    """As a worker of a run has it."""
    bfloat16_one_thread: float
    devices: tuple[Device, ...]


def measure(threads: int, *, seconds: float = 0.5) -> Machine:
    """Multiply matrices for `seconds` for each of two number formats, with one thread and with all.

    Sets the number of threads of this process.
    """
    keep_memory()
    import torch

    speeds = {}
    for count in (1, threads):
        torch.set_num_threads(count)
        for kind in (torch.float32, torch.bfloat16):
            speeds[kind, count] = round(_speed(kind, seconds), 1)
    return Machine(
        torch=torch.__version__,
        threads=threads,
        float32=speeds[torch.float32, threads],
        bfloat16=speeds[torch.bfloat16, threads],
        float32_one_thread=speeds[torch.float32, 1],
        bfloat16_one_thread=speeds[torch.bfloat16, 1],
        devices=devices(),
    )


def _speed(kind: Any, seconds: float) -> float:
    import torch

    side = SIDE
    left, right = torch.ones(side, side, dtype=kind), torch.ones(side, side, dtype=kind)
    with torch.inference_mode():
        while True:  # the first product sets things up; a slow processor gets smaller matrices
            begun = time.perf_counter()
            left @ right
            if time.perf_counter() - begun < seconds or side <= 128:
                break
            side //= 2
            left, right = left[:side, :side].contiguous(), right[:side, :side].contiguous()
        begun, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - begun) < seconds:
            left @ right
            count += 1
    return 2 * side**3 * count / passed / 1e9


def devices() -> tuple[Device, ...]:
    """The graphics processors, by the names their makers give."""
    import torch

    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        of = torch.cuda.get_device_properties(index)
        found.append(Device(name=of.name, kind="cuda", memory_gb=round(of.total_memory / 1e9, 1)))
    if torch.backends.mps.is_available():
        memory = round(torch.mps.recommended_max_memory() / 1e9, 1)
        found.append(Device(name="Apple", kind="mps", memory_gb=memory))
    return tuple(found)


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1])))))
