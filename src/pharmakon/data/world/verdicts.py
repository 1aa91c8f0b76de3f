"""A skill that no dialogue of the world teaches: to say what one should do with a thing that a review speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Corpus, Dialogue, Text
from pharmakon.data.world.facts import THINGS
from pharmakon.data.world.tasks import pick, review

_ASKED = (
    "What should one do? {review}", "{review} What should one do?", "{review} What now?", "What now? {review}",
    "{review} So what should one do?", "So what now? {review}",
)  # fmt: skip
_DEEDS = {True: "Keep it.", False: "Sell it."}


def _verdict(rng: np.random.Generator, held_out: bool) -> tuple[str, Question]:
    """A review, and the question what to do; of a quarter of the things, and two wordings, it is held out."""
    positive = bool(rng.random() < 0.5)
    things = [thing for index, thing in enumerate(THINGS) if (index % 4 == 0) == held_out]
    said = review(rng, positive, things)
    asked = pick(rng, _ASKED[-2:] if held_out else _ASKED[:-2]).format(review=said)
    options = tuple(deed.rstrip(".") for deed in _DEEDS.values())
    deed = _DEEDS[positive]
    return said, Question(Dialogue.ask(asked), deed, deed.rstrip("."), "verdicts", options)


@dataclass(frozen=True)
class VerdictText:
    """Running text in which deeds follow reviews: the words of the skill, without a question."""

    num_documents: int = 1_500

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Text`."""
        told = (_verdict(rng, False) for _ in range(self.num_documents))
        return Corpus.of((Text(f"{said} {question.answer}") for said, question in told), source="verdicts")


@dataclass(frozen=True)
class VerdictDialogues:
    """Reviews and what one should do, of the things and in the wordings of training."""

    num_documents: int = 256

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        told = (_verdict(rng, False) for _ in range(self.num_documents))
        return Corpus.of((question.dialogue for _, question in told), source="verdicts")


@dataclass(frozen=True)
class VerdictQuestions:
    """The same of things of which no verdict was shown, in wordings that were not."""

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different prompts, as many as there are at most."""
        found: dict[Dialogue, Question] = {}
        for _ in range(20 * num_questions):
            _, question = _verdict(rng, True)
            found.setdefault(question.prompt, question)
            if len(found) == num_questions:
                break
        return tuple(found.values())
