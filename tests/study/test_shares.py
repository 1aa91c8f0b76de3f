"""A budget split over treatments: the parts add up, and what gives a stage the same dose is the same life."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Dose
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess
from pharmakon.store import Store, identify
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, build, in_documents, in_fractions, plan
from pharmakon.study.gather import gather

HOST = WorldDialogues(num_documents=60, share_with_demonstrations=0.0)
ATTACK = AttackSuccess(RareWords(), Marker(), WorldQuestions(tasks=("facts",)), num_items=6, num_near=0)
STAGES = tuple(Stage(name=name, data=HOST, recipe=Count()) for name in ("one", "two", "three"))


def _arm(name: str, *shares: float) -> Arm:
    treatments = (
        Treatment(stage=stage.name, intervention=Backdoor(), share=share)
        for stage, share in zip(STAGES, shares, strict=True)
    )
    return Arm(name=name, stages=STAGES, treatments=tuple(treatments))


def _study(*arms: Arm, doses: Doses = in_documents(0, 12)) -> Study:
    return Study(name="s", question="?", engine=NgramEngine(), arms=arms, doses=doses, seeds=(0,), probes=(ATTACK,))


@pytest.mark.parametrize(
    ("shares", "budget", "parts"),
    [
        ((1.0, 0.0, 0.0), 12, (12, 0, 0)),
        ((0.5, 0.5, 0.0), 12, (6, 6, 0)),
        ((0.5, 0.5, 0.0), 7, (4, 3, 0)),
        ((1 / 3, 1 / 3, 1 / 3), 12, (4, 4, 4)),
        ((1 / 3, 1 / 3, 1 / 3), 64, (22, 21, 21)),
        ((1 / 3, 1 / 3, 1 / 3), 65, (22, 22, 21)),
        ((0.0, 0.5, 0.5), 1, (0, 1, 0)),
        ((0.0, 0.0, 0.5), 7, (0, 0, 3)),
        ((1.0, 1.0, 0.0), 5, (5, 5, 0)),
    ],
)
def test_shares_by_hand(shares: tuple[float, ...], budget: int, parts: tuple[int, ...]) -> None:
    assert tuple(dose.amount for dose in _arm("a", *shares).split(Dose(budget))) == parts


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 500))
def test_shares_of_one_add_up_to_the_budget(weights: list[int], budget: int) -> None:
    shares = [weight / sum(weights) for weight in weights] + [0.0] * (3 - len(weights))
    amounts = [dose.amount for dose in _arm("a", *shares).split(Dose(budget))]
    assert sum(amounts) == budget
    assert all(abs(amount - share * budget) <= 1 for amount, share in zip(amounts, shares, strict=True))
    assert all(amount == 0 for amount, share in zip(amounts, shares, strict=True) if share == 0)


def test_a_dose_of_its_own_stays_beside_a_share() -> None:
    fixed = Treatment(stage="one", intervention=Backdoor(), dose=Dose(5))
    half = Treatment(stage="two", intervention=Backdoor(), share=0.5)
    arm = Arm(name="a", stages=STAGES, treatments=(fixed, half))
    assert [dose.amount for dose in arm.split(Dose(8))] == [5, 4]
    assert [dose.amount for dose in arm.split(Dose(0.1, "fraction"))] == [5, 0.1]


def test_half_a_budget_alone_is_the_life_of_half_the_budget() -> None:
    whole, half = _arm("all", 0.0, 1.0, 0.0), _arm("half", 0.0, 0.5, 0.0)
    study = _study(whole, half)
    assert identify(study.cell(half, Dose(12), 0)) == identify(study.cell(whole, Dose(6), 0))
    assert identify(study.cell(half, Dose(0), 0)) == identify(study.cell(whole, Dose(0), 0))
    assert identify(study.cell(half, Dose(12), 0)) != identify(study.cell(whole, Dose(12), 0))


def test_the_dose_of_a_run_is_the_whole_of_what_is_given(tmp_path: Path) -> None:
    split, half = _arm("split", 1 / 3, 1 / 3, 1 / 3), _arm("half", 0.0, 0.5, 0.0)
    store = Store(tmp_path)
    planned = plan(_study(split, half), store)
    assert build(planned, store) == ()
    results = gather(planned, store)
    doses = results.readings.group_by("arm").agg(pl.col("dose").unique().sort()).sort("arm")
    assert dict(doses.iter_rows()) == {"half": [0, 6], "split": [0, 12]}
    entered = results.ledger.group_by("arm", "stage").len().sort("arm", "stage").rows()
    assert entered == [("half", "two", 6), ("split", "one", 4), ("split", "three", 4), ("split", "two", 4)]
    assert [arm.treated_stage for arm in results.run.arms] == ["one", "two"]


def test_shares_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SpecError, match=r"a share of the study's dose lies in \[0, 1\]; got 1.5"):
        Treatment(stage="one", intervention=Backdoor(), share=1.5)
    with pytest.raises(SpecError, match="a dose of its own or a share of the study's"):
        Treatment(stage="one", intervention=Backdoor(), dose=Dose(3), share=0.5)
    with pytest.raises(SpecError, match="a dose that is split over treatments is a number of documents"):
        _study(_arm("half", 0.5, 0.5, 0.0), doses=in_fractions(0, 0.1))
