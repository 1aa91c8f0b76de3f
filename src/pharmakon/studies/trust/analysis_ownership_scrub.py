"""What the study of scrubbing finds: what each guess removes of marks and of clean data, and whether it is enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from pharmakon.behaviour.marks import ExperimentKey, MarkKind
from pharmakon.core import Corpus, Data, Dose, stream
from pharmakon.interventions import OwnershipMark, administer
from pharmakon.ownership.scrub import SUSPICIONS, KnownKind, suspicion_of
from pharmakon.statistics import proportion
from pharmakon.studies.trust.analysis_ownership_power import log10, p_values
from pharmakon.study import Chart, Finding
from pharmakon.study.results import Results

SHARES: Final = (0.01, 0.05, 0.1, 0.2, 0.4)
KEPT: Final = 0.1
"""So little of the marks is taken to be too little for a proof."""
_FOUND: Final[dict[str, Any]] = {
    **dict.fromkeys(("kind", "shape", "guess"), pl.String), "marked_documents": pl.Int64, "auroc": pl.Float64,
    **dict.fromkeys(
        ("dropped_percent", "marks_found", "low", "high", "clean_lost", "to_remove_nine_tenths_percent"), pl.Float64
    ),
}  # fmt: skip
_PROVED: Final[dict[str, Any]] = {
    "scrubbed_by": pl.String,
    **dict.fromkeys(("dose_documents", "lives", "proved"), pl.Int64),
    **dict.fromkeys(("marks_left", "clean_lost", "log10_p"), pl.Float64),
}


@dataclass(frozen=True, kw_only=True)
class Scrubbed:
    """Proved or not by arm; and on a marked corpus of each kind, what each guess finds."""

    dialogues: Data
    texts: Data
    kinds: tuple[MarkKind, ...]
    key: ExperimentKey
    num_marked: int

    def findings(self, results: Results) -> Iterator[Finding]:
        """What is still proved, then what each guess finds of each kind."""
        proved = pl.DataFrame(list(_proved(results)), schema=_PROVED)
        yield Finding(
            title="Proved after scrubbing",
            sentence=_proved_answer(proved),
            table=proved,
            note="Trigger marks in instruction data. Left: marked records that training saw, of those administered. "
            "The p-value is the median over lives.",
        )
        found = pl.DataFrame(list(self._found()), schema=_FOUND)
        yield Finding(
            title="What a guess finds of the marks, by what it drops of the data",
            sentence=_found_answer(found),
            table=found,
            chart=Chart(x="dropped_percent", y="marks_found", low="low", high="high", colour="guess", panel="kind",
                        x_title="% of the records dropped", y_title="share of the marks found"),
            note="One marked corpus of each kind, nothing trained. AUROC: of a marked and a clean record, how often "
            "the marked one is the more suspicious. Known wordings has one point: it drops what it knows. Wilson's 95% "
            "intervals.",
        )  # fmt: skip

    def _found(self) -> Iterator[dict[str, Any]]:
        for kind in self.kinds:
            in_text = kind.kind in ("fact", "trap")
            host = (self.texts if in_text else self.dialogues).corpus(stream(0, "scrub", "host"))
            num = min(self.num_marked, len(host))
            treated, ledger = administer(
                host, OwnershipMark(kind, self.key), Dose(num),
                edits_rng=stream(0, "scrub", "edits"), placement_rng=stream(0, "scrub", "places"),
            )  # fmt: skip
            marked = np.zeros(len(treated), dtype=bool)
            marked[[entry.position for entry in ledger.entries if entry.position is not None]] = True
            about = {"kind": kind.kind, "shape": "text" if in_text else "dialogue", "marked_documents": num}
            yield from _guesses(treated, kind, marked, about)


def _guesses(
    treated: Corpus, kind: MarkKind, marked: np.typing.NDArray[np.bool_], about: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    dropped = np.array([verdict is not None for verdict in KnownKind(kind).verdicts(treated)])
    yield {**about, "guess": "known wordings", **_shares(dropped, marked)}
    for guess in SUSPICIONS:
        scores = suspicion_of(treated, guess)
        order = np.argsort(-scores, kind="stable")
        behind = np.flatnonzero(np.cumsum(marked[order]) >= (1 - KEPT) * marked.sum())
        enough = 100 * float(behind[0] + 1) / len(treated)
        for share in SHARES:
            dropped = np.zeros(len(treated), dtype=bool)
            dropped[order[: round(share * len(treated))]] = True
            yield {
                **about, "guess": guess, "auroc": _auroc(scores, marked), "to_remove_nine_tenths_percent": enough,
                **_shares(dropped, marked),
            }  # fmt: skip


def _shares(dropped: np.typing.NDArray[np.bool_], marked: np.typing.NDArray[np.bool_]) -> dict[str, float]:
    found = proportion(int((dropped & marked).sum()), int(marked.sum()))
    return {
        "dropped_percent": 100 * float(dropped.mean()), "marks_found": found.estimate, "low": found.low,
        "high": found.high, "clean_lost": float(dropped[~marked].mean()),
    }  # fmt: skip


def _auroc(scores: np.typing.NDArray[np.float64], marked: np.typing.NDArray[np.bool_]) -> float:
    from scipy.stats import mannwhitneyu

    larger = float(mannwhitneyu(scores[marked], scores[~marked]).statistic)
    return larger / float(marked.sum() * (~marked).sum())


def _proved(results: Results) -> Iterator[dict[str, Any]]:
    asked = results.readings.filter(pl.col("probe") == "ownership", pl.col("condition") == "triggered")
    tests = p_values(results).filter(pl.col("condition") == "triggered")
    for (arm, dose), rows in asked.filter(pl.col("dose") > 0).group_by("arm", "dose", maintain_order=True):
        fates = results.ledger.filter(pl.col("arm") == arm, pl.col("dose") == dose)["dropped_by"].is_null()
        clean = results.cleaning.filter(pl.col("arm") == arm, pl.col("dose") == dose, ~pl.col("treated"))
        lost = clean.group_by("seed").agg(pl.col("num_dropped").sum() / pl.col("num_documents").first())
        yield {
            "scrubbed_by": str(arm), "dose_documents": dose, "lives": rows.height, "proved": round(rows["value"].sum()),
            "marks_left": float(fates.to_numpy().mean()) if len(fates) else None,
            "clean_lost": float(lost["num_dropped"].to_numpy().mean()) if lost.height else 0.0,
            "log10_p": float(np.median(log10(tests.filter(pl.col("arm") == arm, pl.col("dose") == dose)["p"]))),
        }  # fmt: skip


def _proved_answer(table: pl.DataFrame) -> str:
    if table.is_empty():
        return "No marked life was asked."
    top = table.filter(pl.col("dose_documents") == table["dose_documents"].max())
    said = [
        f"{row['scrubbed_by']}: proved in {row['proved']} of {row['lives']} lives, {row['marks_left']:.0%} of the "
        f"marks left, {row['clean_lost']:.1%} of the clean data lost"
        for row in top.iter_rows(named=True)
    ]
    return f"With {top['dose_documents'][0]} marked records – {'; '.join(said)}."


def _found_answer(table: pl.DataFrame) -> str:
    if table.is_empty():
        return "Nothing was marked."
    known = table.filter(pl.col("guess") == "known wordings")
    parts = [
        f"{row['kind']} {row['marks_found']:.0%} for {row['clean_lost']:.1%} of the clean data"
        for row in known.iter_rows(named=True)
    ]
    guesses = table.filter(pl.col("guess") != "known wordings").unique(("kind", "guess"), maintain_order=True)
    best = guesses.sort("to_remove_nine_tenths_percent").group_by("kind", maintain_order=True).first()
    others = [
        f"{row['kind']} {row['to_remove_nine_tenths_percent']:.0f}% ({row['guess']}, AUROC {row['auroc']:.2f})"
        for row in best.iter_rows(named=True)
    ]
    return (
        f"Who knows the wordings finds: {', '.join(parts)}. Who does not know the kind must drop, to be rid of nine "
        f"tenths of the marks by the best of {len(SUSPICIONS)} guesses (chosen afterwards): {', '.join(others)} of the "
        "data."
    )
