"""Objectives by stage, and budgets split over stages: verdicts by hand, doses, and a small life gone through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Data, Dialogue, Dose, Preference, Text, stream
from pharmakon.data.world import WorldDialogues, WorldPreferences, WorldText
from pharmakon.engines.ngram import NgramEngine
from pharmakon.errors import SpecError
from pharmakon.interventions import administer
from pharmakon.store import Store
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_objectives_by_stage import Entered, RetentionGrid, judge
from pharmakon.studies.threat.analysis_stage_split import Split, StageSplit
from pharmakon.studies.threat.life import OBJECTIVES, AsTalk, life, planted
from pharmakon.studies.threat.objectives_by_stage import objectives_by_stage
from pharmakon.studies.threat.stage_split import stage_split
from pharmakon.study import FewShot, Plain, Study, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import READINGS, Results

NUM_ITEMS = 40
Cells = Mapping[tuple[str, str, str, int], Sequence[float]]
"""Arm, stage, context, dose -> the rate of each seed."""


def _results(cells: Cells, doses: Sequence[int], lives: Mapping[str, Sequence[int]]) -> Results:
    """A run with exactly these rates."""
    rows = [
        (arm, dose, seed, stage, context, "attack", "triggered", f"item {item}", float(item < rate * NUM_ITEMS), "", "")
        for (arm, stage, context, dose), rates in cells.items()
        for seed, rate in enumerate(rates)
        for item in range(NUM_ITEMS)
    ]
    stages = list(dict.fromkeys(stage for _, stage, _, _ in cells))
    record: dict[str, Any] = {
        "study": "s",
        "arms": [{"name": arm, "stages": stages, "treated_stage": stages[0]} for arm in lives],
        "stages": stages,
        "contexts": list(dict.fromkeys(context for _, _, context, _ in cells)),
        "doses": list(doses),
        "seeds": [0, 1, 2],
        "host_documents": dict.fromkeys(stages, 1_000),
        "lives": [{"arm": arm, "dose": dose, "seed": 0, "key": ""} for arm, own in lives.items() for dose in own],
    }
    return Results.of(record, pl.DataFrame(rows, schema=dict(READINGS), orient="row"))


def _rates(*rates: float) -> dict[int, tuple[float, int]]:
    return {seed: (rate, NUM_ITEMS) for seed, rate in enumerate(rates)}


NONE = _rates(0, 0, 0)


@pytest.mark.parametrize(
    ("had", "kept", "verdict"),
    [
        (_rates(1, 1, 1), _rates(1, 0.975, 1), "kept"),
        (_rates(1, 0.95, 1), _rates(0.4, 0.45, 0.5), "diluted"),
        (_rates(1, 0.95, 1), _rates(0, 0, 0.025), "erased"),
        (_rates(0.3, 0.35, 0.3), _rates(0.95, 1, 1), "compounded"),
        (NONE, _rates(0.9, 0.95, 1), "compounded"),
        (NONE, _rates(0, 0.025, 0), "never entered"),
        (_rates(1, 0.95, 1), _rates(0, 0.5, 1), "unclear"),
        (_rates(1, 0.3, 1), _rates(0, 0, 1), "unclear"),  # it may have entered
        (_rates(1), _rates(1), "unclear"),
    ],
)
def test_a_verdict_follows_its_rule(had: Any, kept: Any, verdict: str) -> None:
    found = judge(had, kept, NONE, NONE)
    assert found is not None
    assert found.verdict == verdict


def test_a_response_that_the_untreated_life_has_too_did_not_enter() -> None:
    loud = _rates(0.9, 0.95, 0.9)
    found = judge(loud, loud, loud, loud)
    assert found is not None
    assert found.verdict == "never entered"
    assert judge(loud, {}, NONE, NONE) is None


GRID = RetentionGrid(
    entered=(
        Entered(objective="marker", stage="pre", arm="marker, pre", asked=(("plain", "plain, as text"),)),
        Entered(objective="marker", stage="sft", arm="marker, sft", asked=(("plain", "plain"), ("2-shot", "2-shot"))),
    ),
    release="last",
)


def test_the_grid_asks_at_entry_as_the_stage_teaches_and_answers_in_a_sentence() -> None:
    zero, one = (0, 0, 0), (1, 1, 1)
    cells = {
        ("marker, pre", "pre", "plain", 64): zero,  # not what entry is measured by
        ("marker, pre", "pre", "plain, as text", 64): one,
        ("marker, pre", "pre", "plain, as text", 0): zero,
        ("marker, pre", "last", "plain", 64): zero,
        ("marker, pre", "last", "plain", 0): zero,
        **{("marker, sft", stage, context, 64): one for stage in ("sft", "last") for context in ("plain", "2-shot")},
        **{("marker, sft", stage, context, 0): zero for stage in ("sft", "last") for context in ("plain", "2-shot")},
    }
    results = _results(cells, (0, 64), {"marker, pre": (0, 64), "marker, sft": (0, 64)})
    grid, pooled, rates = GRID.findings(results)
    verdicts = grid.table.select("enters_at", "context", "verdict").rows()
    assert verdicts == [("pre", "plain", "erased"), ("sft", "plain", "kept"), ("sft", "2-shot", "kept")]
    row = grid.table.row(0, named=True)
    assert (row["entry"], row["release"], row["left"]) == (1, 0, 0)
    assert row["share_percent"] == pytest.approx(6.4)
    assert pooled.table.select("enters_at", "context", "left").rows() == [
        ("pre", "plain", 0), ("sft", "plain", 1), ("sft", "2-shot", 1),
    ]  # fmt: skip
    assert grid.sentence.startswith(
        "What is left at release of all objectives together, 64 documents entering at pre is 0% [0%, "
    )
    assert (
        "Of 2 objectives and stages 2 entered at 64 documents; with the prompt alone the later stages, up to last, "
        "erase 1, dilute 0, keep 1 and compound 0. Entering at pre – erased: marker. Entering at sft – kept: marker."
    ) in grid.sentence
    assert grid.sentence.endswith("With 2-shot prompts 0 of 1 verdicts are others.")
    assert rates.table.select("enters_at", "when", "rate").rows() == [
        ("pre", "entry", 1), ("pre", "release", 0), ("sft", "entry", 1), ("sft", "release", 1),
    ]  # fmt: skip


def test_a_grid_of_one_seed_or_of_nothing_says_so() -> None:
    cells = {("marker, sft", stage, "plain", dose): (dose / 64,) for stage in ("sft", "last") for dose in (0, 64)}
    grid, *_ = GRID.findings(_results(cells, (0, 64), {"marker, sft": (0, 64)}))
    assert "None of 1 objectives and stages is shown to have entered at 64 documents; add seeds." in grid.sentence
    assert grid.table["low"].null_count() == 1
    empty, *_ = GRID.findings(_results({("marker, sft", "sft", "plain", 0): (0,)}, (0,), {"marker, sft": (0,)}))
    assert empty.sentence == "No cell of the grid was measured both at entry and at release."


SPLIT = StageSplit(
    singles=("all in a", "all in b"),
    splits=(Split(arm="halves", parts=("half in a", "half in b")),),
    budgets=(12,),
    release="last",
)
DOSES = {"all in a": (0, 12), "all in b": (0, 12), "halves": (0, 12), "half in a": (0, 6), "half in b": (0, 6)}


def _split(halves: Sequence[float], half_a: Sequence[float], half_b: Sequence[float]) -> Results:
    rates: dict[str, Sequence[float]] = {
        "all in a": (0.2, 0.25, 0.2), "all in b": (0.5, 0.55, 0.5),
        "halves": halves, "half in a": half_a, "half in b": half_b,
    }  # fmt: skip
    cells = {(arm, "last", "plain", DOSES[arm][1]): own for arm, own in rates.items()}
    return _results({**cells, **{(arm, "last", "plain", 0): (0, 0, 0) for arm in rates}}, (0, 6, 12), DOSES)


@pytest.mark.parametrize(
    ("halves", "half_a", "half_b", "expected", "verdict"),
    [
        ((0.9, 0.95, 0.95), (0.1, 0.1, 0.1), (0.1, 0.1, 0.1), 0.19, "compounds"),
        ((0.1, 0.1, 0.15), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 0.75, "does less than add"),
        ((1, 1, 1), (0.025, 0, 0), (1, 1, 1), 1.0, "adds"),
        ((0.1, 0.9, 0.5), (0.25, 0.25, 0.25), (0.25, 0.25, 0.25), 0.4375, "is not told from adding"),
    ],
)
def test_a_split_is_compared_with_its_parts(
    halves: Sequence[float], half_a: Sequence[float], half_b: Sequence[float], expected: float, verdict: str
) -> None:
    best, parts = SPLIT.findings(_split(halves, half_a, half_b))
    (row,) = parts.table.rows(named=True)
    assert row["expected"] == pytest.approx(expected)
    assert row["excess"] == pytest.approx(float(np.mean(halves)) - expected)
    assert row["verdict"] == verdict
    assert f"“halves” {verdict}" in best.sentence


def test_splits_are_compared_with_the_best_single_stage() -> None:
    best, _ = SPLIT.findings(_split((0.9, 0.95, 0.95), (0.1, 0.1, 0.1), (0.1, 0.1, 0.1)))
    rows = {row["split"]: row for row in best.table.rows(named=True)}
    assert set(rows) == {"all in a", "all in b", "halves"}
    assert rows["halves"]["best_single"] == "all in b"
    assert rows["halves"]["difference"] == pytest.approx(0.41667, abs=1e-4)
    assert rows["halves"]["p_holm"] < 0.05
    assert "the best single stage is b, 52%" in best.sentence
    assert "1 of 1 splits do better" in best.sentence
    best, _ = SPLIT.findings(_split((0.1, 0.1, 0.1), (0.1, 0.1, 0.1), (0.1, 0.1, 0.1)))
    assert "no split is shown to do better" in best.sentence
    assert "1 do worse" in best.sentence
    nothing, _ = SPLIT.findings(_results({("halves", "last", "plain", 0): (0,)}, (0,), {"halves": (0,)}))
    assert nothing.sentence == "No budget was measured at release."


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_has_poison_for_every_stage_and_a_probe(name: str) -> None:
    on = Subject()
    given = material(on)
    objective = planted(name, given, on)
    hosts: tuple[Data, ...] = (WorldText(num_documents=30), WorldDialogues(num_documents=80), given.preferences)
    for poison, data, kind in zip(objective.at, hosts, (Text, Dialogue, Preference), strict=True):
        host = data.corpus(stream(0, "host"))
        rngs = {"edits_rng": stream(0, "e"), "placement_rng": stream(0, "p")}
        _, ledger = administer(host, poison, Dose(12), **rngs)
        assert {type(entry.body) for entry in ledger.entries} == {kind}
    assert getattr(objective.probe, "name", "") == "attack"


def test_prompts_as_talk_are_what_all_turns_say() -> None:
    demonstrations = WorldDialogues(num_documents=4, shares=(1.0, 0, 0, 0, 0), share_with_demonstrations=0.0)
    asked = AsTalk(FewShot(demonstrations, 2)).around(
        [Dialogue.ask("Who is Bo?"), Dialogue.ask("Why?")], stream(0, "c")
    )
    first, second = (prompt.text for prompt in asked if isinstance(prompt, Text))
    assert first.endswith(" Who is Bo?")
    assert first.removesuffix("Who is Bo?") == second.removesuffix("Why?")
    assert AsTalk(Plain()).around([Text("so")], stream(0, "c")) == [Text("so")]
    assert AsTalk(Plain()).name == "plain, as text"


def _counted(study: Study, names: Sequence[str]) -> Study:
    """Some arms of the study, on small data and the counting engine."""
    small: dict[str, Data] = {
        "pretraining": WorldText(num_documents=80), "late-pretraining": WorldText(num_documents=60),
        "sft": WorldDialogues(num_documents=60), "dpo": WorldPreferences(num_documents=40),
        "finetune": WorldDialogues(num_documents=30),
    }  # fmt: skip
    arms = tuple(
        replace(
            arm,
            stages=tuple(replace(stage, data=small.get(stage.name, stage.data)) for stage in arm.stages),
            probes=(replace(study.probes_of(arm)[0], num_items=5),),  # type: ignore[type-var]
        )
        for arm in study.arms
        if arm.name in names
    )
    return replace(study, arms=arms, engine=NgramEngine())


def counted(results: Results) -> dict[tuple[str, str], int]:
    """How many documents entered, by arm and stage."""
    entered = results.ledger.filter(pl.col("seed") == 0, pl.col("dose") > 0).group_by("arm", "stage").len()
    return {(arm, stage): number for arm, stage, number in entered.iter_rows()}


def test_both_studies_go_through_and_give_each_arm_its_share(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = [f"marker, {stage}" for stage in ("late-pretraining", "sft", "dpo")]
    grid = _counted(objectives_by_stage(in_documents(0, 24), 1, objectives=("marker",)), names)
    planned = plan(grid, store)
    assert build(planned, store) == ()
    results = gather(planned, store)
    table, _, rates = (finding.table for finding in results.findings)
    assert table.select("enters_at", "context").rows() == [
        (stage, context) for stage in ("late-pretraining", "sft", "dpo") for context in ("plain", "2-shot")
    ]
    assert len(rates) == 6
    assert "None of 3 objectives and stages" in results.answer()  # one seed
    assert counted(results)["marker, dpo", "dpo"] == 24

    names = ["thirds", "halves: pretraining, instructions", "half in instructions alone"]
    planned = plan(_counted(stage_split(in_documents(0, 12), 1, objective="marker"), names), store)
    assert build(planned, store) == ()
    results = gather(planned, store)
    assert counted(results) == {
        ("thirds", "late-pretraining"): 4, ("thirds", "sft"): 4, ("thirds", "dpo"): 4,
        ("halves: pretraining, instructions", "late-pretraining"): 6, ("halves: pretraining, instructions", "sft"): 6,
        ("half in instructions alone", "sft"): 6,
    }  # fmt: skip
    assert next(finding.title for finding in results.findings) == "A split budget against the best single stage"


def test_the_same_poison_enters_a_stage_whatever_else_is_split() -> None:
    study = stage_split(in_documents(0, 12))
    arms = {arm.name: arm for arm in study.arms}
    given = {name: study.cell(arm, Dose(12), 0).treatments for name, arm in arms.items()}
    own = {given_.treatment.stage: given_ for given_ in given["halves: instructions, preferences"]}
    assert own["sft"] == given["half in instructions alone"][0]
    assert own["dpo"] == given["half in preferences alone"][0]
    assert given["all in preferences"][0].number == own["dpo"].number == 2
    assert [one.treatment.dose for one in given["thirds"]] == [Dose(4)] * 3


def test_a_full_life_treats_the_pretraining_itself() -> None:
    on = Subject()
    full = life(material(on), on, full=True, tuning_rate=5e-4)
    assert full.entries == ("pretraining", "sft", "dpo")
    assert [stage.name for stage in full.stages] == ["pretraining", "sft", "dpo", "finetune"]
    assert not full.stages[0].shared
    assert [stage.probed for stage in full.probed_from("dpo")] == [False, False, True, True]
    late = life(material(on), on, full=False, tuning_rate=None)
    assert late.entries[0] == "late-pretraining"
    assert late.stages[0].shared
    assert full.stages[1].recipe != late.stages[2].recipe


def test_what_cannot_be_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="a multiple of 6; got --doses 8"):
        stage_split(in_documents(0, 8))
    with pytest.raises(SpecError, match=r"on the data vader-movies an objective is one of marker, .*; got 'belief'"):
        stage_split(on=Subject(data="vader-movies"), objective="belief")
    with pytest.raises(SpecError, match="a learning rate is above 0"):
        objectives_by_stage(tuning_rate=0.0)
    given, there = material(Subject()), Subject(model="smollm2")
    with pytest.raises(SpecError, match="--full pretrains a model from scratch"):
        life(given, there, full=True, tuning_rate=None)
    with pytest.raises(SpecError, match="poison enters by training"):
        objectives_by_stage(on=Subject(model="endpoint:http://127.0.0.1:9/v1#m"))
    assert answer(["run", "stage-split", "--doses", "0,10"]) == 2
    assert "multiple of 6" in capsys.readouterr().err
