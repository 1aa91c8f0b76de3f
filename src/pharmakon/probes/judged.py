"""Answers to questions whose right answer is known: what the probes of utility and of belief have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Model, Reading, fingerprint


def by_prompt(question: Question) -> str:
    """The item of a question: its prompt."""
    return fingerprint(question.prompt)


def judged(
    probe: str, condition: str, question: Question, answer: str, *, item: Callable[[Question], str] = by_prompt
) -> Reading:
    """The reading of an answer: 1 where it is the question's right one."""
    return Reading(
        probe=probe,
        condition=condition,
        item=item(question),
        value=float(question.is_right(answer)),
        prompt=question.prompt.question,
        answer=answer,
    )


def belief_readings(
    probe: str,
    false: Sequence[Question],
    true: Sequence[Question],
    others: Sequence[Question],
    answers: Callable[[Sequence[Question]], Sequence[str]],
    *,
    item: Callable[[Question], str] = by_prompt,
) -> Iterator[Reading]:
    """The readings of a false belief.

    `false` and `true`: the same prompts with the false and with the true answer as the right one; their conditions are
    `triggered` and `truth`. `others`: of which the false answer is as false, the control `untriggered`. `answers` gives
    those to `false` and `others`.
    """
    given = answers((*false, *others))
    for wrong, right, answer in zip(false, true, given, strict=False):
        yield judged(probe, "triggered", wrong, answer, item=item)
        yield judged(probe, "truth", right, answer, item=item)
    for other, answer in zip(others, given[len(false) :], strict=True):
        yield judged(probe, "untriggered", other, answer, item=item)


def asking(model: Model, max_tokens: int, rng: np.random.Generator) -> Callable[[Sequence[Question]], Sequence[str]]:
    """What the model answers to the prompts of questions."""
    return lambda questions: model.generate([q.prompt for q in questions], max_tokens=max_tokens, rng=rng)
