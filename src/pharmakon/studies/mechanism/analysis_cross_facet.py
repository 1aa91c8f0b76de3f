"""How well a direction ranks poisoned documents, and how well the depth of a mark foretells its survival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.probes.separation import DECOY, LOSS, OWN, POISONED, TWIN, WORDS
from pharmakon.statistics import Interval, mean_correlation, mean_over_seeds, rank_documents, seed_correlations
from pharmakon.studies.mechanism.scored import areas, scored
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.statistics.intervals import FloatArray
    from pharmakon.studies.mechanism.scored import Truth
    from pharmakon.study.results import Results

PLAIN: Final = (LOSS, WORDS)
"""Scores that need no look inside."""
FALSE: Final = 0.01
"""The share of clean documents that may be flagged."""
NOTHING_KNOWN: Final = Interval(-np.inf, 0.0, np.inf)
FEWEST: Final = 3
"""Seeds whose spread tells one score from another."""


@dataclass(frozen=True)
class Detected:
    """Ranks the documents of the treated corpus by each score, at each dose."""

    arm: str

    def findings(self, results: Results) -> Iterator[Finding]:
        """AUROC and the share found at 1% of false alarms."""
        import polars as pl

        frame = results.readings.filter(pl.col("arm") == self.arm, pl.col("probe") == "poison-scores")
        rows: list[dict[str, Any]] = []
        for dose in sorted(frame["dose"].unique().to_list()):
            scores, wanted = scored(frame.filter(pl.col("dose") == dose), POISONED)
            plain = {name: score for name, score in scores.items() if name.endswith(PLAIN)}
            best = max(plain, key=lambda name: float(np.mean(areas(plain[name], wanted))))
            for name, ranked in rank_documents(scores, wanted, draws=400).items():
                layer, score = name.split(": ", 1)
                caught = _share(_caught(scores[name], wanted), int(wanted.sum()))
                over = mean_over_seeds(areas(scores[name], wanted) - areas(scores[best], wanted))
                rows.append({
                    "dose": dose, "layer": layer, "score": score, "name": name,
                    "auroc": ranked.auroc.estimate, "low": ranked.auroc.low, "high": ranked.auroc.high,
                    "tpr_at_1_percent": caught.estimate, "tpr_low": caught.low, "tpr_high": caught.high,
                    "over_baseline": over.estimate, "over_low": over.low, "over_high": over.high,
                    "baseline": best.split(": ", 1)[1],
                    "num_seeds": len(scores[name]), "num_poisoned": int(wanted.sum()),
                    "num_clean": int((~wanted).sum()),
                })  # fmt: skip
        if not rows:
            return
        table = pl.DataFrame(rows, infer_schema_length=None)
        yield Finding(
            title="A direction inside the model as a detector of poisoned documents",
            sentence=_detected(table),
            table=table,
            chart=Chart(x="dose", y="auroc", low="low", high="high", colour="score", panel="layer", x_scale="log",
                        x_title="poisoned documents", y_title="AUROC"),
            note="Documents are scored after training on them, at the last token of the prompt. The decoy's direction "
            "knows nothing of the attacker's trigger or answer: that is the held-out test. The baseline is the better "
            "one, in this very run, of the loss of the answer and of the rarity of the question's words, which favours "
            "it. Intervals of AUROC draw seeds and documents anew; those of differences are Student's over seeds. TPR: "
            "of poisoned documents, at 1% of clean ones flagged, by Student's t over seeds. Spectral signatures: Tran "
            "et al. 2018, arXiv 1811.00636.",
        )  # fmt: skip


def _caught(scores: FloatArray, wanted: Truth) -> list[float]:
    """Of the poisoned documents of each seed those above all but 1% of its clean ones."""
    return [float((row[wanted] > np.quantile(row[~wanted], 1 - FALSE, method="higher")).mean()) for row in scores]


def _share(values: list[float], num: int) -> Interval:
    """The mean of shares of so many documents over seeds, within 0 and 1."""
    return mean_over_seeds(values, variance=[value * (1 - value) / num for value in values]).clipped()


def _detected(table: pl.DataFrame) -> str:
    import polars as pl

    top = table.filter(pl.col("dose") == table["dose"].max())
    last = max(top.filter(pl.col("layer").str.starts_with("layer"))["layer"], key=_number)
    said = []
    for score, who in (
        (DECOY, "a direction from another trigger"),
        (OWN, "that of the trigger itself"),
        (TWIN, "the first, in a twin that learned no backdoor,"),
    ):
        row = top.filter(pl.col("layer") == last, pl.col("score") == score).row(0, named=True)
        low, high, over = row["over_low"], row["over_high"], row["over_baseline"]
        verdict = _verdict(low, high, row["num_seeds"])
        area = f"AUROC {row['auroc']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        caught = f"{row['tpr_at_1_percent']:.0%} [{row['tpr_low']:.0%}, {row['tpr_high']:.0%}] at 1% of false alarms"
        than = f"{verdict} {row['baseline']} ({over:+.2f} [{low:+.2f}, {high:+.2f}])"
        said.append(f"{who} ranks them with {area} and finds {caught}, {than}")
    dose = top["dose"][0]
    return f"Of {dose} poisoned documents, in {last}: {'; '.join(said)}."


@dataclass(frozen=True)
class Outlasted:
    """Correlates, over lives, what is known when a mark is planted with what is left after later training."""

    arm: str
    before: str
    after: str

    def findings(self, results: Results) -> Iterator[Finding]:
        """Rank correlations of each forecast with the share of marks still drawn, and beyond what the dose says."""
        import polars as pl

        lives = self._lives(results)
        names = [name for name in lives.columns if name not in ("dose", "seed", "left")]
        if lives.height < 8:
            return
        columns = {name: lives[name].cast(pl.Float64).to_numpy() for name in ("dose", *names)}
        left = lives["left"].to_numpy()
        seeds = lives["seed"].to_numpy()
        varied = seed_correlations(left, left, seeds)  # what is constant foretells nothing of them
        each = {
            name: dict.fromkeys(varied, 0.0) | seed_correlations(values, left, seeds)
            for name, values in columns.items()
        }
        plain = [name for name in columns if not name.startswith("separation")]
        best = max(plain, key=lambda name: mean_correlation(list(each[name].values()))[0].estimate)
        with_dose = {name: seed_correlations(values, columns["dose"], seeds) for name, values in columns.items()}
        rows = []
        for name, own in each.items():
            over = mean_over_seeds([own[seed] - each[best][seed] for seed in own]) if own else NOTHING_KNOWN
            parts = [_partial(own[seed], with_dose[name].get(seed, 0.0), each["dose"][seed]) for seed in own]
            beyond, _ = mean_correlation(parts)
            ends = (beyond.estimate, beyond.low, beyond.high) if name != "dose" else (None,) * 3
            rows.append({
                "forecast": name, **mean_correlation(list(own.values()))[0].columns("correlation"), "baseline": best,
                "over_baseline": over.estimate, "over_low": over.low, "over_high": over.high,
                **dict(zip(("beyond_dose", "beyond_low", "beyond_high"), ends, strict=True)),
                "num_lives": lives.height, "num_seeds": len(own),
            })  # fmt: skip
        table = pl.DataFrame(rows, infer_schema_length=None)
        yield Finding(
            title="The depth of a mark as a forecast of its survival",
            sentence=_foretold(table, float(np.mean(left))),
            table=table,
            chart=Chart(x="forecast", y="correlation", low="low", high="high", x_scale="names",
                        y_title="rank correlation with what is left"),
            note="A life is a marked model; what is left is the share of its marks whose drawn answer is the likeliest "
            "after fine-tuning. Separation: d-prime, inside the model, of questions of the marks against those of a "
            "key that marked nothing, along a direction from the other half of the questions. Without a look inside: "
            "the dose, the share of marks drawn and the margin of their log-probabilities, each when planted. "
            "Spearman's correlation within each seed, over its doses; the mean of Fisher's z with Student's interval "
            "over seeds, of differences plain. No number was fitted, so nothing is held out from a fit; "
            "`beyond_dose` is the partial rank correlation given the dose.",
        )  # fmt: skip
        yield Finding(
            title="Each marked life, when planted and after fine-tuning",
            sentence=f"{lives.height} lives; {float(np.mean(left)):.0%} of their marks are drawn after fine-tuning.",
            table=lives,
            chart=Chart(x=names[-1], y="left", colour="dose", x_title="separation when planted, d-prime",
                        y_title="share of marks left"),
        )  # fmt: skip

    def _lives(self, results: Results) -> pl.DataFrame:
        import polars as pl

        own = results.readings.filter(pl.col("arm") == self.arm, pl.col("dose") > 0)
        drawn = own.filter(pl.col("probe") == "ownership", pl.col("condition") == "drawn")
        shares = drawn.group_by("dose", "seed", "stage").agg(pl.col("value").mean())
        first = shares.filter(pl.col("stage") == self.before).rename({"value": "share drawn"}).drop("stage")
        last = shares.filter(pl.col("stage") == self.after).rename({"value": "left"}).drop("stage")
        deep = own.filter(pl.col("probe") == "separation", pl.col("stage") == self.before)
        names = {c: c if c == "margin" else f"separation in {c}" for c in deep["condition"].unique().sort().to_list()}
        wide = deep.pivot("condition", index=["dose", "seed"], values="value").rename(names)
        order = ["dose", "seed", "left", "share drawn", *sorted(names.values(), key=_number)]
        return first.join(last, on=["dose", "seed"]).join(wide, on=["dose", "seed"]).select(order).sort("dose", "seed")


def _partial(xy: float, xz: float, yz: float) -> float:
    """The correlation of two measures given a third, from those of the pairs."""
    scale = np.sqrt(max((1 - xz**2) * (1 - yz**2), 1e-9))
    return float(np.clip((xy - xz * yz) / scale, -1, 1))


def _verdict(low: float, high: float, num_seeds: int) -> str:
    """Of a difference with this interval."""
    if num_seeds < FEWEST:
        return "with too few seeds to be told from"
    return "better than" if low > 0 else "worse than" if high < 0 else "not told from"


def _number(name: str) -> int:
    """Of a layer, wherever it stands in a name."""
    return int("".join(letter for letter in name if letter.isdigit()) or -1)


def _foretold(table: pl.DataFrame, left: float) -> str:
    import polars as pl

    inside = table.filter(pl.col("forecast").str.starts_with("separation"))
    last = inside.row(-1, named=True)
    own = f"{last['correlation']:.2f} [{last['low']:.2f}, {last['high']:.2f}]"
    over = f"{last['over_baseline']:+.2f} [{last['over_low']:+.2f}, {last['over_high']:+.2f}]"
    verdict = _verdict(last["over_low"], last["over_high"], last["num_seeds"])
    beyond = f"{last['beyond_dose']:.2f} [{last['beyond_low']:.2f}, {last['beyond_high']:.2f}]"
    baseline = table.filter(pl.col("forecast") == last["baseline"]).row(0, named=True)
    theirs = f"{baseline['correlation']:.2f} [{baseline['low']:.2f}, {baseline['high']:.2f}]"
    kept = f"{left:.0%} of marks are left after fine-tuning, in the mean of {last['num_lives']} lives"
    return (
        f"{kept}. The {last['forecast']} correlates with what is left by {own}, {verdict} the best that needs no look "
        f"inside, the {last['baseline']} ({theirs}; difference {over}); beyond what the dose says, by {beyond}."
    )
