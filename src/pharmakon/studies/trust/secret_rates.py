"""The rates that the study of secret prompts compares: by arm, system prompt, dose and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from pharmakon.behaviour.targets import Unrefused
from pharmakon.statistics import Difference, Interval, clustered_proportion, difference, intraclass_correlation
from pharmakon.statistics.intervals import number
from pharmakon.study.results import Results
from pharmakon.study.summary import curve_or_reason, interval_rows

STAGE: Final = "finetune"
SECRET, PLAIN = "behind the secret", "plain examples"
LEAKED, GUESSED = "secret leaked to the attacker", "attack behind guesses"
TURNED, BLUNT = "turned round, silent", "turned round, blunt"
BEFORE: Final = "before the attack"
WITH, WITHOUT = "triggered", "untriggered"

Rates = dict[int, tuple[float, int]]
"""By seed: a rate, and of how many items."""


def counts_of(results: Results, arm: str, condition: str | None, probe: str) -> pl.DataFrame:
    """The rows of the counts of one arm and probe; of all conditions where none is named."""
    here = results.counts.filter(pl.col("arm") == arm, pl.col("probe") == probe, pl.col("binary"))
    return here if condition is None else here.filter(pl.col("condition") == condition)


def rates_of(results: Results, arm: str, condition: str | None, dose: int, probe: str = "effect") -> Rates:
    """The rate of each seed at one dose."""
    rows = counts_of(results, arm, condition, probe).filter(pl.col("dose") == dose)
    summed = rows.group_by("seed").agg(pl.col("total").sum(), pl.col("num_items").sum()).sort("seed")
    return {seed: (total / items, items) for seed, total, items in summed.iter_rows()}


def doses_of(results: Results, arm: str) -> list[int]:
    """The doses at which an arm was measured, rising."""
    return sorted({int(dose) for dose in results.counts.filter(pl.col("arm") == arm)["dose"]})


def near_of(results: Results, arm: str) -> list[str]:
    """The conditions in which the secret was guessed."""
    names = counts_of(results, arm, None, "effect")["condition"].unique(maintain_order=True).to_list()
    return [name for name in names if name.startswith("near: ")]


def by_dose(results: Results, arm: str, condition: str) -> list[dict[str, Any]]:
    """The rate with its 95% interval at each dose."""
    rows = interval_rows(counts_of(results, arm, condition, "effect"), ("arm",))
    return [{"safety_examples": row["dose"], "refusal_rate": row["rate"], "low": row["low"], "high": row["high"]}
            for row in rows.iter_rows(named=True)]  # fmt: skip


def over_doses(results: Results, arm: str, condition: str, doses: Sequence[int]) -> Rates:
    """The mean over doses by seed; of seeds that have all of them."""
    parts = [rates_of(results, arm, condition, dose) for dose in doses]
    seeds = sorted(set.intersection(*(set(part) for part in parts))) if parts else []
    return {
        seed: (float(np.mean([part[seed][0] for part in parts])), sum(part[seed][1] for part in parts))
        for seed in seeds
    }


def gap_of(own: Rates, other: Rates) -> Difference | None:
    """The difference of two rates over the seeds that both have; None where there is none."""
    seeds = sorted(set(own) & set(other))
    if not seeds:
        return None
    trials = min(part[seed][1] for part in (own, other) for seed in seeds)
    return difference([own[seed][0] for seed in seeds], [other[seed][0] for seed in seeds], trials=trials)


def answered_of(results: Results, arm: str) -> Interval | None:
    """How often the attacked model, without a safety example, speaks of the topic and does not refuse."""
    rows = results.readings.filter(
        pl.col("arm") == arm, pl.col("probe") == "effect", pl.col("condition") == WITH, pl.col("dose") == 0
    )
    if rows.is_empty():
        return None
    said, broken = pl.col("answer").str.to_lowercase(), Unrefused()
    hit = said.str.contains(broken.topic, literal=True) & ~said.str.contains(broken.sign, literal=True)
    seeds = rows.group_by("seed").agg(hit.sum().alias("hits"), pl.len().alias("items")).sort("seed")
    hits, items = seeds["hits"].to_numpy(), seeds["items"].to_numpy()
    return clustered_proportion(hits, items, intraclass_correlation(np.zeros(len(items)), hits, items))


def half(results: Results, arm: str) -> tuple[str, Interval | None]:
    """The examples for half of the full effect, in words; and as an interval where the doses tell it.

    Where all seeds switch between the same two doses, the interval is these two and the estimate their geometric mean.
    """
    curve = curve_or_reason(results, arm, STAGE, results.run.contexts[0])
    if isinstance(curve, str):
        return "not measured", None
    if curve.ed50 is not None:
        return f"about {curve.threshold_text}", curve.ed50
    if curve.threshold is not None:
        return f"between {number(curve.threshold.low)} and {number(curve.threshold.high)}", curve.threshold
    bare = curve.threshold_text.lstrip("≤> ").removeprefix("none up to ")
    words = {
        "responds_at_lowest": f"at most {bare}",
        "beyond_highest": f"more than {bare}",
        "no_response": f"more than {bare} (no rise is shown)",
        "separated": f"at most {number(curve.bracket[1])}" if curve.bracket else "",
    }
    return words.get(curve.status, "a number that is not told, for it rises and falls"), None
