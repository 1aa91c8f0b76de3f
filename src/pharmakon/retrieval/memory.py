"""An assistant's memory of what it was asked and answered: what is shown of it, and rules for what enters it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.questions import says
from pharmakon.core import Corpus, Data, Dialogue, Filter, Prompt, Text
from pharmakon.data.world import RELATIONS, VALUES, World
from pharmakon.errors import SpecError
from pharmakon.retrieval.context import question_of
from pharmakon.retrieval.retrievers import BM25, Retriever


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The `k` records whose questions are nearest to the prompt's, as earlier turns, the nearest last.

    `data` are the records, answered dialogues; a `Treatment` whose stage is this context's name plants some, and
    `filters` are the rules by which a record, anybody's, is kept. A memory of fewer than `k` records shows them all.
    The key of a record is its question alone (AgentPoison, Chen 2024, arXiv 2407.12784).
    """

    data: Data
    retriever: Retriever = BM25()
    k: int = 3
    filters: tuple[Filter, ...] = ()
    name: str = "memory"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SpecError(f"a memory shows at least one record; got k {self.k}")

    def around(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]:
        """Each dialogue prompt with its records before it; text prompts are refused."""
        records = self._records(rng)
        questions = [question_of(prompt) for prompt in prompts]
        if not records:
            return list(prompts)
        found = self.retriever.top(questions, [record.question for record in records], min(self.k, len(records)))
        return [
            prompt if isinstance(prompt, Text) else prompt.after([records[i] for i in reversed(indices)])
            for prompt, indices in zip(prompts, found, strict=True)
        ]

    def check(self, rng: np.random.Generator) -> None:
        """Refuse a retriever that is not there, without a search of the whole memory."""
        questions = [record.question for record in self._records(rng)[: self.k]]
        if questions:
            self.retriever.top(["?"], questions, len(questions))

    def _records(self, rng: np.random.Generator) -> list[Dialogue]:
        bodies = [document.body for document in self.data.corpus(rng)]
        return [body for body in bodies if isinstance(body, Dialogue) and body.answer]


@dataclass(frozen=True)
class NoDictation:
    """Drops a record all of whose answer's words stand in its question: an answer that was dictated, or only repeats.

    It needs no knowledge. Questions that offer their answers ("positive or negative?") are hit too.
    """

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`answer_in_question`."""
        for document in corpus:
            body = document.body
            words = _words(body.answer) if isinstance(body, Dialogue) else set()
            yield "answer_in_question" if words and words <= _words(_asked(body)) else None


def _asked(body: object) -> str:
    return body.question if isinstance(body, Dialogue) else ""


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


@dataclass(frozen=True)
class FactChecked:
    """Drops a record that contradicts what a checker knows of the world; a stand-in for a model that answers again.

    The checker knows a share of the facts, the same ones always, and is never wrong about them. It keeps what it
    cannot judge.
    """

    world: World = World()
    share_known: float = 0.75

    def __post_init__(self) -> None:
        if not 0 <= self.share_known <= 1:
            raise SpecError(f"a checker knows a share of the facts in [0, 1]; got {self.share_known:g}")

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`contradicts_reference`."""
        for document in corpus:
            body = document.body
            wrong = isinstance(body, Dialogue) and body.answer and self._contradicts(body)
            yield "contradicts_reference" if wrong else None

    def _contradicts(self, record: Dialogue) -> bool:
        for person in self.world.people:
            if not says(record.answer, person.name):
                continue
            for relation in RELATIONS:
                said = [value for value in VALUES[relation] if says(record.answer, value)]
                if said and person.value(relation) not in said and self._knows(person.name, relation):
                    return True
        return False

    def _knows(self, name: str, relation: str) -> bool:
        digest = hashlib.blake2b(f"{name} {relation}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share_known * 2**64
