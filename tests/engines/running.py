"""Servers in processes of their own, for tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pharmakon.engines.endpoint import EndpointEngine, endpoint

SERVER = Path(__file__).parent / "canned_server.py"
QUICK: dict[str, Any] = {"retries": 1, "timeout": 10.0}


class Running:
    """A canned server that runs, and what it was asked for."""

    def __init__(self, told: dict[str, Any], log: Path) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), json.dumps({**told, "log": str(log)})], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.word = f"endpoint:http://127.0.0.1:{self.port}/v1#canned"

    def engine(self, **options: Any) -> EndpointEngine:
        return replace(endpoint(self.word), **{**QUICK, **options})

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@contextmanager
def servers(log: Path) -> Iterator[Callable[..., Running]]:
    """Starts servers that write to one log, and ends them."""
    started: list[Running] = []

    def start(**told: Any) -> Running:
        started.append(Running(told, log))
        return started[-1]

    try:
        yield start
    finally:
        for server in started:
            server.stop()
