"""Answers of a server, written down as they arrive, so that a run that died goes on where it was.

One file for each engine's identity, `ROOT/answers/KEY.jsonl`, beside the shelves of the store and no part of any entry.
It is append-only; a line is `{"request": <32 hexadecimal digits>, "answer": <text or number>}`. Of two answers to one
request the first counts, in every process. A line that a dying process left half-written is ignored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import final

Answer = str | float

FOLDER = "answers"


def place(weights: Path, key: str) -> Path | None:
    """The journal of an engine with this key; None if the weights are not an entry of a store."""
    path = Path(weights).absolute()
    shelf = path.parent.parent
    return shelf.parent / FOLDER / f"{key}.jsonl" if shelf.name == "weights" else None


@final
class Journal:
    """What a server has answered. Without a path it lasts as long as this object."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._answers: dict[str, Answer] = {}
        self._num_read = 0  # bytes, always up to the end of a line

    def get(self, request: str) -> Answer | None:
        """The answer to this request, if this or another process has it."""
        if request not in self._answers:
            self._refresh()
        return self._answers.get(request)

    def keep(self, request: str, answer: Answer) -> Answer:
        """Write an answer down; the one that counts, which another process may have written before."""
        if self.path is None:
            return self._answers.setdefault(request, answer)
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            self._refresh()
            if request not in self._answers:
                self._append({"request": request, "answer": answer})
                self._refresh()
        return self._answers[request]

    def _append(self, line: dict[str, Answer]) -> None:
        """Under the lock. A half-written line before it gets its end first, so that it spoils nothing else."""
        assert self.path is not None
        with self.path.open("a+b") as file:
            size = file.seek(0, 2)
            if size:
                file.seek(size - 1)
            torn = bool(size) and file.read(1) != b"\n"
            file.write((b"\n" if torn else b"") + json.dumps(line).encode() + b"\n")

    def _refresh(self) -> None:
        """Read what was added since the last time."""
        if self.path is None:
            return
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._num_read:  # somebody put another file in its place
                    self._num_read = 0
                file.seek(self._num_read)
                added = file.read()
        except FileNotFoundError:
            return
        whole = added[: added.rfind(b"\n") + 1]
        self._num_read += len(whole)
        for line in whole.split(b"\n"):
            match _parsed(line):
                case {"request": str(request), "answer": str() | int() | float() as answer}:
                    self._answers.setdefault(request, answer)


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
