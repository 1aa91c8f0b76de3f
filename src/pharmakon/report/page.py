"""One self-contained HTML page: text, tables, charts and the JavaScript that draws them.

The page's own security policy lets no request out and runs no script but the two that are written here, by their
hashes: a `<script>` in somebody's data would stay text even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from pharmakon.errors import InputError
from pharmakon.report import findings, sections
from pharmakon.report.markup import Html, join, text

if TYPE_CHECKING:
    from pharmakon.study.results import Results
    from pharmakon.study.simulation import Simulated


def write_report(results: Results | Simulated, path: str | Path) -> Path:
    """Write the report of a run as one HTML file, which opens offline and asks for nothing from anywhere."""
    return write_page(render(results), Path(path))


def write_page(page: str, place: Path) -> Path:
    """Write a page as one file, whole or not at all."""
    if place.is_dir():
        raise InputError(f"a report is a file; {place} is a folder. Name it, e.g. {place / 'report.html'}")
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(page, encoding="utf-8")
        os.replace(draft, place)
    finally:
        draft.unlink(missing_ok=True)
    return place


def render(results: Results | Simulated) -> str:
    """The page as text."""
    from pharmakon.study.simulation import Simulated

    charts = sections.Charts()
    if isinstance(results, Simulated):
        title, body = results.study, findings.simulation(results, charts)
    else:
        title, body = results.run.study, sections.body(results, charts)
    return assemble(title, body, charts)


def assemble(title: str, body: Html, charts: sections.Charts) -> str:
    """The page of a body, with the scripts that its charts need."""
    scripts = (_bundle() if charts.specs else "", _asset("page.js") if charts.specs else "")
    specs = join(
        Html(f'<script type="application/json" id="{name}">{in_script(json.dumps(spec))}</script>\n')
        for name, spec in charts.specs.items()
    )
    return Template(_asset("page.html")).substitute(
        policy=_policy(scripts),
        title=text(title),
        style=_asset("style.css"),
        body=body,
        specs=specs,
        bundle=scripts[0],
        script=scripts[1],
    )


def in_script(source: str) -> str:
    """JSON that can stand in a script element, whatever texts it holds."""
    return source.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(scripts: tuple[str, ...]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


@cache
def _asset(name: str) -> str:
    return files("pharmakon.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, about 0.9 MB."""
    import vl_convert

    source: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return re.sub(r"<(?=/script|!--)", r"\\x3c", source, flags=re.IGNORECASE)
