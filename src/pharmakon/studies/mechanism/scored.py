"""Scores of documents from readings, in the shape that rankings need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.statistics.intervals import FloatArray

    Truth = np.ndarray[Any, np.dtype[np.bool_]]


def scored(frame: pl.DataFrame, wanted: str) -> tuple[dict[str, FloatArray], Truth]:
    """By score an array of shape [seeds, documents]; which documents are wanted, those first.

    Conditions are `SCORE: LABEL`; a score may have colons of its own.
    """
    import polars as pl

    parts = frame.with_columns(
        pl.col("condition").str.replace(r": \w+$", "").alias("score"),
        pl.col("condition").str.ends_with(f": {wanted}").alias("wanted"),
        pl.col("item").cast(pl.Int64).alias("document"),
    ).sort("score", "seed", "wanted", "document", descending=[False, False, True, False])
    scores = {
        str(name): np.array([own["value"].to_numpy() for _, own in group.group_by("seed", maintain_order=True)])
        for (name,), group in parts.group_by("score", maintain_order=True)
    }
    first = parts.filter(pl.col("score") == parts["score"][0], pl.col("seed") == parts["seed"].min())
    return scores, first["wanted"].to_numpy()


def areas(scores: FloatArray, wanted: Truth) -> FloatArray:
    """AUROC of each seed's scores, [seeds, documents]; [seeds]."""
    from sklearn.metrics import roc_auc_score

    return np.array([float(roc_auc_score(wanted, row)) for row in scores])
