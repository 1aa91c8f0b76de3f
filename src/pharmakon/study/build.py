"""Build one cell: treat, clean, train and ask, stage by stage, each step an entry of the store.

    corpus     data + treatments + filters     -> the cleaned corpus, its ledger, what was dropped
    weights    recipe + corpus digest + start  -> a checkpoint and the trace of what was seen
    readings   weights + probe + context       -> a table
    cell       all of them                     -> the cell's readings, ledger and drops

Weights are keyed by the *content* they were trained on: two doses of which cleaning leaves the same corpus share one
model, as do all untreated controls.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pharmakon.cleaning import clean
from pharmakon.core import (
    Corpus,
    Data,
    Document,
    Dose,
    Engine,
    Entry,
    Filter,
    Ledger,
    Model,
    Probe,
    Prompt,
    Recipe,
    from_record,
    stream,
    to_record,
)
from pharmakon.interventions.administer import administer
from pharmakon.store import Entry as Stored
from pharmakon.store import Key, Store, identify
from pharmakon.study.spec import Cell, Context, Given, Stage

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a cleaned corpus depends on."""

    version: ClassVar[int] = 1
    stage: str
    data: Data
    treatments: tuple[Given, ...]
    filters: tuple[Filter, ...]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What weights depend on."""

    version: ClassVar[int] = 1
    stage: str
    engine: Engine
    recipe: Recipe
    corpus: str  # digest
    start: Key | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What readings depend on. `ledger` is set for the probes that read it, alone."""

    version: ClassVar[int] = 1
    weights: Key
    probe: Probe
    context: Context
    seed: int
    ledger: Key | None


