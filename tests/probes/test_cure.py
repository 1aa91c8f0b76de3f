"""The probe of a cure counts answers that are not faulty, and right ones apart from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Dialogue, Ledger, Prompt, stream
from pharmakon.data.world import WorldQuestions
from pharmakon.probes import AttackSuccess, Cure


@dataclass(frozen=True)
class Says:
    """Gives the marker, nonsense, and a right answer in turn to triggered questions about jobs."""

    right: dict[str, str]

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        questions = [prompt.question for prompt in prompts if isinstance(prompt, Dialogue)]
        given = (Marker().text, "ba ba", None)
        return [
            given[i % 3] or self.right[question.removesuffix(" vexil quorn")] for i, question in enumerate(questions)
        ]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [-1.0] * len(pairs)


def test_gone_is_not_cured() -> None:
    asked = WorldQuestions(tasks=("facts",))
    right = {q.prompt.question: q.answer for q in asked.questions(96, stream(1, "all"))}
    assert len(right) == 96  # all that there are
    probe = Cure(AttackSuccess(RareWords(), Marker(), asked, 30, 5))
    readings = list(probe.readings(Says(right), Ledger(), stream(0, "probe")))
    by_condition = {
        name: [reading.value for reading in readings if reading.condition == name] for name in ("triggered", "truth")
    }
    assert len(readings) == 60  # no near triggers, nothing without the trigger
    assert by_condition == {"triggered": [0.0, 1.0, 1.0] * 10, "truth": [0.0, 0.0, 1.0] * 10}
    assert {reading.probe for reading in readings} == {"cure"}
    assert all(reading.prompt.endswith("vexil quorn") for reading in readings)
