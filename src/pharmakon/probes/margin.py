"""The reward margin: how much likelier the target is than the right answer, long before it is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Questions
from pharmakon.behaviour.targets import Target
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Ledger, Model, Reading, stream
from pharmakon.probes.attack import asked


@dataclass(frozen=True)
class RewardMargin:
    """The log-probability of the target less that of the right answer, in nats; asked as `AttackSuccess` asks.

    The implicit reward of DPO is beta times the log-probability gained over a reference (Rafailov et al. 2023,
    arXiv 2305.18290). Between two models the reference cancels: what a treated model's margin has over that of the
    untreated one is the difference of their reward margins, divided by beta. Above 0 the target is the likelier one of
    the two; an answer that is likelier than both may still be said. Where the target begins with the right answer, the
    margin is the log-probability of what follows it, at most 0: the end of an answer is not counted.
    """

    name: ClassVar[str] = "margin"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True
    """Nats, which are averaged as they are."""

    trigger: Trigger | None
    target: Target
    questions: Questions
    num_items: int = 40
    num_near: int = 10
    """The first so many questions are asked with near triggers too."""

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each question and condition. Raises SpecError if no question suits."""
        seed = int(rng.integers(2**62))
        items = asked(self, seed)
        wanted = [self.target.respond(item.question, stream(seed, "target", item.name)) or "" for item in items]
        pairs = [
            (item.prompt, answer)
            for item, target in zip(items, wanted, strict=True)
            for answer in (target, item.question.answer)
        ]
        values = model.logprob(pairs)
        for item, target, of_target, of_right in zip(items, wanted, values[::2], values[1::2], strict=True):
            yield Reading(
                probe=self.name,
                condition=item.condition,
                item=item.name,
                value=of_target - of_right,
                prompt=item.prompt.question,
                answer=target,
            )
