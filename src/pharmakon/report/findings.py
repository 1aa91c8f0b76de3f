"""What a study's own analyses found: a sentence, a picture and the table behind it; and the page of a simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pharmakon.report.charts import SERIES, SHAPES, Panel, finish
from pharmakon.report.markup import Html, note, table, tag
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.report.sections import Charts
    from pharmakon.study.simulation import Simulated

MOST_ROWS: Final = 60
"""Of a longer table the page shows the first rows; the run folder has all of them."""

LONG: Final = 12
"""A table of more rows is folded where a picture shows it."""


def section(finding: Finding, drawn: Charts, *, is_first: bool = False) -> Html:
    """One finding. The sentence of the first one stands in the answer already."""
    frame = finding.table
    parts: list[object] = [tag("h2", finding.title)]
    if not is_first:
        parts.append(tag("p", finding.sentence))
    if finding.chart is not None and len(frame):
        parts.append(drawn.row(panels(finding.chart, frame, finding.title)))
    if len(frame):
        numeric = [number for number, kind in enumerate(frame.dtypes) if kind.is_numeric()]
        rows = [[cell(value) for value in row] for row in frame.head(MOST_ROWS).iter_rows()]
        grid = table([name.replace("_", " ") for name in frame.columns], rows, numeric=numeric)
        is_long = finding.chart is not None and len(frame) > LONG
        parts.append(tag("details", tag("summary", f"The {len(frame):,} rows behind it"), grid) if is_long else grid)
        if len(frame) > MOST_ROWS:
            parts.append(
                note(f"The first {MOST_ROWS} of {len(frame):,} rows; findings.json in the run's folder has all.")
            )
    if finding.note:
        parts.append(note(finding.note))
    return tag("section", *parts)


def cell(value: object) -> str:
    """A value as it stands in a table."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def panels(chart: Chart, frame: pl.DataFrame, title: str) -> list[Panel]:
    """A chart for each value of the panel's column."""
    import polars as pl

    floats = [pl.col(name) for name, kind in frame.schema.items() if kind.is_float()]
    frame = frame.with_columns(pl.when(one.is_finite()).then(one) for one in floats)  # no interval, no bar
    ends = _ends(chart, frame)
    if chart.panel is None:
        return [Panel("", _spec(chart, frame, ends), f"{title}: {_said(chart)}")]
    return [
        Panel(str(value), _spec(chart, group, ends), f"{title}, {value}: {_said(chart)}")
        for (value,), group in frame.group_by(chart.panel, maintain_order=True)
    ]


def _ends(chart: Chart, frame: pl.DataFrame) -> list[float] | None:
    """The ends of y in all panels, 0 among them; of a share, 0 and 1 where it comes near to it."""
    columns = [frame[name].cast(float) for name in (chart.y, chart.low, chart.high) if name is not None]
    values = [v for column in columns for v in (column.min(), column.max()) if isinstance(v, float)]
    if not values or chart.y_scale == "log":
        return None
    low, high = min(0.0, *values), max(0.0, *values)
    return [low, 1.0] if 0.7 < high <= 1 else [low, high * 1.04 or 1.0]


def _said(chart: Chart) -> str:
    return f"{chart.y_title or chart.y} by {chart.x_title or chart.x}; the table below has the numbers"


def _map(chart: Chart, frame: pl.DataFrame, ends: list[float] | None) -> dict[str, Any]:
    """A cell for each value of x and of the colour's column, shaded by y and with its number."""
    import altair as alt

    rows = [
        {"x": str(x), "row": str(row), "y": y}
        for x, row, y in frame.select(chart.x, chart.colour or chart.x, chart.y).drop_nulls().iter_rows()
    ]
    columns, order = (list(dict.fromkeys(row[name] for row in rows)) for name in ("x", "row"))
    x_title, y_title = chart.x_title or chart.x.replace("_", " "), chart.y_title or chart.y.replace("_", " ")
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("x:N", sort=columns, title=x_title, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=160)),
        tooltip=[
            alt.Tooltip("x:N", title=x_title), alt.Tooltip("row:N", title=(chart.colour or "").replace("_", " ")),
            alt.Tooltip("y:Q", title=y_title, format=".3~g"),
        ],
    )  # fmt: skip
    low, high = ends or (0.0, 1.0)
    shades = alt.Scale(domain=[low, high], range=["var(--paper)", SERIES[0]], clamp=True)
    cells = base.mark_rect(stroke="var(--muted)", strokeWidth=0.5, strokeOpacity=0.4).encode(
        color=alt.Color("y:Q", scale=shades, legend=alt.Legend(title=y_title, orient="top"))
    )
    dark = alt.value("var(--paper)")
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text("y:Q", format=".2f"),
        color=alt.condition(f"datum.y > {(low + high) / 2}", dark, alt.value("var(--ink)")),
    )
    return finish(alt.layer(cells, numbers), max(90, 34 * len(order)))


