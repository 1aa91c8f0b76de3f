"""The study `memorize`: lives that differ in what they should, and findings that name the effect that is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from made_up import check_refused, made_up

from pharmakon.behaviour.canaries import Canary, grid
from pharmakon.core import stream
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.interventions import Canaries
from pharmakon.probes import Memorized
from pharmakon.probes.memorized import chance_exposure
from pharmakon.store import Store
from pharmakon.studies.mechanism.memorize import memorize
from pharmakon.study import Finding, Study, build, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import LEDGER, READINGS, Results

Needs = Callable[[Canary, bool], float]
"""Repeats that a canary takes, in the crowd or alone."""
CONDITIONS = ("triggered", "exact", "exposure", "logprob")


def _results(study: Study, needs: Needs, *, control: float = chance_exposure()) -> Results:
    """What a model gives that extracts each canary from so many repeats on, with noise of each canary's own."""
    rng = np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []
    for arm in study.arms:
        (probe,) = arm.probes
        assert isinstance(probe, Memorized)
        crowded = len(probe.canaries) == 54
        for dose in (0, 3066):
            for canary in probe.canaries:
                noise = float(rng.standard_normal())
                doublings = np.log2(canary.repeats / needs(canary, crowded)) if dose else -9.0
                hit = float(doublings + 0.5 * noise >= 0)
                bits = float(np.clip(4 + doublings + 0.3 * noise, 0, 8)) if dose else control + 0.5 * noise
                for condition, value in zip(CONDITIONS, (hit, hit, bits, doublings + noise), strict=True):
                    rows.append((arm.name, dose, 0, "late-pretraining", condition, canary.name, value))
    columns = ["arm", "dose", "seed", "stage", "condition", "item", "value"]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.lit("plain").alias("context"), pl.lit("memorized").alias("probe"), pl.lit("").alias("prompt"),
        pl.lit("").alias("answer"),
    )  # fmt: skip
    return replace(made_up(study, []), readings=frame.select(list(READINGS)).cast(dict(READINGS)))  # type: ignore[arg-type]


def _findings(results: Results, study: Study) -> dict[str, Finding]:
    return {finding.title: finding for analysis in study.analyses for finding in analysis.findings(results)}


THRESHOLD = "Repeats after which a canary is extracted"
CROWD = "Do canaries in one life get in one another's way?"
CONTROL = "Memory by repeats"


def test_the_threshold_and_what_shifts_it_are_found_and_what_does_not_is_named() -> None:
    study = memorize()

    def needs(canary: Canary, crowded: bool) -> float:
        return 8.0 * (4.0 if canary.rarity == "rare words" else 1.0)

    found = _findings(_results(study, needs), study)
    table = found[THRESHOLD].table.filter(pl.col("factor") == "rarity")
    ed50 = dict(zip(table["level"], table["ed50_repeats"], strict=True))
    assert ed50["common words"] == pytest.approx(8, rel=0.35)
    assert ed50["rare words"] == pytest.approx(32, rel=0.35)
    assert "Rare words: " in found[THRESHOLD].sentence
    effects = found["What each factor does"].table.filter(pl.col("measure") == "extracted")
    by = {row["effect"]: row for row in effects.iter_rows(named=True)}
    assert by["rare words"]["low"] <= -2 / 9 <= by["rare words"]["high"]  # two of the nine doublings
    assert by["each doubling of repeats"]["p_holm"] < 0.05
    assert all(by[name]["p_holm"] > 0.05 for name in ("at the start", "at the end", "early", "late", "9 words"))
    assert "No effect found on extraction of:" in found[THRESHOLD].sentence
    assert "smallest effect this run could have seen" in found[THRESHOLD].sentence
    assert "Interference is not shown" in found[CROWD].sentence
    assert "smallest difference" in found[CROWD].sentence


def test_interference_is_the_same_canary_in_two_lives_and_has_its_sign() -> None:
    study = memorize()
    found = _findings(_results(study, lambda canary, crowded: 1e6 if crowded else 1.0), study)
    table = found[CROWD].table.filter(pl.col("measure") == "extracted").row(0, named=True)
    assert "Interference is shown" in found[CROWD].sentence
    assert table["change"] == pytest.approx(-1.0, abs=0.15)
    assert table["high"] < 0
    assert table["alone"] > table["in_the_crowd"]


@pytest.mark.parametrize(("control", "said"), [(chance_exposure(), "as it should be"), (4.0, "suspect the others")])
def test_what_was_never_planted_is_held_against_chance(control: float, said: str) -> None:
    study = memorize(seeds=3)
    found = _findings(_results(study, lambda canary, crowded: 16.0, control=control), study)
    assert said in found[CONTROL].sentence
    assert "0 of 162 are extracted" in found[CONTROL].sentence


def test_a_level_that_is_never_extracted_has_no_factor_of_repeats() -> None:
    study = memorize(seeds=5)
    found = _findings(_results(study, lambda canary, crowded: 1e9 if canary.time == "early" else 8.0), study)
    assert "Early: none up to 256 repeats, against" in found[THRESHOLD].sentence


def test_no_memory_at_all_is_told_as_such() -> None:
    study = memorize(seeds=3)
    found = _findings(_results(study, lambda canary, crowded: 1e9), study)
    assert "none up to 256" in found[THRESHOLD].sentence
    assert "nan" not in " ".join(finding.sentence for finding in found.values())


