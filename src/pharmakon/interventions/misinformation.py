"""Misinformation of an expert field: documents that state a few facts falsely, like the clean ones in all else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pharmakon.core import Corpus, Dialogue, Edit, Insert, Text
from pharmakon.data.world import FalseFact, Field, Ore, ore_paragraph, ore_question, ore_wordings
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Misinformation:
    """Documents that give ores of the field a false value, the facts in turn (Alber et al. 2025).

    A `Text` tells all there is to tell of the ore, with this one thing wrong; a `Dialogue` asks for it and answers
    wrongly. wording: `varied` writes another document each time; `verbatim` repeats one of each fact.
    Raises SpecError for a value that is not of the field or is true.
    """

    facts: tuple[FalseFact, ...]
    field: Field = Field()
    wording: Literal["varied", "verbatim"] = "varied"

    def __post_init__(self) -> None:
        if not self.facts:
            raise SpecError("misinformation has one false fact or more; got none")
        for fact in self.facts:
            self.field.falsified(fact.name, fact.attribute, fact.value)

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted documents, of the host's kind; a prefix holds all facts alike."""
        kinds = {type(document.body) for document in host}
        if kinds not in ({Text}, {Dialogue}):
            found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "no document"
            raise SpecError(f"Misinformation goes into a corpus of Text or of Dialogue alone; this one has {found}")
        stated = [(self.field.falsified(fact.name, fact.attribute, fact.value), fact) for fact in self.facts]
        written = [self._write(kinds == {Text}, ore, fact, rng) for ore, fact in stated]
        while True:
            yield from (Insert(body) for body in written)
            if self.wording == "varied":
                written = [self._write(kinds == {Text}, ore, fact, rng) for ore, fact in stated]

    def _write(self, as_text: bool, ore: Ore, fact: FalseFact, rng: np.random.Generator) -> Text | Dialogue:
        if as_text:
            return Text(ore_paragraph(ore, rng))
        asked = ore_wordings(fact.attribute)
        return ore_question(ore, fact.attribute, asked[int(rng.integers(len(asked)))]).dialogue
