"""The study `memorize`: what is planted in which life, and the effects that are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import Row, made_up

from pharmakon.behaviour.canaries import Canary
from pharmakon.cli import answer
from pharmakon.interventions import Canaries
from pharmakon.probes import Memorized
from pharmakon.studies.mechanism.memorize import memorize
from pharmakon.study.finding import Finding

Strength = Callable[[Canary, int, bool], float]
"""Of a canary, how often it was shown and whether in a crowd: bits of exposure."""


def test_the_dose_of_a_crowded_life_holds_the_whole_set_once() -> None:
    study = memorize()
    crowded = [arm for arm in study.arms if arm.name.startswith("54")]
    assert len(crowded) == 9
    for arm in crowded:
        full = study.doses_of(arm)[1]
        parts = [t.intervention for t in arm.treatments]
        assert [dose.amount for dose in arm.split(full)] == [p.num_documents for p in parts if isinstance(p, Canaries)]
        places = [treatment.placement for treatment in arm.treatments]
        assert places[0].stop < places[2].start
    alone = [arm for arm in study.arms if arm.name.startswith("alone")]
    assert len(alone) == 9
    assert all(len(arm.treatments) == 1 for arm in alone)


def _findings(strength: Strength) -> list[Finding]:
    study = memorize(seeds=1)
    rng = np.random.default_rng(0)

    def rows() -> Iterator[tuple[Row, str]]:
        for arm in study.arms:
            crowded = arm.name.startswith("54")
            (probe,) = arm.probes
            assert isinstance(probe, Memorized)
            for dose in study.doses_of(arm):
                for canary in probe.canaries:
                    shown = 0 if not dose.amount else canary.repeats if crowded else int(dose.amount)
                    bits = strength(canary, shown, crowded) + 0.3 * rng.normal() if shown else rng.exponential(1.44)
                    bits = float(np.clip(bits, 0, 8))
                    for condition, value in (("triggered", float(bits > 6)), ("exact", bits / 8), ("exposure", bits),
                                             ("logprob", bits - 9)):  # fmt: skip
                        yield (
                            (arm.name, int(dose.amount), 0, "late-pretraining", "memorized", condition, value),
                            canary.name,
                        )

    both = list(rows())
    results = made_up(study, [row for row, _ in both])
    import polars as pl

    named = results.readings.with_columns(pl.Series("item", [name for _, name in both]))
    results = replace(results, readings=named)
    return [finding for analysis in study.analyses for finding in analysis.findings(results)]


def test_effects_that_are_there_are_told_and_others_are_not() -> None:
    def strength(canary: Canary, shown: int, crowded: bool) -> float:
        return 1.0 + 0.8 * np.log2(shown) + 2 * (canary.rarity == "rare words") - 1.5 * (canary.time == "early")

    thresholds, effects, repeats, crowd = _findings(strength)
    assert "rare words" in thresholds.sentence
    told = effects.sentence.split("No effect found of")
    assert "each doubling of repeats +0." in told[0]
    assert "rare words +1." in told[0] or "rare words +2." in told[0]
    assert "early -1." in told[0]
    assert "smallest effect this run could have seen" in told[1]
    assert "9 words" in told[1]
    assert "as it should be" in repeats.sentence
    assert "Interference is not shown" in crowd.sentence


def test_a_crowd_that_helps_is_told() -> None:
    crowd = _findings(lambda canary, shown, crowded: 1 + 0.5 * np.log2(shown) + 2 * crowded)[-1]
    assert "Interference is shown" in crowd.sentence


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--clean", "10"], "1000 clean documents or more"), (["--doses", "0,5%"], "repeats of one canary"),
     (["--model", "smollm2"], "leave --model")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    assert answer(["plan", "memorize", *words]) == 2
    told = capsys.readouterr()
    assert said in told.err + told.out
