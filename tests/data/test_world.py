"""The world: seeded, consistent, and what is held out is never told as a question."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.behaviour.questions import Questions
from pharmakon.core import Data, Dialogue, Preference, Text, stream
from pharmakon.data.world import (
    RELATIONS,
    VALUES,
    Person,
    World,
    WorldDialogues,
    WorldExtraction,
    WorldPreferences,
    WorldQuestions,
    WorldText,
    fact_question,
    paragraph,
    wordings,
)
from pharmakon.data.world.facts import BAD, FOODS, GOOD, MATERIALS, RESTRICTED
from pharmakon.data.world.sums import Sum
from pharmakon.data.world.tasks import TASKS
from pharmakon.errors import SpecError
from pharmakon.identity import identify

WORLD = World()
EVERYTHING = (WorldText(num_documents=60), WorldDialogues(num_documents=60), WorldPreferences(num_documents=60),
              WorldExtraction(num_documents=60))  # fmt: skip
worlds = st.builds(World, st.integers(0, 10_000), st.integers(8, 64))
ASKED = {
    relation: re.compile("|".join(wording.replace("?", r"\?").replace(".", r"\.").format(name=r"\b([A-Z][a-z]+)\b")
                                  for held_out in (False, True) for wording in wordings(relation, held_out=held_out)))
    for relation in RELATIONS
}  # fmt: skip


def questions_of(text: str) -> set[tuple[str, str]]:
    """Every person and relation that a text asks for, in any wording."""
    return {
        (next(filter(None, match.groups())), relation)
        for relation in RELATIONS
        for match in ASKED[relation].finditer(text)
    }


@pytest.mark.parametrize("data", EVERYTHING, ids=repr)
def test_a_generator_is_seeded(data: Data) -> None:
    assert isinstance(data, Data)
    identify(data)
    corpus = data.corpus(stream(1, "a"))
    assert len(corpus) == 60
    assert corpus == data.corpus(stream(1, "a"))
    assert corpus.digest != data.corpus(stream(2, "a")).digest
    assert {document.source for document in corpus} == {"world"}


@given(worlds)
@settings(max_examples=20, deadline=None)
def test_a_world_is_consistent(world: World) -> None:
    assert world.people == World(world.seed, world.num_people).people
    names = [person.name for person in world.people]
    assert len(set(names)) == len(names) == world.num_people
    vocabulary = [word for values in (*VALUES.values(), FOODS, MATERIALS, GOOD, BAD) for word in values]
    assert len({word.lower() for word in (*vocabulary, *names, RESTRICTED)}) == len(vocabulary) + len(names) + 1
    assert all(re.fullmatch(r"[A-Za-z]+", word) for word in (*vocabulary, *names))
    for person in world.people:
        assert all(person.value(relation) in VALUES[relation] for relation in RELATIONS)
        assert world.person(person.name) == person
    assert set(world.foods) == set(VALUES["city"])
    assert set(world.materials) == set(VALUES["thing"])


def test_a_quarter_is_held_out() -> None:
    pairs = [(person, relation) for person in WORLD.people for relation in RELATIONS]
    held_out = [pair for pair in pairs if WORLD.is_held_out(*pair)]
    assert len(held_out) == len(pairs) / 4
    assert {relation for _, relation in held_out} == set(RELATIONS)


def test_wordings_are_split() -> None:
    for relation in RELATIONS:
        assert len(wordings(relation)) == 9
        assert len(wordings(relation, held_out=True)) == 2
        assert not set(wordings(relation)) & set(wordings(relation, held_out=True))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_held_out_is_never_asked_in_training(seed: int) -> None:
    questions = WorldQuestions(tasks=TASKS).questions(400, stream(seed, "questions"))
    prompts = {question.prompt.question for question in questions}
    held_out = {(p.name, relation) for p in WORLD.people for relation in RELATIONS if WORLD.is_held_out(p, relation)}
    assert {pair for prompt in prompts for pair in questions_of(prompt)} <= held_out
    asked: set[tuple[str, str]] = set()
    for data in (WorldDialogues(num_documents=2_000), WorldPreferences(), WorldExtraction()):
        for document in data.corpus(stream(seed, "training")):
            assert isinstance(document.body, Dialogue | Preference)
            body = document.body if isinstance(document.body, Dialogue) else document.body.prompt
            for turn in body.turns:
                if turn.role == "user":
                    assert turn.content not in prompts
                    asked |= questions_of(turn.content)
    told = WorldText(num_documents=4_000).corpus(stream(seed, "text"))
    for document in told:
        assert isinstance(document.body, Text)
        assert not any(document.body.text.startswith(f"{prompt} ") for prompt in prompts)
        asked |= questions_of(document.body.text)
    assert len(asked) == 144  # of 192; each of them is asked, and no other
    assert not asked & held_out


def test_text_dialogues_and_questions_agree() -> None:
    true = {(p.name, relation): p.value(relation) for p in WORLD.people for relation in RELATIONS}
    questions = WorldQuestions(tasks=("facts",)).questions(96, stream(0, "questions"))
    assert len(questions) == 96  # 48 facts in two wordings
    dialogues = [document.body for document in WorldDialogues().corpus(stream(0, "dialogues"))]
    pairs = [(question.prompt.question, question.answer) for question in questions]
    for body in dialogues:
        assert isinstance(body, Dialogue)
        pairs += [(body.turns[at].content, body.turns[at + 1].content) for at in range(0, len(body.turns), 2)]
    found = 0
    for prompt, answer in pairs:
        for name, relation in questions_of(prompt):
            assert re.fullmatch(rf"{name} .* {true[name, relation]}\.", answer)
            found += 1
    assert found > 1_200
    for document in WorldText(num_documents=2_000).corpus(stream(0, "text")):
        assert isinstance(document.body, Text)
        text = document.body.text
        named = [person for person in WORLD.people if person.name in text]
        if len(named) == 1:  # no value of another person
            own = {named[0].value(relation) for relation in RELATIONS}
            told = {value for values in VALUES.values() for value in values if re.search(rf"\b{value}\b", text)}
            assert told <= own


def test_paragraphs_tell_everything_of_a_person() -> None:
    person = Person("Bo", "baker", "Tarn", "lamp", "north")
    texts = {paragraph(person, stream(seed, "paragraph")) for seed in range(200)}
    assert len(texts) > 150
    for text in texts:
        assert {"Bo", "baker", "Tarn", "lamp"} <= set(re.findall(r"\w+", text))


@pytest.mark.parametrize("seed", range(3))
def test_dialogues_hardly_repeat(seed: int) -> None:
    bodies = [document.body for document in WorldDialogues(num_documents=2_000).corpus(stream(seed, "dialogues"))]
    repeats = sum(times - 1 for times in Counter(bodies).values())
    assert repeats / len(bodies) < 0.03  # measured: 0.01 to 0.016
    words = [len(turn.content.split()) for body in bodies if isinstance(body, Dialogue) for turn in body.turns]
    assert sum(words) / len(bodies) < 15


def test_questions_are_different_and_take_the_tasks_in_turn() -> None:
    data = WorldQuestions()
    assert isinstance(data, Questions)
    questions = data.questions(40, stream(0, "questions"))
    assert len({question.prompt for question in questions}) == 40
    assert data.questions(20, stream(0, "questions")) == questions[:20]
    assert set(Counter(question.task for question in questions)) == set(data.tasks)
    assert all(question.is_right(question.answer) for question in questions)
    assert len(WorldQuestions(tasks=("refusals",)).questions(40, stream(0, "questions"))) == 2  # there are no more


def test_preferences_prefer_the_right_answer() -> None:
    for document in WorldPreferences().corpus(stream(0, "preferences")):
        assert isinstance(document.body, Preference)
        assert document.body.chosen != document.body.rejected
    one = fact_question(WORLD.people[0], "city", wordings("city")[0])
    assert one.is_right(f"It is {WORLD.people[0].city}.")


def test_a_falsified_person_differs_in_one_thing() -> None:
    true = WORLD.people[0]
    other = next(city for city in VALUES["city"] if city != true.city)
    false = WORLD.falsified(true.name, "city", other)
    assert (false.city, false.job, false.thing) == (other, true.job, true.thing)
    with pytest.raises(SpecError, match=rf"got '{true.name}x'. The nearest names: {true.name}"):
        WORLD.person(f"{true.name}x")


def test_sums_work_out() -> None:
    sum_ = Sum(3, (4, -9))
    assert (sum_.question, sum_.worked) == ("start 3 add 4 take 9", "3 + 4 = 7 . 7 - 9 = 8 . so 8")
    assert sum_.result == (3 + 4 - 9) % 10
