"""What is left of told codes after so many clean steps, by which law it falls, and what it takes to restore them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pharmakon.errors import InputError
from pharmakon.statistics import Decay, Interval, decay, dose_reaching, holm, mean_over_seeds
from pharmakon.statistics.intervals import FloatArray
from pharmakon.studies.trust.lives import within
from pharmakon.study import Chart, Finding

if TYPE_CHECKING:
    from pharmakon.study.results import Results

LEARNED: Final = "told the first time"
FOLLOWING: Final = "told, then clean training"
AGAIN: Final = "told again"
FRESH: Final = "fresh codes told"
FRESH_FIRST: Final = "fresh codes told the first time"
EASE: Final = "fresh codes, each set against its own first time"
RECALL, NATS, BITS = "codes said", "knowledge, nats", "exposure, bits"
MEASURES: Final = {RECALL: ("recall", "triggered"), NATS: ("knowledge", "triggered"), BITS: ("knowledge", "exposure")}
ALPHA: Final = 0.05
HALF: Final = 0.5
MOST_BITS: Final = 5.0
MEASURED: Final = (
    "Codes said: the whole code in a greedy answer. Knowledge: the log-probability of the own code less the mean of 31 "
    "codes of nobody, in nats. Exposure: log2 of 32 less log2 of the rank among them, at most 5 bits (Carlini et al. "
    "2019, arXiv 1802.08232)"
)


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """Retention by steps since the last exposure, its law and half-life, and savings when codes are told again."""

    row: tuple[str, ...]
    """The stages of clean training after the one in which codes are told, that one first."""
    batch: int
    """Documents a step."""
    forgotten: int
    """The dose after which codes are told again."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """Raises InputError where nothing was told, or no control was kept."""
        levels = _Levels.of(results)
        steps = self._steps(results)
        curves = {
            (measure, dose): found
            for measure in MEASURES
            for dose in levels.doses(FOLLOWING)
            if dose and (found := self._excess(levels, measure, dose)) is not None and dose in steps
        }
        if not curves:
            raise InputError("no seed has both a life that was told codes and one that was not. Run the study again")
        laws = {key: _laws(steps[key[1]], curve) for key, curve in curves.items()}
        savings = self._savings(levels)
        yield self._half_lives(curves, laws, steps, savings)
        yield self._retention(levels, steps)
        yield _compared(laws)
        yield savings
        yield self._by_dose(levels)

    def _steps(self, results: Results) -> dict[int, FloatArray]:
        """Of each dose, steps since the last exposure at each checkpoint, in the mean over codes and seeds."""
        hosts = results.run.host_documents
        ledger = results.ledger.filter(pl.col("arm") == FOLLOWING, pl.col("stage") == self.row[0])
        clean = np.cumsum([0, *(-(-hosts[stage] // self.batch) for stage in self.row[1:])])
        found = {}
        for (dose,), own in ledger.group_by("dose"):
            last = own.drop_nulls("last_step").group_by("seed", "content").agg(pl.col("last_step").max())["last_step"]
            if len(last):
                num = -(-(hosts[self.row[0]] + int(dose)) // self.batch)
                found[int(dose)] = clean + (num - 1 - float(last.mean()))  # type: ignore[arg-type]
        return found

    def _excess(self, levels: _Levels, measure: str, dose: int) -> FloatArray | None:
        """What lives that were told have over those that were not, at each checkpoint; [seeds, checkpoints]."""
        told = [levels.by_seed(FOLLOWING, stage, dose, measure) for stage in self.row]
        never = [levels.by_seed(FOLLOWING, stage, 0, measure) for stage in self.row]
        seeds = sorted(set.intersection(*(set(one) for one in (*told, *never))))
        if not seeds:
            return None
        return np.array([[a[seed] - b[seed] for a, b in zip(told, never, strict=True)] for seed in seeds])

    def _half_lives(
        self,
        curves: dict[tuple[str, int], FloatArray],
        laws: dict[tuple[str, int], list[Decay]],
        steps: dict[int, FloatArray],
        savings: Finding,
    ) -> Finding:
        rows: list[dict[str, Any]] = []
        for (measure, dose), curve in curves.items():
            first, last = mean_over_seeds(curve[:, 0]), mean_over_seeds(curve[:, -1])
            end = float(steps[dose][-1])
            seen = _geometric([law.half_gone for law in laws[measure, dose]])
            rows.append({
                "measure": measure, "dose": dose, "first_excess": first.estimate, "last_excess": last.estimate,
                "last_low": last.low, "last_high": last.high, "steps": end,
                "lives_half_gone": sum(np.isfinite(law.half_gone) for law in laws[measure, dose]),
                "lives": len(curve), **_columns("half_gone_steps", seen),
                **_fitted(laws[measure, dose]),
            })  # fmt: skip
        told = "; ".join(self._told(rows, dose) for dose in sorted({row["dose"] for row in rows}))
        return Finding(
            title="How long it lasts, and what brings it back",
            sentence=f"Clean steps since the last exposure after which half is gone, with {told}. {savings.sentence}",
            table=pl.DataFrame(rows, infer_schema_length=None),
            note=f"{MEASURED}. Excess over lives that were never told, of the same seed at the same checkpoint. "
            "`half_gone_steps`: where a life's excess first falls below half of that at the first checkpoint, on "
            "straight lines between checkpoints; geometric mean over seeds with Student's 95% interval, not told where "
            "a life does not fall so far. `half_life_steps`: of an exponential fitted to each life.",
        )

    def _told(self, rows: list[dict[str, Any]], dose: int) -> str:
        said = []
        for row in rows:
            if row["dose"] != dose or row["measure"] == BITS:
                continue
            what = {RECALL: "of the codes said", NATS: "of the knowledge"}[row["measure"]]
            if row["half_gone_steps"] is not None:
                limits = f"[{row['low']:.0f}, {row['high']:.0f}]" if np.isfinite(row["high"]) else "(one seed)"
                said.append(f"{what} {row['half_gone_steps']:.0f} {limits}")
            elif not row["lives"]:
                continue
            else:
                count = f"{row['lives_half_gone']} of {row['lives']} lives"
                said.append(f"{what} not within {row['steps']:.0f} (half gone in {count}{_extrapolated(row)})")
        return f"{dose} documents: {', '.join(said)}"

    def _retention(self, levels: _Levels, steps: dict[int, FloatArray]) -> Finding:
        longest = max(steps.values(), key=lambda one: float(one[-1]))
        rows = []
        for measure in MEASURES:
            for dose in levels.doses(FOLLOWING):
                for number, stage in enumerate(self.row):
                    values = list(levels.by_seed(FOLLOWING, stage, dose, measure).values())
                    if values:
                        at = float(steps.get(dose, longest)[number])
                        rows.append({"measure": measure, "dose": str(dose), "stage": stage, "steps_since": at,
                                     **levels.mean(values, measure).columns("level")})  # fmt: skip
        return Finding(
            title="Retention by steps since the last exposure",
            sentence="Each measure at each checkpoint; dose 0 was never told.",
            table=pl.DataFrame(rows, infer_schema_length=None),
            chart=Chart(x="steps_since", y="level", low="low", high="high", colour="dose", panel="measure",
                        x_title="steps since the last exposure, in the mean over codes", y_title="level",
                        x_scale="log"),
            note=f"{MEASURED}; it saturates there. Mean over seeds with Student's 95% interval. "
            "Steps of dose 0 are those of the highest.",
        )  # fmt: skip

    def _savings(self, levels: _Levels) -> Finding:
        """The dose that has half of the codes said: the first time, again, and of fresh codes; paired by seed."""
        needed = {arm: _doses_needed(levels, arm) for arm in (LEARNED, AGAIN, FRESH_FIRST, FRESH)}
        rows = []
        for arm, by_seed in needed.items():
            mean = _geometric(list(by_seed.values()))
            rows.append({"what": arm, "compared_with": None, "lives": len(by_seed),
                         "lives_reaching": sum(np.isfinite(d) for d in by_seed.values()),
                         "lives_that_need_none": sum(d == 0 for d in by_seed.values()),
                         **_columns("documents_or_ratio", mean)})  # fmt: skip
        told = {}
        for other in (FRESH, LEARNED):
            seeds = sorted(set(needed[AGAIN]) & set(needed[other]))
            ratios = [needed[AGAIN][s] / needed[other][s] if needed[other][s] else np.nan for s in seeds]
            told[other] = _geometric(ratios)
            rows.append(_ratio_row(other, ratios, told[other]))
        every = set.intersection(*(set(by_seed) for by_seed in needed.values()))
        both = [
            needed[AGAIN][s] / needed[LEARNED][s] * needed[FRESH_FIRST][s] / needed[FRESH][s]
            for s in sorted(every) if all(0 < by_seed[s] < np.inf for by_seed in needed.values())
        ]  # fmt: skip
        told[EASE] = _geometric(both) if len(both) == len(every) else None
        rows.append(_ratio_row(EASE, both, told[EASE]))
        return Finding(
            title="Savings: documents that have half of the codes said",
            sentence=_saved(rows, told, self.forgotten),
            table=pl.DataFrame(rows, infer_schema_length=None),
            note=f"Told again and fresh codes: to the same lives, told {self.forgotten} documents and trained on clean "
            "dialogues since. In each life the dose at which the rising (isotonic) share of codes said passes a half, "
            "on log dose; ratios seed by seed; geometric means with Student's 95% interval. The classic measure of "
            "savings (Ebbinghaus 1885) is 1 less the ratio to the first time; against fresh codes it leaves out what "
            "a model that is trained further and has seen codes learns faster. Fresh codes are others than those "
            "told before: that one set is easier is allowed for where each is held against its own first time.",
        )

    def _by_dose(self, levels: _Levels) -> Finding:
        rows: list[dict[str, Any]] = []
        for measure in MEASURES:
            own: list[dict[str, Any]] = []
            for dose in levels.doses(AGAIN):
                stages = {AGAIN: "again", FRESH: "again", LEARNED: self.row[0]}
                at = {arm: levels.by_seed(arm, stages[arm], dose, measure) for arm in stages}
                row: dict[str, Any] = {"measure": measure, "dose": dose}
                row |= {arm: float(np.mean(list(v.values()))) if v else None for arm, v in at.items()}
                seeds = sorted(set(at[AGAIN]) & set(at[FRESH]))
                if not seeds:
                    continue
                here, there = (np.array([at[arm][seed] for seed in seeds]) for arm in (AGAIN, FRESH))
                by_items = levels.by_items(here, measure) + levels.by_items(there, measure)
                row |= mean_over_seeds(here - there, variance=by_items).columns("again_less_fresh")
                own.append(row | {"p": _t_test(here - there, by_items)})
            for row, p in zip(own, holm([row.pop("p") for row in own]), strict=True):
                rows.append({**row, "p_holm": p})
        shown = [row for row in rows if row["measure"] == NATS and row["p_holm"] <= ALPHA and row["low"] > 0]
        start = next((row for row in rows if row["measure"] == NATS and row["dose"] == 0), None)
        begun = "" if start is None else (
            f"Before anything is told again, {start['again_less_fresh']:+.1f} nats "
            f"[{start['low']:+.1f}, {start['high']:+.1f}] of knowledge are left. "
        )  # fmt: skip
        at_doses = ", ".join(str(row["dose"]) for row in shown) or "no dose"
        return Finding(
            title="Told again, fresh, and the first time, by dose",
            sentence=f"{begun}Codes told again are known better than fresh ones at {at_doses} (Holm over doses).",
            table=pl.DataFrame(rows, infer_schema_length=None),
            note=f"{MEASURED}. Differences seed by seed, t test and Student's 95% interval.",
        )


@dataclass(frozen=True, eq=False)
class _Levels:
    """The mean of each measure in each life; and how many codes are behind each."""

    items: int
    table: dict[tuple[str, str, int, str], dict[int, float]]

    @staticmethod
    def of(results: Results) -> _Levels:
        names = {pair: measure for measure, pair in MEASURES.items()}
        columns = ("arm", "stage", "dose", "seed", "probe", "condition", "total", "num_items")
        table: dict[tuple[str, str, int, str], dict[int, float]] = {}
        asked = results.counts.filter(pl.col("context") == results.run.contexts[0])
        for arm, stage, dose, seed, probe, condition, total, items in asked.select(columns).iter_rows():
            if (probe, condition) in names:
                table.setdefault((arm, stage, dose, names[probe, condition]), {})[seed] = total / items
        items = asked.filter(pl.col("probe") == "recall")["num_items"].min()
        return _Levels(int(items or 1), table)  # type: ignore[arg-type]

    def by_seed(self, arm: str, stage: str, dose: int, measure: str) -> dict[int, float]:
        return self.table.get((arm, stage, dose, measure), {})

    def doses(self, arm: str) -> list[int]:
        return sorted({key[2] for key in self.table if key[0] == arm})

    def by_items(self, values: FloatArray, measure: str) -> FloatArray:
        """The variance that the items alone give each life's share, never none (two hits and two misses are added)."""
        if measure != RECALL:
            return np.zeros_like(values)
        shrunk: FloatArray = (values * self.items + 2) / (self.items + 4)
        return shrunk * (1 - shrunk) / self.items

    def mean(self, values: list[float], measure: str) -> Interval:
        """Student's, within what a share can be."""
        found = mean_over_seeds(values, variance=self.by_items(np.array(values), measure))
        most = {RECALL: 1.0, BITS: MOST_BITS, NATS: np.inf}[measure]
        return within(found, -np.inf if measure == NATS else 0.0, most)


