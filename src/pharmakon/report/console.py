"""Results as tables for the terminal, at home in 100 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from pharmakon.report.findings import cell
from pharmakon.report.markup import visible
from pharmakon.study.answer import LOUD_CONTROL, effect_name
from pharmakon.study.summary import ALL_TASKS, as_it_is, in_main_context, rate_text

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    from pharmakon.study.finding import Finding
    from pharmakon.study.results import Results
    from pharmakon.study.simulation import Simulated

MOST_LINES: Final = 20
"""Rows of a finding's table on the terminal."""


def print_results(results: Results, console: Console | None = None) -> None:
    """Print the thresholds, the response at each dose, survival and utility, and at the end the answer."""
    from rich.console import Console
    from rich.padding import Padding

    to = console or Console()
    dosed = (_thresholds, _rates, _survival, _utility)
    for part in (make(results) for make in ((_as_it_is,) if results.is_untreated else dosed)):
        if part is not None:
            to.print(part)
    _findings(results.findings, to)
    for failure in results.run.failures:
        told = f"failed: {failure.get('arm')}, dose {failure.get('dose')}, seed {failure.get('seed')}: "
        to.print(_text(told + str(failure.get("reason")), "red"))
    for warning in results.run.warnings:
        to.print(_text(f"warning: {warning}", "yellow"))
    to.print(Padding(_text(results.answer(), "bold"), (1, 0)))


def print_simulated(made: Simulated, console: Console | None = None) -> None:
    """Print the tables of a simulation's findings, and at the end the answer."""
    from rich.console import Console
    from rich.padding import Padding

    to = console or Console()
    _findings(made.findings, to)
    for caution in made.cautions:
        to.print(_text(f"caution: {caution}", "yellow"))
    to.print(Padding(_text(made.answer(), "bold"), (1, 0)))


def _findings(found: Sequence[Finding], to: Console) -> None:
    """The table of each finding, its sentence below it; the sentence of the first one is the answer's."""
    for place, finding in enumerate(found):
        frame = finding.table
        rows = [[cell(value) for value in row] for row in frame.head(MOST_LINES).iter_rows()]
        table = _table(finding.title, left=0)
        for number, (name, kind) in enumerate(frame.schema.items()):
            words = [name.replace("_", " "), *(row[number] for row in rows)]
            least = max(len(word) for word in words[1:] or [""]) if kind.is_numeric() else 0
            least = max(least, max(map(len, words[0].split()), default=0))
            justify: JustifyMethod = "right" if kind.is_numeric() else "left"
            table.add_column(_text(words[0]), justify=justify, min_width=least, overflow="fold")
        for row in rows:
            table.add_row(*map(_text, row))
        if len(frame):
            to.print(table)
        if len(frame) > MOST_LINES:
            to.print(_text(f"… and {len(frame) - MOST_LINES} more rows, in findings.json of the run"))
        if place:
            to.print(_text(finding.sentence))
            to.print()


def _text(content: object, style: str = "") -> Text:
    """Text as it is: no markup is read in it, and no control character reaches the terminal."""
    from rich.text import Text

    return Text(visible(str(content)), style=style)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=_text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        if number < left:
            table.add_column(_text(name), min_width=12, overflow="fold")
        else:
            table.add_column(_text(name), justify="right", no_wrap=True, overflow="fold")
    return table


def _loud(rate: float | None) -> Text:
    return _text(rate_text(rate), "red" if rate is not None and rate >= LOUD_CONTROL else "")


def _as_it_is(results: Results) -> Table | None:
    """Of a run without doses: every condition of every probe."""
    frame = as_it_is(results)
    if frame.is_empty():
        return None
    contexts = [context for context in results.run.contexts if context in set(frame["context"])]
    several = len(set(frame.select("arm", "stage").iter_rows())) > 1
    table = _table("As it is (95% interval)", "probe", "condition", *contexts, left=2)
    for (arm, stage), group in frame.group_by("arm", "stage", maintain_order=True):
        if several:
            table.add_row(_text(f"{arm}, {stage}", "bold"), *[""] * (1 + len(contexts)))
        for (probe, condition), rows in group.group_by("probe", "condition", maintain_order=True):
            at = {row["context"]: rate_text(row["rate"], row["low"], row["high"]) for row in rows.to_dicts()}
            table.add_row(*map(_text, (probe, condition, *(at.get(context, "–") for context in contexts))))
        table.add_section()
    return table


