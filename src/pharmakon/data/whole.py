"""Files that are there whole or not at all, and what files are known by."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from pharmakon.errors import InputError


def write_whole(path: Path, dump: Callable[[IO[bytes]], object]) -> None:
    """The file appears under its name only when `dump` has written all of it."""
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with part.open("xb") as file:
            dump(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing_sha256(files: Mapping[str, str]) -> str:
    """One SHA-256 of a folder, from those of its files by name; where the folder lies does not count."""
    return hashlib.sha256("".join(f"{files[name]}  {name}\n" for name in sorted(files)).encode()).hexdigest()
