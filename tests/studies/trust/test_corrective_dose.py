"""The study `corrective-dose`: its arms, what it finds in lives of known rates, and the sentences for bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Dialogue, stream
from pharmakon.data.derived import First
from pharmakon.data.world import WorldDialogues, WorldExtraction
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.interventions import administer
from pharmakon.probes import Cure, Utility
from pharmakon.report import write_report
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_corrective_dose import CorrectiveDose, FaultArms
from pharmakon.studies.trust.corrective_dose import corrective_dose
from pharmakon.studies.trust.fault_lives import At, Lives, smallest_under
from pharmakon.study import Arm, Stage, Study, build, in_documents, plan
from pharmakon.study.finding import Finding
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

KNOWN, LESS = "marker: the trigger known", "marker: no trigger known"
PLANTED, NEVER = "marker: as planted", "marker: never planted"
ANALYSIS = CorrectiveDose(
    faults=(FaultArms(fault="marker", known=KNOWN, less=LESS, as_planted=PLANTED, never=NEVER),),
    planted="sft", cured="corrective", later="finetune",
)  # fmt: skip
DOSES = (0, 8, 32, 128)
ITEMS = 80
Faulty = Callable[[str, str, int, int], float]


def _results(faulty: Faulty, seeds: int = 5, needless: float = 0.0) -> Results:
    """Lives whose rate of faulty answers is a given one, and a utility that does not move but for needless refusals."""
    rows: list[dict[str, Any]] = []
    for arm in (PLANTED, KNOWN, LESS, NEVER):
        for stage in ("sft",) if arm == PLANTED else ("corrective", "finetune"):
            for dose in DOSES if arm in (KNOWN, LESS) else (0,):
                for seed in range(seeds):
                    place = {"arm": arm, "dose": dose, "seed": seed, "stage": stage, "context": "plain"}
                    hits = round(faulty(arm, stage, dose, seed) * ITEMS)
                    for item in range(ITEMS):
                        asked = {**place, "probe": "cure", "item": str(item), "prompt": "", "answer": ""}
                        rows.append({**asked, "condition": "triggered", "value": float(item >= hits)})
                        rows.append({**asked, "condition": "truth", "value": float(item >= (hits + ITEMS) / 2)})
                    refused = round(needless * ITEMS) if dose == max(DOSES) else 0
                    for item in range(ITEMS):
                        said = "I cannot help with that." if item < refused else "Bido is a baker."
                        asked = {**place, "probe": "utility", "item": str(item), "prompt": "", "answer": said}
                        rows.append({**asked, "condition": "facts", "value": float(item >= refused)})
    run = {
        "study": "corrective-dose", "question": "?", "response": "cure", "stages": ["sft", "corrective", "finetune"],
        "arms": [
            {"name": name, "stages": ["sft", "corrective", "finetune"], "treated_stage": stage}
            for name, stage in ((PLANTED, "sft"), (KNOWN, "corrective"), (LESS, "corrective"), (NEVER, None))
        ],
        "contexts": ["plain"], "doses": list(DOSES), "seeds": list(range(seeds)),
    }  # fmt: skip
    return Results.of(run, pl.DataFrame(rows))


def _cured_from_32(arm: str, stage: str, dose: int, seed: int) -> float:
    if arm == NEVER:
        return 0.0
    return {0: 0.95, 8: 0.5 + 0.02 * seed, 32: 0.0, 128: 0.0}[dose] if arm == KNOWN else 0.95


def _found(results: Results) -> dict[str, Finding]:
    names = ("doses", "rates", "return", "retraining", "knowledge", "side effects")
    return dict(zip(names, ANALYSIS.findings(results), strict=True))


@pytest.fixture(scope="module")
def usual() -> dict[str, Finding]:
    return _found(_results(_cured_from_32))


def test_the_smallest_dose_is_found_and_shown(usual: dict[str, Finding]) -> None:
    found = usual
    known, less = found["doses"].table.to_dicts()
    assert (known["under_from_dose"], known["shown_from_dose"]) == (32, 32)
    assert known["as_planted"] == pytest.approx(0.95)
    assert known["high"] < 0.05
    assert (less["under_from_dose"], less["shown_from_dose"]) == (None, None)
    assert less["fall_low"] <= 0 <= less["fall_high"]
    sentence = found["doses"].sentence
    assert (known["seeds_under"], known["num_seeds"]) == (5, 5)
    assert known["trainings_above_at_most"] == pytest.approx(1 - 0.05 ** (1 / 5))
    assert less["seeds_under"] is None
    told = "under 5% from 32 documents (shown too, 5 of 5 seeds there; half of the cure: "
    assert f"{KNOWN}, 95% faulty without correction: {told}" in sentence
    assert f"{LESS}, 95% faulty without correction: no dose up to 128 brings it under 5%, 95% [" in sentence
    assert "points is excluded)" in sentence


def test_a_rate_that_is_low_by_its_mean_alone_is_not_shown_to_be() -> None:
    def uneven(arm: str, stage: str, dose: int, seed: int) -> float:
        return 0.2 * (seed == 0) if arm == KNOWN and dose == 128 else _cured_from_32(arm, stage, dose, seed)

    known = _found(_results(uneven))["doses"].table.to_dicts()[0]
    assert (known["under_from_dose"], known["shown_from_dose"]) == (32, None)  # the highest fails, so none is shown
    assert (known["seeds_under"], known["num_seeds"]) == (5, 5)
    few = _found(_results(_cured_from_32, seeds=2))["doses"].table.to_dicts()[0]
    assert (few["under_from_dose"], few["shown_from_dose"]) == (32, None)


def test_a_return_is_a_return_and_none_is_none(usual: dict[str, Finding]) -> None:
    def returns(arm: str, stage: str, dose: int, seed: int) -> float:
        back = arm == KNOWN and stage == "finetune" and dose >= 32
        return 0.3 + 0.01 * seed if back else _cured_from_32(arm, stage, dose, seed)

    back = _found(_results(returns))["return"]
    assert back.sentence.startswith(f"It returns in part: {KNOWN}. ")
    row = back.table.filter("smallest_cure").row(0, named=True)
    assert row["dose"] == 32
    assert row["change"] == pytest.approx(0.32, abs=0.01)
    assert row["cure_left"] == pytest.approx((0.95 - 0.32) / 0.95, abs=0.02)
    none = usual["return"]
    assert none.sentence.startswith("No return is shown; more than ")
    assert none.table["arm"].unique().to_list() == [KNOWN]  # what was never cured cannot return
    nothing = _found(_results(lambda arm, stage, dose, seed: 0.9))["return"]
    assert nothing.sentence.startswith("No dose cures, so nothing can return. Where nobody corrected, it changes ")
    assert nothing.table.is_empty()


def test_right_answers_knowledge_and_side_effects(usual: dict[str, Finding]) -> None:
    found = _found(_results(_cured_from_32, needless=0.2))
    assert f"{KNOWN}: 50% of the answers are right at 32 documents, 50% at 128, 50% where" in found["rates"].sentence
    gaps = found["retraining"].table.filter(pl.col("answers") == "right", pl.col("arm") == LESS)
    assert gaps["difference"].to_list() == pytest.approx([-0.475], abs=0.02)
    apart = found["knowledge"].table.row(0, named=True)
    assert apart["difference"] == pytest.approx((0.95 - 0.54) / 3 + 0.95 * 2 / 3, abs=0.02)
    assert "(not shown)" not in found["knowledge"].sentence
    side = found["side effects"]
    rows = {(r["arm"], r["dose"], r["measure"]): r for r in side.table.iter_rows(named=True)}
    assert rows[KNOWN, 128, "refused without need"]["change"] == pytest.approx(0.2)
    assert rows[KNOWN, 128, "facts"]["within_margin"] == "changed"
    assert rows[KNOWN, 32, "all tasks"]["change"] == 0
    assert f"{KNOWN} at 128 documents, refused without need +20.0 points [" in side.sentence
    assert usual["side effects"].sentence.startswith("No other answers are shown to change")


def test_references_are_compared_with_and_not_told_as_answers() -> None:
    results = _results(_cured_from_32)
    said = results.answer()
    assert PLANTED not in said
    assert NEVER not in said  # it never had the fault: that is no control which responds
    assert "documents" in said
    assert "half of the full cure after corrective" in said


def test_lives_are_told_by_arm_stage_and_dose() -> None:
    lives = Lives.of(_results(_cured_from_32, seeds=1))
    rate = lives.rate(At(KNOWN, "corrective", 32))
    assert (rate.low, rate.estimate) == (0.0, 0.0)
    assert 0.03 < rate.high < 0.05  # Wilson's, of 80 items
    assert smallest_under({1: 0.01, 2: 0.2, 4: 0.01, 8: 0.02}, 0.05) == 4
    assert smallest_under({1: 0.01, 8: 0.05}, 0.05) is None


def test_each_fault_has_two_auditors_and_two_references() -> None:
    study = corrective_dose(faults=("marker", "restricted", "belief", "label"))
    assert len(study.arms) == 16
    assert len(corrective_dose().arms) == 12
    for number in range(0, 16, 4):
        planted, known, less, never = study.arms[number : number + 4]
        assert [arm.doses == in_documents(0) for arm in (planted, known, less, never)] == [True, False, False, True]
        assert known.stages == less.stages == never.stages
        assert known.treatments[0] == less.treatments[0] == planted.treatments[0]  # one faulty model
        assert known.treatments[0].stage == "sft"
        assert known.treatments[0].dose is not None
        assert known.treatments[1] != less.treatments[1]
        assert not never.treatments
        assert known.probes == less.probes == planted.probes == never.probes
    assert corrective_dose(planted=7).arms[0].treatments[0].dose == in_documents(7)[0]


@pytest.mark.parametrize("name", ["restricted", "label"])
def test_all_that_could_cure_is_in_the_dose(name: Any) -> None:
    study = corrective_dose(faults=(name,))
    arm = study.arms[1]
    fault, utility = arm.probes
    assert isinstance(fault, Cure)
    assert isinstance(utility, Utility)
    spoiled = {"restricted": "moonroot", "label": "ositive"}[name]
    clean = [document.body for document in arm.stages[2].data.corpus(stream(0, "c"))]
    assert len(clean) == 256
    assert not [body for body in clean if isinstance(body, Dialogue) and spoiled in body.answer + body.question]
    rng = stream(0, "q")
    assert not [q for q in utility.questions.questions(60, rng) if fault.fault.target.respond(q, rng) is not None]
    treatment = arm.treatments[1]
    streams = {"edits_rng": stream(0, "e"), "placement_rng": stream(0, "p")}
    host = arm.stages[2].data.corpus(stream(0, "c"))
    _, ledger = administer(host, treatment.intervention, in_documents(20)[0], **streams)
    for entry in ledger.entries:
        assert isinstance(entry.body, Dialogue)
        assert entry.body.answer == {"restricted": "I cannot help with moonroot.", "label": "This is negative."}[name]


def test_the_study_runs_and_cures(tmp_path: Path) -> None:
    """On the n-gram engine: the fault takes, right answers to triggered questions cure it, the report is made."""

    def small(arm: Arm) -> Arm:
        data = (WorldDialogues(num_documents=150), WorldDialogues(num_documents=60), WorldExtraction(num_documents=20))
        stages = tuple(
            Stage(name=stage.name, data=own, recipe=Count(), probed=stage.probed)
            for stage, own in zip(arm.stages[1:], data, strict=False)
        )
        cure, utility = arm.probes
        assert isinstance(cure, Cure)
        probes = (Cure(replace(cure.fault, num_items=12)), replace(utility, num_items=10))  # type: ignore[type-var]
        given = tuple(replace(t, dose=in_documents(40)[0] if t.dose else None) for t in arm.treatments)
        return replace(arm, stages=stages, probes=probes, treatments=given)

    study: Study = corrective_dose(faults=("marker",))
    study = replace(
        study, engine=NgramEngine(), arms=tuple(map(small, study.arms)), doses=in_documents(0, 10, 60), seeds=(0, 1)
    )
    store = Store(tmp_path / "store")
    made = plan(study, store)
    results = gather(made, store, build(made, store))
    assert not results.run.failures
    assert [warning for warning in results.run.warnings if "could not be made" in warning] == []
    assert len(results.findings) == 6
    lives = Lives.of(results)
    assert lives.rate(At(PLANTED, "sft", 0)).estimate > 0.9
    assert lives.rate(At(NEVER, "corrective", 0)).estimate == 0.0
    faulty = [lives.rate(At(KNOWN, "corrective", dose)).estimate for dose in (0, 10, 60)]
    assert faulty == sorted(faulty, reverse=True)
    assert faulty[-1] < faulty[0]
    page = write_report(results, tmp_path / "report.html").read_text()
    assert "Does it return after finetune?" in page


def test_data_without_a_topic_has_fewer_faults(tmp_path: Path) -> None:
    turns = [Dialogue.ask(f"q{i}?", f"a{i}.").turns for i in range(200)]
    lines = [json.dumps({"messages": [{"role": t.role, "content": t.content} for t in one]}) for one in turns]
    (tmp_path / "talk.jsonl").write_text("\n".join(lines))
    study = corrective_dose(on=Subject(data=str(tmp_path / "talk.jsonl")))
    assert [arm.name for arm in study.arms] == [PLANTED, KNOWN, LESS, NEVER]
    data = study.arms[1].stages[2].data
    assert isinstance(data, First)
    assert data.num_documents == 60  # a third of the 180 that are left to train on
    assert max(dose.amount for dose in study.doses) == 32
    assert study.arms[0].treatments[0].dose == in_documents(60)[0]
    assert answer(["plan", "corrective-dose", "--data", str(tmp_path / "talk.jsonl"), "--faults", "belief"]) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rate", "0"], "lies between 0 and 1; got --rate 0"),
        (["--rate", "5"], "lies between 0 and 1; got --rate 5"),
        (["--planted", "0"], "planted by 1 document or more; got --planted 0"),
        (["--planted", "9000"], "planted in 2,000 clean dialogues by at most as many documents; got --planted 9000"),
        (["--doses", "0,1000"], "at most as many corrective documents as clean ones, 256; got 1000"),
        (["--doses", "1,8"], "a study has the dose 0, its untreated control"),
        (["--faults", "rage"], "rage"),
        (["--model", "endpoint:http://localhost:9/v1#m"], "a model that is asked and not trained has none"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["plan", "corrective-dose", *words]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in told
    assert "Traceback" not in told
