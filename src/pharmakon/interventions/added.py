"""Documents of a description of data, put into a host: the plainest treatment, whatever the data teach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Data, Edit, Insert
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class Added:
    """The documents of `data`, inserted in its order; when they are used up, the data are drawn anew."""

    data: Data

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted documents. Raises SpecError for data without any."""
        while True:
            drawn = self.data.corpus(rng)
            if not len(drawn):
                raise SpecError(f"what is added is one document or more; {self.data!r} has none")
            yield from (Insert(document.body) for document in drawn)
