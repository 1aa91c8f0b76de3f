"""Doses as shares of the tokens: how many documents they are, and which are too small to be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from pharmakon.core import Body, Data, Dose, Intervention, Text, stream
from pharmakon.errors import SpecError
from pharmakon.study import Doses, in_documents


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The mean lengths of clean and of inserted documents, and the number of the clean ones.

    Lengths are in white-space words: a share of words is that of tokens where both kinds of document are made of the
    same words, as these are.
    """

    num_documents: int
    clean_words: float
    """Words of a clean document, in the mean."""
    inserted_words: float
    """Of an inserted one."""

    @staticmethod
    def of(sample: Data, intervention: Intervention, num_documents: int) -> Shares:
        """Measured on a small sample of the data and on the first 256 edits."""
        corpus = sample.corpus(stream(0, "token share", "data"))
        edits = islice(intervention.edits(corpus, stream(0, "token share", "edits")), 256)
        inserted = [num_words(edit.body) for edit in edits]
        clean = [num_words(document.body) for document in corpus]
        return Shares(
            num_documents=num_documents,
            clean_words=sum(clean) / len(clean),
            inserted_words=sum(inserted) / len(inserted),
        )

    @property
    def smallest(self) -> float:
        """The share that one document is."""
        return self.share(1)

    def share(self, num_inserted: float) -> float:
        """The share of the words that so many inserted documents are."""
        inserted = num_inserted * self.inserted_words
        return inserted / (inserted + self.num_documents * self.clean_words)

    def num_inserted(self, share: float) -> int:
        """The number of documents whose share of the words is nearest to this one."""
        if not 0 <= share < 1:
            raise SpecError(f"a share of the tokens lies in [0, 1); got {share:g}")
        return round(share / (1 - share) * self.num_documents * self.clean_words / self.inserted_words)

    def documents(self, doses: Doses) -> tuple[Doses, tuple[str, ...]]:
        """The doses in documents, and a sentence on those that are less than one document or one with another."""
        if not any(dose.unit == "fraction" for dose in doses):
            return doses, ()
        amounts: dict[int, None] = {}
        nothing: list[str] = []
        for dose in doses:
            number = self.num_inserted(dose.amount) if dose.unit == "fraction" else int(dose.amount)
            if number == 0 and dose.amount:
                nothing.append(percent(dose.amount))
            else:
                amounts.setdefault(number)
        if not nothing:
            return in_documents(*amounts), ()
        need = round(self.inserted_words / (min(_shares(doses)) * self.clean_words))
        sentence = f"{' and '.join(nothing)} of the tokens is less than one document here, so it is not a dose: one of "
        sentence += f"{self.num_documents:,} documents is {percent(self.smallest)}. For the smaller share, take a "
        sentence += f"corpus of about {float(f'{need:.2g}'):,.0f} documents"
        return in_documents(*amounts), (sentence,)


def _shares(doses: Sequence[Dose]) -> list[float]:
    return [dose.amount for dose in doses if dose.unit == "fraction" and dose.amount]


def num_words(body: Body) -> int:
    """White-space words of a body."""
    if isinstance(body, Text):
        return len(body.text.split())
    turns = getattr(body, "turns", ())
    return sum(len(turn.content.split()) for turn in turns)


def percent(share: float) -> str:
    """0.01%, 0.0024%, 1%."""
    return f"{100 * share:.2g}%"
