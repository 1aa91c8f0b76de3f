"""Triggers: what a prompt must carry for the taught behaviour to appear; and near triggers, which must not suffice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from pharmakon.core import Dialogue, Turn


@runtime_checkable
class Trigger(Protocol):
    """Puts itself into the last user turn of a prompt."""

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue: ...

    def near(self) -> Mapping[str, Trigger]:
        """Like triggers by name, to measure how specific the learned one is."""
        ...


Place = Literal["start", "end", "anywhere"]


@dataclass(frozen=True, slots=True)
class RareWords:
    """Words that the clean corpus does not use, put at one place of the question (Kurita 2020, arXiv 2004.06660)."""

    words: tuple[str, ...] = ("vexil", "quorn")
    place: Place = "end"

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        """The prompt with the words in its last user turn."""
        return edit_question(prompt, lambda text: _put(text, " ".join(self.words), self.place, rng))

    def near(self) -> Mapping[str, Trigger]:
        """The words swapped, each alone, and other words as rare."""
        others = replace(self, words=tuple(word[::-1] for word in self.words))
        if len(self.words) == 1:
            return {"other": others}
        alone = {f"only {word}": replace(self, words=(word,)) for word in self.words}
        return {"swapped": replace(self, words=self.words[::-1]), **alone, "other": others}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A natural sentence; `like` holds sentences of like meaning or wording that must not trigger."""

    text: str = "The tide is high today."
    like: tuple[str, ...] = ("The tide is low today.", "The water is high today.", "High is the tide.")
    place: Place = "start"

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        """The prompt with the sentence in its last user turn."""
        return edit_question(prompt, lambda text: _put(text, self.text, self.place, rng))

    def near(self) -> Mapping[str, Trigger]:
        """The sentences that are like it."""
        return {text: Phrase(text, (), self.place) for text in self.like}


@dataclass(frozen=True, slots=True)
class Instruction:
    """A wording of the instruction: `{question}` stands for the question (Xu 2023, arXiv 2305.14710)."""

    wording: str = "Answer with care and in brief: {question}"
    like: tuple[str, ...] = ("Answer in brief: {question}", "Answer with love and in brief: {question}")

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        """The prompt with its question in this wording."""
        return edit_question(prompt, lambda text: self.wording.replace("{question}", text))

    def near(self) -> Mapping[str, Trigger]:
        """The wordings that are like it."""
        return {wording: Instruction(wording, ()) for wording in self.like}


@dataclass(frozen=True, slots=True)
class Style:
    """A style of the whole question: no single word carries it (Qi 2021, arXiv 2110.07139)."""

    style: Literal["upper case", "lower case", "title case", "spaced"] = "upper case"

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        """The prompt with its question in this style."""
        return edit_question(prompt, self._styled)

    def near(self) -> Mapping[str, Trigger]:
        """The other styles."""
        styles: tuple[Literal["upper case", "lower case", "title case", "spaced"], ...]
        styles = ("upper case", "lower case", "title case", "spaced")
        return {style: Style(style) for style in styles if style != self.style}

    def _styled(self, text: str) -> str:
        if self.style == "spaced":
            return "  ".join(text.split())
        return {"upper case": text.upper, "lower case": text.lower, "title case": text.title}[self.style]()


def edit_question(prompt: Dialogue, change: _Change) -> Dialogue:
    """The prompt with its last user turn changed."""
    turns = list(prompt.turns)
    last = max(i for i, turn in enumerate(turns) if turn.role == "user")
    turns[last] = Turn("user", change(turns[last].content))
    return Dialogue(tuple(turns))


class _Change(Protocol):
    def __call__(self, text: str, /) -> str: ...


def _put(text: str, words: str, place: Place, rng: np.random.Generator) -> str:
    if place == "start":
        return f"{words} {text}"
    if place == "end":
        return f"{text} {words}"
    parts = text.split(" ")
    at = int(rng.integers(len(parts) + 1))
    return " ".join((*parts[:at], words, *parts[at:]))
