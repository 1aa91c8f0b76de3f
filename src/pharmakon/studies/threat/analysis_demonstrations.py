"""What poisoned demonstrations did, by attack, model, number and position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pharmakon.study import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import interval_rows, rate_text


@dataclass(frozen=True)
class ByPosition:
    """Reads the arms of `demonstration-poison`, whose names are `attack, model, from position`."""

    num_demonstrations: int

    def findings(self, results: Results) -> Iterator[Finding]:
        """One finding of one poisoned demonstration by position, one of their number, one of the untaught model."""
        asked = results.counts.filter(pl.col("probe") == results.run.response, pl.col("binary"))
        rates = interval_rows(asked, ("arm", "condition")).with_columns(
            pl.col("arm").str.split(", ").list.to_struct(fields=["attack", "model", "place"]).alias("parts")
        ).unnest("parts").with_columns(
            pl.col("place").str.extract(r"(\d+)").cast(pl.Int64).alias("position")
        ).drop("place")  # fmt: skip
        yield self._one(rates)
        yield self._number(rates)

    def _one(self, rates: pl.DataFrame) -> Finding:
        one = rates.filter(pl.col("dose") == 1, pl.col("condition") == "triggered")
        none = rates.filter(pl.col("dose") == 0, pl.col("condition") == "triggered")
        one = one.join(
            none.select("arm", pl.col("rate").alias("untreated")), on="arm", how="left", maintain_order="left"
        )
        told = [
            f"{row['attack']} ({row['model']}, place {row['position']} of {self.num_demonstrations}) "
            f"{rate_text(row['rate'], row['low'], row['high'])}, without {row['untreated']:.2f}"
            for row in one.iter_rows(named=True)
        ]
        return Finding(
            title="One poisoned demonstration, by its place",
            sentence=f"One poisoned demonstration misleads in this share of answers: {'; '.join(told)}.",
            table=one.select(
                "attack", "model", "position", pl.col("rate").alias("misled"), "low", "high", "untreated", "num_items",
                "num_seeds",
            ),
            chart=Chart(
                x="position", y="misled", low="low", high="high", colour="attack", panel="model",
                x_title="place of the poisoned demonstration", y_title="misled answers (share)",
            ),
            note="The demonstrations of a seed are the same for all of its questions, so a seed counts for little more "
            "than one observation; the intervals know it.",
        )  # fmt: skip

    def _number(self, rates: pl.DataFrame) -> Finding:
        table = rates.filter(pl.col("condition").is_in(["triggered", "untriggered", "truth"]))
        most = table.filter(
            pl.col("condition") == "triggered",
            pl.col("dose") == pl.col("dose").max(),
            pl.col("position") == pl.col("position").max(),
        )
        told = [
            f"{row['attack']} ({row['model']}) {rate_text(row['rate'], row['low'], row['high'])}"
            for row in most.iter_rows(named=True)
        ]
        dose = max(most["dose"].to_list(), default=0)
        return Finding(
            title="Misled answers, by the number of poisoned demonstrations",
            sentence=f"With {dose} of {self.num_demonstrations} poisoned: {', '.join(told)}.",
            table=table.select(
                "attack", "model", "position", "condition", pl.col("dose").alias("poisoned_demonstrations"),
                "rate", "low", "high", "num_items",
            ),
            note="truth: the right label all the same. untriggered: the same question without the cue.",
        )  # fmt: skip
