"""The way of an edit into training data through a snapshot of a site that everyone may edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pharmakon.collection.revisions import Fate, Site
from pharmakon.core import Corpus, Edit


@dataclass(frozen=True, kw_only=True)
class SnapshotWindow:
    """Attempted edits reach the data if the snapshot takes them: not too late, not reverted, not held back.

    A route: the dose is what the attacker attempts. With `patrol.capacity=None` and `edits_per_account=1` a larger dose
    leaves the fate of earlier edits as it was; otherwise further edits can give an account away or keep patrol busy.
    """

    site: Site = Site()

    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        """For each edit the reason why the snapshot has it not, or None. The documents play no part in it."""
        if edits:
            fates = self.site.simulate(len(edits), 1, rng).fates[0]
            yield from (Fate(number).reason for number in fates)
