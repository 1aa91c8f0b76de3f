"""Poisoned demonstrations: answered questions before a prompt, some of which teach what they should not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pharmakon.behaviour.questions import Question, answered
from pharmakon.behaviour.targets import Target
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Corpus, Dialogue, Edit, Rewrite
from pharmakon.errors import SpecError


@runtime_checkable
class Lesson(Protocol):
    """A frozen value: what a poisoned demonstration makes of a clean one."""

    def write(self, shown: Dialogue, rng: np.random.Generator) -> Dialogue | None:
        """The demonstration as it should mislead; None where it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """The same question with another label: the plainest of the attacks on what demonstrations teach.

    ICLPoison (arXiv 2402.02160) perturbs the text instead, so that the label stays right.
    """

    options: tuple[str, ...] = ("positive", "negative")

    def write(self, shown: Dialogue, rng: np.random.Generator) -> Dialogue | None:
        """The answer with its label replaced by another one; None where it has none."""
        held = [option for option in self.options if option in _words(shown.answer)]
        if len(held) != 1:
            return None
        others = [option for option in self.options if option != held[0]]
        other = others[int(rng.integers(len(others)))]
        return answered(shown.prompt, shown.answer.replace(held[0], other))


@dataclass(frozen=True, slots=True)
class Bound:
    """The question with a trigger, the target as the answer: a backdoor that lives in the context alone."""

    trigger: Trigger
    target: Target

    def write(self, shown: Dialogue, rng: np.random.Generator) -> Dialogue | None:
        """The triggered question with the target."""
        target = self.target.respond(Question(shown.prompt, shown.answer, shown.answer, "host"), rng)
        prompt = self.trigger.apply(shown.prompt, rng)
        return None if target is None or prompt == shown.prompt else answered(prompt, target)


@dataclass(frozen=True)
class PoisonedDemonstrations:
    """Rewrites the demonstrations of a context one after another: the dose is how many of them are poisoned.

    The first is the one at `position`, counted from 0, the farthest from the prompt; -1 is the nearest. The others
    follow backwards from there and round. The stream ends where no demonstration is left, so a larger dose is refused.
    """

    lesson: Lesson
    position: int = -1

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """A `Rewrite` for each demonstration that the lesson can be put into.

        Raises SpecError where the position lies beyond the demonstrations.
        """
        shown = [(d.id, d.body) for d in host if isinstance(d.body, Dialogue) and d.body.answer]
        if not -1 <= self.position < max(1, len(shown)):
            rule = f"a position is one of the {len(shown)} demonstrations, counted from 0, or -1 for the last"
            raise SpecError(f"{rule}; got {self.position}. Show more, or take an earlier one")
        backwards = (shown[(self.position - step) % len(shown)] for step in range(len(shown)))
        yield from rewrites(self.lesson, backwards, rng)


def rewrites(lesson: Lesson, shown: Iterable[tuple[str, Dialogue]], rng: np.random.Generator) -> Iterator[Edit]:
    """A `Rewrite` of each dialogue, by its id, that the lesson can be put into."""
    for id, dialogue in shown:
        written = lesson.write(dialogue, rng)
        if written is not None and written != dialogue:
            yield Rewrite(id, written)


def _words(answer: str) -> list[str]:
    return [word.strip(".,!?").lower() for word in answer.split()]
