"""What the terminal shows: compact tables, then the answer."""

from __future__ import annotations

import io

import polars as pl
from rich.console import Console
from synthetic import ArmTruth, synthetic

from pharmakon.report import print_results
from pharmakon.study.results import Results


def printed(results: Results, width: int = 100) -> str:
    out = io.StringIO()
    print_results(results, Console(file=out, width=width, force_terminal=False, color_system=None))
    return out.getvalue()


def test_the_tables_fit_a_hundred_columns_and_the_answer_is_last() -> None:
    results = synthetic()
    shown = printed(results)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in shown
    titles = ["Thresholds in documents", "Attack success by dose", "Survival at the highest dose", "Utility (all tasks"]
    places = [shown.index(title) for title in titles]
    assert places == sorted(places)
    assert " ".join(shown.split()).endswith(" ".join(results.answer().split()))
    for row in results.table().iter_rows(named=True):
        assert any(f"  {row['stage']}, {row['context']}" in line and row["threshold"] in line for line in lines)
    rate = results.rates().filter(pl.col("arm") == "no cleaning", pl.col("context") == "plain", pl.col("dose") == 96)
    line = next(line for line in lines if line.split()[:1] == ["96"])
    assert all(f"{asr:.2f} [" in line for asr in rate["asr"])


def test_names_are_text_and_cannot_steer_the_terminal() -> None:
    arms = (ArmTruth("[red]cleaned[/] \x1b[2J"),)
    results = synthetic(arms=arms, stages=("sft",), contexts=("plain",), doses=(0, 48), seeds=(0,))
    shown = printed(results)
    assert "\x1b" not in shown
    assert "[red]cleaned[/] <U+001B>[2J" in shown


def test_failures_warnings_and_empty_runs_are_told() -> None:
    full = synthetic(arms=(ArmTruth("a"),), stages=("sft",), doses=(0, 48), seeds=(0,))
    trouble = {"failures": [{"arm": "a", "dose": 16, "seed": 1, "reason": "out of memory"}], "warnings": ["slow disk"]}
    empty = Results.of(full.run.to_record() | trouble, full.readings.clear())
    shown = printed(empty)
    assert "failed: a, dose 16, seed 1: out of memory" in shown
    assert "warning: slow disk" in shown
    assert "No answer: the probe 'attack' has no readings." in shown
    assert "Thresholds" not in shown
