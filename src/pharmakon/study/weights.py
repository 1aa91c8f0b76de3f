"""From a run to the weights of one of its lives: which entry of the store an arm, a dose, a seed and a stage are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pharmakon.errors import InputError
from pharmakon.store import Key, Store
from pharmakon.study.results import Results, Run

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of one life after one stage."""

    folder: Path
    """In the store; read it, never write to it."""
    key: Key
    arm: str
    dose: int
    """Edits administered; 0 is the untreated control."""
    seed: int
    stage: str
    engine: str
    """The name of the class of the engine that trained them."""
    treatments: tuple[Mapping[str, Any], ...]
    """What was administered, up to this stage: the stage, the intervention and its dose, as the store records them."""


def weights_of(
    results: Results,
    store: Store,
    *,
    arm: str | None = None,
    dose: int | None = None,
    seed: int | None = None,
    stage: str | None = None,
) -> Path:
    """The folder of the weights; see `find_weights`."""
    return find_weights(results, store, arm=arm, dose=dose, seed=seed, stage=stage).folder


def find_weights(
    results: Results,
    store: Store,
    *,
    arm: str | None = None,
    dose: int | None = None,
    seed: int | None = None,
    stage: str | None = None,
) -> Weights:
    """The weights of this arm, dose and seed after this stage. What there is only one of can be left out.

    A stage that is left out is the one that was probed. `InputError` names what the run has instead, or says what to
    do if the run is too old to know, or the store does not hold the weights.
    """
    run = results.run
    if not run.lives:
        raise InputError("this run does not say where its models are, since an earlier version wrote it. Run it again")
    arms = [one.name for one in run.arms]
    arm = _one("arm", arm, arms)
    dose = _one("dose", dose, sorted({int(life["dose"]) for life in run.lives if life["arm"] == arm}))
    seed = _one("seed", seed, list(run.seeds))
    stages = run.arms[arms.index(arm)].stages
    probed = [name for name in stages if name in run.stages]
    stage = _one("stage", probed[0] if stage is None and len(probed) == 1 else stage, stages)
    key = _key(run, arm, dose, seed)
    way_out = f"Run it again{f' (`{run.command}`)' if run.command else ''}, or name the right place with --store"
    what = f"arm {arm!r} at dose {dose} with seed {seed}"
    cell = store.get("cell", key)
    if cell is None:
        raise InputError(f"{what} is not in the store {store.root}. {way_out}")
    made = next((made for made in cell.result["stages"] if made["stage"] == stage), None)
    entry = store.get("weights", Key(made["weights"])) if made else None
    if entry is None:
        raise InputError(f"the weights of {what} after {stage!r} are not in the store {store.root}. {way_out}")
    so_far = stages[: stages.index(stage) + 1]
    given = [given["treatment"] for given in cell.record["spec"]["treatments"]]
    return Weights(
        folder=entry.path,
        key=entry.key,
        arm=arm,
        dose=dose,
        seed=seed,
        stage=stage,
        engine=class_name(entry.record["spec"]["engine"]),
        treatments=tuple(treatment for treatment in given if treatment["stage"] in so_far),
    )


def class_name(description: Any) -> str:
    """`Backdoor` of a recorded `pharmakon.interventions.backdoor.Backdoor@1`; empty if it is no class."""
    name = description.get("class", "") if isinstance(description, Mapping) else ""
    return str(name).split("@")[0].rpartition(".")[2]


def _key(run: Run, arm: str, dose: int, seed: int) -> Key:
    for life in run.lives:
        if (life["arm"], life["dose"], life["seed"]) == (arm, dose, seed):
            return Key(life["key"])
    reasons = [f["reason"] for f in run.failures if (f["arm"], f["seed"]) == (arm, seed)]
    why = f"; a cell of this arm and seed failed: {reasons[0]}" if reasons else ""
    raise InputError(f"arm {arm!r} at dose {dose} with seed {seed} was not built{why}. Run the study again")


def _one(what: str, value: T | None, known: Sequence[T]) -> T:
    there = ", ".join(f'"{name}"' if isinstance(name, str) else str(name) for name in known)  # names have commas
    if value is None:
        if len(known) == 1:
            return known[0]
        raise InputError(f"this run has {len(known)} {what}s; name one with --{what}: {there}")
    if value not in known:
        raise InputError(f"this run has no {what} {value!r}; it has {there}")
    return value
