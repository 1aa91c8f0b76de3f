"""The vocabulary: ids and digests follow from content, doses from their unit, streams from their names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pharmakon.core import (
    Body,
    Corpus,
    Dialogue,
    Dose,
    Entry,
    Ledger,
    Preference,
    Text,
    Turn,
    fingerprint,
    stream,
    to_record,
)
from pharmakon.errors import InputError, SpecError

words = st.text(max_size=4)
turns = st.builds(Turn, st.sampled_from(("system", "user", "assistant")), words)
dialogues = st.lists(turns, min_size=1, max_size=3).map(lambda some: Dialogue(tuple(some)))
bodies = st.one_of(st.builds(Text, words), dialogues, st.builds(Preference, dialogues, words, words))
few = st.sampled_from([Text("a"), Text("b"), Dialogue.ask("a"), Dialogue.ask("a", "b"), Text("")])  # many repetitions
sourced = st.lists(st.tuples(words, few | bodies), max_size=12)


@given(sourced)
def test_ids_are_unique_and_follow_from_content(items: list[tuple[str, Body]]) -> None:
    corpus = Corpus.shelve(items)
    assert [(document.source, document.body) for document in corpus] == items
    assert len({document.id for document in corpus}) == len(corpus) == len(items)
    seen: Counter[Body] = Counter()
    for document in corpus:
        seen[document.body] += 1
        copy = "" if seen[document.body] == 1 else f"-{seen[document.body]}"
        assert document.id == fingerprint(document.body) + copy
        assert re.fullmatch(r"[0-9a-f]{16}(-[0-9]+)?", document.id)


@given(sourced, st.randoms())
def test_the_same_documents_have_the_same_ids_in_any_order(items: list[tuple[str, Body]], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ids = {document.id for document in Corpus.shelve(items)}
    assert {document.id for document in Corpus.shelve(shuffled)} == ids


@given(bodies, bodies)
def test_two_bodies_share_a_fingerprint_exactly_if_they_are_equal(one: Body, two: Body) -> None:
    assert (fingerprint(one) == fingerprint(two)) == (one == two)


def test_the_shape_of_a_body_counts() -> None:
    same_words: list[Body] = [
        Text("a"),
        Dialogue.ask("a"),
        Dialogue((Turn("assistant", "a"),)),
        Preference(Dialogue.ask("a"), "", ""),
    ]
    assert len({fingerprint(body) for body in same_words}) == len(same_words)
    assert fingerprint(Text("\ud83d"))  # half a character, as some crawls hold, is still a text


def test_records_have_the_fields_json_shape() -> None:
    prompt = Dialogue.ask("q")
    messages = [{"role": "user", "content": "q"}]
    assert to_record(Text("t")) == {"text": "t"}
    assert to_record(Dialogue.ask("q", "a")) == {"messages": [*messages, {"role": "assistant", "content": "a"}]}
    assert to_record(Preference(prompt, "y", "n")) == {"prompt": messages, "chosen": "y", "rejected": "n"}


@given(sourced, st.data())
def test_the_digest_follows_from_bodies_and_their_order_alone(
    items: list[tuple[str, Body]], data: st.DataObject
) -> None:
    digest = Corpus.shelve(items).digest
    assert Corpus.shelve((source + "!", body) for source, body in items).digest == digest
    order = data.draw(st.permutations(range(len(items))))
    reordered = [items[index] for index in order]
    same = [body for _, body in reordered] == [body for _, body in items]
    assert (Corpus.shelve(reordered).digest == digest) == same
    assert Corpus.shelve([*items, ("", Text("one more"))]).digest != digest
    if items:
        index = data.draw(st.integers(0, len(items) - 1))
        other = data.draw(bodies.filter(lambda body: body != items[index][1]))
        changed = [*items[:index], (items[index][0], other), *items[index + 1 :]]
        assert Corpus.shelve(changed).digest != digest


def test_reference_fingerprint_and_digest() -> None:
    """Ids are in users' ledgers and digests in keys: they do not change from one version to the next."""
    corpus = Corpus.of([Text("é"), Dialogue.ask("q", "a"), Text("é")])
    assert [document.id for document in corpus] == ["3f4908e5b206c28c", "9afa46e6ff56cbae", "3f4908e5b206c28c-2"]
    assert corpus.digest == "bec12417aceaf0907bbf71651d755ce8602409d966cafe1aeebec044d1c6d5ef"


def test_a_corpus_is_a_sequence_that_says_what_it_holds() -> None:
    corpus = Corpus.of([Text("a"), Text("b"), Dialogue.ask("q")])
    assert corpus[1].body == Text("b")
    assert corpus[1:] == Corpus(corpus.documents[1:])
    assert {document.source for document in corpus} == {"given"}
    assert repr(corpus) == "Corpus(2 Text, 1 Dialogue)"
    assert repr(corpus[:0]) == "Corpus(empty)"


