"""Charts as Vega-Lite specifications, made with Altair.

Colours are written as names of the style sheet's variables, `var(--series-1)`, which the page fills in for the
reader's colour scheme. Each chart is as wide as its box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import polars as pl

from pharmakon.statistics import Curve
from pharmakon.study import summary
from pharmakon.study.results import Results
from pharmakon.study.summary import curve_or_reason, in_main_context, response_condition, response_counts

Rows = Sequence[Mapping[str, Any]]
SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
SERIES: Final = tuple(f"var(--series-{number})" for number in range(1, 8))


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of a row of charts: its heading, its specification, and a sentence for those who do not see it."""

    title: str
    spec: dict[str, Any]
    description: str


def arm_names(results: Results) -> list[str]:
    """The arms in the order of their colours."""
    return [arm.name for arm in results.run.arms]


def main_context(results: Results) -> str | None:
    """The context that is shown first: `plain`, or the first."""
    names = [summary.main_context(results, arm.name) for arm in results.run.arms]
    return next((name for name in names if name is not None), None)


def _values(rows: Rows) -> Any:
    import altair as alt

    return alt.InlineData(values=[dict(row) for row in rows])


def _colour(names: Sequence[str]) -> Any:
    import altair as alt

    colours = [SERIES[i % len(SERIES)] for i in range(len(names))]
    return alt.Color("arm:N", scale=alt.Scale(domain=list(names), range=colours), legend=None)


def _shape(names: Sequence[str]) -> Any:
    import altair as alt

    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(names))]
    return alt.Shape("arm:N", scale=alt.Scale(domain=list(names), range=shapes), legend=None)


def finish(chart: Any, height: int | dict[str, int]) -> dict[str, Any]:
    """The specification of a chart as wide as its box."""
    spec: dict[str, Any] = chart.properties(width="container", height=height).to_dict()
    for name in ("config", "$schema"):
        spec.pop(name, None)
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["background"] = "transparent"
    return spec


@dataclass(frozen=True, slots=True)
class DoseAxis:
    """Log dose, with a place at the left for the control."""

    doses: tuple[int, ...]

    @staticmethod
    def of(results: Results) -> DoseAxis | None:
        """The axis of the doses that were measured; None if there is no positive one."""
        doses = tuple(sorted(int(dose) for dose in results.counts["dose"].unique() if dose > 0))
        return DoseAxis(doses) if doses else None

    @property
    def decades(self) -> float:
        return float(np.log(self.doses[-1] / self.doses[0])) or 1.0

    @property
    def zero(self) -> float:
        """Where dose 0 stands."""
        return float(self.doses[0] * np.exp(-0.2 * self.decades))

    @property
    def domain(self) -> list[float]:
        return [
            float(self.zero * np.exp(-0.07 * self.decades)),
            float(self.doses[-1] * np.exp(0.07 * self.decades)),
        ]

    def place(self, dose: float, shift: float = 0.0) -> float:
        """The place of a dose; `shift` moves it sideways, in hundredths of the axis."""
        return float((dose if dose > 0 else self.zero) * np.exp(shift * 0.012 * self.decades))

    def encoding(self, field: str = "x") -> Any:
        """Vega-Lite's x."""
        import altair as alt

        cut = (self.zero + self.doses[0]) / 2
        axis = alt.Axis(
            values=[self.zero, *self.doses],
            labelExpr=f"datum.value < {cut} ? '0' : format(datum.value, ',')",
            labelOverlap="greedy",
            grid=False,
            title="documents administered (log scale)",
        )
        return alt.X(f"{field}:Q", scale=alt.Scale(type="log", domain=self.domain, nice=False), axis=axis)


