"""What an integrity check stops of an attacker's pages, and what it costs in clean ones: measured on two downloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pharmakon.collection.downloads import CLEAN, COPIED, REPLACED, Download
from pharmakon.statistics import proportion
from pharmakon.study import Chart, Finding

THRESHOLDS = (0.95, 0.9, 0.8, 0.7, 0.5)
"""Least similarity that a check with tolerance asks for."""
TOLERANT = "similarity 0.8"
Which = Callable[[Download], NDArray[np.bool_]]


def by_age(measured: Mapping[float, Sequence[Download]], years: float, change_per_year: float) -> Finding:
    """The exact check after each age."""
    rows = []
    for age, found in measured.items():
        clean = _count(found, _is_clean)
        lost = _count(found, lambda it: _is_clean(it) & it.refused)
        taken = _count(found, lambda it: it.owner != CLEAN)
        through = _count(found, lambda it: (it.owner != CLEAN) & ~it.refused)
        gone = _count(found, lambda it: ~it.there)
        rows.append((age, clean, *_wilson(lost, clean), taken, through, 100 * gone / max(1, clean + gone)))
    columns = ("years", "clean_pages", "clean_refused_percent", "low", "high", "poisoned_pages", "poison_let_through",
               "vanished_percent")  # fmt: skip
    here = next(row for row in rows if row[0] == years)
    taken, through = sum(row[5] for row in rows), sum(row[6] for row in rows)
    sentence = (
        f"The exact check let {f'{through:,}' if through else 'none'} of {taken:,} poisoned pages through, and "
        f"{after(years)} it refused {_range(*here[2:5])} of the clean ones."
    )
    note = (
        "Measured with manifest write and manifest check on files, of which a tenth of the pages was an attacker's; "
        f"Wilson's 95% intervals over pages. That {100 * change_per_year:g}% of the pages change in a year is stated, "
        "not found. By way of comparison: 14% to 15% of the images of LAION-2B and DataComp-1B had other bytes within "
        "about a year (img2dataset pull request 258, datacomp issue 67), 5% of LAION-400M (img2dataset pull request "
        "198); pages of text change more often. What vanished is lost without a check too. No check stops what was "
        "poisoned before the manifest was written."
    )
    chart = Chart(x="years", y="clean_refused_percent", low="low", high="high", x_title="years between the downloads",
                  y_title="clean pages refused, percent")  # fmt: skip
    title = "An exact integrity check: poison stopped, clean data lost"
    table = pl.DataFrame(rows, schema=columns, orient="row")
    return Finding(title=title, sentence=sentence, table=table, chart=chart, note=note)


def by_threshold(found: Sequence[Download], years: float) -> Finding:
    """Checks that forgive some difference, and two attackers: one has a copy of the old page, one has none."""
    rows = []
    checks: list[tuple[str, Which]] = [("exact", lambda it: it.refused)]
    checks += [(f"similarity {least:g}", partial(_is_below, least)) for least in THRESHOLDS]
    checks += [("none", lambda it: np.zeros_like(it.refused))]
    for name, refuses in checks:
        clean = sum(int(_is_clean(it).sum()) for it in found)
        lost = sum(int((_is_clean(it) & refuses(it)).sum()) for it in found)
        for owner, attacker in ((COPIED, "copies the old page"), (REPLACED, "serves another page")):
            taken = sum(int((it.owner == owner).sum()) for it in found)
            through = sum(int(((it.owner == owner) & ~refuses(it)).sum()) for it in found)
            rows.append((name, attacker, 100 * lost / max(1, clean), *_wilson(through, taken)))
    columns = ("check", "attacker", "clean_refused_percent", "poison_through_percent", "low", "high")
    by = {row[:2]: row[2:] for row in rows}
    exact, copied, other = by["exact", "copies the old page"], by[TOLERANT, "copies the old page"], by[
        TOLERANT, "serves another page"
    ]  # fmt: skip
    sentence = (
        f"A check that asks for a similarity of 0.8 refuses {copied[0]:.2g}% of the clean pages {after(years)} in "
        f"place of {exact[0]:.2g}%. It lets {_range(*other[1:])} of the poison through of an attacker who serves "
        f"another page, and {_range(*copied[1:])} of one who copies the old page and inserts a sentence."
    )
    note = (
        "Similarity is that of MinHash signatures of 5-grams of words, 128 hashes, which the owner would publish "
        "beside the SHA-256. A tolerance that forgives a changed date forgives a short sentence, for they change about "
        "as many 5-grams. Pages have 4 to 24 paragraphs of generated text; in a longer one a sentence weighs less. "
        "Wilson's 95% intervals over pages."
    )
    chart = Chart(x="clean_refused_percent", y="poison_through_percent", low="low", high="high", colour="attacker",
                  x_title="clean pages refused, percent", y_title="poisoned pages let through, percent")  # fmt: skip
    table = pl.DataFrame(rows, schema=columns, orient="row")
    return Finding(title="A check with tolerance", sentence=sentence, table=table, chart=chart, note=note)


def after(years: float) -> str:
    """A time in words."""
    return f"after {years:g} {'year' if years == 1 else 'years'}"


def _is_clean(it: Download) -> NDArray[np.bool_]:
    return np.asarray((it.owner == CLEAN) & it.there)


def _is_below(least: float, it: Download) -> NDArray[np.bool_]:
    return np.asarray(it.similarity < least)


def _count(found: Sequence[Download], which: Which) -> int:
    return int(sum(which(it).sum() for it in found))


def _wilson(count: int, total: int) -> tuple[float, float, float]:
    """Estimate and ends, percent."""
    if not total:
        return 0.0, 0.0, 100.0
    interval = proportion(count, total)
    return 100 * interval.estimate, 100 * interval.low, 100 * interval.high


def _range(estimate: float, low: float, high: float) -> str:
    return f"{estimate:.2g}% [{low:.2g}%, {high:.2g}%]"
