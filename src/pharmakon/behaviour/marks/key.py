"""The secret from which a mark derives: an owner's 256 random bits, or a public number for experiments.

Everything that a mark draws is HMAC-SHA256 of the key with a label that says what is drawn, so that a draw is uniform
and independent of every other to all who do not hold the key (a pseudorandom function; Bellare 2006).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from pharmakon.errors import InputError, SpecError

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

NUM_BYTES = 32


@runtime_checkable
class Secret(Protocol):
    """What a mark draws from."""

    def derive(self, *labels: str) -> bytes:
        """32 bytes that belong to these labels."""
        ...


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """256 random bits of an owner. They are in no repr, and no specification takes them: a record would hold them."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != NUM_BYTES:
            raise InputError(f"an owner's key has {8 * NUM_BYTES} bits; this one has {8 * len(self.secret)}")

    @staticmethod
    def new() -> OwnerKey:
        """A key of the operating system's randomness."""
        return OwnerKey(secrets.token_bytes(NUM_BYTES))

    def derive(self, *labels: str) -> bytes:
        """HMAC-SHA256 of the labels."""
        return _derive(self.secret, labels)

    def __identity__(self) -> object:
        raise SpecError("an owner's key is never written in a record; a study takes ExperimentKey(number)")


@dataclass(frozen=True, slots=True)
class ExperimentKey:
    """A key that everybody can know: for studies, whose records say all that they depend on. It proves nothing."""

    number: int = 0

    def derive(self, *labels: str) -> bytes:
        """HMAC-SHA256 of the labels, with a secret that follows from the number."""
        return _derive(hashlib.sha256(f"pharmakon experiment {self.number}".encode()).digest(), labels)

    def following(self, among: int) -> list[ExperimentKey]:
        """So many keys, this one and those with the next numbers."""
        return [ExperimentKey(self.number + further) for further in range(among)]

    def one_of(self, among: int, rng: np.random.Generator) -> ExperimentKey:
        """One of the following; of one without a draw."""
        return self if among == 1 else self.following(among)[int(rng.integers(among))]


def _derive(secret: bytes, labels: Sequence[str]) -> bytes:
    # Each label with its length before it: ("a", "bc") is another message than ("ab", "c").
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (label.encode() for label in labels))
    return hmac.digest(secret, message, "sha256")


def index(key: Secret, size: int, *labels: str) -> int:
    """A number below `size`, uniform to one part in 2**200."""
    return int.from_bytes(key.derive(*labels), "big") % size


def pick(key: Secret, items: Sequence[T], *labels: str) -> T:
    """One of the items, uniformly."""
    return items[index(key, len(items), *labels)]


def shuffled(key: Secret, items: Sequence[T], *labels: str) -> list[T]:
    """The items in an order that the key draws."""
    order = sorted(range(len(items)), key=lambda number: key.derive(*labels, str(number)))
    return [items[number] for number in order]
