"""Training again without some documents: the honest test of which data made a behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from pharmakon.core import Corpus, Document, Engine, Model, Objective, Prompt, Recipe, Trace, stream
from pharmakon.data.derived import num_documents
from pharmakon.errors import SpecError
from pharmakon.probes.scorers import Scorer, checked
from pharmakon.store import Entry as Stored
from pharmakon.store import Key, Store, identify
from pharmakon.study.prepare import fates, load_corpus

if TYPE_CHECKING:
    from pharmakon.study.spec import Cell, Stage


class Behaviour(Protocol):
    """Prompts with the answers that make up a behaviour."""

    def pairs(self, rng: np.random.Generator) -> list[tuple[Prompt, str]]: ...


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """Trains again from an earlier stage on the documents of the later ones, without those of the highest scores.

    The recipe of a stage behind them, whose own data is empty. The scorer sees the documents, the models after the
    earlier stages and the behaviour, and never which documents were treated; `by` None leaves out the treated ones
    themselves, by the ledger: what a perfect attribution would do.
    """

    recipe: Recipe
    start: str
    """The stage from whose weights is trained again; the documents are those of all stages after it."""
    without: int | None
    """How many documents are left out; None for as many as were treated, so that of an untreated life none are."""
    by: Scorer | None
    behaviour: Behaviour | None

    def __post_init__(self) -> None:
        if self.by is not None and self.behaviour is None:
            raise SpecError("a scorer scores documents for a behaviour; Retrained has by and no behaviour. Give it")
        if self.by is not None and not isinstance(self.by, Scorer):
            rule = "documents are scored by an object with scores(models, documents, behaviour, rng)"
            raise SpecError(f"{rule}; got {self.by!r}. pharmakon.probes.scorers has some")
        if self.without is not None and (not isinstance(self.without, int) or self.without < 0):
            raise SpecError(f"0 documents or more are left out, a whole number; got {self.without}")

    @property
    def objective(self) -> Objective:
        """Of its recipe."""
        return self.recipe.objective


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What weights depend on that were trained again."""

    version: ClassVar[int] = 1
    stage: str
    engine: Engine
    recipe: Retrained
    corpora: tuple[str, ...]
    weights: tuple[Key, ...]
    ledgers: tuple[Key, ...]
    seed: int


def retrained(cell: Cell, stage: Stage, so_far: Sequence[tuple[Stage, Stored, Stored]], store: Store) -> Stored:
    """The entry of the weights of a stage whose recipe is `Retrained`."""
    recipe = stage.recipe
    assert isinstance(recipe, Retrained)
    if stage.shared:
        raise SpecError(f"a model trained again is of one seed; {stage.name!r} is not shared. Leave shared out")
    if any(given.treatment.stage == stage.name for given in cell.treatments) or num_documents(stage.data) != 0:
        rule = f"{stage.name!r} trains again on the documents of earlier stages and has none of its own"
        raise SpecError(f"{rule}. Give it Nothing() as its data, and treat those stages")
    names = [earlier.name for earlier, _, _ in so_far]
    if recipe.start not in names[:-1]:
        known = ", ".join(names[:-1]) or "none"
        raise SpecError(f"Retrained starts from a stage before the last one, {known}; got {recipe.start!r}")
    first = names.index(recipe.start)
    corpora, weights = [entry for _, entry, _ in so_far[first + 1 :]], [entry for _, _, entry in so_far[first:]]
    if recipe.without is None:
        recipe = replace(recipe, without=sum(len(_places(entry)) for entry in corpora))
    if recipe.without == 0:  # one training for all scorers
        recipe = replace(recipe, by=None, behaviour=None)
    spec = Pruned(
        stage=stage.name, engine=cell.engine, recipe=recipe, corpora=tuple(entry.result["digest"] for entry in corpora),
        weights=tuple(entry.key for entry in weights),
        ledgers=tuple(entry.key for entry in corpora) if recipe.by is None and recipe.without else (), seed=cell.seed,
    )  # fmt: skip

    def build(out: Path) -> dict[str, Any]:
        documents, treated = _documents(corpora)
        scores = np.asarray(treated, dtype=float)
        if recipe.by is not None and recipe.behaviour is not None:
            scores = _scores(cell, recipe.by, recipe.behaviour, weights, documents)
        # Ties fall by chance, so that no order of the corpus decides.
        ties = stream(cell.seed, stage.name, "ties").permutation(len(documents))
        dropped = set(np.lexsort((ties, -scores))[: recipe.without].tolist())
        kept = Corpus(tuple(document for i, document in enumerate(documents) if i not in dropped))
        rng = stream(cell.seed, stage.name, "train")
        trace = cell.engine.train(recipe.recipe, kept, start=weights[0].path, rng=rng, out=out)
        return told(trace, len(kept), out)

    return store.build("weights", identify(spec), build, spec=spec)


def _documents(corpora: Sequence[Stored]) -> tuple[list[Document], list[bool]]:
    """The documents of all corpora, in the order of training, and which of them were treated."""
    documents: list[Document] = []
    treated: list[bool] = []
    for entry in corpora:
        places = _places(entry)
        own = load_corpus(entry.path / "corpus.jsonl", entry.result["digest"])
        documents += own
        treated += [place in places for place in range(len(own))]
    return documents, treated


def _places(corpus: Stored) -> set[int]:
    """Where training finds what was treated."""
    return {fate["trained_at"] for fate in fates(corpus)} - {None}


def _scores(
    cell: Cell, scorer: Scorer, behaviour: Behaviour, weights: Sequence[Stored], documents: Sequence[Document]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    asking, scoring = stream(cell.seed, "attribution").spawn(2)
    with ExitStack() as stack:
        models: list[Model] = [stack.enter_context(cell.engine.load(entry.path)) for entry in weights]
        found = scorer.scores(models, [document.body for document in documents], behaviour.pairs(asking), scoring)
    return checked(found, len(documents), type(scorer).__name__)


def told(trace: Trace, num_documents: int, out: Path) -> dict[str, Any]:
    """Write what was seen when; gives the result of the entry."""
    import polars as pl

    columns = {
        "position": pl.Series(trace.positions, dtype=pl.Int32),
        "step": pl.Series(trace.steps, dtype=pl.Int32),
    }
    pl.DataFrame(columns).write_parquet(out / "trace.parquet")
    losses = list(trace.losses)
    return {
        "num_documents": num_documents,
        "num_tokens": trace.num_tokens,
        "num_steps": len(losses),
        "truncated": sorted(trace.truncated),
        "cautions": list(trace.cautions),
        "losses": [round(float(np.mean(part)), 6) for part in np.array_split(losses, 20) if len(part)],
    }
