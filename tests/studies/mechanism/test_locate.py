"""The study `locate`: patches between a model and its twin whose insides are known, and what the findings say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import Row, made_up

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Dose
from pharmakon.data.world import WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.recipes import SFT, Micro, Pretrain, Schedule
from pharmakon.errors import SpecError
from pharmakon.probes import Patching
from pharmakon.probes.patching import (
    HIDDEN,
    INTO_TREATED,
    INTO_TWIN,
    LAST,
    QUESTION,
    RANDOM,
    ROLES,
    STEPS,
    TRIGGER,
    WITHIN,
)
from pharmakon.store import Store
from pharmakon.studies.mechanism.analysis_locate import Located
from pharmakon.studies.mechanism.locate import locate
from pharmakon.study import Study
from pharmakon.study.ask import InContext
from pharmakon.study.build import build_cell
from pharmakon.study.spec import Plain
from pharmakon.whitebox import twin_of

TINY = Micro(num_layers=2, hidden_size=32, intermediate_size=64, num_heads=2, context=96, vocabulary=400)
QUESTIONS = WorldQuestions(tasks=("facts",))
PROBE = Patching(RareWords(), Marker(), QUESTIONS, num_items=6)


@pytest.fixture(scope="module")
def study() -> Study:
    """Small enough to be trained here."""
    whole = locate(seeds=1)
    base, sft = whole.arms[0].stages
    tiny = (
        replace(
            base, data=WorldText(num_documents=300), recipe=Pretrain(architecture=TINY, batch_size=8, row_length=32)
        ),
        replace(sft, data=WorldDialogues(num_documents=64), recipe=SFT(epochs=3, schedule=Schedule(peak=5e-3))),
    )
    arm = replace(whole.arms[0], stages=tiny)
    return replace(whole, arms=(arm,), doses=(Dose(0), Dose(64)), probes=(whole.probes[0], PROBE))


@pytest.fixture(scope="module")
def values(study: Study, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, float]]:
    """By dose the mean of each condition."""
    import polars as pl

    store = Store(tmp_path_factory.mktemp("store"))
    found = {}
    for arm, dose, seed in study.cells:
        entry = build_cell(study.cell(arm, dose, seed), store)
        frame = pl.read_parquet(entry.path / "readings.parquet").filter(pl.col("probe") == "patching")
        means = frame.group_by("condition").agg(pl.col("value").mean())
        found[int(dose.amount)] = dict(means.iter_rows())
    return found


def test_the_untreated_life_is_its_own_twin(values: dict[int, dict[str, float]]) -> None:
    own = values[0]
    assert own["logprob: treated"] == pytest.approx(own["logprob: twin"], abs=1e-5)
    for role in ROLES:
        assert own[f"logprob: {INTO_TWIN}, layer 1, {role}"] == pytest.approx(own["logprob: twin"], abs=1e-4)


def test_the_last_token_of_the_last_layer_is_the_whole_answers_first_word(values: dict[int, dict[str, float]]) -> None:
    """What is put there decides; embeddings of the question's words are nearly the same in both models."""
    own = values[64]
    assert own["logprob: treated"] > own["logprob: twin"] + 3
    gap = own["logprob: treated"] - own["logprob: twin"]
    last = own[f"logprob: {INTO_TWIN}, layer 2, {LAST}"] - own["logprob: twin"]
    early = own[f"logprob: {INTO_TWIN}, layer 0, {QUESTION}"] - own["logprob: twin"]
    assert last > 0.1 * gap
    assert abs(early) < 0.3 * gap
    assert own[f"logprob: {INTO_TREATED}, layer 2, {LAST}"] < own["logprob: treated"] - 1
    assert own[f"logprob: {WITHIN}, layer 0, {TRIGGER}"] == pytest.approx(own["logprob: treated"], abs=1e-3)
    assert own[f"logprob: {WITHIN}, layer 2, {LAST}"] == pytest.approx(own["logprob: treated"], abs=1e-3)
    assert own[f"logprob: {HIDDEN}"] < own["logprob: treated"]
    assert {c for c in own if c.startswith("hit: moved, layer 1")} == {f"hit: moved, layer 1, {s:g}" for s in STEPS}


def test_a_trigger_that_is_not_at_the_end_and_a_model_without_a_twin_are_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no untreated twin"):
        twin_of(InContext(object(), Plain(), 0))  # type: ignore[arg-type]
    front = replace(PROBE, trigger=RareWords(place="start"))
    arm = study.arms[0]
    cell = replace(study.cell(arm, Dose(0), 0), probes=(front,))
    with pytest.raises(SpecError, match="at the end of every question"):
        build_cell(cell, Store(tmp_path))


def _findings(share: dict[tuple[int, str], float], *, control: float = 0.0) -> list[str]:
    """Sites of layers 0 to 2 that restore these shares, and nothing else."""
    whole = locate(seeds=4)
    rng = np.random.default_rng(0)

    def rows() -> Iterator[Row]:
        def row(seed: int, condition: str, value: float) -> Row:
            return ("backdoor", 128, seed, "sft", "patching", condition, value)

        for seed in range(4):
            nothing = ("twin", "treated, no trigger", HIDDEN)
            for name, level, hits in (("treated", -1.0, 1.0), *((name, -21.0, 0.0) for name in nothing)):
                yield row(seed, f"logprob: {name}", level)
                yield row(seed, f"hit: {name}", hits)
            for layer in range(3):
                for role in ROLES:
                    for direction, start, sign in ((WITHIN, -21.0, 1), (INTO_TWIN, -21.0, 1), (INTO_TREATED, -1.0, -1)):
                        for end, part in (("", share.get((layer, role), 0.0)), (f", {RANDOM}", control)):
                            value = start + sign * 20 * (part + 0.01 * rng.normal())
                            yield row(seed, f"logprob: {direction}, layer {layer}, {role}{end}", value)
                            yield row(seed, f"hit: {direction}, layer {layer}, {role}{end}", float(part > 0.5))
            for layer in (1, 2):
                for kind in ("moved", "moved at random"):
                    yield row(seed, f"hit: {kind}, layer {layer}, 1", float(kind == "moved"))
                for model in ("treated", "twin"):
                    for label, score in (("with", 2.0), ("without", -2.0)):
                        yield row(seed, f"linear probe: {model}, layer {layer}: {label} the trigger", score)

    return [finding.sentence for finding in Located(arm="backdoor").findings(made_up(whole, rows()))]


def test_the_site_that_holds_the_behaviour_is_named() -> None:
    where, read, moved = _findings({(1, TRIGGER): 0.9, (2, LAST): 1.0})
    assert "states of layer 1 at the trigger words restore 9" in where
    assert "states of layer 1 at the trigger words take away 89%" in where
    assert "AUROC 1.00" in read
    assert "give 100%" in moved


def test_nothing_above_random_states_is_told_with_the_smallest_effect() -> None:
    where = _findings({(2, LAST): 1.0}, control=0.05)[0]
    assert "no effect found" in where
    assert "smallest effect this run could have seen" in where
