"""forgetting: known half-lives and laws are found, savings are told from a better start, and bad input is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Dialogue, Ledger, stream
from pharmakon.data.world import Codes, WorldDialogues
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError, SpecError
from pharmakon.probes import CodeKnowledge, CodeRecall
from pharmakon.store import Store
from pharmakon.studies.mechanism.analysis_forgetting import (
    AGAIN,
    EASE,
    FOLLOWING,
    FRESH,
    FRESH_FIRST,
    LEARNED,
    Forgotten,
)
from pharmakon.studies.mechanism.forgetting import forgetting
from pharmakon.study import Arm, Stage, build, in_documents, plan
from pharmakon.study.finding import Finding
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

ROW = ("told", "clean 1", "clean 2", "clean 3", "clean 4")
HOSTS = {"told": 80, "clean 1": 80, "clean 2": 80, "clean 3": 160, "clean 4": 320, "again": 80}
STEPS = np.cumsum([0, 10, 10, 20, 40]) + 5.0  # the last exposure is five steps before the end of `told`
DOSES, ITEMS = (0, 16, 32, 64), 16
ANALYSIS = Forgotten(row=ROW, batch=8, forgotten=64)
Law = Callable[[float], float]
HALF_LIFE: Law = lambda steps: 0.5 ** (steps / 20)  # noqa: E731
NEEDS = {LEARNED: 32.0, FRESH: 32.0, AGAIN: 16.0, FRESH_FIRST: 48.0}


def _results(law: Law = HALF_LIFE, needs: dict[str, float] = NEEDS, seeds: int = 4) -> Results:
    """Lives whose knowledge falls by a law, and who say a code from some dose on."""
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []

    def read(arm: str, stage: str, dose: int, seed: int, said: float, nats: float) -> None:
        place = {"arm": arm, "dose": dose, "seed": seed, "stage": stage, "context": "plain", "prompt": "", "answer": ""}
        for item in range(ITEMS):
            hit = float(item < round(said * ITEMS))
            rows.append({**place, "probe": "recall", "condition": "triggered", "item": str(item), "value": hit})
        for condition, value in (("triggered", nats), ("exposure", nats / 2), ("untriggered", 0.3)):
            rows.append({**place, "probe": "knowledge", "condition": condition, "item": "0", "value": value})

    for seed in range(seeds):
        noise = 1 + 0.02 * seed
        for dose in DOSES:
            for stage, steps in zip(ROW, STEPS, strict=True):
                own = dose / 8 * law(steps) * noise
                read(FOLLOWING, stage, dose, seed, min(own / 8, 1), 0.5 + own)
            for arm, stage in ((LEARNED, "told"), (FRESH_FIRST, "told"), (AGAIN, "again"), (FRESH, "again")):
                said = min(0.5 * dose / (needs[arm] * noise), 1) if needs[arm] else 1.0
                read(arm, stage, dose, seed, said, 8 * said)
            for edit in range(dose):
                last = 9 + dose // 8 - 5
                told.append({
                    "arm": FOLLOWING, "dose": dose, "seed": seed, "stage": "told", "edit": edit, "kind": "insert",
                    "id": f"{edit}", "position": edit, "content": "{}", "dropped_by": None, "reason": None,
                    "present": True, "truncated": False, "num_seen": 1, "first_step": last, "last_step": last,
                })  # fmt: skip
    run = {
        "study": "forgetting", "question": "?", "response": "recall", "stages": [*ROW, "again"], "contexts": ["plain"],
        "doses": list(DOSES), "seeds": list(range(seeds)), "signed": ["knowledge"], "host_documents": HOSTS,
        "arms": [{"name": name, "stages": [*ROW, "again"], "treated_stage": "told"}
                 for name in (LEARNED, FOLLOWING, AGAIN, FRESH, FRESH_FIRST)],
    }  # fmt: skip
    return Results.of(run, pl.DataFrame(rows), pl.DataFrame(told))


def _found(results: Results) -> dict[str, Finding]:
    names = ("half-lives", "retention", "laws", "savings", "doses")
    return dict(zip(names, ANALYSIS.findings(results), strict=True))


@pytest.fixture(scope="module")
def usual() -> dict[str, Finding]:
    return _found(_results())


def test_a_half_life_is_found(usual: dict[str, Finding]) -> None:
    rows = usual["half-lives"].table.filter(measure="knowledge, nats")
    assert rows["half_life_steps"].to_list() == pytest.approx([20] * 3, rel=0.01)
    # Half of the first checkpoint, at step 5, is gone twenty steps later, at a checkpoint.
    assert rows["half_gone_steps"].to_list() == pytest.approx([25] * 3, rel=0.01)
    assert rows["lives_half_gone"].to_list() == [4, 4, 4]
    assert "64 documents: of the codes said" in usual["half-lives"].sentence
    assert ", of the knowledge 25 [" in usual["half-lives"].sentence
    steps = usual["retention"].table.filter(measure="knowledge, nats", dose="64")["steps_since"].to_list()
    assert steps == pytest.approx(STEPS.tolist())


def test_the_law_is_told_by_which_fits() -> None:
    exponential, power = _found(_results())["laws"], _found(_results(lambda steps: (1 + steps) ** -0.5))["laws"]
    assert (exponential.table.filter(measure="knowledge, nats")["high"] < 0).all()
    assert "64 documents: the exponential (-" in exponential.sentence
    assert (power.table.filter(measure="knowledge, nats")["low"] > 0).all()
    assert "64 documents: the power law (+" in power.sentence


def test_what_is_never_forgotten_has_no_half_life() -> None:
    found = _found(_results(lambda steps: 1.0))["half-lives"]
    row = found.table.filter(measure="knowledge, nats", dose=64).row(0, named=True)
    assert row["lives_half_gone"] == 0
    assert row["half_gone_steps"] is None
    assert "of the knowledge not within 85 (half gone in 0 of 4 lives)" in found.sentence


def test_savings_are_told_against_fresh_codes(usual: dict[str, Finding]) -> None:
    rows = usual["savings"].table.to_dicts()
    assert [row["documents_or_ratio"] for row in rows] == pytest.approx([32, 16, 48, 32, 0.5, 0.5, 0.75], rel=0.1)
    assert rows[6]["compared_with"] == EASE  # half of it was that the fresh set is harder
    assert usual["savings"].sentence in usual["half-lives"].sentence
    assert usual["savings"].sentence.endswith("of what fresh codes need: savings.")
    doses = usual["doses"].table.filter(measure="knowledge, nats")
    assert doses["again_less_fresh"].to_list() == pytest.approx([0, 2, 4, 0], abs=0.3)
    assert "better than fresh ones at 16, 32 (Holm over doses)" in usual["doses"].sentence


def test_a_better_start_alone_is_no_savings() -> None:
    found = _found(_results(needs={**NEEDS, LEARNED: 40.0, FRESH_FIRST: 40.0, FRESH: 16.0, AGAIN: 16.0}))
    assert "no savings found beyond a better start; savings of more than" in found["savings"].sentence
    rows = found["savings"].table.to_dicts()
    assert rows[5]["compared_with"] == LEARNED
    assert rows[5]["high"] < 1  # against the first time alone it would have looked like savings
    assert "at no dose" in found["doses"].sentence


def test_a_dose_that_is_never_enough_is_said_to_be_none() -> None:
    found = _found(_results(needs={**NEEDS, LEARNED: 500.0}))["savings"]
    assert f"{LEARNED} not in all lives (0 of 4 lives)" in found.sentence
    nobody = _found(_results(needs={**NEEDS, FRESH: 500.0}))["savings"]
    assert nobody.sentence.endswith("savings cannot be told.")
    kept = _found(_results(needs={**NEEDS, AGAIN: 0.0}))["savings"]
    assert f"{AGAIN} none in 4 of 4 lives" in kept.sentence
    assert kept.sentence.endswith("where nothing need be told again, it was not forgotten.")
    one = _found(_results(seeds=1))
    assert one["savings"].sentence.endswith("one seed cannot tell savings.")
    assert "(one seed)" in one["half-lives"].sentence


def test_codes_that_are_easier_are_no_savings() -> None:
    """Each set needs as much again as the first time; the one told before is the easier one."""
    found = _found(_results(needs={LEARNED: 16.0, AGAIN: 16.0, FRESH_FIRST: 32.0, FRESH: 32.0}))["savings"]
    assert ": savings." not in found.sentence
    assert "needs 1.0" in found.sentence
    assert "without that 0.5" in found.sentence


def test_results_without_a_control_are_refused() -> None:
    results = _results()
    with pytest.raises(InputError, match="told codes and one that was not"):
        list(ANALYSIS.findings(Results.of(results.run, results.readings.filter(pl.col("dose") > 0), results.ledger)))


def test_the_parts_of_the_codes_have_nothing_in_common() -> None:
    first, second = Codes("first").items, Codes("second").items
    assert len(first) == len(second) == 16
    for told in (lambda q: q.prompt.question, lambda q: q.answer):
        assert len({told(item) for item in (*first, *second)}) == 32
    assert not {item.answer for item in (*first, *second)} & set(Codes().others(31))
    drawn = [document.body for document in Codes().corpus(stream(0, "c"))]
    assert {body.answer for body in drawn if isinstance(body, Dialogue)} == {item.answer for item in first}
    with pytest.raises(SpecError, match="1 to 32 inhabitants"):
        Codes(num_people=33)


def test_who_knows_a_code_is_told_from_who_does_not(tmp_path: Path) -> None:
    engine, codes = NgramEngine(), Codes()
    engine.train(Count(), codes.corpus(stream(0, "c")), start=None, rng=stream(0, "t"), out=tmp_path)
    with engine.load(tmp_path) as model:
        said = list(CodeRecall().readings(model, Ledger(), stream(0, "r")))
        known = list(CodeKnowledge().readings(model, Ledger(), stream(0, "r")))
    recalled = {c: [r.value for r in said if r.condition == c] for c in ("triggered", "untriggered")}
    assert np.mean(recalled["triggered"]) > 0.1  # names are features of their codes, and so are the words of all
    assert max(recalled["untriggered"]) == 0
    mean = {c: np.mean([r.value for r in known if r.condition == c]) for c in {r.condition for r in known}}
    assert set(mean) == {"triggered", "untriggered", "exposure", "exposure untriggered"}
    assert mean["triggered"] > mean["untriggered"] + 1
    assert mean["exposure"] > 4
    assert mean["exposure untriggered"] < 3
    assert max(r.value for r in known if r.condition == "exposure") == 5


def test_the_same_lives_are_followed_and_told_again() -> None:
    study = forgetting()
    learned, following, again, fresh, other = study.arms
    assert other.stages == learned.stages
    assert other.treatments[0].intervention == fresh.treatments[1].intervention
    assert following.stages[: len(learned.stages)] == learned.stages
    assert again.stages[:-1] == tuple(replace(stage, probed=False) for stage in following.stages)
    assert again.treatments[0] == fresh.treatments[0]
    assert again.treatments[0].intervention == following.treatments[0].intervention
    assert again.treatments[1].intervention != fresh.treatments[1].intervention
    assert [arm.probes[0].codes.part for arm in study.arms] == ["first", "first", "first", "second", "second"]  # type: ignore[attr-defined]
    assert again.probes[0].control == fresh.probes[0].codes  # type: ignore[attr-defined]
    told, relearned = again.stages[2], again.stages[-1]
    assert (told.data, told.recipe) == (relearned.data, relearned.recipe)  # so that doses can be compared


def test_the_study_of_forgetting_runs_on_counts(tmp_path: Path) -> None:
    """On the n-gram engine, which counts, nothing is forgotten."""

    def small(arm: Arm) -> Arm:
        sizes = {"told": 64, "again": 64}
        stages = tuple(
            Stage(
                name=stage.name,
                data=WorldDialogues(num_documents=sizes.get(stage.name, 20)),
                recipe=Count(),
                probed=stage.probed,
            )
            for stage in arm.stages[1:6]
        ) + tuple(Stage(name=s.name, data=WorldDialogues(num_documents=64), recipe=Count()) for s in arm.stages[10:])
        given = tuple(replace(t, dose=in_documents(16)[0] if t.dose else None) for t in arm.treatments)
        return replace(arm, stages=stages, treatments=given, doses=in_documents(0, 16, 48))

    study = forgetting()
    analysis = Forgotten(row=("told", "clean 1", "clean 2", "clean 3"), batch=1, forgotten=16)
    study = replace(
        study, engine=NgramEngine(), arms=tuple(map(small, study.arms)), doses=in_documents(0, 16, 48), seeds=(0,),
        analyses=(analysis,),
    )  # fmt: skip
    store = Store(tmp_path / "store")
    made = plan(study, store)
    results = gather(made, store, build(made, store))
    assert not results.run.failures
    assert [warning for warning in results.run.warnings if "could not be made" in warning] == []
    assert len(results.findings) == 5
    table = results.findings[1].table.filter(measure="codes said")
    assert table.filter(dose="0")["level"].max() == 0
    levels = table.filter(dose="48")["level"]
    assert levels.n_unique() == 1
    assert levels[0] > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--doses", "0,2000"], "the clean ones among which they stand, 512; got 2000"),
        (["--doses", "0,5%"], "codes are told by numbers of documents, such as 0,64,128; got the share 0.05"),
        (["--followed", "16,32"], "the dose 0, its untreated control"),
        (["--forgotten", "0"], "was told by 1 to 512 documents; got --forgotten 0"),
        (["--data", "vader-movies"], "forgetting trains on the generated world; leave --probe-only and --data out"),
        (["--model", "endpoint:http://localhost:9/v1#m"], "forgetting trains on the generated world"),
    ],
)
def test_bad_input_for_forgetting_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert answer(["plan", "forgetting", "--store", str(tmp_path), *words]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in told
    assert "Traceback" not in told
