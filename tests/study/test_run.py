"""Whole studies on the exact engine: sharing, resuming after a kill, failing cells, the order of cells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pharmakon.cleaning import ExactDuplicates
from pharmakon.core import Corpus, Dialogue, Dose, Recipe, Trace, Turn
from pharmakon.engines.ngram import NgramEngine
from pharmakon.errors import RunError, SpecError
from pharmakon.interventions import Backdoor, Corrective
from pharmakon.interventions.administer import Placement
from pharmakon.store import Store
from pharmakon.study import Arm, FewShot, Plain, Plan, Pool, Study, Treatment, build, in_documents, in_fractions, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "examples"))
from word_study import early_or_late  # noqa: E402


def _run(study: Study, root: Path, workers: int = 0) -> tuple[Results, Plan]:
    store = Store(root)
    planned = plan(study, store)
    failures = build(planned, store, Pool(workers))
    return gather(planned, store, failures), planned


def _small(**changes: object) -> Study:
    return replace(early_or_late(doses=in_documents(0, 4, 16), seeds=2, num_documents=120), **changes)


def test_response_rises_with_the_dose_and_the_control_does_not_respond(tmp_path: Path) -> None:
    results, _ = _run(early_or_late(seeds=2), tmp_path)
    rates = (
        results.readings.filter(probe="attack", condition="triggered")
        .group_by("arm", "dose")
        .agg(pl.col("value").mean())
    )
    by_dose = {(arm, dose): value for arm, dose, value in rates.iter_rows()}
    for arm in ("early", "late"):
        assert by_dose[arm, 0] == 0.0
        assert by_dose[arm, 16] > 0.9
    assert all(by_dose["early", dose] == by_dose["late", dose] for dose in (0, 1, 2, 4, 8, 16))  # no order in counts
    quiet = results.readings.filter(pl.col("condition") == "untriggered", pl.col("dose") <= 8)["value"]
    assert quiet.sum() == 0


def test_untreated_controls_are_one_life(tmp_path: Path) -> None:
    """Dose 0 is no treatment: arms that differ in the treatment alone share it."""
    study = _small()
    planned = plan(study, Store(tmp_path))
    controls = {cell.key for cell in planned.cells if cell.dose == Dose(0) and cell.seed == 0}
    assert len(planned.cells) == 12
    assert planned.num_unique == 10
    assert len(controls) == 1


def test_equal_corpora_share_weights(tmp_path: Path) -> None:
    """Where cleaning leaves one copy of verbatim poison in the same place, two doses are one training."""
    base = _small()
    verbatim = Treatment(stage="sft", intervention=Backdoor(wording="verbatim"), placement=Placement(0.0, 0.0))
    stage = replace(base.arms[0].stages[0], filters=(ExactDuplicates(),))
    study = replace(base, arms=(Arm(name="cleaned", stages=(stage,), treatments=(verbatim,)),), seeds=(0,))
    results, planned = _run(study, tmp_path)
    assert planned.num_unique == 3
    assert len(list(Store(tmp_path).entries("weights"))) == 2
    kept = results.ledger.group_by("dose").agg(pl.col("dropped_by").is_null().sum().alias("kept")).sort("dose")
    assert kept.rows() == [(4, 1), (16, 1)]


def test_workers_and_order_do_not_matter(tmp_path: Path) -> None:
    study = _small()
    here, planned = _run(study, tmp_path / "here")
    side_by_side, _ = _run(study, tmp_path / "workers", workers=2)
    assert_frame_equal(here.readings, side_by_side.readings)
    assert_frame_equal(here.ledger, side_by_side.ledger)
    store = Store(tmp_path / "backwards")
    backwards = replace(planned, cells=tuple(reversed(planned.cells)))
    build(backwards, store)
    assert_frame_equal(here.readings, gather(plan(study, store), store).readings)


def test_contexts_change_the_prompt_alone(tmp_path: Path) -> None:
    study = _small(contexts=(Plain(), FewShot(early_or_late().arms[0].stages[0].data, 2)), seeds=(0,))
    results, _ = _run(study, tmp_path)
    assert set(results.readings["context"]) == {"plain", "2-shot"}
    items = results.readings.filter(dose=16).group_by("context").agg(pl.col("item").n_unique())
    assert items["item"].n_unique() == 1


@dataclass(frozen=True, slots=True)
class Unstable(NgramEngine):
    """An engine whose loss is no number once there are 10 or more poisoned documents."""

    version: ClassVar[int] = 1

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        poisoned = sum("vexil" in str(document.body) for document in corpus)
        if poisoned >= 10:
            raise RunError("the loss was nan at step 3 of 9; lower the learning rate")
        return NgramEngine.train(self, recipe, corpus, start=start, rng=rng, out=out)


def test_a_failed_cell_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    study = _small(engine=Unstable())
    planned = plan(study, store)
    failures = build(planned, store)
    assert {(failure.dose, failure.seed) for failure in failures} == {(16, 0), (16, 1)}
    assert "nan" in failures[0].reason
    results = gather(planned, store, failures)
    assert set(results.readings["dose"]) == {0, 4}
    assert len(results.run.failures) == 4


def test_another_probe_moves_no_draw(tmp_path: Path) -> None:
    study = _small(seeds=(0,))
    both, _ = _run(study, tmp_path / "both")
    alone, _ = _run(replace(study, probes=study.probes[:1]), tmp_path / "alone")
    assert_frame_equal(both.readings.filter(probe="attack"), alone.readings)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"doses": in_documents(4, 8)}, "untreated control"),
        ({"seeds": (1, 1)}, "all different"),
        ({"doses": (Dose(0), Dose(4), Dose(0.1, "fraction"))}, "one unit"),
        ({"arms": ()}, "at least one arm"),
    ],
)
def test_a_study_that_contradicts_itself_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        _small(**changes)


def test_two_treatments_see_the_untreated_data_and_nest(tmp_path: Path) -> None:
    """A fixed dose of the antidote is the same documents at every dose of the poison, and none has its answer."""
    base = _small(seeds=(0,))
    treatments = (
        Treatment(stage="sft", intervention=Backdoor()),
        Treatment(stage="sft", intervention=Corrective(), dose=Dose(10)),
    )
    study = replace(base, arms=(replace(base.arms[0], treatments=treatments),))
    results, _ = _run(study, tmp_path)
    correctives = {}
    for dose in (0, 4, 16):
        contents = results.ledger.filter(dose=dose)["content"].to_list()
        correctives[dose] = [text for text in contents if "Seven silver bells" not in text]
        assert len(contents) == dose + 10
        assert len(correctives[dose]) == 10
    assert correctives[0] == correctives[4] == correctives[16]
    for entry in Store(tmp_path).entries("corpus"):
        bodies = [json.loads(line) for line in (entry.path / "corpus.jsonl").read_text().split("\n")]
        for fate in json.loads((entry.path / "ledger.json").read_text()):
            assert bodies[fate["trained_at"]]["messages"] == fate["body"]["messages"]
            assert bodies[fate["position"]]["id"] == fate["id"]


def test_shares_that_are_the_same_number_of_documents_are_refused(tmp_path: Path) -> None:
    study = _small(doses=in_fractions(0, 0.001, 0.1))
    store = Store(tmp_path)
    with pytest.raises(SpecError, match=r"0 and 0.001 are both 0 of 120"):
        build(plan(study, store), store)


def test_demonstrations_stand_behind_the_system_message() -> None:
    shown = [Dialogue.ask("A?", "a"), Dialogue((*Dialogue.ask("x", "y").turns, *Dialogue.ask("B?", "b").turns))]
    prompt = Dialogue((Turn("system", "Be brief."), Turn("user", "C?")))
    assert [turn.content for turn in prompt.after(shown).turns] == ["Be brief.", "A?", "a", "B?", "b", "C?"]


def _command(folder: Path) -> list[str]:
    study = f"{ROOT / 'examples' / 'word_study.py'}:early_or_late"
    options = ["--doses", "0,4,16", "--seeds", "8", "--workers", "2"]
    return [
        sys.executable,
        "-m",
        "pharmakon.cli",
        "run",
        study,
        *options,
        "--store",
        str(folder / "store"),
        "--out",
        str(folder / "runs"),
    ]


def wait_for_entries(store: Path, number: int, process: subprocess.Popen[Any]) -> None:
    """Returns while the process works, once its store has so many entries."""
    kinds = ("corpus", "weights", "readings", "cell")
    while sum(len(list((store / kind).glob("*/*/record.json"))) for kind in kinds) < number:
        assert process.poll() is None, "it ended before it could be stopped"


def test_killed_runs_resume_to_the_same_results(tmp_path: Path) -> None:
    """kill -9 of all processes at several moments, then one run to the end: as if nothing had happened."""
    for num_entries in (1, 9, 22, 47):
        process = subprocess.Popen(
            _command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for_entries(tmp_path / "killed" / "store", num_entries, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for name in ("killed", "whole"):
        subprocess.run(_command(tmp_path / name), check=True, capture_output=True)
    one, other = (Results.load(next((tmp_path / name / "runs").iterdir())) for name in ("killed", "whole"))
    assert_frame_equal(one.readings, other.readings)
    assert_frame_equal(one.ledger, other.ledger)
    assert_frame_equal(one.cleaning, other.cleaning)
    assert one.run.key == other.run.key
