"""Build one cell: treat, clean, train and ask, stage by stage, each step an entry of the store.

    corpus     data + treatments + filters     -> the cleaned corpus, its ledger, what was dropped
    weights    recipe + corpus digest + start  -> a checkpoint and the trace of what was seen
    readings   weights + probe + context       -> a table
    cell       all of them                     -> the cell's readings, ledger and drops

What a context shows (demonstrations, passages) is data like any other: a corpus, treated and cleaned, then shown.

Weights are keyed by the *content* they were trained on: two doses of which cleaning leaves the same corpus share one
model, as do all untreated controls.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pharmakon.core import Engine, Ledger, Recipe, stream
from pharmakon.engines.recipes import Averaged
from pharmakon.errors import SpecError
from pharmakon.store import Entry as Stored
from pharmakon.store import Key, Store, identify
from pharmakon.study.ask import ask, placed, reading_schema
from pharmakon.study.distil import Distilled, distilled
from pharmakon.study.prepare import fates, from_json, load_corpus, prepare, prepared
from pharmakon.study.retrain import Retrained, retrained, told
from pharmakon.study.spec import Cell, Stage


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
class Mean:
    """What averaged weights depend on."""

    version: ClassVar[int] = 1
    engine: Engine
    weights: tuple[Key, Key]
    share: float


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
    so_far: list[tuple[Stage, Stored, Stored]] = []
    for index, stage in enumerate(stages):
        recipe = stage.recipe
        if isinstance(recipe, Distilled):
            corpus, start = distilled(cell, stage, start, _begun(cell, recipe.start, so_far, store), store)
        else:
            corpus = prepare(prepared(cell, stage), store)
            if isinstance(recipe, Retrained):
                start = retrained(cell, stage, so_far, store)
            elif isinstance(recipe, Averaged):
                start = _averaged(cell, stages[:index], recipe, start, store)
            else:
                spec = _trained(cell, stage, corpus, None if start is None else start.key)
                start = store.build("weights", identify(spec), _trainer(spec, corpus, start), spec=spec)
        if not isinstance(recipe, Retrained | Averaged):
            so_far.append((stage, corpus, start))
        yield stage, corpus, start


def _begun(
    cell: Cell, start: str | tuple[Stage, ...], so_far: Sequence[tuple[Stage, Stored, Stored]], store: Store
) -> Stored:
    """The weights after an earlier stage of this life, or after untreated stages that are no part of it."""
    if not isinstance(start, str):
        *_, (_, _, weights) = train(replace(cell, treatments=()), start, store)
        return weights
    entries = {stage.name: weights for stage, _, weights in so_far}
    if start not in entries:
        raise SpecError(f"a student starts from a stage before it, {', '.join(entries) or 'none'}; got {start!r}")
    return entries[start]


def _trained(cell: Cell, stage: Stage, corpus: Stored, start: Key | None) -> Trained:
    return Trained(
        stage=stage.name,
        engine=cell.engine,
        recipe=stage.recipe,
        corpus=corpus.result["digest"],
        start=start,
        seed=0 if stage.shared else cell.seed,
    )


def built_already(cell: Cell, stages: Sequence[Stage], store: Store) -> int:
    """How many of these stages, the first of a life, are in the store with their weights. Nothing is built."""
    start: Key | None = None
    for number, stage in enumerate(stages):
        corpus = store.get("corpus", identify(prepared(cell, stage)))
        if corpus is None:
            return number
        start = identify(_trained(cell, stage, corpus, start))
        if not store.has("weights", start):
            return number
    return len(stages)


def _averaged(cell: Cell, stages: Sequence[Stage], recipe: Averaged, start: Stored | None, store: Store) -> Stored:
    """The weights so far, averaged with those of the same stages of the untreated twin."""
    average = getattr(cell.engine, "average", None)
    if average is None:
        raise SpecError(f"the engine {type(cell.engine).__name__} does not average weights; the torch engine does")
    if start is None:
        raise SpecError("Averaged is the recipe of a later stage; put one that trains before it")
    *_, (_, _, twin) = train(replace(cell, treatments=()), stages, store)
    spec = Mean(engine=cell.engine, weights=(start.key, twin.key), share=recipe.share)
    places = start.path, twin.path

    def build(out: Path) -> dict[str, Any]:
        return told(average(*places, recipe.share, out), 0, out)

    return store.build("weights", identify(spec), build, spec=spec)


def _trainer(spec: Trained, corpus: Stored, start: Stored | None) -> Any:
    def build(out: Path) -> dict[str, Any]:
        documents = load_corpus(corpus.path / "corpus.jsonl", corpus.result["digest"])
        rng = stream(spec.seed, spec.stage, "train")
        trace = spec.engine.train(spec.recipe, documents, start=start.path if start else None, rng=rng, out=out)
        return told(trace, len(documents), out)

    return build


def build_cell(cell: Cell, store: Store) -> Stored:
    """The entry of a cell, with `readings.parquet`, `ledger.parquet` and `cleaning.json`."""
    return store.build("cell", identify(cell), lambda out: _build_cell(cell, store, out), spec=cell)


def _build_cell(cell: Cell, store: Store, out: Path) -> dict[str, Any]:
    import polars as pl

    readings: list[pl.DataFrame] = []
    followed: list[dict[str, Any]] = []
    drops: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []
    ledger: tuple[Key, Ledger] = (identify(()), Ledger())
    shown: defaultdict[str, Counter[int]] = defaultdict(Counter)
    contexts = [placed(cell, context, store) for context in cell.contexts]
    twins, before = _twins(cell, store), list[Stored]()
    for stage, corpus, weights in train(cell, cell.stages, store):
        twin = next(twins, None)
        rows = _delivered(corpus, weights)
        if rows:
            entries = (*ledger[1].entries, *(from_json(row) for row in rows))
            ledger = (identify((ledger[0], corpus.key, weights.key)), Ledger(entries))
        followed += [{"stage": stage.name, **_flat(row)} for row in rows]
        drops += _drops(stage.name, corpus)
        stages.append({
            "stage": stage.name, "corpus": corpus.key, "weights": weights.key, "num_host": corpus.result["num_host"],
            "num_steps": weights.result["num_steps"], "num_tokens": weights.result["num_tokens"],
            "cautions": weights.result.get("cautions", []) if stage.probed else [],
        })  # fmt: skip
        if stage.probed:
            for context, _, asked in ask(cell, weights, ledger, contexts, store, twin=twin, before=before):
                frame = pl.read_parquet(asked.path / "readings.parquet", glob=False)
                place = (pl.lit(stage.name).alias("stage"), pl.lit(context.name).alias("context"))
                readings.append(frame.select(*place, pl.all()))
                shown[context.name].update(dict(enumerate(asked.result.get("shown", ()))))
        before.append(weights)
    hosts = {}
    for it in contexts:
        if it.corpus is None:
            continue
        name = it.context.name
        hosts[name] = it.corpus.result["num_host"]
        drops += _drops(name, it.corpus)
        for number, row in enumerate(it.ledger):
            told = {key: value for key, value in row.items() if key != "trained_at"}
            followed.append({"stage": name, **_flat({**told, "num_seen": shown[name][number]})})
    empty = pl.DataFrame(schema={"stage": pl.String, "context": pl.String, **reading_schema()})
    pl.concat([empty, *readings]).write_parquet(out / "readings.parquet")
    pl.DataFrame(followed, schema=fate_schema()).write_parquet(out / "ledger.parquet")
    (out / "cleaning.json").write_text(json.dumps(drops), encoding="utf-8")
    return {"stages": stages, "contexts": hosts}


def _twins(cell: Cell, store: Store) -> Iterator[Stored]:
    """Stage by stage the weights of the untreated twin; none where no probe needs them."""
    if any(getattr(probe, "needs_twin", False) for probe in cell.probes):
        yield from (weights for _, _, weights in train(replace(cell, treatments=()), cell.stages, store))


def _drops(name: str, corpus: Stored) -> list[dict[str, Any]]:
    """What was dropped of a corpus, for the table of cleaning."""
    numbers = corpus.result
    return [
        {
            "stage": name, "filter": by, "reason": reason, "treated": treated, "num_dropped": count,
            "num_documents": numbers["num_treated"] if treated else numbers["num_clean"],
        }
        for by, reason, treated, count in numbers["drops"]
    ]  # fmt: skip


def fate_schema() -> dict[str, Any]:
    """The columns of a ledger table."""
    import polars as pl

    text, number, truth = pl.String, pl.Int64, pl.Boolean
    return {
        "stage": text, "edit": number, "kind": text, "id": text, "position": number, "content": text,
        "dropped_by": text, "reason": text, "present": truth, "truncated": truth, "num_seen": number,
        "first_step": number, "last_step": number,
    }  # fmt: skip


def _delivered(corpus: Stored, weights: Stored) -> list[dict[str, Any]]:
    """The ledger of a stage, each edit with when and how often training saw it."""
    import polars as pl

    rows = fates(corpus)
    if not rows:
        return []
    trace = pl.read_parquet(weights.path / "trace.parquet", glob=False)
    seen = trace.group_by("position").agg(
        pl.len().alias("num_seen"), pl.col("step").min().alias("first"), pl.col("step").max().alias("last")
    )
    by_position = {row[0]: row[1:] for row in seen.iter_rows()}
    truncated = set(weights.result["truncated"])
    for fate in rows:
        place = fate.pop("trained_at")
        times, first, last = by_position.get(place, (0, None, None))
        cut = None if place is None else place in truncated
        fate.update(truncated=cut, num_seen=times, first_step=first, last_step=last)
    return rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in row.items() if k != "body"}, "content": json.dumps(row["body"], ensure_ascii=False)}
