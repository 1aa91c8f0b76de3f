"""The page of a verification in a real browser: its charts are drawn, without a request and without a remark."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from test_chromium import CHROMIUM, browse

sys.path.insert(0, str(Path(__file__).parent.parent / "ownership"))
from owner_models import learned, record

from pharmakon.ownership.verify import How, verify
from pharmakon.report.ownership import verification_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


@pytest.mark.parametrize(("how", "num_charts"), [(How(), 2), (How(sequential=True), 2)], ids=["exact", "sequential"])
def test_the_null_distribution_and_the_observed_value_are_drawn(how: How, num_charts: int, tmp_path: Path) -> None:
    owner = record("fact", "dialogue", num_marks=8)
    found = verify(owner, str(learned(owner, tmp_path / "model")), how)
    page = tmp_path / "report.html"
    page.write_text(verification_page(found, reveal=True), encoding="utf-8")
    dom, said = browse(page, tmp_path, "--dump-dom")
    assert said == ""
    assert 'data-charts="drawn"' in dom
    body = dom[dom.index("<main>") : dom.index("</main>")]
    charts = body.split('class="chart')[1:]
    assert len(charts) == num_charts
    assert "could not be drawn" not in body
    assert "observed, p = " in charts[0]
    for chart in charts:
        assert re.search(r'<svg [^>]*class="marks"', chart)
        assert "NaN" not in chart
