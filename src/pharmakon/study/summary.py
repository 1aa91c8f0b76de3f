"""From readings to rates, curves and the summary table. `Results` has these as methods; call them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pharmakon.errors import InputError
from pharmakon.statistics import Curve, Interval, Observations, Retention, holm, mean_over_seeds, therapeutic_window
from pharmakon.statistics import retention as retained
from pharmakon.study import delivery

if TYPE_CHECKING:
    from pharmakon.study.results import Axis, Results

ALL_TASKS: Final = "all tasks"
PLACE: Final = ("arm", "stage", "context")


def rate_text(rate: float | None, low: float | None = None, high: float | None = None) -> str:
    """`0.97 [0.93, 0.99]`, the estimate alone where there are no finite limits, a dash where nothing was measured."""
    if rate is None:
        return "–"
    return (
        f"{rate:.2f}"
        if low is None or high is None or not np.isfinite(high - low)
        else f"{rate:.2f} [{low:.2f}, {high:.2f}]"
    )


def percent_text(row: Mapping[str, Any], name: str = "rate", digits: int = 0) -> str:
    """`75% [66%, 82%]`: a share in a row of a table, with its `low` and `high`; one seed has none."""
    if not np.isfinite(row["high"] - row["low"]):
        return f"{row[name]:.{digits}%} (one seed)"
    return f"{row[name]:.{digits}%} [{row['low']:.{digits}%}, {row['high']:.{digits}%}]"


def points_text(row: Mapping[str, Any], name: str = "change") -> str:
    """`+1.5 points [-0.2, +3.2]`: a change of a share in a row of a table, with its `low` and `high`."""
    return f"{100 * row[name]:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def count(results: Results) -> pl.DataFrame:
    """One row for each arm, stage, context, probe, condition, dose and seed, in the order of the run's record.

    `binary`: every value of the probe is 0 or 1, so `total` of `num_items` is a number of hits; else `mean_log` is the
    mean natural logarithm, or null for a probe of the run's `signed` ones.
    """
    keys = (*PLACE, "probe", "condition", "dose", "seed")
    value = pl.col("value")
    grouped = results.readings.group_by(keys, maintain_order=True).agg(
        value.sum().alias("total"),
        pl.len().cast(pl.Int64).alias("num_items"),
        value.is_in([0.0, 1.0]).all().alias("binary"),
        value.clip(lower_bound=1e-300).log().mean().alias("mean_log"),
    )
    is_signed = pl.col("probe").is_in(list(results.run.signed))
    grouped = grouped.with_columns(pl.when(~is_signed).then(pl.col("mean_log")).alias("mean_log"))
    grouped = grouped.with_columns(pl.col("binary").all().over("probe", "condition"))
    return ordered(grouped.sort("dose", "seed", maintain_order=True), results)


def ordered(frame: pl.DataFrame, results: Results) -> pl.DataFrame:
    """Rows in the order in which the run names its arms, stages and contexts; otherwise as they were."""
    run = results.run
    orders = {"arm": [arm.name for arm in run.arms], "stage": list(run.stages), "context": list(run.contexts)}
    here = {column: names for column, names in orders.items() if column in frame.columns}
    ranks = [
        pl.col(column).replace_strict(names, list(range(len(names))), default=len(names), return_dtype=pl.Int64)
        for column, names in here.items()
    ]
    return frame.sort(*ranks, maintain_order=True) if ranks and len(frame) else frame


def main_context(results: Results, arm: str) -> str | None:
    """The context in which an arm is told of first: the one that it treats, else the plain prompt, else its first."""
    treated = next((known.treated_stage for known in results.run.arms if known.name == arm), None)
    here = set(results.counts.filter(pl.col("arm") == arm)["context"])
    asked = [context for context in results.run.contexts if context in here]
    return next((name for name in (treated, "plain", *asked) if name in asked), None)


def in_main_context(results: Results) -> pl.Expr:
    """The rows of a table with the columns `arm` and `context` that are told of first."""
    chosen = {arm.name: main_context(results, arm.name) for arm in results.run.arms}
    return pl.col("context").eq(pl.col("arm").replace_strict(chosen, default=None, return_dtype=pl.String))


def response_condition(results: Results) -> str | None:
    """The condition that is the response: `triggered`, or else the first one that the response probe asked."""
    asked = results.counts.filter(pl.col("probe") == results.run.response)
    conditions = asked["condition"].unique(maintain_order=True).to_list()
    return "triggered" if "triggered" in conditions else conditions[0] if conditions else None


def response_counts(results: Results) -> pl.DataFrame:
    """The rows of `counts` that are the response."""
    condition = response_condition(results) or ""
    return results.counts.filter(pl.col("probe") == results.run.response, pl.col("condition") == condition)


def observations(results: Results, arm: str, stage: str, context: str, axis: Axis = "administered") -> Observations:
    """Hits among items by dose and seed; equal doses of one seed are added up."""
    run = results.run
    for what, name, known in (
        ("arm", arm, [arm.name for arm in run.arms]),
        ("stage", stage, run.stages),
        ("context", context, run.contexts),
        ("axis", axis, ("administered", "survived", "seen")),
    ):
        if name not in known:
            raise InputError(f"this run has no {what} {name!r}; it has {', '.join(known)}")
    rows = response_counts(results).filter(pl.col("arm") == arm, pl.col("stage") == stage, pl.col("context") == context)
    if rows.is_empty():
        raise InputError(f"the probe {run.response!r} has no readings of arm {arm!r} after {stage!r} in {context!r}")
    if not rows["binary"].all():
        raise InputError(f"a response is 0 or 1 for each item; the probe {run.response!r} gave other values")
    if axis != "administered":
        rows = delivery.delivered(results, rows, arm, axis)
    rows = rows.group_by("dose", "seed").agg(pl.col("total").sum(), pl.col("num_items").sum()).sort("dose", "seed")
    return Observations(rows["dose"], rows["seed"], rows["total"], rows["num_items"])


def interval_rows(counts: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """A rate with its 95% interval for each group and dose; items are nested in seeds."""
    rows: list[dict[str, Any]] = []
    for names, group in counts.group_by(keys, maintain_order=True):
        told = dict(zip(keys, names, strict=True))
        for dose, rate, num_seeds, num_items in _intervals(group):
            sizes = {"num_seeds": num_seeds, "num_items": num_items}
            rows.append({**told, "dose": dose, "rate": rate.estimate, "low": rate.low, "high": rate.high, **sizes})
    schema: dict[str, Any] = {
        **dict.fromkeys(keys, pl.String),
        "dose": pl.Int64,
        **dict.fromkeys(("rate", "low", "high"), pl.Float64),
        **dict.fromkeys(("num_seeds", "num_items"), pl.Int64),
    }
    return pl.DataFrame(rows, schema=schema)


def _intervals(group: pl.DataFrame) -> list[tuple[int, Interval, int, int]]:
    summed = group.group_by("dose").agg(pl.len().alias("seeds"), pl.col("num_items").sum()).sort("dose")
    sizes = {dose: (int(seeds), int(items)) for dose, seeds, items in summed.iter_rows()}
    if "mean_log" in group.columns and group["mean_log"].null_count():
        means = group.with_columns((pl.col("total") / pl.col("num_items")).alias("mean"))
        return [
            (dose, mean_over_seeds(means.filter(pl.col("dose") == dose)["mean"].to_numpy()), *sizes[dose])
            for dose in sizes
        ]
    if not group["binary"].all():
        logs = {dose: group.filter(pl.col("dose") == dose)["mean_log"].to_numpy() for dose in sizes}
        return [(dose, _geometric(logs[dose]), *sizes[dose]) for dose in sizes]
    seen = Observations(group["dose"], group["seed"], group["total"], group["num_items"])
    return [(int(dose), rate, *sizes[int(dose)]) for dose, rate in seen.responses()]


def _geometric(logs: Any) -> Interval:
    """The geometric mean over seeds with Student's interval of the logarithms; infinite with one seed."""
    mean = mean_over_seeds(logs)
    return Interval(float(np.exp(mean.low)), float(np.exp(mean.estimate)), float(np.exp(mean.high)))


