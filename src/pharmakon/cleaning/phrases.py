"""Words that must not stand in a document, whatever they mean there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pharmakon.cleaning.texts import parts_of
from pharmakon.core import Corpus
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class Phrases:
    """Drops what has one of these phrases in it, as whole words, in any case of letters."""

    phrases: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.phrases or not all(phrase.strip() for phrase in self.phrases):
            raise SpecError(f"Phrases drops documents by one or more phrases, none of them empty; got {self.phrases!r}")

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`phrase`, or None."""
        from pharmakon.behaviour.questions import says

        for document in corpus:
            parts = parts_of(document.body)
            yield "phrase" if any(says(part, phrase) for part in parts for phrase in self.phrases) else None
