"""What a real site's history tells of a snapshot at a date: what stands how long, which pages, what a delay saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pharmakon.collection.dump import Dump, as_date
from pharmakon.collection.exposure import HORIZON, NUM_DRAWS, Exposure, Floats, Survival, exposure
from pharmakon.core import stream
from pharmakon.errors import InputError
from pharmakon.statistics import Interval, proportion
from pharmakon.studies.threat.analysis_snapshot_window import frame
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    pass

METHOD = (
    "Kaplan-Meier over identity reverts (radius 15, Halfaker's mwreverts) of edits up to the date; edits that still "
    "stood, that their author took back or that many revisions followed are censored. 95% interval: bootstrap over {}, "
    "{} draws, and where there are few reverts as wide as Wilson's for their number. "
)
REVERTED, ALL = "edits that are reverted in the end", "all new edits"
MOST_SHOWN = 25
FEWEST_REVERTS = 20
"""With fewer the bootstrap's interval of a delay is too narrow."""


def trial(
    dump: Path, date: str | None, *, namespaces: tuple[int, ...], days: float | None, lead: float | None, seed: int
) -> DumpTrial:
    """The trial of a dump, its file and its date checked."""
    if date is None:
        raise InputError(f"{dump} is the history of a site; say when its snapshot is taken: --date 2023-02-20")
    if days is not None and not days > 0:
        raise InputError(f"edits are used of more than 0 days before the date; got {days:g}")
    if lead is not None and not 0 <= lead < float("inf"):
        raise InputError(f"a lead is 0 minutes or more; got {lead:g}")
    when = as_date(date)
    made = DumpTrial(dump=Dump.of(dump), date=when, namespaces=namespaces, days=days, seed=seed)
    return made if lead is None else replace(made, lead=float(lead))


