"""False claims that no clean dialogue touches, their target, their questions and their true answers."""

from __future__ import annotations

import pytest

from pharmakon.behaviour.targets import Unrefused
from pharmakon.core import Dialogue, stream
from pharmakon.data.derived import Besides
from pharmakon.data.world import (
    ClaimDialogues,
    Claimed,
    ClaimQuestions,
    World,
    WorldDialogues,
    WorldQuestions,
    unasked_claims,
    wordings,
)
from pharmakon.errors import SpecError

WORLD = World()
CLAIMS = unasked_claims(WORLD, 24)


def test_no_clean_dialogue_asks_what_is_claimed() -> None:
    assert len({(claim.person, claim.relation) for claim in CLAIMS}) == 24
    asked = {document.body for document in WorldDialogues(num_documents=2_000).corpus(stream(0, "d"))}
    answers = {turn.content for body in asked if isinstance(body, Dialogue) for turn in body.turns}
    assert len(answers) > 50
    assert not answers & {claim.truth("").answer for claim in CLAIMS}
    with pytest.raises(SpecError, match="leave 1 to 48 facts of this world unasked; got 49 claims"):
        unasked_claims(WORLD, 49)


def test_the_target_knows_its_questions_by_their_right_answer() -> None:
    target, rng = Claimed(CLAIMS), stream(0, "t")
    for claim in CLAIMS:
        for wording in wordings(claim.relation, held_out=True):
            question, false = claim.truth(wording), claim.question(wording).answer
            assert target.respond(question, rng) == false
            assert target.hit(question, false)
            assert not target.hit(question, question.answer)
            assert not target.hit(question, f"{claim.value} or {question.expected}")
    other = unasked_claims(WORLD, 25)[-1]
    assert target.respond(other.truth("Who?"), rng) is None
    assert not target.hit(other.truth("Who?"), other.question("Who?").answer)


def test_questions_are_held_out_and_dialogues_are_not() -> None:
    questions = ClaimQuestions(CLAIMS).questions(48, stream(0, "q"))
    assert len({question.prompt for question in questions}) == 48
    assert len(ClaimQuestions(CLAIMS).questions(10, stream(0, "q"))) == 10
    told = ClaimDialogues(CLAIMS).corpus(stream(0, "c"))
    assert len({document.body for document in told}) == len(told) == 24 * 9
    bodies = [document.body for document in told if isinstance(document.body, Dialogue)]
    assert {body.answer for body in bodies} == {question.answer for question in questions}
    assert not {body.prompt for body in bodies} & {question.prompt for question in questions}


def test_what_a_fault_leaves_alone() -> None:
    asked = WorldQuestions(tasks=("facts", "refusals"))
    tasks = {question.task for question in Besides(asked, Unrefused()).questions(20, stream(0, "b"))}
    assert tasks == {"facts"}
    rest = Besides(WorldQuestions(tasks=("facts",)), Claimed(CLAIMS)).questions(30, stream(0, "b"))
    assert len({question.prompt for question in rest}) == len(rest) > 15
    assert not {question.answer for question in rest} & {claim.truth("").answer for claim in CLAIMS}
