"""Odd Unicode: characters that hide, reorder or imitate. Triggers and hidden instructions are often made of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from pharmakon.cleaning.texts import parts_of
from pharmakon.core import Corpus

_HIDDEN = frozenset("\u180e\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\ufffc\ufffd") | frozenset(
    chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x2070), *range(0xFFF9, 0xFFFC))
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_JOINERS = "\u200c\u200d"
_MARKS = "\u200e\u200f\u061c"  # left-to-right, right-to-left and Arabic letter mark
_JOINED_BEFORE, _JOINED_AFTER = ("So", "Sk", "Mn", "Mc", "Lo"), ("So", "Sm", "Lo", "Mn", "Mc")
_FLAG = "\U0001f3f4"
_LETTERS = re.compile(r"[^\W\d_]{2,}")

# Letters that look like a Latin one (after Unicode Technical Standard 39's confusables), and the Latin ones they fake.
_LOOKALIKES = {
    "CYRILLIC": frozenset("аеорсухіјѕһԁԛԝвкмнтАВЕЗКМНОРСТУХІЈЅԌԛԜ"),
    "GREEK": frozenset("ονιαρυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"),
    "LATIN": frozenset("aeopcyxijshdqwvkmntuABEZKMHOPCTYXIJSGQWN"),
}


@dataclass(frozen=True)
class OddUnicode:
    """Drops a document with more than `maximum` odd characters, in any of its messages.

    Odd are: invisible characters (zero-width space and joiners out of place, word joiner, byte-order mark inside the
    text, tag characters), bidirectional embeddings, overrides and isolates, control characters, private use, unpaired
    surrogates, unassigned code points, the replacement character, repeated variation selectors, and letters of a word
    that imitate those of the script of the rest ("pаypal" with a Cyrillic a).

    Ordinary are: emoji with their joiners, selectors and flags; joiners between letters of scripts that need them
    (Persian, Hindi); direction marks in text that has right-to-left letters; soft hyphens; Greek letters in formulas.
    Code points for future emoji count as assigned, so that verdicts do not hang on Python's Unicode version there.
    """

    maximum: int = 0

    version: ClassVar[int] = 1

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`odd_unicode`."""
        for document in corpus:
            yield "odd_unicode" if sum(map(num_odd, parts_of(document.body))) > self.maximum else None


def num_odd(text: str) -> int:
    """The number of odd characters in a text."""
    controls = len(_CONTROL.findall(text))
    if text.isascii():
        return controls
    text = text.removeprefix("\ufeff")  # a byte-order mark at the start is an encoder's habit
    kinds = {character: _kind(character) for character in set(text) if not character.isascii()}
    odd = controls + sum(text.count(character) for character, kind in kinds.items() if kind == "odd")
    if "place" in kinds.values():
        odd += sum(
            _is_misplaced(text, index) for index, character in enumerate(text) if kinds.get(character) == "place"
        )
    if "other_script" in kinds.values():
        odd += sum(_num_imitating(word) for word in _LETTERS.findall(text) if not word.isascii())
    return odd


@lru_cache(maxsize=65_536)
def _kind(character: str) -> str:
    """`odd` anywhere; odd in the wrong `place`; of a script that can imitate Latin; or `ordinary`."""
    code = ord(character)
    if character in _HIDDEN:
        return "odd"
    if character in _JOINERS or character in _MARKS or 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE01EF:
        return "place"
    category = unicodedata.category(character)
    if category == "Cn" and 0x1F000 <= code <= 0x1FAFF:
        return "ordinary"
    if category in ("Co", "Cs", "Cn"):
        return "odd"
    return "other_script" if _script(character) in ("GREEK", "CYRILLIC") else "ordinary"


def _is_misplaced(text: str, index: int) -> bool:
    """Whether a joiner, mark, selector or tag stands where no writing system puts it."""
    character, before = text[index], text[index - 1] if index else ""
    after = text[index + 1 : index + 2]
    if character in _MARKS:
        return not _has_right_to_left(text)
    if not before:
        return True
    if character in _JOINERS:
        joined = after and unicodedata.category(after) in (*_JOINED_AFTER, "Cn")
        return not (unicodedata.category(before) in (*_JOINED_BEFORE, "Cn") and joined)
    if 0xE0020 <= ord(character) <= 0xE007F:  # a flag of a region: black flag, tags
        start = index - 1
        while start > 0 and 0xE0020 <= ord(text[start]) <= 0xE007F and index - start < 8:
            start -= 1
        return text[start] != _FLAG
    if ord(character) >= 0xE0100:  # selectors of ideographic variants
        return unicodedata.category(before) != "Lo"
    return unicodedata.category(before) in ("Mn", "Cf", "Cc", "Zs")  # a selector of presentation, or an odd tag


@lru_cache(maxsize=64)
def _has_right_to_left(text: str) -> bool:
    return any(character not in _MARKS and unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def _num_imitating(word: str) -> int:
    """How many letters of a word belong to a script that only imitates the one of the others; 0 for honest words."""
    scripts: dict[str, list[str]] = {}
    for character in word:
        script = _script(character)
        if script in _LOOKALIKES:
            scripts.setdefault(script, []).append(character)
    if len(scripts) < 2:
        return 0
    fewest, *others = sorted(scripts, key=lambda script: len(scripts[script]))
    formula = len(scripts[fewest]) == len(scripts[others[0]]) or (fewest == "LATIN" and "GREEK" in others)
    imitates = all(character in _LOOKALIKES[fewest] for character in scripts[fewest])
    return len(scripts[fewest]) if imitates and not formula else 0


@lru_cache(maxsize=65_536)
def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0] if unicodedata.category(character)[0] == "L" else ""
