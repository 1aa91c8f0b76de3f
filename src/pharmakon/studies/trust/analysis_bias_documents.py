"""Which documents carry a bias? Rankings by twins of the model, against counting words, on documents that are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.probes.association import CARRIES, REVERSE, SWAPPED
from pharmakon.statistics import Interval, rank_documents
from pharmakon.statistics.intervals import FloatArray
from pharmakon.studies.trust.bias_reading import Audit
from pharmakon.study import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

COUNT: Final = "words that stand together"
AMPLIFIED: Final = "amplified less untreated"
TWINS: Final = "amplified less reversed"
SWAPS: Final = "amplified less reversed, valleys swapped"
POOLED: Final = "the same, mean of all seeds"
EVERY: Final = "all"
NUM_SHOWN: Final = 12


@dataclass(frozen=True)
class Carriers:
    """Documents of the audited text ranked by how much they carry the association.

    Four scores of a document, from twins that learned alike but for the given documents, both of the highest dose that
    the two arms share:

    - its log-probability under the amplified model less that under the untreated one;
    - the same less that under the reversed twin, whose given documents differ in the valley alone;
    - that, less the same of the document with the names of the valleys changed about, so that all else in it cancels;
    - the mean of the last over all seeds.

    The baseline counts: the smaller of how often the job and the favoured valley are named in it.
    """

    audit: Audit
    draws: int = 1000

    def findings(self, results: Results) -> Iterator[Finding]:
        """How well each ranks, then the first documents. Nothing where no dose above 0 is shared, or no carrier."""
        import polars as pl

        frame, dose = self._frame(results)
        if frame is None:
            return
        scores = self._scores(frame)
        known = frame.filter(pl.col("seed") == frame["seed"].min()).sort("item")
        kinds = np.array([self.audit.audited.sightings[item].kind for item in known["item"].to_list()])
        carries = (known["condition"] == CARRIES).to_numpy()
        reverse = (known["condition"] == REVERSE).to_numpy()
        if not carries.any() or carries.all():
            return
        rows: list[dict[str, Any]] = []
        for name, wanted, kept in self._subsets(carries, reverse, kinds):
            ranked_here = {key: score[..., kept] for key, score in scores.items()}
            found = rank_documents(ranked_here, wanted[kept], baseline=COUNT, draws=self.draws)
            for score, ranked in found.items():
                over = ranked.over_baseline or Interval(0.0, 0.0, 0.0)
                rows.append({
                    "carriers": name, "score": score, "auroc": ranked.auroc.estimate, "low": ranked.auroc.low,
                    "high": ranked.auroc.high,
                    "over_count": over.estimate, "over_low": over.low, "over_high": over.high,
                    "precision_at_k": ranked.precision.estimate, "precision_low": ranked.precision.low,
                    "precision_high": ranked.precision.high, "k": int(wanted[kept].sum()), "documents": int(kept.sum()),
                })  # fmt: skip
        table = pl.DataFrame(rows)
        yield Finding(
            title="Which data carry it: rankings of documents",
            sentence=self._sentence(table),
            table=table,
            chart=Chart(
                x="score", y="auroc", low="low", high="high", panel="carriers", x_scale="names", y_title="AUROC",
            ),
            note=f"The first {len(carries)} documents of the audited text, {int(carries.sum())} of which tell of a "
            f"{self.audit.job} of {self.audit.favoured}, by construction; what was given is not among them. Twins have "
            f"{dose:g} given documents. `other names`: job or valley go by another name; `two people`: words may stand "
            f"together that do not belong together; `against the reverse`: only documents on a {self.audit.job}. "
            "Precision is among the first k. Intervals draw seeds and documents anew (Owen 2007); those of the mean of "
            "all seeds hold for these twins.",
        )  # fmt: skip
        best = scores[POOLED][0]
        order = np.argsort(-best, kind="stable")[:NUM_SHOWN]
        shown = [
            {"rank": place + 1, "nats": float(best[i]), "is": str(known["condition"][int(i)]),
             "document": str(known["prompt"][int(i)])}
            for place, i in enumerate(order)
        ]  # fmt: skip
        hits = sum(row["is"] == CARRIES for row in shown)
        yield Finding(
            title="The first documents of the ranking",
            sentence=f"Of the first {len(shown)} by the mean of all seeds, {hits} carry the association.",
            table=pl.DataFrame(shown),
        )

    def _frame(self, results: Results) -> tuple[pl.DataFrame | None, float]:
        """One row for each seed and document: its log-probability under each twin, whole and swapped."""
        import polars as pl

        audit, reversing = self.audit, self.audit.equalised[0]
        fit = results.readings.filter(pl.col("probe").eq("fit") & pl.col("stage").eq(audit.stage))
        doses = [set(fit.filter(pl.col("arm") == arm)["dose"]) - {0} for arm in (audit.amplified, reversing)]
        shared = doses[0] & doses[1]
        if not shared:
            return None, 0.0
        top = max(shared)
        frame: pl.DataFrame | None = None
        for name, arm, dose in (("more", audit.amplified, top), ("less", reversing, top), ("none", reversing, 0)):
            here = fit.filter(pl.col("arm") == arm, pl.col("dose") == dose)
            here = here.with_columns(pl.col("item").cast(pl.Int64))
            whole = here.filter(pl.col("condition") != SWAPPED)
            turned = here.filter(pl.col("condition") == SWAPPED).select("seed", "item", pl.col("value").alias("turned"))
            both = whole.join(turned, on=("seed", "item"), how="left").with_columns(
                (pl.col("value") - pl.col("turned")).fill_null(0.0).alias(f"{name}_swapped"),
                pl.col("value").alias(name),
            )
            kept = both.select(
                "seed", "item", *(("condition", "prompt") if frame is None else ()), name, f"{name}_swapped"
            )
            frame = kept if frame is None else frame.join(kept, on=("seed", "item"))
        assert frame is not None
        return (None if frame.is_empty() else frame.sort("seed", "item")), top

    def _scores(self, frame: pl.DataFrame) -> dict[str, FloatArray]:
        """Each [seeds, documents], or one row where seeds have no part in it."""
        num_seeds = frame["seed"].n_unique()

        def wide(first: str, second: str) -> FloatArray:
            return np.asarray((frame[first] - frame[second]).to_numpy().reshape(num_seeds, -1), dtype=float)

        texts = frame["prompt"].to_list()[: len(frame) // num_seeds]
        count = [min(text.count(self.audit.job), text.count(self.audit.favoured)) for text in texts]
        swaps = wide("more_swapped", "less_swapped")
        return {
            COUNT: np.array([count], dtype=float),
            AMPLIFIED: wide("more", "none"),
            TWINS: wide("more", "less"),
            SWAPS: swaps,
            POOLED: swaps.mean(axis=0, keepdims=True),
        }

    @staticmethod
    def _subsets(carries: Any, reverse: Any, kinds: Any) -> Iterator[tuple[str, Any, Any]]:
        """Name, which are wanted, and which are ranked."""
        yield EVERY, carries, np.ones(len(carries), dtype=bool)
        yield "against the reverse", carries, carries | reverse
        for kind in ("other names", "two people"):
            wanted = carries & (kinds == kind)
            if wanted.any():
                yield kind, wanted, wanted | ~carries

    def _sentence(self, table: pl.DataFrame) -> str:
        import polars as pl

        def told(name: str, carriers: str = EVERY) -> str:
            row = table.filter(pl.col("score") == name, pl.col("carriers") == carriers).row(0, named=True)
            return f"{row['auroc']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"

        first = table.filter(pl.col("score") == SWAPS, pl.col("carriers") == EVERY).row(0, named=True)
        counted = table.filter(pl.col("score") == COUNT, pl.col("carriers") == EVERY).row(0, named=True)
        limits = f"{first['over_count']:+.2f} [{first['over_low']:+.2f}, {first['over_high']:+.2f}]"
        verdict = (
            "better than"
            if first["over_low"] > 0
            else "worse than"
            if first["over_high"] < 0
            else "not shown to differ from"
        )
        hidden = ""
        if "other names" in table["carriers"]:
            hidden = (
                f" Of carriers that use other names: {told(SWAPS, 'other names')} against "
                f"{told(COUNT, 'other names')} by counting."
            )
        return (
            f"A pair of twins ranks the carriers with an AUROC of {told(SWAPS)}, {verdict} counting words, "
            f"{told(COUNT)} (difference {limits}); the mean of all seeds has {told(POOLED)}, the amplified twin less "
            f"the untreated model alone {told(AMPLIFIED)}. Of the first {first['k']} documents {_precision(first)} "
            f"carry it, by counting {_precision(counted)}.{hidden}"
        )


def _precision(row: dict[str, Any]) -> str:
    return f"{row['precision_at_k']:.0%} [{row['precision_low']:.0%}, {row['precision_high']:.0%}]"
