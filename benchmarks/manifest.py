"""A manifest's speed against plain `hashlib` over the same bytes, and the memory it takes, each in its own process."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NUM_RECORDS, NUM_SMALL = 250_000, 10_000_000
RECORD_BYTES, SMALL_BYTES = 1_000, 40
ROUNDS = 3
STREAM_BYTES = 1 << 20


def measure() -> dict[str, Any]:
    """MB per second of process time for hashing, writing and checking; peak memory, also for ten million records.

    The large file has records of a kilobyte. The small one has ten million of 40 bytes, checked as it is and with a
    line inserted, one moved from front to back and one removed, so that every record is at another place.
    """
    rates: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        data, small, moved = (Path(folder) / f"{name}.jsonl" for name in ("large", "small", "moved"))
        _records(data, NUM_RECORDS, RECORD_BYTES)
        _records(small, NUM_SMALL, SMALL_BYTES)
        _move(small, moved)
        jobs = {
            "hash": ("hash", data, None),
            "write": ("write", data, f"{data}.manifest"),
            "check": ("check", data, f"{data}.manifest"),
            "write, addresses": ("write-url", data, f"{data}.url"),
            "check, addresses": ("check", data, f"{data}.url"),
        }
        for _ in range(ROUNDS):
            for name, job in jobs.items():
                found = _apart(*job)
                rates.setdefault(name, []).append(found["megabytes"] / found["seconds"])
                memory[name] = max(memory.get(name, 0), found["memory_mb"])
        _apart("write", small, f"{small}.manifest")
        for name, path in (("small", small), ("moved", moved)):
            found = _apart("check", path, f"{small}.manifest")
            memory[name], rates[name] = found["memory_mb"], [found["megabytes"] / found["seconds"]]
    medians = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    return {"mb_per_second": medians, "memory_mb": memory, "ratio": medians["check"] / medians["hash"]}


def _records(path: Path, count: int, size: int) -> None:
    with path.open("wb") as file:
        for i in range(count):
            text = f'{{"url": "https://example.invalid/{i}", "text": "' if size > 100 else f'{{"n": {i}, "t": "'
            file.write(f"{text}{'lorem ipsum ' * (size // 12)}".encode()[: size - 3] + b'"}\n')


def _move(path: Path, out: Path) -> None:
    with path.open("rb") as file, out.open("wb") as copy:
        first = file.readline()
        copy.write(b'{"new": 1}\n')
        file.readline()
        while block := file.read(STREAM_BYTES):
            copy.write(block)
        copy.write(first)


def _apart(job: str, data: Path, manifest: str | None) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.manifest", job, str(data), manifest or ""]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    out = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


def _once(job: str, data: Path, manifest: str) -> dict[str, float]:
    import hashlib

    from pharmakon.collection import check, write_manifest

    begun = time.process_time()
    if job == "hash":
        with data.open("rb", buffering=0) as file:
            hasher = hashlib.sha256()
            while block := file.read(STREAM_BYTES):
                hasher.update(block)
    elif job == "check":
        check(data, manifest)
    else:
        write_manifest(data, manifest, address="url" if job == "write-url" else None, force=True)
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "megabytes": data.stat().st_size / 1e6, "memory_mb": peak}


if __name__ == "__main__":
    print(json.dumps(_once(sys.argv[1], Path(sys.argv[2]), sys.argv[3])), flush=True)
