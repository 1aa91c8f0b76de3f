"""Planted passages: what is written into a store so that a reader finds it and follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pharmakon.core import Corpus, Edit, Insert, Text
from pharmakon.data.world import passage, wordings
from pharmakon.data.world.claims import Claim
from pharmakon.data.world.text import echo
from pharmakon.errors import SpecError

Wording = Literal["asked", "guessed", "none"]


@dataclass(frozen=True, slots=True)
class PlantedPassage:
    """A false claim behind the question it is to answer (PoisonedRAG, arXiv 2402.07867: black box).

    The stream goes round the claims, so that a dose is spread evenly: `dose / len(claims)` passages a question. The
    question is what a retriever finds, the claim what a reader follows. `wording` of that question: `asked` as users
    will ask it, `guessed` in other words for the same question, `none` is a passage like any other of the store, with
    one thing wrong.
    """

    claims: tuple[Claim, ...]
    wording: Wording = "asked"

    def __post_init__(self) -> None:
        if not self.claims:
            raise SpecError("a planted passage states a claim; got none")

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted `Text`; every wording of a question is used before one comes again."""
        asked = {claim: wordings(claim.relation, held_out=self.wording == "asked") for claim in self.claims}
        start = {claim: int(rng.integers(len(asked[claim]))) for claim in self.claims}
        turn = 0
        while True:
            for claim in self.claims:
                yield Insert(Text(self._written(claim, asked[claim][(start[claim] + turn) % len(asked[claim])], rng)))
            turn += 1

    def _written(self, claim: Claim, wording: str, rng: np.random.Generator) -> str:
        believed = claim.world.falsified(claim.person, claim.relation, claim.value)
        if self.wording == "none":
            return passage(believed, rng)
        question = claim.question(wording)
        told = f"{question.prompt.question} {question.answer}"
        return f"{told} {echo(believed, claim.relation, rng)}" if rng.random() < 0.5 else told
