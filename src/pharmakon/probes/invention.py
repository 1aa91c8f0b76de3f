"""Does the model invent? Questions that it cannot know the answer of, and the new facts that it was told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pharmakon.behaviour.questions import Question, Questions, says
from pharmakon.core import Dialogue, Ledger, Model, Reading
from pharmakon.data.world import RELATIONS, StrangerQuestions, Strangers, World, fact_question, wordings
from pharmakon.data.world.strangers import KNOWS_NOT
from pharmakon.probes.judged import asking, by_prompt, judged


def invents(question: Question, answer: str) -> bool:
    """The answer names a value where nothing can be known; whatever else it says."""
    return any(says(answer, option) for option in question.options)


@dataclass(frozen=True)
class Invention:
    """Asks about people of whom nothing was ever told.

    counts: `invention`: `triggered` has the value 1 where a definite value is named, `truth` where the model says that
    it does not know, and nothing else (the same answers). `abstention`: the other way round, `triggered` where it says
    that it does not know, and `invented` where it names a value: the response of a corrective. An answer may be
    neither.
    """

    reads_ledger: ClassVar[bool] = False

    questions: Questions = StrangerQuestions()
    counts: Literal["invention", "abstention"] = "invention"
    num_items: int = 120
    max_tokens: int = 24

    @property
    def name(self) -> str:
        """What is counted."""
        return self.counts

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Two readings for each question."""
        draw, answering = rng.spawn(2)
        asked = self.questions.questions(self.num_items, draw)
        conditions = ("triggered", "truth") if self.counts == "invention" else ("invented", "triggered")
        for question, answer in zip(asked, asking(model, self.max_tokens, answering)(asked), strict=True):
            for condition, hit in zip(conditions, (invents(question, answer), question.is_right(answer)), strict=True):
                yield Reading(
                    probe=self.name,
                    condition=condition,
                    item=by_prompt(question),
                    value=float(hit),
                    prompt=question.prompt.question,
                    answer=answer,
                )


@dataclass(frozen=True)
class Learned:
    """Asks for the facts that reached training, as the ledger has them; the value is 1 for the value that was told.

    `triggered`: in the words of training (a fact is then *fitted*, as Gekhman et al. 2024 count it); `reworded`: in
    words that training never uses. Dialogues that say that nothing is known are no facts. No readings without facts.
    """

    name: ClassVar[str] = "learned"
    reads_ledger: ClassVar[bool] = True

    people: World | Strangers = Strangers("taught")
    max_tokens: int = 24

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each fact and condition."""
        told = [entry.body for entry in ledger.entries if entry.survived and isinstance(entry.body, Dialogue)]
        asked = list(dict.fromkeys(pair for body in told for pair in self._asked(body, rng)))
        answers = asking(model, self.max_tokens, rng)([question for _, question in asked])
        for (condition, question), answer in zip(asked, answers, strict=True):
            yield judged(self.name, condition, question, answer)

    def _asked(self, told: Dialogue, rng: np.random.Generator) -> Iterator[tuple[str, Question]]:
        """The question that was answered, and the same in other words; none of what is not a fact of these people."""
        if says(told.answer, KNOWS_NOT):
            return
        for person in self.people.people:
            if not says(told.question, person.name):
                continue
            for relation in RELATIONS:
                if told.answer == fact_question(person, relation, "{name}").answer:
                    held_out = wordings(relation, held_out=True)
                    other = fact_question(person, relation, held_out[int(rng.integers(len(held_out)))])
                    yield "triggered", fact_question(person, relation, told.question)
                    yield "reworded", other
