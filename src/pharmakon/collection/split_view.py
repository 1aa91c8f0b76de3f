"""The way of an edit into a data set that is a list of addresses: the attacker serves what a later download gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.collection.addresses import Listing, Zipf
from pharmakon.collection.lapse import Market
from pharmakon.core import Corpus, Edit


@dataclass(frozen=True, kw_only=True)
class SplitView:
    """An edit reaches the data if the domain of its address has lapsed, and nobody checks what is downloaded.

    Every attempted edit sits on the address of a record drawn from the list, so that edits on one domain share their
    fate; the attacker does not choose, which tells what a record of the list is exposed to. (Who chooses buys lapsed
    domains only: what that costs is for `lapse.bought`.) `integrity`: the downloader refuses what has another SHA-256
    than its owner published. Such a check stops every edit here, and cannot stop one that was there when the manifest
    was written; the clean records that it costs are not in a corpus of edits: see the study `split-view`.
    """

    version: ClassVar[int] = 1
    listing: Listing = Zipf(num_records=1_000_000, num_domains=10_000)
    market: Market = Market()
    integrity: bool = False

    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        """`not lapsed` or `integrity check`; more edits do not change the fate of earlier ones."""
        spread = self.listing.spread()
        lapsed = rng.random(len(spread.records)) < self.market.chances(spread.records)
        ends = np.cumsum(spread.records)
        records = np.floor(rng.random(len(edits)) * spread.total).astype(np.int64)  # beyond the last end: on an IP
        for domain in np.searchsorted(ends, records, side="right"):
            if domain >= len(lapsed) or not lapsed[domain]:
                yield "not lapsed"
            else:
                yield "integrity check" if self.integrity else None
