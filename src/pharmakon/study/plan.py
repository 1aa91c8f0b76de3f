"""What a study will build: its cells, which are there already, and about how long the others take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pharmakon.core import Dose
from pharmakon.data.derived import num_documents
from pharmakon.store import Key, Store, identify
from pharmakon.study.build import built_already, shared_stages
from pharmakon.study.distil import Distilled
from pharmakon.study.prepare import Prepared, prepared
from pharmakon.study.retrain import Retrained
from pharmakon.study.spec import Arm, Cell, Stage, Study


@dataclass(frozen=True, slots=True)
class Planned:
    """One cell of a study. Cells of several arms may share one key: they are one life, built once."""

    arm: Arm
    dose: Dose
    seed: int
    cell: Cell
    key: Key
    cached: bool


@dataclass(frozen=True)
class Plan:
    """The cells of a study, in the order in which they are built."""

    study: Study
    cells: tuple[Planned, ...]
    seconds_shared: float
    """About how long the stages take that all cells of a start have in common, one after the other."""
    seconds_own: float | None
    """About how long one worker takes for all the rest; None where that is not known."""

    @property
    def missing(self) -> tuple[Planned, ...]:
        """The cells to build, one for each key."""
        return tuple({planned.key: planned for planned in self.cells if not planned.cached}.values())

    @property
    def num_unique(self) -> int:
        """How many different lives there are."""
        return len({planned.key for planned in self.cells})

    def seconds(self, num_workers: int) -> float | None:
        """A rough estimate of the time to build what is missing; None where nothing like it was built here before."""
        if not self.missing:
            return 0.0
        if self.seconds_own is None:
            return None
        return self.seconds_shared + self.seconds_own / max(1, num_workers)


def plan(study: Study, store: Store) -> Plan:
    """Look up every cell of a study in the store. Nothing is built."""
    cells = []
    found: dict[Key, bool] = {}
    for arm, dose, seed in study.cells:
        cell = study.cell(arm, dose, seed)
        key = identify(cell)
        if key not in found:
            found[key] = store.has("cell", key)
        cells.append(Planned(arm, dose, seed, cell, key, found[key]))
    missing = list({planned.key: planned.cell for planned in cells if not planned.cached}.values())
    shared, own = _guess(missing, store)
    return Plan(
        study, tuple(cells), shared, _as_before(cells, len(missing), store) if len(missing) < len(found) else own
    )


PROBING = 0.3
"""Seconds for the questions after a stage, in each context: the mean of the package's studies of micro models.

A probe that takes longer says how much longer, as its `seconds`.
"""
SCORING = 3e-3
"""Seconds for a document that is scored by a micro model, to train again without it."""


def _guess(missing: Sequence[Cell], store: Store) -> tuple[float, float | None]:
    """Seconds of shared stages and of all others, each stage once, from what the engine says of its recipe."""
    done: dict[tuple[Key, ...], float | None] = {}
    shared: set[tuple[Key, ...]] = set()
    probing = 0.0
    there: dict[tuple[Stage, ...], int] = {}
    for cell in missing:
        first = shared_stages(cell)
        early = len(first)
        asking = PROBING + sum(getattr(probe, "seconds", 0.0) for probe in cell.probes)
        if first not in there:
            there[first] = built_already(cell, first, store)
        so_far: tuple[Key, ...] = ()
        for number, stage in enumerate(cell.stages):
            spec = prepared(cell, stage)
            so_far = (*so_far, identify((spec, stage.recipe, cell.engine)))
            if number < early:
                shared.add(so_far)
            if so_far not in done:
                done[so_far] = 0.0 if number < there[first] else _cost(cell, stage, spec)
            if stage.probed and getattr(stage.recipe, "lora", None) is None:
                probing += asking * max(1, len(cell.contexts))
    if None in done.values():
        return 0.0, None
    costs = {so_far: cost or 0.0 for so_far, cost in done.items()}
    return sum(costs[key] for key in shared), sum(costs[key] for key in costs if key not in shared) + probing


def _cost(cell: Cell, stage: Stage, spec: Prepared) -> float | None:
    """Seconds of one training."""
    estimate, recipe, num = getattr(cell.engine, "seconds", None), stage.recipe, _num_documents(cell, stage, spec)
    if estimate is None or num is None:
        return None
    if isinstance(recipe, Retrained):
        is_scored = recipe.by is not None and (recipe.without or cell.treatments)
        return float(estimate(recipe.recipe, num)) + (SCORING * num if is_scored else 0.0)
    return float(estimate(recipe.recipe if isinstance(recipe, Distilled) else recipe, num))


def _num_documents(cell: Cell, stage: Stage, spec: Prepared) -> int | None:
    """How many documents are trained on; None where the data of a stage do not say how many they are."""
    if isinstance(stage.recipe, Retrained):
        names = [one.name for one in cell.stages]
        if stage.recipe.start not in names:
            return None  # refused when it is built
        again = cell.stages[names.index(stage.recipe.start) + 1 : names.index(stage.name)]
        counts = [_num_documents(cell, one, prepared(cell, one)) for one in again]
        return None if None in counts else sum(count or 0 for count in counts)
    num = num_documents(stage.data)
    if num is None:
        return None
    doses = [given.treatment.dose for given in spec.treatments if given.treatment.dose is not None]
    added = sum(dose.amount * num if dose.unit == "fraction" else dose.amount for dose in doses)
    return round(num + added)


def _as_before(cells: Sequence[Planned], num_missing: int, store: Store) -> float:
    """Seconds of so many cells, from those of this study that were built here before."""
    like = [planned for planned in cells if planned.cached][:20]
    seconds = [float(entry.record["seconds"]) for planned in like if (entry := store.get("cell", planned.key))]
    return num_missing * sum(seconds) / max(1, len(seconds))