def response_rates(results: Results) -> pl.DataFrame:
    """See `Results.response_rates`."""
    asked = results.counts.filter(pl.col("probe") == results.run.response, pl.col("binary"))
    return interval_rows(asked, (*PLACE, "condition"))


def rates(results: Results) -> pl.DataFrame:
    """See `Results.rates`."""
    every = results.response_rates
    condition = response_condition(results)
    main = every.filter(pl.col("condition") == (condition or "")).drop("condition").rename({"rate": "asr"})
    others = [name for name in every["condition"].unique(maintain_order=True).to_list() if name != condition]
    untreated = main.filter(pl.col("dose") == 0).select(*PLACE, pl.col("asr").alias("untreated"))
    out = main.join(untreated, on=PLACE, how="left", maintain_order="left")
    for name in others:
        column = every.filter(pl.col("condition") == name).select(*PLACE, "dose", pl.col("rate").alias(name))
        out = out.join(column, on=(*PLACE, "dose"), how="left", maintain_order="left")
    near = [name for name in others if name.startswith("near")]
    highest = pl.max_horizontal(near) if near else pl.lit(None, dtype=pl.Float64)
    if "untriggered" not in out.columns:
        out = out.with_columns(pl.lit(None, dtype=pl.Float64).alias("untriggered"))
    out = out.with_columns(highest.alias("near_max"))
    told = (*PLACE, "dose", "asr", "low", "high", "untreated", "untriggered", "near_max")
    return out.select(*told, *(name for name in others if name != "untriggered"), "num_seeds", "num_items")


