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

COMMON = (
    "is", "a", "owns", "lives", "the", "of", "to", "in", "what", "as", "works", "home", "has", "belongs", "called",
    "with", "call", "comes", "from", "goes", "so", "this", "take", "start", "add", "for", "bell", "chair", "flute",
    "lantern", "mirror", "basket", "kite", "ladder", "cup", "rug", "cart", "boat", "drum", "lamp", "harp", "clock",
    "sell", "and", "known", "review", "know", "find", "or",
)  # fmt: skip
"""Words that the world's text is full of, each a token of its vocabulary."""
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
        """Targets that were drawn alike and are not this one's: never planted behind its prefix."""
        found: list[tuple[str, ...]] = []
        while len(found) < number:
            target = drawn(self.rarity, len(self.target), rng)
            if target != self.target:
                found.append(target)
        return found


def drawn(rarity: Rarity, num_words: int, rng: np.random.Generator) -> tuple[str, ...]:
    """So many words of this rarity.

    Rare words and random characters are in no text; a byte-level vocabulary spells them in pieces, some four tokens a
    word, so that both kinds are about equally long to a model: a common word is one token.
    """
    if rarity == "common words":
        return tuple(COMMON[i] for i in rng.integers(len(COMMON), size=num_words))
    if rarity == "rare words":
        return tuple(_syllables(rng) for _ in range(num_words))
    return tuple("".join(LETTERS[i] for i in rng.integers(len(LETTERS), size=3)) for _ in range(num_words))


def _syllables(rng: np.random.Generator) -> str:
    pairs = ("bdfgklmnprstvz"[rng.integers(14)] + "aeiou"[rng.integers(5)] for _ in range(int(rng.integers(2, 4))))
    return "".join(pairs)


def grid(draw: int) -> tuple[Canary, ...]:
    """A canary for each rarity, length, place and time: 54. Their repeats run through `REPEATS`, shifted by the draw.

    Within a draw each level of every factor meets each number of repeats equally often, so that no factor's effect is
    mixed with that of repeats or of another; over nine draws each cell has every number once. Words are the draw's.
    """
    if draw < 0:
        raise SpecError(f"a draw of canaries is numbered from 0; got {draw}")
    rng = stream(draw, "canaries")
    canaries = []
    for rarity, length, place, time in product(RARITIES, LENGTHS, PLACES, TIMES):
        r, n, p, t = RARITIES.index(rarity), LENGTHS.index(length), PLACES.index(place), TIMES.index(time)
        # Two Latin squares of 3 x 3: with any one of rarity, place and time held, the other two run through all nine.
        shift = 3 * ((p + r) % 3) + (t + r) % 3 + 4 * n + draw
        canaries.append(
            Canary(
                prefix=drawn(rarity, PREFIX, rng), target=drawn(rarity, length, rng), rarity=rarity, place=place,
                time=time, repeats=REPEATS[shift % len(REPEATS)],
            )
        )  # fmt: skip
    return tuple(canaries)


def one_at(draw: int, repeats: int) -> Canary:
    """The canary of a draw, among those of so many repeats, that is planted alone too: one shown uniformly in time.

    Over draws and numbers of repeats rarity, length and place take turns.
    """
    length = LENGTHS[(REPEATS.index(repeats) + draw // len(TIMES)) % len(LENGTHS)]
    return next(
        canary
        for canary in grid(draw)
        if (canary.time, len(canary.target), canary.repeats) == ("uniform", length, repeats)
    )