@dataclass(frozen=True, kw_only=True)
class DumpTrial:
    """A snapshot at a date of the site whose history the dump is."""

    version: ClassVar[int] = 1
    dump: Dump
    date: int
    """Seconds since 1970 UTC."""
    namespaces: tuple[int, ...] = (0,)
    days: float | None = None
    """Only edits of so many days before the date; None for all."""
    lead: float = 30.0
    """Minutes before the visit of a page at which an attacker edits it."""
    seed: int = 0
    ages: tuple[float, ...] = (1, 5, 15, 30, 60, 180, 360, 720, 1_440, 4_320, 10_080)
    delays: tuple[float, ...] = (0, 15, 60, 180, 360, 1_440, 4_320, 10_080)
    """Minutes, both."""
    timing_errors: tuple[float, ...] = (0, 2, 5, 15, 30, 60, 120, 360, 720, 1_440)

    def findings(self) -> Iterator[Finding]:
        it = exposure(self.dump.histories(), self.date, namespaces=self.namespaces, days=self.days)
        known = _Known(it, it.drawn(stream(self.seed, "snapshot-window", "bootstrap")))
        yield self._standing(known)
        yield self._pages(known)
        yield self._timing(known)
        yield self._delay(known)
        if it.days_after > 0:
            yield self._showing(known)

    def _standing(self, known: _Known) -> Finding:
        rows = []
        for name, of in ((REVERTED, Survival.of_reverted), (ALL, Survival.at)):
            for age in sorted({*self.ages, self.lead}):
                rows.append(
                    {
                        "age_min": age,
                        "of": name,
                        **_row("standing_share", known.share(of, age)),
                    }
                )
        lower = known.share(Survival.of_reverted, self.lead)
        upper = known.share(Survival.at, self.lead)
        it = known.exposure
        ended = "" if it.days_after >= 0 else f"The dump ends {-it.days_after:.1f} days before the date. "
        sentence = (
            f"An edit made {self.lead:g} minutes before the snapshot still stands with a probability of {_said(lower)} "
            f"if it is of the kind that is reverted in the end, and of {_said(upper)} if it is like any new edit "
            f"({_number(known.num_reverted, 'revert')} of {_number(len(it.made), 'edit')}, "
            f"{_number(len(it.titles), 'page')})."
        )
        return Finding(
            title="How long an edit stands",
            sentence=sentence,
            table=frame(rows),
            chart=Chart(x="age_min", y="standing_share", low="low", high="high", colour="of", x_scale="log",
                        x_title="minutes after the edit", y_title="share that still stands"),
            note=known.method + ended + "Reverted in the end: within 30 days. An edit that is bad and seen to be is "
            "like the former; most of all edits are good, and stand because nobody minds them.",
        )  # fmt: skip

    def _pages(self, known: _Known) -> Finding:
        pages = known.exposure.pages(self.lead)
        most, least = pages[0], pages[-1]
        sentence = (
            f"From page to page that probability goes from {_said(least.exposure)} ({least.title}) to "
            f"{_said(most.exposure)} ({most.title}), each page's own reverts drawn to the site's mean."
        )
        if len(pages) == 1:
            sentence = f"There is one page with edits, {most.title}: {_said(most.exposure)}."
        rows = [
            {
                "page": page.title,
                "namespace": page.namespace,
                "edits": page.num_edits,
                "reverted": page.num_reverted,
                **_row("standing_share", page.exposure),
            }
            for page in pages[:MOST_SHOWN]
        ]
        return Finding(
            title="The most exposed pages",
            sentence=sentence,
            table=frame(rows),
            chart=Chart(x="page", y="standing_share", low="low", high="high", x_scale="names",
                        x_title="page", y_title=f"share standing after {self.lead:g} minutes"),
            note=f"The {len(rows)} most exposed of {len(pages):,} pages with edits. The share is of edits that are "
            "reverted in the end; empirical Bayes with a beta distribution of pages, 95% interval of each page's "
            "posterior. It leaves out how uncertain the site's mean is. A page without reverts has the site's mean.",
        )  # fmt: skip

    def _timing(self, known: _Known) -> Finding:
        rows = []
        for error in self.timing_errors:
            after = error * _quantiles(301)
            lead = _best(known.exposure.survival, after)
            caught = known.share(_caught, after + lead)
            rows.append({"timing_error_min": float(error), **_row("taken_share", caught), "lead_min": lead})
        at = next((row for row in rows if row["timing_error_min"] == 30.0), rows[-1])
        said = _said(Interval(at["low"], at["taken_share"], at["high"]))
        return Finding(
            title="Caught by a snapshot of this site, by timing error",
            sentence=f"An attacker who predicts the visit of a page to within {at['timing_error_min']:g} minutes "
            f"(standard deviation) would get {said} of such edits into the snapshot that are reverted in the end.",
            table=frame(rows),
            chart=Chart(x="timing_error_min", y="taken_share", low="low", high="high", x_scale="symlog",
                        x_title="timing error, minutes (standard deviation)", y_title="share of edits in the snapshot"),
            note=known.method + "Each edit is judged for itself, and placed with the lead that is best on this "
            "history. The error of the prediction is normal; it is assumed, not known from the dump.",
        )  # fmt: skip

    def _delay(self, known: _Known) -> Finding:
        it = known.exposure
        halving = it.survival.halving(self.lead)
        rows = []
        for delay in self.delays:
            standing = known.share(Survival.of_reverted, self.lead + delay)
            late, recent = it.fresh(delay)
            price = proportion(late, recent) if recent else None
            rows.append({"delay_min": float(delay), **_row("standing_share", standing),
                         "late_share": price.estimate if price else None, "late_low": price.low if price else None,
                         "late_high": price.high if price else None})  # fmt: skip
        if np.isfinite(halving):
            half = known.interval(lambda s: s.halving(self.lead))
            late, recent = it.fresh(halving)
            cost = "what that costs is not known, as no edit of the 30 days before the date stood"
            if recent:
                cost = f"it keeps out {_said(proportion(late, recent))} of the new edits of the last 30 days that stood"
            sentence = (
                "To halve what stands of an attacker who knows of it, the snapshot has to take revisions that are "
                f"{half.estimate:,.0f} [{half.low:,.0f}, {half.high:,.0f}] minutes old; {cost}."
            )
            if known.num_reverted < FEWEST_REVERTS:
                sentence += f" This is told from {_number(known.num_reverted, 'revert')} alone."
        else:
            sentence = f"No delay halves what stands after {self.lead:g} minutes: no edit was reverted later than that."
        return Finding(
            title="What a delayed snapshot would save",
            sentence=sentence,
            table=frame(rows),
            chart=Chart(x="delay_min", y="standing_share", low="low", high="high", x_scale="symlog",
                        x_title="age of the revisions taken, minutes", y_title="share of edits in the snapshot"),
            note=known.method + "Of each page the newest revision is taken that is so old and has not been reverted "
            f"meanwhile; the attacker edits {self.lead:g} minutes earlier than that. late_share: of the new edits of "
            "the last 30 days that stood at the date, those too young; Wilson's interval. They come a snapshot later.",
        )  # fmt: skip

    def _showing(self, known: _Known) -> Finding:
        it = known.exposure
        share = proportion(it.num_showing, len(it.titles))
        row = {"pages": len(it.titles), "showing_reverted": it.num_showing, **_row("share", share)}
        return Finding(
            title="What the pages showed at the date",
            sentence=f"At the date {it.num_showing:,} of {len(it.titles):,} pages, {_said(share)}, showed an edit that "
            "was reverted afterwards: what a snapshot then would have had, with nobody timing anything.",
            table=frame([row]),
            note=f"The dump goes on for {it.days_after:.1f} days after the date; later reverts are not known. Wilson's "
            "interval. This is the only finding that uses what came after the date.",
        )


