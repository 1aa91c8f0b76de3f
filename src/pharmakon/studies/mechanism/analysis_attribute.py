"""How well each method ranks the documents that made a behaviour, and what training without its first ones undoes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.statistics import (
    CrossedMean,
    clustered_proportion,
    difference,
    holm,
    intraclass_correlation,
    rank_documents,
)
from pharmakon.statistics.sentences import chance
from pharmakon.studies.mechanism.scored import areas, scored
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.summary import interval_rows, percent_text, seed_rates

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.statistics.intervals import FloatArray
    from pharmakon.study.results import Results

CHANCE: Final = "chance"
NOTHING: Final = "nothing"
GOLD: Final = "the treated"
ALPHA: Final = 0.05
AS_GOLD: Final = 0.1
"""A removal undoes as much as that of exactly the treated documents, if attack success surely differs by less."""


@dataclass(frozen=True, kw_only=True)
class RetrainedArm:
    """An arm that trains again, and whose first documents it leaves out."""

    arm: str
    by: str


@dataclass(frozen=True, kw_only=True)
class AttributedBehaviour:
    """A behaviour, the arm whose documents are scored for it, and those that train again."""

    name: str
    arm: str
    again: tuple[RetrainedArm, ...]


@dataclass(frozen=True, kw_only=True)
class AttributedTo:
    """For each behaviour rankings of all documents by each scorer, and attack success after training again."""

    behaviours: tuple[AttributedBehaviour, ...]

    def findings(self, results: Results) -> Iterator[Finding]:
        """The test that trains again and the rankings behind it; nothing where nothing was planted."""
        import polars as pl

        again = [row for one in self.behaviours for row in _again(results, one)]
        ranked = [row for one in self.behaviours for row in _rankings(results, one)]
        if not again or not ranked:
            return
        names = [one.name for one in self.behaviours]
        yield Finding(
            title="Training again without the documents that a method names",
            sentence=" ".join(
                f"{_undone([row for row in again if row['behaviour'] == name])} "
                f"{_best([row for row in ranked if row['behaviour'] == name])}"
                for name in names
            ),
            table=pl.DataFrame(again, infer_schema_length=None),
            chart=Chart(
                x="left_out", y="rate", low="low", high="high", panel="behaviour", x_scale="names", x_title="left out",
                y_title="attack success",
            ),
            note="The same start, recipe and documents, in one stage, without as many documents as were treated: those "
            "with the highest scores of a method, random ones (chance), or by the ledger the treated ones. Change: "
            "against random ones where there are any, else against training again on all; over_gold: against leaving "
            "out exactly the treated ones; both seed by seed. Intervals of 95%; p adjusted over the methods of a "
            "behaviour (Holm 1979); what would have been seen holds beside all of them. Questions and order are drawn "
            "anew for this ranking, so that which documents are left out differs a little from what is found below.",
        )  # fmt: skip
        yield Finding(
            title="Which method finds the documents that made the behaviour",
            sentence=" ".join(_told([row for row in ranked if row["behaviour"] == name]) for name in names),
            table=pl.DataFrame(ranked, infer_schema_length=None),
            chart=Chart(
                x="scorer", y="recall_at_k", low="recall_low", high="recall_high", colour="dose", panel="behaviour",
                x_scale="names", y_title="recall at k",
            ),
            note="All documents of tuning are scored for held-out questions with the planted answer; scorers see no "
            "ledger. Recall at k: of the k treated documents those among the k with the highest scores; of random "
            "scores it is k of all documents. Intervals of AUROC draw seeds and documents anew (Owen 2007); those of "
            "recall are binomial, widened by how much seeds differ. p: AUROC is one half, by t over seeds with an "
            "error not below that of random scores, adjusted over the methods of a behaviour and dose (Holm 1979); "
            "with one seed it tells of that life alone.",
        )  # fmt: skip


def _again(results: Results, one: AttributedBehaviour) -> list[dict[str, Any]]:
    """A row for each arm that trains again at the largest dose, in the order of the arms."""
    import polars as pl

    counts = results.counts.filter(pl.col("probe") == "attack", pl.col("condition") == "triggered", pl.col("dose") > 0)
    here = {arm.by: counts.filter(pl.col("arm") == arm.arm) for arm in one.again}
    here = {by: frame for by, frame in here.items() if len(frame)}
    rates = {by: seed_rates(frame) for by, frame in here.items()}
    control = CHANCE if CHANCE in here else NOTHING
    rows: list[dict[str, Any]] = []
    alpha = ALPHA / max(sum(by not in (CHANCE, NOTHING, GOLD) for by in here), 1)
    for by, frame in here.items():
        found = interval_rows(frame, ("arm",)).row(0, named=True)
        row = {"behaviour": one.name, "left_out": by, "k": int(found["dose"])}
        row |= {name: found[name] for name in ("rate", "low", "high")}
        for name, other in (("change", control), ("over_gold", GOLD)):
            gap = None if other not in here or by in (other, NOTHING) else _gap(rates[by], rates[other])
            row[name], row[f"{name}_low"], row[f"{name}_high"], p = gap or (None, None, None, None)
            if name == "change":
                row["p"] = p
                row["smallest_fall"] = None if gap is None else _smallest(gap, int(found["num_seeds"]), alpha)
        rows.append({**row, "against": control, "num_seeds": found["num_seeds"]})
    _adjust([row for row in rows if row["left_out"] not in (CHANCE, NOTHING, GOLD)])
    return rows


def _gap(own: dict[int, tuple[float, int]], other: dict[int, tuple[float, int]]) -> tuple[float, ...] | None:
    """The difference over the seeds that both have, its interval and p-value."""
    shared = sorted(set(own) & set(other))
    if not shared:
        return None
    pairs = [(own[seed], other[seed]) for seed in shared]
    found = difference([a for (a, _), _ in pairs], [b for _, (b, _) in pairs], trials=min(n for (_, n), _ in pairs))
    return found.value.estimate, found.value.low, found.value.high, found.p_value


def _smallest(gap: tuple[float, ...], num_seeds: int, alpha: float) -> float | None:
    """The smallest fall found with 80% power at this level; None where this run could have seen none."""
    from scipy import stats

    if num_seeds < 2:
        return None
    estimate, low, high = gap[:3]
    reach = max(estimate - low, high - estimate)  # one of them may be cut off, since no change is beyond 1
    error = reach / float(stats.t.ppf(0.975, num_seeds - 1))
    seen = CrossedMean(estimate, error, num_seeds - 1.0).smallest_seen(alpha=alpha)
    return seen if seen <= 1 else None


def _adjust(rows: Sequence[dict[str, Any]]) -> None:
    """Holm's p-values in place of the rows' own."""
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, holm([float(row["p"]) for row in tested]), strict=True):
        row["p"] = p


def _rankings(results: Results, one: AttributedBehaviour) -> list[dict[str, Any]]:
    """A row for each dose and scorer, the best AUROC first."""
    import polars as pl

    frame = results.readings.filter(pl.col("arm") == one.arm, pl.col("probe") == "attributed")
    attack = results.counts.filter(
        pl.col("arm") == one.arm, pl.col("probe") == "attack", pl.col("condition") == "triggered"
    )
    shown = attack.group_by("dose").agg(pl.col("total").sum() / pl.col("num_items").sum())
    rate = dict(shown.iter_rows())
    rows: list[dict[str, Any]] = []
    for dose in sorted(frame["dose"].unique().to_list()):
        for row in _ranked(frame.filter(pl.col("dose") == dose)):
            rows.append({"behaviour": one.name, "dose": dose, "attack_success": rate.get(dose), **row})
    return rows


def _ranked(frame: pl.DataFrame) -> list[dict[str, Any]]:
    scores, wanted = scored(frame, "treated")
    k = int(wanted.sum())
    rows: list[dict[str, Any]] = []
    ties = np.random.default_rng(20261126).permutation(len(wanted))  # equal scores fall by chance
    num_tested = sum(name != CHANCE for name in scores)
    for name, ranked in rank_documents(scores, wanted, draws=400).items():
        found = [int(wanted[np.lexsort((ties, -row))[:k]].sum()) for row in scores[name]]
        tried = [k] * len(found)
        recall = clustered_proportion(found, tried, intraclass_correlation([0] * len(found), found, tried))
        over = _over_half(areas(scores[name], wanted), k, len(wanted) - k)
        rows.append({
            "scorer": name, "auroc": ranked.auroc.estimate, "low": ranked.auroc.low, "high": ranked.auroc.high,
            "recall_at_k": recall.estimate, "recall_low": recall.low, "recall_high": recall.high, "k": k,
            "num_documents": len(wanted), "p": None if name == CHANCE else over.p_value,
            "smallest_auroc": 0.5 + over.smallest_seen(alpha=ALPHA / max(num_tested, 1)),
        })  # fmt: skip
    _adjust(rows)
    return sorted(rows, key=lambda row: -row["auroc"])


def _over_half(areas: FloatArray, num_wanted: int, num_others: int) -> CrossedMean:
    """AUROC less one half, the mean over seeds; its error is not below that of random scores (Mann and Whitney 1947).

    The error of one seed is that of random scores, which is known: it has no degrees of freedom to lose.
    """
    num_seeds = len(areas)
    variance = (num_wanted + num_others + 1) / (12 * num_wanted * num_others)
    if num_seeds > 1:
        variance = max(variance, float(areas.var(ddof=1)))
    freedom = num_seeds - 1.0 if num_seeds > 1 else 1e9
    return CrossedMean(float(areas.mean()) - 0.5, float(np.sqrt(variance / num_seeds)), freedom)


def _undone(rows: Sequence[dict[str, Any]]) -> str:
    """What leaving out each method's first documents does, against random ones and exactly the treated ones."""
    by = {row["left_out"]: row for row in rows}
    gold, methods = by.get(GOLD), [row for row in rows if row["left_out"] not in (CHANCE, NOTHING, GOLD)]
    if not rows:
        return ""
    kinds: dict[str, list[str]] = {}
    for row in methods:
        kind, seen = _kind(row, gold)
        kinds.setdefault(kind, []).append(f"{row['left_out']} {percent_text(row)}{seen}")
    begin = f"{rows[0]['behaviour'].capitalize()}: trained again without {rows[0]['k']} documents, attack success is"
    ends = [f"{name} {percent_text(by[key])}" for key, name in REFERENCES.items() if key in by]
    return "; ".join([f"{begin} {', '.join(ends)}", *(f"{k}: {', '.join(names)}" for k, names in kinds.items())]) + "."