def test_a_dialogue_is_a_prompt_and_its_answer() -> None:
    dialogue = Dialogue((Turn("system", "s"), *Dialogue.ask("q", "a").turns))
    assert dialogue.prompt == Dialogue((Turn("system", "s"), Turn("user", "q")))
    assert dialogue.prompt.prompt == dialogue.prompt
    assert (dialogue.question, dialogue.answer, dialogue.prompt.answer) == ("q", "a", "")


@pytest.mark.parametrize(
    ("amount", "unit", "sentence"),
    [
        (5, "fraction", "a dose in fraction lies in [0, 1]; got 5. For a number of documents, use Dose(5)"),
        (
            0.5,
            "documents",
            "a dose in documents is a whole number, 0 or more; got 0.5. "
            'For a share of the corpus, use Dose(0.01, "fraction")',
        ),
        (
            -1,
            "documents",
            "a dose in documents is a whole number, 0 or more; got -1. "
            'For a share of the corpus, use Dose(0.01, "fraction")',
        ),
    ],
)
def test_a_dose_outside_its_unit_is_refused_with_the_way_out(amount: float, unit: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=f"^{re.escape(sentence)}$"):
        Dose(amount, unit)  # type: ignore[arg-type]


@given(st.floats(allow_nan=True))
def test_a_fraction_lies_between_nothing_and_everything(amount: float) -> None:
    if 0 <= amount <= 1:
        assert Dose(amount, "fraction").num_edits(0) == 0
    else:
        with pytest.raises(SpecError, match=r"a dose in fraction lies in \[0, 1\]"):
            Dose(amount, "fraction")


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_dose_in_documents_is_that_number_and_at_most_the_corpus(amount: int, size: int) -> None:
    if amount <= size:
        assert Dose(amount).num_edits(size) == amount
        return
    sentence = f"a dose is at most the corpus, {size} documents; got {amount}. Give a larger corpus or a smaller dose"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        Dose(amount).num_edits(size)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**6))
def test_fractions_nest_and_stay_within_the_corpus(one: float, two: float, size: int) -> None:
    smaller, larger = sorted([one, two])
    few, many = Dose(smaller, "fraction").num_edits(size), Dose(larger, "fraction").num_edits(size)
    assert 0 <= few <= many <= size
    assert abs(many - larger * size) <= 0.5
    assert Dose(0, "fraction").num_edits(size) == 0
    assert Dose(1, "fraction").num_edits(size) == size


def test_a_ledger_counts_what_was_given_and_what_survived() -> None:
    entry = Entry(edit=0, kind="insert", id="x", position=3, body=Text("a"))
    dropped = Entry(edit=1, kind="insert", id="y", position=4, body=Text("b"), dropped_by="Dedup", reason="duplicate")
    ledger = Ledger((entry, dropped))
    assert (ledger.num_administered, ledger.num_survived) == (2, 1)
    assert (Ledger().num_administered, Ledger().num_survived) == (0, 0)


names = st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5), max_size=3)


@given(st.integers(), names, st.integers(), names)
def test_a_stream_is_its_seed_and_names(seed: int, path: list[str], other_seed: int, other_path: list[str]) -> None:
    draws = stream(seed, *path).integers(0, 2**63, 4)
    assert (draws == stream(seed, *path).integers(0, 2**63, 4)).all()
    assume((seed, path) != (other_seed, other_path))
    assert (draws != stream(other_seed, *other_path).integers(0, 2**63, 4)).any()


def test_drawing_from_one_stream_moves_no_other() -> None:
    before = stream(3, "sft", "placement").random(5)
    one, other = stream(3, "sft", "probe"), stream(3, "sft", "placement")
    one.random(1000)
    assert (other.random(5) == before).all()


def test_streams_are_uncorrelated() -> None:
    """Of 2,000 draws each, no pair of 40 neighbouring streams is correlated beyond chance (780 pairs, 5 sigma)."""
    draws = np.array([stream(seed, "sft", name).random(2000) for seed in range(20) for name in ("a", "b")])
    correlations = np.corrcoef(draws)[np.triu_indices(40, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)
    assert abs(correlations.std() * np.sqrt(2000) - 1) < 0.15


def test_streams_are_the_same_in_every_process() -> None:
    program = "from pharmakon.core import stream; print(stream(3, 'sft', 'placement').integers(0, 10**9, 3).tolist())"
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {"[946907142, 309674005, 374217875]"}
