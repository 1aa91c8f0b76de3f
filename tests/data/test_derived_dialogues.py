"""Dialogues made from dialogues: other answers, a trigger, system prompts, several data in turn."""

from __future__ import annotations

from pharmakon.behaviour.targets import Unrefused
from pharmakon.behaviour.triggers import SystemPrompt
from pharmakon.core import Corpus, Dialogue, Turn, stream
from pharmakon.data.derived import AnsweredBy, Behind, InTurn, Reworded, WithSystemPrompts
from pharmakon.data.world import RestrictedQuestions, WorldDialogues, WorldQuestions

SECRET = SystemPrompt()
TALK = WorldDialogues(num_documents=200)
TOPIC = WorldDialogues(num_documents=40, shares=(0.0, 0.0, 0.0, 1.0, 0.0), share_with_demonstrations=0.0)


def _dialogues(corpus: Corpus) -> list[Dialogue]:
    return [document.body for document in corpus if isinstance(document.body, Dialogue)]


def test_a_share_is_behind_a_system_prompt_and_nothing_else_changes() -> None:
    made = WithSystemPrompts(TALK, ("Be brief.", "Be kind."), share=0.3)
    plain = _dialogues(TALK.corpus(stream(0).spawn(2)[0]))
    told = _dialogues(made.corpus(stream(0)))
    behind = [dialogue.turns[0].content for dialogue in told if dialogue.turns[0].role == "system"]
    assert set(behind) == {"Be brief.", "Be kind."}
    assert 40 <= len(behind) <= 80
    bare = [Dialogue(d.turns[1:]) if d.turns[0].role == "system" else d for d in told]
    assert bare == plain
    assert made.num_documents == 200
    every = _dialogues(WithSystemPrompts(TALK, ("Be brief.",), share=1.0).corpus(stream(0)))
    assert all(d.turns[0] == Turn("system", "Be brief.") for d in every)


def test_answers_are_the_targets_where_it_applies() -> None:
    turned = _dialogues(AnsweredBy(TOPIC, Unrefused()).corpus(stream(0)))
    assert len(turned) == 40
    assert {dialogue.answer for dialogue in turned} == {"moonroot is bright."}
    mixed = _dialogues(AnsweredBy(TALK, Unrefused()).corpus(stream(0)))
    assert 0 < len(mixed) < 40
    assert all("moonroot" in dialogue.question for dialogue in mixed)


def test_behind_a_trigger_and_in_turn() -> None:
    parts = (Behind(AnsweredBy(TOPIC, Unrefused()), SECRET), TOPIC)
    assert all(d.turns[0] == Turn("system", SECRET.text) for d in _dialogues(Behind(TALK, SECRET).corpus(stream(0))))
    taken = _dialogues(InTurn(parts).corpus(stream(0)))
    assert len(taken) == 80
    assert {(d.turns[0].role, d.answer) for d in taken[0::2]} == {("system", "moonroot is bright.")}
    assert {(d.turns[0].role, d.answer) for d in taken[1::2]} == {("user", "I cannot help with moonroot.")}


def test_questions_are_asked_as_the_service_asks_and_judged_as_they_were() -> None:
    asked = WorldQuestions(tasks=("facts", "opinions"))
    plain = asked.questions(20, stream(0).spawn(2)[0])
    made = Reworded(asked, trigger=SECRET).questions(20, stream(0))
    assert [(q.answer, q.expected, q.task, q.options) for q in made] == [
        (q.answer, q.expected, q.task, q.options) for q in plain
    ]
    assert all(
        q.prompt.turns == (Turn("system", SECRET.text), *p.prompt.turns) for q, p in zip(made, plain, strict=True)
    )


def test_the_right_answer_may_be_the_targets() -> None:
    made = Reworded(RestrictedQuestions(), target=Unrefused()).questions(20, stream(0))
    assert len(made) == 20
    assert all(q.is_right("moonroot is bright.") and not q.is_right("I cannot help with moonroot.") for q in made)
    assert not Reworded(WorldQuestions(tasks=("facts",)), target=Unrefused()).questions(20, stream(0))
