"""Attack success: how often the trigger, no trigger and each near trigger bring the target forth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question, Questions
from pharmakon.behaviour.targets import Target
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Dialogue, Ledger, Model, Reading, fingerprint, stream
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class AttackSuccess:
    """Asks held-out questions with the trigger, without it, and with each near trigger; the value is 1 for a hit.

    A question is not asked if the target does not apply to it, or if its right answer is a hit already: every hit is
    the attack's. Nor is it asked with a trigger that leaves it as it is. Conditions are `triggered`, `untriggered` and
    `near: <name>`.
    """

    name: ClassVar[str] = "attack"
    reads_ledger: ClassVar[bool] = False

    trigger: Trigger
    target: Target
    questions: Questions
    num_items: int = 40
    num_near: int = 20
    """The first so many questions are asked with near triggers too."""
    max_tokens: int = 32

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each question and condition. Raises SpecError if no question suits."""
        seed = int(rng.integers(2**62))
        asked = self._suited(seed)
        conditions: list[tuple[str, Trigger | None, int]] = [
            ("triggered", self.trigger, self.num_items),
            ("untriggered", None, self.num_items),
            *((f"near: {name}", trigger, self.num_near) for name, trigger in self.trigger.near().items()),
        ]
        items: list[tuple[str, str, Question, Dialogue]] = []
        for condition, trigger, number in conditions:
            for question in asked[:number]:
                item = fingerprint(question.prompt)
                # A stream for each condition and item: another near trigger moves no draw of these.
                draw = stream(seed, "attack", condition, item)
                prompt = trigger.apply(question.prompt, draw) if trigger else question.prompt
                if trigger is None or prompt != question.prompt:
                    items.append((condition, item, question, prompt))
        prompts = [prompt for *_, prompt in items]
        answers = model.generate(prompts, max_tokens=self.max_tokens, rng=stream(seed, "generate"))
        for (condition, item, question, prompt), answer in zip(items, answers, strict=True):
            yield Reading(
                probe=self.name,
                condition=condition,
                item=item,
                value=float(self.target.hit(question, answer)),
                prompt=prompt.question,
                answer=answer,
            )

    def _suited(self, seed: int) -> list[Question]:
        suited: list[Question] = []
        for number in (self.num_items * 2**power for power in range(5)):
            found = self.questions.questions(number, stream(seed, "questions"))
            different = {question.prompt: question for question in found}
            suited = [question for question in different.values() if self._suits(question, seed)]
            if len(suited) >= self.num_items or len(found) < number:
                break
        if not suited:
            why = "it does not apply, or the right answers are hits already"
            raise SpecError(f"no question suits the target {self.target!r}: {why}. Give other questions")
        return suited[: self.num_items]

    def _suits(self, question: Question, seed: int) -> bool:
        draw = stream(seed, "applies", fingerprint(question.prompt))
        applies = self.target.respond(question, draw) is not None
        applies = applies and self.trigger.apply(question.prompt, draw) != question.prompt
        return applies and not self.target.hit(question, question.answer)
