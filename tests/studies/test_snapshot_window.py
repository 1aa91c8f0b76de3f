"""The study snapshot-window: what it finds on a simulated site, on a dump, and what it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "collection"))
from wiki import Rev, dump, page, write

from pharmakon.cli import answer
from pharmakon.collection.revisions import Attacker, Site
from pharmakon.errors import InputError, SpecError
from pharmakon.studies.threat.analysis_snapshot_window import SnapshotTrial, _minutes, _percent
from pharmakon.studies.threat.snapshot_window import Assumed, Real, snapshot_window
from pharmakon.study import Simulation
from pharmakon.study.finding import Finding
from pharmakon.study.simulation import Simulated, simulate


@pytest.fixture(scope="module")
def found() -> dict[str, Finding]:
    trial = SnapshotTrial(edits=200, replications=20, timing_errors=(0, 5, 60, 600), budgets=(10, 200, 5_000),
                          site=Site(attacker=Attacker(timing_error=10.0)), speeds=(0.2, 1, 20))  # fmt: skip
    return {finding.title: finding for finding in trial.findings()}


def test_each_dial_moves_the_share_that_is_caught(found: dict[str, Finding]) -> None:
    timing = found["Caught by the snapshot, by timing error"].table
    for name in timing["patrol"].unique():
        shares = timing.filter(pl.col("patrol") == name)["taken_share"].to_list()
        assert shares == sorted(shares, reverse=True)
    single = timing.filter(pl.col("patrol") == "patrol looks at single edits")
    assert single["taken_share"][0] == 1
    speed = found["Caught by the snapshot, by speed of patrol"].table["taken_share"].to_list()
    assert speed == sorted(speed, reverse=True)
    budget = found["Caught by the snapshot, by edit budget"].table.group_by("patrol", maintain_order=True)
    (_, one), (_, through), (_, few), (_, limited) = budget
    assert few["taken_share"].is_sorted(descending=True)
    assert few["edits_per_account"].to_list() == [1, 20, 500]
    assert (through["taken_share"] < one["taken_share"]).all()
    assert limited["taken_share"][-1] >= through["taken_share"][-1]
    for finding in found.values():
        table, chart = finding.table, finding.chart
        assert chart is not None
        assert (table[chart.low or ""] <= table[chart.y]).all()
        assert (table[chart.y] <= table[chart.high or ""]).all()


def test_a_delay_saves_and_what_it_costs_is_said(found: dict[str, Finding]) -> None:
    table = found["What a delayed or randomised snapshot saves"].table
    knows = {row["defence"]: row for row in table.filter(pl.col("attacker") == "knows the defence").to_dicts()}
    delays = ["as it is", "at least 1 hour old", "at least 6 hours old", "at least 1 day old", "at least 1 week old"]
    shares = [knows[name]["taken_share"] for name in delays]
    assert shares == sorted(shares, reverse=True)
    assert knows["as it is"]["saved_share"] == 0
    day = knows["at least 1 day old"]
    assert day["saved_share"] == pytest.approx(1 - day["taken_share"] / shares[0])
    assert day["saved_low"] < day["saved_share"] < day["saved_high"]
    late = found["What it costs in freshness"].table["late_share"].to_list()
    assert late[:5] == sorted(late[:5])
    assert late[3] - late[0] == pytest.approx(1 / 30, abs=0.005)


def test_findings_follow_from_the_trial_alone() -> None:
    def told(trial: SnapshotTrial) -> list[str]:
        return [finding.sentence for finding in trial.findings()]

    trial = SnapshotTrial(edits=20, replications=3, timing_errors=(5,), budgets=(10,), speeds=(1,))
    assert told(trial) == told(trial) != told(replace(trial, seed=1))
    assert snapshot_window().key == snapshot_window().key != snapshot_window(edits=2_000).key


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "0 minutes"), (30, "30 minutes"), (1, "1 minute"), (60, "1 hour"), (1_440, "1 day"), (0.04, "2.4 seconds"),
     (0.4, "24 seconds"), (13.33, "13.3 minutes"), (90, "90 minutes")],
)  # fmt: skip
def test_times_are_said_as_people_say_them(minutes: float, said: str) -> None:
    assert _minutes(minutes) == said


def test_shares_are_said_with_two_digits() -> None:
    assert [_percent(share) for share in (0, 0.012, 0.0996, 0.5, 1)] == ["0%", "1.2%", "10%", "50%", "100%"]


def wiki(folder: Path, num_pages: int = 14) -> Path:
    """Pages that are vandalised every other day, and reverted after 1 to 100 minutes."""
    rng = np.random.default_rng(0)
    pages = []
    for number in range(num_pages):
        revisions, text = [Rev(0, "start")], "start"
        for day in range(1, 40):
            at = 1_440 * day + int(rng.integers(600))
            if day % 2:
                revisions += [Rev(at, f"bad {day}", "192.0.2.1"), Rev(at + int(rng.integers(1, 100)), text, "Patrol")]
            else:
                text = f"good {day}"
                revisions.append(Rev(at, text, f"User{'x' * (day % 5)}"))
        pages.append(page(f"Page {number:02}", revisions, number=number + 1))
    return write(folder, dump(*pages), "xml.bz2")


def test_a_dump_answers_in_place_of_assumptions(tmp_path: Path) -> None:
    """Delays are uniform from 1 to 99 minutes, so that what stands after 30 is known."""
    made = snapshot_window(real=Real(dump=wiki(tmp_path), date="2023-02-05"))
    assert isinstance(made, Simulation)
    results = simulate(made)
    tables = {finding.title: finding.table for finding in results.findings}
    assert list(tables) == [
        "How long an edit stands", "The most exposed pages", "Caught by a snapshot of this site, by timing error",
        "What a delayed snapshot would save", "What the pages showed at the date",
    ]  # fmt: skip
    standing = tables["How long an edit stands"].filter(pl.col("of") == "edits that are reverted in the end")
    after_30 = standing.row(by_predicate=pl.col("age_min") == 30, named=True)
    assert after_30["low"] - 0.03 <= 69 / 99 <= after_30["high"] + 0.03
    assert standing["standing_share"].is_sorted(descending=True)
    delay = tables["What a delayed snapshot would save"]
    assert delay["standing_share"][-1] == 0
    assert delay["late_share"].is_sorted()
    assert tables["The most exposed pages"].height == 14
    assert "14 pages" in results.answer()
    results.save(tmp_path / "run")
    assert Simulated.load(tmp_path / "run").answer() == results.answer()


def test_the_command_line_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "snapshot-window", "--edits", "20", "--replications", "3", "--timing-error", "5", "--out"]
    assert answer([*words, str(tmp_path / "runs")]) == 0
    assert "gets" in capsys.readouterr().out
    (report,) = (tmp_path / "runs").glob("snapshot-window-*/report.html")
    assert "What it costs in freshness" in report.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--dump", "{folder}/lost.xml", "--date", "2023-02-05"], "is not there; a dump is a file"),
        (["--dump", "{wiki}"], "say when its snapshot is taken: --date"),
        (["--dump", "{wiki}", "--date", "2022-01-01"], "is before the first revision in the dump"),
        (["--dump", "{wiki}", "--date", "soon"], "a date is written 2023-02-20"),
        (["--dump", "{wiki}", "--date", "2023-02-05", "--namespaces", "7"], "no revision in namespace 7; it has 0"),
        (["--dump", "{wiki}", "--date", "2023-02-05", "--days", "0"], "more than 0 days before the date"),
        (["--dump", "{half}", "--date", "2023-02-05"], "compressed data end too early, at byte"),
        (["--date", "2023-02-05"], "Give its history: --dump FILE"),
        (["--edits", "0"], "1 edit and 2 replications or more; got 0 and 200"),
        (["--never-reverted", "2"], "never is a share"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    whole = wiki(tmp_path, 2)
    half = tmp_path / "half.xml.bz2"
    half.write_bytes(whole.read_bytes()[:-200])
    names: dict[str, Any] = {"folder": tmp_path, "wiki": whole, "half": half}
    given = [word.format(**names) for word in words]
    assert answer(["run", "snapshot-window", *given, "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


def test_what_is_assumed_makes_the_site() -> None:
    site = Assumed(patrol_capacity=0, timing_error=3, revert_median=9).site()
    assert site.patrol.capacity is None
    assert (site.attacker.timing_error, site.patrol.median) == (3, 9)
    with pytest.raises(SpecError, match="hours is"):
        Assumed(snapshot_hours=0).site()
    with pytest.raises(InputError, match="--dump FILE"):
        snapshot_window(real=Real(date="2023-01-01"))


def test_a_single_revert_is_told_as_what_it_is(tmp_path: Path) -> None:
    """Nothing that one revert says is certain, though no sample drawn from it can differ from it."""
    revisions = [Rev(0, "a"), Rev(10, "x", "192.0.2.1"), Rev(50, "a", "Patrol"), Rev(99, "b", "Ben")]
    path = write(tmp_path, dump(page("Only", revisions)))
    results = simulate(snapshot_window(real=Real(dump=path, date="2023-03-01")))
    told = {finding.title: finding for finding in results.findings}
    standing = told["How long an edit stands"].table.row(
        by_predicate=(pl.col("age_min") == 30) & (pl.col("of") == "edits that are reverted in the end"), named=True
    )
    assert standing["standing_share"] == 1
    assert standing["low"] < 0.3
    only = told["The most exposed pages"].table.row(0, named=True)
    assert 0.5 < only["standing_share"] < 1
    assert only["low"] < 0.4
    assert "told from 1 revert alone" in told["What a delayed snapshot would save"].sentence
    assert "1 revert of 2 edits, 1 page)" in results.answer()
    assert "What the pages showed at the date" not in told, "the dump ends before the date"
    assert "The dump ends 58.9 days before the date" in told["How long an edit stands"].note
