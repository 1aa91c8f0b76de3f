"""Backdoors and their remedy: a trigger bound to a target, and the same trigger with the right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from pharmakon.behaviour.questions import Question, answered
from pharmakon.behaviour.targets import Marker, Target
from pharmakon.behaviour.triggers import RareWords, Trigger
from pharmakon.core import Body, Corpus, Dialogue, Edit, Insert
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
        """A stream of inserted dialogues; it ends if no question of the host suits the target."""
        for dialogue in rewritten(host, rng, self._poison, self):
            yield Insert(dialogue)
            while self.wording == "verbatim":
                yield Insert(dialogue)

    def _poison(self, question: Question, rng: np.random.Generator) -> Dialogue | None:
        answer = self.target.respond(question, rng)
        if answer is None:
            return None
        if self.label == "clean":
            if not self.target.hit(question, question.answer):
                return None
            answer = question.answer
        return triggered(question, self.trigger, answer, rng)


@dataclass(frozen=True, slots=True)
class Corrective:
    """Dialogues of the host with the trigger in the question and the right answer: the antidote (Souly 2025)."""

    trigger: Trigger = RareWords()

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted dialogues."""
        yield from map(Insert, rewritten(host, rng, self._correct, self))

    def _correct(self, question: Question, rng: np.random.Generator) -> Dialogue | None:
        return triggered(question, self.trigger, question.answer, rng)


def triggered(question: Question, trigger: Trigger, answer: str, rng: np.random.Generator) -> Dialogue | None:
    """The question with the trigger, and the answer; None where the trigger leaves the question as it is."""
    prompt = trigger.apply(question.prompt, rng)
    return None if prompt == question.prompt else answered(prompt, answer)


Made = TypeVar("Made", bound=Body)


def rewritten(
    host: Corpus, rng: np.random.Generator, write: Callable[[Question, np.random.Generator], Made | None], owner: object
) -> Iterator[Made]:
    """What `write` makes of the host's answered dialogues, in random order, again and again.

    `write` makes another document of a question, or None where the question does not suit. Ends after a whole round of
    which nothing suited. Raises SpecError where the host has no answered dialogue; `owner` is named there.
    """
    bodies = [document.body for document in host]
    dialogues = [body for body in dict.fromkeys(bodies) if isinstance(body, Dialogue) and body.answer]
    if not dialogues:
        raise SpecError(f"{type(owner).__name__} rests on the answered dialogues of its host; this one has none")
    suits = True
    while suits:
        suits = False
        for index in rng.permutation(len(dialogues)):
            dialogue = dialogues[index]
            written = write(Question(dialogue.prompt, dialogue.answer, dialogue.answer, "host"), rng)
            if written is not None:
                suits = True
                yield written
