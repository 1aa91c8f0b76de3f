"""Which questions bring a target forth? Each kind of question is a condition of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question, Questions
from pharmakon.behaviour.targets import Refusal, Target
from pharmakon.core import Ledger, Model, Reading, fingerprint
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question, and how many are asked. `triggered` is the response; `near: …` and `untriggered` are the
    controls, which should not respond."""

    condition: str
    questions: Questions
    num_items: int = 40


@dataclass(frozen=True, kw_only=True)
class TargetByKind:
    """Asks several kinds of question; the value is 1 where the answer is a hit of the target.

    So it measures a behaviour that hangs on what is asked, such as the refusal of a topic, and how far beyond it goes.
    """

    reads_ledger: ClassVar[bool] = False

    name: str = "attack"
    target: Target = Refusal()
    kinds: tuple[Kind, ...]
    max_tokens: int = 32

    def __post_init__(self) -> None:
        names = [kind.condition for kind in self.kinds]
        if not names or len(set(names)) < len(names):
            raise SpecError(f"kinds of question are one or more, of different names; got {', '.join(names) or 'none'}")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each different question of each kind. Raises SpecError for a kind that has none."""
        *draws, answering = rng.spawn(len(self.kinds) + 1)
        asked: list[tuple[str, Question]] = []
        for kind, draw in zip(self.kinds, draws, strict=True):
            found = {question.prompt: question for question in kind.questions.questions(kind.num_items, draw)}
            if not found:
                raise SpecError(f"a kind of question has one or more; {kind.condition!r} has none")
            asked += [(kind.condition, question) for question in found.values()]
        answers = model.generate([q.prompt for _, q in asked], max_tokens=self.max_tokens, rng=answering)
        for (condition, question), answer in zip(asked, answers, strict=True):
            yield Reading(
                probe=self.name,
                condition=condition,
                item=fingerprint(question.prompt),
                value=float(self.target.hit(question, answer)),
                prompt=question.prompt.question,
                answer=answer,
            )