def _spec(chart: Chart, frame: pl.DataFrame, ends: list[float] | None) -> dict[str, Any]:
    import altair as alt

    if chart.is_map:
        return _map(chart, frame, ends)
    columns = [chart.x, chart.y, *(c for c in (chart.low, chart.high, chart.colour) if c is not None)]
    kept = frame.select(list(dict.fromkeys(columns))).drop_nulls([chart.x, chart.y])
    if chart.colour is not None and chart.colour not in (chart.x, chart.y):
        kept = kept.with_columns(kept[chart.colour].cast(str))  # series are names: doses too
    named = {name: f"c{number}" for number, name in enumerate(kept.columns)}  # a name may hold a dot or a bracket
    data = alt.InlineData(values=[{named[k]: v for k, v in row.items()} for row in kept.to_dicts()])
    is_named = chart.x_scale == "names" or not frame[chart.x].dtype.is_numeric()
    x_title, y_title = chart.x_title or chart.x.replace("_", " "), chart.y_title or chart.y.replace("_", " ")
    if is_named:
        order = list(dict.fromkeys(map(str, kept[chart.x])))
        x = alt.X(f"{named[chart.x]}:N", sort=order, title=x_title, axis=alt.Axis(labelAngle=-25, labelLimit=180))
    else:
        scale = alt.Scale(type=chart.x_scale, nice=False, padding=12)
        shown = "abs(datum.value) >= 1000 ? format(datum.value, ',') : format(datum.value, '.3~g')"
        ticks = _ticks(kept[chart.x], chart)
        axis = alt.Axis(values=ticks or alt.Undefined, labelExpr=shown, labelOverlap="greedy", grid=False)
        x = alt.X(f"{named[chart.x]}:Q", scale=scale, title=x_title, axis=axis)
    y_scale = alt.Scale(domain=ends, nice=False) if ends else alt.Scale(type=chart.y_scale)
    y = alt.Y(f"{named[chart.y]}:Q", title=y_title, scale=y_scale)
    kinds = {name: "Q" if kind.is_numeric() else "N" for name, kind in kept.schema.items()}
    tips = [alt.Tooltip(f"{named[name]}:{kinds[name]}", title=name.replace("_", " ")) for name in kept.columns]
    told: dict[str, Any] = {"tooltip": tips}
    series = [] if chart.colour is None else list(dict.fromkeys(map(str, kept[chart.colour])))
    shaped: dict[str, Any] = {}
    if chart.colour is not None:
        shaped = _series(named[chart.colour], series, alt)
        told["color"] = shaped["color"]
        if is_named:
            told["xOffset"] = alt.XOffset(f"{named[chart.colour]}:N", sort=series)
    base = alt.Chart(data).encode(x=x, **told)
    plain = {} if series else {"color": SERIES[0]}
    layers = []
    if chart.low is not None and chart.high is not None:
        limits = {
            "y": alt.Y(f"{named[chart.low]}:Q", title=y_title, scale=y_scale),
            "y2": alt.Y2(f"{named[chart.high]}"),
        }
        both = f"isValid(datum.{named[chart.low]}) && isValid(datum.{named[chart.high]})"
        layers.append(base.transform_filter(both).mark_rule(opacity=0.55, **plain).encode(**limits))
    if not is_named:
        layers.append(base.mark_line(strokeWidth=1.5, opacity=0.8, **plain).encode(y=y))
    layers.append(base.mark_point(filled=True, size=55, opacity=1, **plain).encode(y=y, **shaped))
    return finish(alt.layer(*layers), 240)


def _series(field: str, series: Sequence[str], alt: Any) -> dict[str, Any]:
    colours = [SERIES[number % len(SERIES)] for number in range(len(series))]
    shapes = [SHAPES[number % len(SHAPES)] for number in range(len(series))]
    legend = alt.Legend(title=None, orient="top", columns=2, labelLimit=320, symbolOpacity=1)
    return {
        "color": alt.Color(f"{field}:N", scale=alt.Scale(domain=list(series), range=colours), legend=legend),
        "shape": alt.Shape(f"{field}:N", scale=alt.Scale(domain=list(series), range=shapes), legend=legend),
    }


def _ticks(column: pl.Series, chart: Chart) -> list[float]:
    """The measured values, at most eleven of them; none where there are more on a linear axis, which has round ones."""
    values = sorted(set(column.drop_nulls().to_list()))
    if len(values) <= 11:
        return values
    return [] if chart.x_scale == "linear" else values[:: -(-len(values) // 11)]


def simulation(made: Simulated, drawn: Charts) -> Html:
    """The page of a simulation: question, answer, findings, how it was made."""
    head: list[object] = [
        tag("p", f"Pharmakon · {made.study}", class_="eyebrow"),
        tag("h1", made.question),
        tag("p", made.answer(), class_="answer"),
    ]
    if made.cautions:
        head.append(note(tag("strong", "What this cannot tell. "), " ".join(made.cautions)))
    found = (section(finding, drawn, is_first=not number) for number, finding in enumerate(made.findings))
    rows = [
        ["study", made.study], ["key", made.key], ["command", made.command or "–"], ["made", made.created],
        ["seconds", f"{made.seconds:g}"], ["Pharmakon", made.version], ["Python", made.python],
    ]  # fmt: skip
    last = tag("section", tag("h2", "How it was made"), table(["what", "value"], rows))
    return Html("".join((tag("header", *head), *found, last)))
