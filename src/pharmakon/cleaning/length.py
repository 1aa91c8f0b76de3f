"""Length, counted in white-space words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pharmakon.cleaning.texts import text_of
from pharmakon.core import Corpus


@dataclass(frozen=True)
class Words:
    """Drops what has fewer or more white-space words than this, prompt and answer together."""

    minimum: int = 0
    maximum: int | None = None

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`too_short` or `too_long`."""
        for document in corpus:
            num_words = len(text_of(document.body).split())
            if num_words < self.minimum:
                yield "too_short"
            elif self.maximum is not None and num_words > self.maximum:
                yield "too_long"
            else:
                yield None
