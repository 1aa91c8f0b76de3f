"""How the table of a finding is drawn."""

from __future__ import annotations

import polars as pl

from pharmakon.report.findings import panels
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
