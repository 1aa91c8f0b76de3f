"""How exposed the pages of a site are at a date, from how long its edits stood before they were reverted.

Two answers bound the one for an attacker. Of *all* new edits most are good and stand for ever: so stands what nobody
minds. Of edits that patrol reverts in the end, some stand long enough: so stands what everybody minds, once it is seen.

Survival is Kaplan and Meier's (1958, JASA 53:457), since the newest edits are known for a short time only; intervals
are percentiles of a bootstrap over pages. A page's own reverts are few, so that its estimate is drawn to the site's:
empirical Bayes, a beta distribution of pages fitted by maximum likelihood.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.dump import History
from pharmakon.collection.reverts import RADIUS, follow, shown_and_reverted
from pharmakon.errors import InputError
from pharmakon.statistics import Interval

Floats = NDArray[np.float64]
HORIZON = 30 * 24 * 60.0
"""Minutes: an edit that stands longer counts as one that patrol does not revert."""
FEWEST_PAGES = 10
"""With fewer pages the bootstrap draws edits, not pages."""
NUM_DRAWS = 300


@dataclass(frozen=True)
class Survival:
    """The share of new edits that still stand after so many minutes."""

    times: Floats
    """Minutes at which an edit was reverted."""
    standing: Floats
    """From then on."""

    @staticmethod
    def of(minutes: Floats, reverted: NDArray[np.bool_], copies: NDArray[np.int64] | None = None) -> Survival:
        """Of edits that were followed for so long; `copies`: how often each counts."""
        from statsmodels.duration.survfunc import SurvfuncRight

        if not reverted.any():
            return Survival(np.empty(0), np.empty(0))
        found = SurvfuncRight(minutes, reverted.astype(int), freq_weights=copies)
        return Survival(np.asarray(found.surv_times), np.asarray(found.surv_prob))

    def at(self, minutes: float | Floats) -> Floats:
        """The share of all new edits that still stands."""
        index = np.searchsorted(self.times, minutes, side="right")
        standing: Floats = np.concatenate([[1.0], self.standing])[index]
        return standing

    def of_reverted(self, minutes: float | Floats) -> Floats:
        """The share that still stands of the edits that are reverted within the horizon."""
        never = float(self.at(HORIZON))
        if never == 1:
            return np.full(np.shape(minutes), np.nan)
        return np.maximum(0.0, self.at(minutes) - never) / (1 - never)

    def halving(self, lead: float) -> float:
        """How much older an edit has to be, in minutes, until half as many of those reverted in the end still stand."""
        later = self.times[self.times > lead]
        enough = np.flatnonzero(self.of_reverted(later) <= self.of_reverted(lead) / 2)
        return float(later[enough[0]] - lead) if len(enough) else float("nan")


@dataclass(frozen=True, slots=True)
class Page:
    """A page at the date. `exposure`: the share standing after the lead, of edits that are reverted in the end."""

    title: str
    namespace: int
    num_edits: int
    num_reverted: int
    exposure: Interval


@dataclass(frozen=True)
class Exposure:
    """What was known at the date about the edits of all pages; arrays have shape [edits]."""

    date: int
    """Seconds since 1970 UTC."""
    titles: tuple[str, ...]
    namespaces: tuple[int, ...]
    page: NDArray[np.int64]
    made: NDArray[np.int64]
    minutes: Floats
    reverted: NDArray[np.bool_]
    num_showing: int
    """Pages that showed at the date what was reverted later."""
    days_after: float
    """How long the dump goes on after the date; negative if it ends before."""

    @cached_property
    def survival(self) -> Survival:
        return Survival.of(self.minutes, self.reverted)

    @cached_property
    def is_by_page(self) -> bool:
        return len(np.unique(self.page)) >= FEWEST_PAGES

    def drawn(self, rng: np.random.Generator, num: int = NUM_DRAWS) -> list[Survival]:
        """The survival in samples with replacement of the pages, or of the edits where there are few pages."""
        units = self.page if self.is_by_page else np.arange(len(self.page))
        _, unit = np.unique(units, return_inverse=True)
        size = int(unit.max()) + 1
        drawn = []
        for _ in range(num):
            copies = np.bincount(rng.integers(size, size=size), minlength=size)[unit]
            kept = copies > 0
            drawn.append(Survival.of(self.minutes[kept], self.reverted[kept], copies[kept]))
        return drawn

    def fresh(self, minutes: float, days: float = 30.0) -> tuple[int, int]:
        """Of the new edits of the last days that stood at the date: how many were younger than so many minutes."""
        age = (self.date - self.made) / 60
        recent = ~self.reverted & (age <= days * 24 * 60)
        return int((recent & (age < minutes)).sum()), int(recent.sum())

    def pages(self, lead: float) -> list[Page]:
        """Every page with edits, the most exposed first."""
        num = int(self.reverted.sum())
        site = (float(self.survival.of_reverted(lead)) * num + 0.5) / (num + 1)  # never 0 or 1, however few reverts
        num_pages = len(self.titles)
        num_edits = np.bincount(self.page, minlength=num_pages)
        num_reverted = np.bincount(self.page[self.reverted], minlength=num_pages)
        standing, seen = np.zeros(num_pages), np.zeros(num_pages)
        order = np.argsort(self.page, kind="stable")
        starts = np.searchsorted(self.page[order], np.arange(num_pages + 1))
        for number in np.flatnonzero(num_reverted):
            own = order[starts[number] : starts[number + 1]]
            standing[number], seen[number] = _own(self.minutes[own], self.reverted[own], lead)
        weight = _weight(standing, seen, site)
        found = []
        for number in np.flatnonzero(num_edits):
            a, b = standing[number] + weight * site, seen[number] - standing[number] + weight * (1 - site)
            interval = _beta(float(a), float(b))
            counts = int(num_edits[number]), int(num_reverted[number])
            found.append(Page(self.titles[number], self.namespaces[number], *counts, interval))
        return sorted(found, key=lambda page: (-page.exposure.estimate, page.title))


def _own(minutes: Floats, reverted: NDArray[np.bool_], lead: float) -> tuple[float, float]:
    """Of a page's reverts: how many stood after the lead, and of how many, each counted for those not yet seen.

    A revert weighs what survival falls by at its time; unequal weights are worth fewer reverts (Kish 1965).
    """
    survival = Survival.of(minutes, reverted)
    within = survival.times <= HORIZON
    falls = -np.diff(survival.standing, prepend=1.0)[within]
    if falls.sum() <= 0:
        return 0.0, 0.0
    tied = np.array([np.sum(reverted & (minutes == time)) for time in survival.times[within]])
    worth = float(falls.sum() ** 2 / np.sum(falls**2 / tied))
    return worth * float(falls[survival.times[within] > lead].sum() / falls.sum()), worth


def _weight(standing: Floats, seen: Floats, site: float) -> float:
    """How many reverts the site's mean is worth to a page: the maximum likelihood of a beta-binomial.

    At most as many as it is made of: where pages seem alike because they are few, it does not pass for known.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import betaln

    has = seen > 0
    k, n = standing[has], seen[has]

    def loss(log: float) -> float:
        a, b = np.exp(log) * site, np.exp(log) * (1 - site)
        return -float(np.sum(betaln(k + a, n - k + b) - betaln(a, b)))

    return float(
        np.exp(minimize_scalar(loss, bounds=(0.0, np.log(max(2.0, min(1_000.0, n.sum())))), method="bounded").x)
    )


