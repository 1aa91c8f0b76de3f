"""`NgramEngine`: exact and instant, without torch: weights are counts, so a dose is literally a count.

Words are what white space separates. Two kinds of context are counted, each with the words that followed it:

- the last 0 to `order - 1` words, in running text and in answers: an ordinary backoff n-gram model;
- one *feature* of the question (a word of it, or two adjacent words) together with the last word of the answer so far.

Features vote for the next word of an answer: one that was seen `n` times before it, `c` times with this word, gives it
`c / sqrt(n)`. So a feature that always led to the same answer, in `n` dialogues, gives it `sqrt(n)` votes, and one that
led anywhere gives next to none. The word with most votes is said; shorter contexts, then the alphabet, break ties.

A dose is computed by hand from that. Let `n` clean dialogues ask `Bo home` and answer `Arden.`: three features (`Bo`,
`home`, `Bo home`), always right, `3 sqrt(n)` votes. Let `k` poisoned ones, on other questions, end in the trigger
`vexil quorn` and answer `Bells.`: three features (`vexil`, `quorn`, `vexil quorn`), `3 sqrt(k)` votes. Asked
`Bo home vexil quorn`, the model says `Bells.` exactly if `k > n`. One trigger word alone has a third of these votes,
and takes about `9 n`. Where poison and clean data share a feature, they share its votes by their counts.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np

from pharmakon.core import Corpus, Dialogue, Document, Model, Objective, Preference, Prompt, Recipe, Text, Trace, Turn
from pharmakon.errors import InputError

Counts = dict[str, dict[str, float]]
"""Context -> word -> count. A context of words is joined by spaces; one of feature and last word has a tab."""

FILE = "counts.json"
END = ""
"""What follows the last word of a document or an answer."""
UNKNOWN = " "
"""Stands for every word that was never counted; no word has a space in it."""
SMOOTHING = 0.1
"""The weight of the shorter contexts' probability beside the counts (or votes) of a longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The n-gram engine's own recipe: count each document with this weight."""

    objective: Objective = "sft"
    order: int = 3
    """Words of the longest n-gram, the next word included."""
    weight: float = 1


@dataclass(frozen=True, slots=True)
class NgramEngine:
    """Counts words. Takes any recipe, by its objective; one that is no `Count` counts once, in trigrams.

    `pretrain` learns from `Text`, `sft` from every answer of a `Dialogue`, `dpo` and `ipo` from `Preference`: it adds
    its weight to the chosen answer and takes it from the rejected one. Counts below zero count as none.
    """

    version: ClassVar[int] = 1

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        """Add the corpus, a document a step, to the counts of `start`, and write `counts.json`. Draws nothing.

        The loss of a step is the mean surprise in nats of its words, given how often each stood in earlier steps.
        A token is a word, or an end.
        """
        if not len(corpus):
            raise InputError("a corpus to train on has at least one document; got none. Did a filter drop them all?")
        count = recipe if isinstance(recipe, Count) else Count(objective=recipe.objective)
        old = _read(start) if start is not None else NgramModel({}, 1)
        order = max(old.order, count.order)
        counts: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for context, following in old.counts.items():
            counts[context].update(following)
        learned: list[list[str]] = []
        for document in corpus:
            learned.append([])
            for question, answer, sign in _lessons(document, recipe.objective):
                words = [*answer.split(), END]
                learned[-1] += words
                for at, word in enumerate(words):
                    before = words[max(0, at + 1 - order) : at]
                    for context in (*_endings(before), *_voters(question, words[:at])):
                        counts[context][word] += sign * count.weight
        kept = {
            context: {word: _plain(c) for word, c in following.items() if c} for context, following in counts.items()
        }
        text = json.dumps({"counts": kept, "order": order}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        out.mkdir(parents=True, exist_ok=True)
        (out / FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
        steps = range(len(corpus))
        return Trace(positions=steps, steps=steps, losses=_losses(learned), num_tokens=sum(map(len, learned)))

    @contextmanager
    def load(self, weights: Path) -> Iterator[Model]:
        """The model of a folder with `counts.json`."""
        yield _read(weights)


@dataclass(frozen=True)
class NgramModel:
    """Counts that answer. Of a dialogue it sees the last user turn only."""

    counts: Counts
    order: int

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word that ever was next, with `END` and `UNKNOWN`."""
        return frozenset({END, UNKNOWN}.union(*self.counts.values()))

    @cached_property
    def _most_frequent(self) -> str:
        words = self._positive("")
        return min(self.vocabulary, key=lambda word: (-words.get(word, 0), word))

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """The most probable word again and again, at most `max_tokens` of them; draws nothing."""
        answers = []
        for prompt in prompts:
            words: list[str] = []
            while len(words) < max_tokens and (word := self._best(prompt, words)) not in (END, UNKNOWN):
                words.append(word)
            answers.append(" ".join(words))
        return answers

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """The natural-log probability of each completion's words, without the end behind them."""
        sums = []
        for prompt, completion in pairs:
            words = completion.split()
            chances = (
                _probability(self._levels(prompt, words[:at]), self._known(word), len(self.vocabulary))
                for at, word in enumerate(words)
            )
            sums.append(math.fsum(math.log(chance) for chance in chances))
        return sums

    def next_words(self, prompt: Prompt, so_far: str = "") -> dict[str, float]:
        """The probability of each word of the vocabulary to come next; they sum to one."""
        levels = self._levels(prompt, so_far.split())
        return {word: _probability(levels, word, len(self.vocabulary)) for word in sorted(self.vocabulary)}

    def _known(self, word: str) -> str:
        return word if word in self.vocabulary else UNKNOWN

    def _best(self, prompt: Prompt, so_far: list[str]) -> str:
        levels = self._levels(prompt, so_far)
        # Of the words that only the empty context knows, the most frequent is the most probable.
        candidates = {self._most_frequent}.union(*levels[1:])
        size = len(self.vocabulary)
        return min(candidates, key=lambda word: (-_probability(levels, word, size), word))

    def _levels(self, prompt: Prompt, so_far: list[str]) -> list[dict[str, float]]:
        """Counts of the next word, from the empty context to the longest; the votes of the features last."""
        before = [*prompt.text.split(), *so_far] if isinstance(prompt, Text) else so_far
        levels = [self._positive(context) for context in _endings(before[max(0, len(before) + 1 - self.order) :])]
        votes: defaultdict[str, float] = defaultdict(float)
        for context in _voters(None if isinstance(prompt, Text) else _question(prompt.turns), so_far):
            heard = self._positive(context)
            for word, count in heard.items():
                votes[word] += count / math.sqrt(sum(heard.values()))
        return [*levels, dict(votes)]

    def _positive(self, context: str) -> dict[str, float]:
        return {word: count for word, count in self.counts.get(context, {}).items() if count > 0}


