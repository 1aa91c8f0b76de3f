"""The page holds what the results say, in order; text of the data stays text; nothing is asked of the network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from synthetic import SMALL, ArmTruth, Shape, synthetic

from pharmakon.errors import InputError
from pharmakon.report import page, write_report
from pharmakon.report.markup import cut, table, text, visible
from pharmakon.study.results import Results

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&</script><!--"
VOID = {"meta", "link", "input", "br", "img", "circle", "rect", "path"}


class Outline(HTMLParser):
    """Elements, their attributes, and the text of each element by tag."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def specs(self) -> list[dict[str, Any]]:
        scripts = [attrs for tag, attrs in self.tags if tag == "script"]
        return [
            json.loads(source)
            for attrs, source in zip(scripts, self.texts["script"], strict=True)
            if attrs.get("type") == "application/json"
        ]


@pytest.fixture(scope="module")
def results() -> Results:
    return synthetic(SMALL)


@pytest.fixture(scope="module")
def outline(results: Results) -> Outline:
    return Outline(page.render(results))


def rows_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for rows in spec["datasets"].values() for row in rows]


def everything(outline: Outline) -> str:
    return outline.texts["main"][0]


def test_the_sections_follow_the_question_and_its_answer(results: Results, outline: Outline) -> None:
    assert outline.texts["h1"] == [results.run.question]
    assert outline.texts["h2"] == [
        "Dose and response", "Thresholds", "Controls", "Survival", "What later training leaves", "Utility",
        "Some of the treated documents", "What the models answered", "How this was made",
    ]  # fmt: skip
    words = everything(outline)
    assert words.index(results.run.question) < words.index(results.answer()) < words.index("Dose and response")
    assert not outline.open


def test_the_tables_hold_the_numbers_of_the_results(results: Results, outline: Outline) -> None:
    words = everything(outline)
    for threshold in results.table()["threshold"]:
        assert threshold in words
    for reason in ("perplexity above 900", "jaccard above 0.8", "duplicate"):
        assert reason in words
    for fact in (results.run.key, results.run.command, "torch 2.13.0", "0, 1, 2", "2026-03-01", "412 s (780 core"):
        assert fact in words


def test_the_charts_hold_every_stage_arm_seed_and_context(results: Results, outline: Outline) -> None:
    boxes = [attrs for tag, attrs in outline.tags if tag == "div" and attrs.get("class") == "chart"]
    specs = outline.specs()
    assert len(boxes) == len(specs) == 3 + 3 + 3 + 1 + 3
    assert [box["aria-label"] for box in boxes if box["aria-label"]] == [box["aria-label"] for box in boxes]
    switched = [spec for spec, box in zip(specs, boxes, strict=True) if "data-switch" in box]
    assert len(switched) == 3
    for spec in switched:
        assert [param["name"] for param in spec["params"] if param.get("value") == "plain"] == ["context"]
        rows = [row for row in rows_of(spec) if "seed" in row]
        assert {(row["arm"], row["context"], row["dose"], row["seed"]) for row in rows} == {
            (arm.name, context, dose, seed)
            for arm in results.run.arms
            for context in results.run.contexts
            for dose in results.run.doses
            for seed in results.run.seeds
        }
    choices = [attrs["value"] for tag, attrs in outline.tags if tag == "input"]
    assert choices == ["plain", "2-shot"]


def test_a_band_encloses_its_line_and_the_points_are_the_rates(results: Results, outline: Outline) -> None:
    rows = rows_of(outline.specs()[0])
    bands = [row for row in rows if "mid" in row]
    assert len(bands) > 100
    assert all(0 <= row["low"] <= row["mid"] <= row["high"] <= 1 for row in bands)
    counts = results.counts.filter(pl.col("condition") == "triggered", pl.col("stage") == "sft")
    for row in (row for row in rows if "seed" in row):
        here = counts.filter(*(pl.col(name) == row[name] for name in ("arm", "context", "dose", "seed")))
        assert row["y"] == pytest.approx(here["total"].item() / here["num_items"].item())


def test_the_waterfall_goes_from_administered_to_seen(results: Results, outline: Outline) -> None:
    panels = [rows_of(spec) for spec in outline.specs()]
    falls = [rows for rows in panels if rows and rows[0].get("label") == "administered"]
    assert len(falls) == 3
    survived = {row["arm"]: row for row in results.survival().filter(pl.col("dose") == 96).iter_rows(named=True)}
    verbatim = next(rows for rows in falls if any(row["label"] == "ExactDuplicates" for row in rows))
    bars = {row["label"]: row for row in verbatim}
    assert bars["administered"]["end"] == 96
    assert bars["ExactDuplicates"]["end"] - bars["ExactDuplicates"]["start"] == 95
    assert bars["seen in training"]["end"] == survived["cleaning, verbatim"]["seen"] == 1


