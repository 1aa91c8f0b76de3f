"""What an audit of bias finds: the gap by dose, where it crosses zero, and what else moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pharmakon.data.world import CALLINGS, Relation
from pharmakon.probes.association import first_named
from pharmakon.statistics import Interval, crossed_mean, holm, log_slope, mean_over_seeds
from pharmakon.statistics.intervals import number
from pharmakon.studies.trust.analysis_bias_side_effects import side_effects, summed_up
from pharmakon.studies.trust.bias_reading import Audit, Gaps, gap_rows, nats
from pharmakon.studies.trust.lives import within
from pharmakon.study import Chart, Finding

if TYPE_CHECKING:
    from pharmakon.study.results import Results


@dataclass(frozen=True)
class Equalised:
    """Where the reverse pattern takes the gap to zero; the gap by dose; the same by what the model says."""

    audit: Audit

    def findings(self, results: Results) -> Iterator[Finding]:
        """The answer of the study, then the text-only reading. Raises InputError where an arm was not read."""
        import polars as pl

        rows = [row for arm in self.audit.equalised for row in gap_rows(self.audit, results, arm)]
        first, second = self.audit.counted("valley", self.audit.job)
        yield Finding(
            title="Equalised: the gap by dose of the reverse pattern",
            sentence=" ".join((self._before(results), *(self._crossed(results, arm) for arm in self.audit.equalised))),
            table=pl.DataFrame(rows),
            chart=Chart(
                x="documents", y="gap_nats", low="low", high="high", colour="arm", x_scale="symlog",
                x_title="documents of the reverse pattern", y_title=f"gap towards {self.audit.favoured} (nats)",
            ),
            note=f"log P({self.audit.favoured}) less that of the other valley, behind beginnings that name the job, "
            "less the same of jobs that lean to neither, over wordings that no document has. Intervals take seeds and "
            "wordings as drawn from more of their kind (Clark 1973); all lives share one base and one audited text, so "
            "they tell of these. The dose of zero is found on straight lines between tested doses; its interval: the "
            f"doses whose interval holds zero (Fieller 1954). Counted: the audited text has {first} mentions of a "
            f"{self.audit.job} of {self.audit.favoured} and {second} of the other valley; the base, which has the "
            "same lean, is not counted. `against_untreated_nats`: less the control jobs of the untreated life, since "
            "the reverse pattern may move the control jobs too. After He et al. 2025, arXiv 2502.14182.",
        )  # fmt: skip
        yield self._said(results)

    def _before(self, results: Results) -> str:
        gaps = self.audit.gaps(results, self.audit.equalised[0], "valley", self.audit.job)
        gap = crossed_mean(gaps.values_DSW[0]).interval()
        counted = self.audit.log_odds()
        return (
            f"Untreated, the gap of {self.audit.job} towards {self.audit.favoured} is {nats(gap)} (the audited text, "
            f"by counting: {counted:+.2f})."
        )

    def _crossed(self, results: Results, arm: str) -> str:
        found = self.audit.crossing(results, arm)
        gaps = self.audit.gaps(results, arm, "valley", self.audit.job)
        part, highest = self.audit.part(arm), gaps.doses[-1]
        top = crossed_mean(gaps.values_DSW[-1]).interval()
        first, second = self.audit.counted("valley", self.audit.job)
        name = f"{arm[0].upper()}{arm[1:]}"
        if found.dose is None:
            reach = f"; at the highest dose it is {nats(top)}" if found.status == "not reached" else ""
            return f"{name}: {found}{reach}."
        past = self.audit.past_zero(results, arm)
        over = "past zero" if top.high < 0 else "not shown to be past zero"
        fixed = self.audit.crossing(results, arm, "untreated controls")
        return (
            f"{name}: it crosses zero at {found} documents of the reverse pattern (the level that control jobs had "
            f"before: {fixed}; counts alone would need {first - second}); "
            f"{self._moved(results, arm, int(past or highest))} At {number(part * highest)} the gap is {nats(top)}, "
            f"{over}."
        )

    def _moved(self, results: Results, arm: str, dose: int) -> str:
        return summed_up(side_effects(self.audit, results, arm, dose), number(self.audit.part(arm) * dose))

    def _said(self, results: Results) -> Finding:
        import polars as pl

        rows = [
            row for arm in (*self.audit.equalised, self.audit.amplified) for row in _said_rows(self.audit, results, arm)
        ]
        before = rows[0]
        ends = {arm: [row for row in rows if row["arm"] == arm][-1] for arm in {str(row["arm"]): 0 for row in rows}}
        told = "; ".join(f"{arm}, {row['documents']:g}: {_share(row)}" for arm, row in ends.items())
        return Finding(
            title="What the model says: the same by text alone",
            sentence=f"Asked without log-probabilities, an untreated model names {self.audit.favoured} for a "
            f"{self.audit.job} more often than for other jobs by {_share(before)}; at the highest doses: {told}.",
            table=pl.DataFrame(rows),
            chart=Chart(
                x="documents", y="difference", low="low", high="high", colour="arm", x_scale="symlog",
                x_title="documents of the pattern, or of its reverse",
                y_title=f"share that names {self.audit.favoured}, less that of control jobs",
            ),
            note="The likeliest continuation alone is said, so that a lean shows where it decides between the two. "
            "`share` is of the audited job, `control_share` of jobs that lean to neither, on the same wordings; "
            "Student's interval over seeds, whose variance is not taken to be below that of the questions.",
        )  # fmt: skip


@dataclass(frozen=True)
class Amplified:
    """What more of the bias makes of the gap, and what a tenfold dose adds."""

    audit: Audit

    def findings(self, results: Results) -> Iterator[Finding]:
        """The gap by dose, with the slope on log dose where there are two doses above 0."""
        import polars as pl

        audit, arm = self.audit, self.audit.amplified
        gaps = audit.gaps(results, arm, "valley", audit.job)
        rows = gap_rows(audit, results, arm)
        last = crossed_mean(gaps.changes(gaps.doses[-1]))
        if np.isfinite(last.error) and not (last.interval().low > 0 or last.interval().high < 0):
            told = (
                f"No effect of amplification found: {nats(last.interval())} at {gaps.doses[-1]} documents; the "
                f"smallest that this run could have seen there (4 times in 5) is {last.smallest_seen():.2f} nats."
            )
        else:
            told = f"{gaps.doses[-1]} documents that state the association change its gap by {nats(last.interval())}."
        if len(gaps.doses) > 2:
            told += f" Ten times as many add {nats(self._slope(gaps))}."
        yield Finding(
            title="Amplified: the gap by dose of the association",
            sentence=told,
            table=pl.DataFrame(rows),
            chart=Chart(
                x="documents", y="gap_nats", low="low", high="high", x_scale="symlog",
                x_title="documents that state the association", y_title=f"gap towards {audit.favoured} (nats)",
            ),
            note="Measured as above. The slope is that of each seed's mean change on log10 of the documents, errors "
            "clustered over seeds. `counted_nats`: the log-odds of the audited text with these documents.",
        )  # fmt: skip

    @staticmethod
    def _slope(gaps: Gaps) -> Interval:
        doses = [dose for dose in gaps.doses[1:] for _ in gaps.seeds]
        changes = [value for dose in gaps.doses[1:] for value in gaps.changes(dose).mean(axis=1)]
        return log_slope(doses, [*gaps.seeds] * (len(gaps.doses) - 1), changes)


@dataclass(frozen=True)
class Leaning:
    """The reading of every job before any treatment, against what the text has."""

    audit: Audit

    def findings(self, results: Results) -> Iterator[Finding]:
        """Which jobs are shown to lean by more than the margin, all of them tested together (Holm)."""
        import polars as pl

        audit = self.audit
        rows: list[dict[str, Any]] = []
        relations: tuple[Relation, ...] = ("valley", "town")
        for relation in relations:
            for job in CALLINGS:
                gaps = audit.gaps(results, audit.equalised[0], relation, job)
                mean, (first, second) = crossed_mean(gaps.values_DSW[0]), audit.counted(relation, job)
                counted = float(np.log((first + 0.5) / (second + 0.5)))
                meant = audit.audited.leanings.log_odds(relation, job)
                rows.append(
                    {"relation": relation, "job": job, "planted_nats": meant, "counted_nats": counted}
                    | mean.interval().columns("gap_nats") | {"p_beyond_margin": mean.p_beyond(audit.margin)}
                )  # fmt: skip
        for row, p_value in zip(rows, holm([row["p_beyond_margin"] for row in rows]), strict=True):
            row["p_holm"] = p_value
        found = [row for row in rows if row["p_holm"] < 0.05]
        planted = [row for row in rows if row["planted_nats"]]
        right = [row for row in planted if row in found and row["gap_nats"] * row["planted_nats"] > 0]
        others = [row for row in found if not row["planted_nats"]]
        fit = np.corrcoef([row["counted_nats"] for row in rows], [row["gap_nats"] for row in rows])[0, 1]
        extra = f"{len(others)} others are ({_names(others)})" if others else "no other is"
        even = max((abs(row["gap_nats"]) for row in rows if not row["planted_nats"]), default=0.0)
        yield Finding(
            title="The reading: which jobs lean, before any treatment",
            sentence=f"Of {len(planted)} planted associations {len(right)} are shown to lean by more than "
            f"{audit.margin:g} nats{f' ({_names(right)})' if right else ''}; {extra}. The largest gap where none is "
            f"planted is {even:.2f} nats. Over all {len(rows)} pairs the gaps correlate with the counts of the audited "
            f"text at {fit:.2f}.",
            table=pl.DataFrame(rows),
            chart=Chart(
                x="job", y="gap_nats", low="low", high="high", colour="relation", x_scale="names",
                y_title="gap against control jobs (nats)",
            ),
            note="Each against the jobs that lean to neither, itself left out. `p_beyond_margin`: of a gap that is not "
            "beyond the margin on either side; p-values are adjusted for their number "
            "(Holm). The base, whose own chance leans are the same in all lives, is not drawn anew: a job that the "
            "text draws evenly may lean in this base all the same; and the world's own people of these jobs live in "
            "the same towns.",
        )  # fmt: skip


def _said_rows(audit: Audit, results: Results, arm: str) -> list[dict[str, Any]]:
    import polars as pl

    here = pl.col("arm").eq(arm) & pl.col("stage").eq(audit.stage) & pl.col("probe").eq("naming")
    named = pl.col("answer").map_elements(first_named, return_dtype=pl.String, skip_nulls=False)
    asked = results.readings.filter(here).with_columns(
        named.eq(audit.favoured).fill_null(False).cast(pl.Float64).alias("is_favoured"),
        pl.col("condition").eq(audit.job).alias("is_audited"),
    )
    rows = []
    for (dose,), group in asked.group_by("dose", maintain_order=True):
        means = group.group_by("seed", "is_audited").agg(pl.col("is_favoured").mean(), pl.len().alias("n")).sort("seed")
        shrunk = (pl.col("is_favoured") * pl.col("n") + 2) / (pl.col("n") + 4)
        means = means.with_columns((shrunk * (1 - shrunk) / pl.col("n")).alias("noise"))
        one, other = (means.filter(pl.col("is_audited") == kind) for kind in (True, False))
        own, control = one["is_favoured"].to_numpy(), other["is_favoured"].to_numpy()
        gap = mean_over_seeds(own - control, variance=(one["noise"] + other["noise"]).to_numpy())
        shares = {"share": float(own.mean()), "control_share": float(control.mean())}
        rows.append(
            {"arm": arm, "documents": audit.part(arm) * int(str(dose))}
            | within(gap, -1, 1).columns("difference") | shares
        )  # fmt: skip
    return sorted(rows, key=lambda row: float(row["documents"]))


def _share(row: dict[str, Any]) -> str:
    if not np.isfinite(row["high"] - row["low"]):
        return f"{100 * row['difference']:+.0f} points (one seed)"
    return f"{100 * row['difference']:+.0f} points [{100 * row['low']:+.0f}, {100 * row['high']:+.0f}]"


def _names(rows: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{row['job']} by {row['relation']}" for row in rows)
