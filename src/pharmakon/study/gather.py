"""The finished cells of a plan as one table of readings, one ledger, one table of drops."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from pharmakon import __version__
from pharmakon.errors import InputError, RunError, SpecError
from pharmakon.store import Store, identify
from pharmakon.study.finding import Finding
from pharmakon.study.plan import Plan, Planned
from pharmakon.study.results import CLEANING, LEDGER, READINGS, Results
from pharmakon.study.run import Failure
from pharmakon.study.spec import Study, Treatment

LIBRARIES = ("torch", "transformers", "polars", "scipy", "statsmodels")


def gather(
    plan: Plan, store: Store, failures: Sequence[Failure] = (), *, seconds: float = 0.0, command: str = ""
) -> Results:
    """The results of a plan whose cells are built. Raises RunError if every cell failed."""
    readings, ledgers, cleaning = [], [], []
    lives: list[dict[str, Any]] = []
    hosts: dict[str, int] = {}
    core_seconds, num_read = 0.0, 0
    cautions: dict[str, None] = dict.fromkeys(plan.study.cautions)
    seen: set[str] = set()
    for planned in plan.cells:
        entry = store.get("cell", planned.key)
        if entry is None:
            continue
        num_read += 1
        own_hosts = {stage["stage"]: stage["num_host"] for stage in entry.result["stages"]}
        own_hosts |= entry.result.get("contexts", {})  # cells of before 0.3 have none
        hosts |= own_hosts
        cautions |= {
            f"{s['stage']}: {caution}": None for s in entry.result["stages"] for caution in s.get("cautions", ())
        }
        if planned.key not in seen:
            core_seconds += float(entry.record["seconds"])
            seen.add(planned.key)
        place = _place(planned, own_hosts)
        dose = _num_edits(planned, own_hosts)
        lives.append({"arm": planned.arm.name, "dose": dose, "seed": planned.seed, "key": planned.key})
        readings.append(pl.read_parquet(entry.path / "readings.parquet", glob=False).select(*place, pl.all()))
        ledgers.append(pl.read_parquet(entry.path / "ledger.parquet", glob=False).select(*place, pl.all()))
        drops = json.loads((entry.path / "cleaning.json").read_text(encoding="utf-8"))
        own = {name: kind for name, kind in CLEANING.items() if name not in ("arm", "dose", "seed")}
        cleaning.append(pl.DataFrame(drops, schema=own).select(*place, pl.all()))
    if not num_read:
        reason = f", the first because {failures[0].reason}" if failures else ""
        raise RunError(f"no cell of the study could be built{reason}")
    table = pl.concat(readings).select(*READINGS)
    run = _run(plan, hosts, failures, command) | {"doses": table["dose"].unique().sort().to_list()}
    run |= {"warnings": list(cautions)}
    run |= {"seconds": round(seconds, 1), "core_seconds": round(core_seconds, 1), "lives": lives}
    results = Results.of(
        run,
        table,
        pl.concat(ledgers).select(*LEDGER),
        pl.concat(cleaning).select(*CLEANING),
    )
    with store.in_use():
        return _analysed(results, study=plan.study)


def _analysed(results: Results, study: Study) -> Results:
    """With what the study's analyses find; one that cannot be made is told as a warning."""
    found: list[Finding] = []
    troubles: list[str] = []
    for analysis in study.analyses:
        try:
            found += analysis.findings(results)
        except (InputError, SpecError) as error:
            troubles.append(f"{type(analysis).__name__} could not be made: {error}")
    run = replace(results.run, warnings=(*results.run.warnings, *troubles))
    return replace(results, run=run, findings=tuple(found))


def _place(planned: Planned, hosts: dict[str, int]) -> tuple[pl.Expr, ...]:
    return (
        pl.lit(planned.arm.name).alias("arm"),
        pl.lit(_num_edits(planned, hosts), dtype=pl.Int64).alias("dose"),
        pl.lit(planned.seed, dtype=pl.Int64).alias("seed"),
    )


def _num_edits(planned: Planned, hosts: dict[str, int]) -> int:
    """The dose in edits, over all treatments that follow the study's axis."""
    given = zip(planned.arm.treatments, planned.arm.split(planned.dose), strict=True)
    return sum(
        dose.num_edits(hosts[treatment.stage]) for treatment, dose in given if not treatment.dose and dose.amount
    )


def _is_fixed(treatment: Treatment) -> bool:
    """Given at a dose of its own, beside the treatment that the study varies."""
    return treatment.dose is not None


def _run(plan: Plan, hosts: dict[str, int], failures: Sequence[Failure], command: str) -> dict[str, Any]:
    study = plan.study
    treated = {arm.name: [t.stage for t in sorted(arm.treatments, key=_is_fixed) if t.share] for arm in study.arms}
    num_built = len(plan.missing) - len(failures)
    return {
        "study": study.name,
        "question": study.question,
        "arms": [
            {
                "name": arm.name,
                "stages": [stage.name for stage in arm.stages],
                "treated_stage": next(iter(treated[arm.name]), None),
            }
            for arm in study.arms
        ],
        "stages": list(dict.fromkeys(s.name for arm in study.arms for s in arm.stages if s.probed)),
        "contexts": list(dict.fromkeys(c.name for arm in study.arms for c in study.contexts_of(arm))),
        "unit": "documents",
        "host_documents": hosts,
        "seeds": list(study.seeds),
        "signed": sorted(
            {
                str(getattr(probe, "name", type(probe).__name__))
                for arm in study.arms
                for probe in study.probes_of(arm)
                if getattr(probe, "has_signed_values", False)
            }
        ),
        "response": study.response,
        "utility": study.utility,
        "margin": study.margin,
        "versions": _versions(),
        "key": identify(
            (
                [(planned.arm.name, planned.key) for planned in plan.cells],
                (
                    study.name,
                    study.question,
                    study.response,
                    study.utility,
                    study.margin,
                    study.cautions,
                    study.analyses,
                ),
            )
        ),
        "cells": {
            "total": plan.num_unique,
            "built": num_built,
            "cached": plan.num_unique - len(plan.missing),
            "failed": len(failures),
        },
        "failures": [{"arm": f.arm, "dose": f.dose, "seed": f.seed, "reason": f.reason} for f in failures],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }


def _versions() -> dict[str, str]:
    versions = {"pharmakon": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
