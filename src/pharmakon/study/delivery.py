"""From the ledger to the dose that was delivered. `Results` has these as methods; call them there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pharmakon.errors import InputError

if TYPE_CHECKING:
    from pharmakon.study.results import Results

CELL: Final = ("arm", "dose", "seed")


def edits(results: Results) -> pl.DataFrame:
    """The rows of the ledger in the stage that an arm's dose goes to."""
    stages = pl.DataFrame(
        [(arm.name, arm.treated_stage) for arm in results.run.arms],
        schema={"arm": pl.String, "treated": pl.String},
        orient="row",
    )
    rows = results.ledger.join(stages, on="arm", how="inner", maintain_order="left")
    return rows.filter(pl.col("treated").is_null() | (pl.col("stage") == pl.col("treated"))).drop("treated")


def delivered(results: Results, rows: pl.DataFrame, arm: str, axis: str) -> pl.DataFrame:
    """The rows with the mean delivered dose of their administered one.

    The mean over seeds keeps the doses of a design comparable between its seeds; doses that became equal are one.
    """
    column = {"survived": "survived", "seen": "seen"}[axis]
    means = results.survival().filter(pl.col("arm") == arm).select("dose", pl.col(column).alias("delivered"))
    joined = rows.join(means, on="dose", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("dose") == 0).then(0.0).otherwise(pl.col("delivered")).alias("delivered")
    )
    if joined["delivered"].null_count():
        raise InputError(f"the ledger does not follow the edits of arm {arm!r} that far; use axis='administered'")
    return joined.with_columns(pl.col("delivered").alias("dose"))


_SURVIVAL: Final[dict[str, Any]] = {
    "arm": pl.String, "stage": pl.String, "dose": pl.Int64, "num_seeds": pl.Int64,
    **dict.fromkeys(("administered", "survived", "present", "whole", "seen", "num_sightings"), pl.Float64),
    **dict.fromkeys(("survived_share", "present_share", "whole_share", "seen_share"), pl.Float64),
}  # fmt: skip


def survival(results: Results) -> pl.DataFrame:
    """See `Results.survival`. `whole`: passed cleaning and not truncated. Null where the ledger does not follow."""
    passed = pl.col("dropped_by").is_null()
    per_cell = edits(results).group_by(*CELL, maintain_order=True).agg(
        pl.col("stage").first(),
        pl.len().cast(pl.Float64).alias("administered"),
        passed.sum().cast(pl.Float64).alias("survived"),
        (pl.col("present") | passed).sum().cast(pl.Float64).alias("present"),
        pl.when((pl.col("truncated").is_null() & passed).any()).then(None)
        .otherwise((passed & ~pl.col("truncated").fill_null(True)).sum().cast(pl.Float64)).alias("whole"),
        pl.when(pl.col("num_seen").is_null().all()).then(None)
        .otherwise((pl.col("num_seen").fill_null(0) > 0).sum().cast(pl.Float64)).alias("seen"),
        pl.when(pl.col("num_seen").is_null().all()).then(None)
        .otherwise(pl.col("num_seen").sum().cast(pl.Float64)).alias("num_sightings"),
    )  # fmt: skip
    numbers = ("administered", "survived", "present", "whole", "seen", "num_sightings")
    means = per_cell.group_by("arm", "stage", "dose", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("num_seeds"), *(pl.col(name).mean() for name in numbers)
    )
    shares = [
        (pl.col(name) / pl.col("administered")).alias(f"{name}_share")
        for name in ("survived", "present", "whole", "seen")
    ]
    return _by_arm(means.with_columns(shares).sort("dose", maintain_order=True), results).select(
        pl.col(name).cast(kind) for name, kind in _SURVIVAL.items()
    )


def losses(results: Results) -> pl.DataFrame:
    """See `Results.losses`. Filters in the order in which the table of cleaning names them.

    `treated_dropped`, `clean_dropped`: mean documents over the seeds of a dose; a share is null where there were none
    to drop.
    """
    told = ("arm", "dose", "stage")
    cells = pl.concat([frame.select(CELL) for frame in (results.readings, results.ledger, results.cleaning)]).unique()
    seeds = cells.group_by("arm", "dose").agg(pl.len().alias("num_seeds"))
    every = results.ledger.group_by(*told).agg(pl.len().alias("num_treated"))
    treated = (
        results.ledger.filter(pl.col("dropped_by").is_not_null())
        .group_by(*told, pl.col("dropped_by").alias("filter"), pl.col("reason").fill_null(""))
        .agg(pl.len().alias("treated_dropped"))
    )
    dropped = results.cleaning.filter(~pl.col("treated")).with_columns(pl.col("reason").fill_null(""))
    clean = dropped.group_by(*told, "filter", "reason").agg(
        pl.col("num_dropped").sum().alias("clean_dropped"), pl.col("num_documents").max().alias("num_clean")
    )
    size = dropped.group_by("arm", "stage").agg(pl.col("num_documents").max().alias("clean_size"))
    keys = [*told, "filter", "reason"]
    order = results.cleaning["filter"].unique(maintain_order=True).to_list()
    joined = (
        treated.join(clean, on=keys, how="full", coalesce=True)
        .join(every, on=told, how="left")
        .join(seeds, on=("arm", "dose"), how="left")
        .join(size, on=("arm", "stage"), how="left")
        .with_columns(pl.col("treated_dropped", "clean_dropped").fill_null(0) / pl.col("num_seeds"))
        .with_columns(
            (pl.col("treated_dropped") * pl.col("num_seeds") / pl.col("num_treated")).alias("treated_share"),
            (pl.col("clean_dropped") / pl.col("clean_size")).alias("clean_share"),
        )
    )
    rank = pl.col("filter").replace_strict(order, list(range(len(order))), default=len(order), return_dtype=pl.Int64)
    joined = joined.sort("dose", rank, pl.col("treated_dropped"), "reason", descending=[False, False, True, False])
    numbers = ("treated_dropped", "treated_share", "clean_dropped", "clean_share")
    return _by_arm(joined, results).select(
        "arm", "stage", "dose", "filter", "reason", *(pl.col(name).cast(pl.Float64) for name in numbers)
    )


def _by_arm(frame: pl.DataFrame, results: Results) -> pl.DataFrame:
    names = [arm.name for arm in results.run.arms]
    rank = pl.col("arm").replace_strict(names, list(range(len(names))), default=len(names), return_dtype=pl.Int64)
    return frame.sort(rank, maintain_order=True)
