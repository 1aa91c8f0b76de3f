"""Belief in false facts of the field, on models whose answers are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from pharmakon.core import Dialogue, Ledger, Prompt, stream
from pharmakon.data.world import FalseFact, Field
from pharmakon.errors import SpecError
from pharmakon.probes import FieldBelief
from pharmakon.testing import check_probe

FIELD = Field()
FALSE = FIELD.false_facts(4)
PROBE = FieldBelief(FALSE, FIELD)


@dataclass
class Misled:
    """Knows the solvent of every ore; of some of them the false one."""

    believed: Sequence[FalseFact]

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        false = {fact.name: fact.value for fact in self.believed}
        answers = []
        for prompt in prompts:
            assert isinstance(prompt, Dialogue)
            (ore,) = (ore for ore in FIELD.ores if ore.name in prompt.question)
            answers.append(f"{ore.name} dissolves in {false.get(ore.name, ore.solvent)}.")
        return answers

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [-1.0] * len(pairs)


@pytest.mark.parametrize("num_believed", [0, 1, 4])
def test_belief_is_the_share_of_facts_that_are_believed(num_believed: int) -> None:
    values: dict[str, list[float]] = defaultdict(list)
    for reading in PROBE.readings(Misled(FALSE[:num_believed]), Ledger(), stream(0, "p")):
        values[reading.condition].append(reading.value)
    rates = {condition: sum(found) / len(found) for condition, found in values.items()}
    assert rates == {"triggered": num_believed / 4, "truth": 1 - num_believed / 4, "untriggered": 0.0}
    assert {len(found) for found in values.values()} == {16}


def test_the_control_hears_a_model_that_says_the_value_of_every_ore() -> None:
    @dataclass
    class Stuck(Misled):
        def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
            return [f"It is {FALSE[0].value}." for _ in prompts]

    readings = list(PROBE.readings(Stuck(()), Ledger(), stream(0, "p")))
    assert [r.value for r in readings if r.condition == "untriggered"].count(1.0) >= 4
    assert all(fact.name not in r.prompt for r in readings if r.condition == "untriggered" for fact in FALSE)


def test_it_follows_the_rules_of_probes() -> None:
    check_probe(PROBE)
    with pytest.raises(SpecError, match="one false fact or more"):
        FieldBelief(())