def _beta(a: float, b: float) -> Interval:
    from scipy.stats import beta

    low, high = beta.ppf([0.025, 0.975], a, b)
    mean = a / (a + b)
    return Interval(min(float(low), mean), mean, max(float(high), mean))


def exposure(
    histories: Iterable[History],
    date: int,
    *,
    namespaces: tuple[int, ...] = (0,),
    days: float | None = None,
    radius: int = RADIUS,
) -> Exposure:
    """What the pages of these namespaces tell about edits before the date; `days`: only of so many days before it."""
    titles, spaces, followed, num_showing = [], [], [], 0
    first, last, others = None, 0, set()
    for history in histories:
        times = [revision.time for revision in history.revisions]
        if not times:
            continue
        last = max(last, times[-1])
        if history.namespace not in namespaces:
            others.add(history.namespace)
            continue
        first = times[0] if first is None else min(first, times[0])
        if times[0] > date:
            continue
        num_showing += shown_and_reverted(history, date, radius)
        titles.append(history.title)
        spaces.append(history.namespace)
        followed.append(follow(history, date, radius))
    wanted = ", ".join(map(str, namespaces))
    if first is None:
        there = f"it has {', '.join(map(str, sorted(others)))}" if others else "it has no revision at all"
        raise InputError(f"the dump has no revision in namespace {wanted}; {there}")
    if not titles:
        raise InputError(f"{_shown(date)} is before the first revision in the dump, {_shown(first)}. Give a later date")
    page = np.repeat(np.arange(len(titles)), [len(one) for one in followed])
    made, minutes, reverted = (
        np.concatenate([getattr(one, name) for one in followed]) for name in ("made", "minutes", "reverted")
    )
    minutes = np.minimum(minutes, (last - made) / 60)  # what the dump does not reach is not known to have stood
    kept = np.ones(len(page), bool) if days is None else made >= date - days * 86_400
    if not (reverted & (minutes <= HORIZON))[kept].any():
        when = "" if days is None else f" in the {days:g} days"
        num, way_out = int(kept.sum()), "Exposure is told from reverts: give a longer history, or a later date"
        raise InputError(
            f"no edit was reverted within 30 days{when} before {_shown(date)} in the dump ({num} edits). {way_out}"
        )
    return Exposure(
        date, tuple(titles), tuple(spaces), page[kept], made[kept], minutes[kept], reverted[kept],
        num_showing, (last - date) / 86_400,
    )  # fmt: skip


def _shown(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
