"""What a study will build: its cells, which are there already, and about how long the others take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pharmakon.core import Dose
from pharmakon.store import Key, Store, identify
from pharmakon.study.build import shared_stages
from pharmakon.study.prepare import prepared
from pharmakon.study.spec import Arm, Cell, Study


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
    seconds_per_cell: float | None
    seconds_shared: float

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
        if self.seconds_per_cell is None:
            return None
        return self.seconds_shared + self.seconds_per_cell * len(self.missing) / max(1, num_workers)


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
    per_cell, shared = _history(study, cells, store)
    return Plan(study, tuple(cells), per_cell, shared)


def _history(study: Study, cells: Sequence[Planned], store: Store) -> tuple[float | None, float]:
    """Seconds of a cell and of the shared stages, from what was built here before with as many stages."""
    if all(planned.cached for planned in cells):
        return 0.0, 0.0
    like = [planned for planned in cells if planned.cached][:20]
    records = [entry for planned in like if (entry := store.get("cell", planned.key))]
    seconds = [float(entry.record["seconds"]) for entry in records]
    engine = study.engine
    estimate = getattr(engine, "seconds", None)
    shared = unshared = 0.0
    if estimate is not None:
        cell = cells[0].cell
        early = shared_stages(cell)
        for stage in cell.stages:
            num = getattr(stage.data, "num_documents", None)
            if num is None:
                estimate = None
                break
            cost = float(estimate(stage.recipe, num))
            if stage in early:
                shared += 0.0 if store.has("corpus", identify(prepared(cell, stage))) else cost
            else:
                unshared += cost
    if seconds:
        return sum(seconds) / len(seconds), shared
    return (unshared or None) if estimate is not None else None, shared
