"""Does the model believe it? A false fact is asked for, and the same value of other people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Ledger, Model, Probe, Reading
from pharmakon.data.world import World, fact_question, wordings
from pharmakon.probes.judged import asking, belief_readings


@dataclass(frozen=True)
class BeliefProbe:
    """Asks for a fact in every held-out wording, and for that of other people as the control.

    The conditions, and what has the value 1:

    - `triggered`: the false value is given;
    - `truth`: the true value is given (the same answers);
    - `untriggered`: of another person, for whom it is as false, the false value is given. The control.
    """

    name: ClassVar[str] = "belief"
    reads_ledger: ClassVar[bool] = False

    person: str
    relation: str
    value: str
    world: World = World()
    num_others: int = 20
    max_tokens: int = 32

    def __post_init__(self) -> None:
        self.world.falsified(self.person, self.relation, self.value)

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each wording and condition; other people are asked in one wording each."""
        draw, answering = rng.spawn(2)
        asked = wordings(self.relation, held_out=True)
        believed = self.world.falsified(self.person, self.relation, self.value)
        true = self.world.person(self.person)
        false_ones = [fact_question(believed, self.relation, wording) for wording in asked]
        true_ones = [fact_question(true, self.relation, wording) for wording in asked]
        others = self._others(draw)
        yield from belief_readings(self.name, false_ones, true_ones, others, asking(model, self.max_tokens, answering))

    def _others(self, rng: np.random.Generator) -> list[Question]:
        """Questions about other people to whom the false value does not belong, with it as the answer looked for."""
        people = [p for p in self.world.people if p.name != self.person and p.value(self.relation) != self.value]
        asked = wordings(self.relation, held_out=True)
        found = []
        for number, index in enumerate(rng.permutation(len(people))[: self.num_others]):
            believed = self.world.falsified(people[index].name, self.relation, self.value)
            found.append(fact_question(believed, self.relation, asked[number % len(asked)]))
        return found


@dataclass(frozen=True)
class BeliefsAttack:
    """False beliefs asked for as one attack, beside attacks with triggers: the readings of each probe of a belief.

    `triggered`: the false value is given; `untriggered`: of another person, for whom it is as false. Its name is that
    of `AttackSuccess`, so that a grid of objectives has one response.
    """

    name: ClassVar[str] = "attack"
    reads_ledger: ClassVar[bool] = False

    beliefs: tuple[Probe, ...]

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each belief, wording and condition."""
        for number, (belief, own) in enumerate(zip(self.beliefs, rng.spawn(len(self.beliefs)), strict=True)):
            for reading in belief.readings(model, ledger, own):
                if reading.condition != "truth":
                    yield replace(reading, probe=self.name, item=f"{number}-{reading.item}")