def _curve_rows(results: Results, axis: DoseAxis, stage: str) -> dict[str, list[dict[str, Any]]]:
    """Bands, points per seed, controls and thresholds of a stage, in every context."""
    rows: dict[str, list[dict[str, Any]]] = {"band": [], "seed": [], "control": [], "ed50": []}
    names = arm_names(results)
    counted = response_counts(results).filter(pl.col("stage") == stage, pl.col("binary"))
    for (number, arm), context in product(enumerate(names), results.run.contexts):
        told = {"arm": arm, "context": context}
        shift = number - (len(names) - 1) / 2
        here = counted.filter(pl.col("arm") == arm, pl.col("context") == context)
        for dose, seed, total, items in here.select("dose", "seed", "total", "num_items").iter_rows():
            place = axis.place(dose, shift)
            rows["seed"].append({**told, "x": place, "y": total / items, "dose": dose, "seed": seed})
        curve = curve_or_reason(results, arm, stage, context)
        if isinstance(curve, str):
            continue
        told["says"] = curve.threshold_text
        positive = [dose for dose in curve.observations.table.doses.tolist() if dose > 0]
        grid = np.unique(np.concatenate([np.geomspace(positive[0], positive[-1], 48), positive]))
        for x, low, mid, high in zip(grid.tolist(), *curve.predict(grid), strict=True):
            band = {"low": round(float(low), 4), "mid": round(float(mid), 4), "high": round(float(high), 4)}
            rows["band"].append({**told, "x": round(x, 3), **band})
        for dose, rate in curve.observations.responses():
            if dose == 0:
                ends = {"low": rate.low, "mid": rate.estimate, "high": rate.high}
                rows["control"].append({**told, "x": axis.place(0, shift), **ends})
        rows["ed50"] += _ed50_row(curve, told, axis, 0.035 * shift)
    return rows


def _ed50_row(curve: Curve, told: Mapping[str, Any], axis: DoseAxis, lift: float) -> list[dict[str, Any]]:
    if curve.ed50 is None:
        return []
    low, high = max(curve.ed50.low, axis.doses[0]), min(curve.ed50.high, axis.doses[-1])
    half = (curve.floor + curve.plateau) / 2
    return [{**told, "x": curve.ed50.estimate, "low": low, "high": high, "y": min(1.0, max(0.0, half - lift))}]


def dose_response(results: Results) -> list[Panel]:
    """The response by dose, a panel for each stage; the page's switch sets the signal `context`."""
    import altair as alt

    axis = DoseAxis.of(results)
    if axis is None:
        return []
    names = arm_names(results)
    panels = []
    for stage in results.run.stages:
        rows = _curve_rows(results, axis, stage)
        if not rows["seed"]:
            continue
        x, colour = axis.encoding(), _colour(names)
        y_axis = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], title=None)
        unit = alt.Scale(domain=[0, 1], nice=False)

        def y(field: str, axis: Any = y_axis, scale: Any = unit) -> Any:
            return alt.Y(f"{field}:Q", scale=scale, axis=axis)

        says = [alt.Tooltip("arm:N"), alt.Tooltip("says:N", title="ED50")]
        band = alt.Chart(_values(rows["band"])).mark_area(opacity=0.13, clip=True)
        line = alt.Chart(_values(rows["band"])).mark_line(strokeWidth=2, clip=True)
        control = alt.Chart(_values(rows["control"])).mark_rule(strokeWidth=2, opacity=0.6)
        seeds = alt.Chart(_values(rows["seed"])).mark_point(filled=True, size=30, opacity=0.75)
        span = alt.Chart(_values(rows["ed50"])).mark_rule(strokeWidth=2.5, opacity=0.9, clip=True)
        dot = alt.Chart(_values(rows["ed50"])).mark_point(size=70, strokeWidth=2, fill="var(--paper)", clip=True)
        seed_says = [
            alt.Tooltip("arm:N"), alt.Tooltip("dose:Q"), alt.Tooltip("seed:N"),
            alt.Tooltip("y:Q", format=".0%", title="rate"),
        ]  # fmt: skip
        layers = (
            band.encode(x=x, y=y("low"), y2="high:Q", color=colour),
            line.encode(x=x, y=y("mid"), color=colour, tooltip=says),
            control.encode(x=x, y=y("low"), y2="high:Q", color=colour),
            seeds.encode(x=x, y=y("y"), color=colour, shape=_shape(names), tooltip=seed_says),
            span.encode(x=axis.encoding("low"), x2="high:Q", y=y("y"), color=colour),
            dot.encode(x=x, y=y("y"), color=colour, shape=_shape(names), tooltip=says),
        )
        context = alt.param(name="context", value=main_context(results))
        shown = alt.layer(*(layer.transform_filter("datum.context == context") for layer in layers))
        told = f"Response by dose after {stage}; the table of thresholds has the numbers."
        panels.append(Panel(f"after {stage}", finish(shown.add_params(context), 230), told))
    return panels


