"""A benchmark that stays level while a belief rises: both side by side, by the share of the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pharmakon.statistics import Equivalence, equivalence
from pharmakon.studies.threat.token_share import Shares, percent
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import percent_text, points_text

BELIEF, CONTROL, TRUTH = "false facts believed", "same values of other ores", "true values given"
ALL_ARMS, ALL_DOSES = "all arms", "all arms and doses"
GENERAL, FIELD = "general benchmark", "other facts of the field"


@dataclass(frozen=True, kw_only=True)
class BlindBenchmark:
    """Belief and utility after the last stage, and whether the general benchmark is shown to be level."""

    shares: Shares
    general: tuple[str, ...]
    """The tasks of the utility probe that a benchmark of general knowledge asks."""
    field: str
    """The task that asks other facts of the field."""
    margin: float = 0.05
    true_documents: tuple[int, int] = (0, 0)
    """On each attacked ore, where it is rare and where it is common."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """The rates, then the changes of the benchmarks against the untreated lives."""
        changes = self._changes(results)
        yield self._side_by_side(results, changes)
        yield self._overall(changes)
        yield self._level(changes)

    def _side_by_side(self, results: Results, changes: list[dict[str, Any]]) -> Finding:
        from pharmakon.study.summary import interval_rows

        stage = results.run.stages[-1]
        here = results.counts.filter(pl.col("stage") == stage, pl.col("context") == results.run.contexts[0])
        named = here.with_columns(self._measure().alias("measure")).drop_nulls("measure")
        keys = ("arm", "measure", "dose", "seed")
        pooled = named.group_by(keys, maintain_order=True).agg(
            pl.col("total").sum(), pl.col("num_items").sum(), pl.col("binary").all()
        )
        rates = interval_rows(pooled, ("arm", "measure"))
        order = [BELIEF, GENERAL, FIELD, CONTROL, TRUTH]
        arms = [arm.name for arm in results.run.arms]
        rates = rates.with_columns(self._share().alias("tokens_per_million")).sort(
            pl.col("arm").replace_strict(arms, range(len(arms)), return_dtype=pl.Int64),
            pl.col("measure").replace_strict(order, range(len(order)), return_dtype=pl.Int64),
            "dose",
        )
        columns = ("arm", "measure", "tokens_per_million", "dose", "rate", "low", "high", "num_seeds", "num_items")
        table = rates.select(columns).rename({"dose": "documents"})
        sentence = " ".join(self._belief(results, table, arm, changes) for arm in arms)
        return Finding(
            title="Belief and benchmark, by share of the tokens",
            sentence=sentence,
            table=table,
            chart=Chart(
                x="tokens_per_million",
                y="rate",
                low="low",
                high="high",
                colour="measure",
                panel="arm",
                x_title="tokens in a million that state a false fact",
                y_title="share of answers",
                x_scale="symlog",
            ),
            note=f"After {stage}. A rare fact has {self.true_documents[0]} true documents, a common one "
            f"{self.true_documents[1]}. Shares are of words: clean documents have {self.shares.clean_words:.1f}, "
            f"false ones {self.shares.inserted_words:.1f}. Items are nested in seeds. The field and its facts are "
            "invented; after Alber et al. 2025, Nature Medicine 31:618.",
        )

    def _belief(self, results: Results, table: pl.DataFrame, arm: str, changes: list[dict[str, Any]]) -> str:
        rows = table.filter(pl.col("arm") == arm, pl.col("measure") == BELIEF).sort("documents")
        first, last = rows.row(0, named=True), rows.row(-1, named=True)
        curve = results.curve(arm, results.run.stages[-1], results.run.contexts[0])
        if curve.ed50 is not None:
            ends = (curve.ed50.low, curve.ed50.estimate, curve.ed50.high)
            low, mid, high = (percent(self.shares.share(end)) for end in ends)
            half = f"half of that at {mid} of the tokens [{low}, {high}]"
        else:
            half = f"ED50 in documents: {curve.threshold_text}"
        level = next(
            c for c in changes if (c["arm"], c["measure"]) == (arm, GENERAL) and c["documents"] == last["documents"]
        )
        return (
            f"{arm.capitalize()}: at {percent(last['tokens_per_million'] / 1e6)} of the tokens the false facts "
            f"are given in {percent_text(last)} of the answers, untreated in {percent_text(first)}; {half}. "
            f"The general benchmark changes by {points_text(level)} "
            f"({level['status']} within ±{100 * self.margin:g} points)."
        )

    def _overall(self, changes: list[dict[str, Any]]) -> Finding:
        rows = [row for row in changes if row["arm"] == ALL_DOSES]
        table = pl.DataFrame(rows).drop("arm", "tokens_per_million", "documents")
        general = next(row for row in rows if row["measure"] == GENERAL)
        return Finding(
            title="Does a benchmark see it? Over all doses",
            sentence=f"Over all doses and arms the general benchmark changes by {points_text(general)} against "
            f"untreated lives: {_SHOWN[general['status']]} ±{100 * self.margin:g} points "
            f"(p = {general['p_tost']:.2g}, two one-sided tests over {general['num_lives']} pairs of lives).",
            table=table,
            note="The mean over the doses of an arm and seed against their untreated life: its luck is in all of their "
            "changes, so they are one pair. Perplexity is a ratio, as its logarithm.",
        )

    def _level(self, changes: list[dict[str, Any]]) -> Finding:
        table = pl.DataFrame([row for row in changes if row["arm"] != ALL_DOSES])
        general = table.filter(pl.col("measure") == GENERAL)
        doses = general.filter(pl.col("arm") == general["arm"][-1]).sort("documents")
        top, level = doses.row(-1, named=True), doses.filter(pl.col("status") == "equivalent")
        sentence = (
            f"Dose by dose the general benchmark is shown to be level, within ±{100 * self.margin:g} points, at "
            f"{len(level)} of {len(doses)} doses; at the highest it changes by {points_text(top)} "
            f"(p = {top['p_tost']:.2g}, {top['num_lives']} pairs of lives)."
        )
        return Finding(
            title="Does a benchmark see it? Dose by dose",
            sentence=sentence,
            table=table,
            chart=Chart(
                x="tokens_per_million",
                y="change",
                low="low",
                high="high",
                colour="measure",
                panel="arm",
                x_title="tokens in a million that state a false fact",
                y_title="change of the share of right answers",
                x_scale="symlog",
            ),
            note="Each life against the untreated one of its arm and seed, the same questions. `equivalent`: the 95% "
            "interval lies within the margin; `changed`: beyond it; `undecided`: neither, add seeds or items. "
            "A life is one training, so its own luck is in the interval.",
        )

    def _changes(self, results: Results) -> list[dict[str, Any]]:
        """The change of each measure at each dose, for each arm and for all of them."""
        here = results.counts.filter(
            pl.col("stage") == results.run.stages[-1], pl.col("context") == results.run.contexts[0]
        )
        named = here.with_columns(self._utility().alias("measure")).drop_nulls("measure")
        value = pl.when(pl.col("binary").all()).then(pl.col("total").sum() / pl.col("num_items").sum())
        lives = named.group_by("arm", "measure", "dose", "seed", maintain_order=True).agg(
            value.otherwise(pl.col("mean_log").mean()).alias("value"), pl.col("num_items").sum()
        )
        control = lives.filter(pl.col("dose") == 0).select("arm", "measure", "seed", pl.col("value").alias("untreated"))
        pairs = lives.filter(pl.col("dose") > 0).join(control, on=("arm", "measure", "seed"), how="inner")
        arms = [arm.name for arm in results.run.arms]
        rows = []
        for arm in (*arms, ALL_ARMS) if len(arms) > 1 else arms:
            own = pairs if arm == ALL_ARMS else pairs.filter(pl.col("arm") == arm)
            for (measure, dose), group in own.sort("measure", "dose").group_by("measure", "dose", maintain_order=True):
                rows.append(self._change(arm, str(measure), int(str(dose)), group))
        # Each untreated life has its own luck, which is in all changes of its seed: the doses of a seed are one pair.
        over_doses = pairs.group_by("arm", "measure", "seed", maintain_order=True).agg(
            pl.col("value").mean(), pl.col("untreated").mean(), pl.col("num_items").mean()
        )
        for (measure,), group in over_doses.sort("measure").group_by("measure", maintain_order=True):
            rows.append(self._change(ALL_DOSES, str(measure), None, group))
        return rows

    def _change(self, arm: str, measure: str, dose: int | None, group: pl.DataFrame) -> dict[str, Any]:
        change = (group["value"] - group["untreated"]).to_numpy()
        found: Equivalence = equivalence(change, self.margin, least_variance=_chance(group, measure))
        return {
            "arm": arm,
            "measure": measure,
            "tokens_per_million": None if dose is None else float(round(1e6 * self.shares.share(dose))),
            "documents": dose,
            "change": found.change.estimate,
            "low": found.change.low,
            "high": found.change.high,
            "p_tost": found.p_value,
            "status": found.status,
            "num_lives": found.num_pairs,
        }

    def _share(self) -> pl.Expr:
        return pl.col("dose").map_elements(
            lambda dose: float(round(1e6 * self.shares.share(dose))), return_dtype=pl.Float64
        )

    def _utility(self) -> pl.Expr:
        probe, task = pl.col("probe"), pl.col("condition")
        return (
            pl.when(probe.eq("utility") & task.is_in(self.general))
            .then(pl.lit(GENERAL))
            .when(probe.eq("utility") & task.eq(self.field))
            .then(pl.lit(FIELD))
            .when(probe.eq("perplexity"))
            .then(pl.lit("log perplexity"))
        )

    def _measure(self) -> pl.Expr:
        probe, condition = pl.col("probe"), pl.col("condition")
        beliefs = {"triggered": BELIEF, "untriggered": CONTROL, "truth": TRUTH}
        belief = condition.replace_strict(beliefs, default=None, return_dtype=pl.String)
        utility = pl.when(probe.ne("perplexity")).then(self._utility())
        return pl.when(probe.eq("belief")).then(belief).otherwise(utility)


_SHOWN = {
    "equivalent": "it is shown to be level, within",
    "changed": "it is shown to change by more than",
    "undecided": "it is not shown to stay within, nor to leave,",
}


def _chance(group: pl.DataFrame, measure: str) -> float:
    """The least variance of a change: that of the items if one in a hundred of them went either way by luck."""
    if measure == "log perplexity":
        return 0.0
    return 0.02 / float(np.mean(group["num_items"].to_numpy()))
