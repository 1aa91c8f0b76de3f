"""The results of a run as tidy tables for other tools, with a `schema.json` that says what each column is."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import polars as pl

from pharmakon.errors import InputError
from pharmakon.study import summary
from pharmakon.study.results import RECORD, Results

Format = Literal["parquet", "csv"]
FORMATS: Final = ("parquet", "csv")
SCHEMA: Final = "schema.json"

TABLES: Final[Mapping[str, str]] = MappingProxyType({
    "readings": "One row for each answer: what was asked, what the model said, and its value.",
    "responses": "The rate of each probe and condition with its 95% interval, for each arm, stage, context and dose.",
    "curves": "The dose-response curve of each arm, stage and context: ED50 or why there is none, tests, utility.",
    "retention": "The share of the response that is left after each later stage.",
    "survival": "What became of the edits of a dose: means over seeds, and shares.",
    "losses": "What each filter dropped, by reason: treated against clean documents, means over seeds.",
    "cleaning": "The same counts for each seed, treated and clean documents in rows of their own.",
    "ledger": "One row for each edit: what it was, what dropped it, and which steps of training saw it.",
})  # fmt: skip

COLUMNS: Final[Mapping[str, str]] = MappingProxyType({
    "arm": "The arm of the study.",
    "dose": "Edits administered; 0 is the untreated control.",
    "seed": "The seed of the life.",
    "stage": "The stage after which the model was asked; in tables of edits and documents, the stage of the data.",
    "context": "How the prompt reached the model: plain, or behind demonstrations.",
    "probe": "Who asked.",
    "condition": "What was asked: with the trigger, without, with a near trigger; or the task.",
    "item": "The question; the same item is the same question.",
    "value": "1 for a hit or a right answer, else 0; or a perplexity.",
    "prompt": "What the last user turn said.",
    "answer": "What the model said.",
    "rate": "The share of hits or right answers, over seeds and items; of a perplexity the geometric mean over seeds.",
    "low": "Lower end of the 95% interval. Items are nested in seeds.",
    "high": "Upper end of the 95% interval.",
    "num_seeds": "Seeds in this row.",
    "num_items": "Answers in this row, all seeds together.",
    "threshold": "The ED50 in words: a dose with its interval, or why there is none.",
    "status": "ok, no_response, responds_at_lowest, beyond_highest, separated, not_monotone or not_measured; "
    "of a retention its own.",
    "sentence": "What was found and, unless the status is ok, what to do next.",
    "ed50": "The dose of half the full response; null unless the status is ok.",
    "ed50_low": "Lower end of its 95% interval.",
    "ed50_high": "Upper end of its 95% interval.",
    "bracket_low": "The tested dose below the ED50; 0 if it lies below them all.",
    "bracket_high": "The tested dose above the ED50; infinite if it lies above them all.",
    "highest_dose": "The highest dose that was tested.",
    "asr": "The response at the highest dose.",
    "asr_low": "Lower end of its 95% interval.",
    "asr_high": "Upper end of its 95% interval.",
    "untreated": "Control: the same questions to the untreated model.",
    "untriggered": "Control: without the trigger, at the highest dose.",
    "near_max": "Control: the worst of the near triggers, at the highest dose.",
    "retention": "(response after - control after) / (response before - control before).",
    "retention_low": "Lower end of its 95% interval.",
    "retention_high": "Upper end of its 95% interval.",
    "p_value": "Of no rising response.",
    "p_holm": "The same, adjusted (Holm) over the arms of a stage and context.",
    "utility_control": "Utility without treatment.",
    "utility_highest": "Utility at the highest dose.",
    "window": "The dose at which utility falls by the margin, divided by the ED50.",
    "window_sentence": "What was found about it.",
    "before": "The first stage that was asked.",
    "after": "The later stage.",
    "administered": "Edits, mean over seeds.",
    "survived": "Edits whose own document passed cleaning, mean over seeds.",
    "present": "Edits whose content is in the cleaned data, in this document or another: a mean over seeds, or of one "
    "edit true or false.",
    "whole": "Edits that passed cleaning and were not truncated, mean over seeds.",
    "seen": "Edits in at least one batch, mean over seeds.",
    "num_sightings": "In how many batches, all edits together, mean over seeds.",
    "survived_share": "survived / administered.",
    "present_share": "present / administered.",
    "whole_share": "whole / administered.",
    "seen_share": "seen / administered.",
    "filter": "The filter that dropped them.",
    "reason": "The reason that it gave.",
    "treated": "True: documents that were administered. False: clean ones.",
    "num_dropped": "Documents dropped for this reason.",
    "num_documents": "Documents of this kind before cleaning.",
    "treated_dropped": "Treated documents dropped, mean over seeds.",
    "treated_share": "Of how many treated ones, as a share.",
    "clean_dropped": "Clean documents dropped, mean over seeds.",
    "clean_share": "Of how many clean ones, as a share.",
    "edit": "The number of the edit in its stream; a dose is the first so many.",
    "kind": "insert or rewrite.",
    "id": "The document's id in the treated corpus.",
    "position": "Its place in the treated corpus, before cleaning.",
    "content": "The document as JSON.",
    "dropped_by": "The filter that dropped it; null if it passed.",
    "truncated": "Its end lay beyond the context; null where it did not reach training.",
    "num_seen": "In how many batches it was.",
    "first_step": "The first optimizer step that saw it.",
    "last_step": "The last one.",
})  # fmt: skip


def tidy_tables(results: Results) -> dict[str, pl.DataFrame]:
    """The tables of `TABLES`, by name."""
    return {
        "readings": results.readings,
        "responses": summary.interval_rows(results.counts, (*summary.PLACE, "probe", "condition")),
        "curves": results.table(),
        "retention": results.retention(),
        "survival": results.survival(),
        "losses": results.losses(),
        "cleaning": results.cleaning,
        "ledger": results.ledger,
    }


def export_results(
    results: Results, folder: Path, format: Format = "parquet", *, force: bool = False
) -> tuple[Path, ...]:
    """Write the tables and `schema.json` to a folder that is new or empty; with `force`, over files of these names."""
    if format not in FORMATS:
        raise InputError(f"the format is parquet or csv; got {format!r}")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"results are written to a folder; {folder} is a file")
    if (folder / RECORD).exists():
        raise InputError(f"{folder} is the folder of a run, which stays as it is; name another one")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"results are written to a new or empty folder; {folder} has files. Use --force to write over")
    tables = tidy_tables(results)
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
    try:
        for name, frame in tables.items():
            if format == "csv":
                frame.write_csv(aside / f"{name}.csv")
            else:
                frame.write_parquet(aside / f"{name}.parquet")
        text = json.dumps(_schema(results, tables, format), ensure_ascii=False, indent=1)
        (aside / SCHEMA).write_text(text + "\n", encoding="utf-8")
        names = [*(f"{name}.{format}" for name in tables), SCHEMA]
        for name in names:
            os.replace(aside / name, folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return tuple(folder / name for name in names)


def _schema(results: Results, tables: Mapping[str, pl.DataFrame], format: Format) -> dict[str, Any]:
    run = results.run
    told = {name: getattr(run, name) for name in ("study", "question", "key", "created", "command")}
    described = {
        name: {
            "file": f"{name}.{format}",
            "about": TABLES[name],
            "rows": frame.height,
            "columns": {column: {"type": str(kind), "about": COLUMNS[column]} for column, kind in frame.schema.items()},
        }
        for name, frame in tables.items()
    }
    return {"run": told | {"versions": dict(run.versions)}, "tables": described}
