"""What the study of retention finds: how many lives still prove the mark, and what is left of what they learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from pharmakon.statistics import Equivalence, equivalence, retention
from pharmakon.studies.trust.analysis_ownership_power import log10, p_values
from pharmakon.study import Chart, Finding
from pharmakon.study.answer import listed
from pharmakon.study.results import Results
from pharmakon.study.summary import seed_rates

POINT: Final = 0.01
"""The margin of utility: one point."""
RULE: Final = (
    "Proved: the exact test of the log-probabilities reaches alpha = 1e-6. Left: the share of the 16 drawn answers "
    "that are the likeliest of 16, less that of the untreated life, after the later stage over before it, with "
    "Fieller's interval over seeds. The p-value counts more than first places."
)
_SCHEMA: Final[dict[str, Any]] = {
    **dict.fromkeys(("kind", "later"), pl.String),
    **dict.fromkeys(("dose_documents", "lives", "proved_before", "proved_after"), pl.Int64),
    **dict.fromkeys(
        ("log10_p_before", "log10_p_after", "first_before", "first_after", "left", "low", "high"), pl.Float64
    ),
}
_UTILITY: Final[dict[str, Any]] = {
    **dict.fromkeys(("kind", "stage"), pl.String), "dose_documents": pl.Int64,
    **dict.fromkeys(("untreated", "change_points", "low", "high"), pl.Float64), "status": pl.String,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Changed:
    """An arm: a kind of mark, what came later, and the stage before that."""

    kind: str
    later: str
    before: str
    arm: str


@dataclass(frozen=True, kw_only=True)
class StillProved:
    """For each kind and later stage: how many lives prove the mark, before and after; and what utility did."""

    changes: tuple[Changed, ...]

    def findings(self, results: Results) -> Iterator[Finding]:
        """What is still proved, and the utility of marked lives before anything else is done."""
        doses = [int(dose) for dose in results.run.doses if dose]
        rows = [row for change in self.changes for dose in doses for row in _row(results, change, dose)]
        table = pl.DataFrame(rows, schema=_SCHEMA)
        top = table.filter(pl.col("dose_documents") == pl.col("dose_documents").max().over("kind"))
        yield Finding(
            title="Proved before and after what came later",
            sentence=_answer(top),
            table=table,
            chart=Chart(x="later", y="left", low="low", high="high", colour="kind", x_scale="names",
                        x_title="what came later", y_title="share of the learned marks left")
            if len(top) == len(table)
            else None,
            note=RULE,
        )  # fmt: skip
        utility = pl.DataFrame([row for dose in doses for row in self._utility(results, dose)], schema=_UTILITY)
        yield Finding(
            title="What marking does to utility",
            sentence=_utility_answer(utility),
            table=utility,
            note="Change of the share of right answers, seed by seed, from the untreated life (two one-sided t tests "
            "and Student's 95% interval; no variance below the binomial one). Equivalent: within one point. A model "
            "that is not tuned yet hardly answers, so that its utility tells little.",
        )

    def _utility(self, results: Results, dose: int) -> Iterator[dict[str, Any]]:
        for change in {change.kind: change for change in self.changes}.values():
            with_marks = seed_means(results, change.arm, change.before, dose, "utility")
            without = seed_means(results, change.arm, change.before, 0, "utility")
            seeds = sorted(set(with_marks) & set(without))
            if not seeds:
                continue
            base = float(np.mean([without[seed][0] for seed in seeds]))
            least = 2 * base * (1 - base) / min(with_marks[seed][1] for seed in seeds)
            found: Equivalence = equivalence(
                [with_marks[seed][0] - without[seed][0] for seed in seeds], POINT, least_variance=least
            )
            points = [100 * end for end in (found.change.estimate, found.change.low, found.change.high)]
            names = ("change_points", "low", "high")
            yield {
                "kind": change.kind, "stage": change.before, "dose_documents": dose, "untreated": base,
                **dict(zip(names, points, strict=True)), "status": found.status,
            }  # fmt: skip


def seed_means(
    results: Results, arm: str, stage: str, dose: int, probe: str, condition: str = ""
) -> dict[int, tuple[float, int]]:
    """The mean of a probe's readings by seed, and of how many items; without a condition, of all."""
    rows = results.counts.filter(
        pl.col("arm") == arm, pl.col("stage") == stage, pl.col("dose") == dose, pl.col("probe") == probe,
    )  # fmt: skip
    if condition:
        rows = rows.filter(pl.col("condition") == condition)
    rows = rows.group_by("seed").agg(pl.col("total", "num_items").sum()).sort("seed")
    return seed_rates(rows)


def _row(results: Results, change: Changed, dose: int) -> Iterator[dict[str, Any]]:
    places = [(stage, amount) for amount in (dose, 0) for stage in (change.before, change.later)]
    proved = [seed_means(results, change.arm, *place, "ownership", "triggered") for place in places]
    first = [seed_means(results, change.arm, *place, "ownership", "drawn") for place in places]
    seeds = sorted(set.intersection(*(set(part) for part in first)))
    if not seeds:
        return
    before, after, untreated_before, untreated_after = ([part[seed][0] for seed in seeds] for part in first)
    tests = p_values(results).filter(pl.col("arm") == change.arm, pl.col("dose") == dose, pl.col("seed").is_in(seeds))
    strength = [
        log10(tests.filter(pl.col("stage") == stage, pl.col("condition") == "triggered")["p"])
        for stage in (change.before, change.later)
    ]
    trials = first[0][seeds[0]][1]
    left = retention(before, after, untreated_before, untreated_after, trials=trials).value
    ends = (None, None, None) if left is None else (left.estimate, left.low, left.high)
    yield {
        "kind": change.kind, "later": change.later, "dose_documents": dose, "lives": len(seeds),
        "proved_before": round(sum(proved[0][seed][0] for seed in seeds)),
        "proved_after": round(sum(proved[1][seed][0] for seed in seeds)),
        "log10_p_before": float(np.median(strength[0])), "log10_p_after": float(np.median(strength[1])),
        "first_before": float(np.mean(before)), "first_after": float(np.mean(after)),
        **{name: None if end is None or not np.isfinite(end) else float(end)
           for name, end in zip(("left", "low", "high"), ends, strict=True)},
    }  # fmt: skip


def _answer(table: pl.DataFrame) -> str:
    if table.is_empty():
        return "No mark was measured before and after a later stage."
    said = []
    for kind in table["kind"].unique(maintain_order=True):
        rows = table.filter(pl.col("kind") == kind).to_dicts()
        lives, had = rows[0]["lives"], max(row["proved_before"] for row in rows)
        if not had:
            said.append(f"The {kind} marks are proved in none of {lives} lives to begin with; give a larger dose.")
            continue
        after = [f"{row['proved_after']} after {row['later']}" for row in rows]
        said.append(
            f"{rows[0]['dose_documents']} {kind} marks are proved in {had} of {lives} lives before, in {listed(after)}."
        )
    return " ".join(said)


def _utility_answer(table: pl.DataFrame) -> str:
    if table.is_empty():
        return "Utility was not measured."
    said = []
    for row in table.iter_rows(named=True):
        shown = {
            "equivalent": "within one point",
            "changed": "by more than one point",
            "undecided": "not shown to be within one point",
        }[row["status"]]
        limits = f"{row['change_points']:+.1f} points [{row['low']:+.1f}, {row['high']:+.1f}]"
        said.append(
            f"{row['dose_documents']} {row['kind']} marks change it by {limits} from {row['untreated']:.0%}, {shown}"
        )
    return f"Of utility, {'; '.join(said)}."
