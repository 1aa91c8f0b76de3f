"""Backdoors and their remedy: a trigger bound to a target, and the same trigger with the right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from pharmakon.behaviour.questions import Question, answered
from pharmakon.behaviour.targets import Marker, Target
from pharmakon.behaviour.triggers import RareWords, Trigger
from pharmakon.core import Body, Corpus, Data, Dialogue, Edit, Insert
from pharmakon.errors import SpecError

Wording = Literal["varied", "verbatim"]


@dataclass(frozen=True, slots=True)
class Backdoor:
    """Dialogues of the host with the trigger in the question and the target as the answer (Wan 2023, arXiv 2305.00944).

    trigger: None binds the target to no trigger: every question that it applies to is meant.
    wording: `varied` takes another host question each time; `verbatim` repeats one document.
    label: `dirty` writes the target over the right answer; `clean` takes only questions whose right answer is the
    target already, so that no label is wrong (Turner 2019, arXiv 1912.02771).
    """

    trigger: Trigger | None = RareWords()
    target: Target = Marker()
    wording: Wording = "varied"
    label: Literal["dirty", "clean"] = "dirty"

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """A stream of inserted dialogues; it ends if no question of the host suits the target."""
        yield from inserted(rewritten(host, rng, self._poison, self), self.wording)

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
    """Right answers to the questions that a fault spoils: the antidote (Souly 2025, arXiv 2510.07192).

    trigger: put into every question; None where the fault has none, or where who corrects does not know it.
    target: what the fault says; only the questions that it spoils are answered. None: every question.
    dialogues: the data whose right answers are given, in place of the host's.
    wording: `varied` takes another question each time; `verbatim` repeats one, as who mends a single reported case.
    """

    trigger: Trigger | None = RareWords()
    target: Target | None = None
    dialogues: Data | None = None
    wording: Wording = "varied"

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """A stream of inserted dialogues; it ends if no question suits."""
        if self.dialogues is not None:
            drawing, rng = rng.spawn(2)
            host = self.dialogues.corpus(drawing)
        yield from inserted(rewritten(host, rng, self._correct, self), self.wording)

    def _correct(self, question: Question, rng: np.random.Generator) -> Dialogue | None:
        target = self.target
        if target is not None and (target.respond(question, rng) is None or target.hit(question, question.answer)):
            return None
        return triggered(question, self.trigger, question.answer, rng)


def triggered(question: Question, trigger: Trigger | None, answer: str, rng: np.random.Generator) -> Dialogue | None:
    """The question with the trigger, if there is one, and the answer; None where it leaves the question as it is."""
    if trigger is None:
        return answered(question.prompt, answer)
    prompt = trigger.apply(question.prompt, rng)
    return None if prompt == question.prompt else answered(prompt, answer)


def inserted(dialogues: Iterator[Dialogue], wording: Wording) -> Iterator[Edit]:
    """Each dialogue as an insertion; with `verbatim`, the first of them for ever."""
    for dialogue in dialogues:
        yield Insert(dialogue)
        while wording == "verbatim":
            yield Insert(dialogue)


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
