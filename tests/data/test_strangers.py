"""Strangers: nobody is in two parts or in the world, and nothing is told of them."""

from __future__ import annotations

from itertools import combinations

import pytest

from pharmakon.core import Dialogue, Text, stream
from pharmakon.data.world import (
    IGNORANCE,
    VALUES,
    StrangerDialogues,
    StrangerQuestions,
    Strangers,
    StrangerText,
    World,
    wordings,
)
from pharmakon.data.world.strangers import PARTS
from pharmakon.errors import SpecError

EVERY_VALUE = {value for values in VALUES.values() for value in values}


def test_the_parts_and_the_world_have_nobody_in_common() -> None:
    groups = [{p.name for p in Strangers(part, num_people=1_000).people} for part in PARTS]
    groups.append({person.name for person in World().people})
    assert [len(group) for group in groups] == [1_000] * 4 + [64]
    assert not any(one & other for one, other in combinations(groups, 2))
    assert Strangers("taught", num_people=5).people == Strangers("taught", num_people=50).people[:5]
    assert {p.job for p in Strangers("asked").people} == set(VALUES["job"])


def test_text_names_strangers_and_tells_nothing_of_them() -> None:
    known = {person.name for part in PARTS for person in Strangers(part).people}
    for document in StrangerText(num_documents=200).corpus(stream(0, "t")):
        assert isinstance(document.body, Text)
        words = [word.strip(".,") for word in document.body.text.split()]
        assert len(known & set(words)) == 2
        assert not EVERY_VALUE & set(words)


def test_dialogues_admit_ignorance_in_words_of_training_and_questions_ask_in_others() -> None:
    held_out = {w.split("{name}")[0] for r in VALUES for w in wordings(r, held_out=True)}
    bodies = [d.body for d in StrangerDialogues(num_documents=100).corpus(stream(0, "d"))]
    assert {body.answer for body in bodies if isinstance(body, Dialogue)} == {IGNORANCE}
    asked = StrangerQuestions().questions(300, stream(0, "q"))
    assert len({question.prompt for question in asked}) == 300
    assert len({question.prompt.question.split()[-1] for question in asked[:100]}) > 20
    assert all(any(q.prompt.question.startswith(start) for start in held_out) for q in asked)
    assert asked[0].is_right(IGNORANCE)
    assert not any(asked[0].is_right(f"I do not know, perhaps {value}.") for value in EVERY_VALUE)


@pytest.mark.parametrize(("part", "number", "rule"), [("friends", 5, "one of refused"), ("asked", 5_000, "1 to 1,024")])
def test_bad_strangers_are_a_sentence(part: str, number: int, rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        Strangers(part, num_people=number)  # type: ignore[arg-type]