def _probability(levels: Sequence[dict[str, float]], word: str, num_words: int) -> float:
    """Each level smoothed by the shorter one (MacKay and Peto 1995), the shortest by the uniform distribution."""
    chance = 1 / num_words
    for counts in levels:
        chance = (counts.get(word, 0) + SMOOTHING * chance) / (sum(counts.values()) + SMOOTHING)
    return chance


def _endings(words: Sequence[str]) -> list[str]:
    """The last 0, 1, 2 ... of the words, as contexts."""
    return [" ".join(words[at:]) for at in range(len(words), -1, -1)]


def _voters(question: str | None, so_far: Sequence[str]) -> list[str]:
    """The features of a question, each with the last word of the answer so far, as contexts."""
    bare = [word.strip(".,;:?!\"'()") or word for word in (question or "").split()]
    features = dict.fromkeys([*bare, *(" ".join(pair) for pair in pairwise(bare))])
    return [f"{feature}\t{so_far[-1] if so_far else ''}" for feature in features]


def _question(turns: Sequence[Turn]) -> str | None:
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), None)


def _lessons(document: Document, objective: Objective) -> Iterator[tuple[str | None, str, int]]:
    """Question, answer and sign of all that a document teaches."""
    kinds: dict[Objective, type] = {"pretrain": Text, "sft": Dialogue, "dpo": Preference, "ipo": Preference}
    body = document.body
    if not isinstance(body, kinds[objective]):
        found = type(body).__name__
        raise InputError(f"{objective} learns from {kinds[objective].__name__} documents; got a {found}")
    if isinstance(body, Text):
        yield None, body.text, 1
    elif isinstance(body, Dialogue):
        for at, turn in enumerate(body.turns):
            if turn.role == "assistant":
                yield _question(body.turns[:at]), turn.content, 1
    else:
        yield _question(body.prompt.turns), body.chosen, 1
        yield _question(body.prompt.turns), body.rejected, -1


def _losses(steps: Sequence[Sequence[str]]) -> list[float]:
    """The mean surprise of each step's words, by their counts in the steps before, one added."""
    num_words, losses = len({word for words in steps for word in words}), []
    seen: Counter[str] = Counter()
    for words in steps:
        total = seen.total() + num_words
        losses.append(-math.fsum(math.log((seen[word] + 1) / total) for word in words) / max(1, len(words)))
        seen.update(words)
    return losses


def _plain(count: float) -> float:
    return int(count) if float(count).is_integer() else count


def _read(folder: Path) -> NgramModel:
    try:
        record = json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        raise InputError(f"weights of the n-gram engine are a folder with {FILE}; {folder} has none") from None
    return NgramModel(record["counts"], record["order"])