def _thresholds(results: Results) -> Table | None:
    frame = results.table()
    if frame.is_empty():
        return None
    several = len(results.run.contexts) > 1
    top = max(frame["highest_dose"].drop_nulls(), default=0)
    columns = ("ED50", f"at {top}", "untreated", "no trigger", "near", "kept", "p")
    table = _table(f"Thresholds in documents, {effect_name(results)} at the highest dose", "arm, after", *columns)
    for (arm,), group in frame.group_by("arm", maintain_order=True):
        table.add_row(_text(arm, "bold"), *[""] * len(columns))
        for row in group.iter_rows(named=True):
            p_value = row["p_holm"]
            place = row["stage"] + (f", {row['context']}" if several else "")
            kept = "–" if row["retention"] is None else f"{row['retention']:.0%}"
            told = "–" if p_value is None else "<0.001" if p_value < 0.001 else f"{p_value:.2g}"
            controls = (_loud(row[name]) for name in ("untreated", "untriggered", "near_max"))
            cells = (_text(row["threshold"], "bold"), _text(rate_text(row["asr"])), *controls, _text(kept), _text(told))
            table.add_row(_text(f"  {place}"), *cells)
        table.add_section()
    return table


def _rates(results: Results) -> Table | None:
    frame = results.rates()
    if frame.is_empty():
        return None
    frame = frame.filter(in_main_context(results))
    context = ", ".join(dict.fromkeys(frame["context"]))
    stages = [stage for stage in results.run.stages if stage in set(frame["stage"])]
    titles = [f"after {stage}" for stage in stages]
    table = _table(f"{effect_name(results).capitalize()} by dose ({context}, 95% interval)", "arm", "dose", *titles)
    for (arm,), group in frame.group_by("arm", maintain_order=True):
        for number, dose in enumerate(sorted(set(group["dose"]))):
            at = {row["stage"]: row for row in group.filter(pl.col("dose") == dose).iter_rows(named=True)}
            rates = [
                rate_text(at[stage]["asr"], at[stage]["low"], at[stage]["high"]) if stage in at else "–"
                for stage in stages
            ]
            table.add_row(_text("" if number else arm), _text(dose), *map(_text, rates))
        table.add_section()
    return table


def _survival(results: Results) -> Table | None:
    frame = results.survival()
    if frame.is_empty():
        return None
    table = _table(
        "Survival at the highest dose (means over seeds)",
        "arm", "administered", "after cleaning", "text still there", "seen", "clean dropped",
    )  # fmt: skip
    lost = results.losses()
    for (arm,), group in frame.group_by("arm", maintain_order=True):
        row = group.sort("dose").row(-1, named=True)
        clean = lost.filter(pl.col("arm") == arm, pl.col("dose") == row["dose"], pl.col("stage") == row["stage"])
        share = clean["clean_share"].sum() if clean["clean_share"].null_count() < len(clean) else None
        amounts = [
            "–" if row[name] is None else f"{row[name]:,.4g}"
            for name in ("administered", "survived", "present", "seen")
        ]
        table.add_row(_text(arm), *map(_text, amounts), _text("–" if share is None else f"{share:.1%}"))
    return table


def _utility(results: Results) -> Table | None:
    frame = results.utility().filter(pl.col("probe") == results.run.utility)
    if frame.is_empty():
        return None
    tasks = frame["task"].unique(maintain_order=True).to_list()
    frame = frame.filter(in_main_context(results))
    context = ", ".join(dict.fromkeys(frame["context"]))
    shown = [ALL_TASKS] if ALL_TASKS in tasks else tasks[:1]
    table = _table(
        f"Utility ({shown[0]}, {context}, 95% interval)", "arm", "after", "untreated", "highest dose", left=2
    )
    for (arm, stage), group in frame.filter(pl.col("task").is_in(shown)).group_by("arm", "stage", maintain_order=True):
        first, last = group.sort("dose").row(0, named=True), group.sort("dose").row(-1, named=True)
        ends = [
            rate_text(row["rate"], row["low"], row["high"]) if there else "–"
            for row, there in ((first, first["dose"] == 0), (last, last["dose"] > 0))
        ]
        table.add_row(_text(arm), _text(stage), *map(_text, ends))
    return table
