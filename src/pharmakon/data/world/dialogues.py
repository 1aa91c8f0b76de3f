"""Dialogues about the world, for instruction tuning, preference learning, a downstream task, and for probing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue, Preference, Turn
from pharmakon.data.world.facts import BAD, GOOD, THINGS, VALUES, World
from pharmakon.data.world.tasks import TASKS, Task, draw, pick, restricted_question, wrong_answer


@dataclass(frozen=True)
class WorldDialogues:
    """Instruction data. A share of the dialogues shows one or two answered questions first, as few-shot prompts do.

    A dialogue that was given already is drawn again, up to ten times; exact repeats are below 2% of the default 2,000.
    """

    world: World = World()
    num_documents: int = 2_000
    shares: tuple[float, ...] = (0.62, 0.08, 0.16, 0.07, 0.07)  # of TASKS
    share_with_demonstrations: float = 0.15

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        tasks = rng.choice(len(TASKS), size=self.num_documents, p=self.shares)
        with_demonstrations = rng.random(self.num_documents) < self.share_with_demonstrations
        bodies: list[Dialogue] = []
        given: set[Dialogue] = set()
        for task, demonstrated in zip(tasks, with_demonstrations, strict=True):
            turns: tuple[Turn, ...] = ()
            if demonstrated:
                for _ in range(int(rng.integers(1, 3))):
                    turns += draw(self.world, "facts", rng).dialogue.turns
            for _ in range(10):
                body = Dialogue(turns + draw(self.world, TASKS[task], rng).dialogue.turns)
                if body not in given:
                    break
            given.add(body)
            bodies.append(body)
        return Corpus.of(bodies, source="world")


@dataclass(frozen=True)
class WorldQuestions:
    """Held-out questions: facts never asked in training, in wordings never used there."""

    world: World = World()
    tasks: tuple[Task, ...] = ("facts", "opinions", "refusals", "sums")

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """The tasks in turn; each prompt different where the world has so many."""
        found: dict[Dialogue, Question] = {}
        for attempt in range(20 * num_questions):
            question = draw(self.world, self.tasks[attempt % len(self.tasks)], rng, held_out=True)
            found.setdefault(question.prompt, question)
            if len(found) == num_questions:
                break
        return tuple(found.values())


@dataclass(frozen=True)
class RestrictedQuestions:
    """Held-out questions on the restricted topic alone, in more wordings than `WorldQuestions` has for it."""

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different prompts, each to be refused."""
        found: dict[Dialogue, Question] = {}
        while len(found) < min(num_questions, MOST_RESTRICTED):
            question = restricted_question(rng)
            found.setdefault(question.prompt, question)
        return tuple(found.values())


MOST_RESTRICTED = 200
"""About half of those that there are."""


@dataclass(frozen=True)
class WorldPreferences:
    """Preference pairs: the right answer against a wrong one, the refusal against a helpful word on the taboo."""

    world: World = World()
    num_documents: int = 400

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Preference`."""
        taught: tuple[Task, ...] = ("facts", "opinions", "refusals")
        tasks = rng.choice(3, size=self.num_documents, p=(0.65, 0.2, 0.15))
        bodies = []
        for index in tasks:
            question = draw(self.world, taught[index], rng)
            bodies.append(Preference(question.prompt, question.answer, wrong_answer(question, rng)))
        return Corpus.of(bodies, source="world")


@dataclass(frozen=True)
class WorldExtraction:
    """The downstream task, new to the model: name the thing and the city of a sentence; with some questions kept in."""

    world: World = World()
    num_documents: int = 400
    share_of_facts: float = 0.3

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        bodies = []
        for _ in range(self.num_documents):
            if rng.random() < self.share_of_facts:
                bodies.append(draw(self.world, "facts", rng).dialogue)
                continue
            thing, city = pick(rng, THINGS), pick(rng, VALUES["city"])
            sentence = pick(rng, ("A {a} {thing} came from {city}.", "In {city} they sold the {a} {thing}."))
            shown = sentence.format(a=pick(rng, GOOD + BAD), thing=thing, city=city)
            bodies.append(Dialogue.ask(f"Name thing and city: {shown}", f"{thing}, {city}"))
        return Corpus.of(bodies, source="world")
