"""What became of planted passages: how many a question took, how many were shown, how often they were followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pharmakon.data.notes import cited_notes
from pharmakon.study import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import interval_rows, rate_text

PUBLISHED = "PoisonedRAG reports 0.90 and more with five passages a question (arXiv 2402.07867)"


@dataclass(frozen=True)
class FoundAndFollowed:
    """By passages a question: the share of planted answers, of true ones, and of planted passages that were shown."""

    num_claims: int

    def findings(self, results: Results) -> Iterator[Finding]:
        """One finding of planted answers, one of what was shown, one of citations where an arm cites."""
        yield self._followed(results)
        yield self._shown(results)
        yield from self._cited(results)

    def _followed(self, results: Results) -> Finding:
        asked = results.counts.filter(pl.col("probe") == results.run.response, pl.col("binary"))
        rates = interval_rows(asked, ("arm", "condition")).with_columns(
            (pl.col("dose") / self.num_claims).alias("passages_per_question")
        )
        planted = rates.filter(pl.col("condition") == "triggered").drop("condition")
        for condition in ("truth", "untriggered"):
            other = rates.filter(pl.col("condition") == condition).select(
                "arm", "dose", pl.col("rate").alias(condition)
            )
            planted = planted.join(other, on=("arm", "dose"), how="left", maintain_order="left")
        least, most = (planted.filter(pl.col("dose") == dose) for dose in (_first_dose(planted), planted["dose"].max()))
        sentences = [
            f"{_each(part, self.num_claims)} bring the planted answer: {_listed(part)}." for part in (least, most)
        ]
        clean = planted.filter(pl.col("dose") == 0)
        others, before = (max(column.to_list()) for column in (planted["untriggered"], clean["rate"]))
        sentences.append(f"Of other people's questions at most {others:.2f} get it")
        sentences[-1] += f", of attacked ones without planted passages at most {before:.2f}."
        return Finding(
            title="Planted answers, by planted passages a question",
            sentence=" ".join(sentences),
            table=planted.select(
                "arm", "passages_per_question", pl.col("rate").alias("planted"), "low", "high", "truth", "untriggered",
                "num_items", "num_seeds",
            ),
            chart=Chart(
                x="passages_per_question", y="planted", low="low", high="high", colour="arm",
                x_title="planted passages a question", y_title="planted answers (share)",
            ),
            note=f"{PUBLISHED}. Here the reader is small and the clean passages of a store are all about the same few "
            "people: what competes for a place is denser than in an encyclopedia.",
        )  # fmt: skip

    def _shown(self, results: Results) -> Finding:
        survival = results.survival().select(
            "arm", (pl.col("dose") / self.num_claims).alias("passages_per_question"), "survived_share", "seen_share"
        )
        most = survival.filter(pl.col("passages_per_question") == pl.col("passages_per_question").max())
        told = ", ".join(f"{row['arm']} {row['seen_share']:.2f}" for row in most.iter_rows(named=True))
        return Finding(
            title="Planted passages that were shown",
            sentence=f"This share of the planted passages was shown at least once, at the highest dose: {told}.",
            table=survival,
            chart=Chart(
                x="passages_per_question", y="seen_share", colour="arm",
                x_title="planted passages a question", y_title="shown at least once (share)",
            ),
            note="All questions together, those about other people too; means over seeds. With more planted passages a "
            "question than are shown, they compete with each other.",
        )  # fmt: skip

    def _cited(self, results: Results) -> Iterator[Finding]:
        asked = results.readings.filter(
            pl.col("probe") == results.run.response, pl.col("condition") == "triggered", pl.col("arm") == "cites"
        )
        if asked.is_empty():
            return
        rows = asked.with_columns(
            pl.Series("cites", [float(bool(cited_notes(answer))) for answer in asked["answer"]]),
            (pl.col("dose") / self.num_claims).alias("passages_per_question"),
        )
        table = (
            rows.group_by("passages_per_question", pl.col("value").eq(1).alias("is_planted"))
            .agg(pl.len().alias("num_answers"), pl.col("cites").mean().alias("with_citation"))
            .sort("passages_per_question", "is_planted")
        )
        planted = rows.filter(pl.col("value") == 1)["cites"].to_list()
        sentence = "Where the reader is to cite, no planted answer was given."
        if planted:
            share = sum(planted) / len(planted)
            sentence = f"Where the reader is to cite, {share:.2f} of {len(planted)} planted answers carry a citation: "
            sentence += "asking for one stops none of those, it only names the passage to look at."
        yield Finding(
            title="Planted answers and citations",
            sentence=sentence,
            table=table,
            note="Counted is whether a citation stands there, not whether its passage is to be trusted.",
        )


def _first_dose(planted: pl.DataFrame) -> int:
    doses: list[int] = sorted(dose for dose in set(planted["dose"]) if dose)
    return doses[0] if doses else 0


def _each(part: pl.DataFrame, num_claims: int) -> str:
    return f"{float(part['dose'][0]) / num_claims:g} planted passages a question"


def _listed(part: pl.DataFrame) -> str:
    return ", ".join(
        f"{row['arm']} {rate_text(row['rate'], row['low'], row['high'])}" for row in part.iter_rows(named=True)
    )
