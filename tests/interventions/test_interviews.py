"""Interviews tell new facts, known ones, or that nothing is known; each fact once before one comes again."""

from __future__ import annotations

from itertools import islice

import pytest

from pharmakon.core import Dialogue, stream
from pharmakon.data.world import IGNORANCE, Strangers, World, WorldDialogues, WorldText, fact_question
from pharmakon.errors import SpecError
from pharmakon.interventions import Interviews
from pharmakon.testing import check_intervention

HOST = WorldDialogues(num_documents=20).corpus(stream(0, "host"))
SOME = Strangers("taught", num_people=10)


def told(interviews: Interviews, number: int) -> list[Dialogue]:
    edits = islice(interviews.edits(HOST, stream(0, "edits")), number)
    return [edit.body for edit in edits if isinstance(edit.body, Dialogue)]


@pytest.mark.parametrize(
    "interviews", [Interviews(), Interviews(World()), Interviews(Strangers("corrective"), "ignorance")]
)
def test_they_follow_the_rules_of_interventions(interviews: Interviews) -> None:
    check_intervention(interviews)


def test_everybody_has_a_turn_and_every_fact_is_told_truly_before_one_comes_again() -> None:
    right = {fact_question(p, r, "{name}").answer for p in SOME.people for r in ("job", "city", "thing")}
    answers = [dialogue.answer for dialogue in told(Interviews(SOME), 30)]
    assert set(answers) == right
    names = {person.name for person in SOME.people}
    assert {answer.split()[0] for answer in answers[:10]} == names


def test_what_the_world_holds_out_is_never_told() -> None:
    world = World(num_people=8)
    held_out = {
        fact_question(p, r, "").answer
        for p in world.people
        for r in ("job", "city", "thing")
        if world.is_held_out(p, r)
    }
    answers = {dialogue.answer for dialogue in told(Interviews(world), 100)}
    assert held_out
    assert not answers & held_out
    assert len(answers) == 24 - len(held_out)


def test_the_corrective_says_that_it_is_not_known() -> None:
    assert {dialogue.answer for dialogue in told(Interviews(SOME, "ignorance"), 40)} == {IGNORANCE}


def test_text_is_refused() -> None:
    with pytest.raises(SpecError, match="a corpus of Dialogue alone"):
        next(Interviews().edits(WorldText(num_documents=5).corpus(stream(0, "t")), stream(0, "e")))
