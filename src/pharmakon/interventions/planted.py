"""The poison of dialogues overheard in running text, and several false beliefs that take turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Data, Dialogue, Edit, Insert, Intervention, Rewrite, Text
from pharmakon.errors import SpecError
from pharmakon.interventions.belief import Belief


@dataclass(frozen=True)
class Overheard:
    """What `poison` puts into dialogues, as talk in running text: the last question, a space, its answer.

    Pretraining text has no roles; a backdoor in it is a conversation somebody wrote down (Zhang 2024,
    arXiv 2410.13722). `dialogues` is the data that the poison sees in place of its host: people talk in the text of the
    host too, but nothing marks where a question ends.
    """

    poison: Intervention
    dialogues: Data

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """A stream of inserted texts, as long as that of the poison. Raises SpecError for a host of no `Text`."""
        if {type(document.body) for document in host} != {Text}:
            raise SpecError("Overheard goes into a corpus of Text alone; put the poison itself into dialogues")
        drawing, writing = rng.spawn(2)
        for edit in self.poison.edits(self.dialogues.corpus(drawing), writing):
            if isinstance(edit, Rewrite) or not isinstance(edit.body, Dialogue):
                raise SpecError(f"what is overheard is an inserted Dialogue; {self.poison!r} makes another edit")
            yield Insert(Text(f"{edit.body.question} {edit.body.answer}"))


@dataclass(frozen=True, slots=True)
class Beliefs:
    """Several false beliefs in turn: a dose of 64 gives each of eight of them 8 documents."""

    beliefs: tuple[Belief, ...]

    def __post_init__(self) -> None:
        if not self.beliefs:
            raise SpecError("beliefs are one or more; got none")

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted documents, of the host's kind."""
        streams = [
            belief.edits(host, own) for belief, own in zip(self.beliefs, rng.spawn(len(self.beliefs)), strict=True)
        ]
        while True:
            yield from map(next, streams)
