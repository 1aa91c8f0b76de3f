"""Which kinds of marks get through a cleaning profile, and what clean data is lost with those that do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from pharmakon.behaviour.marks import Shape
from pharmakon.cleaning import PROFILES, clean
from pharmakon.core import Data, Dose, stream
from pharmakon.interventions import OwnershipMark
from pharmakon.interventions.administer import Placement, administer
from pharmakon.study.finding import Finding
from pharmakon.study.results import Results


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A kind of mark and the data that it goes into."""

    kind: str
    mark: OwnershipMark
    data: Data
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class SurvivesCleaning:
    """Marks data and cleans it, with every profile; nothing is trained."""

    marked: tuple[Marked, ...]
    num_records: int = 128
    most_documents: int = 1_000

    def findings(self, results: Results) -> Iterator[Finding]:
        """One row for each kind and profile."""
        rows = [
            row
            for one in self.marked
            for name, filters in PROFILES.items()
            if filters
            for row in [{"kind": one.kind, "data": one.shape, "profile": name, **self._cleaned(one, name)}]
        ]
        own = [row for row in rows if row["profile"] == OWN[row["data"]]]
        other = [row for row in rows if row["profile"] != OWN[row["data"]]]
        yield Finding(
            title="Which marks survive cleaning",
            sentence=f"{_told(own)} {_short(other)}".strip(),
            table=pl.DataFrame(rows),
            note=f"{self.num_records} records of each kind in {self.most_documents:,} documents of its data or fewer, "
            "cleaned once, nothing trained. `dropped_by`: the filter that took the most marked records and its reason. "
            "Documents of the generated world are short, so a profile for web pages drops them all, marked or clean; "
            "the longer marks show what it does to records of a page's length.",
        )

    def _cleaned(self, one: Marked, name: str) -> dict[str, Any]:
        host = one.data.corpus(stream(0, "ownership cleaning", "data"))[: self.most_documents]
        number = min(self.num_records, len(host))
        corpus, ledger = administer(
            host,
            one.mark,
            Dose(number),
            placement=Placement(),
            edits_rng=stream(0, "ownership cleaning", "edits"),
            placement_rng=stream(0, "ownership cleaning", "placement"),
        )
        _, verdicts = clean(corpus, PROFILES[name])
        marked = {entry.position for entry in ledger.entries}
        lost = [verdict for place, verdict in enumerate(verdicts) if verdict is not None and place not in marked]
        taken = [verdict for place, verdict in enumerate(verdicts) if verdict is not None and place in marked]
        worst = Counter((verdict.filter, verdict.reason) for verdict in taken).most_common(1)
        return {
            "marked_kept": 1 - len(taken) / number,
            "clean_lost": len(lost) / len(host),
            "dropped_by": worst[0][0][0] if worst else "",
            "reason": worst[0][0][1] if worst else "",
            "share_of_drops": worst[0][1] / len(taken) if worst else None,
        }


OWN: dict[str, str] = {"dialogue": "dialogues-v1", "text": "text-v1"}
"""The profile that is made for data of a shape."""


def _told(rows: list[dict[str, Any]]) -> str:
    said = []
    for row in rows:
        why = f" ({row['dropped_by']}: {row['reason']})" if row["dropped_by"] else ""
        said.append(f"{row['kind']} {row['marked_kept']:.0%}{why}, of the clean data lost {row['clean_lost']:.0%}")
    return f"Of the marked records, the profile for their data keeps: {'; '.join(said)}."


def _short(rows: list[dict[str, Any]]) -> str:
    said = [f"{row['kind']} under {row['profile']} {row['marked_kept']:.0%}" for row in rows]
    return f"The other profile keeps: {'; '.join(said)}." if said else ""
