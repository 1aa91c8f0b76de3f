"""What a run found: its tables, and the questions one asks of them.

A run folder holds `readings.parquet`, `ledger.parquet`, `cleaning.parquet`, `findings.json` and `run.json`, which is
written last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import polars as pl

from pharmakon.errors import InputError
from pharmakon.statistics import Curve, fit
from pharmakon.study import delivery, summary
from pharmakon.study.finding import FINDINGS, Finding, read_findings, write_findings

RECORD: Final = "run.json"

READINGS: Final[Mapping[str, Any]] = MappingProxyType({
    "arm": pl.String, "dose": pl.Int64, "seed": pl.Int64, "stage": pl.String, "context": pl.String,
    "probe": pl.String, "condition": pl.String, "item": pl.String, "value": pl.Float64,
    "prompt": pl.String, "answer": pl.String,
})  # fmt: skip
"""One row for each answer. `dose`: edits administered, 0 is the untreated control. `value`: 1 for a hit or a right
answer, else 0; or a perplexity."""

LEDGER: Final[Mapping[str, Any]] = MappingProxyType({
    "arm": pl.String, "dose": pl.Int64, "seed": pl.Int64, "stage": pl.String, "edit": pl.Int64, "kind": pl.String,
    "id": pl.String, "position": pl.Int64, "content": pl.String, "dropped_by": pl.String, "reason": pl.String,
    "present": pl.Boolean, "truncated": pl.Boolean, "num_seen": pl.Int64, "first_step": pl.Int64,
    "last_step": pl.Int64,
})  # fmt: skip
"""One row for each edit: what became of it. `content` is JSON (see `core.to_record`)."""

CLEANING: Final[Mapping[str, Any]] = MappingProxyType({
    "arm": pl.String, "dose": pl.Int64, "seed": pl.Int64, "stage": pl.String, "filter": pl.String,
    "reason": pl.String, "treated": pl.Boolean, "num_dropped": pl.Int64, "num_documents": pl.Int64,
})  # fmt: skip
"""One row for each reason: how many of the treated or clean documents it dropped, of how many before cleaning."""

TABLES: Final = MappingProxyType({"readings": READINGS, "ledger": LEDGER, "cleaning": CLEANING})
NULLABLE: Final = frozenset(
    {"position", "dropped_by", "reason", "truncated", "num_seen", "first_step", "last_step", "content"}
)

Axis = Literal["administered", "survived", "seen"]


@dataclass(frozen=True)
class RunArm:
    """An arm as a run remembers it."""

    name: str
    stages: tuple[str, ...]
    treated_stage: str | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """What `run.json` says: what was asked, of which arms, and how it was made."""

    study: str
    question: str
    arms: tuple[RunArm, ...]
    stages: tuple[str, ...]
    """Those that were probed, in order."""
    contexts: tuple[str, ...]
    doses: tuple[float, ...]
    seeds: tuple[int, ...]
    unit: str = "documents"
    host_documents: Mapping[str, int] = field(default_factory=dict)
    """Documents of each stage before treatment."""
    signed: tuple[str, ...] = ()
    """Probes whose values may be negative: they are averaged as they are, others that are not 0 or 1 geometrically."""
    response: str = "attack"
    """The probe whose `triggered` readings are the response."""
    utility: str = "utility"
    margin: float = 0.05
    """The fall of utility that ends the therapeutic window."""
    versions: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    cells: Mapping[str, int] = field(default_factory=dict)
    """`total`, `built`, `cached`, `failed`."""
    failures: tuple[Mapping[str, Any], ...] = ()
    seconds: float | None = None
    core_seconds: float | None = None
    created: str = ""
    command: str = ""
    warnings: tuple[str, ...] = ()
    lives: tuple[Mapping[str, Any], ...] = ()
    """`arm`, `dose` (edits), `seed` and `key`: which cell of the store each is. See `study.weights`."""

    @staticmethod
    def of(record: Mapping[str, Any], where: str = RECORD) -> Run:
        """A run from the JSON object of `run.json`; keys it does not know are left out."""
        if not isinstance(record, Mapping):
            raise InputError(f"{where} is a JSON object; got {type(record).__name__}")
        missing = [name for name in ("study", "arms", "stages", "contexts", "doses", "seeds") if name not in record]
        if missing:
            raise InputError(f"{where} is not the record of a run: it has no {', '.join(missing)}")
        known = {item.name: record[item.name] for item in fields(Run) if record.get(item.name) is not None}
        known.setdefault("question", "")
        try:
            arms = tuple(
                RunArm(str(arm["name"]), tuple(arm["stages"]), arm.get("treated_stage")) for arm in record["arms"]
            )
            for name in ("stages", "contexts", "doses", "seeds", "failures", "warnings", "lives", "signed"):
                if isinstance(known.get(name, ()), str):
                    raise TypeError(f"{name} is a list; got a text")
                known[name] = tuple(known.get(name, ()))
            for name in ("host_documents", "versions", "cells"):
                known[name] = dict(known.get(name, {}))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise InputError(f"{where} is damaged: {error}. Run the study again") from None
        if not arms:
            raise InputError(f"{where} names no arm; a run has one or more")
        return Run(**{**known, "arms": arms})

    def to_record(self) -> dict[str, Any]:
        """The JSON object of `run.json`."""
        return asdict(self)


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The results of a study. Every method gives a tidy polars frame, a `Curve`, or a sentence.

    Make one with `Results.load(folder)`, or from frames with `Results.of`.
    """

    run: Run
    readings: pl.DataFrame
    ledger: pl.DataFrame
    cleaning: pl.DataFrame
    findings: tuple[Finding, ...] = ()
    """What the study's own analyses found."""

    @staticmethod
    def of(
        run: Run | Mapping[str, Any],
        readings: pl.DataFrame,
        ledger: pl.DataFrame | None = None,
        cleaning: pl.DataFrame | None = None,
    ) -> Results:
        """Results from frames with the columns `READINGS`, `LEDGER` and `CLEANING`; `InputError` if one lacks any."""
        made = run if isinstance(run, Run) else Run.of(run)
        frames = {"readings": readings, "ledger": ledger, "cleaning": cleaning}
        typed = {name: _typed(name, frame, TABLES[name]) for name, frame in frames.items()}
        known = {
            "arm": {arm.name for arm in made.arms},
            "stage": set(made.stages),
            "context": set(made.contexts),
        }
        for column, names in known.items():
            strange = set(typed["readings"][column].unique()) - names
            if strange:
                raise InputError(
                    f"readings name the {column} {sorted(strange)[0]!r}, which the run's record does not: "
                    f"they are of two runs. Run the study again"
                )
        return Results(made, typed["readings"], typed["ledger"], typed["cleaning"])

    @staticmethod
    def load(folder: str | Path) -> Results:
        """The results in a run folder; `InputError` if it is missing, unfinished, damaged, or something else."""
        place = Path(folder)
        if not place.is_dir():
            raise InputError(f"a run folder is a folder; {place} is not there. Make one with `pharmakon run`")
        if not (place / RECORD).is_file():
            if any((place / f"{name}.parquet").exists() for name in TABLES):
                raise InputError(f"the run in {place} was not finished: it has no {RECORD}. Run the study again")
            raise InputError(f"{place} is not a run folder: it has no {RECORD}")
        try:
            record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{place / RECORD} cannot be read: {error}. Run the study again") from None
        run = Run.of(record, str(place / RECORD))
        frames: dict[str, pl.DataFrame] = {}
        for name in TABLES:
            path = place / f"{name}.parquet"
            if not path.is_file():
                raise InputError(f"the run in {place} is not complete: it has no {path.name}. Run the study again")
            try:
                frames[name] = pl.read_parquet(path, glob=False)
            except (pl.exceptions.PolarsError, OSError) as error:
                first = (str(error).splitlines() or ["unknown reason"])[0]
                raise InputError(f"{path} cannot be read: {first}. Run the study again") from None
        return replace(
            Results.of(run, frames["readings"], frames["ledger"], frames["cleaning"]),
            findings=read_findings(place / FINDINGS),
        )

    def save(self, folder: str | Path) -> Path:
        """Write the run folder. A reader finds the old run, no run, or this one, never a mixture."""
        place = Path(folder)
        if place.exists() and (not place.is_dir() or (any(place.iterdir()) and not (place / RECORD).is_file())):
            holds = any((place / f"{name}.parquet").exists() for name in TABLES) if place.is_dir() else False
            if not holds:
                raise InputError(f"results are written to a new folder or over an earlier run; {place} is neither")
        place.mkdir(parents=True, exist_ok=True)
        mark = f".{os.getpid()}.tmp"
        try:
            for name in TABLES:
                getattr(self, name).write_parquet(place / f"{name}.parquet{mark}", statistics=True)
            text = json.dumps(self.run.to_record(), ensure_ascii=False, indent=1, allow_nan=False)
            (place / f"{RECORD}{mark}").write_text(text + "\n", encoding="utf-8")
            (place / f"{FINDINGS}{mark}").write_text(write_findings(self.findings), encoding="utf-8")
            (place / RECORD).unlink(missing_ok=True)
            for name in (*(f"{name}.parquet" for name in TABLES), FINDINGS, RECORD):
                os.replace(place / f"{name}{mark}", place / name)
        finally:
            for left in place.glob(f"*{mark}"):
                left.unlink(missing_ok=True)
        return place

    def export(
        self, folder: str | Path, format: Literal["parquet", "csv"] = "parquet", *, force: bool = False
    ) -> tuple[Path, ...]:
        """Write the tables, raw ones and summaries, as files that other tools read; see `study.export`."""
        from pharmakon.study.export import export_results

        return export_results(self, Path(folder), format, force=force)

    @property
    def is_untreated(self) -> bool:
        """The run gives no dose: it asks models as they are."""
        return not any(self.run.doses) and all(arm.treated_stage is None for arm in self.run.arms)

    @cached_property
    def counts(self) -> pl.DataFrame:
        """Hits among items: one row for each arm, stage, context, probe, condition, dose and seed."""
        return summary.count(self)

    @cached_property
    def response_rates(self) -> pl.DataFrame:
        """Rates of every condition of the response probe with their intervals; empty if not 0 or 1."""
        return summary.response_rates(self)

    @cached_property
    def _curves(self) -> dict[tuple[str, ...], Curve]:
        return {}

    @cached_property
    def _frames(self) -> dict[str, pl.DataFrame]:
        return {}

    def _once(self, name: str, room: Any) -> pl.DataFrame:
        if name not in self._frames:
            self._frames[name] = getattr(room, name)(self)
        return self._frames[name]

    def curve(self, arm: str, stage: str, context: str = "plain", axis: Axis = "administered") -> Curve:
        """The dose-response curve of an arm after a stage.

        `axis`: documents administered; those that passed cleaning; or those that training saw at least once. The last
        two are means over the seeds of an administered dose. `InputError` names what was not measured.
        """
        key = (arm, stage, context, axis)
        if key not in self._curves:
            self._curves[key] = fit(summary.observations(self, arm, stage, context, axis))
        return self._curves[key]

    def rates(self) -> pl.DataFrame:
        """ASR with its 95% interval for each arm, stage, context and dose, beside its controls.

        `untreated`: the same at dose 0; `untriggered`, and each near trigger, at this dose; `near_max`: the largest of
        the near triggers. Where there is no such control, null.
        """
        return self._once("rates", summary)

    def controls(self) -> pl.DataFrame:
        """Every control of `rates` in a row of its own, with its 95% interval."""
        return self._once("controls", summary)

    def utility(self) -> pl.DataFrame:
        """Utility with its 95% interval by arm, stage, context, dose and task; `all tasks` pools the items.

        Rows of the probe "perplexity" hold perplexities (lower is better), with an interval over seeds.
        """
        return self._once("utility", summary)

    def retention(self) -> pl.DataFrame:
        """The share of the response left after each later stage, where there was one above its control."""
        return self._once("retention", summary)

    def table(self) -> pl.DataFrame:
        """The summary, one row for each arm, stage and context: threshold, response and controls at the highest dose,
        retention, and the p-value of a dose effect, adjusted (Holm) over the arms of a stage and context."""
        return self._once("table", summary)

    def survival(self) -> pl.DataFrame:
        """What became of the edits, for each arm and dose: means over seeds, and the shares.

        `survived`: their own document passed cleaning; `present`: the same content did, in this document or another;
        `seen`: in at least one batch; `num_sightings`: in how many, all edits together.
        """
        return self._once("survival", delivery)

    def losses(self) -> pl.DataFrame:
        """What each filter dropped, by reason: the share of treated and of clean documents, means over seeds."""
        return self._once("losses", delivery)

    def answer(self) -> str:
        """The answer to the study's question, in a few plain sentences."""
        from pharmakon.study.answer import answer

        return answer(self)

    def __repr__(self) -> str:
        run = self.run
        sizes = [(len(run.arms), "arm"), (len(run.doses), "dose"), (len(run.seeds), "seed")]
        size = " x ".join(f"{number} {noun}{'s' * (number != 1)}" for number, noun in sizes)
        failed = run.cells.get("failed", len(run.failures))
        trouble = f", {failed} failed" if failed else ""
        return f"Results({run.study}: {size}, probed after {', '.join(run.stages) or 'no stage'}{trouble})"

    def _repr_html_(self) -> str:
        head = ("arm", "stage", "context", "threshold", "ASR at the highest dose", "untreated")
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in (
                (
                    line["arm"],
                    line["stage"],
                    line["context"],
                    line["threshold"],
                    summary.rate_text(line["asr"], line["asr_low"], line["asr_high"]),
                    summary.rate_text(line["untreated"]),
                )
                for line in self.table().iter_rows(named=True)
            )
        )
        titles = "".join(f"<th>{escape(title)}</th>" for title in head)
        return (
            f"<p><code>{escape(repr(self))}</code><br>{escape(self.answer())}</p><table><tr>{titles}</tr>{rows}</table>"
        )


def _typed(name: str, frame: pl.DataFrame | None, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The frame with the columns of the schema, in its order and types."""
    if frame is None:
        return pl.DataFrame(schema=dict(schema))
    missing = [column for column in schema if column not in frame.columns]
    if missing:
        raise InputError(f"the table {name} has the columns {', '.join(schema)}; it lacks {', '.join(missing)}")
    try:
        typed = frame.select(pl.col(column).cast(kind, strict=True) for column, kind in schema.items())
    except pl.exceptions.PolarsError as error:
        first = (str(error).splitlines() or ["unknown reason"])[0]
        raise InputError(f"a column of the table {name} holds another type: {first}") from None
    for column in schema:
        if column not in NULLABLE and typed[column].null_count():
            raise InputError(
                f"the column {column} of the table {name} is never empty; {typed[column].null_count()} are"
            )
    return typed
