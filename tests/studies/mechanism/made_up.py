"""Results that nobody measured, readings by a rule as a study's run would have them; and refusals of commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.study import Study
from pharmakon.study.results import READINGS, Results

Row = tuple[str, int, int, str, str, str, float]
"""Arm, dose, seed, stage, probe, condition, value."""


def made_up(study: Study, rows: Iterable[Row], *, contexts: Sequence[str] = ("plain",)) -> Results:
    """Results of a study's arms, stages, doses and seeds with these readings, each an item of its own."""
    columns = ["arm", "dose", "seed", "stage", "probe", "condition", "value"]
    frame = pl.DataFrame(list(rows), schema=columns, orient="row", infer_schema_length=None).with_columns(
        pl.int_range(pl.len()).over(columns[:-1]).cast(pl.String).alias("item"), pl.lit(contexts[0]).alias("context"),
        pl.lit("").alias("prompt"), pl.lit("").alias("answer"), pl.col("value").cast(pl.Float64),
    )  # fmt: skip
    stages = list(dict.fromkeys(stage.name for arm in study.arms for stage in arm.stages if stage.probed))
    record = {
        "study": study.name, "question": study.question, "response": study.response, "stages": stages,
        "contexts": list(contexts),
        "doses": sorted({float(dose.amount) for arm in study.arms for dose in study.doses_of(arm)}),
        "seeds": list(study.seeds), "signed": [],
        "arms": [
            {
                "name": arm.name, "stages": [stage.name for stage in arm.stages if stage.probed],
                "treated_stage": arm.treatments[0].stage if arm.treatments else None,
            }
            for arm in study.arms
        ],
    }  # fmt: skip
    return Results.of(record, frame.select(list(READINGS)))


def check_refused(
    command: list[str], said: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that cannot be done ends with exit code 2 and a sentence that says this."""
    monkeypatch.setenv("PHARMAKON_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "300")
    assert answer(command) == 2
    told = capsys.readouterr()
    assert said in told.err + told.out
