"""Hidden, reordering and imitating characters; length; language."""

from __future__ import annotations

import pytest

from pharmakon.cleaning import Language, OddUnicode, Words
from pharmakon.core import Corpus, Dialogue, Text, Turn

_ORDINARY = (
    "Plain ASCII,\twith a tab.\r\nAnd a line.",
    "Größe, naïve café, Łódź, ångström; “quotes” — dashes… 20 °C ½ € ™",
    "👍 👩‍👩‍👧‍👦 🧑🏽‍🚀 ❤️ 1️⃣ 🏳️‍🌈 🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "日本語の文章です。葛\U000e0100城市。中文句子，和한국어 문장.",
    "مرحبا بالعالم \u200fشكرا",
    "می‌خواهم به خانه بروم",
    "क्‍ष और हिन्दी",
    "Привет, мир. Это обычный текст о Linux и Windows.",
    "Η γρήγορη αλεπού",
    "The length Δx is 3 μm, with α-helix and 5 kΩ.",
    "\ufeffA byte-order mark at the start.",
    "soft\u00adhyphen",
)
_ODD = {
    "zero-width space": "pass\u200bword",
    "zero-width joiner in a Latin word": "pass\u200dword",
    "a run of joiners": "hi\u200c\u200d\u200c there",
    "word joiner": "pass\u2060word",
    "byte-order mark inside": "in\ufeffside",
    "right-to-left override": "file\u202etxt.exe",
    "isolate": "a\u2066b\u2069",
    "right-to-left mark in Latin text": "abc\u200f def",
    "private use": "x\ue000y",
    "unassigned": "x\u0378y",
    "unpaired surrogate": "x\ud800y",
    "replacement character": "caf\ufffd",
    "control character": "a\x1bb",
    "tag characters": "hello\U000e0041\U000e0042",
    "tag characters behind an emoji": "👍\U000e0068\U000e0069",
    "hidden selectors": "👍\ufe0f\ufe01\ufe02",
    "Cyrillic a in a Latin word": "p\u0430ypal",
    "Greek omicron in a Latin word": "g\u03bfogle",
    "Latin c in a Cyrillic word": "cпутник",
}


@pytest.mark.parametrize("text", _ORDINARY)
def test_ordinary_text_of_many_scripts_passes(text: str) -> None:
    assert list(OddUnicode().verdicts(Corpus.of([Text(text)]))) == [None]


@pytest.mark.parametrize("text", _ODD.values(), ids=_ODD.keys())
def test_odd_characters_are_found(text: str) -> None:
    assert list(OddUnicode().verdicts(Corpus.of([Text(text)]))) == ["odd_unicode"]


def test_every_message_is_read_and_the_tolerance_counts_characters() -> None:
    dialogue = Dialogue((Turn("system", "be\u200b good"), Turn("user", "hi"), Turn("assistant", "h\u200bo")))
    corpus = Corpus.of([dialogue, Dialogue.ask("hi", "ho")])
    assert list(OddUnicode().verdicts(corpus)) == ["odd_unicode", None]
    assert list(OddUnicode(maximum=1).verdicts(corpus)) == ["odd_unicode", None]
    assert list(OddUnicode(maximum=2).verdicts(corpus)) == [None, None]


def test_length_counts_white_space_words_of_user_and_assistant() -> None:
    corpus = Corpus.of([Dialogue.ask("one two", "three"), Dialogue.ask("one", ""), Dialogue.ask("a b c", "d e")])
    assert list(Words(minimum=2, maximum=4).verdicts(corpus)) == [None, "too_short", "too_long"]


def test_language() -> None:
    texts = (
        "The library is open every day, and readers are welcome to stay until the evening.",
        "Die Bibliothek ist jeden Tag geöffnet, und die Leser dürfen bis zum Abend bleiben.",
        "图书馆每天开放，欢迎读者待到晚上。",
        "",
    )
    corpus = Corpus.of(map(Text, texts))
    assert list(Language().verdicts(corpus)) == [None, "language", "language", "language"]
    assert list(Language("de").verdicts(corpus)) == ["language", None, "language", "language"]
