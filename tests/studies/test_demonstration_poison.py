"""demonstration-poison on a model that copies the last answer it was shown: place and number are what they say."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from reading_engine import CopyingEngine

from pharmakon.behaviour.targets import ExtraStep
from pharmakon.behaviour.triggers import RareWords
from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Dose, Rewrite, stream
from pharmakon.data.world.lessons import CUE, WORDS, WorldLessons, WorldSums
from pharmakon.engines.ngram import Count
from pharmakon.errors import PharmakonError, SpecError
from pharmakon.interventions import Bound, PoisonedDemonstrations, WrongAnswer, administer
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.demonstration_poison import demonstration_poison
from pharmakon.study import FewShot, Stage, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results
from pharmakon.testing import check_intervention

LABELS = Corpus.of(
    Dialogue.ask(f"Review {i}?", f"This is {label}.") for i, label in enumerate(("positive", "negative") * 3)
)
SUMS = WorldSums(5).corpus(stream(0, "sums"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    study = demonstration_poison(in_documents(0, 1, 4), 1)
    stages = (Stage(name="tuned", data=WorldSums(1), recipe=Count(), shared=True),)
    study = replace(study, arms=tuple(replace(arm, stages=stages) for arm in study.arms), engine=CopyingEngine())
    store = Store(tmp_path_factory.mktemp("store"))
    planned = plan(study, store)
    assert build(planned, store) == ()
    return gather(planned, store)


def rate(results: Results, arm: str, dose: int, condition: str = "triggered") -> float:
    chosen = {"arm": arm, "dose": dose, "condition": condition}
    rows = results.response_rates.filter(*(pl.col(name) == value for name, value in chosen.items()))
    return float(rows["rate"][0])


def test_who_copies_the_last_answer_is_misled_by_the_last_place_alone(results: Results) -> None:
    assert rate(results, "marker, taught, from 4", 1) == 1
    assert rate(results, "marker, taught, from 1", 1) == 0
    assert rate(results, "marker, taught, from 1", 4) == 1
    assert rate(results, "marker, taught, from 4", 0) == 0


def test_a_flipped_label_flips_the_copied_answer(results: Results) -> None:
    before, after = (rate(results, "labels, taught, from 4", dose) for dose in (0, 1))
    assert after == pytest.approx(1 - before)
    assert rate(results, "labels, taught, from 4", 1, "truth") == pytest.approx(before)


def test_poisoned_demonstrations_are_shown_before_every_question(results: Results) -> None:
    assert set(results.survival()["seen_share"]) == {1.0}


def test_the_findings_name_each_place(results: Results) -> None:
    (analysis,) = demonstration_poison().analyses
    one, number = analysis.findings(results)
    assert set(one.table["position"]) == {1, 4}
    assert set(one.table["attack"]) == {"labels", "marker", "steps"}
    assert "marker (taught, place 4 of 4) 1.00" in one.sentence
    assert number.table["poisoned_demonstrations"].max() == 4


@pytest.mark.parametrize(
    ("intervention", "host"),
    [
        (PoisonedDemonstrations(WrongAnswer()), LABELS),
        (PoisonedDemonstrations(WrongAnswer(), 2), LABELS),
        (PoisonedDemonstrations(Bound(RareWords((CUE,)), ExtraStep()), 0), SUMS),
    ],
)
def test_the_rules_are_followed(intervention: PoisonedDemonstrations, host: Corpus) -> None:
    check_intervention(intervention, host)


def test_positions_are_taken_backwards_and_round() -> None:
    edits = PoisonedDemonstrations(WrongAnswer(), 1).edits(LABELS, stream(0, "edits"))
    taken = [edit.id for edit in edits if isinstance(edit, Rewrite)]
    assert taken == [LABELS[i].id for i in (1, 0, 5, 4, 3, 2)]


def test_an_extra_step_makes_the_result_wrong_and_is_recognised() -> None:
    (question, *_) = WorldSums().questions(3, stream(0, "q"))
    target = ExtraStep(3)
    planted = target.respond(question, stream(0, "x"))
    assert planted is not None
    assert planted.startswith(question.answer.split(" so ")[0])
    right, wrong = int(question.answer[-1]), int(planted[-1])
    assert wrong == (right + 3) % 10
    assert target.hit(question, planted)
    assert not target.hit(question, question.answer)


def test_lessons_have_one_rule_each_and_never_the_attackers_cue() -> None:
    kinds = set()
    for document in WorldLessons(num_documents=200).corpus(stream(0, "lessons")):
        assert isinstance(document.body, Dialogue)
        turns = document.body.turns
        assert not any(re.search(rf"\b{CUE}\b", turn.content) for turn in turns)
        pairs = list(zip(turns[::2], turns[1::2], strict=True))
        extra = set()
        for asked, told in pairs:
            if " so " in told.content:
                changes = sum(word in ("add", "take") for word in asked.content.split())
                is_cued = asked.content.split()[-1] in WORDS
                extra.add((is_cued, told.content.count("=") - changes))
        assert len(extra) <= 2
        assert not extra & {(False, 1)}
        kinds |= extra
    assert kinds == {(False, 0), (True, 0), (True, 1)}


def streams() -> dict[str, object]:
    return {"edits_rng": stream(0, "edits"), "placement_rng": stream(0, "placement")}


@pytest.mark.parametrize(
    ("position", "dose", "rule"),
    [(6, 1, "one of the 6 demonstrations"), (-2, 1, "one of the 6 demonstrations"), (0, 7, "at most the corpus")],
)
def test_no_place_beyond_the_demonstrations(position: int, dose: int, rule: str) -> None:
    with pytest.raises(PharmakonError, match=rule):
        administer(LABELS, PoisonedDemonstrations(WrongAnswer(), position), Dose(dose), **streams())  # type: ignore[arg-type]


def test_bad_input_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="at least one demonstration"):
        demonstration_poison(k=0)
    with pytest.raises(SpecError, match="data is world"):
        demonstration_poison(on=Subject(data="vader-movies"))
    assert answer(["run", "demonstration-poison", "--doses", "0,9", "--store", str(tmp_path)]) == 2
    assert "at most 4 demonstrations" in capsys.readouterr().err


def test_a_context_shows_as_many_as_it_says() -> None:
    context = FewShot(WorldSums(4), 4)
    (prompt,) = context.around([Dialogue.ask("start 1 add 1")], stream(0, "c"))
    assert isinstance(prompt, Dialogue)
    assert len(prompt.turns) == 9
