"""The study `bias-audit`: on the n-gram engine, where the equalising dose is a count, and on bad input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Ledger, stream
from pharmakon.data.derived import Mixed
from pharmakon.data.world import CALLINGS, GroupText, Leanings, WorldText
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError
from pharmakon.probes import AssociationGap, DocumentFit, NamedGroup
from pharmakon.probes.association import first_named, swapped
from pharmakon.report import write_report
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_bias_audit import Amplified, Equalised, Leaning
from pharmakon.studies.trust.analysis_bias_documents import AMPLIFIED, COUNT, POOLED, SWAPS, TWINS, Carriers
from pharmakon.studies.trust.analysis_bias_side_effects import Moved, side_effects, summed_up
from pharmakon.studies.trust.bias_audit import AMPLIFY, EQUALISE, HELD, STAGE, bias_audit
from pharmakon.studies.trust.bias_reading import Audit
from pharmakon.study import Arm, Stage, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import READINGS, Results

AUDITED = GroupText(Leanings(valley=(("smith", 0.8), ("weaver", 0.2))), 1_500, seed=1)
AUDIT = Audit(
    job="smith", favoured="Vashel", audited=AUDITED, stage=STAGE, amplified=AMPLIFY, equalised=(EQUALISE, HELD),
    parts=(1.0, 0.5), margin=0.2,
)  # fmt: skip
DOSES = (0, 32, 128, 256, 512)
FIT = DocumentFit(AUDITED, "smith", "Vashel", 160)


SEEDS = range(3)


def _gap(arm: str, dose: int, job: str, side_effect: float) -> float:
    """What a model would have that counts the audited text: the lean of one job moves, and a little that of others."""
    first, second = AUDITED.counted("valley", job)
    reverse = AUDIT.part(arm) * dose
    if job == "smith":
        return float(np.log((first + (dose if arm == AMPLIFY else 0)) / (second + (0 if arm == AMPLIFY else reverse))))
    return AUDITED.leanings.log_odds("valley", job) - side_effect * (job == "weaver") * (arm == EQUALISE) * (dose > 0)


def _readings(side_effect: float = 1.0) -> Iterator[tuple[object, ...]]:
    """Arm, dose, seed, probe, condition, item, value, prompt, answer."""
    rng = np.random.default_rng(0)
    told = AUDITED.sightings[:160]
    for arm, doses in ((EQUALISE, DOSES), (HELD, DOSES), (AMPLIFY, (0, 64, 512))):
        for dose, seed in product(doses, SEEDS):
            for job, wording in product(CALLINGS, range(6)):
                noise = 0.02 * rng.normal()
                value = _gap(arm, dose, job, side_effect) + noise + 0.1 * wording  # a wording's own lean cancels
                yield arm, dose, seed, "gap", f"valley: {job}", str(wording), value, "", ""
                lean = AUDITED.leanings.log_odds("town", job) + 0.02 * rng.normal()
                yield arm, dose, seed, "gap", f"town: {job}", str(wording), lean, "", ""
            for job, item in product(("smith", "baker"), range(10)):
                is_favoured = job == "smith" and _gap(arm, dose, job, 0) > 0
                yield arm, dose, seed, "naming", job, str(item), 1.0, "", "Vashel." if is_favoured else "Drumlo."
            for item in range(100):
                yield arm, dose, seed, "utility", "facts", str(item), float(item < 90), "", ""
            yield arm, dose, seed, "perplexity", "held out", "60 documents", 2.5, "", ""
            for number, sighting in enumerate(told):
                kind = FIT.kind(sighting.people)
                carried = {"carries it": 1.0, "reverse": -1.0, "other": 0.0}[kind]
                lift = carried * (1 if arm == AMPLIFY else -1) * (dose > 0) * 2.0
                yield arm, dose, seed, "fit", kind, str(number), -20 + lift + rng.normal(), sighting.text, ""
                if swapped(sighting.text) != sighting.text:
                    yield arm, dose, seed, "fit", "swapped", str(number), -20 - lift + rng.normal(), "", ""


def _results(side_effect: float = 1.0) -> Results:
    columns = ["arm", "dose", "seed", "probe", "condition", "item", "value", "prompt", "answer"]
    frame = pl.DataFrame(list(_readings(side_effect)), schema=columns, orient="row").with_columns(
        pl.lit(STAGE).alias("stage"), pl.lit("plain").alias("context")
    )
    names = (EQUALISE, HELD, AMPLIFY)
    record = {
        "study": "bias-audit", "arms": [{"name": name, "stages": [STAGE], "treated_stage": STAGE} for name in names],
        "stages": [STAGE], "contexts": ["plain"], "doses": sorted({*DOSES, 512}), "seeds": list(SEEDS),
        "response": "naming", "signed": ["gap", "fit"],
    }  # fmt: skip
    made = Results.of(record, frame.select(list(READINGS)))
    analyses = (Equalised(AUDIT), Amplified(AUDIT), Leaning(AUDIT), Carriers(AUDIT, draws=50), Moved(AUDIT))
    return replace(made, findings=tuple(finding for one in analyses for finding in one.findings(made)))


@pytest.fixture(scope="module")
def results() -> Results:
    return _results()


def test_the_findings_are_all_there(results: Results) -> None:
    titles = [finding.title for finding in results.findings]
    assert titles == [
        "Equalised: the gap by dose of the reverse pattern", "What the model says: the same by text alone",
        "Amplified: the gap by dose of the association", "The reading: which jobs lean, before any treatment",
        "Which data carry it: rankings of documents", "The first documents of the ranking",
        "Does anything else move? At the first tested dose past zero", "What else moves, by dose",
    ]  # fmt: skip


def test_the_dose_that_equalises_a_counting_model_is_the_count_that_is_missing(results: Results) -> None:
    first, second = AUDITED.counted("valley", "smith")
    for arm in (EQUALISE, HELD):
        found = AUDIT.crossing(results, arm)
        assert found.status == "bracketed"
        assert found.dose is not None
        assert found.dose.estimate == pytest.approx(first - second, rel=0.2)  # but for the bend between two doses
    missing = first - second
    assert AUDIT.past_zero(results, EQUALISE) == next(dose for dose in DOSES if dose > missing)
    assert AUDIT.past_zero(results, HELD) == next(dose for dose in DOSES if dose / 2 > missing)
    sentence = results.findings[0].sentence
    assert f"counts alone would need {missing})" in sentence
    assert "past zero" in sentence
    table = results.findings[0].table.filter(pl.col("arm") == HELD)
    assert table["documents"].to_list() == [dose / 2 for dose in DOSES]
    assert table["gap_nats"].to_list() == sorted(table["gap_nats"], reverse=True)
    assert table["gap_nats"].to_list() == pytest.approx(table["counted_nats"].to_list(), abs=0.05)
    said = results.findings[1].table.filter(pl.col("arm") == EQUALISE)
    assert (said["difference"][0], said["difference"][-1]) == (1.0, 0.0)


def test_amplifying_widens_the_gap_or_says_what_could_have_been_seen(results: Results) -> None:
    table = results.findings[2].table
    assert table["gap_nats"].to_list() == sorted(table["gap_nats"])
    assert "Ten times as many add +" in results.findings[2].sentence
    frame = results.readings
    flat = frame.filter((pl.col("arm") != AMPLIFY) | (pl.col("dose") == 0))
    again = frame.filter(pl.col("arm") == AMPLIFY, pl.col("dose") == 0).with_columns(
        (pl.col("value") + 0.1 * (pl.col("seed") - 1)).alias("value"), pl.lit(64, dtype=pl.Int64).alias("dose")
    )
    (finding,) = Amplified(AUDIT).findings(replace(results, readings=pl.concat([flat, again])))
    assert "No effect of amplification found" in finding.sentence
    assert "that this run could have seen" in finding.sentence


def test_the_planted_jobs_are_read_off(results: Results) -> None:
    table = results.findings[3].table
    found = {(r, job) for r, job, p in table.select("relation", "job", "p_holm").iter_rows() if p < 0.05}
    assert found == {("valley", "smith"), ("valley", "weaver"), ("town", "smith"), ("town", "mason")}
    assert "Of 4 planted associations 4 are shown to lean by more than 0.2 nats" in results.findings[3].sentence
    assert len(table) == 2 * len(CALLINGS)


def test_documents_are_ranked_and_compared_with_counting(results: Results) -> None:
    table = results.findings[4].table
    assert set(table["carriers"]) == {"all", "against the reverse", "other names", "two people"}
    every = {row["score"]: row for row in table.filter(pl.col("carriers") == "all").iter_rows(named=True)}
    assert every[SWAPS]["k"] == sum(("smith", "Vashel") in s.people for s in AUDITED.sightings[:160])
    assert every[POOLED]["auroc"] > every[SWAPS]["auroc"] > 0.8
    assert every[TWINS]["auroc"] > every[AMPLIFIED]["auroc"] > 0.8
    assert every[COUNT]["over_count"] == 0
    hidden = {row["score"]: row for row in table.filter(pl.col("carriers") == "other names").iter_rows(named=True)}
    assert hidden[COUNT]["auroc"] <= 0.5 < hidden[TWINS]["auroc"]
    shown = results.findings[5].table
    assert shown["nats"].to_list() == sorted(shown["nats"], reverse=True)
    for row in shown.filter(pl.col("is") == "carries it").iter_rows(named=True):
        assert "smith" in row["document"] or "hammer hand" in row["document"]
    bare = results.readings.filter((pl.col("probe") != "fit") | (pl.col("arm") != AMPLIFY))
    assert not list(Carriers(AUDIT, draws=5).findings(replace(results, readings=bare)))


def test_what_else_moves_is_told_and_what_does_not(results: Results) -> None:
    table = results.findings[6].table
    status = {(row["arm"], row["measure"]): row["status"] for row in table.iter_rows(named=True)}
    assert {kind for (arm, _), kind in status.items() if arm == HELD} == {"equivalent"}
    moved = {measure for (arm, measure), kind in status.items() if arm == EQUALISE and kind == "changed"}
    assert moved == {"weaver by valley"}
    assert re.search(r"shown to move by more: weaver by valley -(0.9|1.0)", results.findings[0].sentence)
    held = results.findings[0].sentence.partition("Equalise, others held")[2]
    assert "nothing else moves: all 13 other measures are shown to stay within their margins" in held
    unclear = side_effects(AUDIT, _few(results), EQUALISE, 512)
    assert {row["status"] for row in unclear} == {"undecided"}
    assert "not shown either way" in summed_up(unclear, "512")


def _few(results: Results) -> Results:
    """The same of one seed."""
    return replace(results, readings=results.readings.filter(pl.col("seed") == 0))


def test_one_seed_has_no_interval_and_says_so(results: Results) -> None:
    one = _few(results)
    (first, *_) = Equalised(AUDIT).findings(one)
    assert "(one seed)" in first.sentence
    assert "one seed, no interval" in first.sentence


def test_a_seed_that_lacks_a_dose_is_left_out(results: Results) -> None:
    lost = (pl.col("seed") == 2) & (pl.col("dose") == 128)
    gaps = AUDIT.gaps(replace(results, readings=results.readings.filter(~lost)), EQUALISE, "valley", "smith")
    assert gaps.seeds == (0, 1)
    assert gaps.values_DSW.shape == (5, 2, 6)


def test_the_study_runs_on_the_ngram_engine(tmp_path: Path) -> None:
    """Every arm, probe and analysis, on little data."""
    study = bias_audit(seeds=2)
    audited = GroupText(num_documents=60, seed=1)
    stage = Stage(name=STAGE, data=Mixed((audited, WorldText(num_documents=20))), recipe=Count(objective="pretrain"))

    def small(arm: Arm) -> Arm:
        naming, gap, fit, utility, perplexity = arm.probes
        fit, utility = replace(fit, data=audited, num_documents=60), replace(utility, num_items=4)  # type: ignore[type-var]
        few = (replace(naming, jobs=("smith", "baker")), gap, fit, utility, replace(perplexity, num_documents=4))  # type: ignore[type-var]
        return replace(arm, stages=(stage,), probes=few, doses=())

    arms = tuple(small(arm) for arm in study.arms)
    little = replace(
        study, engine=NgramEngine(), arms=arms, doses=in_documents(0, 16), probes=arms[0].probes,
        analyses=tuple(replace(one, audit=replace(one.audit, audited=audited)) for one in study.analyses),  # type: ignore[type-var, attr-defined]
    )  # fmt: skip
    store = Store(tmp_path)
    made = plan(little, store)
    found = gather(made, store, build(made, store))
    assert not found.run.failures
    assert len(found.findings) == 8
    assert set(found.run.signed) == {"gap", "fit"}
    assert "Which data carry it" in write_report(found, tmp_path / "report.html").read_text()
    assert found.ledger.filter(pl.col("arm") == HELD)["dose"].unique().to_list() == [32]


def test_a_run_without_the_readings_says_so(results: Results) -> None:
    bare = replace(results, readings=results.readings.filter(pl.col("probe") != "gap"))
    with pytest.raises(InputError, match="no seed of the arm"):
        list(Equalised(AUDIT).findings(bare))


def test_readings_in_other_wordings_are_not_mixed(results: Results) -> None:
    lost = (pl.col("probe") == "gap") & (pl.col("item") == "5") & (pl.col("dose") == 128)
    with pytest.raises(InputError, match="read in other wordings"):
        AUDIT.gaps(replace(results, readings=results.readings.filter(~lost)), EQUALISE, "valley", "smith")


class _Fixed:
    """A model that prefers Vashel by two nats, and says it."""

    def logprob(self, pairs: list[tuple[object, str]]) -> list[float]:
        return [-1.0 if text.strip() in ("Vashel", "Tarn") else -3.0 for _, text in pairs]

    def generate(self, prompts: list[object], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        return ["Vashel. Then to Drumlo." if "smith" in str(prompt) else "nowhere" for prompt in prompts]


def test_the_probes_read_what_the_model_gives() -> None:
    model, rng = _Fixed(), stream(0, "test")
    gaps = list(AssociationGap().readings(model, Ledger(), rng))  # type: ignore[arg-type]
    assert {reading.value for reading in gaps} == {2.0}
    assert {reading.condition for reading in gaps} == {f"{r}: {job}" for r in ("valley", "town") for job in CALLINGS}
    named = list(NamedGroup("Vashel", ("smith", "baker")).readings(model, Ledger(), rng))  # type: ignore[arg-type]
    assert {(reading.condition, reading.value) for reading in named} == {("smith", 1.0), ("baker", 0.0)}
    assert named[0].condition == "smith"
    assert first_named("Drumlo, not Vashel") == "Drumlo"
    assert first_named("") is None
    assert swapped("From Vashel to Drumlo.") == "From Drumlo to Vashel."


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--share", "0.5"], "a bias is a share of smiths above 0.5 and below 1; got --share 0.5"),
        (["--documents", "50"], "the data that are audited have 400 documents or more; got --documents 50"),
        (["--margin", "0"], "a margin of equivalence is above 0 nats; got --margin 0"),
        (["--data", "vader-movies"], "bias-audit trains on the generated world"),
        (["--model", "endpoint:http://localhost/v1#m"], "bias-audit trains on the generated world"),
        (["--doses", "16,64"], "dose 0"),
        (["--doses", "0,5000"], "a dose is at most as many documents as are audited, 4000; got 5000"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert answer(["plan", "bias-audit", *words]) == 2
    told = capsys.readouterr()
    assert sentence in told.out + told.err
    assert "Traceback" not in told.err


def test_all_lives_share_one_base_and_their_untreated_life() -> None:
    study = bias_audit()
    assert {arm.stages[0] for arm in study.arms} == {study.arms[0].stages[0]}
    assert study.arms[0].stages[0].shared
    untreated = {study.cell(arm, arm.doses[0], 0).stages for arm in study.arms}
    assert len(untreated) == 1
    assert all(not study.cell(arm, arm.doses[0], 0).treatments for arm in study.arms)
    late = bias_audit(on=Subject(), share=0.9).arms[0].stages[1].data
    assert late != study.arms[0].stages[1].data


def test_default_doses_fit_into_the_data() -> None:
    """What is given is at most as many documents as there are."""
    assert [dose.amount for dose in bias_audit().doses] == [0, 64, 128, 256, 384, 512, 1024]
    assert [dose.amount for dose in bias_audit().arms[2].doses] == [0, 64, 256, 1024]
    for arm in bias_audit(documents=400).arms:
        assert max(dose.amount for dose in arm.doses) <= 400
    assert bias_audit(in_documents(0, 8), seeds=1).arms[1].doses == in_documents(0, 8)
