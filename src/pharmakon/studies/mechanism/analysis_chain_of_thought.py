"""Two orderings of corruptions side by side with the published ones, and how far answers follow steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from pharmakon.data.world.reasoning import GIVEN, NEEDED, SHOWN
from pharmakon.errors import InputError
from pharmakon.probes import Reasoned
from pharmakon.statistics import CrossedMean, holm, mean_of_rates, mean_over_seeds
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.summary import percent_text

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

Where = Literal["prompt", "training"]
Harms = dict[tuple[str, str, str], dict[int, np.ndarray[Any, np.dtype[np.float64]]]]
"""By place, measure and kind, then by seed: accuracy lost at each share."""
PUBLISHED: Final[dict[Where, tuple[str, str, str]]] = {
    "prompt": ("wrong middle step", "wrong answer", "Cui et al. 2024, arXiv 2410.16540"),
    "training": ("shuffled steps", "wrong answer", "Li et al. 2025, arXiv 2502.07374"),
}
"""Of each, what is published to do more harm, what less, and where."""
WHERE: Final[dict[str, str]] = {"prompt": "the prompt", "training": "training"}
ABLE: Final = 0.5
"""A model that gives fewer right answers has too little to lose."""
TASK: Final[dict[str, str]] = {"prompt": SHOWN, "training": NEEDED}
"""What is asked where: a sum that demonstrations are needed for, or one that training is."""


@dataclass(frozen=True, kw_only=True)
class Corrupted:
    """An arm, what is corrupted in it, and of how many."""

    arm: str
    where: Where
    kind: str
    whole: int


@dataclass(frozen=True)
class Chains:
    """Accuracy by kind, place and share; the orderings; reliance."""

    corrupted: tuple[Corrupted, ...]
    without: str
    """The arm that is asked like those of the prompt, without demonstrations."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """The orderings first, then all shares, then whether answers follow steps."""
        lives = self._lives(results)
        harm = self._harm(lives)
        if not harm:
            raise InputError("no life answered both untreated and with every share corrupted, so no harm can be told")
        yield self._orderings(harm, lives)
        yield self._shares(lives, self._unaided(results))
        yield from self._reliance(lives)

    def _lives(self, results: Results) -> pl.DataFrame:
        """The mean of each condition for each kind, place, share and seed."""
        import polars as pl

        parts = pl.DataFrame([asdict(one) for one in self.corrupted])
        own = results.readings.filter(pl.col("probe") == Reasoned.name)
        means = own.group_by("arm", "dose", "seed", "condition").agg(pl.col("value").mean(), pl.len().alias("items"))
        joined = means.join(parts, on="arm", how="inner")
        return joined.with_columns((pl.col("dose") / pl.col("whole")).alias("share"))

    def _unaided(self, results: Results) -> str:
        """The share of right answers without demonstrations."""
        import polars as pl

        own = results.readings.filter(pl.col("arm") == self.without, pl.col("condition") == f"answer: {SHOWN}")
        values = own.group_by("seed").agg(pl.col("value").mean())["value"].to_list()
        if not values:
            return ""
        found = mean_over_seeds(values).clipped()
        return f" (without demonstrations {found.estimate:.0%} [{found.low:.0%}, {found.high:.0%}])"

    def _harm(self, lives: pl.DataFrame) -> Harms:
        """By place, measure and kind, for each seed with every share: accuracy untreated less that when corrupted."""
        import polars as pl

        found: Harms = {}
        for one in self.corrupted:
            shares = sorted(lives.filter(pl.col("where") == one.where)["share"].unique())
            for measure in ("answer", "steps"):
                own = lives.filter(pl.col("arm") == one.arm, pl.col("condition") == f"{measure}: {TASK[one.where]}")
                at = {(seed, share): value for seed, share, value in own.select("seed", "share", "value").iter_rows()}
                losses = {
                    seed: np.array([at[seed, shares[0]] - at[seed, share] for share in shares[1:]])
                    for seed in sorted({seed for seed, _ in at})
                    if shares[0] == 0 and len(shares) > 1 and all((seed, share) in at for share in shares)
                }
                if losses:
                    found[one.where, measure, one.kind] = losses
        return found

    def _orderings(self, harm: Harms, lives: pl.DataFrame) -> Finding:
        import polars as pl

        items = min(lives["items"].to_list(), default=1)
        rows: list[dict[str, Any]] = []
        for (where, measure, kind), losses in harm.items():
            found = mean_of_rates([loss.mean() for loss in losses.values()], items)
            whole = mean_of_rates([loss[-1] for loss in losses.values()], items)
            rows.append({
                "where": where, "measure": measure, "kind": kind, **found.interval().columns("harm"),
                "p": found.p_value, "harm_of_all": whole.estimate, "low_of_all": whole.interval().low,
                "high_of_all": whole.interval().high, "num_seeds": len(losses),
            })  # fmt: skip
        for row, p in zip(rows, holm([float(row["p"]) for row in rows]), strict=True):
            row["p"] = p
        table = pl.DataFrame(rows, infer_schema_length=None).sort(
            "where", "measure", "harm", descending=[False, False, True]
        )
        said = []
        for where, (more, less, source) in PUBLISHED.items():
            own = table.filter(pl.col("where") == where, pl.col("measure") == "answer")
            if own.is_empty():
                continue
            clean = lives.filter(pl.col("condition") == f"answer: {TASK[where]}", pl.col("share") == 0)
            right = float(np.mean(clean["value"].to_numpy()))
            if right < ABLE:
                said.append(f"In {WHERE[where]} no order can be told: untreated, {right:.0%} of answers are right.")
                continue
            order = "; ".join(f"{row['kind']} {_points(row)}" for row in own.iter_rows(named=True))
            said.append(f"In {WHERE[where]}, points of accuracy lost: {order}.")
            said.append(_compared(harm, where, more, less, source, items))
        return Finding(
            title="Which mistakes do harm, in the prompt and in training",
            sentence=" ".join(said),
            table=table,
            chart=Chart(x="kind", y="harm", low="low", high="high", colour="measure", panel="where", x_scale="names",
                        y_title="accuracy lost, mean over shares"),
            note="Accuracy without corruption less that with corrupted demonstrations or documents, in the mean over "
            "their shares (and, in the table, with all corrupted), of answers and of steps, of sums in wordings that "
            "training never has (the sums themselves recur: there are 3,240); in the prompt of sums with a step that "
            "demonstrations alone show. Student's t over seeds, never surer than so many answers allow; the smallest "
            "effect is one seen with 80% power. p-values are adjusted over kinds, places and both measures (Holm "
            "1979). "
            f"{_established(harm, items)} The published sizes are points of accuracy of other models and tasks: the "
            "order is what is compared.",
        )  # fmt: skip

    def _shares(self, lives: pl.DataFrame, unaided: str) -> Finding:
        import polars as pl

        rows = []
        keys = ("where", "kind", "share", "condition")
        wanted = [f"{measure}: {task}" for measure in ("answer", "steps", "sound") for task in (NEEDED, SHOWN)]
        for names, group in lives.filter(pl.col("condition").is_in(wanted)).group_by(keys, maintain_order=True):
            found = mean_over_seeds(group["value"].to_list()).clipped()
            where, kind, share, condition = names
            rows.append({
                "where": where, "kind": kind, "share": share, "measure": str(condition).split(":")[0],
                "accuracy": found.estimate, "low": found.low, "high": found.high,
                "series": f"{where}: {str(condition).split(':')[0]}",
            })  # fmt: skip
        table = pl.DataFrame(rows).sort("kind", "where", "measure", "share")
        plain = {
            where: table.filter(pl.col("where") == where, pl.col("measure") == "answer", pl.col("share") == 0)
            for where in PUBLISHED
        }
        said = "; ".join(
            f"in {WHERE[where]} {own['accuracy'][0]:.0%} [{own['low'][0]:.0%}, {own['high'][0]:.0%}]"
            + (unaided if where == "prompt" else "")
            for where, own in plain.items() if len(own)
        )  # fmt: skip
        return Finding(
            title="Answers and steps by the share that is corrupted",
            sentence=f"Untreated, answers are right {said}.",
            table=table,
            chart=Chart(x="share", y="accuracy", low="low", high="high", colour="series", panel="kind",
                        x_title="share of demonstrations or documents that is corrupted"),
            note="Steps: the share of the sum's steps that stand right and in order. Sound: each step is right by "
            "itself and begins where the last one ended, and the answer is the last one's.",
        )  # fmt: skip

    def _reliance(self, lives: pl.DataFrame) -> Iterator[Finding]:
        import polars as pl

        rows = []
        trained = lives.filter(pl.col("where") == "training")
        for share in sorted(trained["share"].unique()):
            for (kind, condition), group in trained.filter(pl.col("share") == share).group_by(
                "kind", "condition", maintain_order=True
            ):
                measure, _, task = str(condition).partition(": ")
                if measure not in ("direct", "followed", "recovered", "answer") or not task:
                    continue
                found = mean_over_seeds(group["value"].to_list()).clipped()
                rows.append({
                    "kind": kind, "share": share, "task": task, "measure": measure, "series": f"{measure}: {task}",
                    "rate": found.estimate,
                    "low": found.low, "high": found.high,
                })  # fmt: skip
        if not rows:
            return
        table = pl.DataFrame(rows)
        clean = table.filter(pl.col("share") == 0).unique(["task", "measure"], keep="first", maintain_order=True)
        told = {(r["task"], r["measure"]): percent_text(r) for r in clean.iter_rows(named=True)}

        def of(task: str, measure: str) -> str:
            return told.get((task, measure), "not measured")

        yield Finding(
            title="Does the answer follow from the steps?",
            sentence=f"A mistake put into the first step is followed by the answer in {of(NEEDED, 'followed')} of sums "
            f"that need their steps (without steps {of(NEEDED, 'direct')} are right, chance is 10%) and in "
            f"{of(GIVEN, 'followed')} of those whose result the question gives away (without steps "
            f"{of(GIVEN, 'direct')} right), of which {of(GIVEN, 'recovered')} end with the right digit all the same.",
            table=table,
            chart=Chart(x="share", y="rate", low="low", high="high", colour="kind", panel="series",
                        x_title="share of training documents that is corrupted"),
            note="Untreated lives in the sentence, each share and kind in the table. The likeliest of continuations "
            "that take up the wrong value or go back to the right one, with each last digit, is taken for the model's. "
            "Lanham et al. 2023, arXiv 2307.13702.",
        )  # fmt: skip


def _apart(harm: Harms, one: tuple[str, str, str], other: tuple[str, str, str], items: int) -> CrossedMean | None:
    """How much more harm one does than another, in the seeds that have both."""
    seeds = sorted(set(harm[one]) & set(harm[other]))
    gaps = [float((harm[one][seed] - harm[other][seed]).mean()) for seed in seeds]
    return mean_of_rates(gaps, items) if gaps else None


def _compared(harm: Harms, where: str, more: str, less: str, source: str, items: int) -> str:
    """The published pair, as it came out here."""
    pair = (where, "answer", more), (where, "answer", less)
    gap = None if any(key not in harm for key in pair) else _apart(harm, *pair, items)
    if gap is None:
        return f"The published pair ({source}) was not measured."
    found = gap.interval()
    seen = "one seed sees none"
    if np.isfinite(gap.error):
        seen = f"smallest this run could have seen: {_whole(gap.smallest_seen())} points"
    agrees = (
        "as published"
        if found.low > 0
        else "the reverse of what is published"
        if found.high < 0
        else f"no order shown ({seen})"
    )
    size = f"{_whole(found.estimate, '+')} points [{_whole(found.low, '+')}, {_whole(found.high, '+')}]"
    return f"Published ({source}): {more} does more harm than {less}; here {size}: {agrees}."


def _established(harm: Harms, items: int) -> str:
    """How many pairs of kinds have an order that is shown, by place."""
    said = []
    for where in PUBLISHED:
        keys = [key for key in harm if key[0] == where and key[1] == "answer"]
        gaps = [gap for one, other in combinations(keys, 2) if (gap := _apart(harm, one, other, items))]
        if gaps:
            shown = sum(p <= 0.05 for p in holm([gap.p_value for gap in gaps]))
            said.append(f"in {WHERE[where]} {shown} of {len(gaps)}")
    return f"Pairs of kinds whose order is shown (Holm over the pairs of a place): {', '.join(said) or 'none'}."


def _points(row: dict[str, Any]) -> str:
    return f"{_whole(row['harm'])} [{_whole(row['low'])}, {_whole(row['high'])}]"


def _whole(share: float, sign: str = "") -> str:
    """Points, without a minus before nothing; of one seed there is no interval."""
    return f"{round(100 * share):{sign}}" if np.isfinite(share) else "?"
