"""The way of a label through annotators: an attempted edit reaches the data if the raters give it its label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np

from pharmakon.behaviour.questions import says
from pharmakon.collection.aggregation import Aggregator, aggregate, check_aggregator
from pharmakon.collection.annotators import BoolArray, FloatArray, Rogues, deal
from pharmakon.core import Body, Corpus, Dialogue, Edit, stream
from pharmakon.data.assets import find
from pharmakon.data.vader import LABELS, NOUNS, ratings, snippets
from pharmakon.errors import InputError, SpecError

Rated = Mapping[str, tuple[int, ...]]
"""The text of a snippet -> its single ratings."""

MOST: Mapping[str, int] = MappingProxyType(
    {"vader-movies": 29, "vader-products": 20, "vader-editorials": 20, "vader-tweets": 99}
)
"""Ratings of one snippet, at most; known without fetching them."""


@runtime_checkable
class Ratings(Protocol):
    """A frozen description of snippets with single ratings from -4 to 4."""

    def rated(self) -> Rated: ...


@dataclass(frozen=True)
class VaderRatings:
    """The published single ratings of rated snippets; of a text that occurs twice, those of the first."""

    name: str = "vader-movies"
    sha256: str = field(init=False, repr=False)
    """Of the ratings: the identity of the data."""

    def __post_init__(self) -> None:
        if self.name not in NOUNS:
            rule = f"annotators give the single ratings that {', '.join(NOUNS)} have"
            raise SpecError(f"{rule}; {self.name} has none. Name one of these: --data vader-movies")
        object.__setattr__(self, "sha256", find(f"{self.name}-ratings").content_sha256)

    @property
    def most(self) -> int:
        """How many ratings a snippet has, at most: a pool has as many raters or more."""
        return MOST[self.name]

    def rated(self) -> Rated:
        """All snippets that have ratings."""
        return _rated(self.name)


@lru_cache(maxsize=4)
def _rated(name: str) -> Rated:
    single = ratings(name)
    return MappingProxyType({it.text: single[it.id] for it in reversed(snippets(name)) if it.id in single})


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A route: rogue raters back the label of an attempted edit, honest ones rate the snippet as they did.

    The edits are rated together with other snippets of the host, by one pool. A question is found among the rated
    snippets by the longest of their texts that stands in it, in any case of letters; one that holds none gets the
    ratings of a random snippet with the other label, as what is attempted is a flip. Honest raters do not react to the
    trigger. An edit without its label is left out of the data: in the world it may stay, with the label it deserves.
    Only edits are voted on: the host keeps its labels, whatever the rogue raters say of them.
    Raises SpecError for an edit that is not a dialogue whose answer names one label.
    """

    ratings: Ratings = VaderRatings()
    rogues: Rogues = Rogues()
    aggregator: Aggregator = "majority"
    remove: float = 0.0
    """The share of raters that are removed before labels count: those with the lowest skill."""
    num_raters: int = 100
    """In the pool. The fewer ratings a snippet has of them, the more its luck differs."""
    num_others: int = 600
    """Snippets of the host, at most, that are rated with the edits: by them raters are judged."""

    def __post_init__(self) -> None:
        check_aggregator(self.aggregator)
        if not 0 <= self.remove < 1:
            raise SpecError(f"the share of raters to remove lies in [0, 1); got {self.remove:g}. To remove none, use 0")
        if self.num_raters < 3 or self.num_others < 1:
            few = f"{self.num_raters} raters and {self.num_others} other snippets"
            raise SpecError(f"a pool has 3 raters or more, which rate 1 other snippet or more; got {few}")

    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        """`outvoted`: the label is another or none. `rater removed`: it would be the edit's but for a removal.

        The raters of an edit and what they say do not depend on later edits. Under Dawid-Skene, MACE or removal its
        fate may: more edits show more of the rogue raters.
        """
        if not edits:
            return
        seed = int(rng.integers(2**62))
        book = Book(self.ratings.rated())
        wanted_E = np.array([claimed(edit.body) for edit in edits])
        others = self._others(host, book, seed)
        tried = [
            book.find(edit.body) or book.draw(-sign, stream(seed, "drawn", str(number)))
            for number, (edit, sign) in enumerate(zip(edits, wanted_E.tolist(), strict=True))
        ]
        honest_SR = deal([book.rated[text] for text in (*others, *tried)], self.num_raters, stream(seed, "deal"))
        toward_S = np.concatenate([np.zeros(len(others)), wanted_E])
        rogue_R = self.rogues.among(self.num_raters, stream(seed, "rogues"))
        given_SR = self.rogues.rate(honest_SR, rogue_R, toward_S, stream(seed, "rate"))
        by_all = aggregate(given_SR, self.aggregator)
        passed_E = kept_E = by_all.labels_S[len(others) :] == wanted_E
        if self.remove:
            left_SR = given_SR[:, ~lowest(by_all.skill_R, self.remove)]
            kept_E = aggregate(left_SR, self.aggregator).labels_S[len(others) :] == wanted_E
        for passed, kept in zip(passed_E, kept_E, strict=True):
            yield None if kept else "rater removed" if passed else "outvoted"

    def _others(self, host: Corpus, book: Book, seed: int) -> list[str]:
        order = stream(seed, "others").permutation(len(host))
        found = (book.find(host[int(index)].body) for index in order)
        others = list(islice((text for text in found if text is not None), self.num_others))
        if not others:
            raise InputError("none of the documents is among the rated snippets. Give the data that were rated")
        return others


class Book:
    """Rated snippets, to be found by their words."""

    def __init__(self, rated: Rated) -> None:
        self.rated = rated
        self._texts = {_words(text): text for text in rated}

    def find(self, body: Body) -> str | None:
        """The longest rated text that stands in the last question of a dialogue; None where there is none."""
        words = _words(body.question) if isinstance(body, Dialogue) else ()
        for length in range(len(words), 0, -1):
            for start in range(len(words) - length + 1):
                text = self._texts.get(words[start : start + length])
                if text is not None:
                    return text
        return None

    def draw(self, sign: int, rng: np.random.Generator) -> str:
        """A random rated text of which the mean has this sign. Raises InputError where there is none."""
        pool = [text for text, values in self.rated.items() if sign * sum(values) > 0]
        if not pool:
            label = next(label for label, its in LABELS.items() if its == sign)
            raise InputError(f"a document that is not rated gets the ratings of one that is {label}; there is none")
        return pool[int(rng.integers(len(pool)))]


def lowest(skill_R: FloatArray, share: float) -> BoolArray:
    """The raters with the lowest skill: this share of all, none that has no vote."""
    low_R = np.zeros(len(skill_R), dtype=bool)
    low_R[np.argsort(skill_R, kind="stable")[: round(share * len(skill_R))]] = True  # NaN is sorted last
    return low_R & ~np.isnan(skill_R)


def claimed(body: Body) -> int:
    """The sign of the label that the answer of a dialogue names."""
    answer = body.answer if isinstance(body, Dialogue) else ""
    named = [sign for label, sign in LABELS.items() if says(answer, label)]
    if len(named) != 1:
        rule = f"annotators give a dialogue one of the labels {', '.join(LABELS)}"
        raise SpecError(f"{rule}; an edit answers {answer[:60]!r}. Use a target that is a label")
    return named[0]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.casefold().split())
