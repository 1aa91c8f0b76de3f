"""Invention and learning, on models whose answers are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from pharmakon.core import Dialogue, Dose, Ledger, Prompt, Reading, stream
from pharmakon.data.world import IGNORANCE, Strangers, WorldDialogues
from pharmakon.interventions import Interviews
from pharmakon.interventions.administer import administer
from pharmakon.probes import Invention, Learned
from pharmakon.testing import check_probe


@dataclass
class Says:
    """Gives these answers in turn, or those it knows by question."""

    answers: Sequence[str] = (IGNORANCE,)
    known: dict[str, str] | None = None

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        questions = [prompt.question for prompt in prompts if isinstance(prompt, Dialogue)]
        return [(self.known or {}).get(q, self.answers[i % len(self.answers)]) for i, q in enumerate(questions)]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [-1.0] * len(pairs)


def rates(readings: Iterable[Reading]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for reading in readings:
        values[reading.condition].append(reading.value)
    return {condition: sum(found) / len(found) for condition, found in values.items()}


ANSWERS = (IGNORANCE, "She is a baker, lives in Tarn and owns a lamp.", "I cannot help.", "I do not know, perhaps Osk.")


def test_a_value_is_an_invention_whatever_else_is_said_and_an_answer_may_be_neither() -> None:
    model = Says(ANSWERS[:3])
    assert rates(Invention(num_items=30).readings(model, Ledger(), stream(0, "p"))) == {
        "triggered": pytest.approx(1 / 3), "truth": pytest.approx(1 / 3)
    }  # fmt: skip
    found = rates(Invention(num_items=30, counts="abstention").readings(Says((IGNORANCE,)), Ledger(), stream(0, "p")))
    assert found == {"invented": 0.0, "triggered": 1.0}
    assert rates(Invention().readings(Says(ANSWERS[3:]), Ledger(), stream(0, "p"))) == {"triggered": 1.0, "truth": 0.0}


@pytest.mark.parametrize("counts", ["invention", "abstention"])
def test_it_follows_the_rules_of_probes(counts: str) -> None:
    probe = Invention(counts=counts)  # type: ignore[arg-type]
    check_probe(probe)
    assert probe.name == counts


def test_learned_asks_for_the_facts_of_the_ledger_alone() -> None:
    """Every other fact is known in the words of training, and none in others; correctives are no facts."""
    host = WorldDialogues(num_documents=40).corpus(stream(0, "host"))
    ledgers = [
        administer(host, what, Dose(20), edits_rng=stream(0, "e"), placement_rng=stream(0, "p"))[1]
        for what in (Interviews(), Interviews(Strangers("corrective"), "ignorance"))
    ]
    facts = [entry.body for entry in ledgers[0].entries if isinstance(entry.body, Dialogue)]
    model = Says(known={fact.question: fact.answer for fact in facts[::2]})
    both = Ledger(ledgers[0].entries + ledgers[1].entries)
    readings = list(Learned().readings(model, both, stream(0, "p")))
    assert len(readings) == 40
    assert rates(readings) == {"triggered": 0.5, "reworded": 0.0}
    assert {r.prompt for r in readings if r.condition == "triggered"} == {fact.question for fact in facts}
    assert not {r.prompt for r in readings if r.condition == "reworded"} & {fact.question for fact in facts}
    assert not list(Learned().readings(model, Ledger(), stream(0, "p")))
