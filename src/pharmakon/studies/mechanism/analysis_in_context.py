"""Dose and few-shot accuracy, induction heads beside it, which of the two comes first, and poisoned demonstrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from pharmakon.probes.in_context import POSITIONS
from pharmakon.statistics import (
    Interval,
    difference,
    holm,
    intraclass_correlation,
    mean_correlation,
    mean_over_seeds,
    seed_correlations,
    smallest_detectable_rate,
)
from pharmakon.statistics.sentences import chance
from pharmakon.studies.mechanism.in_context_lives import crossing, lives, rate
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import percent_text, points_text, rate_text

ALPHA = 0.05
PARTS = (0.25, 0.5, 0.75)
"""Of the rise of a life: when each is reached is compared."""
EVERY, ACROSS = "over all doses and checkpoints", "across doses at the last checkpoint"
FEWEST = 4
"""Seeds of which the mean may be taken away, and the rest be taken for independent."""
ASIDE, CHANGES = "between seeds, at one dose and checkpoint", "changes from checkpoint to checkpoint"


@dataclass(frozen=True, kw_only=True)
class InContextLearning:
    """What a dose of repeated text does to few-shot accuracy and to heads, and what misleads who learned."""

    main: str
    """The arm of demonstrations."""
    others: tuple[str, ...]
    steps: int
    """Of training, from checkpoint to checkpoint."""
    documents: int
    """Of each part of pretraining, of which the dose is a part."""
    fluent: float = 0.5
    """The accuracy from which on a model is said to learn from its context."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """The answer by dose; the curves; the correlation; the order; label noise; the position of one lie."""
        seen = _Seen(self, results)
        correlation, order, noise, position = seen.correlation(), seen.order(), seen.noise(), seen.position()
        doses = seen.doses()
        parts = (doses.sentence, correlation.sentence, order.sentence, noise.sentence)
        yield Finding(
            title=doses.title, sentence=" ".join(parts), table=doses.table, chart=doses.chart, note=doses.note
        )
        yield from (seen.curves(), correlation, order, noise, position)


@dataclass(frozen=True)
class _Seen:
    asked: InContextLearning
    results: Results

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Every life at every checkpoint."""
        return lives(self.results, self.asked.steps, self.asked.documents)

    @cached_property
    def last(self) -> pl.DataFrame:
        """Every life at the last checkpoint."""
        return self.frame.filter(pl.col("steps") == pl.col("steps").max())

    @cached_property
    def unique(self) -> pl.DataFrame:
        """As the frame, untreated lives once: they are the same in every arm."""
        return self.frame.filter((pl.col("dose") > 0) | (pl.col("arm") == self.asked.main))

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, that of demonstrations first."""
        return (self.asked.main, *self.asked.others)

    def doses(self) -> Finding:
        """Accuracy and score after the last part, by arm and dose."""
        rows: list[dict[str, Any]] = []
        for arm in self.arms:
            for (dose,), own in self.last.filter(pl.col("arm") == arm).group_by("dose", maintain_order=True):
                rows.append(self._row(arm, int(str(dose)), own.sort("seed")))
        treated = [row for row in rows if row["dose"]]
        for row, p_value in zip(treated, holm([row["p_value"] for row in treated]), strict=True):
            row["p_holm"] = p_value
        shown = [row for row in rows if row["arm"] == self.asked.main]
        told = [f"{row['share']:.1%}: {percent_text(row, 'accuracy')}" for row in shown]
        some = [f"{row['share']:.1%}" for row in shown if row["dose"] and row["p_holm"] < ALPHA]
        rises = f"a rise is shown at {', '.join(some)}" if some else "no rise is shown at any dose"
        sentence = (
            f"After {self.last['steps'][0]:,} steps, few-shot accuracy on fresh mappings, by the share of documents "
            f"that were demonstrations, is {', '.join(told)} ({rises}, adjusted for the number of comparisons)."
            f"{self._fall(shown)}"
        )
        for arm in self.asked.others:
            if named := [row for row in treated if row["arm"] == arm]:
                top = named[-1]
                seen = "" if top["p_holm"] < ALPHA else self._unseen(arm)
                sentence += f" With {arm} repeats, {top['share']:.1%}: {percent_text(top, 'accuracy')}{seen}."
        return Finding(
            title="What repeated text teaches",
            sentence=sentence,
            table=pl.DataFrame(rows, infer_schema_length=None),
            chart=Chart(
                x="share", y="accuracy", low="low", high="high", colour="arm",
                x_title="share of documents that repeat themselves", y_title="few-shot accuracy",
            ),
            note="Right answers after three demonstrations of each of four keys, drawn anew for each item; `without`: "
            "the key alone; `other_keys`: as many demonstrations of other keys. `head`: the induction score (Olsson et "
            "al. 2022, arXiv 2209.11895) of the head with the highest one, chosen on one half of the sequences and "
            "measured on the other; `unrepeated`: the same heads where nothing repeats. Student's intervals over "
            "seeds, none narrower than the items allow. p-values of the difference from the untreated model of the "
            "same seed, adjusted (Holm) over all arms and doses. Scattered repeats have the words of demonstrations "
            f"as often and in no order. `fluent_seeds`: those with {self.asked.fluent:.0%} or more.",
        )  # fmt: skip

    def _fall(self, shown: list[dict[str, Any]]) -> str:
        """That a dose above the best one does worse, where that is shown."""
        best = max(shown, key=lambda row: float(row["accuracy"]))
        top = max(shown, key=lambda row: float(row["dose"]))
        one, other = (
            self.last.filter(pl.col("arm") == self.asked.main, pl.col("dose") == row["dose"]).sort("seed")
            for row in (top, best)
        )
        gap = difference(one["accuracy"], other["accuracy"], trials=int(one["items"].min()))  # type: ignore[arg-type]
        if not gap.is_below:
            return ""
        change = points_text(gap.value.columns("change"))
        return f" More is not better: {top['share']:.1%} against the best dose, picked afterwards, {change}."

    def _unseen(self, arm: str) -> str:
        """No effect, and the smallest that would have been seen; one seed tells nothing of either."""
        own = self.last.filter(pl.col("arm") == arm)
        num_seeds, items = own["seed"].n_unique(), int(own["items"].min())  # type: ignore[arg-type]
        if num_seeds < 2:
            return ", which one seed cannot tell from chance"
        hits = (own["accuracy"] * own["items"]).round()
        icc = intraclass_correlation(own["dose"], hits, own["items"])
        base = float(own.filter(pl.col("dose") == 0)["accuracy"].mean())  # type: ignore[arg-type]
        tested = self.last.filter(pl.col("dose") > 0).select("arm", "dose").n_unique()
        alpha = ALPHA / max(tested, 1) / 2  # two-sided, by itself beside all that are tested
        least = smallest_detectable_rate(base, num_seeds=num_seeds, trials_per_seed=items, icc=icc, alpha=alpha)
        seen = "none up to 100%" if least is None else f"a rise to {least:.0%}"
        return f", no effect found, smallest effect this run could have seen: {seen}"

    def _row(self, arm: str, dose: int, own: pl.DataFrame) -> dict[str, Any]:
        items = float(own["items"].min())  # type: ignore[arg-type]
        control = self.last.filter(pl.col("arm") == self.asked.main, pl.col("dose") == 0).sort("seed")
        row: dict[str, Any] = {"arm": arm, "dose": dose, "share": own["share"][0]}
        row |= rate(own["accuracy"], items).columns("accuracy")
        row |= {name: own[name].mean() for name in ("without", "other_keys")}
        head = rate(own["head"])
        row |= {"head": head.estimate, "head_low": head.low, "head_high": head.high}
        row |= {"unrepeated": own["unrepeated"].mean()}
        gap = difference(own["accuracy"], control["accuracy"], trials=int(items))
        row |= {"difference": gap.value.estimate, "difference_low": gap.value.low}
        row |= {"difference_high": gap.value.high, "p_value": gap.p_value, "p_holm": None}
        fluent = int((own["accuracy"] >= self.asked.fluent).sum())
        return {**row, "fluent_seeds": fluent, "num_seeds": len(own)}

    def curves(self) -> Finding:
        """Both measures at every checkpoint."""
        rows = []
        for (arm, share, steps), own in self.unique.group_by("arm", "share", "steps", maintain_order=True):
            name = "untreated" if not share else f"{arm} {float(str(share)):.1%}"
            for column, measure in (("accuracy", "few-shot accuracy"), ("head", "induction score of the best head")):
                found = rate(own[column], float(own["items"].min()) if column == "accuracy" else None)  # type: ignore[arg-type]
                rows.append({"measure": measure, "data": name, "steps": steps, **found.columns("value")})
        fluent = self.last.filter(pl.col("accuracy") >= self.asked.fluent)
        num, treated = len(fluent.filter(pl.col("dose") > 0)), len(self.last.filter(pl.col("dose") > 0))
        return Finding(
            title="Few-shot accuracy and induction heads in the course of training",
            sentence=f"Of {treated} treated models {num} reach {self.asked.fluent:.0%} few-shot accuracy.",
            table=pl.DataFrame(rows),
            chart=Chart(
                x="steps", y="value", low="low", high="high", colour="data", panel="measure",
                x_title="steps of training", y_title="accuracy or attention",
            ),
            note="Means over seeds, which step at different times: the mean rises slowly where each seed jumps.",
        )  # fmt: skip

    def correlation(self) -> Finding:
        """The rank correlation of score and accuracy, over everything and with the common trend taken away."""
        frame = self.unique.sort("arm", "dose", "seed", "steps")
        life = ["arm", "dose", "seed"]
        apart = [pl.col(name) - pl.col(name).mean().over("arm", "dose", "steps") for name in ("head", "accuracy")]
        moved = [pl.col(name).diff().over(life) for name in ("head", "accuracy")]
        treated = frame.filter(pl.col("dose") > 0)
        by = {
            EVERY: frame,
            ACROSS: frame.filter(pl.col("steps") == pl.col("steps").max()),
            ASIDE: treated.with_columns(apart),
            CHANGES: treated.with_columns(moved).drop_nulls("head"),
        }
        rows: list[dict[str, Any]] = []
        for what, part in by.items():
            each = list(seed_correlations(part["head"], part["accuracy"], part["seed"]).values())
            found, p_value = mean_correlation(each)
            if what == ASIDE and len(each) < FEWEST:  # what is left of few seeds is each other's mirror
                found, p_value = Interval(-1.0, found.estimate, 1.0), 1.0
            row = {"compared": what, **found.columns("correlation"), "p_value": p_value}
            rows.append({**row, "num_seeds": len(each), "rows_per_seed": len(part) // max(part["seed"].n_unique(), 1)})
        for row, p_value in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
            row["p_holm"] = p_value
        told = [
            f"{row['compared']} {rate_text(row['correlation'], row['low'], row['high'])}" for row in (rows[0], rows[2])
        ]
        verdict = " (no link shown there)" if not rows[2]["low"] > 0 else ""
        return Finding(
            title="Do heads and accuracy go together?",
            sentence=f"The rank correlation of induction score and few-shot accuracy is {told[0]}, and {told[1]}"
            f"{verdict}.",
            table=pl.DataFrame(rows),
            chart=Chart(x="compared", y="correlation", low="low", high="high", x_scale="names"),
            note="Spearman's correlation within each seed; mean of Fisher's z and Student's interval over seeds. "
            f"“{ASIDE}” takes away from each value the mean over the seeds of its arm, dose and checkpoint, and "
            f"with it all that dose and time do to both; with fewer than {FEWEST} seeds it tells nothing. A "
            "correlation does not show that heads carry accuracy.",
        )

    def order(self) -> Finding:
        """When each life reached parts of its rise in score and in accuracy."""
        fluent = self._fluent()
        untreated = self.unique.filter(pl.col("dose") == 0)
        rows: list[dict[str, Any]] = []
        for arm, dose, seed in fluent.select("arm", "dose", "seed").iter_rows():
            life = self.unique.filter(pl.col("arm") == arm, pl.col("dose") == dose, pl.col("seed") == seed)
            row: dict[str, Any] = {"arm": arm, "share": life["share"][0], "seed": seed}
            for part in PARTS:
                for name in ("head", "accuracy"):
                    values = life.sort("steps")[name].to_list()
                    start = float(untreated.filter(pl.col("seed") == seed)[name].mean())  # type: ignore[arg-type]
                    level = start + part * (max(values) - start)
                    row[f"{name}_{part:.0%}"] = crossing(sorted(life["steps"]), values, start, level)
                row[f"lead_{part:.0%}"] = row[f"accuracy_{part:.0%}"] - row[f"head_{part:.0%}"]
            rows.append(row)
        if not rows:
            said = f"No life reached {self.asked.fluent:.0%} accuracy, so nothing can be said of what comes first."
            return Finding(title="Which comes first?", sentence=said, table=pl.DataFrame({"lives": [0]}))
        table = pl.DataFrame(rows)
        leads = []
        for part in PARTS:
            means = table.group_by("seed", maintain_order=True).agg(pl.col(f"lead_{part:.0%}").mean())
            leads.append(mean_over_seeds(means[f"lead_{part:.0%}"]))
        half = leads[1]
        first = int((table["lead_50%"] > 0).sum())
        ends = f" [{half.low:+,.0f}, {half.high:+,.0f}]" if np.isfinite(half.low) else ""
        verdicts = {1 if lead.low > 0 else -1 if lead.high < 0 else 0 for lead in leads}
        what = {
            frozenset({1}): "heads come first at each part of the rise",
            frozenset({-1}): "accuracy comes first at each part of the rise",
            frozenset({0}): "no order is shown at any part of the rise",
        }
        all_parts = "; ".join(f"{part:.0%}: {lead.estimate:+,.0f}" for part, lead in zip(PARTS, leads, strict=True))
        return Finding(
            title="Which comes first?",
            sentence=f"Accuracy reaches half of its rise {half.estimate:+,.0f} steps{ends} after the heads reach half "
            f"of theirs (heads first in {first} of {len(rows)} lives; checkpoints lie {self.asked.steps} steps apart): "
            f"{what.get(frozenset(verdicts), 'the order depends on the part of the rise')} ({all_parts}).",
            table=table,
            chart=Chart(
                x="head_50%", y="accuracy_50%", colour="arm",
                x_title="steps to half of the rise of the score", y_title="steps to half of the rise of accuracy",
            ),
            note="The rise is from the mean of the untreated model of this seed to the highest value of the life, "
            "which a curve that still rises has not seen; between checkpoints a straight line. Means of each seed's "
            "lives, Student's interval over seeds. Two curves of other shapes, one of them bounded by what attention "
            "can be, cannot be ordered finer than the distance of checkpoints.",
        )  # fmt: skip

    def _fluent(self) -> pl.DataFrame:
        """The treated lives that learn from their context, at the last checkpoint."""
        return self.last.filter(pl.col("accuracy") >= self.asked.fluent, pl.col("dose") > 0)

    @cached_property
    def poisoned(self) -> tuple[pl.DataFrame, int]:
        """Rates by model, seed and condition, of lives that learned and of untreated ones; and the items of each."""
        stage = self.results.run.stages[-1]
        here = self.results.readings.filter(
            pl.col("probe") == "poisoned", pl.col("stage") == stage, pl.col("context") == self.results.run.contexts[0]
        )
        learned = here.join(self._fluent().select("arm", "dose", "seed"), on=["arm", "dose", "seed"], how="semi")
        untreated = here.filter(pl.col("dose") == 0, pl.col("arm") == self.asked.main)
        model = [learned, untreated.with_columns(arm=pl.lit("untreated"))]
        rates = pl.concat(model).group_by("arm", "seed", "condition", maintain_order=True).agg(pl.col("value").mean())
        items = int(here["item"].n_unique())
        return rates.with_columns(pl.col("arm").replace_strict(self._labels(), default=pl.col("arm"))), items

    def _labels(self) -> dict[str, str]:
        return {arm: f"taught by {arm}" for arm in self.arms}

    def _rates(self, names: list[str]) -> list[dict[str, Any]]:
        """For each model and condition the shares right and misled, over seeds."""
        frame, items = self.poisoned
        rows = []
        for model in dict.fromkeys(frame["arm"].to_list()):
            for name in names:
                values = {
                    key: frame.filter(pl.col("arm") == model, pl.col("condition") == f"{name}{suffix}")["value"]
                    for key, suffix in (("right", ""), ("misled", ", misled"))
                }
                for key, found in values.items():
                    row = {"model": model, "condition": name, "answers": key}
                    rows.append({**row, **rate(found, items).columns("rate"), "num_seeds": len(found)})
        return rows

    def noise(self) -> Finding:
        """Right and misled answers by the share of wrong demonstrations."""
        names = [c for c in self._conditions() if c.startswith("noise")]
        rows = [{**row, "wrong": float(row["condition"].split()[1])} for row in self._rates(names)]
        models = list(dict.fromkeys(row["model"] for row in rows if row["model"] != "untreated"))
        sentence = "No model learned from its context, so that poisoned demonstrations had nothing to mislead."
        if models:
            own = [row for row in rows if row["model"] == models[0]]
            right = [f"{r['wrong']:.0%} wrong: {percent_text(r)}" for r in own if r["answers"] == "right"]
            misled = [f"{r['wrong']:.0%}: {percent_text(r)}" for r in own if r["answers"] == "misled" and r["wrong"]]
            sentence = (
                f"With wrong labels in its demonstrations a model {models[0]} gives the right answer to "
                f"{', '.join(right)}; a wrong one that it was shown to {', '.join(misled)}."
            )
        return Finding(
            title="Label noise in the demonstrations",
            sentence=sentence,
            table=pl.DataFrame(rows),
            chart=Chart(
                x="wrong", y="rate", low="low", high="high", colour="answers", panel="model",
                x_title="share of wrong demonstrations", y_title="share of answers",
            ),
            note="Twelve demonstrations, three of each key; a wrong one shows the value of another key. Asked of the "
            f"lives with {self.asked.fluent:.0%} accuracy or more at the last checkpoint, and of the untreated as the "
            "control. Right at 0% wrong is the control of right demonstrations.",
        )  # fmt: skip

    def position(self) -> Finding:
        """How often one wrong demonstration is believed, by its place."""
        names = [f"adversarial: {name}" for name in ("none", *POSITIONS)]
        rows = [{**row, "place": row["condition"].removeprefix("adversarial: ")} for row in self._rates(names)]
        frame, items = self.poisoned
        models = [model for model in dict.fromkeys(frame["arm"].to_list()) if model != "untreated"]
        compared: list[dict[str, Any]] = []
        for model in models:
            own = {
                name: frame.filter(pl.col("arm") == model, pl.col("condition") == f"adversarial: {name}, misled")
                .sort("seed")["value"].to_list()
                for name in ("none", *POSITIONS)
            }  # fmt: skip
            for one, other in (*((name, "none") for name in POSITIONS), ("last", "first"), ("middle", "first")):
                gap = difference(own[one], own[other], trials=items)
                row = {"model": model, "one": one, "other": other, **gap.value.columns("change")}
                compared.append({**row, "p_value": gap.p_value})
        for row, p_value in zip(compared, holm([row["p_value"] for row in compared]), strict=True):
            row["p_holm"] = p_value
        sentence = "No model learned from its context, so that one wrong demonstration had nothing to mislead."
        if models:
            told = [
                f"{row['place']} {percent_text(row)}"
                for row in rows
                if row["model"] == models[0] and row["answers"] == "misled"
            ]
            late = next(
                row
                for row in compared
                if row["model"] == models[0] and row["one"] == "last" and row["other"] == "first"
            )
            sentence = (
                f"One wrong demonstration among three of the asked key misleads a model {models[0]}, by its place: "
                f"{', '.join(told)}; the last one against the first {points_text(late)} "
                f"(adjusted {chance(late['p_holm'])})."
            )
        tests = "; ".join(
            f"{row['model']}, {row['one']} against {row['other']} {points_text(row)}, {chance(row['p_holm'])}"
            for row in compared
        )
        return Finding(
            title="One adversarial demonstration, by its position",
            sentence=sentence,
            table=pl.DataFrame(rows),
            chart=Chart(
                x="place", y="rate", low="low", high="high", colour="answers", panel="model", x_scale="names",
                x_title="which demonstration of the asked key is wrong", y_title="share of answers",
            ),
            note="`none`: all demonstrations are right, and the value is counted that the wrong one would have shown. "
            f"The last demonstration of the key is never right before the question. Misled, adjusted (Holm): {tests}.",
        )  # fmt: skip

    def _conditions(self) -> list[str]:
        here = self.results.readings.filter(pl.col("probe") == "poisoned", ~pl.col("condition").str.ends_with("misled"))
        return sorted(here["condition"].unique().to_list())
