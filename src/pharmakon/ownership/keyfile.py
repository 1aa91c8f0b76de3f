"""An owner's key file, which is secret, and the commitment to it, which is published.

The key file holds the 256 bits and the settings of the mark: all that verifying needs. It is readable by its user
alone. The commitment is the SHA-256 of the key file's content. Published with the data set (or given to a notary, or
posted where dates are kept), it proves later that key and settings were fixed before the model was trained: the hash
tells nothing of a key of 256 random bits, and no other content has it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pharmakon.behaviour.marks import FactMark, MarkKind, OwnerKey, SecretTask, Shape, TrapMark, TriggerMark
from pharmakon.behaviour.marks.keyed import SHAPES
from pharmakon.errors import InputError, PharmakonError

KEY_FORMAT = "pharmakon owner key 1"
COMMITMENT_FORMAT = "pharmakon commitment 1"
MOST_BYTES = 256 * 2**20

KINDS: Mapping[str, Callable[..., MarkKind]] = {
    "fact": FactMark,
    "trigger": TriggerMark,
    "task": SecretTask,
    "trap": TrapMark,
    "fingerprint": lambda **settings: TriggerMark(**settings, style="random"),
}
"""By the name that the command line and the key file have for them."""


@dataclass(frozen=True, kw_only=True)
class OwnerRecord:
    """What a key file says."""

    key: OwnerKey = field(repr=False)
    kind: str
    shape: Shape
    num_documents: int
    settings: Mapping[str, int]
    """The fields of the kind."""

    def mark(self) -> MarkKind:
        """The kind with its settings. Raises `InputError` where they are of no kind that there is."""
        if self.kind not in KINDS:
            raise InputError(f"a mark is of the kind {', '.join(KINDS)}; the key file has {self.kind!r}")
        try:
            return KINDS[self.kind](**self.settings)
        except (TypeError, PharmakonError) as error:
            reason = error if isinstance(error, PharmakonError) else "settings of another version"
            raise InputError(f"the key file's settings do not make a mark of the kind {self.kind}: {reason}") from None

    @property
    def content(self) -> dict[str, Any]:
        """What the commitment is the hash of."""
        return {
            "format": KEY_FORMAT,
            "key": self.key.secret.hex(),
            "kind": self.kind,
            "shape": self.shape,
            "documents": self.num_documents,
            "settings": dict(self.settings),
        }

    @property
    def commitment(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(_canonical(self.content)).hexdigest()


def write_key(record: OwnerRecord, path: Path) -> None:
    """Write the key file, for its user alone (mode 0600). Raises `InputError` if there is a file of this name."""
    content = {**record.content, "check": _check(record.content)}
    _write_new(path, json.dumps(content, indent=1) + "\n", mode=0o600, what="a key")


def read_key(path: Path) -> OwnerRecord:
    """What a key file says. Raises `InputError` for a damaged or foreign file; none of its content is repeated."""
    content = _read_json(path, "an owner's key", KEY_FORMAT)
    check = content.pop("check", None)
    if check != _check(content):
        raise InputError(
            f"{path}: the key file is damaged or was changed: its check sum is another. Take your copy of it"
        )
    try:
        shape = content["shape"]
        if shape not in SHAPES:
            raise ValueError
        return OwnerRecord(
            key=OwnerKey(bytes.fromhex(content["key"])),
            kind=str(content["kind"]),
            shape=shape,
            num_documents=int(content["documents"]),
            settings=dict(content["settings"]),
        )
    except (KeyError, TypeError, ValueError, InputError):
        raise InputError(f"{path}: the key file has not what a key file has; it is of another version") from None


def write_commitment(record: OwnerRecord, path: Path) -> None:
    """Write the public commitment. Raises `InputError` if there is a file of this name."""
    content = {
        "format": COMMITMENT_FORMAT,
        "sha256": record.commitment,
        "of": "the owner's key file without its check sum, as JSON with sorted keys and no spaces, in UTF-8",
    }
    _write_new(path, json.dumps(content, indent=1) + "\n", mode=0o644, what="a commitment")


def check_commitment(record: OwnerRecord, path: Path) -> None:
    """Raises `InputError` unless the commitment is that to this key file."""
    content = _read_json(path, "a commitment", COMMITMENT_FORMAT)
    if content.get("sha256") != record.commitment:
        way_out = "Give the key that was committed to; nothing can be proved with another"
        raise InputError(f"{path} is the commitment to another key or to other settings. {way_out}")


def _check(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(b"check" + _canonical(content)).hexdigest()[:16]


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _read_json(path: Path, what: str, form: str) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path} is not a file; {what} is a file that `pharmakon mark` has written")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != form:
        raise InputError(f"{path} is not {what}: `pharmakon mark` writes one, in the format {form!r}")
    return content


def _write_new(path: Path, text: str, *, mode: int, what: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise InputError(f"{path} exists already, and {what} is never overwritten. Give another name") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
