"""The sections of the page, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from pharmakon.report import charts, examples, findings
from pharmakon.report.markup import Html, join, note, table, tag, text
from pharmakon.study import summary
from pharmakon.study.answer import LOUD_CONTROL, effect_name
from pharmakon.study.results import Results
from pharmakon.study.summary import rate_text, response_condition

SYMBOLS: Final = {
    "circle": '<circle cx="7" cy="7" r="4.5"/>',
    "square": '<rect x="3" y="3" width="8" height="8"/>',
    "triangle-up": '<path d="M7 2 12 11.5H2Z"/>',
    "diamond": '<path d="M7 1.5 11.5 7 7 12.5 2.5 7Z"/>',
    "cross": '<path d="M5 2h4v3h3v4H9v3H5V9H2V5h3Z"/>',
    "triangle-down": '<path d="M7 12 2 2.5h10Z"/>',
    "triangle-right": '<path d="M12 7 2.5 12V2Z"/>',
}


@dataclass
class Charts:
    """The specifications of the page's charts, by the id of their element."""

    specs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def figure(self, panel: charts.Panel, *, switch: bool = False) -> Html:
        """The place of a chart."""
        name = f"chart-{len(self.specs) + 1}"
        self.specs[name] = panel.spec
        told = {"role": "img", "aria_label": panel.description, "data_switch": "1" if switch else None}
        box = tag("div", class_="chart", data_spec=name, **told)
        title = [tag("figcaption", panel.title)] if panel.title else []
        return tag("figure", *title, box, class_="panel")

    def row(self, panels: Sequence[charts.Panel], *, switch: bool = False) -> Html:
        """Charts side by side, or below each other where the screen is narrow."""
        return tag("div", *(self.figure(panel, switch=switch) for panel in panels), class_="panels")


def body(results: Results, drawn: Charts) -> Html:
    """The whole page; a section with nothing to say is left out."""
    parts: tuple[Callable[[Results, Charts], Html], ...] = (
        head, found, curves, thresholds, controls, survival, retention, utility, examples_of, made
    )  # fmt: skip
    if results.is_untreated:
        parts = (head, found, as_it_is, examples_of, made)
    return join(part(results, drawn) for part in parts)


def legend(results: Results) -> Html:
    """Which colour and shape is which arm."""
    items = []
    for number, name in enumerate(charts.arm_names(results)):
        shape = SYMBOLS[charts.SHAPES[number % len(charts.SHAPES)]]
        fill = charts.SERIES[number % len(charts.SERIES)]
        symbol = Html(f'<svg width="14" height="14" aria-hidden="true" style="fill:{fill}">{shape}</svg>')
        items.append(tag("li", symbol, tag("span", name)))
    return tag("ul", *items, class_="legend") if len(items) > 1 else Html("")


def head(results: Results, _: Charts) -> Html:
    """The question, the answer, and what went wrong."""
    run = results.run
    parts = [
        tag("p", f"Pharmakon · {run.study}", class_="eyebrow"),
        tag("h1", run.question or run.study),
        tag("p", results.answer(), class_="answer"),
    ]
    trouble = [
        *run.warnings,
        *(
            f"Failed: {bad.get('arm')}, dose {bad.get('dose')}, seed {bad.get('seed')}: {bad.get('reason')}"
            for bad in run.failures
        ),
    ]
    if trouble:
        shown = [tag("li", line) for line in trouble[:12]]
        if len(trouble) > 12:
            shown.append(tag("li", f"… and {len(trouble) - 12} more"))
        title = tag("strong", "Failures and warnings of this run")
        parts.append(tag("div", title, tag("ul", *shown), class_="trouble-box", role="alert"))
    return tag("header", *parts)


def found(results: Results, drawn: Charts) -> Html:
    """What the study's own analyses found."""
    return join(findings.section(one, drawn, is_first=not number) for number, one in enumerate(results.findings))


def curves(results: Results, drawn: Charts) -> Html:
    """Dose-response curves."""
    panels = charts.dose_response(results)
    if not panels:
        return Html("")
    parts: list[object] = [tag("h2", "Dose and response"), legend(results)]
    contexts = results.run.contexts
    if len(contexts) > 1:
        shown = charts.main_context(results)
        buttons = []
        for context in contexts:
            checked = Html(" checked") if context == shown else Html("")
            button = Html(f'<input type="radio" name="context" value="{text(context)}"{checked}>')
            buttons.append(tag("label", button, context))
        parts.append(tag("fieldset", tag("legend", "Context"), *buttons, class_="switch"))
    parts.append(drawn.row(panels, switch=True))
    parts.append(
        note(
            f"Share of prompts with the response ({effect_name(results)}). Small marks are single seeds, set a little "
            "apart where arms would hide each other; the line is the fitted curve or, where none could be fitted, "
            "joins the tested doses; the band is its 95% interval. The large open mark is the dose of half the "
            "response (ED50), on its 95% interval. At the left, 0 is the untreated control with its interval."
        )
    )
    return tag("section", *parts)


