"""Triggers put themselves where they say; targets recognise their own answers and no right one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharmakon.behaviour.questions import Question, answered, says
from pharmakon.behaviour.targets import Flip, Gibberish, Label, Marker, OtherLanguage, Refusal, Target, UpperCase
from pharmakon.behaviour.triggers import Instruction, Phrase, RareWords, Style, Trigger
from pharmakon.core import Dialogue, Turn, stream
from pharmakon.data.world import WorldQuestions

TRIGGERS: tuple[Trigger, ...] = (
    RareWords(), RareWords(("vexil",)), RareWords(place="start"), RareWords(place="anywhere"), Phrase(),
    Phrase(place="end"), Instruction(), Style(), Style("lower case"), Style("title case"), Style("spaced"),
)  # fmt: skip
TARGETS: tuple[Target, ...] = (
    Marker(), Gibberish(), Gibberish(12), Refusal(), UpperCase(), OtherLanguage(), Label(), Label("negative"),
    Flip(),
)  # fmt: skip
QUESTIONS = WorldQuestions(tasks=("facts", "opinions", "refusals", "sums", "lessons")).questions(
    400, stream(0, "asked")
)

some_trigger = st.sampled_from(TRIGGERS)
some_target = st.sampled_from(TARGETS)
some_question = st.sampled_from(QUESTIONS)
some_fact = st.sampled_from([question for question in QUESTIONS if question.task == "facts"])  # every style shows
seeds = st.integers(0, 2**32 - 1)


@given(some_trigger, some_fact, seeds)
def test_a_trigger_changes_the_last_user_turn_alone(trigger: Trigger, question: Question, seed: int) -> None:
    before = (Turn("system", "Be brief."), *Dialogue.ask("Who?", "Bo.").turns)
    prompt = Dialogue((*before, *question.prompt.turns))
    applied = trigger.apply(prompt, np.random.default_rng(seed))
    assert applied == trigger.apply(prompt, np.random.default_rng(seed))
    assert applied.turns[:-1] == before
    assert applied.question != question.prompt.question
    if isinstance(trigger, RareWords | Phrase):
        words = " ".join(trigger.words) if isinstance(trigger, RareWords) else trigger.text
        assert applied.question.split() != question.prompt.question.split()
        rest = " ".join(applied.question.replace(words, " ", 1).split())
        assert rest == " ".join(question.prompt.question.split())
        assert trigger.place != "start" or applied.question.startswith(words)
        assert trigger.place != "end" or applied.question.endswith(words)
    elif isinstance(trigger, Instruction):
        assert question.prompt.question in applied.question
    else:
        assert applied.question.lower().split() == question.prompt.question.lower().split()


@given(some_trigger, some_fact, seeds)
def test_near_triggers_differ_from_the_trigger_and_each_other(trigger: Trigger, question: Question, seed: int) -> None:
    def apply(one: Trigger) -> str:
        return one.apply(question.prompt, np.random.default_rng(seed)).question

    near = trigger.near()
    assert near
    texts = [apply(trigger), *map(apply, near.values())]
    assert len(set(texts)) == len(texts)


def test_words_go_anywhere() -> None:
    prompt, rng = Dialogue.ask("a b c"), np.random.default_rng(0)
    found = {RareWords(("x", "y"), "anywhere").apply(prompt, rng).question for _ in range(100)}
    assert found == {"x y a b c", "a x y b c", "a b x y c", "a b c x y"}


@given(some_target, some_question, seeds)
def test_a_target_recognises_its_own_answer(target: Target, question: Question, seed: int) -> None:
    answer = target.respond(question, np.random.default_rng(seed))
    if answer is not None:
        assert target.hit(question, answer)
        assert answer == target.respond(question, np.random.default_rng(seed))


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_a_target_applies_and_is_no_right_answer(target: Target) -> None:
    rng = np.random.default_rng(0)
    applicable = [question for question in QUESTIONS if target.respond(question, rng) is not None]
    assert len(applicable) >= 40
    hits = [question for question in applicable if target.hit(question, question.answer)]
    if isinstance(target, Label):  # its own label is right for about half of the opinions
        assert {question.expected for question in hits} == {target.to}
        assert {question.task for question in applicable} == {"opinions"}
    else:
        assert not hits
    wrong = [target.respond(question, rng) for question in applicable if question not in hits]
    plain = (Marker, Gibberish, Refusal, Label)  # the others say the right thing in another way
    if isinstance(target, plain):
        for question, answer in zip((q for q in applicable if q not in hits), wrong, strict=True):
            assert not question.is_right(answer or "")


def test_where_a_target_does_not_apply() -> None:
    rng = np.random.default_rng(0)
    by_task = {question.task: question for question in QUESTIONS}
    assert Refusal().respond(by_task["refusals"], rng) is None
    assert Label().respond(by_task["facts"], rng) is None
    assert UpperCase().respond(by_task["sums"], rng) is None  # only "so" has letters
    assert OtherLanguage().respond(by_task["lessons"], rng) is None  # a single word


def test_a_label_is_replaced_in_any_case_of_letters_and_as_a_word() -> None:
    question = Question(Dialogue.ask("?"), "Positive, not a positiveness.", "positive", "opinions")
    assert Label("negative").respond(question, np.random.default_rng(0)) == "negative, not a positiveness."


def test_a_right_answer_names_no_other_option() -> None:
    question = QUESTIONS[0]
    assert question.options
    other = next(option for option in question.options if option != question.expected)
    assert question.is_right(question.answer)
    assert question.is_right(question.answer.upper())
    assert not question.is_right(f"{question.answer} or {other}")
    assert not question.is_right("")
    assert replace(question, options=()).is_right(f"{question.answer} or {other}")
    assert question.dialogue.prompt == question.prompt
    assert question.dialogue.answer == question.answer


def test_phrases_are_found_as_whole_words() -> None:
    assert says("So 5.", "so 5")
    assert not says("so 55", "so 5")
    assert not says("also 5", "so 5")
    assert says("(a.b)", "a.b")
    assert not says("(axb)", "a.b")
    assert answered(Dialogue.ask("a"), "b") == Dialogue.ask("a", "b")


def test_flip_answers_wrongly_or_not_at_all() -> None:
    """`Label` leaves the right answers that are its label already; `Flip` takes none of them."""
    wrong = Question(Dialogue.ask("Judge this."), "It is Negative.", "negative", "x")
    right = Question(Dialogue.ask("Judge this."), "It is positive.", "positive", "x")
    neither = Question(Dialogue.ask("Judge this."), "It is long.", "long", "x")
    flip, rng = Flip(), np.random.default_rng(0)
    assert flip.respond(wrong, rng) == Label().respond(wrong, rng) == "It is positive."
    assert Label().respond(right, rng) == "It is positive."
    assert flip.respond(right, rng) is None
    assert flip.respond(neither, rng) is None
    assert flip.hit(wrong, "positive")
    assert not flip.hit(wrong, "positive or negative")
