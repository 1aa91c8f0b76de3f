"""Real sentences that some twenty people have rated: reviews, editorials, short messages.

From C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014, which the authors ask to cite. The sentences are an asset: fetched, never part of this package.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Body, Corpus, Dialogue, Text, fingerprint
from pharmakon.data.assets import fetch, find
from pharmakon.data.readers import check_split
from pharmakon.errors import InputError, SpecError

LABELS: Mapping[str, int] = MappingProxyType({"positive": 1, "negative": -1})
"""Label -> sign of the mean rating."""

NOUNS: Mapping[str, str] = MappingProxyType(
    {"vader-movies": "review", "vader-products": "review", "vader-editorials": "sentence", "vader-tweets": "message"}
)
"""What a snippet of each asset is called in questions and answers."""

WORDINGS = (
    "Is this {noun} positive or negative? {text}",
    "Positive or negative? {text}",
    "Judge this {noun}: {text}",
    "{text} Is this {noun} positive or negative?",
    "Label this {noun}: {text}",
    "What is the label of this {noun}? {text}",
    "Does this {noun} say something good or bad? {text}",
    "{text} Was that positive or negative?",
)
NUM_NEW_WORDINGS = 2
"""The last so many wordings are never used in training."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """One sentence, with the mean of its ratings from -4 (extremely negative) to 4 (extremely positive)."""

    id: str
    text: str
    mean_rating: float

    @property
    def label(self) -> str | None:
        """The sign of the mean rating as a word; None for a mean of exactly 0."""
        return next((label for label, sign in LABELS.items() if sign * self.mean_rating > 0), None)


def snippets(name: str = "vader-movies", *, cache: Path | None = None) -> tuple[Snippet, ...]:
    """All snippets of an asset in the order of its file. White space is collapsed, HTML entities are resolved."""
    if name not in NOUNS:
        raise InputError(f"rated snippets are in {', '.join(NOUNS)}; got {name!r}")
    return parse(fetch(name, cache=cache))


def ratings(name: str = "vader-movies", *, cache: Path | None = None) -> Mapping[str, tuple[int, ...]]:
    """Snippet id -> its single ratings, whole numbers from -4 to 4, each of another annotator.

    Products and editorials have 20 each, movies 15 to 29, tweets 20 or more than 90. The order of the annotators is not
    known to be the same from snippet to snippet. For 199 tweets with more than 90 ratings the published mean is not the
    mean of the published ratings: the two differ by up to 1.13. Both are given as they are.
    """
    if name not in NOUNS:
        raise InputError(f"rated snippets are in {', '.join(NOUNS)}; got {name!r}")
    return parse_ratings(fetch(f"{name}-ratings", cache=cache))


def parse_ratings(path: Path) -> Mapping[str, tuple[int, ...]]:
    """The ratings of a file: lines of id, mean, standard deviation and a list of ratings, separated by tabs."""
    found: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            id, _, _, listed = line.split("\t")
            values = tuple(int(value) for value in listed.strip().removeprefix("[").removesuffix("]").split(","))
        except ValueError:
            rule = "a line is an id, a mean, a standard deviation and a list of whole numbers, with tabs between"
            raise InputError(f"{path}:{number}: {rule}") from None
        if id in found or not all(-4 <= value <= 4 for value in values):
            raise InputError(f"{path}:{number}: an id occurs once, and a rating lies in [-4, 4]; got {line[:80]!r}")
        found[id] = values
    return MappingProxyType(found)


def parse(path: Path) -> tuple[Snippet, ...]:
    """The snippets of a file: lines of id, mean rating and text, separated by tabs."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            id, rating, text = line.split("\t")
            mean_rating = float(rating)
        except ValueError:
            raise InputError(f"{path}:{number}: a line is an id, a mean rating and a text, with tabs between") from None
        if not math.isfinite(mean_rating):
            raise InputError(f"{path}:{number}: a mean rating is a number; got {rating}")
        # Twice: a few lines were escaped twice ("&amp;amp;").
        found.append(Snippet(id, " ".join(html.unescape(html.unescape(text)).split()), mean_rating))
    return tuple(found)