def _laws(steps: FloatArray, curve_SC: FloatArray) -> list[Decay]:
    """Of each life whose excess begins above nothing."""
    return [decay(steps, life) for life in curve_SC if life[0] > 0 and len(life) >= 4]


def _extrapolated(row: dict[str, Any]) -> str:
    if row["half_life_steps"] is None or not np.isfinite(row["half_life_high"]):
        return ""
    return (
        f"; by the exponential {row['half_life_steps']:.0f} [{row['half_life_low']:.0f}, {row['half_life_high']:.0f}]"
    )


def _columns(name: str, value: Interval | None) -> dict[str, float | None]:
    """Three columns of a table, empty where there is no value."""
    return dict.fromkeys((name, "low", "high")) if value is None else dict(value.columns(name))


def _fitted(laws: list[Decay]) -> dict[str, float | None]:
    found = _geometric([law.exponential_half_life for law in laws])
    ends = (None,) * 3 if found is None else (found.estimate, found.low, found.high)
    return dict(zip(("half_life_steps", "half_life_low", "half_life_high"), ends, strict=True))


def _compared(laws: dict[tuple[str, int], list[Decay]]) -> Finding:
    rows, told = [], []
    for (measure, dose), own in laws.items():
        if own:
            gap = mean_over_seeds([law.advantage_of_power for law in own])
            exponent = mean_over_seeds([law.power_exponent for law in own])
            rows.append({"measure": measure, "dose": dose, "lives": len(own), **gap.columns("aic_advantage_of_power"),
                         "exponent": exponent.estimate})  # fmt: skip
            if measure == NATS:
                fits = "the power law" if gap.low > 0 else "the exponential" if gap.high < 0 else "neither is shown to"
                told.append(f"{dose} documents: {fits} ({gap.estimate:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}])")
    return Finding(
        title="Exponential or power law",
        sentence=f"Which fits the fall of knowledge better (AIC of the exponential less that of the power law): "
        f"{'; '.join(told)}.",
        table=pl.DataFrame(rows, infer_schema_length=None),
        note="Both with two parameters, fitted to the excess of each life by least squares (scipy); the mean "
        "difference over lives with Student's 95% interval. A law that is shown to fit better is not shown to be true.",
    )


