"""The study of in-context learning: its design, and an analysis of readings whose answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from pharmakon.errors import InputError, SpecError
from pharmakon.statistics import mean_correlation, seed_correlations
from pharmakon.studies.mechanism.analysis_in_context import InContextLearning
from pharmakon.studies.mechanism.in_context import NUM_DOCUMENTS, in_context
from pharmakon.studies.mechanism.in_context_lives import crossing, lives, rate
from pharmakon.studies.subject import Subject
from pharmakon.study import in_documents
from pharmakon.study.finding import Finding
from pharmakon.study.results import Results

ASKED = InContextLearning(main="demonstrations", others=("scattered",), steps=100, documents=60)
NUM_STAGES = 5


def _rows(arm: str, dose: int, seed: int, stage: int, accuracy: float, score: float) -> Iterator[dict[str, Any]]:
    place = {"arm": arm, "dose": dose, "seed": seed, "stage": f"part-{stage + 1}", "context": "plain"}

    def row(probe: str, condition: str, item: int, value: float) -> dict[str, Any]:
        given = {"probe": probe, "condition": condition, "item": f"sequence {item}", "value": value}
        return {**place, **given, "prompt": "", "answer": ""}

    for item in range(20):
        yield row("few-shot", "triggered", item, float(item < round(20 * accuracy)))
        yield row("few-shot", "untriggered", item, float(item < 1))
        yield row("few-shot", "near: demonstrations of other keys", item, 0.0)
        for name, misled in (("none", 0.0), ("first", 0.2), ("middle", 0.2), ("last", 0.8)):
            believed = misled if accuracy > 0.5 else 0.0
            yield row("poisoned", f"adversarial: {name}", item, float(item >= round(20 * believed)))
            yield row("poisoned", f"adversarial: {name}, misled", item, float(item < round(20 * believed)))
        for wrong in (0, 0.5, 1):
            yield row("poisoned", f"noise {wrong:g}", item, float(item >= round(20 * wrong)))
            yield row("poisoned", f"noise {wrong:g}, misled", item, float(item < round(20 * wrong)))
    for item in range(4):
        for head, value in (("layer 1 head 0", 0.05), ("layer 2 head 3", score)):
            yield row("induction", head, item, value)
            yield row("induction", f"{head}, unrepeated", item, 0.05)


@cache
def _results(seeds: int = 4, lag: int = 1) -> Results:
    """Demonstrations teach, scattered words do not; heads rise `lag` checkpoints before accuracy."""
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        for arm in ("demonstrations", "scattered"):
            for dose in (0, 150):
                for stage in range(NUM_STAGES):
                    learns = bool(dose) and arm == "demonstrations"
                    step = 2 + seed % 2
                    score = 0.8 if learns and stage >= step else 0.06
                    accuracy = 0.9 if learns and stage >= step + lag else 0.1
                    rows += _rows(arm, dose, seed, stage, accuracy, score)
    stages = [f"part-{number + 1}" for number in range(NUM_STAGES)]
    run = {
        "study": "in-context", "question": "?", "stages": stages, "contexts": ["plain"], "doses": [0, 150],
        "seeds": list(range(seeds)), "unit": "documents",
        "arms": [{"name": n, "stages": stages, "treated_stage": "part-1"} for n in ("demonstrations", "scattered")],
    }  # fmt: skip
    return Results.of(run, pl.DataFrame(rows))


@pytest.fixture(scope="module")
def found() -> dict[str, Finding]:
    return {finding.title: finding for finding in ASKED.findings(_results())}


def test_the_dose_that_teaches_is_named_with_its_control(found: dict[str, Finding]) -> None:
    first = next(iter(found.values()))
    row = first.table.filter(pl.col("arm") == "demonstrations", pl.col("dose") == 150).row(0, named=True)
    assert row["share"] == 0.5
    assert row["accuracy"] == pytest.approx(0.9)
    assert row["difference_low"] > 0.5
    assert row["head"] == pytest.approx(0.8)
    assert row["unrepeated"] == pytest.approx(0.05)
    assert "50.0%: 90%" in first.sentence
    assert "a rise is shown at 50.0%" in first.sentence
    assert "With scattered repeats" in first.sentence
    assert "no effect found, smallest effect this run could have seen: a rise to" in first.sentence


@pytest.mark.parametrize(("lag", "said"), [(1, "heads come first at each"), (-1, "accuracy comes first at each")])
def test_what_comes_first_is_told(lag: int, said: str) -> None:
    order = {finding.title: finding for finding in ASKED.findings(_results(lag=lag))}["Which comes first?"]
    assert said in order.sentence
    assert order.table["lead_50%"].mean() == pytest.approx(100 * lag)


def test_heads_and_accuracy_go_together_beyond_the_common_trend(found: dict[str, Finding]) -> None:
    table = found["Do heads and accuracy go together?"].table
    assert table["compared"].to_list()[2] == "between seeds, at one dose and checkpoint"
    assert table["correlation"][0] > 0.7
    assert table["low"][0] > 0


def test_a_lie_is_believed_by_its_place(found: dict[str, Finding]) -> None:
    finding = found["One adversarial demonstration, by its position"]
    assert "last 80%" in finding.sentence
    assert "the last one against the first +60.0 points" in finding.sentence
    noise = found["Label noise in the demonstrations"]
    assert "50% wrong: 50%" in noise.sentence
    assert set(noise.table["model"]) == {"taught by demonstrations", "untreated"}


def test_one_seed_claims_nothing() -> None:
    findings = list(ASKED.findings(_results(seeds=1)))
    assert "no rise is shown" in findings[0].sentence
    assert "which one seed cannot tell from chance" in findings[0].sentence


def test_no_learner_is_said_to_be_none() -> None:
    strict = InContextLearning(main="demonstrations", others=("scattered",), steps=100, documents=60, fluent=0.95)
    said = {finding.title: finding.sentence for finding in strict.findings(_results())}
    assert said["Which comes first?"].startswith("No life reached 95%")
    assert said["Label noise in the demonstrations"].startswith("No model learned")


def test_the_head_is_chosen_on_other_sequences_than_it_is_scored_on() -> None:
    """A head that is high on half of the sequences by chance gains nothing by it."""
    rows = list(_rows("demonstrations", 0, 0, 0, 0.1, 0.0))
    heads = ("layer 1 head 0", "layer 2 head 3")
    for row in rows:
        if row["probe"] == "induction" and row["condition"] in heads:
            row["value"] = float(int(row["item"].split()[1]) % 2 == heads.index(row["condition"]))
    base = _results(seeds=1)
    made = Results(
        base.run, base.readings.clear().vstack(pl.DataFrame(rows).cast(base.readings.schema)), *base_frames(base)
    )
    assert lives(made, 100, 50)["head"].to_list() == [0.0]


def base_frames(results: Results) -> tuple[pl.DataFrame, pl.DataFrame]:
    return results.ledger, results.cleaning


def test_crossings_and_correlations() -> None:
    assert crossing([100, 200], [0.0, 1.0], 0.0, 0.5) == 150
    assert crossing([100], [1.0], 0.0, 0.25) == 25
    assert crossing([100, 200], [0.0, 0.4], 0.0, 0.5) == np.inf
    each = seed_correlations([1, 2, 3, 1, 2, 3, 1, 1, 1], [1, 2, 3, 1, 3, 2, 1, 2, 3], [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert each == pytest.approx({0: 1, 1: 0.5})
    found, p_value = mean_correlation(list(each.values()))
    assert found.low <= found.estimate <= found.high
    assert 0 < p_value < 1
    for alike in ([0.4, 0.4], [0.4], []):
        found, p_value = mean_correlation(alike)
        assert (found.low, found.high, p_value) == (-1, 1, 1)
    assert rate([0.5, 0.5], 100).low < 0.5
    assert (rate([0.5]).low, rate([0.5]).high) == (0, 1)


def test_the_design_has_its_controls_and_one_length_of_training() -> None:
    study = in_context(seeds=2, checkpoints=3)
    assert {arm.name: [dose.amount for dose in study.doses_of(arm)] for arm in study.arms} == {
        "demonstrations": [0, 250, 500, 1000, 1500], "blocks": [0, 1000], "scattered": [0, 1000],
    }  # fmt: skip
    arm = study.arms[0]
    assert [treatment.stage for treatment in arm.treatments] == [stage.name for stage in arm.stages]
    untreated = {study.cell(arm, study.doses[0], 0).treatments for arm in study.arms}
    assert untreated == {()}


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"checkpoints": 1}, "2 checkpoints or more; got --checkpoints 1"),
        ({"doses": in_documents(0, NUM_DOCUMENTS + 1)}, "2000; got 2001"),
        ({"on": Subject(model="smollm2")}, "pretrains its own models from nothing"),
        ({"on": Subject(data="vader-movies")}, "on a language of its own"),
        ({"on": Subject(model="endpoint:http://localhost/v1#m")}, "shows nothing"),
    ],
)
def test_refusals_name_the_way_out(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        in_context(**given)


def test_the_answer_is_the_findings_where_every_part_is_treated() -> None:
    """Thresholds after the first of many treated parts would say nothing of what was learned in the end."""
    base = _results()
    treated = [
        {"arm": arm, "dose": 150, "seed": 0, "stage": stage, "edit": 0, "kind": "rewrite", "id": "a", "content": "",
         "position": 0, "dropped_by": None, "reason": None, "present": True, "truncated": None, "num_seen": 1,
         "first_step": 0, "last_step": 0}
        for arm in ("demonstrations", "scattered") for stage in base.run.stages
    ]  # fmt: skip
    run = {**base.run.to_record(), "response": "few-shot"}
    findings = tuple(ASKED.findings(base))
    made = replace(Results.of(run, base.readings, pl.DataFrame(treated)), findings=findings)
    assert made.answer().startswith(findings[0].sentence)
    early = replace(Results.of(run, base.readings, pl.DataFrame(treated[:1])), findings=findings)
    assert "after part-1" in early.answer()


def test_readings_are_needed() -> None:
    base = _results(seeds=1)
    with pytest.raises(InputError, match="one has no readings"):
        lives(Results(base.run, base.readings.filter(pl.col("probe") != "induction"), *base_frames(base)), 100, 50)
