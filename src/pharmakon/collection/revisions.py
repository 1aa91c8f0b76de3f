"""A crowd-edited site whose pages are copied by a snapshot: what becomes of edits that aim at the copy.

A page is taken as it stands when the snapshot visits it. An attacker who predicts the visit edits a little before it,
so that patrol has no time to revert (front-running: Carlini 2023, arXiv 2302.10149, whose estimate for Wikipedia is
6.5% of the pages). Times are minutes; 0 is the start of the snapshot. Each of the attacker's edits is to another page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pharmakon.errors import SpecError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
HOUR = 60.0
DAY = 24 * HOUR


def _positive(name: str, value: float, *, zero: bool = False, infinite: bool = False) -> None:
    rule = f"a finite number, {'0 or more' if zero else 'more than 0'}"
    if not (value > 0 or (zero and value == 0)) or (value == float("inf") and not infinite):
        raise SpecError(f"{name} is {rule}; got {value:g}")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise SpecError(f"{name} is a share, in [0, 1]; got {value:g}")


class Fate(IntEnum):
    """What became of an edit; `reason` is what a ledger says."""

    TAKEN = 0
    TOO_LATE = 1
    """The page had been visited."""
    DELAYED = 2
    """Younger than the defence takes."""
    REVERTED = 3
    UNTRUSTED = 4
    """Not by a trusted account, and no trusted one had built on it."""

    @property
    def reason(self) -> str | None:
        return None if self is Fate.TAKEN else self.name.lower().replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Patrol:
    """Those who revert: when a bad edit is found, and what patrol does then.

    The delay is log-normal. Median and `never` are Cobb's for the vandalism of 100 English Wikipedia articles (2009,
    The Wikipedia Signpost 5(25)): half is corrected within four minutes, about a tenth lasts for months. Spread,
    capacity and following up are assumptions.
    """

    median: float = 4.0
    """Minutes until half of those that are ever found are reverted, at speed 1."""
    spread: float = 2.5
    """Standard deviation of the natural logarithm of the delay."""
    never: float = 0.1
    """Share of bad edits that nobody finds for itself."""
    speed: float = 1.0
    """All delays are divided by it. Infinite: whatever is found is found at once."""
    capacity: float | None = 500.0
    """Reverts an hour that patrol can make beside its daily work; further ones wait in turn. None: no limit."""
    follow_up: float = 0.2
    """Share of the edits found after which the account's other edits are looked through, and reverted."""
    follow_up_delay: float = 10.0
    """Minutes that it takes until they are, at speed 1."""

    def __post_init__(self) -> None:
        _positive("median", self.median)
        _positive("spread", self.spread, zero=True)
        _positive("speed", self.speed, infinite=True)
        _positive("follow_up_delay", self.follow_up_delay, zero=True)
        _share("never", self.never)
        _share("follow_up", self.follow_up)
        if self.capacity is not None:
            _positive("capacity", self.capacity)

    def standing(self, age: Floats) -> Floats:
        """The probability that a single edit of this age, in minutes, still stands; the queue and accounts apart."""
        from scipy.special import ndtr

        age = np.asarray(age, dtype=float)
        if np.isinf(self.speed):
            return np.where(age > 0, self.never, 1.0)
        with np.errstate(divide="ignore"):
            log = np.log(np.maximum(age, 0.0) * self.speed / self.median)
        found = ndtr(log / self.spread) if self.spread else (log >= 0).astype(float)
        standing: Floats = 1 - (1 - self.never) * found
        return standing

    def delays(self, uniform: Floats) -> Floats:
        """Minutes until an edit is found, from a uniform draw: the inverse of `standing`; infinite for never."""
        from scipy.special import ndtri

        found = uniform < 1 - self.never
        share = np.where(found, uniform / max(1 - self.never, 1e-300), 0.5)
        minutes = self.median * np.exp(self.spread * ndtri(share)) / self.speed
        return np.where(found, minutes, np.inf)


