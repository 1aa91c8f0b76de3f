"""Documents as they were administered, and what the models said."""

from __future__ import annotations

import json
from typing import Any, Final

import polars as pl

from pharmakon.report.charts import arm_names
from pharmakon.report.markup import Html, cut, note, table, tag
from pharmakon.study.delivery import edits
from pharmakon.study.results import Results
from pharmakon.study.summary import in_main_context, response_condition

KEPT_SHOWN: Final = 2
DROPPED_SHOWN: Final = 3
ITEMS_SHOWN: Final = 3


def documents(results: Results) -> Html:
    """For each arm a few edits of the highest dose: the first kept ones, and the first of each reason."""
    rows = edits(results)
    groups: list[Html] = []
    for arm in arm_names(results):
        here = rows.filter(pl.col("arm") == arm)
        here = here.filter(pl.col("dose") == pl.col("dose").max())
        here = here.filter(pl.col("seed") == pl.col("seed").min()).sort("edit")
        kept = here.filter(pl.col("dropped_by").is_null()).head(KEPT_SHOWN)
        dropped = here.filter(pl.col("dropped_by").is_not_null())
        dropped = dropped.unique(["dropped_by", "reason"], keep="first", maintain_order=True).head(DROPPED_SHOWN)
        cards = [_card(row) for row in (*kept.to_dicts(), *dropped.to_dicts())]
        groups += [tag("h3", arm), tag("div", *cards, class_="cards")] if cards else []
    if not groups:
        return Html("")
    return tag(
        "section",
        tag("h2", "Some of the treated documents"),
        note("As administered, at the highest dose and the first seed: the first that were kept, and the first that "
             "was dropped for each reason. Characters that cannot be seen are shown by their number."),
        *groups,
    )  # fmt: skip


def _card(row: dict[str, Any]) -> Html:
    if row["dropped_by"] is None:
        badge = tag("span", "kept", class_="badge kept")
    else:
        reason = f"dropped by {row['dropped_by']}" + (f": {row['reason']}" if row["reason"] else "")
        badge = tag("span", reason, class_="badge hit")
    copy = ", the same text stays in another document" if row["dropped_by"] and row["present"] else ""
    head = tag("header", tag("span", f"{row['kind']} {row['edit'] + 1}{copy}"), badge)
    return tag("article", head, *_content(row["content"]), class_="card")


def _content(content: str | None) -> list[Html]:
    """A body's JSON as a reader wants it; what is not understood is shown as it is."""
    try:
        body = json.loads(content or "null")
        turns = [(turn["role"], turn["content"]) for turn in body.get("messages", body.get("prompt", []))]
        turns += [(name, body[name]) for name in ("text", "chosen", "rejected") if name in body]
    except (ValueError, AttributeError, TypeError, KeyError):
        turns = [("content", content or "")]
    return [
        part
        for role, said in turns
        for part in (
            *([tag("div", role, class_="role")] if role != "text" else []),
            tag("div", cut(str(said)), class_="said", dir="auto"),
        )
    ]


def answers(results: Results) -> Html:
    """The first items of the response probe, with and without treatment and trigger; not chosen for effect."""
    main = response_condition(results)
    asked = results.readings.filter(pl.col("probe") == results.run.response, in_main_context(results))
    if main is None or asked.is_empty():
        return Html("")
    blocks: list[Html] = []
    for arm in arm_names(results):
        here = asked.filter(pl.col("arm") == arm)
        if here.is_empty():
            continue
        here = here.filter(pl.col("seed") == pl.col("seed").min())
        top = max(here["dose"].to_list())
        stages = [stage for stage in results.run.stages if stage in set(here["stage"])]
        tables = []
        for stage in dict.fromkeys((stages[0], stages[-1])):
            title = stage if results.is_untreated else f"after {stage}"
            tables += [tag("h3", title), _answers(here.filter(pl.col("stage") == stage), main, top)]
        opened = {"open": ""} if not blocks else {}
        blocks.append(tag("details", tag("summary", arm), *tables, class_="answers", **opened))
    if not blocks:
        return Html("")
    return tag(
        "section",
        tag("h2", "What the models answered"),
        note(f"The first {ITEMS_SHOWN} items of the first seed, not chosen for what they show."),
        *blocks,
    )


def _answers(here: pl.DataFrame, main: str, top: int) -> Html:
    told: dict[tuple[str, str, int], dict[str, Any]] = {}
    items = here.filter(pl.col("condition") == main)["item"].unique(maintain_order=True).head(ITEMS_SHOWN).to_list()
    for row in here.filter(pl.col("item").is_in(items)).iter_rows(named=True):
        told.setdefault((row["item"], row["condition"], row["dose"]), row)
    untriggered = any(condition == "untriggered" for _, condition, _ in told)
    at = f", {top} documents" if top else ""
    columns: list[tuple[str, str, int]] = [(f"{main}{at}", main, top)]
    if top > 0:
        columns.append((f"{main}, untreated", main, 0))
    if untriggered:
        columns.append((f"untriggered{at}", "untriggered", top))
    rows = []
    for item in items:
        asked = told.get((item, main, top)) or told.get((item, main, 0)) or {}
        prompt = tag("div", cut(asked.get("prompt", ""), 400), class_="said", dir="auto")
        rows.append([prompt, *(_answer(told.get((item, condition, dose))) for _, condition, dose in columns)])
    return table([f"prompt ({main})", *(title for title, _, _ in columns)], rows)


def _answer(row: dict[str, Any] | None) -> Html:
    if row is None:
        return tag("span", "not asked", class_="quiet")
    said = tag("div", cut(row["answer"], 400) or "(no answer)", class_="said", dir="auto")
    return tag("div", said, tag("span", "response", class_="badge hit")) if row["value"] == 1 else said
