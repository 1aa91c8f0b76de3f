"""How the table of a finding is drawn."""

from __future__ import annotations

import json
import math
from typing import Any

import polars as pl
import pytest

from pharmakon.report.findings import cell, panels
from pharmakon.study import Chart


def test_series_that_are_numbers_are_drawn_as_names() -> None:
    """A dose as the colour: vega finds a value in the scale's domain only if both are texts."""
    frame = pl.DataFrame({"split": ["a", "b", "a"], "rate": [0.1, 0.2, 0.3], "dose": [6, 6, 12]})
    (panel,) = panels(Chart(x="split", y="rate", colour="dose", x_scale="names"), frame, "Rates")
    color = panel.spec["layer"][-1]["encoding"]["color"]
    field = color["field"]
    (data,) = panel.spec["datasets"].values()
    assert color["scale"]["domain"] == ["6", "12"]
    assert [row[field] for row in data] == ["6", "6", "12"]


@pytest.mark.parametrize(("scale", "num", "ticks"), [("linear", 5, 5), ("linear", 40, None), ("log", 40, 10)])
def test_measured_values_are_the_ticks_where_they_are_few(scale: Any, num: int, ticks: int | None) -> None:
    """Many values on a linear axis have round ticks: measured ones would be labels like 0.0000486."""
    frame = pl.DataFrame({"p": [1 + 0.37 * n for n in range(num)], "share": [0.5] * num})
    (panel,) = panels(Chart(x="p", y="share", x_scale=scale), frame, "Shares")
    axis = panel.spec["layer"][-1]["encoding"]["x"]["axis"]
    assert len(axis["values"]) == ticks if ticks else "values" not in axis


def test_what_has_no_interval_is_drawn_without_a_bar() -> None:
    frame = pl.DataFrame({"layer": [1, 2], "auroc": [0.5, 1.0], "low": [-math.inf] * 2, "high": [math.inf] * 2})
    (panel,) = panels(Chart(x="layer", y="auroc", low="low", high="high"), frame, "One seed")
    (data,) = panel.spec["datasets"].values()
    assert [list(row.values()).count(None) for row in data] == [2, 2]
    assert json.dumps(panel.spec, allow_nan=False)
    assert [cell(value) for value in (None, math.inf, 0.5)] == ["–", "–", "0.5"]
