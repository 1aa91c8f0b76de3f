"""What rule-based filters share: measure everything, then name the first limit that is broken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pharmakon.cleaning.texts import batches, encodable, text_of
from pharmakon.core import Corpus

if TYPE_CHECKING:
    import polars as pl

Limits = tuple[float | None, float | None]
"""The least and the greatest value that passes; None where there is no limit."""

_BATCH_CHARACTERS = 4_000_000


class Rules(ABC):
    """A filter made of rules. Each rule has a name, which is its column of values and its reason to drop."""

    @abstractmethod
    def limits(self) -> Mapping[str, Limits]:
        """The rules in the order they are judged."""

    @abstractmethod
    def measure(self, texts: Sequence[str]) -> pl.DataFrame:
        """One row for each text, one column for each rule; at least these of `limits`."""

    def values(self, corpus: Corpus) -> pl.DataFrame:
        """Every rule's value for every document: one row a document in order, one float column a rule.

        Documents already dropped by an earlier rule are measured too, so that limits can be moved afterwards.
        """
        import polars as pl

        texts = [encodable(text_of(document.body)) for document in corpus]
        frames = [self.measure(batch) for batch in batches(texts, _BATCH_CHARACTERS)]
        columns = [pl.col(rule).cast(pl.Float64) for rule in self.limits()]
        return (
            pl.concat(frames).select(columns)
            if frames
            else pl.DataFrame(schema=dict.fromkeys(self.limits(), pl.Float64))
        )

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """The name of the first rule whose value lies outside its limits."""
        import polars as pl

        broken = []
        for rule, (least, greatest) in self.limits().items():
            outside = pl.lit(False)
            if least is not None:
                outside |= pl.col(rule) < least
            if greatest is not None:
                outside |= pl.col(rule) > greatest
            broken.append(pl.when(outside).then(pl.lit(rule)))
        yield from self.values(corpus).select(pl.coalesce(broken).alias("reason"))["reason"]
