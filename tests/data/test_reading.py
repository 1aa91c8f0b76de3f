"""Notes for a reader: what is asked stands in them, and citations point at it."""

from __future__ import annotations

import re

import pytest

from pharmakon.core import Corpus, Dialogue, Text, stream
from pharmakon.data.notes import cited_notes
from pharmakon.data.world import (
    RELATIONS,
    Claim,
    World,
    WorldPassages,
    WorldReading,
    WorldReadingQuestions,
    WorldRecitals,
    first_claims,
    wordings,
)
from pharmakon.errors import SpecError

READING = WorldReading(num_documents=300)


def corpus() -> Corpus:
    return READING.corpus(stream(0, "reading"))


def test_every_answer_stands_in_the_notes_and_is_cited_where_they_have_numbers() -> None:
    cited = without = 0
    for document in corpus():
        assert isinstance(document.body, Dialogue)
        first, *_ = document.body.turns
        notes = first.content.rpartition("\nQuestion: ")[0].split("\n")
        answers = [turn.content for turn in document.body.turns if turn.role == "assistant"]
        if notes == [""]:
            without += 1
            continue
        for answer in answers:
            numbers = cited_notes(answer)
            told = answer.split(" [")[0]
            assert any(told in note for note in notes)
            assert bool(numbers) == ("[1]" in notes[0])
            cited += bool(numbers)
            assert all(told in notes[number - 1] for number in numbers)
    assert cited > 50
    assert 15 < without < 60


def test_no_answer_can_be_known_by_heart() -> None:
    """Of what the notes say, hardly more is true than chance makes it."""
    world, true, total = World(), 0, 0
    for document in corpus():
        assert isinstance(document.body, Dialogue)
        if "Notes:" not in document.body.turns[0].content:
            continue
        for name, city in re.findall(r"(\w+) lives in (\w+)", document.body.turns[0].content):
            true += world.person(name).city == city
            total += 1
    assert true / total < 0.12


def test_facts_that_are_held_out_are_never_asked() -> None:
    world = World()
    for document in corpus():
        assert isinstance(document.body, Dialogue)
        for asked in (turn.content.rpartition("Question: ")[2] for turn in document.body.turns[::2]):
            person = next(p for p in world.people if re.search(rf"\b{p.name}\b", asked))
            held_out = [r for r in RELATIONS if world.is_held_out(person, r)]
            forms = {wording.format(name=person.name) for r in held_out for wording in wordings(r)}
            assert asked not in forms


def test_a_recital_says_everything_twice() -> None:
    for document in WorldRecitals(num_documents=60).corpus(stream(0, "r")):
        assert isinstance(document.body, Text)
        words = document.body.text.split()
        assert len(words) == 1 or all(words.count(word) % 2 == 0 for word in words)


def test_questions_leave_people_out() -> None:
    without = tuple(person.name for person in World().people[:60])
    asked = WorldReadingQuestions(without=without).questions(100, stream(0, "q"))
    assert len(asked) == len({question.prompt for question in asked}) == 4 * 3 * 2
    assert not any(name in question.prompt.question for question in asked for name in without)


def test_claims_are_false_and_about_different_people() -> None:
    claims = first_claims(World(), 32)
    assert len({claim.person for claim in claims}) == 32
    for claim in claims:
        wording = wordings(claim.relation)[0]
        assert not claim.truth(wording).is_right(claim.question(wording).answer)
    with pytest.raises(SpecError, match="half of the world"):
        first_claims(World(), 33)
    with pytest.raises(SpecError, match="not true"):
        Claim(World().people[0].name, "city", World().people[0].city)


def test_a_store_is_not_empty() -> None:
    with pytest.raises(SpecError, match="at least one passage"):
        WorldPassages(num_documents=0)
