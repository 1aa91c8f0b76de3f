"""What an attacker gets for a budget: against figures by hand, and against all purchases there are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.collection.addresses import Spread, Zipf
from pharmakon.collection.lapse import Market, bought, least_cost, share_lapsed, worlds
from pharmakon.errors import InputError

RECORDS, PRICES = np.array([100, 60, 10, 1]), np.array([20.0, 10.0, 5.0, 1.0])
"""Records per dollar: 5, 6, 2, 1."""


def test_a_purchase_by_hand() -> None:
    """The second domain is the cheapest per record; with 19 dollars the first cannot be paid beside it."""
    budgets = [0, 0.99, 1, 10, 19, 20, 30, 36, 1e9]
    assert bought(RECORDS, PRICES, budgets).tolist() == [0, 0, 1, 60, 71, 100, 160, 171, 171]


def test_prices_of_doses_by_hand() -> None:
    costs = least_cost(RECORDS, PRICES, [0, 1, 60, 61, 65, 160, 161, 171, 172])
    assert costs.tolist() == [0, 1, 10, 11, 15, 30, 31, 36, np.inf]


def test_nothing_lapsed_and_no_money_give_nothing() -> None:
    none = RECORDS[:0]
    assert bought(none, PRICES[:0], [0, 100]).tolist() == [0, 0]
    assert least_cost(none, PRICES[:0], [1]).tolist() == [np.inf]
    spread = Zipf(num_records=1_000, num_domains=50).spread()
    for records, _ in worlds(spread, Market(lapsed=0.0), 3, seed=0):
        assert len(records) == 0
    for records, prices in worlds(spread, Market(lapsed=1.0), 3, seed=0):
        assert records.sum() == spread.total
        assert bought(records, prices, [0.0]).tolist() == [0]


domains = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=7)


@settings(max_examples=150, deadline=None)
@given(domains, st.integers(0, 40), st.integers(1, 120), st.booleans())
def test_all_purchases_of_a_small_list(some: list[tuple[int, int]], budget: int, target: int, one_price: bool) -> None:
    """With one price, greedy is the best of all purchases; with several, it is at least half and never more."""
    records = np.array([one for one, _ in some])
    prices = np.array([5.0 if one_price else float(price) for _, price in some])
    chosen = np.array(list(product([0, 1], repeat=len(some))))
    gains, costs = chosen @ records, chosen @ prices
    best = gains[costs <= budget].max()
    got = bought(records, prices, [budget])[0]
    assert best / 2 <= got <= best
    least = costs[gains >= target].min(initial=np.inf)
    paid = least_cost(records, prices, [target])[0]
    assert paid >= least
    assert np.isfinite(paid) == np.isfinite(least)
    if one_price:
        assert got == best
        assert paid == least


def test_chances_have_the_stated_mean_and_spare_large_sites() -> None:
    records = Zipf(num_records=100_000, num_domains=2_000).spread().records
    for lapsed in (0.001, 0.044, 0.5, 0.97):
        chances = Market(lapsed=lapsed, size_effect=0.75).chances(records)
        assert chances.mean() == pytest.approx(lapsed, rel=1e-6)
        assert chances.max() <= 1
        assert (np.diff(chances) >= 0).all()
    chances = Market(lapsed=0.01, size_effect=0.75).chances(records)
    assert chances[0] / chances[9] == pytest.approx((records[0] / records[9]) ** -0.75)
    assert np.ptp(Market(lapsed=0.3, size_effect=0.0).chances(records)) == pytest.approx(0)


def test_the_defaults_meet_what_was_published_of_laion_400m() -> None:
    """0.71% of the records on lapsed domains, 0.01% for 60 dollars, 0.05% for 1,000; and the draws nest."""
    spread = Zipf().spread()
    drawn = list(worlds(spread, Market(), 20, seed=0))
    doses = np.median([bought(*one, [60, 1_000, np.inf]) for one in drawn], axis=0) / spread.total
    assert 0.7e-4 < doses[0] < 1.6e-4
    assert 4e-4 < doses[1] < 6.5e-4
    assert doses[2] == pytest.approx(0.0071, rel=0.05)


def test_a_domain_that_lapsed_early_stays_lapsed() -> None:
    spread = Spread(np.arange(400, 0, -1), 80_200)
    for (few, _), (many, _) in zip(
        worlds(spread, Market(lapsed=0.1), 5, seed=3), worlds(spread, Market(lapsed=0.4), 5, seed=3), strict=True
    ):
        assert set(few.tolist()) < set(many.tolist())


def test_shares_by_age() -> None:
    assert share_lapsed(0.1, 0) == 0
    assert share_lapsed(0.1, 2) == pytest.approx(0.19)
    assert share_lapsed(1.0, 1) == 1


@pytest.mark.parametrize("price", [0.0, -3.0, float("nan"), float("inf"), None])
def test_a_price_is_above_nothing(price: float | None) -> None:
    with pytest.raises(InputError, match=r"the price of a domain is a number above 0; got .* Set --price-per-domain"):
        Market(price=price)  # type: ignore[arg-type]


def test_shares_and_years_are_checked() -> None:
    with pytest.raises(InputError, match=r"lapsed domains lies in \[0, 1\]; got 5. For a percentage, divide by 100"):
        Market(lapsed=5)
    with pytest.raises(InputError, match="the spread of prices is a number, 0 or more; got -1"):
        Market(spread=-1)
    with pytest.raises(InputError, match="years since the list was published is a number, 0 or more; got -1"):
        share_lapsed(0.1, -1)