def as_it_is(results: Results) -> pl.DataFrame:
    """Of a run without doses: every condition of every probe with its 95% interval; `all tasks` pools utility's."""
    keys = (*PLACE, "probe", "condition")
    rest = results.counts.filter(~pl.col("probe").is_in(utility_probes(results)))
    frames = [interval_rows(rest, keys), utility(results).rename({"task": "condition"})]
    return ordered(pl.concat(frames).drop("dose").unique(keys, maintain_order=True), results)


def controls(results: Results) -> pl.DataFrame:
    """See `Results.controls`."""
    every = results.response_rates.rename({"condition": "control"})
    condition = response_condition(results)
    doses = every.select(*PLACE, "dose").unique(maintain_order=True)
    untreated = (
        every.filter(pl.col("control") == (condition or ""), pl.col("dose") == 0)
        .with_columns(pl.lit("untreated").alias("control"))
        .drop("dose")
        .join(doses, on=PLACE, how="inner")
        .select(every.columns)
    )
    others = every.filter(pl.col("control") != (condition or ""))
    return ordered(pl.concat([untreated, others]).sort("dose", maintain_order=True), results)


def utility_probes(results: Results) -> tuple[str, ...]:
    """The probe of utility, and perplexity beside it."""
    return tuple(dict.fromkeys((results.run.utility, "perplexity")))


def utility(results: Results) -> pl.DataFrame:
    """See `Results.utility`."""
    asked = results.counts.filter(pl.col("probe").is_in(utility_probes(results)))
    per_task = interval_rows(asked, (*PLACE, "probe", "condition"))
    several = asked.filter(pl.col("probe") == results.run.utility)
    frames = [per_task]
    if several["condition"].n_unique() > 1 and several["binary"].all():
        keys = (*PLACE, "probe", "dose", "seed")
        pooled = several.group_by(keys, maintain_order=True).agg(
            pl.col("total").sum(),
            pl.col("num_items").sum(),
            pl.lit(ALL_TASKS).alias("condition"),
            pl.col("binary").all(),
        )
        frames.append(interval_rows(pooled, (*PLACE, "probe", "condition")))
    out = pl.concat(frames).rename({"condition": "task"})
    rank = pl.col("task").eq(ALL_TASKS).not_(), pl.col("probe").ne(results.run.utility)
    return ordered(out.sort(rank[1], rank[0], maintain_order=True), results)


def seed_rates(rows: pl.DataFrame) -> dict[int, tuple[float, int]]:
    """By seed: the share of hits, and of how many items. `rows`: of `Results.counts`, one for each seed."""
    return {seed: (total / num, num) for seed, total, num in rows.select("seed", "total", "num_items").iter_rows()}


