"""Domains of a list lapse and can be bought: what an attacker gets for a budget, and what a dose costs.

Carlini and others 2023 ("Poisoning web-scale training datasets is practical", arXiv 2302.10149) found 0.09% to 6.5% of
the records of published lists on domains that had lapsed, and bought the cheapest per record first. So here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.addresses import Spread
from pharmakon.core import stream
from pharmakon.errors import InputError

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Market:
    """Which domains have lapsed, and what each costs.

    A domain with n records lapses in proportion to n ** -size_effect: large sites are looked after. Prices are
    log-normal and independent of everything else.

    The defaults with those of `Zipf` meet what the paper reports of LAION-400M, about a year after it was published:
    0.71% of the records on lapsed domains (table 1), 0.01% of the records for 60 dollars, at least 0.05% for 1,000.
    They are fitted to these three figures and do not predict them. Nor are they the only ones: five million domains
    with a size effect of 0.5 meet them about as well. A price of 12 dollars is that of registering a
    common domain for a year; the spread of prices is an assumption.
    """

    version: ClassVar[int] = 1
    lapsed: float = 0.044
    """Share of the domains that have lapsed."""
    size_effect: float = 0.75
    """0: a large site lapses as easily as a small one."""
    price: float = 12.0
    """Median price of a domain."""
    spread: float = 0.5
    """Standard deviation of the price's logarithm; 0 for one price."""

    def __post_init__(self) -> None:
        check_share("the share of lapsed domains", self.lapsed)
        check_price("the price of a domain", self.price)
        check_not_negative("the spread of prices", self.spread)
        check_not_negative("the effect of a site's size on lapsing", self.size_effect)

    def chances(self, records: Counts) -> Floats:
        """The probability that each domain has lapsed; its mean over the domains is `lapsed`."""
        from scipy.optimize import brentq

        weights = (records / records.max()) ** -self.size_effect
        if self.lapsed in (0.0, 1.0):
            return np.full(len(records), self.lapsed)

        def excess(log_scale: float) -> float:
            return float(np.minimum(1.0, np.exp(log_scale) * weights).mean()) - self.lapsed

        lowest = float(np.log(self.lapsed / weights.max())) - 1.0  # every chance is below the share
        highest = float(-np.log(weights.min())) + 1.0  # every chance is 1
        scale = float(np.exp(brentq(excess, lowest, highest, xtol=1e-10)))
        return np.asarray(np.minimum(1.0, scale * weights), dtype=np.float64)

    def prices(self, count: int, rng: np.random.Generator) -> Floats:
        """What each of so many domains costs."""
        return self.price * np.exp(self.spread * rng.standard_normal(count))


def worlds(listing: Spread, market: Market, count: int, seed: int) -> Iterator[tuple[Counts, Floats]]:
    """Records and price of every lapsed domain, in so many draws.

    A domain that has lapsed at one share has lapsed at every larger one of the same draw.
    """
    chances = market.chances(listing.records)
    for number in range(count):
        rng = stream(seed, "lapse", str(number))
        lapsed = listing.records[rng.random(len(chances)) < chances]
        yield lapsed, market.prices(len(lapsed), stream(seed, "prices", str(number)))


def share_lapsed(per_year: float, years: float) -> float:
    """The share of domains that lapsed in so many years, at this share a year of those that are left."""
    check_share("the share of domains that lapses in a year", per_year)
    check_not_negative("the years since the list was published", years)
    return float(1.0 - (1.0 - per_year) ** years)


def bought(records: Counts, prices: Floats, budgets: Sequence[float]) -> Counts:
    """How many records each budget buys: the domain that is cheapest per record first, each whole or not at all.

    What can no longer be paid is passed over, and the largest domain that can be paid alone is the floor. The rule is
    Dantzig's (1957, *Operations Research* 5:266): it gives the most that a budget can buy where all domains cost the
    same, else never less than half of it. A domain costs little against most budgets; the loss is less than one domain.
    """
    order = np.argsort(prices / records, kind="stable")
    return np.array([_bought(records[order], prices[order], budget) for budget in budgets], dtype=np.int64)


def _bought(records: Counts, prices: Floats, budget: float) -> int:
    got, left = 0, budget
    floor = int(records[prices <= budget].max(initial=0))
    while len(prices):
        spent = np.cumsum(prices)
        count = int(np.searchsorted(spent, left, side="right"))
        if count:
            got, left = got + int(records[:count].sum()), left - float(spent[count - 1])
        payable = prices[count:] <= left
        records, prices = records[count:][payable], prices[count:][payable]
    return max(got, floor)


def least_cost(records: Counts, prices: Floats, targets: Sequence[float]) -> Floats:
    """What so many records cost: cheapest per record first, and last the cheapest domain that suffices.

    The least possible where all domains cost the same, else an upper bound. Infinite where all domains together do not
    have so many.
    """
    order = np.argsort(prices / records, kind="stable")
    records, prices = records[order], prices[order]
    have = np.concatenate([[0], np.cumsum(records)])
    spent = np.concatenate([[0.0], np.cumsum(prices)])
    costs = []
    for target in targets:
        if target > have[-1]:
            costs.append(np.inf)
            continue
        if target <= 0:
            costs.append(0.0)
            continue
        before = int(np.searchsorted(have, target, side="left")) - 1
        enough = prices[before:][records[before:] >= target - have[before]]
        costs.append(float(spent[before] + enough.min()))
    return np.array(costs)


def check_share(name: str, value: float) -> None:
    """Refuse what is no share."""
    if not 0 <= value <= 1:
        raise InputError(f"{name} lies in [0, 1]; got {value:g}. For a percentage, divide by 100")


def check_price(name: str, value: float | None) -> None:
    """Refuse a price that is missing, not positive or not finite."""
    if value is None or not 0 < value < float("inf"):
        got = "nothing" if value is None else f"{value:g}"
        raise InputError(f"{name} is a number above 0; got {got}. Set --price-per-domain")


def check_not_negative(name: str, value: float) -> None:
    """Refuse a negative or infinite number."""
    if not 0 <= value < float("inf"):
        raise InputError(f"{name} is a number, 0 or more; got {value:g}")