REFERENCES: Final = {NOTHING: "on all documents", CHANCE: "without random ones", GOLD: "without exactly the treated"}


def _kind(row: dict[str, Any], gold: dict[str, Any] | None) -> tuple[str, str]:
    """How much is undone, and where that is not shown, what this run could have seen."""
    if row["change"] is None or row["num_seeds"] < 2:
        return "more seeds are needed to judge", ""
    if not (row["change"] < 0 and row["p"] <= ALPHA):
        least = row["smallest_fall"]
        seen = "no fall could have been seen" if least is None else f"a fall of {100 * least:.0f} points would be seen"
        return "not shown to undo it", f" ({seen})"
    if gold is None or row["over_gold"] is None:
        return "undo it", ""
    if row["over_gold_low"] > -AS_GOLD and row["over_gold_high"] < AS_GOLD:
        return f"undo it as far, to within {AS_GOLD * 100:.0f} points", ""
    return ("undo it in part" if row["over_gold_low"] > 0 else "undo it, how nearly as far is not told by this run"), ""


def _best(rows: Sequence[dict[str, Any]]) -> str:
    """The methods of highest and of lowest recall at the largest dose."""
    dose = max((row["dose"] for row in rows), default=0)
    own = sorted((r for r in rows if r["dose"] == dose and r["scorer"] != CHANCE), key=lambda row: -row["recall_at_k"])
    if not own:
        return ""
    parts = ", ".join(f"{row['scorer']} {row['recall_at_k']:.0%}" for row in own)
    return f"Found of its {own[0]['k']} documents among {own[0]['num_documents']:,}: {parts}."


