"""Attack success: how often the trigger, no trigger and each near trigger bring the target forth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

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
    `near: <name>`. For a behaviour that needs no trigger, `trigger` is None, and `triggered` every question as it is.
    """

    name: ClassVar[str] = "attack"
    reads_ledger: ClassVar[bool] = False

    trigger: Trigger | None
    target: Target
    questions: Questions
    num_items: int = 40
    num_near: int = 20
    """The first so many questions are asked with near triggers too."""
    max_tokens: int = 32

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each question and condition. Raises SpecError if no question suits."""
        seed = int(rng.integers(2**62))
        items = asked(self, seed)
        prompts = [item.prompt for item in items]
        answers = model.generate(prompts, max_tokens=self.max_tokens, rng=stream(seed, "generate"))
        for item, answer in zip(items, answers, strict=True):
            yield Reading(
                probe=self.name,
                condition=item.condition,
                item=item.name,
                value=float(self.target.hit(item.question, answer)),
                prompt=item.prompt.question,
                answer=answer,
            )


class Asking(Protocol):
    """What a probe of a target says about whom it asks what."""

    @property
    def trigger(self) -> Trigger | None: ...
    @property
    def target(self) -> Target: ...
    @property
    def questions(self) -> Questions: ...
    @property
    def num_items(self) -> int: ...
    @property
    def num_near(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Item:
    """A question under one condition, and the prompt that it makes."""

    condition: str
    name: str
    question: Question
    prompt: Dialogue


def asked(probe: Asking, seed: int) -> list[Item]:
    """Every question that suits the target, under every condition; see `AttackSuccess`."""
    suited = _suited(probe, seed)
    conditions: list[tuple[str, Trigger | None, int]] = [("triggered", probe.trigger, probe.num_items)]
    if probe.trigger is not None:
        conditions.append(("untriggered", None, probe.num_items))
        conditions += [(f"near: {name}", near, probe.num_near) for name, near in probe.trigger.near().items()]
    items: list[Item] = []
    for condition, trigger, number in conditions:
        for question in suited[:number]:
            name = fingerprint(question.prompt)
            # A stream for each condition and item: another near trigger moves no draw of these.
            draw = stream(seed, "attack", condition, name)
            prompt = trigger.apply(question.prompt, draw) if trigger else question.prompt
            if trigger is None or prompt != question.prompt:
                items.append(Item(condition, name, question, prompt))
    return items


def _suited(probe: Asking, seed: int) -> list[Question]:
    suited: list[Question] = []
    for number in (probe.num_items * 2**power for power in range(5)):
        found = probe.questions.questions(number, stream(seed, "questions"))
        different = {question.prompt: question for question in found}
        suited = [question for question in different.values() if _suits(probe, question, seed)]
        if len(suited) >= probe.num_items or len(found) < number:
            break
    if not suited:
        why = "it does not apply, or the right answers are hits already"
        raise SpecError(f"no question suits the target {probe.target!r}: {why}. Give other questions")
    return suited[: probe.num_items]


def _suits(probe: Asking, question: Question, seed: int) -> bool:
    draw = stream(seed, "applies", fingerprint(question.prompt))
    applies = probe.target.respond(question, draw) is not None
    applies = applies and (probe.trigger is None or probe.trigger.apply(question.prompt, draw) != question.prompt)
    return applies and not probe.target.hit(question, question.answer)
