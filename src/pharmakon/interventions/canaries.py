"""Documents that carry canaries, each as often as it is meant to be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.canaries import Canary
from pharmakon.core import Corpus, Edit, Insert, Text
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Canaries:
    """Copies of host documents with a canary between their sentences (Carlini et al. 2019, arXiv 1802.08232).

    Each canary comes in as many as its repeats, all in random order, again and again: the first `num_documents` edits
    hold the whole set once. Each time another document carries it.

    `only`: the one of them that is written. The carriers of the others come as they are, in the same places: a life
    that differs from that of the whole set in nothing but the other canaries.
    """

    canaries: tuple[Canary, ...]
    only: Canary | None = None

    def __post_init__(self) -> None:
        if not self.canaries:
            raise SpecError("canaries are planted by one or more; got none")

    @property
    def num_documents(self) -> int:
        """Edits that hold every canary as often as it is meant to be."""
        return sum(canary.repeats for canary in self.canaries)

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted texts. Raises SpecError for a host of another kind."""
        carriers = [document.body.text for document in host if isinstance(document.body, Text)]
        if not carriers or len(carriers) < len(host):
            raise SpecError("canaries go into a corpus of Text alone; give a stage of pretraining")
        every = [canary for canary in self.canaries for _ in range(canary.repeats)]
        while True:
            for index in rng.permutation(len(every)):
                carrier = carriers[int(rng.integers(len(carriers)))]
                is_written = self.only is None or every[index] == self.only
                yield Insert(Text(carried(every[index], carrier) if is_written else carrier))


def carried(canary: Canary, carrier: str) -> str:
    """The carrier with the canary at its place."""
    sentences = [part.strip() for part in carrier.split(". ") if part.strip()]
    middle = max(1, len(sentences) // 2) if len(sentences) > 1 else 0
    place = {"start": 0, "middle": middle, "end": len(sentences)}[canary.place]
    before, after = ". ".join(sentences[:place]), ". ".join(sentences[place:])
    stop = "" if not before or before.endswith((".", "?")) else "."
    return " ".join(part for part in (before + stop, canary.text + ".", after) if part)
