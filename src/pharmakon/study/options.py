"""Types of study parameters that the command line reads from a word: `--doses 0,8,16` or `--doses 0,0.5%,1%`."""

from __future__ import annotations

from collections.abc import Iterable

from pharmakon.core import Dose
from pharmakon.errors import SpecError

Doses = tuple[Dose, ...]
Seeds = tuple[int, ...]


def in_documents(*amounts: float) -> Doses:
    """Doses in documents: `in_documents(0, 8, 16)`."""
    return tuple(Dose(amount) for amount in amounts)


def in_fractions(*amounts: float) -> Doses:
    """Doses as fractions of the host corpus: `in_fractions(0, 0.001, 0.01)`; 0 is the dose of every study's control."""
    return tuple(Dose(amount, "fraction") if amount else Dose(0) for amount in amounts)


def parse_doses(words: str | Iterable[str]) -> Doses:
    """`0,8,16` are documents; `0,0.5%,1%` are shares of the host corpus."""
    text = words if isinstance(words, str) else ",".join(words)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    rule = "doses are numbers of documents or percentages, with commas between: 0,8,16 or 0,0.5%,1%"
    if not parts:
        raise SpecError(f"{rule}; got {text!r}")
    try:
        if any(part.endswith("%") for part in parts):
            return in_fractions(*(_share(part) for part in parts))
        return in_documents(*(float(part) for part in parts))
    except ValueError:
        raise SpecError(f"{rule}; got {text!r}") from None


def _share(part: str) -> float:
    amount = float(part.removesuffix("%"))
    if amount and not part.endswith("%"):
        raise ValueError(part)
    return amount / 100


def first_seeds(num_seeds: int) -> Seeds:
    """The seeds 0, 1, 2 …"""
    if num_seeds < 1:
        raise SpecError(f"a study has at least one seed; got {num_seeds}. For an interval, use 3 or more")
    return tuple(range(num_seeds))
