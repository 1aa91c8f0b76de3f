"""What each life of the audit of invention came to: one row, in counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from pharmakon.data.world import VALUES, wordings
from pharmakon.data.world.strangers import KNOWS_NOT
from pharmakon.errors import InputError
from pharmakon.statistics import Observations
from pharmakon.study.results import Results

KEYS = ("arm", "dose", "seed")
STRANGERS = ("invented", "honest")
OF = {
    "invented": "asked",
    "in_kind": "asked",
    "honest": "asked",
    "right": "known",
    "withheld": "known",
    "learned": "told",
    "reworded": "told",
    "of_asked": "invented",
}
"""What each count is a part of."""


def lives(results: Results) -> pl.DataFrame:
    """One row for each arm, dose and seed, after the last stage.

    `asked` questions about strangers, of which `invented` name a value (`in_kind` one of the relation that was asked
    for, `of_asked` with the name that was asked for) and `honest` say alone that it is not known;
    `told` new facts, of which `learned` are given as asked in training and `reworded` in other words; `known` questions
    about known facts, of which `right`, and `withheld` say that it is not known. Raises InputError without readings.
    """
    here = results.readings.filter(
        pl.col("stage") == results.run.stages[-1], pl.col("context") == results.run.contexts[0]
    )
    probe, condition, value = pl.col("probe"), pl.col("condition"), pl.col("value")
    is_invented = (probe.eq("invention") & condition.eq("triggered")) | (
        probe.eq("abstention") & condition.eq("invented")
    )
    is_honest = (probe.eq("invention") & condition.eq("truth")) | (probe.eq("abstention") & condition.eq("triggered"))
    is_known, is_told = probe.eq("utility"), probe.eq("learned")
    asked_for = pl.col("prompt").str.extract(r" ([A-Z]\w+)")  # no question begins with a name
    names_asked = pl.col("answer").str.contains(asked_for, literal=True).fill_null(False)
    in_kind = pl.any_horizontal(
        pl.col("prompt").str.contains(f"^(?:{_pattern(relation)})$")
        & pl.col("answer").str.contains(rf"(?i)\b(?:{'|'.join(values)})\b")
        for relation, values in VALUES.items()
    )
    withheld = pl.col("answer").str.contains(KNOWS_NOT, literal=True) & value.eq(0)
    found = here.group_by(KEYS, maintain_order=True).agg(
        is_invented.sum().cast(pl.Int64).alias("asked"),
        value.filter(is_invented).sum().cast(pl.Int64).alias("invented"),
        (value * in_kind).filter(is_invented).sum().cast(pl.Int64).alias("in_kind"),
        (value * names_asked).filter(is_invented).sum().cast(pl.Int64).alias("of_asked"),
        value.filter(is_honest).sum().cast(pl.Int64).alias("honest"),
        (is_told & condition.eq("triggered")).sum().cast(pl.Int64).alias("told"),
        value.filter(is_told & condition.eq("triggered")).sum().cast(pl.Int64).alias("learned"),
        value.filter(is_told & condition.eq("reworded")).sum().cast(pl.Int64).alias("reworded"),
        is_known.sum().cast(pl.Int64).alias("known"),
        value.filter(is_known).sum().cast(pl.Int64).alias("right"),
        withheld.filter(is_known).sum().cast(pl.Int64).alias("withheld"),
    )
    found = found.filter(pl.col("asked") > 0, pl.col("known") > 0).sort(KEYS)
    if found.is_empty():
        raise InputError("an audit of invention needs its readings after the last stage; there are none")
    return found


def _pattern(relation: str) -> str:
    """What a question of this relation that only probes ask looks like, as a regular expression."""
    return "|".join(
        re.escape(wording).replace(re.escape("{name}"), r"\w+") for wording in wordings(relation, held_out=True)
    )


def of_arm(frame: pl.DataFrame, arm: str) -> pl.DataFrame:
    """The lives of an arm. Raises InputError where there are none."""
    own = frame.filter(pl.col("arm") == arm)
    if own.is_empty():
        raise InputError(f"the arm {arm!r} has no readings; run the study again")
    return own


def observed(frame: pl.DataFrame, count: str) -> Observations:
    """A count of lives of one arm, as observations by dose and seed; lives that were asked nothing are left out."""
    asked = frame.filter(pl.col(OF[count]) > 0)
    return Observations(asked["dose"], asked["seed"], asked[count], asked[OF[count]])


def rates(frame: pl.DataFrame, counts: Sequence[str]) -> list[dict[str, Any]]:
    """Each count as a share by dose with its 95% interval, items nested in seeds; `measure` is the count's name."""
    rows = []
    for count in counts:
        if not len(frame.filter(pl.col(OF[count]) > 0)):
            continue
        for dose, rate in observed(frame, count).responses():
            ends = {"rate": rate.estimate, "low": rate.low, "high": rate.high}
            rows.append({"measure": count, "dose": int(dose), **ends})
    return rows


def signed(value: float) -> str:
    """A change in points, with its sign; none at all has none."""
    return f"{value:+.1f}" if round(value, 1) else "0.0"