@dataclass(frozen=True, kw_only=True)
class Attacker:
    """Edits each page at the predicted time of its visit, less a lead. All defaults are assumptions."""

    timing_error: float = 30.0
    """Standard deviation, in minutes, of the true less the predicted time of a visit."""
    common_share: float = 0.5
    """Share of the error's variance that all pages of a snapshot have in common: it starts late, or runs slowly."""
    lead: float | None = None
    """Minutes before the predicted visit; None for the best of an edit that patrol judges for itself."""
    edits_per_account: int = 10
    stretch: float = 30.0
    """Minutes within which the pages of one account are visited: it is used up before it is found out."""
    trusted: float = 0.1
    """Share of the attacker's accounts that the site trusts."""
    knows_defence: bool = True
    """The lead allows for the defence: an edit is placed early enough to be old enough."""

    def __post_init__(self) -> None:
        _positive("timing_error", self.timing_error, zero=True)
        _share("common_share", self.common_share)
        _share("trusted", self.trusted)
        _positive("stretch", self.stretch, zero=True)
        if self.lead is not None:
            _positive("lead", self.lead, zero=True)
        if self.edits_per_account < 1:
            raise SpecError(f"edits_per_account is 1 or more; got {self.edits_per_account}")


@dataclass(frozen=True, kw_only=True)
class Defence:
    """How the snapshot is taken. By default as Wikipedia's: in order, each page as it stands."""

    delay: float = 0.0
    """Minutes. Of each page the newest revision is taken that is at least so old and was not reverted meanwhile."""
    random_hours: float = 0.0
    """Pages are visited in secret random order over so many hours; 0 for the known order."""
    trusted_only: bool = False
    """Of each page the newest revision by a trusted account is taken."""

    def __post_init__(self) -> None:
        _positive("delay", self.delay, zero=True)
        _positive("random_hours", self.random_hours, zero=True)


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """The honest edits. All are assumptions, of the size of a large Wikipedia's."""

    edits_per_month: float = 0.5
    """Of an average page, in 30 days."""
    unevenness: float = 2.0
    """Coefficient of variation of that rate over pages (gamma)."""
    trusted: float = 0.5
    """Share of honest edits by trusted accounts."""
    overlook: float = 0.5
    """Probability that a trusted editor who builds on a bad edit leaves it there."""
    cycle_days: float = 30.0
    """From one snapshot to the next."""

    def __post_init__(self) -> None:
        _positive("edits_per_month", self.edits_per_month)
        _positive("unevenness", self.unevenness)
        _positive("cycle_days", self.cycle_days)
        _share("trusted", self.trusted)
        _share("overlook", self.overlook)

    def rates(self, uniform: Floats) -> Floats:
        """Edits a minute of pages, from uniform draws."""
        from scipy.special import gammaincinv

        shape = self.unevenness**-2
        mean = self.edits_per_month / (30 * DAY)
        rates: Floats = gammaincinv(shape, uniform) * mean / shape
        return rates


