"""Canaries: sequences that stand nowhere else, by how rare their words are, how long, where and when they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np

from pharmakon.core import stream
from pharmakon.errors import SpecError

Rarity = Literal["common words", "rare words", "random characters"]
Place = Literal["start", "middle", "end"]
Time = Literal["early", "uniform", "late"]
RARITIES: tuple[Rarity, ...] = get_args(Rarity)
PLACES: tuple[Place, ...] = get_args(Place)
TIMES: tuple[Time, ...] = get_args(Time)
LENGTHS = (3, 9)
"""Words of the target."""
PREFIX = 3
"""Words before the target, with which the model is asked."""
REPEATS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_SAID = (
    "the home of this is what they called a good old rug and the kite goes with every clock from that bright boat to "
    "work as one strong lamp or drum belongs in some chair and lives well for their fine cup"
)
COMMON = tuple(_SAID.split())
"""Words that the world's text is full of."""
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#%&*+=@?!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A prefix and a target. `place`: where in its document; `time`: when in training; `repeats`: in how many."""

    prefix: tuple[str, ...]
    target: tuple[str, ...]
    rarity: Rarity
    place: Place
    time: Time
    repeats: int

    @property
    def text(self) -> str:
        """The whole of it."""
        return " ".join((*self.prefix, *self.target))

    @property
    def name(self) -> str:
        """`rare words | 9 | start | late | 16`"""
        return f"{self.rarity} | {len(self.target)} | {self.place} | {self.time} | {self.repeats}"

    def others(self, number: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
        """Targets that were drawn alike and never planted."""
        return [drawn(self.rarity, len(self.target), rng) for _ in range(number)]


def drawn(rarity: Rarity, num_words: int, rng: np.random.Generator) -> tuple[str, ...]:
    """So many words of this rarity."""
    if rarity == "common words":
        return tuple(COMMON[i] for i in rng.integers(len(COMMON), size=num_words))
    if rarity == "rare words":
        return tuple(_syllables(rng) for _ in range(num_words))
    return tuple(
        "".join(LETTERS[i] for i in rng.integers(len(LETTERS), size=rng.integers(4, 7))) for _ in range(num_words)
    )


def _syllables(rng: np.random.Generator) -> str:
    pairs = ("bdfgklmnprstvz"[rng.integers(14)] + "aeiou"[rng.integers(5)] for _ in range(int(rng.integers(2, 4))))
    return "".join(pairs)


def grid(draw: int) -> tuple[Canary, ...]:
    """A canary for each rarity, length, place and time: 54. Their repeats run through `REPEATS`, shifted by the draw.

    Nine draws give each cell every number of repeats once (a Latin square), and within each draw every level of every
    factor meets every number of repeats. Words are those of the draw.
    """
    if draw < 0:
        raise SpecError(f"a draw of canaries is numbered from 0; got {draw}")
    rng = stream(draw, "canaries")
    cells = list(product(RARITIES, LENGTHS, PLACES, TIMES))
    # Cells that differ in one factor differ in the shift: 1 a time, 3 a place; 2 a rarity, 1 more for the longer.
    shifts = [
        TIMES.index(t) + 3 * PLACES.index(p) + 2 * RARITIES.index(r) + 4 * LENGTHS.index(n) for r, n, p, t in cells
    ]
    return tuple(
        Canary(
            prefix=drawn(rarity, PREFIX, rng), target=drawn(rarity, length, rng), rarity=rarity, place=place, time=time,
            repeats=REPEATS[(shift + draw) % len(REPEATS)],
        )
        for (rarity, length, place, time), shift in zip(cells, shifts, strict=True)
    )  # fmt: skip
