"""What the study `split-view` finds: dose and price of lapsed domains, and what an integrity check stops and costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl

from pharmakon.collection.addresses import Listing, Spread, Zipf
from pharmakon.collection.downloads import Download, downloads
from pharmakon.collection.lapse import Counts, Floats, Market, bought, least_cost, worlds
from pharmakon.collection.pages import Drift
from pharmakon.core import stream
from pharmakon.errors import InputError
from pharmakon.studies.threat.analysis_integrity import after, by_age, by_threshold
from pharmakon.study import Chart, Finding

DOSES = (1e-4, 1e-3, 1e-2)
"""Shares of the records whose price is told."""
BUDGETS = (20.0, 60.0, 200.0, 600.0, 2_000.0, 6_000.0, 20_000.0, 60_000.0)
LAPSED = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
AGES = (0.25, 1.0, 2.0, 5.0)
"""Years between the first download and a later one."""
TAKEN = 0.1
"""Share of the addresses that are an attacker's where checks are measured: more than can be bought, to be counted."""
REPEATS = 3
"""Lists of pages on which checks are measured."""
Middle = tuple[float, float, float]
"""The low end, the median and the high end of 95% of the draws."""
Drawn = Sequence[tuple[Counts, Floats]]
STATED = "as stated"
IN_PERCENT = "share of all records, percent"
PAPER = "Carlini and others 2023, arXiv 2302.10149"
FITTED = "LAION-400M"
PUBLISHED = (
    (FITTED, 0.0071, 0.0005), ("COYO-700M", 0.0151, 0.0010), ("Conceptual 12M", 0.0119, 0.0012),
    ("CC-3M", 0.0104, 0.0008), ("VGG Face", 0.0370, 0.0017), ("LAION-2B-en", 0.0029, 0.0001),
    ("LAION-2B-multi", 0.0055, 0.0002), ("LAION-1B-nolang", 0.0037, 0.0002), ("MMC4-FF", 0.0014, 0.0001),
    ("RefinedWeb", 0.0024, 0.0002), ("OBELISC", 0.0009, 0.0001),
)  # fmt: skip
"""Lists, with the share of records on lapsed domains and the least that 1,000 dollars buy: table 1 of the paper."""