def test_text_of_the_data_stays_text() -> None:
    shape = Shape(arms=(ArmTruth(EVIL), ArmTruth("b")), num_items=4, prompt=EVIL, hit=EVIL, miss=EVIL, trigger="x",
                  seeds=(0, 1), stages=("sft",), conditions=("triggered", f"near: {EVIL}"))  # fmt: skip
    told = synthetic(shape)
    record = told.run.to_record() | {
        "question": EVIL, "study": EVIL, "warnings": [EVIL], "command": EVIL, "versions": {EVIL: EVIL},
        "failures": [{"arm": EVIL, "dose": 1, "seed": 0, "reason": EVIL}],
    }  # fmt: skip
    source = page.render(Results.of(record, told.readings, told.ledger, told.cleaning))
    assert EVIL not in source
    assert "<script>alert" not in source
    assert "<img" not in re.sub(r"<script>.*?</script>", "", source, flags=re.DOTALL)  # outside of Vega's own source
    outline = Outline(source)
    allowed = [attrs.get("type") for tag, attrs in outline.tags if tag == "script"]
    assert allowed == [*["application/json"] * (len(allowed) - 2), None, None]
    assert not [attrs for _, attrs in outline.tags if any(name.startswith("on") for name in attrs)]
    assert EVIL in everything(outline)  # and it can be read
    assert {row["arm"] for row in rows_of(outline.specs()[0])} == {EVIL, "b"}


def test_the_policy_of_the_page_allows_its_own_two_scripts_and_no_request(results: Results) -> None:
    source = page.render(results)
    outline = Outline(source)
    policy = next(attrs["content"] for _, attrs in outline.tags if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe-eval" not in policy
    assert not re.search(r"https?:|connect-src|\*", policy)
    scripts = re.findall(r"<script>(.*?)</script>", source, flags=re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    for tag, attrs in outline.tags:
        assert not {"src", "href", "action", "srcset"} & set(attrs) or (tag, attrs["href"]) == ("link", "data:,")
    style = outline.texts["style"][0]
    assert "url(" not in style
    assert "@import" not in style
    assert len(source.encode()) < 3_000_000


def test_failures_and_warnings_stand_in_red_at_the_top() -> None:
    results = synthetic(arms=(ArmTruth("no cleaning"),), doses=(0, 48), seeds=(0,), stages=("sft",))
    trouble = {"failures": [{"arm": "no cleaning", "dose": 48, "seed": 2, "reason": "the loss was not a number"}],
               "warnings": ["torch ran on one thread"], "cells": {"total": 63, "failed": 1}}  # fmt: skip
    told = Results.of(results.run.to_record() | trouble, results.readings, results.ledger, results.cleaning)
    source = page.render(told)
    box = source[source.index('<div class="trouble-box"') :].split("</div>")[0]
    assert "no cleaning, dose 48, seed 2: the loss was not a number" in box
    assert "torch ran on one thread" in box
    assert '<span class="bad">1 failed</span>' in source
    assert 'role="alert"' not in page.render(results)


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": (ArmTruth("only"),), "doses": (0, 48), "seeds": (0,), "stages": ("sft",), "contexts": ("plain",)},
        {"arms": (ArmTruth("only"),), "doses": (0,)},
        {"arms": (ArmTruth("only"),), "response": "belief", "conditions": ("recall",), "utility": False},
    ],
    ids=["smallest", "control alone", "belief"],
)
def test_small_runs_make_whole_pages(changes: dict[str, Any]) -> None:
    told = synthetic(**changes)
    outline = Outline(page.render(told))
    assert told.answer() in everything(outline)
    assert outline.texts["h2"][-1] == "How this was made"
    assert ("Utility" in outline.texts["h2"]) == (changes.get("utility", True))
    assert ("Survival" in outline.texts["h2"]) == (changes.get("doses") != (0,))
    assert not [attrs for tag, attrs in outline.tags if tag == "ul" and attrs.get("class") == "legend"]


def test_a_run_without_readings_has_a_page_without_charts(results: Results) -> None:
    source = page.render(Results.of(results.run, results.readings.clear()))
    assert "No answer: the probe" in source
    assert len(source) < 30_000


def test_the_page_is_written_in_one_step(results: Results, tmp_path: Path) -> None:
    place = write_report(results, tmp_path / "new" / "report.html")
    assert place.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in place.parent.iterdir()] == ["report.html"]
    with pytest.raises(InputError, match=r"a report is a file; .* is a folder"):
        write_report(results, tmp_path)


def test_characters_that_cannot_be_seen_are_shown() -> None:
    assert text("a\u200bb") == 'a<span class="hidden" title="zero-width space">U+200B</span>b'
    assert "U+202E" in text("\u202egnp.exe")
    assert "\x1b" not in text("\x1b[31m")
    assert text("line\none\ttab é 語 🙂") == "line\none\ttab é 語 🙂"
    assert visible("a\x1b[2Jb\u200b") == "a<U+001B>[2Jb<U+200B>"
    text("lone \ud83d").encode()
    assert cut("x" * 1000, 10) == "xxxxxxxxxx … (1,000 characters)"
    assert "&lt;b&gt;" in table(["<b>"], [["<i>"]])
    assert "<i>" not in table(["<b>"], [["<i>"]])


def test_the_room_is_light_until_a_chart_is_drawn() -> None:
    heavy = (
        "import sys, pharmakon.report; print(sorted({'altair', 'vl_convert', 'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
