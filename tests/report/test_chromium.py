"""The page in a real browser: every chart is drawn, in both colour schemes, wide and narrow, without a request."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic import SMALL, ArmTruth, synthetic

from pharmakon.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--virtual-time-budget=10000",
)  # fmt: skip
DARK = "--blink-settings=preferredColorScheme=0"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    evil = "<script>document.title='evil'</script>"
    arms = (*SMALL.arms, ArmTruth(f"{evil} a long name of an arm"))
    return write_report(synthetic(arms=arms, hit=evil), tmp_path_factory.mktemp("report") / "report.html")


def browse(report: Path, folder: Path, *flags: str) -> tuple[str, str]:
    """The DOM after the scripts have run, and what the console said."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, report.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return done.stdout.decode(), "\n".join(said)


@pytest.mark.parametrize("scheme", [(), (DARK,)], ids=["light", "dark"])
def test_every_chart_becomes_a_picture(report: Path, tmp_path: Path, scheme: tuple[str, ...]) -> None:
    dom, said = browse(report, tmp_path, "--dump-dom", *scheme)
    assert said == ""
    assert 'data-charts="drawn"' in dom
    assert "<title>sft-backdoor</title>" in dom
    body = dom[dom.index("<main>") : dom.index("</main>")]
    assert "could not be drawn" not in body
    charts = body.split('class="chart')[1:]
    assert len(charts) == 3 + 3 + 4 + 1 + 3
    for chart in charts:
        assert re.search(r'<svg [^>]*class="marks"', chart)
        assert "NaN" not in chart
    series = "#56b4e9" if scheme else "#0072b2"
    assert series in charts[0]
    assert "var(--" not in re.sub(r'style="fill:\s*var\(--series-\d\);?"', "", body)


def with_script(report: Path, place: Path, script: str) -> Path:
    """The page without its policy, and with one more script at its end."""
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text(encoding="utf-8"))
    end = source.rindex("</body>")
    place.write_text(f"{source[:end]}<script>{script}</script>{source[end:]}", encoding="utf-8")
    return place


@pytest.mark.parametrize("width", [412, 1200])
def test_the_page_is_as_wide_as_the_screen(report: Path, tmp_path: Path, width: int) -> None:
    now = "`${document.documentElement.scrollWidth} of ${innerWidth}`"
    script = f"onload = () => setTimeout(() => {{ document.title = {now}; }}, 3000);"
    probed = with_script(report, tmp_path / "probed.html", script)
    dom, _ = browse(probed, tmp_path, f"--window-size={width},900", "--dump-dom")
    title = re.search(r"<title>(\d+) of (\d+)</title>", dom)
    assert title is not None
    assert int(title[1]) <= int(title[2]) <= max(500, width)  # Chromium has no window narrower than 500


def test_the_switch_shows_another_context(report: Path, tmp_path: Path) -> None:
    lines = "[...document.querySelectorAll('.chart')].slice(0, 3).map(box => box.innerHTML)"
    script = f"""onload = () => setTimeout(() => {{
        const before = {lines};
        document.querySelector('input[value="2-shot"]').click();
        setTimeout(() => {{ document.title = {lines}.map((after, i) => after !== before[i]).join(); }}, 1500);
    }}, 3000);"""
    dom, said = browse(with_script(report, tmp_path / "switched.html", script), tmp_path, "--dump-dom")
    assert said == ""
    assert "<title>true,true,true</title>" in dom


def test_a_screenshot_can_be_taken(report: Path, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    browse(report, tmp_path, "--window-size=412,4000", f"--screenshot={picture}", DARK)
    assert picture.stat().st_size > 50_000
