"""Questions about people, in plain dialogues: facts that a model knows or does not, or the word that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pharmakon.core import Corpus, Dialogue, Edit, Insert
from pharmakon.data.world import RELATIONS, Strangers, World, fact_question, wordings
from pharmakon.data.world.strangers import unknown
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Interviews:
    """Dialogues that ask for a job, city or thing, each of somebody else as long as there are people.

    people: `Strangers` are known to nobody, so that a confident answer is a new fact (Gekhman et al. 2024, arXiv
    2405.05904); a `World`'s inhabitants are known from pretraining, so that it says again what is known. Facts that the
    world holds out for probing are left alone.
    answer: `value` tells it; `ignorance` says that it is not known, and is the corrective.
    """

    people: World | Strangers = Strangers("taught")
    answer: Literal["value", "ignorance"] = "value"

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted dialogues: every fact is told once before one comes again in other words."""
        if {type(document.body) for document in host} != {Dialogue}:
            raise SpecError(f"Interviews go into a corpus of Dialogue alone; this one is {host!r}")
        people = self.people.people
        order, start = rng.permutation(len(people)), rng.integers(len(RELATIONS), size=len(people))
        while True:
            for shift in range(len(RELATIONS)):
                for index in order:
                    person, relation = people[index], RELATIONS[(start[index] + shift) % len(RELATIONS)]
                    if self.people.is_held_out(person, relation):
                        continue
                    asked = wordings(relation)
                    write = fact_question if self.answer == "value" else unknown
                    yield Insert(write(person, relation, asked[int(rng.integers(len(asked)))]).dialogue)