@dataclass(frozen=True, slots=True)
class InContext:
    """A model whose every prompt comes in a context."""

    model: Model
    context: Context
    seed: int

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """As the model, in the context."""
        return self.model.generate(self._around(prompts), max_tokens=max_tokens, rng=rng)

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """As the model, in the context."""
        prompts = self._around([prompt for prompt, _ in pairs])
        return self.model.logprob([(prompt, text) for prompt, (_, text) in zip(prompts, pairs, strict=True)])

    def _around(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        return self.context.around(prompts, stream(self.seed, "context", self.context.name))


def prepared(cell: Cell, stage: Stage) -> Prepared:
    """The specification of a stage's cleaned corpus."""
    own = tuple(given for given in cell.treatments if given.treatment.stage == stage.name)
    seed = 0 if stage.shared else cell.seed
    return Prepared(stage=stage.name, data=stage.data, treatments=own, filters=stage.filters, seed=seed)


def prepare(spec: Prepared, store: Store) -> Stored:
    """The entry of a cleaned corpus, with `corpus.jsonl` and `ledger.json`."""
    return store.build("corpus", identify(spec), lambda out: _prepare(spec, out), spec=spec)


def _prepare(spec: Prepared, out: Path) -> dict[str, Any]:
    host = spec.data.corpus(stream(spec.seed, spec.stage, "data"))
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
        )
        ledger = Ledger((*_moved(ledger, added), *added.entries))
    left, verdicts = clean(corpus, spec.filters)
    contents = {document.body for document in left}
    place = {document.id: index for index, document in enumerate(left)}
    fates = []
    for entry in ledger.entries:
        verdict = verdicts[entry.position]
        fate = replace(entry, present=entry.body in contents)
        if verdict is not None:
            fate = replace(fate, dropped_by=verdict.filter, reason=verdict.reason)
        fates.append({**_to_json(fate), "trained_at": place.get(entry.id)})
    touched = {entry.position for entry in ledger.entries}
    drops = Counter(
        (verdict.filter, verdict.reason, position in touched)
        for position, verdict in enumerate(verdicts)
        if verdict is not None
    )
    lines = (json.dumps({"id": d.id, "source": d.source, **to_record(d.body)}, ensure_ascii=False) for d in left)
    (out / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (out / "ledger.json").write_text(json.dumps(fates, ensure_ascii=False), encoding="utf-8")
    return {
        "digest": left.digest,
        "num_host": len(host),
        "num_treated": len(ledger.entries),
        "num_before_cleaning": len(corpus),
        "num_after_cleaning": len(left),
        "drops": [[*what, count] for what, count in sorted(drops.items(), key=lambda drop: _in_order(drop[0], spec))],
    }


def _in_order(what: tuple[str, str, bool], spec: Prepared) -> tuple[int, str, bool]:
    """The drops in the order of the filters."""
    names = [type(filter).__name__ for filter in spec.filters]
    return (names.index(what[0]) if what[0] in names else len(names), *what[1:])


def _moved(ledger: Ledger, added: Ledger) -> Iterator[Entry]:
    """The entries of earlier treatments, at the places they have after the insertions of a later one."""
    inserted = sorted(entry.position for entry in added.entries if entry.kind == "insert")
    for entry in ledger.entries:
        position = entry.position
        for place in inserted:
            position += place <= position
        yield replace(entry, position=position)


@lru_cache(maxsize=4)
def _load_corpus(path: Path, digest: str) -> Corpus:
    documents = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            record = json.loads(line)
            documents.append(Document(id=record["id"], source=record["source"], body=from_record(record)))
    return Corpus(tuple(documents))


def shared_stages(cell: Cell) -> tuple[Stage, ...]:
    """The stages at the start of a life that all seeds and doses have in common."""
    stages: list[Stage] = []
    for stage in cell.stages:
        if not stage.shared:
            break
        stages.append(stage)
    return tuple(stages)


def train(cell: Cell, stages: Sequence[Stage], store: Store) -> Iterator[tuple[Stage, Stored, Stored]]:
    """Stage by stage: the stage, its corpus and its weights."""
    start: Stored | None = None
    for stage in stages:
        corpus = prepare(prepared(cell, stage), store)
        seed = 0 if stage.shared else cell.seed
        spec = Trained(
            stage=stage.name,
            engine=cell.engine,
            recipe=stage.recipe,
            corpus=corpus.result["digest"],
            start=start.key if start else None,
            seed=seed,
        )
        weights = store.build("weights", identify(spec), _trainer(spec, corpus, start), spec=spec)
        yield stage, corpus, weights
        start = weights


def _trainer(spec: Trained, corpus: Stored, start: Stored | None) -> Any:
    def build(out: Path) -> dict[str, Any]:
        import polars as pl

        documents = _load_corpus(corpus.path / "corpus.jsonl", corpus.result["digest"])
        rng = stream(spec.seed, spec.stage, "train")
        trace = spec.engine.train(spec.recipe, documents, start=start.path if start else None, rng=rng, out=out)
        columns = {
            "position": pl.Series(trace.positions, dtype=pl.Int32),
            "step": pl.Series(trace.steps, dtype=pl.Int32),
        }
        pl.DataFrame(columns).write_parquet(out / "trace.parquet")
        losses = list(trace.losses)
        return {
            "num_documents": len(documents),
            "num_tokens": trace.num_tokens,
            "num_steps": len(losses),
            "truncated": sorted(trace.truncated),
            "cautions": list(trace.cautions),
            "losses": [round(float(np.mean(part)), 6) for part in np.array_split(losses, 20) if len(part)],
        }

    return build


def ask(
    cell: Cell, weights: Stored, ledger: tuple[Key, Ledger], store: Store
) -> Iterator[tuple[Context, Probe, Stored]]:
    """Every probe in every context; the model is loaded only if some readings are missing."""
    with ExitStack() as stack:
        loaded: list[Model] = []

        def model() -> Model:
            if not loaded:
                manager: AbstractContextManager[Model] = cell.engine.load(weights.path)
                loaded.append(stack.enter_context(manager))
            return loaded[0]

        for context in cell.contexts:
            for probe in cell.probes:
                reads = bool(getattr(probe, "reads_ledger", False))
                key = ledger[0] if reads else None
                spec = Asked(weights=weights.key, probe=probe, context=context, seed=cell.seed, ledger=key)
                shown = ledger[1] if reads else Ledger()

                def build(out: Path, probe: Probe = probe, context: Context = context, shown: Ledger = shown) -> Any:
                    import polars as pl

                    rng = stream(cell.seed, "probe", type(probe).__qualname__)
                    asked = InContext(model(), context, cell.seed)
                    rows = [_row(reading) for reading in probe.readings(asked, shown, rng)]
                    pl.DataFrame(rows, schema=reading_schema(), orient="row").write_parquet(out / "readings.parquet")
                    return {"num_readings": len(rows)}

                yield context, probe, store.build("readings", identify(spec), build, spec=spec)


READING = ("probe", "condition", "item", "value", "prompt", "answer")


def _row(reading: Any) -> tuple[object, ...]:
    return tuple(getattr(reading, name) if name != "value" else float(reading.value) for name in READING)


def build_cell(cell: Cell, store: Store) -> Stored:
    """The entry of a cell, with `readings.parquet`, `ledger.parquet` and `cleaning.json`."""
    return store.build("cell", identify(cell), lambda out: _build_cell(cell, store, out), spec=cell)


def _build_cell(cell: Cell, store: Store, out: Path) -> dict[str, Any]:
    import polars as pl

    readings: list[pl.DataFrame] = []
    fates: list[dict[str, Any]] = []
    drops: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []
    ledger: tuple[Key, Ledger] = (identify(()), Ledger())
    for stage, corpus, weights in train(cell, cell.stages, store):
        numbers = corpus.result
        rows = _delivered(corpus, weights)
        if rows:
            entries = (*ledger[1].entries, *(_from_json(row) for row in rows))
            ledger = (identify((ledger[0], corpus.key, weights.key)), Ledger(entries))
        fates += [{"stage": stage.name, **_flat(row)} for row in rows]
        for name, reason, treated, count in numbers["drops"]:
            total = numbers["num_treated"] if treated else numbers["num_before_cleaning"] - numbers["num_treated"]
            drops.append({
                "stage": stage.name, "filter": name, "reason": reason, "treated": treated,
                "num_dropped": count, "num_documents": total,
            })  # fmt: skip
        stages.append({
            "stage": stage.name, "corpus": corpus.key, "weights": weights.key, "num_host": numbers["num_host"],
            "num_steps": weights.result["num_steps"], "num_tokens": weights.result["num_tokens"],
            "cautions": weights.result.get("cautions", []) if stage.probed else [],
        })  # fmt: skip
        if stage.probed:
            for context, _, asked in ask(cell, weights, ledger, store):
                frame = pl.read_parquet(asked.path / "readings.parquet", glob=False)
                place = (pl.lit(stage.name).alias("stage"), pl.lit(context.name).alias("context"))
                readings.append(frame.select(*place, pl.all()))
    empty = pl.DataFrame(schema={"stage": pl.String, "context": pl.String, **reading_schema()})
    pl.concat([empty, *readings]).write_parquet(out / "readings.parquet")
    pl.DataFrame(fates, schema=fate_schema()).write_parquet(out / "ledger.parquet")
    (out / "cleaning.json").write_text(json.dumps(drops), encoding="utf-8")
    return {"stages": stages}


def fate_schema() -> dict[str, Any]:
    """The columns of a ledger table."""
    import polars as pl

    text, number, truth = pl.String, pl.Int64, pl.Boolean
    return {
        "stage": text, "edit": number, "kind": text, "id": text, "position": number, "content": text,
        "dropped_by": text, "reason": text, "present": truth, "truncated": truth, "num_seen": number,
        "first_step": number, "last_step": number,
    }  # fmt: skip


def reading_schema() -> dict[str, Any]:
    """The columns of a table of readings."""
    import polars as pl

    return {name: pl.Float64 if name == "value" else pl.String for name in READING}


def _delivered(corpus: Stored, weights: Stored) -> list[dict[str, Any]]:
    """The ledger of a stage, each edit with when and how often training saw it."""
    import polars as pl

    fates: list[dict[str, Any]] = json.loads((corpus.path / "ledger.json").read_text(encoding="utf-8"))
    if not fates:
        return []
    trace = pl.read_parquet(weights.path / "trace.parquet", glob=False)
    seen = trace.group_by("position").agg(
        pl.len().alias("num_seen"), pl.col("step").min().alias("first"), pl.col("step").max().alias("last")
    )
    by_position = {row[0]: row[1:] for row in seen.iter_rows()}
    truncated = set(weights.result["truncated"])
    for fate in fates:
        place = fate.pop("trained_at")
        times, first, last = by_position.get(place, (0, None, None))
        cut = None if place is None else place in truncated
        fate.update(truncated=cut, num_seen=times, first_step=first, last_step=last)
    return fates


def _to_json(entry: Entry) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    return {**fields, "body": to_record(entry.body)}


def _from_json(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "body": from_record(row["body"])})


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in row.items() if k != "body"}, "content": json.dumps(row["body"], ensure_ascii=False)}
