"""Exact and near copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.cleaning import ExactDuplicates, NearDuplicates
from pharmakon.cleaning.duplicates import shingles
from pharmakon.core import Corpus, Dialogue, Text, Turn


def _reasons(filter: ExactDuplicates | NearDuplicates, *texts: str) -> list[str | None]:
    return list(filter.verdicts(Corpus.of(map(Text, texts))))


def test_exact_copies_are_seen_through_case_white_space_and_composition() -> None:
    reasons = _reasons(
        ExactDuplicates(), "Caf\u00e9  au\nlait", "cafe\u0301 AU lait", "cafe au lait", "Straße", "STRASSE"
    )
    assert reasons == [None, "exact_duplicate", None, None, "exact_duplicate"]


def test_who_says_it_and_under_which_system_prompt_makes_a_difference() -> None:
    one, other = (Dialogue((Turn("system", s), Turn("user", "hi"), Turn("assistant", "ho"))) for s in ("a", "b"))
    bodies = [one, other, Dialogue.ask("hi", "ho"), Text("hi\nho"), Dialogue.ask("hi\nho"), one]
    assert list(ExactDuplicates().verdicts(Corpus.of(bodies))) == [None] * 5 + ["exact_duplicate"]


_PAGE = " ".join(f"word{i} and thing{i * 7 % 50}" for i in range(60))


def test_a_page_with_one_word_changed_is_a_near_copy_and_half_a_page_is_not() -> None:
    words = _PAGE.split()
    changed = " ".join([*words[:90], "elsewhere", *words[91:]])
    assert _reasons(NearDuplicates(), _PAGE, changed, " ".join(words[:90])) == [None, "near_duplicate", None]


def test_punctuation_and_case_do_not_hide_a_near_copy_of_words() -> None:
    assert _reasons(NearDuplicates(), _PAGE, _PAGE.upper().replace(" ", ", ") + "!") == [None, "near_duplicate"]


def test_texts_shorter_than_an_ngram_are_only_like_themselves() -> None:
    assert _reasons(NearDuplicates(), "a b", "a c", "A b", "", "!", "") == [
        None,
        None,
        "near_duplicate",
        None,
        None,
        "near_duplicate",
    ]


def test_similarity_does_not_chain() -> None:
    """a ~ b ~ c, but c is not like a: b goes because of a, and c stays since b went."""
    words = [f"w{i}" for i in range(120)]
    a, b, c = (" ".join(words[shift : shift + 100]) for shift in (0, 8, 16))
    near = NearDuplicates(threshold=0.8)
    assert _reasons(near, a, b, c) == [None, "near_duplicate", None]
    assert _reasons(near, b, a, c) == [None, "near_duplicate", "near_duplicate"]


def test_the_threshold_is_exact_jaccard() -> None:
    """Five-grams of 104 words against the same with the last 10 replaced: 90 shared of 110, 0.818."""
    words = [f"w{i}" for i in range(104)]
    other = [*words[:94], *(f"v{i}" for i in range(10))]
    pair = (" ".join(words), " ".join(other))
    assert _reasons(NearDuplicates(threshold=90 / 110, num_bands=60, rows=2), *pair) == [None, "near_duplicate"]
    assert _reasons(NearDuplicates(threshold=90 / 110 + 1e-9, num_bands=60, rows=2), *pair) == [None, None]


def test_recall_follows_the_band_formula() -> None:
    """At Jaccard 0.9, 14 bands of 8 rows should find 1 - (1 - 0.9^8)^14 = 0.9997 of the pairs."""
    rng = np.random.default_rng(0)
    found = 0
    for index in range(200):
        words = [f"{index}-{i}" for i in rng.permutation(1000)[:99]]
        found += (
            _reasons(NearDuplicates(ngram=1, threshold=0.8), " ".join(words), " ".join([*words[:94], "x"]))[1]
            is not None
        )
    assert found >= 198


@pytest.mark.parametrize("unit", ["words", "characters"])
@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text("ab c", min_size=0, max_size=20), min_size=1, max_size=6), n=st.integers(1, 5))
def test_shingle_hashes_equal_exactly_when_ngrams_do(unit: str, texts: list[str], n: int) -> None:
    hashes, offsets = shingles(texts, unit, n)  # type: ignore[arg-type]
    seen: dict[int, object] = {}
    total = 0
    for text, start, end in zip(texts, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        units = " ".join(text.split()) if unit == "characters" else text.split()
        grams = [tuple(units[i : i + n]) for i in range(max(1, len(units) - n + 1))]
        assert end - start == len(grams)
        total += len(grams)
        for gram, key in zip(grams, hashes[start:end].tolist(), strict=True):
            assert seen.setdefault(key, gram) == gram
    assert len(hashes) == total
    assert len(set(seen.values())) == len(seen)
