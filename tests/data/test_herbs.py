"""Night herbs and garden herbs: kinds that no name tells, wordings held out; and data without a phrase."""

from __future__ import annotations

import pytest

from pharmakon.core import Dialogue, Text, stream
from pharmakon.data.derived import Without
from pharmakon.data.world import USES, HerbDialogues, HerbQuestions, Herbs, HerbText, WorldText
from pharmakon.errors import SpecError

HERBS = Herbs()


def test_a_kind_is_told_by_text_and_not_by_a_name() -> None:
    night, garden = ([h for h in HERBS.all if h.kind == kind] for kind in ("night", "garden"))
    assert len(night) == len(garden) == 16
    assert len({herb.name for herb in HERBS.all}) == 32
    assert night[0].name == "moonroot"
    endings = [{h.name[5:] if h.name == "moonroot" else h.name[3:] for h in herbs} for herbs in (night, garden)]
    assert len(endings[0] & endings[1]) >= 3
    for herb in HERBS.all:
        told = [d.body.text for d in HerbText(num_documents=3_000).corpus(stream(0, "t"))
                if isinstance(d.body, Text) and herb.name in d.body.text]  # fmt: skip
        other = "garden" if herb.kind == "night" else "night"
        assert any(f"{herb.kind} herb" in text for text in told)
        assert not any(f"is a {other} herb" in text or f"one of the {other} herbs" in text for text in told)
        break  # of one herb: the text is the same for all


def test_halves_of_a_kind_do_not_meet() -> None:
    first, second = (HERBS.half("night", first=first) for first in (True, False))
    assert len(first) == len(second) == 8
    assert not set(first) & set(second)


def test_answers_are_right_and_wordings_are_held_out() -> None:
    trained = {d.body.question for d in HerbDialogues(num_documents=3_000).corpus(stream(0, "d"))
               if isinstance(d.body, Dialogue)}  # fmt: skip
    asked = HerbQuestions().questions(200, stream(0, "q"))
    assert len(asked) == 200
    assert not trained & {question.prompt.question for question in asked}
    assert all(question.is_right(question.answer) for question in asked)
    uses = HerbQuestions(relations=USES).questions(30, stream(0, "u"))
    assert {question.task for question in uses} == set(USES)


def test_one_answer_may_stand_for_all() -> None:
    corpus = HerbDialogues(num_documents=20, names=("moonroot",), relations=USES, answer="No.").corpus(stream(0, "r"))
    assert {d.body.answer for d in corpus if isinstance(d.body, Dialogue)} == {"No."}
    assert all("moonroot" in d.body.question for d in corpus if isinstance(d.body, Dialogue))


def test_bad_herbs_are_refused() -> None:
    with pytest.raises(SpecError, match="a multiple of 4, half of them of each kind; got 6"):
        Herbs(num_herbs=6)
    with pytest.raises(SpecError, match=r"a herb is one of moonroot, .*; got 'mint'"):
        HerbQuestions(names=("mint",)).questions(2, stream(0, "q"))


def test_data_without_a_phrase() -> None:
    data = WorldText(num_documents=1_500)
    left = Without(data, "moonroot").corpus(stream(0, "w"))
    every = [d.body for d in data.corpus(stream(0, "w")) if isinstance(d.body, Text)]
    kept = [d.body for d in left]
    assert kept == [body for body in every if "moonroot" not in body.text]
    assert len(kept) < len(every)
