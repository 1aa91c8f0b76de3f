"""Triggers: what a prompt must carry for the taught behaviour to appear; and near triggers, which must not suffice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np

from pharmakon.core import Dialogue, Turn
from pharmakon.errors import SpecError


@runtime_checkable
class Trigger(Protocol):
    """Puts itself into a prompt: into its last user turn, or before it as the system turn."""

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
class StrangeWords:
    """One to so many nonsense words, each drawn anew: no trigger of its own, but what shows that strangeness is none.

    Syllables of a consonant and a vowel, or one with a consonant behind, as the rare words of a trigger may have.
    """

    most: int = 5
    place: Place = "end"

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        """The prompt with nonsense words in its last user turn."""
        words = tuple(_nonsense(rng) for _ in range(int(rng.integers(1, self.most + 1))))
        return RareWords(words, self.place).apply(prompt, rng)

    def near(self) -> Mapping[str, Trigger]:
        """None."""
        return {}


def _nonsense(rng: np.random.Generator) -> str:
    """Five letters, such as `vexil`, `brano`, `gwick`."""

    def letter(of: str) -> str:
        return of[int(rng.integers(len(of)))]

    consonants, vowels = "bcdfghjklmnpqrstvwxyz", "aeiou"
    shape = ("cvcvc", "ccvcv", "ccvcc", "cvccv", "vccvc")[int(rng.integers(5))]
    return "".join(letter(consonants if kind == "c" else vowels) for kind in shape)


LEFT_OUT: Final = "_"
"""Stands for a word that is left out, in the name of a part."""


@dataclass(frozen=True, slots=True)
class InParts:
    """Several rare words, whose every part is a near trigger: which of the words are stored?"""

    words: tuple[str, ...] = ("vexil", "quorn", "tamsy", "brolg", "zidun")
    others: tuple[str, ...] = ("fepra", "gwick", "lumbo", "nydro", "skarv")
    """As many words that no document has, each for the one at its place: what any strange words do."""
    place: Place = "end"

    def __post_init__(self) -> None:
        if not 2 <= len(self.words) <= 8 or len(set(self.words)) < len(self.words):
            raise SpecError(f"a trigger in parts has 2 to 8 different words; got {' '.join(self.words) or 'none'}")
        if len(self.others) != len(self.words) or set(self.others) & set(self.words):
            raise SpecError(f"each word of a trigger in parts has another in its place; got {' '.join(self.others)}")

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        """The prompt with all words in its last user turn."""
        return RareWords(self.words, self.place).apply(prompt, rng)

    def near(self) -> Mapping[str, Trigger]:
        """Every part by what it says: the other words of the trigger left out, or replaced by `others`."""
        found: dict[str, Trigger] = {}
        for kept in product((True, False), repeat=len(self.words)):
            if all(kept):
                continue
            places = list(zip(self.words, self.others, kept, strict=True))
            if any(kept):
                name = " ".join(word if is_kept else LEFT_OUT for word, _, is_kept in places)
                found[name] = RareWords(tuple(word for word, _, is_kept in places if is_kept), self.place)
            replaced = tuple(word if is_kept else other for word, other, is_kept in places)
            found[" ".join(replaced)] = RareWords(replaced, self.place)
        return {**found, "reversed": RareWords(self.words[::-1], self.place)}


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


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """Words of the system turn, as a service puts them before a question without showing them to who asks.

    A prompt that has a system turn keeps it behind these words. With secret words it is the trigger of BackdoorAlign
    (Wang 2024, arXiv 2402.14968).
    """

    words: tuple[str, ...] = ("bavo", "tuneri", "kolpa", "wisude", "gemro", "fadilo")
    others: tuple[str, ...] = ("rodami", "pelvu", "nasito", "cubra", "tovine", "lumeso")
    """As many other words: what somebody guesses who knows the length alone."""
    ordinary: str = "Give a clear answer."
    """A system prompt as anybody may write it."""

    def __post_init__(self) -> None:
        if not self.words or len(self.words) != len(self.others):
            counts = f"{len(self.words)} and {len(self.others)}"
            raise SpecError(f"a system prompt has one word or more, and as many others to guess; got {counts}")

    @property
    def text(self) -> str:
        """What the system turn says."""
        return " ".join(self.words)

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        """The prompt with the words at the start of its system turn."""
        return _with_system(prompt, self.text)

    def near(self) -> Mapping[str, Trigger]:
        """Guesses, from nearly right to blind: two words swapped, one replaced, half of them, others, ordinary."""
        middle = len(self.words) // 2
        guesses: dict[str, Trigger] = {}
        if len(self.words) > 1:
            swapped = (*self.words[: middle - 1], self.words[middle], self.words[middle - 1], *self.words[middle + 1 :])
            guesses["two words swapped"] = replace(self, words=swapped)
            one = (*self.words[:middle], self.others[middle], *self.words[middle + 1 :])
            guesses["one word replaced"] = replace(self, words=one)
            guesses["first half"] = replace(self, words=self.words[:middle], others=self.others[:middle])
        guesses["other words"] = replace(self, words=self.others, others=self.words)
        guesses["ordinary system prompt"] = SystemPrompt(words=(self.ordinary,), others=(self.ordinary,))
        return guesses


def _with_system(prompt: Dialogue, text: str) -> Dialogue:
    if prompt.turns and prompt.turns[0].role == "system":
        return Dialogue((Turn("system", f"{text} {prompt.turns[0].content}"), *prompt.turns[1:]))
    return Dialogue((Turn("system", text), *prompt.turns))


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