def _dots(rows: Rows, names: Sequence[str], *, order: Sequence[str], domain: Sequence[float], marks: Rows = ()) -> Any:
    """Estimates with intervals, one line for each `label` and arm; `hollow` ones are drawn open, without interval."""
    import altair as alt

    step = 0.25 if domain[1] - domain[0] > 0.5 else 0.1
    ticks = [step * k for k in range(-1, 13) if domain[0] - 1e-9 <= step * k <= domain[1] + 1e-9]
    per_cent = alt.Axis(format=".0%", title=None, values=ticks, labelFlush=False)
    span = (domain[1] - domain[0]) * 0.03
    scale = alt.Scale(domain=[domain[0] - span, domain[1] + span], nice=False, zero=False)
    y_axis = alt.Axis(title=None, labelLimit=130, domain=False, ticks=False)
    y = alt.Y("label:N", sort=list(order), axis=y_axis, scale=alt.Scale(paddingInner=0.3, paddingOuter=0.1))
    offset = alt.YOffset("arm:N", sort=list(names), scale=alt.Scale(domain=list(names)))

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", scale=scale, axis=per_cent)

    base = alt.Chart(_values(rows)).encode(y=y, yOffset=offset, color=_colour(names))
    filled = base.transform_filter("!datum.hollow")
    tips = [
        alt.Tooltip("arm:N"), alt.Tooltip("label:N", title="of"), alt.Tooltip("rate:Q", format=".1%"),
        alt.Tooltip("low:Q", format=".1%"), alt.Tooltip("high:Q", format=".1%"),
    ]  # fmt: skip
    layers = [
        filled.mark_rule(strokeWidth=1.5, clip=True).encode(x=x("low"), x2="high:Q"),
        base.transform_filter("datum.hollow")
        .mark_point(size=46, strokeWidth=1.5, opacity=1, fill="var(--paper)")
        .encode(x=x("rate"), shape=_shape(names), tooltip=tips),
        filled.mark_point(size=46, opacity=1, filled=True).encode(x=x("rate"), shape=_shape(names), tooltip=tips),
    ]
    if marks:
        dashes = alt.Chart(_values(marks)).mark_rule(strokeDash=[3, 3], color="var(--muted)").encode(x=x("x"))
        layers.insert(0, dashes)
    return alt.layer(*layers)


def _height(num_lines: int, num_arms: int) -> int:
    return max(60, num_lines * max(24, 9 * num_arms + 10))


def specificity(results: Results) -> list[Panel]:
    """The response and its controls at the highest dose, a panel for each stage."""
    rates, controls = results.rates(), results.controls()
    main = response_condition(results) or "response"
    told = rates.select("arm", "stage", "context", "dose", pl.lit(main).alias("label"), pl.col("asr").alias("rate"),
                        "low", "high")  # fmt: skip
    rows = pl.concat([told, controls.rename({"control": "label"}).select(told.columns)])
    rows = rows.filter(in_main_context(results))
    rows = rows.filter(pl.col("dose") == pl.col("dose").max().over("arm", "stage"), pl.col("dose") > 0)
    order = [main, *(name for name in rows["label"].unique(maintain_order=True).to_list() if name != main)]
    names = arm_names(results)
    panels = []
    for stage in results.run.stages:
        here = rows.filter(pl.col("stage") == stage).with_columns(pl.lit(False).alias("hollow"))
        if here.is_empty():
            continue
        chart = _dots(here.to_dicts(), names, order=order, domain=(0, 1))
        height = _height(here["label"].n_unique(), len(names))
        panels.append(Panel(f"after {stage}", finish(chart, height), f"Response and controls after {stage}."))
    return panels


def utility_change(results: Results) -> list[Panel]:
    """Utility without treatment (open) and at the highest dose (filled), a panel for each stage."""
    rows = results.utility().filter(pl.col("probe") == results.run.utility, in_main_context(results))
    rows = rows.filter((pl.col("dose") == 0) | (pl.col("dose") == pl.col("dose").max().over("arm", "stage")))
    if rows.is_empty() or not rows["high"].is_between(0, 1).all():
        return []
    rows = rows.with_columns(pl.col("task").alias("label"), (pl.col("dose") == 0).alias("hollow"))
    lowest = max(0.0, float(np.floor(10 * rows["low"].to_numpy().min()) / 10))
    order, names = rows["label"].unique(maintain_order=True).to_list(), arm_names(results)
    panels = []
    for stage in results.run.stages:
        here = rows.filter(pl.col("stage") == stage)
        if here.is_empty():
            continue
        chart = _dots(here.to_dicts(), names, order=order, domain=(lowest, 1))
        height = _height(here["label"].n_unique(), len(names))
        panels.append(Panel(f"after {stage}", finish(chart, height), f"Utility after {stage}."))
    return panels


