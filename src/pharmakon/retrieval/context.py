"""The context of retrieval-augmented generation: the passages nearest to a question stand before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.triggers import edit_question
from pharmakon.core import Data, Filter, Prompt, Text
from pharmakon.data.notes import passage_of, with_notes
from pharmakon.errors import SpecError
from pharmakon.retrieval.retrievers import BM25, Retriever, check_store


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """The `k` passages of a store nearest to the question, before it in the last user turn, the nearest first.

    `data` is the store: a `Treatment` whose stage is this context's name plants passages there. How they are worded
    says `data.notes`. The query is the question alone (Lewis et al. 2020, arXiv 2005.11401).
    """

    data: Data
    retriever: Retriever = BM25()
    k: int = 3
    cited: bool = False
    """The passages are numbered [1], [2] ..., so that an answer can name them."""
    filters: tuple[Filter, ...] = ()
    """Cleaning of the store, planted passages with it."""
    name: str = "retrieval"

    def around(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]:
        """Each dialogue prompt with its passages; text prompts are refused."""
        passages = self._passages(rng)
        found = self.retriever.top([question_of(prompt) for prompt in prompts], passages, self.k)
        return [
            noted(prompt, [passages[i] for i in indices], cited=self.cited)
            for prompt, indices in zip(prompts, found, strict=True)
        ]

    def check(self, rng: np.random.Generator) -> None:
        """Refuse a store that is too small, or a retriever that is not there, without a search of the whole store."""
        passages = self._passages(rng)
        check_store(passages, self.k)
        self.retriever.top(["?"], passages[: self.k], self.k)

    def _passages(self, rng: np.random.Generator) -> list[str]:
        return [passage_of(document.body) for document in self.data.corpus(rng)]


def question_of(prompt: Prompt) -> str:
    """What is searched for."""
    if isinstance(prompt, Text):
        raise SpecError("retrieval answers the question of a Dialogue; got a Text prompt")
    return prompt.question


def noted(prompt: Prompt, passages: Sequence[str], *, cited: bool = False) -> Prompt:
    """A dialogue prompt with passages before its last question."""
    if isinstance(prompt, Text):
        raise SpecError("retrieval answers the question of a Dialogue; got a Text prompt")
    return edit_question(prompt, lambda question: with_notes(question, passages, cited=cited))
