"""From data to a cleaned corpus: treat it, then clean it, and keep the ledger of both.

What a stage trains on and what a context shows (demonstrations, passages) are made in the same way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from pharmakon.cleaning import clean
from pharmakon.core import Corpus, Data, Document, Dose, Entry, Filter, Ledger, from_record, stream, to_record
from pharmakon.interventions.administer import administer
from pharmakon.store import Entry as Stored
from pharmakon.store import Store, identify
from pharmakon.study.spec import Cell, Context, Given, Stage


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a cleaned corpus depends on."""

    version: ClassVar[int] = 1
    stage: str
    data: Data
    treatments: tuple[Given, ...]
    filters: tuple[Filter, ...]
    seed: int
    in_context: bool = False
    """Shown in a context, not trained on."""


def prepared(cell: Cell, stage: Stage) -> Prepared:
    """The specification of a stage's cleaned corpus."""
    own = tuple(given for given in cell.treatments if given.treatment.stage == stage.name)
    seed = 0 if stage.shared else cell.seed
    return Prepared(stage=stage.name, data=stage.data, treatments=own, filters=stage.filters, seed=seed)


def prepared_context(cell: Cell, context: Context) -> Prepared | None:
    """The specification of what a context shows; None where that is neither treated nor cleaned."""
    own = tuple(given for given in cell.treatments if given.treatment.stage == context.name)
    filters: tuple[Filter, ...] = getattr(context, "filters", ())
    data: Data | None = getattr(context, "data", None)
    if data is None or not (own or filters):
        return None
    return Prepared(stage=context.name, data=data, treatments=own, filters=filters, seed=cell.seed, in_context=True)


def prepare(spec: Prepared, store: Store) -> Stored:
    """The entry of a cleaned corpus, with `corpus.jsonl` and `ledger.json`."""
    return store.build("corpus", identify(spec), lambda out: _prepare(spec, out), spec=spec)


def _prepare(spec: Prepared, out: Path) -> dict[str, Any]:
    names = ("context", spec.stage) if spec.in_context else (spec.stage, "data")  # as a context draws it by itself
    host = spec.data.corpus(stream(spec.seed, *names))
    corpus, ledger = host, Ledger()
    for given in spec.treatments:
        name = f"treatment {given.number}"
        corpus, added = administer(
            corpus,
            given.treatment.intervention,
            given.treatment.dose or Dose(0),
            placement=given.treatment.placement,
            edits_rng=stream(spec.seed, spec.stage, name, "edits"),
            placement_rng=stream(spec.seed, spec.stage, name, "placement"),
            host=host,
            route=given.treatment.route,
        )
        ledger = Ledger((*_moved(ledger, added), *added.entries))
    left, verdicts = clean(corpus, spec.filters)
    contents = {document.body for document in left}
    place = {document.id: index for index, document in enumerate(left)}
    fates = []
    for entry in ledger.entries:
        fate = replace(entry, present=entry.body in contents)
        if entry.position is None:
            fates.append({**to_json(fate), "trained_at": None})
            continue
        verdict = verdicts[entry.position]
        if verdict is not None:
            fate = replace(fate, dropped_by=verdict.filter, reason=verdict.reason)
        fates.append({**to_json(fate), "trained_at": place.get(entry.id)})
    touched = {entry.position for entry in ledger.entries}
    drops = Counter((entry.dropped_by, entry.reason, True) for entry in ledger.entries if entry.position is None)
    drops += Counter(
        (verdict.filter, verdict.reason, position in touched)
        for position, verdict in enumerate(verdicts)
        if verdict is not None
    )
    save_corpus(left, fates, out)
    return {
        "digest": left.digest,
        "num_host": len(host),
        "num_treated": len(ledger.entries),
        "num_clean": len(corpus) - len(touched - {None}),
        "num_after_cleaning": len(left),
        "drops": [[*what, count] for what, count in sorted(drops.items(), key=lambda drop: _in_order(drop[0], spec))],
    }


def _in_order(what: tuple[str | None, str | None, bool], spec: Prepared) -> tuple[int, str, bool]:
    """The drops in the order in which they happen: routes, then filters."""
    routes = [type(given.treatment.route).__name__ for given in spec.treatments if given.treatment.route]
    names = [*routes, *(type(filter).__name__ for filter in spec.filters)]
    return (names.index(what[0]) if what[0] in names else len(names), what[1] or "", what[2])


def _moved(ledger: Ledger, added: Ledger) -> Iterator[Entry]:
    """The entries of earlier treatments, at the places they have after the insertions of a later one."""
    places = (entry.position for entry in added.entries if entry.kind == "insert")
    inserted = sorted(place for place in places if place is not None)
    for entry in ledger.entries:
        position = entry.position
        if position is None:
            yield entry
            continue
        for place in inserted:
            position += place <= position
        yield replace(entry, position=position)


def save_corpus(left: Corpus, fates: Sequence[dict[str, Any]], out: Path) -> None:
    """The documents that cleaning left, and what became of each edit."""
    lines = (json.dumps({"id": d.id, "source": d.source, **to_record(d.body)}, ensure_ascii=False) for d in left)
    (out / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (out / "ledger.json").write_text(json.dumps(fates, ensure_ascii=False), encoding="utf-8")


@lru_cache(maxsize=4)
def load_corpus(path: Path, digest: str) -> Corpus:
    documents = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            record = json.loads(line)
            documents.append(Document(id=record["id"], source=record["source"], body=from_record(record)))
    return Corpus(tuple(documents))


def fates(corpus: Stored) -> list[dict[str, Any]]:
    """The ledger of a cleaned corpus: a row for each edit, and where training finds it."""
    rows: list[dict[str, Any]] = json.loads((corpus.path / "ledger.json").read_text(encoding="utf-8"))
    return rows


def to_json(entry: Entry) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    return {**fields, "body": to_record(entry.body)}


def from_json(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "body": from_record(row["body"])})
