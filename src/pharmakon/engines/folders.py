"""The files of a model's folder, in the layout of Hugging Face: which are read, and the digest they come to."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from pharmakon.data.whole import file_sha256, listing_sha256

MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""Weights, configuration, tokenizer, chat template: nothing that runs when it is read."""
ADAPTER, ADAPTER_WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "base"
"""The files of an adapter of PEFT, and the folder of the model that it lies on in a checkpoint of ours."""
OTHER_FILES = ("*/*", "consolidated*", "adapter_*", "trainer_state.json", "README*", "LICENSE*", ".*")
"""Of those, not the model: other formats of the same weights, folders, the records of trainers."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
"""Formats that can run code when they are loaded."""


def is_model_file(name: str) -> bool:
    """A file of this name, relative to the folder, is part of the model."""
    return any(fnmatchcase(name, pattern) for pattern in MODEL_FILES) and not any(
        fnmatchcase(name, pattern) for pattern in OTHER_FILES
    )


def listing(folder: Path) -> Mapping[str, str]:
    """Name -> SHA-256 of the files that are the model."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and is_model_file(path.name))
    return {name: sha256_of(folder / name) for name in names}


def whole_model(checkpoint: Path) -> Path:
    """The folder of a checkpoint's whole model: its own, or that of the base below its adapter."""
    return checkpoint / BASE if (checkpoint / ADAPTER).is_file() else checkpoint


def digest_of(folder: Path) -> str:
    """One SHA-256 of names and contents; where the folder lies does not count."""
    return listing_sha256(listing(folder))


def sha256_of(path: Path) -> str:
    """Of a file. It is read once in a process, unless its size or time changes."""
    stat = path.stat()
    return _sha256(path.resolve(), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    return file_sha256(path)