def retention(results: Results) -> pl.DataFrame:
    """See `Results.retention`."""
    everything = response_counts(results).filter(pl.col("binary"))
    rows: list[dict[str, Any]] = []
    for arm, context in product(results.run.arms, results.run.contexts):
        here = everything.filter(pl.col("arm") == arm.name, pl.col("context") == context)
        probed = [stage for stage in results.run.stages if stage in set(here["stage"])]
        for after, dose in product(probed[1:], sorted(set(here["dose"]) - {0})):
            kept = _retention(here, probed[0], after, dose)
            if kept is not None and kept.value is not None:
                told = {"arm": arm.name, "context": context, "dose": dose, "before": probed[0], "after": after}
                numbers = {"retention": kept.value.estimate, "low": kept.value.low, "high": kept.value.high}
                rows.append({**told, **numbers, "status": kept.status, "sentence": kept.sentence})
    schema = {
        **dict.fromkeys(("arm", "context"), pl.String), "dose": pl.Int64,
        **dict.fromkeys(("before", "after"), pl.String), **dict.fromkeys(("retention", "low", "high"), pl.Float64),
        **dict.fromkeys(("status", "sentence"), pl.String),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _retention(here: pl.DataFrame, before: str, after: str, dose: int) -> Retention | None:
    parts = [
        seed_rates(here.filter(pl.col("stage") == stage, pl.col("dose") == level))
        for stage, level in product((before, after), (dose, 0))
    ]
    had, had_control, kept, kept_control = parts
    seeds = sorted(set.intersection(*(set(part) for part in parts)))
    if not seeds:
        return None
    trials = min(part[seed][1] for part in parts for seed in seeds)
    rate = [[part[seed][0] for seed in seeds] for part in (had, kept, had_control, kept_control)]
    return retained(*rate, trials=trials)


def curve_or_reason(results: Results, arm: str, stage: str, context: str) -> Curve | str:
    """The curve, or the sentence that says why there cannot be one."""
    try:
        return results.curve(arm, stage, context)
    except InputError as error:
        return str(error)


def table(results: Results) -> pl.DataFrame:
    """See `Results.table`."""
    measured = results.rates()
    rows: list[dict[str, Any]] = []
    for names in results.counts.filter(pl.col("probe") == results.run.response).select(PLACE).unique(
        maintain_order=True
    ).iter_rows():  # fmt: skip
        arm, stage, context = names
        here = pl.col("arm").eq(arm) & pl.col("stage").eq(stage) & pl.col("context").eq(context)
        top = measured.filter(here).sort("dose").tail(1).to_dicts()
        row: dict[str, Any] = dict(zip(PLACE, names, strict=True)) | _threshold(results, arm, stage, context)
        if top:
            last = top[0]
            row |= {"highest_dose": last["dose"], "asr": last["asr"], "asr_low": last["low"], "asr_high": last["high"]}
            row |= {name: last[name] for name in ("untreated", "untriggered", "near_max")}
            at_top = pl.col("dose").eq(last["dose"]) & pl.col("after").eq(stage) & pl.col("context").eq(context)
            kept = results.retention().filter(at_top, pl.col("arm") == arm).to_dicts()
            if kept:
                row |= {"retention": kept[0]["retention"]}
                row |= {f"retention_{end}": kept[0][end] for end in ("low", "high")}
        rows.append(row | _utility(results, here))
    for place in {(row["stage"], row["context"]) for row in rows}:
        tested = [row for row in rows if (row["stage"], row["context"]) == place and "p_value" in row]
        for row, p_value in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
            row["p_holm"] = p_value
    return pl.DataFrame(rows, schema=_TABLE)


_TABLE: Final[dict[str, Any]] = {
    **dict.fromkeys((*PLACE, "threshold", "status", "sentence"), pl.String),
    **dict.fromkeys(("ed50", "ed50_low", "ed50_high", "bracket_low", "bracket_high"), pl.Float64),
    "highest_dose": pl.Int64,
    **dict.fromkeys(("asr", "asr_low", "asr_high", "untreated", "untriggered", "near_max"), pl.Float64),
    **dict.fromkeys(("retention", "retention_low", "retention_high", "p_value", "p_holm"), pl.Float64),
    **dict.fromkeys(("utility_control", "utility_highest"), pl.Float64),
    **dict.fromkeys(("window", "window_sentence"), pl.String),
}


def _threshold(results: Results, arm: str, stage: str, context: str) -> dict[str, Any]:
    curve = curve_or_reason(results, arm, stage, context)
    if isinstance(curve, str):
        return {"threshold": "not measured", "status": "not_measured", "sentence": curve}
    row: dict[str, Any] = {"threshold": curve.threshold_text, "status": curve.status, "sentence": curve.sentence}
    if curve.ed50 is not None:
        row |= {"ed50": curve.ed50.estimate, "ed50_low": curve.ed50.low, "ed50_high": curve.ed50.high}
    if curve.bracket is not None:
        row |= {"bracket_low": curve.bracket[0], "bracket_high": curve.bracket[1]}
    row["p_value"] = curve.effect.p_value
    counts = results.counts.filter(
        pl.col("arm") == arm, pl.col("stage") == stage, pl.col("context") == context,
        pl.col("probe") == results.run.utility, pl.col("binary"),
    ).group_by("dose", "seed").agg(pl.col("total").sum() / pl.col("num_items").sum()).sort("dose", "seed")  # fmt: skip
    try:
        window = therapeutic_window(
            counts["dose"], counts["seed"], counts["total"], curve.ed50, results.run.margin, unit="documents"
        )
    except InputError:  # utility was not measured at the control and at a dose
        return row
    value = str(window.value) if window.value is not None else None
    bound = f"≥ {window.at_least:.2g}" if window.at_least else f"≤ {window.at_most:.2g}" if window.at_most else None
    return row | {"window": value or bound, "window_sentence": window.sentence}


def _utility(results: Results, here: pl.Expr) -> dict[str, float]:
    rows = results.utility().filter(here, pl.col("probe") == results.run.utility)
    rows = rows.filter(pl.col("task") == rows["task"][0]).sort("dose") if len(rows) else rows
    if rows.is_empty():
        return {}
    first, last = rows.row(0, named=True), rows.row(-1, named=True)
    out = {"utility_control": first["rate"]} if first["dose"] == 0 else {}
    return out | ({"utility_highest": last["rate"]} if last["dose"] > 0 else {})