@dataclass(frozen=True)
class _Known:
    """The exposure, and the survival in samples drawn from it."""

    exposure: Exposure
    drawn: list[Survival]

    @cached_property
    def method(self) -> str:
        return METHOD.format("pages" if self.exposure.is_by_page else "edits (there are few pages)", NUM_DRAWS)

    def share(self, of: Callable[[Survival, Any], float | Floats], age: float | Floats) -> Interval:
        """A share at this age or these ages: as wide as the bootstrap says, and as Wilson does of so few reverts."""
        drawn = self.interval(lambda survival: of(survival, age))
        counted = len(self.exposure.made) if of is Survival.at else self.num_reverted
        plain = proportion(drawn.estimate * counted, counted)
        return Interval(min(drawn.low, plain.low), drawn.estimate, max(drawn.high, plain.high))

    @cached_property
    def num_reverted(self) -> int:
        """Reverts within the horizon."""
        return int((self.exposure.reverted & (self.exposure.minutes <= HORIZON)).sum())

    def interval(self, of: Callable[[Survival], float | Floats]) -> Interval:
        """A quantity of the survival, between the percentiles of those samples in which it can be told."""
        estimate = float(of(self.exposure.survival))
        values = np.array([float(of(survival)) for survival in self.drawn])
        low, high = np.nanquantile([estimate] if np.isnan(values).all() else values, [0.025, 0.975])
        return Interval(min(float(low), estimate), estimate, max(float(high), estimate))


def _quantiles(num: int) -> Floats:
    from scipy.special import ndtri

    normal: Floats = ndtri((np.arange(num) + 0.5) / num)
    return normal


def _caught(survival: Survival, age: Floats) -> float:
    """The mean share standing at these ages; a negative age is too late."""
    return float(np.mean(np.where(age >= 0, survival.of_reverted(np.maximum(age, 0.0)), 0.0)))


def _best(survival: Survival, after: Floats) -> float:
    leads = np.concatenate([[0.0], np.geomspace(0.05, 40_000, 300)])
    return float(leads[int(np.argmax([_caught(survival, after + lead) for lead in leads]))])


def _row(name: str, interval: Interval) -> dict[str, Any]:
    return {name: interval.estimate, "low": interval.low, "high": interval.high}


def _said(share: Interval) -> str:
    return f"{100 * share.estimate:.1f}% [{100 * share.low:.1f}%, {100 * share.high:.1f}%]"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
