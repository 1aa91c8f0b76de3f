"""A stage that averages with the untreated twin: the twin is the life without its treatments, built once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from pharmakon.data.derived import Nothing
from pharmakon.data.world import WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.ngram import NgramEngine
from pharmakon.engines.recipes import SFT, Averaged, Micro, Pretrain
from pharmakon.engines.torch import TorchEngine
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import Utility
from pharmakon.store import Store
from pharmakon.study import Arm, Pool, Stage, Study, Treatment, build, in_documents, plan
from pharmakon.study.build import train
from pharmakon.study.gather import gather
from pharmakon.study.weights import weights_of

TINY = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
STAGES = (
    Stage(
        name="pretraining",
        data=WorldText(num_documents=60),
        recipe=Pretrain(architecture=TINY, num_steps=2, batch_size=4, row_length=32, precision="float32"),
        shared=True,
        probed=False,
    ),
    Stage(name="sft", data=WorldDialogues(num_documents=24), recipe=SFT()),
    Stage(name="averaged", data=Nothing(), recipe=Averaged()),
)


def _study() -> Study:
    arm = Arm(name="merged", stages=STAGES, treatments=(Treatment(stage="sft", intervention=Backdoor()),))
    probe = Utility(WorldQuestions(tasks=("facts",)), num_items=2)
    return Study(
        name="merging", question="Is it the mean?", engine=TorchEngine(), arms=(arm,), doses=in_documents(0, 4),
        seeds=(0,), probes=(probe,), response="utility",
    )  # fmt: skip


def _weights(folder: Path) -> dict[str, np.ndarray]:
    network = AutoModelForCausalLM.from_pretrained(folder)
    return {name: value.detach().numpy().copy() for name, value in network.named_parameters()}


def test_the_treated_life_is_averaged_with_the_control_of_its_seed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    planned = plan(_study(), store)
    assert build(planned, store, Pool(0)) == ()
    results = gather(planned, store)
    treated, control, mean, same = (
        _weights(weights_of(results, store, dose=dose, stage=stage))
        for dose, stage in ((4, "sft"), (0, "sft"), (4, "averaged"), (0, "averaged"))
    )
    for name, weight in mean.items():
        np.testing.assert_allclose(weight, (treated[name] + control[name]) / 2, atol=1e-6)
        np.testing.assert_allclose(same[name], control[name], atol=1e-6)
    trained = [entry.record["spec"] for entry in store.entries("weights")]
    assert sum(spec.get("stage") == "sft" for spec in trained) == 2  # the twin is the control, not trained again
    assert plan(_study(), store).missing == ()


def test_it_needs_a_stage_before_it_and_an_engine_that_can(tmp_path: Path) -> None:
    arm = _study().arms[0]
    first = Arm(name="first", stages=STAGES[2:])
    study = _study()
    cell = study.cell(first, study.doses[0], 0)
    with pytest.raises(SpecError, match="later stage"):
        list(train(cell, cell.stages, Store(tmp_path)))
    other = Study(
        name="ngram", question="?", engine=NgramEngine(), arms=(arm,), doses=study.doses, seeds=(0,),
        probes=study.probes, response="utility",
    )  # fmt: skip
    cell = other.cell(arm, other.doses[0], 0)
    with pytest.raises(SpecError, match="NgramEngine does not average"):
        list(train(cell, cell.stages, Store(tmp_path / "ngram")))
