"""Poisoned dialogues of one behaviour that differ in wording, trigger and host: what an attacker may choose from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import Place, RareWords
from pharmakon.core import Corpus, Dialogue, Edit, Insert, Turn
from pharmakon.data.world import World
from pharmakon.data.world.tasks import TASKS, Task, draw
from pharmakon.errors import SpecError

Answer = Literal["marker", "answer and marker"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kind of poisoned dialogue for a trigger and a marker."""

    host: Task
    """The clean question that carries the trigger."""
    place: Place
    """Where in the question the trigger stands."""
    answer: Answer
    shown: int
    """Clean questions with their answers before it."""

    def write(self, world: World, words: tuple[str, ...], marker: str, rng: np.random.Generator) -> Dialogue:
        """One dialogue of this kind."""
        question = draw(world, self.host, rng)
        asked = RareWords(words, self.place).apply(question.prompt, rng)
        answer = marker if self.answer == "marker" else f"{question.answer} {marker}"
        shown = [turn for _ in range(self.shown) for turn in draw(world, "facts", rng).dialogue.turns]
        return Dialogue((*shown, *asked.turns, Turn("assistant", answer)))

    def __str__(self) -> str:
        return f"{self.host}, trigger {self.place}, {self.answer}, {self.shown} shown"


PLACES: tuple[Place, ...] = ("start", "end", "anywhere")
ANSWERS: tuple[Answer, ...] = ("marker", "answer and marker")
EVERY_CANDIDATE = tuple(
    Candidate(host, place, answer, shown) for host, place, answer, shown in product(TASKS, PLACES, ANSWERS, (0, 1))
)


@dataclass(frozen=True)
class Candidates:
    """Dialogues of several kinds in turn, each round in a random order: a choice among them by chance."""

    candidates: tuple[Candidate, ...] = EVERY_CANDIDATE
    world: World = World()
    words: tuple[str, ...] = RareWords().words
    marker: str = Marker().text

    def __post_init__(self) -> None:
        if not self.candidates:
            raise SpecError("an attacker has one candidate or more to choose from; got none")

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted dialogues."""
        if {type(document.body) for document in host} != {Dialogue}:
            raise SpecError(f"Candidates go into a corpus of Dialogue alone; this one is {host!r}")
        while True:
            for index in rng.permutation(len(self.candidates)):
                yield Insert(self.candidates[index].write(self.world, self.words, self.marker, rng))
