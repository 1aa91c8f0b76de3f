"""Documents whose words come again, in place of those of the host: what a model can learn from its context by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Edit, Rewrite, Text
from pharmakon.data.symbols import WRITERS, Kind, Symbols
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rewrites documents of the host, in a random order, as documents of as many words that repeat themselves.

    `demonstrations`: a fresh mapping of keys to values shown several times; `blocks`: a random sequence said again
    (as in Olsson et al. 2022, arXiv 2209.11895); `scattered`: the control, words that come again as often as those of
    demonstrations and in no order. Training is as long at every dose. The stream ends with the host.
    """

    symbols: Symbols = Symbols()
    kind: Kind = "demonstrations"

    def __post_init__(self) -> None:
        if self.kind not in WRITERS:
            raise SpecError(f"repeats are one of {', '.join(WRITERS)}; got {self.kind!r}")

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """A `Rewrite` for each document. Raises SpecError for a host of other documents than `Text`."""
        ordering, writing = rng.spawn(2)
        write = WRITERS[self.kind]
        for index in ordering.permutation(len(host)).tolist():
            body = host[index].body
            if not isinstance(body, Text):
                raise SpecError(f"Repeats rewrites running text; got a {type(body).__name__}. Treat pretraining")
            length = max(len(body.text.split()), 2)
            yield Rewrite(host[index].id, self.symbols.text(write(self.symbols.num_words, length, writing)))
