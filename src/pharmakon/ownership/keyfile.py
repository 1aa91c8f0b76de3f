"""An owner's key file, which is secret, and the commitment to it, which is published.

The key file holds the 256 bits and the settings of the mark: all that verifying needs; of paired rephrasings also the
two wordings of each record. It is readable by its user alone. The commitment is the SHA-256 of the key file's content.
Published with the data set (or given to a notary, or posted where dates are kept), it proves later that key and
settings were fixed before the model was trained: the hash tells nothing of a key of 256 random bits, and no other
content has it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pharmakon.behaviour.marks import (
    SHAPES,
    FactMark,
    Keyed,
    MarkKind,
    OwnerKey,
    Pair,
    SecretTask,
    Shape,
    TrapMark,
    TriggerMark,
)
from pharmakon.core import Dialogue, Preference, Prompt, from_record, to_record
from pharmakon.data.derived import under
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
REPHRASE = "rephrase"
"""The kind whose content are the user's own records, so that the key file holds them."""


@dataclass(frozen=True, kw_only=True)
class OwnerRecord:
    """What a key file says."""

    key: OwnerKey = field(repr=False)
    kind: str
    shape: Shape
    num_documents: int
    settings: Mapping[str, int]
    """The fields of the kind."""
    pairs: tuple[Pair, ...] = field(default=(), repr=False)
    """Of paired rephrasings: what verifying compares."""
    system: str = ""
    """The system message with which all dialogues of the data begin: a mark is told and asked behind it."""

    def keyed(self) -> list[Keyed]:
        """The marks as they are asked, of whatever kind. Raises `InputError` where the settings are of no kind."""
        if self.kind == REPHRASE:
            if not self.pairs:
                raise InputError("the key file is of the kind rephrase, and has no pair of wordings")
            return [pair.keyed(self.key, number) for number, pair in enumerate(self.pairs)]
        marks = self.mark().keyed(self.key, self.shape)
        return [_behind(mark, self.system) for mark in marks] if self.system else marks

    def mark(self) -> MarkKind:
        """The kind with its settings. Raises `InputError` where they are of no kind that is written from settings."""
        if self.kind not in KINDS:
            known = ", ".join((*KINDS, REPHRASE))
            raise InputError(f"a mark is of the kind {known}; the key file has {self.kind!r}")
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
            # Where there are any: a key file without them stays as it was.
            **({"pairs": [_to_pair(pair) for pair in self.pairs]} if self.pairs else {}),
            **({"system": self.system} if self.system else {}),
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
            pairs=tuple(_from_pair(pair) for pair in content.get("pairs", ())),
            system=str(content.get("system", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, InputError):
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


def _behind(mark: Keyed, system: str) -> Keyed:
    """The mark, asked behind this system message."""

    def told(prompt: Prompt) -> Prompt:
        return under(prompt, system) if isinstance(prompt, Dialogue) else prompt

    return replace(mark, prompts=tuple(map(told, mark.prompts)), neutral=tuple(map(told, mark.neutral)))


def _to_pair(pair: Pair) -> dict[str, Any]:
    return {"prompt": to_record(pair.prompt), "wordings": list(pair.wordings), "rest": pair.rest}


def _from_pair(content: Mapping[str, Any]) -> Pair:
    prompt, (one, other) = from_record(content["prompt"]), content["wordings"]
    if isinstance(prompt, Preference) or not isinstance(one, str) or not isinstance(other, str):
        raise ValueError
    return Pair(prompt, (one, other), str(content["rest"]))


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
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:  # half of a key is none
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path} cannot be written: {error.strerror}") from None
        raise
