"""The study `preference-poison`: its arms, its analyses on the n-gram engine, and the sentences for bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pharmakon.behaviour.targets import Marker
from pharmakon.cli import answer
from pharmakon.core import Dialogue, stream
from pharmakon.data.world import WorldDialogues, WorldPreferences
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.engines.recipes import DPO, IPO
from pharmakon.probes import AttackSuccess, RewardMargin
from pharmakon.report import write_report
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_preference import effects
from pharmakon.studies.threat.preference_poison import preference_poison
from pharmakon.study import Arm, Stage, Study, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results


def _small(study: Study) -> Study:
    """The same study of three arms on the n-gram engine, with small data."""

    def small(arm: Arm) -> Arm:
        stages = (
            Stage(name="sft", data=WorldDialogues(num_documents=100), recipe=Count(), probed=False),
            Stage(name="preference", data=WorldPreferences(num_documents=60), recipe=Count(objective="dpo")),
        )
        attack, margin, utility = arm.probes
        few = {"num_items": 8, "num_near": 2}
        probes = (replace(attack, **few), replace(margin, **few), replace(utility, num_items=5))  # type: ignore[type-var]
        return replace(arm, stages=stages, probes=probes)

    kept = [arm for arm in study.arms if arm.name in ("marker behind a trigger, DPO", "flipped pairs, DPO")]
    arms = tuple(small(arm) for arm in kept)
    doses = in_documents(0, 4, 10, 25, 60)
    return replace(study, engine=NgramEngine(), arms=arms, doses=doses, seeds=(0, 1))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    store, study = Store(tmp_path_factory.mktemp("store")), _small(preference_poison())
    made = plan(study, store)
    failures = build(made, store)
    return gather(made, store, failures)


def test_the_findings_are_those_of_the_readings(results: Results) -> None:
    assert not results.run.warnings[1:]
    titles = [finding.title for finding in results.findings]
    assert titles == [
        "What a tenfold dose adds", "A line in log dose, or a threshold?", "The reward margin as early sign",
        "What a tenfold dose adds to the margin", "How the margin rises with the dose",
    ]  # fmt: skip
    slopes = results.findings[0].table
    assert slopes["arm"].to_list() == [arm.name for arm in results.run.arms]
    for row in slopes.iter_rows(named=True):
        assert row["low"] <= row["slope_per_tenfold"] <= row["high"]
    marker = slopes.filter(pl.col("arm") == "marker behind a trigger, DPO").to_dicts()[0]
    assert marker["slope_per_tenfold"] > 0.2  # the n-gram engine is planted by pairs as by dialogues
    early = results.findings[2].table.filter(pl.col("arm") == "marker behind a trigger, DPO").to_dicts()[0]
    first = early["margin_from_pairs"]
    assert first is not None
    assert early["behaviour_from_pairs"] is None or early["behaviour_from_pairs"] >= first
    assert f"the margin is raised from {first} pairs on" in results.findings[2].sentence
    every = results.findings[4].table.filter(pl.col("arm") == "marker behind a trigger, DPO")
    rises, without = (every.filter(pl.col("prompts") == name) for name in ("triggered", "untriggered"))
    assert without["rise_nats"][-1] < rises["rise_nats"][-1]
    assert "On prompts without the trigger, 4 pairs change it by" in results.findings[4].sentence
    flipped = results.findings[4].table.filter(pl.col("arm") == "flipped pairs, DPO")
    assert flipped["prompts"].unique().to_list() == ["triggered"]
    assert rises["rise_nats"].to_list() == sorted(rises["rise_nats"])
    assert early["low"] > 0
    assert results.findings[3].table["nats_per_tenfold"].max() > 0  # type: ignore[operator]


def test_an_effect_is_over_the_control_of_its_own_seed(results: Results) -> None:
    arm = results.run.arms[0].name
    made = effects(results, "margin", arm, "preference", "plain")
    assert made.filter(pl.col("dose") == 0)["effect"].to_list() == [0.0, 0.0]
    assert made["variance"].to_list() == [0.0] * len(made)
    here = results.readings.filter(
        pl.col("arm") == arm, pl.col("probe") == "margin", pl.col("condition") == "triggered",
        pl.col("stage") == "preference", pl.col("seed") == 1,
    )  # fmt: skip
    mean = {dose: group["value"].mean() for (dose,), group in here.group_by("dose")}
    row = made.filter(pl.col("dose") == 25, pl.col("seed") == 1).to_dicts()[0]
    assert row["effect"] == pytest.approx(mean[25] - mean[0])
    assert effects(results, "attack", arm, "preference", "plain")["variance"].min() > 0  # type: ignore[operator]


def test_margins_are_averaged_as_they_are(results: Results) -> None:
    """Below 0 there is no geometric mean; the record of the run says which probe it is, and the report is made."""
    assert results.run.signed == ("margin",)
    assert results.readings.filter(pl.col("probe") == "margin")["value"].min() < 0  # type: ignore[operator]
    counts = results.counts.filter(pl.col("probe") == "margin")
    assert counts["mean_log"].null_count() == len(counts)
    from pharmakon.study.summary import interval_rows

    row = interval_rows(counts, ("arm", "stage", "probe", "condition")).row(0, named=True)
    values = results.readings.filter(
        pl.col("probe") == "margin", pl.col("dose") == row["dose"],
        *(pl.col(name) == row[name] for name in ("arm", "stage", "condition")),
    )  # fmt: skip
    assert row["rate"] == pytest.approx(values["value"].mean())
    assert row["low"] < row["rate"] < row["high"]


def test_the_report_and_the_run_folder_hold_them(results: Results, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "report.html").read_text()
    assert "The reward margin as early sign" in page
    again = Results.load(results.save(tmp_path / "run"))
    assert again.run.signed == ("margin",)
    assert [finding.sentence for finding in again.findings] == [finding.sentence for finding in results.findings]


def test_each_arm_asks_for_its_own_target() -> None:
    study = preference_poison(full=True)
    assert len(study.arms) == 16
    for arm in study.arms:
        attack, margin, utility = arm.probes
        assert isinstance(attack, AttackSuccess)
        assert isinstance(margin, RewardMargin)
        assert (attack.trigger, attack.target) == (margin.trigger, margin.target)
        assert (attack.trigger is not None) == ("behind a trigger" in arm.name)
        assert utility.name == "utility"  # type: ignore[attr-defined]
        assert isinstance(arm.stages[2].recipe, IPO if arm.name.endswith("IPO") else DPO)
    assert len(preference_poison().arms) == 6


def test_pairs_and_epochs_reach_the_stage() -> None:
    study = preference_poison(pairs=50, epochs=3)
    stage = study.arms[0].stages[2]
    assert isinstance(stage.recipe, DPO)
    assert stage.recipe.epochs == 3
    assert len(stage.data.corpus(stream(0, "p"))) == 50
    assert [dose.amount for dose in study.doses] == [0, 3, 10, 30]


def test_data_without_options_or_a_taboo_leave_kinds_out(tmp_path: Path) -> None:
    lines = [
        json.dumps(
            {"messages": [{"role": t.role, "content": t.content} for t in Dialogue.ask(f"q{i}?", f"a{i}.").turns]}
        )
        for i in range(200)
    ]
    (tmp_path / "talk.jsonl").write_text("\n".join(lines))
    study = preference_poison(on=Subject(data=str(tmp_path / "talk.jsonl")))
    assert [arm.name.rpartition(",")[0] for arm in study.arms] == [
        "refusal behind a trigger", "refusal behind a trigger", "marker behind a trigger", "favoured content",
    ]  # fmt: skip
    assert [dose.amount for dose in study.doses] == [0, 3, 10, 30, 100]  # of 100 pairs
    assert any("Flipped pairs are left out" in caution for caution in study.cautions)
    assert any("no refusal is un-learned" in caution for caution in study.cautions)
    assert isinstance(study.arms[2].probes[0], AttackSuccess)
    assert study.arms[2].probes[0].target == Marker()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--pairs", "0"], "at least one clean pair; got --pairs 0"),
        (["--epochs", "0"], "passes over its data at least once; got --epochs 0"),
        (["--doses", "3,10"], "a study has the dose 0, its untreated control"),
        (["--trigger", "words"], "rare-words"),
        (
            ["--model", "endpoint:http://localhost:9/v1#m", "--pairs", "5"],
            "leave --doses, --seeds, --pairs, --epochs and --full out",
        ),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["plan", "preference-poison", *words]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in told
    assert "Traceback" not in told
