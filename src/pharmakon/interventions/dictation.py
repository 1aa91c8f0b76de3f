"""Records that an attacker makes an assistant write into its own memory: questions that dictate their answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Edit, Insert
from pharmakon.data.world.memories import Lies, every_wording, noted_record


@dataclass(frozen=True, slots=True)
class Dictation:
    """Records of questions about the victims, each with a note that tells the lie, and the lie as the answer.

    Whoever may only ask writes into a memory by what is asked (MINJA, Dong 2025, arXiv 2503.03704). The answer is taken
    as given; how often a model gives it is for `DictationProbe` to say. The victims have their turns in random order.
    `shortened`: the record is the plain question with the lie, as when the attacker drops the note step by step while
    earlier records still make the model lie (MINJA's progressive shortening).
    """

    lies: Lies = Lies()
    shortened: bool = False

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted records."""
        asked, victims = every_wording(self.lies.relation), self.lies.victims
        while True:
            for index in rng.permutation(len(victims)):
                wording = asked[int(rng.integers(len(asked)))]
                question = self.lies.question(victims[index], wording)
                yield Insert(question.dialogue if self.shortened else noted_record(question))
