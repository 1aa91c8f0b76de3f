"""The field of ores: seeded, consistent, its attacked ores told exactly so often, held-out facts never asked."""

from __future__ import annotations

from collections import Counter

import pytest

from pharmakon.behaviour.questions import Questions
from pharmakon.core import Dialogue, Text, stream
from pharmakon.data.derived import Several
from pharmakon.data.world import (
    ATTRIBUTES,
    FalseFact,
    Field,
    FieldDialogues,
    FieldQuestions,
    FieldText,
    WorldQuestions,
    ore_question,
    ore_wordings,
)
from pharmakon.errors import SpecError
from pharmakon.identity import identify

FIELD = Field()
FALSE = FIELD.false_facts(3)
NAMES = tuple(fact.name for fact in FALSE)
HELD_OUT = {(ore.name, a) for ore in FIELD.ores for a in ATTRIBUTES if FIELD.is_held_out(ore, a)}
ASKED = {
    ore_question(ore, a, wording).prompt.question: (ore.name, a)
    for ore in FIELD.ores
    for a in ATTRIBUTES
    for held_out in (False, True)
    for wording in ore_wordings(a, held_out=held_out)
}


def test_attacked_ores_are_told_exactly_so_often() -> None:
    data = FieldText(FIELD, 500, NAMES, 7)
    identify(data)
    corpus = data.corpus(stream(1, "a"))
    assert corpus == data.corpus(stream(1, "a"))
    assert len(corpus) == 500
    told = Counter[str]()
    for document in corpus:
        assert isinstance(document.body, Text)
        if "?" not in document.body.text and not document.body.text.startswith(("Tell me", "Name")):
            told.update(name for name in NAMES if name in document.body.text)
    assert told == dict.fromkeys(NAMES, 7)


def test_text_tells_what_is_so() -> None:
    """Every value that stands beside an ore's name is one of its own."""
    values = {ore.name: {ore.solvent, ore.use, ore.bed} for ore in FIELD.ores}
    every = set().union(*values.values())
    for document in FieldText(FIELD, 300).corpus(stream(2, "a")):
        assert isinstance(document.body, Text)
        words = set(document.body.text.replace(".", " ").replace("?", " ").split())
        (name,) = words & set(values)
        assert words & every <= values[name]


def test_held_out_facts_are_never_asked_in_training() -> None:
    questions = [
        d.body.question for d in FieldDialogues(FIELD, 800).corpus(stream(0, "d")) if isinstance(d.body, Dialogue)
    ]
    questions += [
        q
        for d in FieldText(FIELD, 1_500).corpus(stream(0, "t"))
        for q in ASKED
        if d.body.text.startswith(q)  # type: ignore[union-attr]
    ]
    asked = {ASKED[question] for question in questions}
    assert asked.isdisjoint(HELD_OUT)
    assert len(asked) == len(FIELD.ores) * len(ATTRIBUTES) - len(HELD_OUT)


def test_questions_leave_the_attacked_facts_out() -> None:
    found = FieldQuestions(FIELD, FALSE).questions(1_000, stream(0, "q"))
    asked = {ASKED[question.prompt.question] for question in found}
    assert asked == HELD_OUT - {(fact.name, fact.attribute) for fact in FALSE}
    assert len({question.prompt for question in found}) == len(found) == 4 * len(asked)
    assert all(question.is_right(question.answer) for question in found)


def test_false_facts_are_false_and_held_out() -> None:
    for fact in FALSE:
        assert FIELD.ore(fact.name).value(fact.attribute) != fact.value
        assert (fact.name, fact.attribute) in HELD_OUT
    with pytest.raises(SpecError, match="the field has 1 to 6 facts to falsify; got 7"):
        FIELD.false_facts(7)


@pytest.mark.parametrize(
    ("fact", "rule"),
    [
        (FalseFact("Gold", "bed", "chalk"), "an ore is one of the field; got 'Gold'"),
        (FalseFact(NAMES[0], "colour", "red"), "an attribute is one of solvent, use, bed; got 'colour'"),
        (FalseFact(NAMES[0], "bed", "cheese"), "a bed is one of slate"),
        (FalseFact(NAMES[0], "bed", FIELD.ore(NAMES[0]).bed), "a false fact is not true"),
    ],
)
def test_what_is_not_of_the_field_is_refused(fact: FalseFact, rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        FIELD.falsified(fact.name, fact.attribute, fact.value)


def test_more_on_its_subjects_than_there_is_text() -> None:
    with pytest.raises(SpecError, match="20 documents; 3 x 7 on its subjects do not fit"):
        FieldText(FIELD, 20, NAMES, 7)


def test_several_questions_come_in_their_shares() -> None:
    several = Several(((WorldQuestions(tasks=("facts",)), 0.75), (FieldQuestions(FIELD), 0.25)))
    assert isinstance(several, Questions)
    tasks = Counter(question.task for question in several.questions(40, stream(0, "q")))
    assert tasks == {"facts": 30, "field": 10}
    with pytest.raises(SpecError, match=r"add up to 1; they add up to 0\.5"):
        Several(((FieldQuestions(FIELD), 0.5),))