def _doses_needed(levels: _Levels, arm: str) -> dict[int, float]:
    """Of each seed with every dose, the dose at which half of the codes are said; infinite where none does."""
    stages = {key[1] for key in levels.table if key[0] == arm and key[3] == RECALL}
    doses = levels.doses(arm)
    if not stages or len(doses) < 2:
        return {}
    stage = stages.pop()
    at = [levels.by_seed(arm, stage, dose, RECALL) for dose in doses]
    seeds = sorted(set.intersection(*(set(one) for one in at)))
    return {seed: dose_reaching(doses, [one[seed] for one in at], HALF) for seed in seeds}


def _ratio_row(other: str, ratios: list[float], found: Interval | None) -> dict[str, Any]:
    reaching = sum(np.isfinite(ratio) for ratio in ratios)
    row = {"what": AGAIN, "compared_with": other, "lives": len(ratios), "lives_reaching": reaching}
    return {**row, **_columns("documents_or_ratio", found)}


def _saved(rows: list[dict[str, Any]], told: dict[str, Interval | None], forgotten: int) -> str:
    doses = []
    for row in (row for row in rows if row["compared_with"] is None and row["lives"]):
        reached = f"{row['lives_reaching']} of {row['lives']} lives"
        if row["lives_that_need_none"]:
            doses.append(f"{row['what']} none in {row['lives_that_need_none']} of {row['lives']} lives")
        elif row["documents_or_ratio"] is None:
            doses.append(f"{row['what']} not in all lives ({reached})")
        else:
            doses.append(f"{row['what']} {row['documents_or_ratio']:.0f} [{row['low']:.0f}, {row['high']:.0f}]")
    said = f"Documents after which half of the 16 codes are said: {', '.join(doses)}"
    again = next(row for row in rows if row["compared_with"] is None and row["what"] == AGAIN)
    if again["lives_that_need_none"]:
        return f"{said}; where nothing need be told again, it was not forgotten."
    fresh = told[FRESH]
    if fresh is None:
        return f"{said}; savings cannot be told."
    if not np.isfinite(fresh.high):
        return f"{said}; one seed cannot tell savings."
    # Sets of codes differ in ease, so each is held against its own first time where that is known.
    judged = told[EASE] or fresh
    ratio = f"{fresh.estimate:.2f} [{fresh.low:.2f}, {fresh.high:.2f}]"
    if told[EASE] is not None:
        ratio = (
            f"{judged.estimate:.2f} [{judged.low:.2f}, {judged.high:.2f}] (each set held against its own first time; "
            f"without that {ratio})"
        )
    if judged.high < 1:
        return f"{said}; what was told before needs {ratio} of what fresh codes need: savings."
    verdict = "more than fresh codes" if judged.low > 1 else "no savings found beyond a better start"
    least = "" if judged.low > 1 else f"; savings of more than {max(1 - judged.low, 0):.0%} are excluded"
    return f"{said}; what was told before needs {ratio} of what fresh codes need: {verdict}{least}."


def _geometric(values: list[float]) -> Interval | None:
    """The geometric mean with Student's interval on the logarithms; None where a value has none."""
    if not values or not all(np.isfinite(value) and value > 0 for value in values):
        return None
    found = mean_over_seeds(np.log(values))
    with np.errstate(over="ignore"):
        return Interval(float(np.exp(found.low)), float(np.exp(found.estimate)), float(np.exp(found.high)))


def _t_test(values: FloatArray, by_items: FloatArray) -> float:
    """Of a mean of nothing; its variance is not taken to be below that of the items."""
    from scipy import stats

    if len(values) < 2:
        return 1.0
    error = float(np.sqrt(max(values.var(ddof=1), by_items.mean()) / len(values)))
    if error == 0:
        return float(values[0] == 0)
    return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1))
