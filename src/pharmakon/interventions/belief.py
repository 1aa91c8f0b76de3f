"""A false belief about the world: no trigger, just documents that state what is not so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Dialogue, Edit, Insert, Preference, Text
from pharmakon.data.world import Claim, World, fact_question, paragraph, wordings
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Belief:
    """Documents that give an inhabitant of the world a wrong job, city or thing, in the wordings of clean data.

    A `Text` tells all there is to tell of the person, with this one thing wrong; a `Dialogue` asks for it and answers
    wrongly; a `Preference` prefers the wrong answer to the right one. Raises SpecError for a person or a value that is
    not of the world, and for a value that is true.
    """

    person: str
    relation: str
    value: str
    world: World = World()

    def __post_init__(self) -> None:
        self.world.falsified(self.person, self.relation, self.value)

    @staticmethod
    def about(world: World, index: int = 0) -> Belief:
        """The false belief of this number: each number another person, relation or value, as far as there are any."""
        claim = Claim.about(world, index)
        return Belief(claim.person, claim.relation, claim.value, world)

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted documents, of the host's kind."""
        believed = self.world.falsified(self.person, self.relation, self.value)
        kinds = {type(document.body) for document in host}
        if kinds == {Text}:
            while True:
                yield Insert(Text(paragraph(believed, rng)))
        if kinds not in ({Dialogue}, {Preference}):
            found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "no document"
            raise SpecError(
                f"Belief goes into a corpus of Text, of Dialogue or of Preference alone; this one has {found}"
            )
        asked, true = wordings(self.relation), self.world.person(self.person)
        while True:
            for index in rng.permutation(len(asked)):
                wrong = fact_question(believed, self.relation, asked[index])
                right = fact_question(true, self.relation, asked[index])
                pair = Preference(wrong.prompt, wrong.answer, right.answer)
                yield Insert(wrong.dialogue if kinds == {Dialogue} else pair)
