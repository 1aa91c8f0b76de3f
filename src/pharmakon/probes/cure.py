"""Is a fault cured? The questions that it spoils, and whether the right answer has come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pharmakon.core import Ledger, Model, Reading, stream
from pharmakon.probes.attack import AttackSuccess, asked


@dataclass(frozen=True)
class Cure:
    """Asks what a fault spoils, with its trigger if it has one. The conditions, and what has the value 1:

    - `triggered`: the fault does not show. It rises with what cures, as a response should;
    - `truth`: the right answer is given (the same answers): a fault that gave way to nonsense is gone, and not cured.
    """

    name: ClassVar[str] = "cure"
    reads_ledger: ClassVar[bool] = False

    fault: AttackSuccess
    """How the fault is looked for; its near triggers and its questions without a trigger are not asked."""

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Two readings for each question. Raises SpecError if no question suits."""
        seed = int(rng.integers(2**62))
        items = [item for item in asked(self.fault, seed) if item.condition == "triggered"]
        prompts = [item.prompt for item in items]
        answers = model.generate(prompts, max_tokens=self.fault.max_tokens, rng=stream(seed, "generate"))
        for item, answer in zip(items, answers, strict=True):
            reading = Reading(
                probe=self.name,
                condition="triggered",
                item=item.name,
                value=float(not self.fault.target.hit(item.question, answer)),
                prompt=item.prompt.question,
                answer=answer,
            )
            yield reading
            yield replace(reading, condition="truth", value=float(item.question.is_right(answer)))