@dataclass(frozen=True, kw_only=True)
class SplitViewTrial:
    """An attacker buys lapsed domains of a list; a downloader checks what comes, or does not."""

    version: ClassVar[int] = 1
    listing: Listing = Zipf()
    market: Market = Market()
    budget: float = 60.0
    drift: Drift = Drift()
    years: float = 1.0
    num_draws: int = 100
    """Draws of which domains lapse and what they cost."""
    num_pages: int = 2_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.budget < float("inf"):
            raise InputError(f"a budget is 0 or more; got {self.budget:g}")
        if not 0 <= self.years < float("inf"):
            raise InputError(f"the years since the list was published are 0 or more; got {self.years:g}")
        if self.num_draws < 2:
            raise InputError(f"an interval takes 2 draws or more; got {self.num_draws}")
        if self.num_pages < 2:
            raise InputError(f"a check is measured on 2 pages or more; got {self.num_pages}")

    def findings(self) -> Iterator[Finding]:
        """Price and dose first, then the checks."""
        spread = self.listing.spread()
        drawn = list(worlds(spread, self.market, self.num_draws, self.seed))
        doses = _doses(drawn, spread, [self.budget, float("inf")])
        dose, everything = _middle(doses[:, 0]), _middle(doses[:, 1])
        yield self._costs(spread, drawn, dose, everything)
        yield self._by_budget(spread, drawn, everything)
        yield self._by_lapsed(spread, drawn)
        yield _concentration(spread)
        yield self._hangs_on(spread, drawn, everything[1])
        if self.listing == Zipf():
            yield self._held_against_published(spread)
        measured = self._measured()
        exact = by_age(measured, self.years, self.drift.change_per_year)
        yield replace(exact, sentence=f"{exact.sentence} {self._price_of_checking(exact, dose[1])}".strip())
        yield by_threshold(measured[self.years], self.years)

    def _price_of_checking(self, exact: Finding, dose: float) -> str:
        """How many clean records go for each poisoned one, at the budget's dose."""
        if not dose:
            return ""
        lost = exact.table.filter(pl.col("years") == self.years)["clean_refused_percent"][0] / 100
        return (
            f"That is {lost * (1 - dose) / dose:,.0f} clean records for each that {_money(self.budget)} dollars "
            f"poison ({after(self.years)})."
        )

    def _costs(self, spread: Spread, drawn: Drawn, dose: Middle, everything: Middle) -> Finding:
        wanted = [max(1, int(np.ceil(share * spread.total))) for share in DOSES]
        costs = np.array([least_cost(records, prices, wanted) for records, prices in drawn])
        rows, parts = [], []
        for share, records, column in zip(DOSES, wanted, costs.T, strict=True):
            low, cost, high = _middle(column)
            rows.append((100 * share, records, cost, low, high, cost / records, 100 * np.isfinite(column).mean()))
            if np.isfinite(cost):
                parts.append(f"{100 * share:g}% costs {_money(cost)} dollars [{_money(low)}, {_money(high)}]")
            else:
                parts.append(f"{100 * share:g}% is out of reach")
        columns = (
            "dose_percent",
            "records",
            "dollars",
            "low",
            "high",
            "dollars_per_record",
            "draws_reaching_it_percent",
        )
        sentence = (
            f"With {_percent(self.market.lapsed)} of the domains lapsed, {_money(self.budget)} dollars buy "
            f"{_interval(dose)} of the records; all lapsed domains hold {_interval(everything)}. Of the records, "
            f"{'; '.join(parts)}."
        )
        note = (
            f"{self.num_draws} draws of which domains lapse and of their prices; median and the range of 95% of the "
            f"draws. Cheapest per record first: for prices that differ, a little more than the least. "
            f"A price of {self.market.price:g} dollars is the median, log standard deviation {self.market.spread:g}. "
        )
        if isinstance(self.listing, Zipf):
            note += (
                "The defaults are fitted to what was found of LAION-400M (0.71% of the records on lapsed domains, "
                f"0.01% for 60 dollars, at least 0.05% for 1,000; {PAPER}) and do not confirm it."
            )
        else:
            note += (
                f"Your list says how many records lie on a domain. Which lapse is drawn, and large ones are spared as "
                f"in LAION-400M ({PAPER}); no address was contacted and no registrar asked. A domain is a plain host "
                "here: hosts of one owner are one purchase in truth, and those of a hoster are not for sale."
            )
        table = _table(columns, rows)
        return Finding(title="What a dose costs", sentence=sentence, table=table, note=note)

    def _by_budget(self, spread: Spread, drawn: Drawn, everything: Middle) -> Finding:
        budgets = sorted({*BUDGETS, *([self.budget] if self.budget else [])})
        rows = []
        for budget, column in zip(budgets, _doses(drawn, spread, budgets).T, strict=True):
            low, middle, high = (100 * value for value in _middle(column))
            rows.append((budget, middle, low, high))
        table = _table(("budget_dollars", "dose_percent", "low", "high"), rows)
        first, last = rows[0], rows[-1]
        sentence = (
            f"{_money(first[0])} dollars buy {first[1]:.2g}% of the records, {_money(last[0])} buy {last[1]:.2g}%: "
            f"{last[0] / first[0]:,.0f} times the money for "
            f"{f'{last[1] / first[1]:.2g} times' if first[1] else 'more than nothing of'} the records. "
            f"The ceiling is {_interval(everything)}, all lapsed domains."
        )
        chart = Chart(x="budget_dollars", y="dose_percent", low="low", high="high", x_scale="log",
                      x_title="budget, dollars", y_title=IN_PERCENT)  # fmt: skip
        note = "The largest lapsed domains are bought first, so that each further dollar buys less."
        return Finding(title="Dose by budget", sentence=sentence, table=table, chart=chart, note=note)

    def _by_lapsed(self, spread: Spread, own_draws: Drawn) -> Finding:
        budgets = sorted({self.budget, 1_000.0, 10_000.0})
        rows = []
        for share in sorted({*LAPSED, self.market.lapsed}):
            drawn = (
                own_draws if share == self.market.lapsed else self._fewer(spread, replace(self.market, lapsed=share))
            )
            for budget, column in zip(budgets, _doses(drawn, spread, budgets).T, strict=True):
                low, middle, high = (100 * value for value in _middle(column))
                rows.append((100 * share, f"{_money(budget)} dollars", middle, low, high))
        table = _table(("lapsed_domains_percent", "budget", "dose_percent", "low", "high"), rows)
        own = [row for row in rows if row[1] == f"{_money(self.budget)} dollars"]
        first = next((row for row in own if row[2] >= 100 * DOSES[0]), None)
        if first:
            reached = f"can be had from {first[0]:.2g}% lapsed domains on"
        else:
            reached = "cannot be had at any of these shares of lapsed domains"
        sentence = f"For {_money(self.budget)} dollars, {100 * DOSES[0]:g}% of the records {reached}"
        sentence += f"; at {own[-1][0]:g}%, {_interval((own[-1][3] / 100, own[-1][2] / 100, own[-1][4] / 100))}."
        chart = Chart(x="lapsed_domains_percent", y="dose_percent", low="low", high="high", colour="budget",
                      x_scale="symlog", x_title="lapsed domains, percent", y_title=IN_PERCENT)  # fmt: skip
        note = (
            "Half as many draws as above, but for the stated share. What has lapsed at one share has at any larger one."
        )
        return Finding(title="Dose by share of lapsed domains", sentence=sentence, table=table, chart=chart, note=note)

    def _hangs_on(self, spread: Spread, own_draws: Drawn, all_lapsed: float) -> Finding:
        """The budget's dose when one assumption is another."""
        market = self.market
        others: list[tuple[str, Spread, Market]] = [
            (STATED, spread, market),
            ("large sites lapse as easily", spread, replace(market, size_effect=0.0)),
            ("large sites lapse less still", spread, replace(market, size_effect=1.0)),
            ("domains at half the price", spread, replace(market, price=market.price / 2)),
            ("domains at ten times the price", spread, replace(market, price=10 * market.price)),
            ("half as many domains lapsed", spread, replace(market, lapsed=market.lapsed / 2)),
            ("twice as many domains lapsed", spread, replace(market, lapsed=min(1.0, 2 * market.lapsed))),
        ]
        if isinstance(self.listing, Zipf):
            even = replace(market, size_effect=0.0, lapsed=all_lapsed)
            others.append(("as easily, as many records lapsed", spread, even))
            for exponent in (0.8, 1.2):
                other = replace(self.listing, exponent=exponent).spread()
                others.append((f"exponent of the list {exponent:g}", other, market))
        rows = []
        for name, list_, changed in others:
            drawn = own_draws if name == STATED else self._fewer(list_, changed)
            doses = _doses(drawn, list_, [self.budget, float("inf")])
            low, middle, high = (100 * value for value in _middle(doses[:, 0]))
            rows.append((name, middle, low, high, 100 * float(np.median(doses[:, 1]))))
        table = _table(("assumption", "dose_percent", "low", "high", "all_lapsed_percent"), rows)
        stated = rows[0]
        furthest = max(rows[1:], key=lambda row: abs(np.log((row[1] + 1e-9) / (stated[1] + 1e-9))))
        sentence = (
            f"Of these assumptions the dose of {_money(self.budget)} dollars hangs most on this one: {furthest[0]} "
            f"({furthest[1]:.2g}% of the records in place of {stated[1]:.2g}%)."
        )
        chart = Chart(x="assumption", y="dose_percent", low="low", high="high", x_scale="names",
                      x_title="", y_title=IN_PERCENT)  # fmt: skip
        note = "One assumption at a time, each with half as many draws as above."
        return Finding(title="What the dose hangs on", sentence=sentence, table=table, chart=chart, note=note)

    def _fewer(self, spread: Spread, market: Market) -> Drawn:
        """Half as many draws of another market."""
        return list(worlds(spread, market, max(2, self.num_draws // 2), self.seed))

    def _held_against_published(self, spread: Spread) -> Finding:
        """What the market, fitted to one list, says of the others; each has its own share of lapsed records."""
        from scipy.optimize import brentq

        def records_lapsed(lapsed: float) -> float:
            chances = replace(self.market, lapsed=lapsed).chances(spread.records)
            return float(chances @ spread.records) / spread.total

        rows = []
        for name, lapsed_records, at_least in PUBLISHED:
            lapsed = brentq(lambda share, goal=lapsed_records: records_lapsed(share) - goal, 1e-5, 1.0, xtol=1e-5)
            drawn = list(worlds(spread, replace(self.market, lapsed=lapsed), max(2, self.num_draws // 5), self.seed))
            low, middle, high = (100 * value for value in _middle(_doses(drawn, spread, [1_000.0])[:, 0]))
            rows.append((name, 100 * lapsed_records, 100 * at_least, middle, low, high, middle / (100 * at_least)))
        ratios = [row[-1] for row in rows if row[0] != FITTED]
        columns = ("list", "lapsed_records_percent", "published_at_least_percent", "simulated_percent", "low", "high",
                   "simulated_to_published")  # fmt: skip
        sentence = (
            f"Fitted to {FITTED} alone, the simulation gives for 1,000 dollars {min(ratios):.2g} to {max(ratios):.2g} "
            f"times the least that was published of {len(ratios)} other lists."
        )
        note = (
            f"Table 1 of {PAPER}: the share of records on lapsed domains, which is given to the simulation, and the "
            "least that could be bought for 1,000 dollars, to two decimals. Two lists of fewer than 200,000 records "
            "are left out. The spread of records over domains is that of the simulated list for all of them."
        )
        chart = Chart(x="list", y="simulated_percent", low="low", high="high", x_scale="names",
                      x_title="", y_title=f"for 1,000 dollars, {IN_PERCENT}")  # fmt: skip
        title = "Held against published lists"
        return Finding(title=title, sentence=sentence, table=_table(columns, rows), chart=chart, note=note)

    def _measured(self) -> dict[float, list[Download]]:
        """The later downloads by age, one for each list of pages."""
        ages = sorted({*AGES, self.years})
        measured: dict[float, list[Download]] = {age: [] for age in ages}
        for repeat in range(REPEATS):
            rng = stream(self.seed, "downloads", str(repeat))
            made = downloads(self.drift, ages, self.num_pages, taken=TAKEN, rng=rng)
            for age, download in zip(ages, made, strict=True):
                measured[age].append(download)
        return measured


def _concentration(spread: Spread) -> Finding:
    tops = [10**k for k in range(9) if 10**k < len(spread.records)] + [len(spread.records)]
    rows = [(top, 100 * top / len(spread.records), 100 * spread.top(top)) for top in tops]
    half = spread.num_for(0.5)
    least = next((t for t in tops if spread.top(t) >= DOSES[-1]), tops[-1])
    sentence = (
        f"{spread.total:,} records on {len(spread.records):,} domains: the largest holds {rows[0][2]:.2g}%, "
        f"half of them lie on the {f'{half:,} largest' if half > 1 else 'largest'}."
    )
    if spread.names:
        named = ", ".join(
            f"{name} ({records:,})" for name, records in zip(spread.names[:3], spread.records, strict=False)
        )
        sentence += f" The largest: {named}."
    reach = spread.total - int(spread.records.sum())
    note = f"{reach:,} records have an IP in place of a domain and cannot be bought. " if reach else ""
    note += f"Any {least:,} of the largest that lapse hold 1% or more. " if spread.names else ""
    chart = Chart(x="largest_domains", y="percent_of_records", x_scale="log", x_title="so many of the largest domains",
                  y_title=IN_PERCENT)  # fmt: skip
    table = _table(("largest_domains", "percent_of_domains", "percent_of_records"), rows)
    title = "How the records are spread over domains"
    return Finding(title=title, sentence=sentence, table=table, chart=chart, note=note.strip())


def _doses(drawn: Drawn, spread: Spread, budgets: Sequence[float]) -> Floats:
    """The share of all records that each budget buys; shape [draws, budgets]."""
    return np.array([bought(records, prices, budgets) for records, prices in drawn]) / spread.total


def _middle(values: Floats) -> Middle:
    """The range of 95% of the draws and their median, each a value of a draw: one may be infinite."""
    low, middle, high = np.quantile(values, (0.025, 0.5, 0.975), method="inverted_cdf")
    return float(low), float(middle), float(high)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    """What is infinite is out of reach, and has no value."""
    finite = [[None if isinstance(v, float) and not np.isfinite(v) else v for v in row] for row in rows]
    return pl.DataFrame(finite, schema=list(columns), orient="row", infer_schema_length=None)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"


def _interval(middle: Middle) -> str:
    return f"{_percent(middle[1])} [{_percent(middle[0])}, {_percent(middle[2])}]"


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 or amount == int(amount) else f"{amount:,.2f}"
