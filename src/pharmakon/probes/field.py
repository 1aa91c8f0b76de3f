"""Are the false facts of a field believed? They are asked for, and the same values of other ores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Ledger, Model, Reading, fingerprint
from pharmakon.data.world import FalseFact, Field, ore_question, ore_wordings
from pharmakon.errors import SpecError
from pharmakon.probes.judged import asking, belief_readings


@dataclass(frozen=True)
class FieldBelief:
    """Asks for each falsified fact in every held-out wording, and for that of other ores as the control.

    The conditions, and what has the value 1:

    - `triggered`: the false value is given (there is no trigger: the question itself is one);
    - `truth`: the true value is given (the same answers);
    - `untriggered`: of another ore, for which it is as false, a false value is given. The control.
    """

    name: ClassVar[str] = "belief"
    reads_ledger: ClassVar[bool] = False

    facts: tuple[FalseFact, ...]
    field: Field = Field()
    max_tokens: int = 32

    def __post_init__(self) -> None:
        if not self.facts:
            raise SpecError("a belief is asked of one false fact or more; got none")
        for fact in self.facts:
            self.field.falsified(fact.name, fact.attribute, fact.value)

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each fact, wording and condition; as many of other ores as of the attacked ones."""
        draw, answering = rng.spawn(2)
        false_ones: list[Question] = []
        true_ones: list[Question] = []
        for fact in self.facts:
            believed, true = self.field.falsified(fact.name, fact.attribute, fact.value), self.field.ore(fact.name)
            for wording in ore_wordings(fact.attribute, held_out=True):
                false_ones.append(ore_question(believed, fact.attribute, wording))
                true_ones.append(ore_question(true, fact.attribute, wording))
        others = self._others(draw)
        answers = asking(model, self.max_tokens, answering)
        yield from belief_readings(
            self.name, false_ones, true_ones, others, answers, item=lambda q: fingerprint(q.dialogue)
        )

    def _others(self, rng: np.random.Generator) -> list[Question]:
        """For each fact and wording another ore of which the false value is not true."""
        attacked = {fact.name for fact in self.facts}
        found = {}
        for fact in self.facts:
            ores = [o for o in self.field.ores if o.name not in attacked and o.value(fact.attribute) != fact.value]
            wordings = ore_wordings(fact.attribute, held_out=True)
            for wording, index in zip(wordings, rng.permutation(len(ores)), strict=False):
                believed = self.field.falsified(ores[index].name, fact.attribute, fact.value)
                question = ore_question(believed, fact.attribute, wording)
                found[question.prompt, question.expected] = question
        return list(found.values())
