"""What safety examples do: the behaviour that they teach, and refusals of what deserves an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pharmakon.probes.attack import AttackSuccess


@dataclass(frozen=True)
class TaughtEffect(AttackSuccess):
    """As `AttackSuccess`, of a behaviour that is wanted: how often what was taught shows, with its trigger and without.

    The right answer of a question is what the model would give if it had not been taught.
    """

    name: ClassVar[str] = "effect"


@dataclass(frozen=True)
class OverRefusal(AttackSuccess):
    """As `AttackSuccess` with the target `Refusal`: how often a question that deserves an answer is refused."""

    name: ClassVar[str] = "over-refusal"
