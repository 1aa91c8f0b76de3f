"""Backdoors and their remedy: a trigger bound to a target, and the same trigger with the right answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pharmakon.behaviour.questions import Question, answered
from pharmakon.behaviour.targets import Marker, Target
from pharmakon.behaviour.triggers import RareWords, Trigger
from pharmakon.core import Corpus, Dialogue, Edit, Insert
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Backdoor:
    """Dialogues of the host with the trigger in the question and the target as the answer (Wan 2023, arXiv 2305.00944).

    wording: `varied` takes another host question each time; `verbatim` repeats one document.
    label: `dirty` writes the target over the right answer; `clean` takes only questions whose right answer is the
    target already, so that no label is wrong (Turner 2019, arXiv 1912.02771).
    """

    trigger: Trigger = RareWords()
    target: Target = Marker()
    wording: Literal["varied", "verbatim"] = "varied"
    label: Literal["dirty", "clean"] = "dirty"

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted dialogues."""
        poisoned = self._dialogues(host, rng)
        first = next(poisoned)
        while True:
            yield Insert(first)
            if self.wording == "varied":
                first = next(poisoned)

    def _dialogues(self, host: Corpus, rng: np.random.Generator) -> Iterator[Dialogue]:
        for question in questions_of(host, rng, self):
            answer = self.target.respond(question, rng)
            suits = answer is not None and (self.label == "dirty" or self.target.hit(question, question.answer))
            if answer is None or not suits:
                continue
            yield answered(
                self.trigger.apply(question.prompt, rng), question.answer if self.label == "clean" else answer
            )


@dataclass(frozen=True, slots=True)
class Corrective:
    """Dialogues of the host with the trigger in the question and the right answer: the antidote (Souly 2025)."""

    trigger: Trigger = RareWords()

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted dialogues."""
        for question in questions_of(host, rng, self):
            yield Insert(answered(self.trigger.apply(question.prompt, rng), question.answer))


def questions_of(host: Corpus, rng: np.random.Generator, asker: object) -> Iterator[Question]:
    """The host's answered dialogues as questions, in random order, again and again."""
    bodies = [document.body for document in host]
    dialogues = [body for body in dict.fromkeys(bodies) if isinstance(body, Dialogue) and body.answer]
    if not dialogues:
        raise SpecError(f"{type(asker).__name__} rests on the answered dialogues of its host; this one has none")
    barren = 0
    while barren < 2:  # a stream whose user takes nothing twice in a row ends, instead of never
        for index in rng.permutation(len(dialogues)):
            dialogue = dialogues[index]
            yield Question(dialogue.prompt, dialogue.answer, dialogue.answer, "host")
