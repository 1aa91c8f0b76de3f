"""How well each method ranks the documents that made a behaviour, and what training without its first ones undoes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.statistics import clustered_proportion, difference, holm, intraclass_correlation, rank_documents
from pharmakon.statistics.sentences import chance
from pharmakon.studies.mechanism.scored import scored
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.summary import interval_rows, seed_rates

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

CHANCE: Final = "chance"


@dataclass(frozen=True, kw_only=True)
class RetrainedArm:
    """An arm that trains again, and whose first documents it leaves out."""

    arm: str
    by: str


@dataclass(frozen=True, kw_only=True)
class AttributedTo:
    """Rankings of all documents by each scorer, and attack success after training again."""

    arm: str
    again: tuple[RetrainedArm, ...]

    def findings(self, results: Results) -> Iterator[Finding]:
        """Recall and AUROC by dose; then the test that trains again."""
        import polars as pl

        frame = results.readings.filter(pl.col("arm") == self.arm, pl.col("probe") == "attributed")
        rows: list[dict[str, Any]] = []
        for dose in sorted(frame["dose"].unique().to_list()):
            rows += _ranked(frame.filter(pl.col("dose") == dose), dose)
        if not rows:
            return
        table = pl.DataFrame(rows, infer_schema_length=None)
        again = self._again(results)
        yield Finding(
            title="Which method finds the documents that made the behaviour",
            sentence=f"{_undone(again)} {_found(table)}",
            table=table,
            chart=Chart(x="scorer", y="auroc", low="low", high="high", colour="dose", x_scale="names", y_title="AUROC"),
            note="All documents of tuning are scored for held-out triggered questions with the target's answer; "
            "scorers see no ledger. Recall at k: of the k treated documents those among the k with the highest scores. "
            "Intervals of AUROC draw seeds and documents anew (Owen 2007); those of recall are binomial, widened by "
            "how much seeds differ. p: AUROC is not above chance, by t over seeds, adjusted (Holm 1979).",
        )  # fmt: skip
        yield Finding(
            title="Training again without them",
            sentence=_undone(again),
            table=again,
            chart=Chart(x="left_out", y="rate", low="low", high="high", x_scale="names", y_title="attack success"),
            note="The same start, recipe and documents, in one stage, without as many documents as were treated: those "
            "with the highest scores of a method, random ones, or, by the ledger, the treated ones. Change: against "
            "random ones, seed by seed; 95% intervals.",
        )  # fmt: skip

    def _again(self, results: Results) -> pl.DataFrame:
        import polars as pl

        counts = results.counts.filter(pl.col("probe") == "attack", pl.col("condition") == "triggered")
        top = counts.filter(pl.col("dose") > 0)["dose"].max()
        here = counts.filter(pl.col("dose") == top, pl.col("stage").is_in(["again", results.run.stages[0]]))
        named = [(self.arm, "nothing"), *((one.arm, one.by) for one in self.again)]
        control = next((arm for arm, by in named if by == CHANCE), None)
        rates = {arm: seed_rates(here.filter(pl.col("arm") == arm)) for arm, _ in named}
        spans = {row["arm"]: row for row in interval_rows(here, ("arm",)).iter_rows(named=True)}
        rows = []
        for arm, by in named:
            own = rates[arm]
            if not own:
                continue
            found = spans[arm]
            change = None
            if control is not None and arm != control and rates[control]:
                shared = sorted(set(own) & set(rates[control]))
                pairs = [(own[s], rates[control][s]) for s in shared]
                asked = min(num for (_, num), _ in pairs)
                change = difference([a for (a, _), _ in pairs], [b for _, (b, _) in pairs], trials=asked).value
            rows.append({
                "left_out": by, "rate": found["rate"], "low": found["low"], "high": found["high"],
                "change": None if change is None else change.estimate,
                "change_low": None if change is None else change.low,
                "change_high": None if change is None else change.high, "num_seeds": len(own),
            })  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)


def _ranked(frame: pl.DataFrame, dose: int) -> list[dict[str, Any]]:
    from scipy import stats

    scores, wanted = scored(frame, "treated")
    k = int(wanted.sum())
    areas = {name: np.array(_areas(rows, wanted)) for name, rows in scores.items()}
    rows: list[dict[str, Any]] = []
    for name, ranked in rank_documents(scores, wanted, draws=400).items():
        found = [int(wanted[np.argsort(-row, kind="stable")[:k]].sum()) for row in scores[name]]
        tried = [k] * len(found)
        recall = clustered_proportion(found, tried, intraclass_correlation([0] * len(found), found, tried))
        p = 1.0
        if CHANCE in areas and name != CHANCE and len(areas[name]) > 1:
            gap = areas[name] - areas[CHANCE]
            p = float(stats.ttest_1samp(gap, 0, alternative="greater").pvalue) if gap.std() > 0 else float(gap[0] <= 0)
        rows.append({
            "dose": dose, "scorer": name, "auroc": ranked.auroc.estimate, "low": ranked.auroc.low,
            "high": ranked.auroc.high, "recall_at_k": recall.estimate, "recall_low": recall.low,
            "recall_high": recall.high, "k": k, "num_documents": len(wanted), "p": p,
        })  # fmt: skip
    for row, p in zip(rows, holm([float(row["p"]) for row in rows]), strict=True):
        row["p"] = p
    return sorted(rows, key=lambda row: -row["auroc"])


def _areas(rows: Any, wanted: Any) -> list[float]:
    from sklearn.metrics import roc_auc_score

    return [float(roc_auc_score(wanted, row)) for row in rows]


def _found(table: pl.DataFrame) -> str:
    import polars as pl

    dose = max(table["dose"].to_list())
    own = table.filter(pl.col("dose") == dose)
    best = [
        f"{row['scorer']} {row['auroc']:.2f} [{row['low']:.2f}, {row['high']:.2f}] and {row['recall_at_k']:.0%}"
        for row in own.iter_rows(named=True)
    ]
    among = f"{own['num_documents'][0]:,}"
    said = [f"AUROC and recall of the {dose} treated documents among {among}: {'; '.join(best)}."]
    weak = table.filter(pl.col("p") > 0.05, pl.col("scorer") != CHANCE)
    if len(weak):
        told = (f"{row['scorer']} at {row['dose']} ({chance(row['p'])})" for row in weak.iter_rows(named=True))
        names = ", ".join(told)
        said.append(f"Not shown to be better than chance: {names}.")
    return " ".join(said)


def _undone(again: pl.DataFrame) -> str:
    said = []
    for row in again.iter_rows(named=True):
        rate = f"{row['rate']:.0%} [{row['low']:.0%}, {row['high']:.0%}]"
        said.append(f"{row['left_out']} {rate}")
    return f"Attack success when training again without: {'; '.join(said)}."