def retained(results: Results) -> list[Panel]:
    """The share of the response that each later stage leaves, at the highest dose."""
    rows = results.retention().filter(in_main_context(results))
    rows = rows.filter(pl.col("dose") == pl.col("dose").max().over("arm"))
    if rows.is_empty():
        return []
    rows = rows.with_columns(
        pl.format("after {}", "after").alias("label"), pl.col("retention").alias("rate"), pl.lit(False).alias("hollow")
    )
    order = [f"after {stage}" for stage in results.run.stages]
    names = arm_names(results)
    marks = [{"x": 0.0}, {"x": 1.0}]
    finite = rows.with_columns(pl.col("low").clip(-0.1, 1.25), pl.col("high").clip(-0.1, 1.25))
    chart = _dots(finite.to_dicts(), names, order=order, domain=(-0.1, 1.25), marks=marks)
    height = _height(rows["label"].n_unique(), len(names))
    return [Panel("", finish(chart, height), "Share of the response that each later stage leaves.")]


def waterfall(results: Results) -> list[Panel]:
    """From administered to seen, at the highest dose, a panel for each arm."""
    import altair as alt

    survived, lost = results.survival(), results.losses()
    panels = []
    for arm in arm_names(results):
        rows = survived.filter(pl.col("arm") == arm).sort("dose").to_dicts()
        if not rows:
            continue
        steps = _steps(rows[-1], lost.filter(pl.col("arm") == arm, pl.col("dose") == rows[-1]["dose"]))
        order = [step["label"] for step in steps]
        top = rows[-1]["administered"]
        y = alt.Y("label:N", sort=order, axis=alt.Axis(title=None, labelLimit=120, domain=False, ticks=False))
        scale = alt.Scale(domain=[0, top * 1.3], nice=False)
        kinds = alt.Scale(domain=["kept", "lost"], range=["var(--kept)", "var(--lost)"])
        x = alt.X("start:Q", scale=scale, axis=None)
        base = alt.Chart(_values(steps)).encode(y=y)
        bars = base.mark_bar(height={"band": 0.66}, cornerRadius=2).encode(
            x=x, x2="end:Q", color=alt.Color("kind:N", scale=kinds, legend=None), tooltip=[alt.Tooltip("says:N")]
        )
        words = base.mark_text(align="left", dx=5, color="var(--ink)", fontSize=11).encode(
            x=alt.X("place:Q", scale=scale, axis=None), text="amount:N"
        )
        told = "; ".join(f"{step['label']}: {step['amount']}" for step in steps)
        panels.append(Panel(arm, finish(bars + words, 26 * len(steps)), told))
    return panels


def _documents(amount: float) -> str:
    return f"{amount:,.0f}" if amount == round(amount) else f"{amount:,.1f}"


def _steps(row: Mapping[str, Any], lost: pl.DataFrame) -> list[dict[str, Any]]:
    """The bars of a waterfall, in documents (means over seeds)."""

    def bar(label: str, start: float, end: float, kind: str, says: str) -> dict[str, Any]:
        amount = ("" if kind == "kept" else "−") + _documents(end - start)
        line = {"label": label, "start": start, "end": end, "kind": kind, "says": says}
        return {**line, "place": end, "amount": amount}

    level = row["administered"]
    steps = [bar("administered", 0.0, level, "kept", "edits administered")]
    for (name,), group in lost.group_by("filter", maintain_order=True):
        dropped = float(group["treated_dropped"].sum())
        if dropped == 0:
            continue
        reasons = group.filter(pl.col("treated_dropped") > 0).select("reason", "treated_dropped").iter_rows()
        says = "; ".join(f"{reason or 'no reason given'}: {_documents(count)}" for reason, count in reasons)
        steps.append(bar(str(name), max(0.0, level - dropped), level, "lost", says))
        level = max(0.0, level - dropped)
    steps.append(bar("after cleaning", 0.0, row["survived"], "kept", "edits whose document passed every filter"))
    if row["whole"] is not None and row["whole"] < row["survived"]:
        steps.append(bar("truncated", row["whole"], row["survived"], "lost", "their end lay beyond the context"))
    if row["seen"] is not None:
        times = row["num_sightings"] / row["seen"] if row["seen"] else 0.0
        steps.append(bar("seen in training", 0.0, row["seen"], "kept", f"each {times:.3g} times"))
    return steps