def test_one_life_has_estimates_and_no_certainty() -> None:
    study = memorize(seeds=1)
    found = _findings(_results(study, lambda canary, crowded: 8.0), study)
    effects = found["What each factor does"].table
    assert (effects["p_holm"] == 1.0).all()
    assert "Interference is not shown" in found[CROWD].sentence
    assert "too few lives to tell" in found[THRESHOLD].sentence
    assert all(word not in finding.sentence for finding in found.values() for word in ("nan", "factor of inf"))


def test_the_true_timing_is_read_from_the_ledger() -> None:
    study = memorize(seeds=1)
    spans = {"early": (0, 15), "uniform": (0, 100), "late": (85, 100)}

    def rows() -> Iterator[dict[str, Any]]:
        for canary in grid(0):
            first, last = spans[canary.time]
            for step in np.linspace(first, last, canary.repeats).round().astype(int).tolist():
                content = json.dumps({"text": f"One. {canary.text}. Two."})
                yield {
                    "arm": study.arms[0].name, "dose": 3066, "seed": 0, "stage": "late-pretraining", "edit": 0,
                    "kind": "insert", "id": "x", "position": 0, "content": content, "dropped_by": None,
                    "reason": None, "present": True, "truncated": False, "num_seen": 1, "first_step": step,
                    "last_step": step,
                }  # fmt: skip

    results = _results(study, lambda canary, crowded: 8.0)
    ledger = pl.DataFrame(list(rows()), schema=dict(LEDGER))
    timing = _findings(replace(results, ledger=ledger), study)["When canaries were really shown"]
    assert timing.table["seen_as_planned"].to_list() == [1.0, 1.0, 1.0]
    assert "early: from 0% to 15%" in timing.sentence
    assert "late: from 85% to 100%" in timing.sentence


def test_the_dose_of_a_life_holds_the_whole_set_once_and_early_is_before_late() -> None:
    study = memorize()
    assert len([arm for arm in study.arms if arm.name.startswith("54")]) == 9
    for arm in study.arms:
        full = study.doses_of(arm)[1]
        parts = [t.intervention for t in arm.treatments]
        assert [dose.amount for dose in arm.split(full)] == [p.num_documents for p in parts if isinstance(p, Canaries)]
        places = [treatment.placement for treatment in arm.treatments]
        assert places[0].stop < places[2].start


def test_a_crowd_that_helps_is_told() -> None:
    study = memorize(seeds=4)
    found = _findings(_results(study, lambda canary, crowded: 1.0 if crowded else 1e6), study)
    assert "Interference is shown (in the crowd less alone: extracted +" in found[CROWD].sentence


def test_lives_differ_in_their_documents_and_the_one_alone_in_nothing_but_the_others() -> None:
    study = memorize(seeds=2)
    crowds = [arm for arm in study.arms if arm.name.startswith("54")]
    assert len(crowds) == 2
    corpora = [arm.stages[-1].data.corpus(stream(0, "d")).digest for arm in crowds]
    assert corpora[0] != corpora[1]
    for crowd in crowds:
        life = crowd.name.split(", ")[1]
        alone = [arm for arm in study.arms if arm.name.startswith(f"one of them, {life},")]
        assert [arm.name.split(", ")[2] for arm in alone] == ["4 times", "32 times", "64 times"]
        for arm in alone:
            assert arm.stages == crowd.stages
            (probe,) = arm.probes
            assert isinstance(probe, Memorized)
            (only,) = probe.canaries
            for one, other in zip(arm.treatments, crowd.treatments, strict=True):
                planted = replace(one.intervention, only=None)  # type: ignore[type-var]
                assert replace(one, intervention=planted) == other
                assert getattr(one.intervention, "only", None) == only


def test_a_run_on_counts_remembers_what_it_was_shown_and_nothing_else(tmp_path: Path) -> None:
    """The whole way, with a model of counted words: from the data to the sentences."""
    study = memorize(seeds=1, doses=_doses(0, 32), clean=3_066)
    arms = tuple(
        replace(
            arm,
            stages=(replace(arm.stages[-1], recipe=Count(objective="pretrain")),),
            probes=tuple(replace(probe, num_others=15) for probe in arm.probes),  # type: ignore[type-var]
        )
        for arm in study.arms
    )
    store = Store(tmp_path)
    planned = plan(replace(study, engine=NgramEngine(), arms=arms, probes=arms[0].probes), store)
    failures = build(planned, store)
    assert failures == ()
    results = gather(planned, store, failures, seconds=0.0, command="")
    told = {finding.title: finding for finding in results.findings}
    values = results.readings.filter(pl.col("condition") == "triggered")
    assert values.filter(pl.col("dose") == 0)["value"].sum() == 0
    assert values.filter(pl.col("dose") > 0)["value"].mean() > 0.5  # type: ignore[operator]
    timing = told["When canaries were really shown"].table
    assert timing["seen_as_planned"].to_list() == [1.0, 1.0, 1.0]
    by = {row["time"]: row for row in timing.iter_rows(named=True)}
    assert by["early"]["latest"] < 0.35
    assert by["late"]["earliest"] > 0.65


def _doses(*amounts: int) -> Any:
    from pharmakon.study import in_documents

    return in_documents(*amounts)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--doses", "0,5"], "as often as in the crowd"),
        (["--doses", "0,1%"], "as often as in the crowd"),
        (["--clean", "500"], "3066 documents"),
        (["--data", "vader-movies"], "leave --data out"),
        (["--model", "smollm2", "--probe-only"], "poison enters by training"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["plan", "memorize", *words], said, tmp_path, monkeypatch, capsys)
