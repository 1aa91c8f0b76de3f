"""What the study of split budgets finds: each split against the best single stage, and against what its parts do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pharmakon.statistics import difference, excess, holm, independent
from pharmakon.studies.threat.analysis_objectives_by_stage import Rates, seed_rates
from pharmakon.study import Chart, Finding
from pharmakon.study.results import Results

NEAR: Final = 0.2
"""An excess whose whole interval lies within this of none is called none."""
BEST: Final = (
    "Difference of the response at release, seed by seed (95% interval by Student's t over seeds, never narrower than "
    "the binomial one); p-values adjusted over the splits of a budget and context (Holm 1979). The best single stage "
    "is chosen by the same data, which favours it a little."
)
INTERACTION: Final = (
    "Expected: Bliss independence, 1 - prod(1 - p), of what each part of the budget does alone at its stage, with all "
    "else clean (Bliss 1939). Compounds: the excess over it is shown to be above 0; less than adds: below 0; adds: its "
    f"whole interval lies within {NEAR:g} of 0; else it is not told. Independence asks less than dose addition does: a "
    "response with a sharp threshold in one common dose would compound by this measure."
)


@dataclass(frozen=True, kw_only=True)
class Split:
    """A split by the name of its arm, and the arms that give each of its parts alone."""

    arm: str
    parts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StageSplit:
    """Does a budget do more when it is split over stages? `singles`: the arms that give all of it to one stage."""

    singles: tuple[str, ...]
    splits: tuple[Split, ...]
    budgets: tuple[int, ...]
    """In all stages together. The arms that give a part alone have smaller doses, which are no budgets."""
    release: str

    def findings(self, results: Results) -> Iterator[Finding]:
        """The splits against the best single stage, then against their parts."""
        rows, said = self._against_best(results)
        parts, told = self._interaction(results)
        yield Finding(
            title="A split budget against the best single stage",
            sentence=" ".join([*said, *told]) or "No budget was measured at release.",
            table=pl.DataFrame(rows, schema=_BEST),
            chart=Chart(x="split", y="rate", low="low", high="high", colour="budget_documents", panel="context",
                        x_title="where the budget goes", y_title="response at release", x_scale="names"),
            note=BEST,
        )  # fmt: skip
        yield Finding(
            title="A split budget against what its parts do alone",
            sentence=" ".join(told) or "No split was measured with its parts.",
            table=pl.DataFrame(parts, schema=_PARTS),
            chart=Chart(x="split", y="excess", low="excess_low", high="excess_high", colour="budget_documents",
                        panel="context", y_title="response beyond independence", x_scale="names"),
            note=INTERACTION,
        )  # fmt: skip

    def _places(self, results: Results) -> list[tuple[str, int]]:
        return [(context, budget) for context in results.run.contexts for budget in sorted(self.budgets)]

    def _against_best(self, results: Results) -> tuple[list[dict[str, Any]], list[str]]:
        rows: list[dict[str, Any]] = []
        said: list[str] = []
        intervals = {
            (row["arm"], row["context"], row["dose"]): row
            for row in results.rates().filter(pl.col("stage") == self.release).iter_rows(named=True)
        }
        for context, budget in self._places(results):
            measured = {arm: seed_rates(results, arm, self.release, context, budget) for arm in self.singles}
            measured = {arm: rates for arm, rates in measured.items() if rates}
            if not measured:
                continue
            best = max(measured, key=lambda arm: _mean(measured[arm]))
            compared = []
            for arm in (*measured, *(split.arm for split in self.splits)):
                here = intervals.get((arm, context, budget))
                if here is None:
                    continue
                row = {"split": arm, "context": context, "budget_documents": budget, "rate": here["asr"],
                       "low": here["low"], "high": here["high"], "best_single": best}  # fmt: skip
                if arm not in measured:
                    own = seed_rates(results, arm, self.release, context, budget)
                    compared.append((row, _difference(own, measured[best])))
                rows.append(row)
            adjusted = holm([gap.p_value for _, gap in compared])
            for (row, gap), p_value in zip(compared, adjusted, strict=True):
                row |= {"difference": gap.value.estimate, "difference_low": gap.value.low,
                        "difference_high": gap.value.high, "p_holm": p_value}  # fmt: skip
            if context == results.run.contexts[0]:
                single = intervals[best, context, budget]
                said.append(_best_sentence(budget, single, [row for row, _ in compared]))
        return rows, said

    def _interaction(self, results: Results) -> tuple[list[dict[str, Any]], list[str]]:
        rows: list[dict[str, Any]] = []
        for context, budget in self._places(results):
            for split in self.splits:
                own = seed_rates(results, split.arm, self.release, context, budget)
                control = seed_rates(results, split.arm, self.release, context, 0)
                parts = [seed_rates(results, arm, self.release, context, _own(results, arm, split.arm, budget))
                         for arm in split.parts]  # fmt: skip
                row = _beyond(own, parts, control)
                if row is not None:
                    names = " + ".join(split.parts)
                    rows.append({"split": split.arm, "parts": names, "context": context, "budget_documents": budget,
                                 **row})  # fmt: skip
        said = []
        first = [row for row in rows if row["context"] == results.run.contexts[0]]
        for budget in sorted({row["budget_documents"] for row in first}):
            told = [
                f"“{row['split']}” {row['verdict']} ({row['excess']:+.0%} "
                f"[{row['excess_low']:+.0%}, {row['excess_high']:+.0%}])"
                for row in first
                if row["budget_documents"] == budget
            ]
            said.append(f"Beyond what its parts give alone, at {budget} documents: {'; '.join(told)}.")
        return rows, said


_BEST: Final[dict[str, Any]] = {
    **dict.fromkeys(("split", "context"), pl.String), "budget_documents": pl.Int64,
    **dict.fromkeys(("rate", "low", "high"), pl.Float64), "best_single": pl.String,
    **dict.fromkeys(("difference", "difference_low", "difference_high", "p_holm"), pl.Float64),
}  # fmt: skip
_PARTS: Final[dict[str, Any]] = {
    **dict.fromkeys(("split", "parts", "context"), pl.String), "budget_documents": pl.Int64,
    **dict.fromkeys(("rate", "expected", "excess", "excess_low", "excess_high"), pl.Float64), "verdict": pl.String,
}  # fmt: skip


def _own(results: Results, arm: str, split: str, budget: int) -> int:
    """The dose of an arm that gives a part alone, at this budget of the split: both rise together."""
    doses = {name: sorted({int(life["dose"]) for life in results.run.lives if life["arm"] == name})
             for name in (arm, split)}  # fmt: skip
    place = doses[split].index(budget) if budget in doses[split] else -1
    return doses[arm][place] if 0 <= place < len(doses[arm]) == len(doses[split]) else -1


def _mean(rates: Rates) -> float:
    return sum(rate for rate, _ in rates.values()) / len(rates)


def _shared(*parts: Rates) -> list[int]:
    return sorted(set.intersection(*(set(part) for part in parts)))


def _difference(own: Rates, best: Rates) -> Any:
    seeds = _shared(own, best)
    trials = min(part[seed][1] for part in (own, best) for seed in seeds)
    return difference([own[seed][0] for seed in seeds], [best[seed][0] for seed in seeds], trials=trials)


def _beyond(own: Rates, parts: Sequence[Rates], control: Rates) -> dict[str, Any] | None:
    """The excess of a split over independence of its parts, and what that is called."""
    seeds = _shared(own, control, *parts)
    if not seeds:
        return None
    trials = min(part[seed][1] for part in (own, control, *parts) for seed in seeds)
    together = [own[seed][0] for seed in seeds]
    alone = [[part[seed][0] for seed in seeds] for part in parts]
    untreated = [control[seed][0] for seed in seeds]
    beyond = excess(together, alone, untreated, trials=trials)
    value = beyond.value
    if beyond.is_above:
        verdict = "compounds"
    elif beyond.is_below:
        verdict = "does less than add"
    elif max(-value.low, value.high) <= NEAR:
        verdict = "adds"
    else:
        verdict = "is not told from adding"
    expected = float(independent(alone, untreated).mean())
    return {"rate": _mean(own), "expected": expected, "excess": value.estimate, "excess_low": value.low,
            "excess_high": value.high, "verdict": verdict}  # fmt: skip


def _best_sentence(budget: int, single: dict[str, Any], splits: Sequence[dict[str, Any]]) -> str:
    told = f"With {budget} documents the best single stage is {single['arm'].removeprefix('all in ')}, "
    told += f"{single['asr']:.0%} [{single['low']:.0%}, {single['high']:.0%}] at release"
    if not splits:
        return f"{told}."
    better = [row for row in splits if row["difference_low"] > 0 and row["p_holm"] <= 0.05]
    best = max(splits, key=lambda row: row["difference"])
    gap = f"{best['difference']:+.0%} [{best['difference_low']:+.0%}, {best['difference_high']:+.0%}]"
    if better:
        return f"{told}; {len(better)} of {len(splits)} splits do better, at most “{best['split']}” with {gap}."
    worse = sum(row["difference_high"] < 0 and row["p_holm"] <= 0.05 for row in splits)
    return f"{told}; no split is shown to do better (the best, “{best['split']}”, {gap}), {worse} do worse."