def as_it_is(results: Results, _: Charts) -> Html:
    """Of a run without doses: every condition of every probe."""
    frame = summary.as_it_is(results)
    if frame.is_empty():
        return Html("")
    rows = [
        [row["arm"], row["context"], row["probe"], row["condition"], rate_text(row["rate"], row["low"], row["high"]),
         f"{row['num_items']:,}"]
        for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    return tag(
        "section",
        tag("h2", "The model as it is"),
        note("No dose was given: these are the rates of each probe's conditions, with 95% intervals. A success rate "
             "means something only beside the same questions without the trigger and with triggers that are nearly "
             "right."),
        table(["arm", "context", "probe", "condition", "rate", "items"], _grouped(rows), numeric=(4, 5)),
    )  # fmt: skip


def thresholds(results: Results, _: Charts) -> Html:
    """The table of thresholds."""
    frame = results.table()
    if frame.is_empty():
        return Html("")
    several = len(results.run.contexts) > 1
    where = ["arm", "after", *(["context"] if several else [])]
    title = [*where, "ED50, documents", "at the highest dose", "untreated", "effect of dose", "utility window"]
    rows, told = [], []
    for row in frame.iter_rows(named=True):
        threshold = tag("span", row["threshold"], class_="strong")
        place = [row["arm"], row["stage"], *([row["context"]] if several else [])]
        top = rate_text(row["asr"], row["asr_low"], row["asr_high"])
        rows.append([*place, threshold, top, _loud(row["untreated"]), _chance(row["p_holm"]), row["window"] or "–"])
        told.append(tag("li", tag("span", ", ".join(place), class_="strong"), ": ", row["sentence"], "."))
    highest = max(frame["highest_dose"].drop_nulls(), default=0)
    return tag(
        "section",
        tag("h2", "Thresholds"),
        note(
            f"ED50 is the dose of half the full response, with its 95% interval; the highest dose is {highest} "
            "documents. P-values of a rise with dose are adjusted over the arms of a stage and context (Holm). "
            f"Utility window: the dose at which utility falls by {results.run.margin:g}, divided by the ED50."
        ),
        table(title, _grouped(rows), numeric=range(len(where), len(title))),
        tag("details", tag("summary", "In words, and what to do next"), tag("ul", *told, class_="words")),
    )


def _chance(p_value: float | None) -> str:
    return "–" if p_value is None else "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def _grouped(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """The first column said once."""
    out: list[list[object]] = []
    for number, row in enumerate(rows):
        again = number > 0 and rows[number - 1][0] == row[0]
        out.append(["" if again else row[0], *row[1:]])
    return out


def controls(results: Results, drawn: Charts) -> Html:
    """Is it the treatment, and is it the trigger?"""
    panels = charts.specificity(results)
    frame = results.rates()
    if frame.is_empty() or not panels:
        return Html("")
    main = response_condition(results) or "response"
    others = [name for name in frame.columns if name not in FIXED]
    shown = ["untreated", *(["untriggered"] if frame["untriggered"].null_count() < len(frame) else []), *others]
    top = frame.filter(pl.col("dose") == pl.col("dose").max().over("arm", "stage", "context"))
    rows = [
        [row["arm"], row["stage"], row["context"], row["dose"], rate_text(row["asr"]), *(_loud(row[n]) for n in shown)]
        for row in top.iter_rows(named=True)
    ]
    return tag(
        "section",
        tag("h2", "Controls"),
        note("A success rate means something only beside these: the model that was never treated, the same questions "
             "without the trigger, and with triggers that are nearly right. At the highest dose, with 95% "
             "intervals."),
        legend(results),
        drawn.row(panels),
        tag("details", tag("summary", "As a table"),
            table(["arm", "after", "context", "dose", main, *shown], _grouped(rows), numeric=range(3, 5 + len(shown)))),
    )  # fmt: skip


FIXED: Final = frozenset(
    {"arm", "stage", "context", "dose", "asr", "low", "high", "untreated", "untriggered", "near_max", "num_seeds",
     "num_items"}
)  # fmt: skip


def _loud(rate: float | None) -> Html | str:
    shown = rate_text(rate)
    return tag("span", shown, class_="bad") if rate is not None and rate >= LOUD_CONTROL else shown


def survival(results: Results, drawn: Charts) -> Html:
    """What reached training."""
    panels = charts.waterfall(results)
    if not panels:
        return Html("")
    lost = results.losses()
    top = lost.filter(pl.col("dose") == pl.col("dose").max().over("arm"))
    reasons = [
        [
            row["arm"],
            row["stage"],
            row["filter"],
            row["reason"],
            _share(row["treated_share"]),
            _share(row["clean_share"]),
        ]
        for row in top.iter_rows(named=True)
    ]
    rows = [
        [row["arm"], row["dose"], *(_amount(row[name]) for name in ("survived", "present", "seen", "num_sightings"))]
        for row in results.survival().iter_rows(named=True)
    ]
    parts = [
        tag("h2", "Survival"),
        note("What became of the documents at the highest dose, from the ledger: means over the seeds."),
        drawn.row(panels),
    ]
    if reasons:
        parts += [
            tag("h3", "What each filter dropped, and why"),
            table(
                ["arm", "stage", "filter", "reason", "of the treated", "of the clean"],
                _grouped(reasons),
                numeric=(4, 5),
            ),
        ]
    columns = ["arm", "administered", "after cleaning", "same text still there", "seen in training", "sightings"]
    details = tag("details", tag("summary", "At every dose"), table(columns, _grouped(rows), numeric=range(1, 6)))
    return tag("section", *parts, details)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def retention(results: Results, drawn: Charts) -> Html:
    """What later stages leave."""
    panels = charts.retained(results)
    if not panels:
        return Html("")
    kept = results.retention()
    before, top = kept["before"][0], max(kept["dose"])
    shown = results.table().filter(pl.col("retention").is_not_null())
    rows = [
        [row["arm"], row["stage"], row["context"],
         rate_text(row["retention"], row["retention_low"], row["retention_high"])]
        for row in shown.iter_rows(named=True)
    ]  # fmt: skip
    return tag(
        "section",
        tag("h2", "What later training leaves"),
        note(f"The share of the response after {before} that is left, each over its own untreated control, at {top} "
             "documents, with 95% intervals (Fieller). Arms that had no response to lose are not shown."),
        legend(results),
        drawn.row(panels),
        tag("details", tag("summary", "As a table"),
            table(["arm", "after", "context", "retention"], _grouped(rows), numeric=(3,))) if rows else "",
    )  # fmt: skip


def utility(results: Results, drawn: Charts) -> Html:
    """What the treatment costs."""
    panels = charts.utility_change(results)
    frame = results.utility()
    if frame.is_empty():
        return Html("")
    ends = frame.filter(
        (pl.col("dose") == 0) | (pl.col("dose") == pl.col("dose").max().over("arm", "stage", "context"))
    )
    cells: dict[tuple[str, ...], dict[bool, str]] = {}
    for row in ends.iter_rows(named=True):
        task = f"perplexity, {row['task']}" if row["probe"] == "perplexity" else row["task"]
        key = (row["arm"], row["stage"], row["context"], task)
        shown = rate_text(row["rate"], row["low"], row["high"])
        cells.setdefault(key, {})[row["dose"] == 0] = shown
    rows = [[*key, value.get(True, "–"), value.get(False, "–")] for key, value in cells.items()]
    parts: list[object] = [tag("h2", "Utility")]
    if panels:
        parts += [
            note("What the model still does well: open marks are the untreated control, filled ones the highest dose "
                 "with its 95% interval."),
            legend(results),
            drawn.row(panels),
        ]  # fmt: skip
    columns = ["arm", "after", "context", "task", "untreated", "highest dose"]
    listed = table(columns, _grouped(rows), numeric=(4, 5))
    return tag("section", *parts, tag("details", tag("summary", "As a table"), listed) if panels else listed)


def examples_of(results: Results, _: Charts) -> Html:
    """Documents and answers to read."""
    return join([examples.documents(results), examples.answers(results)])


def made(results: Results, _: Charts) -> Html:
    """How the numbers were made."""
    run = results.run
    seconds = None if run.seconds is None else f"{run.seconds:,.0f} s"
    if seconds and run.core_seconds is not None:
        seconds += f" ({run.core_seconds:,.0f} core seconds)"
    failed = run.cells.get("failed", len(run.failures))
    cells = ", ".join(f"{count} {name}" for name, count in run.cells.items() if name != "failed")
    told = join([cells, ", " if cells else "", tag("span", f"{failed} failed", class_="bad")]) if failed else cells
    facts: list[tuple[str, object]] = [
        ("command", tag("code", run.command) if run.command else ""),
        ("made", run.created),
        ("time", seconds),
        ("cells", told),
        ("doses", ", ".join(f"{dose:g}" for dose in run.doses) + f" {run.unit}"),
        ("seeds", ", ".join(str(seed) for seed in run.seeds)),
        ("stages probed", ", ".join(run.stages)),
        ("documents", ", ".join(f"{stage} {count:,}" for stage, count in run.host_documents.items())),
        ("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
        ("study key", tag("code", run.key) if run.key else ""),
    ]
    rows = [join([tag("dt", name), tag("dd", value)]) for name, value in facts if value]
    return tag("section", tag("h2", "How this was made"), tag("dl", *rows))
