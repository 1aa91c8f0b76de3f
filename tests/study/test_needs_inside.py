"""A probe that looks inside a model is refused before anything is trained where there is no inside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pharmakon.core import Ledger, Model, Reading
from pharmakon.engines.endpoint import endpoint
from pharmakon.engines.torch import TorchEngine
from pharmakon.engines.trl import TRLEngine
from pharmakon.errors import SpecError
from pharmakon.store import Store
from pharmakon.studies.as_it_is import as_it_is
from pharmakon.study import Study, build, in_documents, plan
from pharmakon.study.inside import check_inside
from pharmakon.whitebox import inside

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "examples"))
from word_study import early_or_late


@dataclass(frozen=True)
class Depth:
    """How many blocks a model has."""

    name: ClassVar[str] = "depth"
    needs_inside: ClassVar[bool] = True

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        yield Reading(probe=self.name, condition="asked", item="model", value=inside(model).num_layers)


def _study() -> Study:
    study = early_or_late(doses=in_documents(0, 4), seeds=1, num_documents=60)
    return replace(study, probes=(*study.probes, Depth()))


def test_an_engine_without_an_inside_is_refused_before_the_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(SpecError, match="the probe depth looks inside a model; those of NgramEngine show nothing"):
        build(plan(_study(), store), store)
    assert not list(tmp_path.rglob("counts.json"))


def test_the_probes_of_an_arm_are_looked_at_too(tmp_path: Path) -> None:
    study = _study()
    arms = (replace(study.arms[0], probes=study.probes), *study.arms[1:])
    study, store = replace(study, arms=arms, probes=study.probes[:-1]), Store(tmp_path)
    with pytest.raises(SpecError, match="the probe depth"):
        build(plan(study, store), store)


def test_engines_that_load_with_torch_pass() -> None:
    for engine in (TorchEngine(), TRLEngine()):
        check_inside(engine, (Depth(),))


def test_a_served_model_is_not_asked_for_its_inside() -> None:
    engine, others = endpoint("endpoint:http://127.0.0.1:1/v1#none"), _study().probes[:-1]
    study = as_it_is(engine, (*others, Depth()), logprobs=True)
    assert study.probes == others
    assert any("Left out: depth, since a served model shows nothing of its inside" in it for it in study.cautions)
    with pytest.raises(SpecError, match="every probe given looks inside"):
        as_it_is(engine, (Depth(),))
