"""Ask a trained model: every probe in every context, what the context shows treated and cleaned like other data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pharmakon.core import Body, Corpus, Dialogue, Ledger, Model, Probe, Prompt, Text, from_record, stream
from pharmakon.store import Entry as Stored
from pharmakon.store import Key, Store, identify
from pharmakon.study.inside import InsideInContext
from pharmakon.study.prepare import fates, load_corpus, prepare, prepared_context
from pharmakon.study.spec import Cell, Context
from pharmakon.whitebox import WhiteBox, inside


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What readings depend on. `ledger` is set for the probes that read it, alone."""

    version: ClassVar[int] = 1
    weights: Key
    probe: Probe
    context: Context
    seed: int
    ledger: Key | None
    treated: Key | None = None
    """The treated corpus of the context: which of its documents are counted when they are shown."""


@dataclass(frozen=True, kw_only=True)
class AskedBeside(Asked):
    """What readings of a probe depend on that compares a model with others: its twin, its earlier checkpoints."""

    others: tuple[Key, ...]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A corpus that is there already, as the data of a context."""

    documents: Corpus

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The corpus itself."""
        return self.documents


@dataclass(frozen=True, slots=True)
class InContext:
    """A model whose every prompt comes in a context. `watched`: it counts how many prompts show each of these.

    `twin`: the same life up to here to which nothing was administered, for a probe that `needs_twin`. `before`: this
    life after each earlier stage, for one that `needs_checkpoints`.
    """

    model: Model
    context: Context
    seed: int
    watched: tuple[Body, ...] = ()
    shown: Counter[int] = field(default_factory=Counter)
    """By the place in `watched`."""
    twin: InContext | None = None
    before: tuple[InContext, ...] = ()

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """As the model, in the context."""
        return self.model.generate(self._around(prompts), max_tokens=max_tokens, rng=rng)

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """As the model, in the context."""
        prompts = self._around([prompt for prompt, _ in pairs])
        return self.model.logprob([(prompt, text) for prompt, (_, text) in zip(prompts, pairs, strict=True)])

    def inside(self) -> WhiteBox:
        """The model's inside, its prompts in the context. Raises SpecError where there is none to look at."""
        return InsideInContext(inside(self.model), self._around)

    def around(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts as they reach the model; what they show is not counted."""
        return self.context.around(prompts, stream(self.seed, "context", self.context.name))

    def _around(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        around = self.around(prompts)
        for number, body in enumerate(self.watched):
            self.shown[number] += sum(_shows(prompt, body) for prompt in around)
        return around


def _shows(prompt: Prompt, body: Body) -> bool:
    """The body stands in the prompt: a text inside a turn, a dialogue as its last two turns."""
    if isinstance(prompt, Text):
        return isinstance(body, Text) and body.text in prompt.text
    if isinstance(body, Text):
        return any(body.text in turn.content for turn in prompt.turns)
    return isinstance(body, Dialogue) and any(body.turns[-2:] == pair for pair in pairwise(prompt.turns))


@dataclass(frozen=True, slots=True)
class Placed:
    """A context whose data are treated and cleaned, the entry of that corpus if there is one, and its ledger."""

    context: Context
    corpus: Stored | None = None
    ledger: tuple[dict[str, Any], ...] = ()


def placed(cell: Cell, context: Context, store: Store) -> Placed:
    """The context as this cell has it."""
    spec = prepared_context(cell, context)
    if spec is None:
        return Placed(context)
    entry = prepare(spec, store)
    shown = Shown(documents=load_corpus(entry.path / "corpus.jsonl", entry.result["digest"]))
    changed: Context = replace(context, data=shown)  # type: ignore[type-var]
    return Placed(changed, entry, tuple(fates(entry)))


def ask(
    cell: Cell,
    weights: Stored,
    ledger: tuple[Key, Ledger],
    contexts: Sequence[Placed],
    store: Store,
    *,
    twin: Stored | None = None,
    before: Sequence[Stored] = (),
) -> Iterator[tuple[Context, Probe, Stored]]:
    """Every probe in every context; the model is loaded only if some readings are missing.

    `twin`: the weights of the untreated twin, if a probe needs them. `before`: those after each earlier stage.
    """
    with ExitStack() as stack:
        loaded: dict[Key, Model] = {}

        def model(of: Stored = weights) -> Model:
            if of.key not in loaded:
                manager: AbstractContextManager[Model] = cell.engine.load(of.path)
                loaded[of.key] = stack.enter_context(manager)
            return loaded[of.key]

        for place in contexts:
            context, corpus = place.context, place.corpus
            watched = tuple(from_record(row["body"]) for row in place.ledger)
            for probe in cell.probes:
                reads = bool(getattr(probe, "reads_ledger", False))
                key = ledger[0] if reads else None
                beside = twin if getattr(probe, "needs_twin", False) else None
                earlier = tuple(before) if getattr(probe, "needs_checkpoints", False) else ()
                given: dict[str, Any] = {
                    "weights": weights.key, "probe": probe, "context": context, "seed": cell.seed, "ledger": key,
                    "treated": corpus.key if corpus and watched else None,
                }  # fmt: skip
                others = tuple(one.key for one in (beside, *earlier) if one is not None)
                spec = AskedBeside(**given, others=others) if others else Asked(**given)
                shown = ledger[1] if reads else Ledger()

                def build(
                    out: Path,
                    probe: Probe = probe,
                    context: Context = context,
                    shown: Ledger = shown,
                    watched: tuple[Body, ...] = watched,
                    beside: Stored | None = beside,
                    earlier: Sequence[Stored] = earlier,
                ) -> Any:
                    import polars as pl

                    rng = stream(cell.seed, "probe", type(probe).__qualname__)
                    other = None if beside is None else InContext(model(beside), context, cell.seed)
                    checkpoints = tuple(InContext(model(one), context, cell.seed) for one in earlier)
                    asked = InContext(model(), context, cell.seed, watched, twin=other, before=checkpoints)
                    rows = [_row(reading) for reading in probe.readings(asked, shown, rng)]
                    pl.DataFrame(rows, schema=reading_schema(), orient="row").write_parquet(out / "readings.parquet")
                    return {"num_readings": len(rows), "shown": [asked.shown[i] for i in range(len(watched))]}

                yield context, probe, store.build("readings", identify(spec), build, spec=spec)


READING = ("probe", "condition", "item", "value", "prompt", "answer")


def _row(reading: Any) -> tuple[object, ...]:
    return tuple(getattr(reading, name) if name != "value" else float(reading.value) for name in READING)


def reading_schema() -> dict[str, Any]:
    """The columns of a table of readings."""
    import polars as pl

    return {name: pl.Float64 if name == "value" else pl.String for name in READING}
