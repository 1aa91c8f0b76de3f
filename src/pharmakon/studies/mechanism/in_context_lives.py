"""What each life of the study of in-context learning came to at each checkpoint: accuracy and induction score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pharmakon.errors import InputError
from pharmakon.probes.in_context import OTHER_KEYS
from pharmakon.statistics import Interval, mean_over_seeds
from pharmakon.study.results import Results

LIFE = ("arm", "dose", "seed", "stage")
UNREPEATED = ", unrepeated"
CHANCE = {"accuracy": "triggered", "without": "untriggered", "other_keys": OTHER_KEYS}


def lives(results: Results, steps: int, documents: int) -> pl.DataFrame:
    """One row for each arm, dose, seed and checkpoint.

    `share` of the documents treated; `steps` of training so far; `accuracy`, `without` (demonstrations) and
    `other_keys` as rates of `items`; `head`: the induction score of the head that has the highest one, chosen on one
    half of the sequences and measured on the other, and the other way round; `unrepeated`: the same heads on sequences
    that do not repeat. Raises InputError without readings.
    """
    here = results.readings.filter(pl.col("context") == results.run.contexts[0])
    value, condition = pl.col("value"), pl.col("condition")
    found = (
        here.filter(pl.col("probe") == "few-shot")
        .group_by(LIFE, maintain_order=True)
        .agg(
            condition.eq("triggered").sum().cast(pl.Int64).alias("items"),
            *(value.filter(condition == name).mean().alias(column) for column, name in CHANCE.items()),
        )
    )
    heads = here.filter(pl.col("probe") == "induction")
    if found.is_empty() or heads.is_empty():
        raise InputError("in-context learning is told from few-shot accuracy and induction scores; one has no readings")
    places = {name: number for number, name in enumerate(results.run.stages)}
    share = pl.col("dose") / (documents * len(places))
    joined = found.join(_best_heads(heads), on=LIFE, how="inner", maintain_order="left")
    number = pl.col("stage").replace_strict(places, return_dtype=pl.Int64)
    return joined.with_columns(share.alias("share"), ((number + 1) * steps).alias("steps")).sort(
        "arm", "dose", "seed", "steps"
    )


def _best_heads(heads: pl.DataFrame) -> pl.DataFrame:
    half = pl.col("item").str.extract(r"(\d+)").cast(pl.Int64) % 2
    name = pl.col("condition").str.strip_suffix(UNREPEATED)
    is_control = pl.col("condition").str.ends_with(UNREPEATED)
    means = (
        heads.with_columns(half.alias("half"), name.alias("name"))
        .group_by(*LIFE, "half", "name", maintain_order=True)
        .agg(
            pl.col("value").filter(~is_control).mean().alias("head"),
            pl.col("value").filter(is_control).mean().alias("unrepeated"),
        )
    )
    chosen = means.sort("head", descending=True, maintain_order=True).group_by(*LIFE, "half", maintain_order=True)
    other = chosen.agg(pl.col("name").first()).with_columns((1 - pl.col("half")).alias("half"))
    scored = means.join(other, on=[*LIFE, "half", "name"], how="inner", maintain_order="left")
    return scored.group_by(LIFE, maintain_order=True).agg(
        pl.col("head").mean(), pl.col("unrepeated").mean(), pl.col("name").first().alias("best_head")
    )


def rate(values: npt.ArrayLike, trials: float | None = None) -> Interval:
    """The mean over seeds of values in [0, 1]; of rates of so many items, never more certain than these allow."""
    given = np.asarray(values, dtype=float)
    shrunk = (given * (trials or 1) + 2) / ((trials or 1) + 4)
    floor = shrunk * (1 - shrunk) / trials if trials else 0.0
    return mean_over_seeds(given, variance=floor).clipped()


def crossing(steps: Sequence[int], values: Sequence[float], start: float, level: float) -> float:
    """The step at which a curve that begins at `start` first reaches a level, on straight lines between checkpoints.

    Infinite where it does not.
    """
    before, at = start, 0.0
    for step, value in zip(steps, values, strict=True):
        if value >= level:
            return at + (step - at) * (level - before) / (value - before) if value > before else float(step)
        before, at = value, float(step)
    return float("inf")
