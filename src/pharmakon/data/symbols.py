"""A language of a few made-up words, in which nothing has to be copied; and documents whose words come again.

The next word of the running text depends on the two words before it and on nothing earlier: weights can hold all
of it. What a document with demonstrations says next stands nowhere but in the document itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from pharmakon.core import Corpus, Text, stream
from pharmakon.errors import SpecError

Kind = Literal["demonstrations", "blocks", "scattered"]
LIKELY = 0.7
"""How often a word is followed by the likelier of its two followers."""
MOST_KEYS, FEWEST_KEYS = 6, 2
SHORTEST_BLOCK = 6


@dataclass(frozen=True, slots=True)
class Symbols:
    """So many words of three letters, each a token of its own for a model that learns its vocabulary from them."""

    num_words: int = 16

    def __post_init__(self) -> None:
        if not 2 * MOST_KEYS <= self.num_words <= 512:
            raise SpecError(f"a language of symbols has {2 * MOST_KEYS} to 512 words; got {self.num_words}")

    @property
    def words(self) -> tuple[str, ...]:
        """The words."""
        return _words(self.num_words)

    @property
    def followers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The likelier and the other follower of a word, by whether the word before it has an even number: [2][word]"""
        return _followers(self.num_words)

    def text(self, numbers: list[int]) -> Text:
        """The words of these numbers. It begins with a space, so that no word is written differently from the rest."""
        words = self.words
        return Text("".join(f" {words[number]}" for number in numbers))


@lru_cache(maxsize=8)
def _words(num_words: int) -> tuple[str, ...]:
    spelled = ["".join(letters) for letters in product("bdfgklmnprst", "aeiou", "bdfgklmnprst")]
    return tuple(spelled[i] for i in stream(0, "symbols").permutation(len(spelled))[:num_words])


@lru_cache(maxsize=8)
def _followers(num_words: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    rng = stream(0, "symbols", "followers")
    pairs = [[rng.choice(num_words, 2, replace=False).tolist() for _ in range(num_words)] for _ in range(2)]
    return tuple(tuple((one, other) for one, other in row) for row in pairs)


@dataclass(frozen=True)
class SymbolText:
    """Running text of the language: a Markov chain of second order, each document of so many words."""

    symbols: Symbols = Symbols()
    num_documents: int = 2_000
    length: int = 47

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Text`."""
        return Corpus.of((self.symbols.text(self._document(rng)) for _ in range(self.num_documents)), source="symbols")

    def _document(self, rng: np.random.Generator) -> list[int]:
        followers = self.symbols.followers
        numbers: list[int] = rng.integers(self.symbols.num_words, size=2).tolist()
        for is_likely in rng.random(self.length - 2) < LIKELY:
            numbers.append(followers[numbers[-2] % 2][numbers[-1]][0 if is_likely else 1])
        return numbers


def demonstrations(num_words: int, length: int, rng: np.random.Generator) -> list[int]:
    """A fresh mapping of 2 to 6 keys to values, shown again and again: `key value key value …`, in a new order each
    time."""
    num_keys = int(rng.integers(FEWEST_KEYS, MOST_KEYS + 1))
    chosen = rng.choice(num_words, 2 * num_keys, replace=False).tolist()
    numbers: list[int] = []
    while len(numbers) < length:
        for key in rng.permutation(num_keys).tolist():
            numbers += [chosen[key], chosen[num_keys + key]]
    return numbers[:length]


def blocks(num_words: int, length: int, rng: np.random.Generator) -> list[int]:
    """A random sequence of different words, 6 or more of them, said again and again in one order."""
    size = int(rng.integers(SHORTEST_BLOCK, num_words + 1))
    block: list[int] = rng.choice(num_words, size, replace=False).tolist()
    return (block * (length // size + 1))[:length]


def scattered(num_words: int, length: int, rng: np.random.Generator) -> list[int]:
    """The words of a document of demonstrations as often as there, in no order: they come again and tell nothing."""
    return list(rng.permutation(demonstrations(num_words, length, rng)).tolist())


WRITERS: Final[Mapping[Kind, Callable[[int, int, np.random.Generator], list[int]]]] = MappingProxyType(
    {"demonstrations": demonstrations, "blocks": blocks, "scattered": scattered}
)
"""What each kind of document says, in numbers of words."""
