"""The studies of retention and of scrubbing: their lives, and what they say of readings whose truth is known."""

from __future__ import annotations

from itertools import product

import polars as pl
import pytest

from pharmakon.errors import SpecError
from pharmakon.interventions import OwnershipMark
from pharmakon.probes import Ownership
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_ownership_retention import Changed, StillProved
from pharmakon.studies.trust.ownership_power import NUM_KEYS
from pharmakon.studies.trust.ownership_retention import ownership_retention
from pharmakon.studies.trust.ownership_scrub import ownership_scrub
from pharmakon.study.results import Results


def test_each_kind_meets_each_later_stage_on_one_shared_start() -> None:
    study = ownership_retention()
    later = {arm.stages[-1].name for arm in study.arms}
    tuned = {"finetune", "dpo", "other instructions", "averaged", "8 bits"}
    assert later == tuned | {"more text", "instruction tuning"}
    assert {arm.stages[-1].name for arm in study.arms if arm.name.startswith("trigger")} == tuned
    assert len(study.arms) == 14
    assert len({arm.stages[0] for arm in study.arms}) == 1
    for arm in study.arms:
        mark, probe = arm.treatments[0].intervention, arm.probes[0]
        assert isinstance(mark, OwnershipMark)
        assert isinstance(probe, Ownership)
        assert mark.among == probe.among == NUM_KEYS  # each life draws its key, and is asked for that one
        assert arm.treatments[0].stage in {stage.name for stage in arm.stages[:-1]}


def test_a_model_that_is_not_trained_is_refused() -> None:
    with pytest.raises(SpecError, match="pharmakon verify"):
        ownership_retention(on=Subject(model="smollm2", probe_only=True))
    with pytest.raises(SpecError, match="--share 1"):
        ownership_scrub(share=1.0)


def _readings(after: float) -> pl.DataFrame:
    rows = []
    for seed, dose, stage in product(range(3), (0, 64), ("sft", "finetune")):
        learned = 0.0 if not dose else after if stage == "finetune" else 1.0
        p = 10.0 ** (-18 * learned)
        place = {"arm": "a", "dose": dose, "seed": seed, "stage": stage, "context": "plain", "prompt": ""}
        whole = {**place, "probe": "ownership", "condition": "triggered", "item": "all marks"}
        rows.append({**whole, "value": float(p <= 1e-6), "answer": f"{p:.6g}"})
        for mark in range(16):
            one = {**place, "probe": "ownership", "condition": "drawn", "item": f"m{mark}", "answer": "1"}
            rows.append({**one, "value": float(mark < 16 * learned)})
        for item in range(50):
            right = float(item < 40)
            one = {**place, "probe": "utility", "condition": "facts", "item": str(item), "value": right, "answer": ""}
            rows.append(one)
    return pl.DataFrame(rows)


@pytest.mark.parametrize(("after", "proved"), [(1.0, 3), (0.5, 3), (0.0, 0)])
def test_what_is_left_is_counted(after: float, proved: int) -> None:
    run = {
        "study": "s", "arms": [{"name": "a", "stages": ["sft", "finetune"], "treated_stage": "sft"}],
        "stages": ["sft", "finetune"], "contexts": ["plain"], "doses": [0, 64], "seeds": [0, 1, 2],
        "response": "ownership",
    }  # fmt: skip
    results = Results.of(run, _readings(after))
    change = Changed(kind="trigger", later="finetune", before="sft", arm="a")
    first, utility = StillProved(changes=(change,)).findings(results)
    row = first.table.row(0, named=True)
    assert (row["lives"], row["proved_before"], row["proved_after"]) == (3, 3, proved)
    assert row["left"] == pytest.approx(after)
    assert row["low"] <= after <= row["high"]
    assert row["log10_p_before"] == pytest.approx(-18)
    assert f"64 trigger marks are proved in 3 of 3 lives before, in {proved} after finetune" in first.sentence
    assert utility.table["change_points"].to_list() == [0.0]
    assert utility.table["status"].to_list() == ["undecided"]  # 50 questions cannot show a point
