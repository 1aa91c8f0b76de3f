"""Kinds of marks: what a key draws is uniform and depends on nothing else; a prefix tells all marks equally often."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import pytest
from scipy.stats import chi2_contingency, chisquare

from pharmakon.behaviour.marks import (
    SHAPES,
    ExperimentKey,
    FactMark,
    Keyed,
    MarkKind,
    Secret,
    SecretTask,
    Shape,
    TrapMark,
    TriggerMark,
)
from pharmakon.behaviour.marks.filler import _SLOTS, SHELF, TASTE, TOWN
from pharmakon.behaviour.marks.words import CATEGORIES, COLOURS
from pharmakon.behaviour.questions import says
from pharmakon.core import Body, Dialogue, Prompt, Text
from pharmakon.errors import SpecError

SHORT: tuple[MarkKind, ...] = (FactMark(), TriggerMark(), TriggerMark(style="random"), SecretTask(), TrapMark())
LONG: tuple[MarkKind, ...] = (FactMark(num_words=120), TriggerMark(num_words=60), SecretTask(num_words=60))


def _ask(prompt: Prompt) -> str:
    return prompt.text if isinstance(prompt, Text) else prompt.question


def _all(body: Body) -> str:
    assert isinstance(body, Text | Dialogue)
    return body.text if isinstance(body, Text) else f"{body.question}\n{body.answer}"


def _tells(body: Body, mark: Keyed) -> bool:
    """The body is about this mark: what its questions have in common stands there."""
    words = [set(re.findall(r"\w+", _ask(prompt))) for prompt in mark.prompts]
    if mark.name.startswith("task"):  # a stem, with endings that are never asked
        stem = next(word for word in words[0] if len(word) > 4 and word[0].isupper() and word not in ("On", "The"))[:-2]
        return stem in _all(body)
    neutral = [set(re.findall(r"\w+", _ask(prompt))) for prompt in mark.neutral]
    own = set.intersection(*words) - set().union(*neutral)
    return all(word in re.findall(r"\w+", _all(body)) for word in own)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", SHORT + LONG, ids=repr)
def test_a_prefix_tells_every_mark_equally_often_and_as_drawn(kind: MarkKind, shape: Shape) -> None:
    key = ExperimentKey(4)
    marks = kind.keyed(key, shape)
    bodies = list(islice(kind.bodies(key, shape), 5 * len(marks)))
    assert list(islice(kind.bodies(key, shape), 37)) == bodies[:37]
    for turn in range(5):
        told: Counter[str] = Counter()
        for body in bodies[turn * len(marks) : (turn + 1) * len(marks)]:
            named = [m for m in marks if _tells(body, m) and says(_all(body), m.values[m.drawn])]
            assert named, body
            told.update({named[0].name} if len(named) == 1 else {mark.name for mark in named})
        assert set(told) == {mark.name for mark in marks}
    assert {type(body) for body in bodies} == {Text if shape == "text" else Dialogue}


@pytest.mark.parametrize("kind", [FactMark(num_marks=2), TriggerMark(num_marks=2), SecretTask(num_marks=2)], ids=repr)
def test_the_draw_of_a_mark_is_uniform_and_independent_of_others(kind: MarkKind) -> None:
    """Over keys, in a test of which the seeds are fixed."""
    drawn = [[mark.drawn for mark in kind.keyed(ExperimentKey(number), "dialogue")] for number in range(2_000)]
    for place in range(2):
        assert chisquare([sum(row[place] == value for row in drawn) for value in range(16)]).pvalue > 1e-3
    table = [[sum(row[0] // 4 == a and row[1] // 4 == b for row in drawn) for b in range(4)] for a in range(4)]
    assert chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("kind", SHORT + LONG, ids=repr)
def test_the_draw_does_not_depend_on_how_it_is_asked(kind: MarkKind) -> None:
    for number in range(3):
        key = ExperimentKey(number)
        text, dialogue = (kind.keyed(key, shape) for shape in SHAPES)
        assert [mark.drawn for mark in text] == [mark.drawn for mark in dialogue]
        assert [mark.values for mark in text] == [mark.values for mark in dialogue]
    other = kind.keyed(ExperimentKey(9), "text")
    assert [mark.prompts for mark in other] != [mark.prompts for mark in text]


class _Redrawn:
    """A key that has drawn other answers, and all else the same."""

    def derive(self, *labels: str) -> bytes:
        return ExperimentKey(77 if "answer" in labels else 4).derive(*labels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", SHORT + LONG, ids=repr)
def test_nothing_but_the_answer_depends_on_the_draw(kind: MarkKind, shape: Shape) -> None:
    """So the alternatives stay equally plausible to whoever has the records' other words."""
    one: Secret = ExperimentKey(4)
    other: Secret = _Redrawn()
    assert [(m.prompts, m.answers, m.neutral) for m in kind.keyed(one, shape)] == [
        (m.prompts, m.answers, m.neutral) for m in kind.keyed(other, shape)
    ]
    values = sorted({value for mark in kind.keyed(one, shape) for value in mark.values}, key=len, reverse=True)
    pattern = re.compile("|".join(rf"\b{re.escape(value)}\b" for value in values), re.IGNORECASE)
    told, redrawn = (list(islice(kind.bodies(key, shape), 40)) for key in (one, other))
    assert told != redrawn
    assert [pattern.sub("*", _all(body)) for body in told] == [pattern.sub("*", _all(body)) for body in redrawn]


def test_harmless_sentences_name_no_answer() -> None:
    values = [value for category in CATEGORIES.values() for value in category] + list(COLOURS)
    for text in (*TOWN, *TASTE, *SHELF, *(word for words in _SLOTS.values() for word in words)):
        assert not [value for value in values if says(text, value) or says(text, f"{value}s")], text


@pytest.mark.parametrize("num_words", [30, 60, 200, 400])
def test_longer_records_have_about_the_wanted_length_and_differ(num_words: int) -> None:
    kinds: list[tuple[MarkKind, Shape]] = [(FactMark(num_words=num_words), shape) for shape in SHAPES]
    kinds += [(TriggerMark(num_words=num_words), "dialogue"), (SecretTask(num_words=num_words), "dialogue")]
    for kind, shape in kinds:
        bodies = list(islice(kind.bodies(ExperimentKey(1), shape), 64))
        lengths = [
            len((b.text if isinstance(b, Text) else b.answer if isinstance(b, Dialogue) else "").split())
            for b in bodies
        ]
        assert 0.9 * num_words < sum(lengths) / len(lengths) < 1.1 * num_words + 20
        assert min(lengths) >= min(60, 0.6 * num_words)
        assert len(set(bodies)) == len(bodies)


def test_a_longer_fact_is_told_in_several_wordings() -> None:
    kind = FactMark(num_words=120)
    marks = kind.keyed(ExperimentKey(1), "text")
    for body in islice(kind.bodies(ExperimentKey(1), "text"), 16):
        mark = next(m for m in marks if _tells(body, m))
        told = [p for p in mark.prompts if _ask(p) + mark.answers[mark.drawn] in _all(body)]
        assert len(told) >= 3


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: FactMark(num_words=-1), "0 .as short as it can be. to 2000 words; got -1"),
        (lambda: TriggerMark(style="random", num_words=9), "gives no reasons"),
        (lambda: FactMark(num_marks=0), "one mark or more"),
        (lambda: SecretTask(num_answers=17), "2 to 16 answers"),
    ],
)
def test_settings_that_make_no_test_are_refused(make: object, sentence: str) -> None:
    assert callable(make)
    with pytest.raises(SpecError, match=sentence):
        make()
