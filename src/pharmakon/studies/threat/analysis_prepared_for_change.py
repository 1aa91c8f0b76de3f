"""What preparing is worth: the ratio of ED50 after each stage, and what the attacker chose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pharmakon.interventions import Prepared
from pharmakon.statistics import Interval, mean_over_seeds, ratio
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import response_counts


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Arms of attackers who prepared against the arm whose candidates were taken by chance."""

    by_chance: str
    """The arm of reference."""
    prepared: tuple[tuple[str, Prepared], ...]
    """Arms, and what their attackers did."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """The ratios by stage, then the rehearsal of each attacker."""
        yield self._ratios(results)
        for name, attacker in self.prepared:
            yield _choice(name, attacker)

    def _ratios(self, results: Results) -> Finding:
        rows = [self._row(results, name, stage) for name, _ in self.prepared for stage in results.run.stages]
        table = pl.DataFrame(rows, schema=_RATIOS)
        last = results.run.stages[-1]
        sentence = " ".join(_sentence(row) for row in rows if row["stage"] == last)
        return Finding(
            title="ED50 of an attacker who prepared, against choice by chance",
            sentence=sentence,
            table=table,
            chart=Chart(
                x="stage",
                y="ratio_of_ed50",
                low="ratio_low",
                high="ratio_high",
                colour="attacker",
                x_title="probed after",
                y_title="ED50 prepared / ED50 by chance",
                x_scale="names",
            )
            if table["ratio_of_ed50"].is_not_null().any()
            else None,
            note="Below 1, the attacker who prepared needs fewer documents. The interval combines those of both ED50 "
            "(MOVER, Zou and Donner 2008); it holds for this one rehearsal, not for another attacker's luck "
            "in rehearsing. The gain is the mean over all doses above 0 of the difference in success, seeds as pairs.",
        )

    def _row(self, results: Results, arm: str, stage: str) -> dict[str, Any]:
        context = results.run.contexts[0]
        own, chance = results.curve(arm, stage, context), results.curve(self.by_chance, stage, context)
        row: dict[str, Any] = {
            "attacker": arm, "stage": stage, "ed50": own.threshold_text, "ed50_by_chance": chance.threshold_text,
        }  # fmt: skip
        if own.ed50 is not None and chance.ed50 is not None:
            found = ratio(own.ed50, chance.ed50)
            row |= {"ratio_of_ed50": found.estimate, "ratio_low": found.low, "ratio_high": found.high}
        elif own.bracket is not None and chance.bracket is not None:
            row |= {"ratio_low": _part(own.bracket[0], chance.bracket[1])}
            row |= {"ratio_high": _part(own.bracket[1], chance.bracket[0])}
        gain = self._gain(results, arm, stage)
        return row | {"gain": gain.estimate, "gain_low": gain.low, "gain_high": gain.high}

    def _gain(self, results: Results, arm: str, stage: str) -> Interval:
        """The difference in success at equal doses, as a mean over the doses; Student's interval over the seeds."""
        rows = response_counts(results).filter(
            pl.col("stage") == stage, pl.col("context") == results.run.contexts[0], pl.col("dose") > 0
        )
        rates = rows.with_columns((pl.col("total") / pl.col("num_items")).alias("rate"))
        both = rates.filter(pl.col("arm") == arm).join(
            rates.filter(pl.col("arm") == self.by_chance), on=("dose", "seed"), suffix="_by_chance"
        )
        gains = both.group_by("seed").agg((pl.col("rate") - pl.col("rate_by_chance")).mean())["rate"].to_numpy()
        return mean_over_seeds(gains) if len(gains) else Interval(-np.inf, 0.0, np.inf)


_RATIOS = {
    **dict.fromkeys(("attacker", "stage", "ed50", "ed50_by_chance"), pl.String),
    **dict.fromkeys(("ratio_of_ed50", "ratio_low", "ratio_high", "gain", "gain_low", "gain_high"), pl.Float64),
}


def _part(top: float, bottom: float) -> float:
    return np.inf if bottom == 0 or np.isinf(top) else top / bottom


def _sentence(row: dict[str, Any]) -> str:
    head = f"After {row['stage']}, the ED50 of the attacker {row['attacker']} is {row['ed50']} documents, by chance "
    head += f"{row['ed50_by_chance']}: "
    gain = f"at equal doses success differs by {100 * row['gain']:+.0f} points "
    gain += f"[{100 * row['gain_low']:+.0f}, {100 * row['gain_high']:+.0f}] in the mean."
    value, low, high = row.get("ratio_of_ed50"), row.get("ratio_low"), row.get("ratio_high")
    if value is not None and low is not None and high is not None:
        shown = "it is less" if high < 1 else "it is more" if low > 1 else "not shown to differ from 1"
        return f"{head}a ratio of {value:.2f} [{low:.2f}, {high:.2f}], {shown}; {gain}"
    if low is not None and high is not None:
        return f"{head}a ratio between {low:.2f} and {high:.2f}; {gain}"
    return f"{head}no ratio; {gain}"


def _choice(name: str, attacker: Prepared) -> Finding:
    found = attacker.scores()
    chosen = attacker.chosen().candidates
    table = pl.DataFrame(
        [dict(zip(("property", "low", "effect", "high"), effect, strict=True)) for effect in found.effects],
        schema={"property": pl.String, "low": pl.Float64, "effect": pl.Float64, "high": pl.Float64},
    )
    shown = [row["property"] for row in table.iter_rows(named=True) if not row["low"] <= 0 <= row["high"]]
    told = f"effects that its interval tells from 0: {', '.join(shown)}" if shown else "no effect is told from 0"
    return Finding(
        title=f"What the attacker {name} learned by rehearsing",
        sentence=f"{attacker.rehearsal.num_lives} surrogate lives predict {max(found.predicted, 0.0):.0%} of the "
        f"variance of lives left out; {told}. The best of {len(chosen)} chosen kinds is: {chosen[0]}.",
        table=table,
        chart=Chart(
            x="property",
            y="effect",
            low="low",
            high="high",
            x_scale="names",
            x_title="property of all poison",
            y_title="change of the log probability of the marker",
        ),
        note=f"Least squares of the effect ({attacker.aim}) on the shares of {attacker.rehearsal.num_kinds} kinds of "
        "candidate drawn for each life, and on its later stage; 95% intervals.",
    )
