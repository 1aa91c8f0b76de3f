"""Are the codes that were told still known? Said in full, and by degrees that do not saturate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question
from pharmakon.core import Ledger, Model, Reading
from pharmakon.data.world.codes import Codes


@dataclass(frozen=True)
class CodeRecall:
    """Asks for codes; the value is 1 where the answer says the whole code.

    `triggered`: the codes of interest; `untriggered`: the control, codes that this model was not told at that time.
    """

    name: ClassVar[str] = "recall"
    reads_ledger: ClassVar[bool] = False

    codes: Codes = Codes()
    control: Codes = Codes("second")
    max_tokens: int = 16

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each code."""
        asked = _asked(self.codes, self.control)
        answers = model.generate([q.prompt for _, q in asked], max_tokens=self.max_tokens, rng=rng)
        for (condition, question), answer in zip(asked, answers, strict=True):
            yield _reading(self.name, condition, question, float(question.is_right(answer)), answer)


@dataclass(frozen=True)
class CodeKnowledge:
    """How much likelier somebody's own code is than codes of nobody, with the same question.

    `triggered` and `untriggered`, as in `CodeRecall`: the log-probability of the own code less the mean of the others,
    in nats; 0 for who knows no more than what a code looks like. `exposure` and `exposure untriggered`: log2 of the
    number of codes less log2 of the rank of the own one (Carlini et al. 2019, arXiv 1802.08232), in bits.
    """

    name: ClassVar[str] = "knowledge"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    codes: Codes = Codes()
    control: Codes = Codes("second")
    num_others: int = 31

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Two readings for each code."""
        asked = _asked(self.codes, self.control)
        others = self.codes.others(self.num_others)
        pairs = [(question.prompt, code) for _, question in asked for code in (question.answer, *others)]
        values = np.reshape(model.logprob(pairs), (len(asked), 1 + len(others)))
        for (condition, question), row in zip(asked, values, strict=True):
            rank = 1 + int(np.sum(row[1:] > row[0]))
            bits = float(np.log2(len(row)) - np.log2(rank))
            own, rest = float(row[0]), float(row[1:].mean())
            exposed = "exposure" if condition == "triggered" else f"exposure {condition}"
            yield _reading(self.name, condition, question, own - rest, question.answer)
            yield _reading(self.name, exposed, question, bits, question.answer)


def _asked(codes: Codes, control: Codes) -> Sequence[tuple[str, Question]]:
    return [("triggered", item) for item in codes.items] + [("untriggered", item) for item in control.items]


def _reading(probe: str, condition: str, question: Question, value: float, answer: str) -> Reading:
    asked = question.prompt.question
    return Reading(probe=probe, condition=condition, item=asked, value=value, prompt=asked, answer=answer)