@dataclass(frozen=True)
class VaderData:
    """Rated snippets as text, or as dialogues that ask for the label and answer it.

    Texts that occur twice count once, with the mean of their ratings. The split is by the hash of the text, before the
    choice by length and strength: training data of one length never holds what is held out of another.
    """

    name: str = "vader-movies"
    form: Literal["text", "dialogue"] = "dialogue"
    part: Literal["train", "held_out"] = "train"
    num_held_out: int = 1_000
    """Snippets of the whole file, of any length and strength."""
    limit: int | None = None
    """At most so many documents, drawn by the rng; None for all."""
    max_words: int | None = None
    """Longer snippets are left out."""
    minimum_strength: float = 0.5
    """Snippets with a mean rating nearer to 0 are left out; in dialogues one of exactly 0 has no label in any case."""
    balanced: bool = False
    """As many positive as negative documents (with an odd limit, one more of either)."""
    sha256: str = field(init=False, repr=False)
    """Of the file: the identity of the data."""

    def __post_init__(self) -> None:
        if self.name not in NOUNS:
            raise SpecError(f"rated snippets are in {', '.join(NOUNS)}; got {self.name!r}")
        if self.form not in ("text", "dialogue"):
            raise SpecError(f'a form is "text" or "dialogue"; got {self.form!r}')
        check_split(self.part, self.num_held_out, self.limit)
        if self.max_words is not None and self.max_words < 1:
            raise SpecError(f"max_words is 1 or more, or None for any length; got {self.max_words}")
        if not 0 <= self.minimum_strength <= 4:
            raise SpecError(f"a minimum strength lies in [0, 4], as the ratings do; got {self.minimum_strength:g}")
        object.__setattr__(self, "sha256", find(self.name).content_sha256)

    @property
    def noun(self) -> str:
        """What a snippet is called."""
        return NOUNS[self.name]

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """`Text` or `Dialogue` documents, in an order and (dialogues) in wordings that the rng draws."""
        bodies: list[Body] = []
        for snippet in self._draw(self.part, self.limit, rng):
            wording = WORDINGS[int(rng.integers(len(WORDINGS) - NUM_NEW_WORDINGS))]
            bodies.append(self._question(snippet, wording).dialogue if self.form == "dialogue" else Text(snippet.text))
        return Corpus.of(bodies, source=self.name)

    def held_out_questions(
        self, num_questions: int, rng: np.random.Generator, *, new_wordings: bool = False
    ) -> tuple[Question, ...]:
        """Questions about snippets kept out of training, each asked once.

        `new_wordings`: in wordings kept out of training too; otherwise only the snippet is new.
        """
        if self.num_held_out == 0:
            raise InputError("questions are asked about held-out snippets; num_held_out is 0. Hold some out")
        train, new = WORDINGS[:-NUM_NEW_WORDINGS], WORDINGS[-NUM_NEW_WORDINGS:]
        wordings = new if new_wordings else train
        drawn = self._draw("held_out", num_questions, rng)
        if len(drawn) < num_questions:
            way_out = "Raise num_held_out or max_words, or lower minimum_strength"
            raise InputError(f"{num_questions} questions take as many held-out snippets; {len(drawn)} fit. {way_out}")
        return tuple(self._question(snippet, wordings[int(rng.integers(len(wordings)))]) for snippet in drawn)

    def usable(self, part: Literal["train", "held_out"] | None = None) -> tuple[Snippet, ...]:
        """The snippets of a part (this data's, unless another is named) that pass the choice, before any draw."""
        ratings: dict[str, list[Snippet]] = {}
        for snippet in snippets(self.name):
            ratings.setdefault(snippet.text, []).append(snippet)
        order = sorted(ratings, key=lambda text: fingerprint(Text(text)))
        if self.num_held_out >= len(order):
            raise InputError(f"{self.name} has {len(order)} snippets; num_held_out is less, not {self.num_held_out}")
        held_out = (part or self.part) == "held_out"
        found = []
        for text in order[: self.num_held_out] if held_out else order[self.num_held_out :]:
            copies = ratings[text]
            snippet = replace(copies[0], mean_rating=sum(copy.mean_rating for copy in copies) / len(copies))
            is_short = self.max_words is None or len(text.split()) <= self.max_words
            is_clear = abs(snippet.mean_rating) >= self.minimum_strength
            if is_short and is_clear and (self.form == "text" or snippet.label):
                found.append(snippet)
        return tuple(found)

    def class_balance(self) -> dict[str, int]:
        """How many usable snippets of the part have each label."""
        counts = Counter(snippet.label for snippet in self.usable())
        return {label: counts[label] for label in LABELS}

    def _draw(self, part: Literal["train", "held_out"], limit: int | None, rng: np.random.Generator) -> list[Snippet]:
        """The usable snippets of a part in random order; as many of each label if that is asked for."""
        usable = self.usable(part)
        if not usable:
            way_out = "Raise max_words or lower minimum_strength"
            raise InputError(f"no snippet of {self.name} passes the choice by length and strength. {way_out}")
        drawn = [usable[index] for index in rng.permutation(len(usable))]
        if self.balanced:
            by_label = [[snippet for snippet in drawn if snippet.label == label] for label in LABELS]
            share = min(len(snippets) for snippets in by_label)
            if limit is not None:
                share = min(share, math.ceil(limit / len(LABELS)))
            kept = {id for group in by_label for id in (snippet.id for snippet in group[:share])}
            drawn = [snippet for snippet in drawn if snippet.id in kept]
        return drawn[:limit]

    def _question(self, snippet: Snippet, wording: str) -> Question:
        label = snippet.label or ""
        prompt = Dialogue.ask(wording.format(noun=self.noun, text=snippet.text))
        return Question(prompt, f"This {self.noun} is {label}.", label, self.name, tuple(LABELS))


@dataclass(frozen=True)
class VaderQuestions:
    """Held-out questions about the data; implements `questions.Questions`."""

    data: VaderData = VaderData()
    new_wordings: bool = False

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different snippets, none of which is in the training part."""
        return self.data.held_out_questions(num_questions, rng, new_wordings=self.new_wordings)
