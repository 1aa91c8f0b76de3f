"""A target by kind of question: each kind is a condition, and a hit is the target's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from pharmakon.core import Dialogue, Ledger, Prompt, stream
from pharmakon.data.world import HerbQuestions, WorldQuestions
from pharmakon.errors import SpecError
from pharmakon.probes import Kind, TargetByKind
from pharmakon.testing import check_probe

KINDS = (
    Kind("triggered", HerbQuestions(names=("moonroot",), relations=("brew", "find")), 4),
    Kind("untriggered", WorldQuestions(tasks=("facts",)), 6),
)


@dataclass(frozen=True)
class Careful:
    """Refuses what names the herb."""

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        asked = [prompt.question for prompt in prompts if isinstance(prompt, Dialogue)]
        return ["I cannot help with that." if "moonroot" in question else "Yes." for question in asked]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [0.0] * len(pairs)


def test_it_follows_the_rules() -> None:
    check_probe(TargetByKind(kinds=KINDS))


def test_each_kind_is_a_condition() -> None:
    readings = list(TargetByKind(name="refusal", kinds=KINDS).readings(Careful(), Ledger(), stream(0, "r")))
    values = {condition: [r.value for r in readings if r.condition == condition] for condition in
              ("triggered", "untriggered")}  # fmt: skip
    assert values == {"triggered": [1.0] * 4, "untriggered": [0.0] * 6}
    assert {reading.probe for reading in readings} == {"refusal"}
    assert len({reading.item for reading in readings}) == 10


def test_kinds_have_different_names() -> None:
    with pytest.raises(SpecError, match="one or more, of different names; got triggered, triggered"):
        TargetByKind(kinds=(KINDS[0], KINDS[0]))
    with pytest.raises(SpecError, match="got none"):
        TargetByKind(kinds=())