@dataclass(frozen=True)
class Fates:
    """What became of the attacker's edits; all arrays have shape [replications, edits]."""

    placed: Floats
    """Minutes after the snapshot's start."""
    visited: Floats
    reverted: Floats
    """Infinite for never."""
    fates: NDArray[np.int8]
    """Numbers of `Fate`."""

    @property
    def taken(self) -> Floats:
        """The share of the edits that is in the snapshot, for each replication."""
        share: Floats = (self.fates == Fate.TAKEN).mean(axis=1)
        return share

    def frame(self) -> pl.DataFrame:
        """The attacker's edits of the first replication, in the order in which the site sees them."""
        import polars as pl

        columns = {"placed_min": self.placed[0], "visited_min": self.visited[0], "reverted_min": self.reverted[0]}
        fates = [Fate(number).reason or "taken" for number in self.fates[0]]
        return pl.DataFrame({**columns, "fate": fates}).sort("placed_min")


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site, its patrol, its attacker, and how its snapshot is taken."""

    hours: float = 24.0
    """How long the snapshot takes to visit all pages in order; an assumption."""
    patrol: Patrol = Patrol()
    attacker: Attacker = Attacker()
    defence: Defence = Defence()
    crowd: Crowd = Crowd()

    def __post_init__(self) -> None:
        _positive("hours", self.hours)

    @property
    def window(self) -> float:
        """Minutes from the first page's visit to the last one's."""
        return HOUR * (self.defence.random_hours or self.hours)

    def lead(self) -> float:
        """How long before the predicted visit the attacker edits; of a secret order only the start is predicted."""
        attacker, defence = self.attacker, self.defence
        if attacker.lead is not None:
            return attacker.lead + (defence.delay if attacker.knows_defence else 0.0)
        if not attacker.knows_defence:
            return replace(self, attacker=replace(attacker, knows_defence=True), defence=Defence()).lead()
        return _best_lead(self)

    def expected(self) -> float:
        """The share taken if patrol had no limit and looked at single edits: what `simulate` comes to in that case."""
        return float(np.mean(self._would_be_taken(self._surprise(4_001) + self.lead())))

    def simulate(self, num_edits: int, replications: int, rng: np.random.Generator) -> Fates:
        """The attacker's edits in independent snapshots.

        The draws of an edit do not depend on how many follow. Its fate can: further edits of its account give it away,
        and further edits of others keep patrol busy.
        """
        if num_edits < 1 or replications < 1:
            raise SpecError(f"a simulation has 1 edit and 1 replication, or more; got {num_edits} and {replications}")
        attacker, defence, patrol = self.attacker, self.defence, self.patrol
        common = _normal(rng.random((replications, 1)))
        draws = rng.random((replications, num_edits, 10))
        place, within, secret, own, delay, follow, trust, rate, wait, overlooked = np.moveaxis(draws, 2, 0)
        first = np.arange(num_edits) // attacker.edits_per_account * attacker.edits_per_account
        stretch = min(1.0, attacker.stretch / (HOUR * self.hours))
        in_order = HOUR * self.hours * (place[:, first] * (1 - stretch) + within * stretch)
        shared, single = np.sqrt(attacker.common_share), np.sqrt(1 - attacker.common_share)
        together, alone = attacker.timing_error * shared * common, attacker.timing_error * single * _normal(own)
        visited = self.window * secret if defence.random_hours else in_order
        if defence.random_hours and attacker.knows_defence:
            predicted = np.broadcast_to(-together, place.shape)
        else:
            predicted = in_order - together - alone
        placed = predicted - self.lead()
        found = placed + patrol.delays(delay)
        reverted = _in_turn(self._followed_up(placed, found, follow), patrol.capacity)
        fates = np.select(
            [placed > visited, visited - placed < defence.delay, reverted <= visited],
            [Fate.TOO_LATE, Fate.DELAYED, Fate.REVERTED],
            default=Fate.TAKEN,
        ).astype(np.int8)
        if defence.trusted_only:
            with np.errstate(divide="ignore"):
                until_trusted = -np.log1p(-wait) / (self.crowd.rates(rate) * self.crowd.trusted)
            built_on = (placed + until_trusted <= visited - defence.delay) & (overlooked < self.crowd.overlook)
            trusted = trust[:, first] < attacker.trusted
            fates[(fates == Fate.TAKEN) & ~trusted & ~built_on] = Fate.UNTRUSTED
        return Fates(placed, visited, reverted, fates)

    def late(self, replications: int, rng: np.random.Generator, *, num_pages: int = 10_000) -> Floats:
        """The price: the share of a cycle's honest edits that are not in the snapshot when it is published.

        It is published when the last page has been visited. Shape [replications].
        """
        crowd, defence = self.crowd, self.defence
        cycle = crowd.cycle_days * DAY
        rates = crowd.rates(rng.random(replications * num_pages))
        visited = self.window * (rng.random(replications * num_pages) - 1)
        page = np.repeat(np.arange(len(rates)), rng.poisson(rates * cycle))
        made, trust = rng.random((2, len(page)))
        made = -cycle * made
        taken = made <= visited[page] - defence.delay
        if defence.trusted_only:
            newest = np.full(len(rates), -np.inf)
            by_trusted = taken & (trust < crowd.trusted)
            np.maximum.at(newest, page[by_trusted], made[by_trusted])
            taken = made <= newest[page]
        of = page // num_pages
        made_in, taken_in = (np.bincount(some, minlength=replications) for some in (of, of[taken]))
        late: Floats = 1 - taken_in / np.maximum(made_in, 1)
        return late

    def _surprise(self, num: int) -> Floats:
        """The true less the predicted time of a visit: evenly spaced quantiles of what it can be."""
        attacker, defence = self.attacker, self.defence
        if not defence.random_hours:
            return attacker.timing_error * _normal(_middles(num))
        if attacker.knows_defence:
            error = attacker.timing_error * np.sqrt(attacker.common_share) * _normal(_middles(15))
            return _sums(error, self.window * _middles(num))
        error = _sums(-HOUR * self.hours * _middles(31), attacker.timing_error * _normal(_middles(31)))
        return _sums(self.window * _middles(301), error)

    def _would_be_taken(self, age: Floats) -> Floats:
        """The probability that an edit of this age at the visit is taken, if patrol looks at single edits."""
        taken = np.where(age >= self.defence.delay, self.patrol.standing(age), 0.0)
        if self.defence.trusted_only:
            variance, crowd = self.crowd.unevenness**2, self.crowd
            mean = crowd.edits_per_month / (30 * DAY) * crowd.trusted
            waited = np.maximum(age - self.defence.delay, 0.0)
            built_on = crowd.overlook * (1 - (1 + waited * mean * variance) ** (-1 / variance))  # gamma rates
            taken = taken * (self.attacker.trusted + (1 - self.attacker.trusted) * built_on)
        return np.where(age >= 0, taken, 0.0)

    def _followed_up(self, placed: Floats, found: Floats, follow: Floats) -> Floats:
        """When edits are found, if some of those that are found for themselves give their account away."""
        size, patrol = self.attacker.edits_per_account, self.patrol
        starts = np.arange(0, found.shape[1], size)
        given_away = np.where(follow < patrol.follow_up, found, np.inf)
        earliest = np.minimum.reduceat(given_away, starts, axis=1)[:, np.arange(found.shape[1]) // size]
        looked_at = np.maximum(placed, earliest + patrol.follow_up_delay / patrol.speed)
        followed: Floats = np.minimum(found, looked_at)
        return followed


@lru_cache(maxsize=512)
def _best_lead(site: Site) -> float:
    shortest = min(0.05, max(site.attacker.timing_error / 5, 1e-4))
    leads = site.defence.delay + np.concatenate([[0.0], np.geomspace(shortest, 60 * DAY, 400)])
    after = site._surprise(201)
    expected = [float(np.mean(site._would_be_taken(after + lead))) for lead in leads]
    return float(leads[int(np.argmax(expected))])


def _in_turn(found: Floats, capacity: float | None) -> Floats:
    """When edits are reverted by a patrol that can revert `capacity` edits an hour, first found first."""
    if capacity is None:
        return found
    order = np.argsort(found, axis=1, kind="stable")
    turn = np.arange(found.shape[1]) * HOUR / capacity
    waiting = np.take_along_axis(found, order, axis=1) - turn
    reverted = np.empty_like(found)
    np.put_along_axis(reverted, order, np.maximum.accumulate(waiting, axis=1) + turn, axis=1)
    return reverted


def _sums(one: Floats, other: Floats) -> Floats:
    sums: Floats = np.add.outer(one, other).ravel()
    return sums


def _middles(num: int) -> Floats:
    middles: Floats = (np.arange(num) + 0.5) / num
    return middles


def _normal(uniform: Floats) -> Floats:
    from scipy.special import ndtri

    normal: Floats = ndtri(np.maximum(uniform, 1e-300))
    return normal