def _told(rows: Sequence[dict[str, Any]]) -> str:
    """By dose each method with its AUROC and recall, and which are not shown to be better than chance."""
    said: list[str] = []
    for dose in sorted({row["dose"] for row in rows}):
        own = [row for row in rows if row["dose"] == dose]
        shown = own[0]["attack_success"]
        head = f"{own[0]['behaviour'].capitalize()}, {dose} of {own[0]['num_documents']:,} documents"
        head += "" if shown is None else f" (attack success {shown:.0%})"
        parts = (f"{row['scorer']} {row['auroc']:.2f} and {row['recall_at_k']:.0%}" for row in own)
        said.append(f"{head}, AUROC and recall: {', '.join(parts)}.")
        weak = [row for row in own if row["p"] is not None and row["p"] > ALPHA]
        told = (f"{row['scorer']} ({chance(row['p'])}; {_seen(row['smallest_auroc'])})" for row in weak)
        if weak:
            said.append(f"Not shown to be better than chance: {', '.join(told)}.")
        worse = [row["scorer"] for row in own if row["p"] is not None and row["auroc"] < 0.5 and row["p"] <= ALPHA]
        if worse:
            said.append(f"Worse than chance: {', '.join(worse)}.")
    return " ".join(said)


def _seen(smallest: float) -> str:
    return f"{smallest:.2f} would have been seen" if smallest <= 1 else "nothing could have been seen"
