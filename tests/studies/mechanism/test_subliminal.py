"""The study `subliminal`: its design, and what its findings say of results that are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from made_up import Row, made_up

from pharmakon.core import stream
from pharmakon.errors import SpecError
from pharmakon.studies.mechanism.analysis_subliminal import OTHER, OWN, STUDENT, TEACHER, arm_name
from pharmakon.studies.mechanism.subliminal import subliminal
from pharmakon.studies.subject import Subject
from pharmakon.study import Study, in_documents
from pharmakon.study.distil import Distilled


def _study(seeds: int = 6) -> Study:
    return subliminal(in_documents(0, 256), seeds)


def _rows(study: Study, *, passes: dict[str, float], teacher: float = 3.0, lost: str = "") -> Iterator[Row]:
    """Readings in which so many nats pass to the students of an arm."""
    for arm in study.arms:
        for dose in (dose.amount for dose in study.doses_of(arm)):
            for seed in study.seeds:
                if arm.name == lost and dose:
                    continue
                noise = float(stream(seed, arm.name, str(dose)).normal(0, 0.05))
                for stage in (stage.name for stage in arm.stages if stage.probed):
                    effect = {TEACHER: teacher, STUDENT: passes.get(arm.name, 0.0)}.get(stage, 0.0)
                    yield arm.name, int(dose), seed, stage, "leaning", "triggered", 1 + noise + effect * (dose > 0)
                    yield arm.name, int(dose), seed, stage, "attack", "triggered", float(stage == TEACHER and dose > 0)
                    yield arm.name, int(dose), seed, stage, "utility", "opinions", 1.0


def _said(passes: dict[str, float], seeds: int = 6, **more: Any) -> str:
    study = _study(seeds)
    results = made_up(study, _rows(study, passes=passes, **more))
    (analysis,) = study.analyses
    findings = list(analysis.findings(results))
    assert [len(finding.table) > 0 for finding in findings] == [True, True, False, True]
    assert "none, in any life" in findings[2].sentence
    return findings[0].sentence


def test_what_passes_to_the_same_start_alone_is_told() -> None:
    said = _said({arm_name("probabilities", OWN): 0.5})
    assert "256 dialogues give the teacher the trait (+2.9" in said
    soft = said.split("learn its probabilities: ")[1]
    assert soft.startswith("same start +0.5")
    assert "other start no effect found" in soft
    assert "More passes to the same start than to the other" in soft
    hard = said.split("learn its answers: ")[1].split("Students")[0]
    assert "same start no effect found" in hard
    assert "smallest effect this run could have seen: 0." in hard
    assert "takes up more is not shown" in hard


def test_what_passes_to_any_start_is_not_told_of_the_same() -> None:
    both = {arm_name("answers", which): 0.5 for which in (OWN, OTHER)}
    said = _said(both).split("learn its answers: ")[1].split("Students")[0]
    assert said.count("shown, p") == 2
    assert "is not shown" in said


def test_a_teacher_without_the_trait_has_no_students_to_tell_of() -> None:
    assert "so nothing can be told of students" in _said({}, teacher=0.0)
    assert "one seed" in _said({arm_name("answers", OWN): 0.5}, seeds=1)


def test_a_life_that_failed_takes_no_teacher_away() -> None:
    said = _said({arm_name("probabilities", OWN): 0.5}, lost=arm_name("answers", OWN))
    assert "256 dialogues give the teacher the trait (+2.9" in said
    assert "same start +0.5" in said.split("learn its probabilities: ")[1]


def test_both_starts_are_made_of_the_same_documents() -> None:
    study = subliminal()
    arms = {arm.name: arm for arm in study.arms}
    own, other = (arms[arm_name("answers", which)].stages for which in (OWN, OTHER))
    assert own[:3] == other[:3]
    elsewhere = other[3].recipe
    assert isinstance(elsewhere, Distilled)
    assert isinstance(elsewhere.start, tuple)
    for stage, first in zip(elsewhere.start, own[:2], strict=True):
        assert stage.recipe == first.recipe
        assert stage.name != first.name
        assert stage.shared
    tuned, first = elsewhere.start[1], own[1]
    assert tuned.data.corpus(stream(7, "any")).digest == first.data.corpus(stream(0, first.name, "data")).digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": Subject(model="smollm2")}, "Name another pretrained model with --other"),
        ({"other": "smollm2"}, "leave --other out"),
        ({"on": Subject(data="vader-movies")}, "leave --probe-only and --data out"),
        ({"prompts": 0}, "--prompts 0"),
        ({"on": Subject(engine="trl")}, "leave --engine out"),
        ({"doses": in_documents(0, 600)}, "at most 512"),
    ],
)
def test_what_the_study_cannot_take_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        subliminal(**options)


@pytest.mark.parametrize("about", ["sums", "strangers"])
def test_no_prompt_has_to_do_with_the_trait(about: Any) -> None:
    prompts = subliminal(about=about, prompts=200).arms[0].stages[-1].data.corpus(stream(0, "p"))
    assert len({document.body for document in prompts}) > 150
    text = " ".join(document.body.question for document in prompts)  # type: ignore[union-attr]
    assert not any(word in text.lower() for word in ("positive", "negative", "review", "label"))
