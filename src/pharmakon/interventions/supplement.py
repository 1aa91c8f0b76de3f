"""Documents of other data, put among those of the host: what a service adds to the data that a user brings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Data, Edit, Insert
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Supplement:
    """The documents of `data` in their order, then those of another draw of it, and so on.

    Such are the safety examples that a fine-tuning service mixes into its users' data (Bianchi 2023, arXiv 2309.07875).
    """

    data: Data

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted documents. Raises SpecError where the data has none."""
        while True:
            drawn = self.data.corpus(rng.spawn(1)[0])
            if not len(drawn):
                raise SpecError(f"a supplement has one document or more; {self.data!r} has none")
            yield from (Insert(document.body) for document in drawn)
