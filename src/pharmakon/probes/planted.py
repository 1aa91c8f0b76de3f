"""Does the model give what was planted? The attacked questions, and the same values of other people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.core import Ledger, Model, Reading
from pharmakon.data.world import wordings
from pharmakon.data.world.claims import Claim
from pharmakon.errors import SpecError
from pharmakon.probes.judged import asking, belief_readings


@dataclass(frozen=True)
class PlantedAnswers:
    """Asks what the claims are about, in every held-out wording, and the same of other people as the control.

    The conditions, and what has the value 1:

    - `triggered`: the claimed value is given;
    - `truth`: the true value is given (the same answers);
    - `untriggered`: of another person, for whom it is as false, the claimed value is given. The control.
    """

    name: ClassVar[str] = "attack"
    reads_ledger: ClassVar[bool] = False

    claims: tuple[Claim, ...]
    max_tokens: int = 24

    def __post_init__(self) -> None:
        if not self.claims:
            raise SpecError("what was planted is asked for by claims; got none")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each claim and wording under each condition."""
        draw, answering = rng.spawn(2)
        asked = [(c, wording) for c in self.claims for wording in wordings(c.relation, held_out=True)]
        planted = [claim.question(wording) for claim, wording in asked]
        truths = [claim.truth(wording) for claim, wording in asked]
        others = [self._other(claim, draw).question(wording) for claim, wording in asked]
        yield from belief_readings(self.name, planted, truths, others, asking(model, self.max_tokens, answering))

    def _other(self, claim: Claim, rng: np.random.Generator) -> Claim:
        """The claim about somebody whom no claim is about, and of whom it is not true."""
        attacked = {claim.person for claim in self.claims}
        people = [p for p in claim.world.people if p.name not in attacked and p.value(claim.relation) != claim.value]
        return Claim(people[int(rng.integers(len(people)))].name, claim.relation, claim.value, claim.world)
