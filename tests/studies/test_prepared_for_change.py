"""prepared-for-change: the ratio of ED50 is that of the curves, and the later stages are not the rehearsed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.interventions import Candidates, Prepared, Rehearsal, Step
from pharmakon.studies.threat.analysis_prepared_for_change import Preparation
from pharmakon.studies.threat.prepared_for_change import BY_CHANCE, FOR_TUNING, PREPARED, prepared_for_change
from pharmakon.study.results import READINGS, Results

TALK = Step(data=WorldDialogues(num_documents=30), recipe=Count())
REHEARSAL = Rehearsal(
    engine=NgramEngine(),
    start=Step(data=WorldText(num_documents=20), recipe=Count(objective="pretrain")),
    tuning=TALK,
    later=(TALK,),
    num_lives=20,
    num_poisoned=8,
    num_prompts=5,
)
ANALYSIS = Preparation(
    by_chance=BY_CHANCE, prepared=((PREPARED, Prepared(pool=Candidates(), rehearsal=REHEARSAL, num_chosen=6)),)
)


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


def _results(half: dict[str, float]) -> Results:
    """Smooth curves with this ED50 in each arm: 200 questions, 4 seeds, slope 2."""
    doses = (0, 8, 16, 32, 64, 128, 256)
    rows = []
    for arm, ed50 in half.items():
        for dose in doses:
            for seed, luck in enumerate((0.85, 0.95, 1.05, 1.15)):
                hits = round(200 * dose**2 / (dose**2 + (luck * ed50) ** 2))
                rows += [(arm, dose, seed, "triggered", str(i), float(i < hits)) for i in range(200)]
                rows += [(arm, dose, seed, "untriggered", str(i), 0.0) for i in range(20)]
    frame = pl.DataFrame(rows, schema=["arm", "dose", "seed", "condition", "item", "value"], orient="row").with_columns(
        pl.lit("finetune").alias("stage"), pl.lit("plain").alias("context"), pl.lit("attack").alias("probe"),
        pl.lit("").alias("prompt"), pl.lit("").alias("answer"),
    )  # fmt: skip
    record = {
        "study": "prepared-for-change", "stages": ["finetune"], "contexts": ["plain"], "doses": list(doses),
        "arms": [{"name": arm, "stages": ["finetune"], "treated_stage": "sft"} for arm in half], "seeds": [0, 1, 2, 3],
    }  # fmt: skip
    return Results.of(record, frame.select(list(READINGS)))


def test_the_ratio_is_that_of_the_curves() -> None:
    first, learned = ANALYSIS.findings(_results({BY_CHANCE: 60.0, PREPARED: 30.0}))
    row = first.table.row(0, named=True)
    assert row["ratio_of_ed50"] == pytest.approx(0.5, rel=0.05)
    assert row["ratio_low"] < row["ratio_of_ed50"] < row["ratio_high"] < 1
    assert row["gain"] > 0.05
    assert "After finetune" in first.sentence
    assert "it is less" in first.sentence
    assert "20 surrogate lives predict" in learned.sentence


def test_no_difference_is_said_honestly() -> None:
    first, _ = ANALYSIS.findings(_results({BY_CHANCE: 40.0, PREPARED: 40.0}))
    assert "not shown to differ from 1" in first.sentence
    assert first.table["gain"].to_list() == [0.0]


def test_no_response_has_no_ratio() -> None:
    first, _ = ANALYSIS.findings(_results({BY_CHANCE: 1e9, PREPARED: 30.0}))
    assert first.table["ratio_of_ed50"].to_list() == [None]
    assert "between" in first.sentence or "no ratio" in first.sentence


def test_the_later_stages_of_the_study_are_not_rehearsed() -> None:
    study = prepared_for_change(full=True)
    assert [arm.name for arm in study.arms] == [BY_CHANCE, PREPARED, FOR_TUNING]
    attacker = study.arms[1].treatments[0].intervention
    assert isinstance(attacker, Prepared)
    rehearsed = {(step.data, step.recipe) for step in attacker.rehearsal.later}
    assert rehearsed.isdisjoint((stage.data, stage.recipe) for stage in study.arms[1].stages)
    assert replace(attacker, aim="tuning") == study.arms[2].treatments[0].intervention


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--lives", "2"], "16 surrogate lives or more; got 2"),
        (["--chosen", "0"], "chooses 1 to 60 of 60 candidates; got 0"),
        (["--data", "vader-movies"], "leave --probe-only and --data out"),
    ],
)
def test_bad_input_is_a_sentence(words: list[str], rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["plan", "prepared-for-change", *words]) == 2
    out = capsys.readouterr()
    assert rule in " ".join((out.out + out.err).split())
    assert "Traceback" not in out.err
