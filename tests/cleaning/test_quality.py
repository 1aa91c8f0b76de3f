"""Gopher, C4 and FineWeb rules against values computed by hand and against plain Python."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.cleaning import C4Quality, FineWebLines, GopherQuality, GopherRepetition
from pharmakon.cleaning.rules import Rules
from pharmakon.core import Corpus, Text

_GOOD = (
    "The harbour was quiet that morning, and the boats lay close to the wall.\n"
    "A man with a grey beard mended his nets and hummed a tune to himself.\n"
    "He said that the wind would turn by noon, and that the fish would follow it.\n"
    "Nobody asked him how he knew. Children ran along the pier with bread in their hands.\n"
    "When the bell of the old church rang ten, the first sails went up.\n"
    "By evening every boat had come home again, heavy and low in the water."
)


def _value(rules: Rules, text: str, rule: str) -> float:
    return float(rules.values(Corpus.of([Text(text)]))[rule][0])


def _reason(rules: Rules, text: str) -> str | None:
    return next(rules.verdicts(Corpus.of([Text(text)])))


@pytest.mark.parametrize(
    "rules", [GopherQuality(), GopherRepetition(), C4Quality(), FineWebLines()], ids=lambda r: type(r).__name__
)
def test_a_good_page_passes(rules: Rules) -> None:
    assert _reason(rules, _GOOD) is None


_WORDS = " ".join(_GOOD.split()[:60])
_QUALITY_FAILS = {
    "gopher_word_count": _WORDS[:100],
    "gopher_word_length": "a be to the of " * 12,
    "gopher_hashes": _WORDS.replace(" ", " #", 12),
    "gopher_ellipses": _WORDS.replace(" ", "... ", 8),
    "gopher_bullet_lines": "\n".join(f"- {line}" for line in _GOOD.split("\n")),
    "gopher_ellipsis_lines": "\n".join(f"{line}…" if i < 2 else line for i, line in enumerate(_GOOD.split("\n"))),
    "gopher_alphabetic_words": _WORDS + " 1234" * 20,
    "gopher_stop_words": "carpet window garden table " * 15 + "the",
}


@pytest.mark.parametrize("rule", _QUALITY_FAILS)
def test_each_rule_of_gopher_quality_drops_its_example(rule: str) -> None:
    assert _reason(GopherQuality(), _QUALITY_FAILS[rule]) == rule


def test_gopher_quality_values_by_hand() -> None:
    """Seven runs; "--" is no word that counts, "#1" is. Letters stand in all but "--" and "#1"."""
    text = "- the cat... #1 -- and the\nrat…"
    frame = GopherQuality().values(Corpus.of([Text(text)])).row(0, named=True)
    assert frame == {
        "gopher_word_count": 6,
        "gopher_word_length": pytest.approx((3 + 6 + 2 + 3 + 3 + 4) / 6),
        "gopher_hashes": 1 / 8,
        "gopher_ellipses": 2 / 8,
        "gopher_bullet_lines": 1 / 2,
        "gopher_ellipsis_lines": 1 / 2,
        "gopher_alphabetic_words": 5 / 8,
        "gopher_stop_words": 2,
    }


def test_gopher_repetition_values_by_hand() -> None:
    text = "ab cd\n\nab cd\n\nef\nef"  # 19 characters; paragraphs "ab cd" twice, "ef\nef"; lines ab cd, ab cd, ef, ef
    row = GopherRepetition().values(Corpus.of([Text(text)])).row(0, named=True)
    assert row["gopher_duplicate_paragraphs"] == pytest.approx(1 / 3)
    assert row["gopher_duplicate_paragraph_characters"] == pytest.approx(5 / 19)
    assert row["gopher_duplicate_lines"] == pytest.approx(2 / 4)
    assert row["gopher_duplicate_line_characters"] == pytest.approx(7 / 19)
    assert row["gopher_top_2_gram"] == pytest.approx(2 * 5 / 19)  # "ab cd" twice
    assert row["gopher_top_3_gram"] == pytest.approx(8 / 19)  # all once: the first, "ab cd ab"
    assert row["gopher_duplicate_5_grams"] == 0
    run = "a b c d e " * 3  # 30 characters; the five words return twice: 10 letters
    assert _value(GopherRepetition(), run, "gopher_duplicate_5_grams") == pytest.approx(10 / 30)
    assert _value(GopherRepetition(), run, "gopher_duplicate_10_grams") == pytest.approx(10 / 30)
    assert _value(GopherRepetition(), run, "gopher_duplicate_9_grams") == pytest.approx(9 / 30)  # the next overlaps
    assert _value(GopherRepetition(), "a b c d e " * 2, "gopher_duplicate_6_grams") == 0


def _reference(text: str) -> dict[str, float]:
    """The n-gram rules word for word as datatrove 0.10.1 writes them."""
    words, size, found = text.split(), max(len(text), 1), {}
    for n in (2, 3, 4):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        top = Counter(grams).most_common(1)
        found[f"gopher_top_{n}_gram"] = len(top[0][0]) * top[0][1] / size if top else 0.0
    for n in range(5, 11):
        seen: set[tuple[str, ...]] = set()
        repeated = index = 0
        while index < len(words) - n + 1:
            gram = tuple(words[index : index + n])
            if gram in seen:
                repeated += len("".join(gram))
                index += n
            else:
                seen.add(gram)
                index += 1
        found[f"gopher_duplicate_{n}_grams"] = repeated / size
    return found


_repetitive = st.lists(st.sampled_from(["a", "bb", "c c c", "a bb a bb a", "dd\n", "\n\n"]), max_size=30).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(_repetitive, min_size=1, max_size=4))
def test_ngram_values_equal_the_reference(texts: list[str]) -> None:
    frame = GopherRepetition().values(Corpus.of(map(Text, texts)))
    for text, row in zip(texts, frame.iter_rows(named=True), strict=True):
        expected = _reference(text)
        assert {name: row[name] for name in expected} == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("aB.…#- \n?”{ü中9")), min_size=1, max_size=4))
def test_line_and_word_values_equal_plain_python(texts: list[str]) -> None:
    corpus = Corpus.of(map(Text, texts))
    quality, fineweb = GopherQuality().values(corpus), FineWebLines().values(corpus)
    for index, text in enumerate(texts):
        words, lines = text.split(), text.split("\n")
        filled = [line for line in lines if line.strip()]
        assert quality["gopher_hashes"][index] == pytest.approx(text.count("#") / max(len(words), 1))
        bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
        assert quality["gopher_bullet_lines"][index] == pytest.approx(bullets / len(lines))
        ends = sum(line.endswith((".", "?", "!")) for line in filled)
        assert fineweb["fineweb_line_punctuation"][index] == pytest.approx(ends / max(len(filled), 1))
        again = sum(len(line) for line in filled) - sum(len(line) for line in set(filled))
        assert fineweb["fineweb_duplicate_lines"][index] == pytest.approx(again / max(len(text.replace("\n", "")), 1))
        assert fineweb["fineweb_new_lines"][index] == pytest.approx(text.count("\n") / max(len(words), 1))


def test_each_rule_of_c4() -> None:
    assert _reason(C4Quality(), _GOOD + "\nHere is lorem ipsum dolor.") == "c4_lorem_ipsum"
    assert _reason(C4Quality(), _GOOD + "\nif (x) { return y }") == "c4_curly_bracket"
    assert _reason(C4Quality(), "One two three. Four five six. Seven eight nine! Ten eleven twelve?") == "c4_sentences"
    sentences = {
        "One two three. Four five": 2,
        "One two\nThree four": 0,  # lines of two words
        "One two three.\nPlease enable JavaScript now.\nOur privacy policy is here.": 1,
        f"One two {'x' * 1001}.": 0,
        'He said "Stop!" and left. "Did he?" I asked.': 4,
        "Version 3.5 is out now": 1,
    }
    for text, expected in sentences.items():
        assert _value(C4Quality(), text, "c4_sentences") == expected, text
    strict = C4Quality(terminal_punctuation=True)
    assert _value(strict, "A menu without end\nA sentence of words.\nAnd it goes on...", "c4_sentences") == 1


def test_each_rule_of_fineweb() -> None:
    lines = _GOOD.split("\n")
    assert _reason(FineWebLines(), _GOOD.replace(".", "")) == "fineweb_line_punctuation"
    assert (
        _reason(
            FineWebLines(),
            _GOOD + "\nShort line." + "\nOne more." * 1 + "\n" + "\n".join(f"No {i}." for i in range(11)),
        )
        == "fineweb_short_lines"
    )
    assert _reason(FineWebLines(), _GOOD + "\n" + lines[0]) == "fineweb_duplicate_lines"
    assert (
        _reason(FineWebLines(), "\n\n\n".join(f"Line {i} has quite_a_long_word_inside_it." for i in range(9)))
        == "fineweb_new_lines"
    )


def test_values_are_kept_for_documents_that_fail_and_batches_do_not_show() -> None:
    texts = [_GOOD, "", "  \n ", "short", "x\ud800y " * 60, *[_GOOD + str(i) for i in range(5)]]
    corpus = Corpus.of(map(Text, texts))
    for rules in (GopherQuality(), GopherRepetition(), C4Quality(), FineWebLines()):
        frame = rules.values(corpus)
        assert frame.height == len(texts)
        assert frame.null_count().sum_horizontal()[0] == 0
        for index in range(len(texts)):
            assert rules.values(corpus[index : index + 1]).row(0) == frame.row(index)
        assert rules.values(Corpus(())).height == 0
