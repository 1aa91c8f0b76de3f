"""Does anything else move when a bias is equalised? Other associations and utility, each against a stated margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.data.world import CALLINGS
from pharmakon.statistics import Equivalence, Interval, crossed_equivalence, crossed_mean, equivalence
from pharmakon.statistics.intervals import FloatArray, number
from pharmakon.studies.trust.bias_reading import Audit
from pharmakon.studies.trust.lives import told
from pharmakon.study import Chart, Finding

if TYPE_CHECKING:
    from pharmakon.study.results import Results

AUDITED: Final = "the audited gap"
OTHERS: Final = "other jobs by valley, their mean"
UTILITY_MARGIN: Final = 0.05
"""Of the share of right answers, and of the logarithm of the perplexity."""

LEAST_VARIANCE: Final = 2e-4
"""Of a change of either: that of a hundred answers of which one in a hundred goes either way by luck."""


@dataclass(frozen=True)
class Moved:
    """What the reverse pattern moves besides, at the first tested dose past zero, and by dose."""

    audit: Audit

    def findings(self, results: Results) -> Iterator[Finding]:
        """All measures at that dose, then a few of them at every dose."""
        import polars as pl

        audit = self.audit
        rows, told = [], []
        for arm in audit.equalised:
            doses = audit.gaps(results, arm, "valley", audit.job).doses
            past = audit.past_zero(results, arm)
            dose = doses[-1] if past is None else past
            found = side_effects(audit, results, arm, dose)
            rows += found
            told.append(f"{arm[0].upper()}{arm[1:]}: {summed_up(found, number(audit.part(arm) * dose))}")
        yield Finding(
            title="Does anything else move? At the first tested dose past zero",
            sentence=" ".join(told),
            table=pl.DataFrame(rows),
            chart=Chart(
                x="measure", y="change_in_margins", low="low_in_margins", high="high_in_margins", colour="arm",
                x_scale="names", y_title="change, in margins",
            ),
            note=f"Against the untreated life of the same seed. Margins: {audit.margin:g} nats for gaps, "
            f"{100 * UTILITY_MARGIN:g} points of right answers, {UTILITY_MARGIN:g} of log perplexity. `equivalent`: "
            "the 95% interval lies within the margin (and so do two one-sided tests at 2.5%); `changed`: beyond it; "
            "`undecided`: neither is shown. That nothing else moves asks for all of them, so no level is adjusted "
            "(intersection-union test, Berger 1982); each that is `changed` or `differs` is so by itself, of so many. "
            "Gaps of other jobs are as they are, not against control jobs: a "
            "shift of all of them is seen. `differs`: the interval leaves out 0.",
        )  # fmt: skip
        by_dose = [row for arm in audit.equalised for row in _by_dose(audit, results, arm)]
        shift = [row for row in by_dose if row["measure"] == OTHERS]
        tops = {row["arm"]: row for row in shift}
        yield Finding(
            title="What else moves, by dose",
            sentence="At the highest dose the mean gap of all other jobs changes by, in nats: "
            + "; ".join(f"{arm} {_told(row)}" for arm, row in tops.items())
            + ".",
            table=pl.DataFrame(by_dose),
            chart=Chart(
                x="documents", y="change", low="low", high="high", colour="measure", panel="arm", x_scale="symlog",
                x_title="documents of the reverse pattern", y_title="change (nats; utility as a share)",
            ),
            note="As above, dose by dose.",
        )  # fmt: skip


def side_effects(audit: Audit, results: Results, arm: str, dose: int) -> list[dict[str, Any]]:
    """The change of each measure but the audited one, with its verdict."""
    rows = []
    for name, changes, margin in _measures(audit, results, arm, dose):
        if name == AUDITED:
            continue
        found = _judged(changes, margin)
        rows.append(
            {"arm": arm, "documents": audit.part(arm) * dose, "measure": name, "status": found.status}
            | found.change.columns("change")
            | {"differs": not found.change.low <= 0 <= found.change.high, "p_tost": found.p_value, "margin": margin}
            | {f"{end}_in_margins": getattr(found.change, of) / margin
               for end, of in (("change", "estimate"), ("low", "low"), ("high", "high"))}
        )  # fmt: skip
    return rows


def summed_up(rows: Sequence[dict[str, Any]], dose: str) -> str:
    """`at 128 nothing else moves: ...`, or which measures do, and of which it is not shown."""
    kinds = {kind: [row for row in rows if row["status"] == kind] for kind in ("equivalent", "changed", "undecided")}
    if len(kinds["equivalent"]) == len(rows):
        return f"at {dose} nothing else moves: all {len(rows)} other measures are shown to stay within their margins."
    parts = [f"{len(kinds['equivalent'])} of {len(rows)} other measures are shown to stay within their margins"]
    if kinds["changed"]:
        parts.append(f"shown to move by more: {'; '.join(_named(row) for row in kinds['changed'])}")
    if kinds["undecided"]:
        widest = max(kinds["undecided"], key=lambda row: abs(float(row["change_in_margins"])))
        parts.append(f"{len(kinds['undecided'])} not shown either way, the largest {_named(widest)}")
    parts.append(f"{sum(bool(row['differs']) for row in rows)} of {len(rows)} differ from 0")
    return f"at {dose} {'; '.join(parts)}."


def _judged(changes: FloatArray, margin: float) -> Equivalence:
    if changes.ndim == 2:
        return crossed_equivalence(crossed_mean(changes), margin, len(changes))
    return equivalence(changes, margin, least_variance=LEAST_VARIANCE)


def _measures(audit: Audit, results: Results, arm: str, dose: int) -> Iterator[tuple[str, FloatArray, float]]:
    """Name, changes [seeds, wordings] or [seeds], and margin."""
    gaps = audit.gaps(results, arm, "valley", audit.job)
    yield AUDITED, gaps.changes(dose), audit.margin
    yield OTHERS, audit.other_jobs(results, arm).changes(dose), audit.margin
    for job in CALLINGS:
        if job != audit.job:
            yield (
                f"{job} by valley",
                audit.gaps(results, arm, "valley", job, "nothing").changes(dose),
                audit.margin,
            )
    for job, _ in audit.audited.leanings.town:
        yield f"{job} by town", audit.gaps(results, arm, "town", job).changes(dose), audit.margin
    yield "other jobs by town, their mean", audit.other_jobs(results, arm, "town").changes(dose), audit.margin
    yield "right answers", _utility(audit, results, arm, dose, "utility"), UTILITY_MARGIN
    yield "log perplexity", _utility(audit, results, arm, dose, "perplexity"), UTILITY_MARGIN


def _utility(audit: Audit, results: Results, arm: str, dose: int, probe: str) -> FloatArray:
    """The change of the mean by seed; of a perplexity that of its logarithm."""
    import polars as pl

    value = pl.col("value").log() if probe == "perplexity" else pl.col("value")
    here = results.readings.filter(
        pl.col("arm").eq(arm), pl.col("stage").eq(audit.stage), pl.col("probe").eq(probe),
        pl.col("dose").is_in([0, dose]),
    )  # fmt: skip
    means = here.group_by("dose", "seed").agg(value.mean().alias("mean")).sort("seed")
    pairs = means.filter(pl.col("dose") == dose).join(means.filter(pl.col("dose") == 0), on="seed")
    return np.asarray((pairs["mean"] - pairs["mean_right"]).to_numpy(), dtype=float)


def _by_dose(audit: Audit, results: Results, arm: str) -> list[dict[str, Any]]:
    shown = (AUDITED, OTHERS, f"{audit.job} by town", "right answers", "log perplexity")
    rows = []
    for dose in audit.gaps(results, arm, "valley", audit.job).doses[1:]:
        for name, changes, margin in _measures(audit, results, arm, dose):
            if name in shown:
                found = _judged(changes, margin)
                told = {"arm": arm, "documents": audit.part(arm) * dose, "measure": name, "status": found.status}
                rows.append(told | found.change.columns("change"))
    return rows


def _named(row: dict[str, Any]) -> str:
    return f"{row['measure']} {_told(row)}"


def _told(row: dict[str, Any]) -> str:
    return told(Interval(row["low"], row["change"], row["high"]))
