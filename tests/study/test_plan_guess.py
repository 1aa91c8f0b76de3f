"""The time that a plan gives before anything was built: each stage once, shared ones one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pharmakon.behaviour.targets import Marker
from pharmakon.core import Dose, Ledger, Model, Reading, Recipe
from pharmakon.data.derived import AsText, First, InTurn, Mixed, Nothing, Without
from pharmakon.data.world import WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.engines.recipes import SFT, Pretrain
from pharmakon.interventions import Backdoor
from pharmakon.probes import Utility
from pharmakon.probes.attributed import Triggered
from pharmakon.probes.scorers import Chance
from pharmakon.store import Store
from pharmakon.studies.threat.sft_backdoor import sft_backdoor
from pharmakon.study import Arm, Stage, Study, Treatment, plan
from pharmakon.study.build import built_already, train
from pharmakon.study.plan import PROBING, SCORING
from pharmakon.study.prepare import prepare, prepared
from pharmakon.study.retrain import Retrained

BASE = Stage(name="base", data=WorldText(num_documents=500), recipe=Pretrain(), shared=True, probed=False)
SFT_STAGE = Stage(name="sft", data=WorldDialogues(num_documents=100), recipe=SFT(), probed=False)
LATER = Stage(name="later", data=WorldDialogues(num_documents=50), recipe=SFT(), probed=True)


@dataclass(frozen=True)
class Timed(NgramEngine):
    """Says that a document takes a second."""

    version: ClassVar[int] = 1

    def seconds(self, recipe: Recipe, num_documents: int) -> float:
        return float(num_documents)


def _study(engine: NgramEngine = Timed()) -> Study:
    example = sft_backdoor()
    planted = Treatment(stage="sft", intervention=_backdoor(example))
    arms = (
        Arm(name="one", stages=(BASE, SFT_STAGE, LATER), treatments=(planted,)),
        Arm(name="without later", stages=(BASE, replace(SFT_STAGE, probed=True)), treatments=(planted,)),
    )
    probe = next(probe for probe in example.probes if isinstance(probe, Utility))
    return Study(
        name="guess", question="How long?", engine=engine, arms=arms, doses=(Dose(0), Dose(10)), seeds=(0, 1, 2),
        probes=(probe,), response="utility",
    )  # fmt: skip


def _backdoor(example: Study) -> Backdoor:
    found = example.arms[0].treatments[0].intervention
    assert isinstance(found, Backdoor)
    return found


def test_each_stage_counts_once_and_a_dose_adds_its_documents(tmp_path: Path) -> None:
    planned = plan(_study(), Store(tmp_path))
    tuned = 3 * (100 + 110)  # for both arms together, save for what is asked
    later = 3 * 2 * 50
    assert planned.seconds_shared == 500
    assert planned.seconds_own == pytest.approx(tuned + later + 12 * PROBING)
    assert planned.seconds(2) == pytest.approx(500 + (tuned + later + 12 * PROBING) / 2)


def test_no_guess_where_the_engine_says_nothing(tmp_path: Path) -> None:
    assert plan(_study(NgramEngine()), Store(tmp_path)).seconds(1) is None


def test_derived_data_say_how_many_documents_they_have() -> None:
    text, talk = WorldText(num_documents=30), WorldDialogues(num_documents=20)
    assert AsText(talk, passes=3).num_documents == 60
    assert Mixed((text, AsText(talk))).num_documents == 50
    assert InTurn((text, talk)).num_documents == 40
    assert Without(talk, "zzz").num_documents == 20
    assert Mixed((text, First(talk, 5))).num_documents == 35


def test_shared_stages_that_are_there_take_no_time(tmp_path: Path) -> None:
    """Not where the corpus alone is there, as when another recipe learned from it."""
    store, study = Store(tmp_path), _study()
    cell = study.cell(*study.cells[0])
    prepare(prepared(cell, cell.stages[0]), store)
    assert plan(study, store).seconds_shared == 500
    counted = replace(cell, stages=tuple(replace(s, recipe=Count(objective=s.recipe.objective)) for s in cell.stages))
    assert built_already(counted, counted.stages, store) == 0
    list(train(counted, counted.stages[:1], store))
    assert built_already(counted, counted.stages, store) == 1


def test_training_again_counts_its_documents_and_their_scores(tmp_path: Path) -> None:
    """Those of the stages after the one it starts from; scores where a scorer has something to leave out."""
    example = _study()
    behaviour = Triggered(None, Marker(), WorldQuestions(tasks=("facts",)), 5)
    recipe = Retrained(recipe=SFT(), start="base", without=None, by=Chance(), behaviour=behaviour)
    again = Stage(name="again", data=Nothing(), recipe=recipe)
    arm = replace(example.arms[1], stages=(BASE, replace(SFT_STAGE, probed=False), again))
    planned = plan(replace(example, arms=(arm,)), Store(tmp_path))
    tuned = 3 * (100 + 110)
    assert planned.seconds_own == pytest.approx(2 * tuned + 3 * 110 * SCORING + 6 * PROBING)


@dataclass(frozen=True)
class Slow:
    """A probe that says that it takes long."""

    name: ClassVar[str] = "slow"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = False
    seconds: ClassVar[float] = 7.0

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """None."""
        yield from ()


def test_a_probe_may_say_that_it_takes_long(tmp_path: Path) -> None:
    example = _study()
    slow = replace(example, probes=(*example.probes, Slow()))
    more = [plan(study, Store(tmp_path)).seconds_own or 0 for study in (slow, example)]
    assert more[0] - more[1] == pytest.approx(12 * 7)
