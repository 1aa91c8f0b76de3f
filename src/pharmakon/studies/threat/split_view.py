"""A data set is a list of addresses, and domains lapse: what does a share of the records cost, and who notices?

The claim to test (Carlini and others 2023, arXiv 2302.10149): who downloads a published list later gets other content
than its owner looked at, and 0.01% of LAION-400M could be had for 60 dollars. The defence is a hash of every record;
its price, which decides whether it is used, is the clean data that has changed without malice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from pharmakon.collection.addresses import AddressFile, Listing, Zipf
from pharmakon.collection.lapse import Market, share_lapsed
from pharmakon.collection.pages import Drift
from pharmakon.errors import InputError
from pharmakon.studies.threat.analysis_split_view import SplitViewTrial
from pharmakon.study import Simulation


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Purchase:
    """What the attacker can buy.

    Parameters
    ----------
    lapse_per_year
        Share of the domains that lapses in a year. With size-effect 0.75, 0.044 gives 0.7% of the records of the
        simulated list, as found of LAION-400M.
    lapsed
        Share of the domains that have lapsed, in place of --lapse-per-year and --years.
    size_effect
        A domain with n records lapses in proportion to n to the power of minus this; 0: large sites lapse as easily.
    price_per_domain
        Median price of a domain, dollars.
    price_spread
        Standard deviation of the logarithm of the price; 0 for one price.
    budget
        What the attacker spends, dollars.
    """

    lapse_per_year: float = 0.044
    lapsed: float | None = None
    size_effect: float = 0.75
    price_per_domain: float = 12.0
    price_spread: float = 0.5
    budget: float = 60.0

    def market(self, years: float) -> Market:
        """The market so many years after the list was published."""
        lapsed = share_lapsed(self.lapse_per_year, years) if self.lapsed is None else self.lapsed
        return Market(
            lapsed=lapsed, size_effect=self.size_effect, price=self.price_per_domain, spread=self.price_spread
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Simulated:
    """The list, where there is no --addresses.

    Parameters
    ----------
    num_records
        Records of the list; by default those of LAION-400M.
    num_domains
        Domains that they lie on.
    exponent
        How unevenly: the domain of rank r has records in proportion to r to the power of minus this.
    """

    num_records: int = 408_000_000
    num_domains: int = 1_000_000
    exponent: float = 1.0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Changes:
    """How pages change without malice, on which checks are measured.

    Parameters
    ----------
    change_per_year
        Share of the pages that have other bytes after a year, be it a date.
    rewritten
        Share of those changes after which a page says something else.
    vanish_per_year
        Share of the pages that are gone after a year.
    pages
        How many pages are downloaded twice.
    """

    change_per_year: float = 0.15
    rewritten: float = 0.1
    vanish_per_year: float = 0.05
    pages: int = 2_000

    def drift(self) -> Drift:
        """The same, as the simulation takes it."""
        return Drift(
            change_per_year=self.change_per_year, rewritten=self.rewritten, vanish_per_year=self.vanish_per_year
        )


def split_view(
    addresses: Path | None = None,
    *,
    field: str = "url",
    years: float = 1.0,
    listing: Simulated = Simulated(),
    purchase: Purchase = Purchase(),
    changes: Changes = Changes(),
    draws: int = 100,
    seed: int = 0,
) -> Simulation:
    """A data set is a list of addresses, and domains lapse: what does a share of it cost, and what does a check?

    Parameters
    ----------
    addresses
        Your own list: a text file of one URL a line (.txt), JSON lines (.jsonl, .jsonl.gz) or Parquet. It is only
        read; nothing is contacted. By default a simulated list.
    field
        The field or column of the addresses.
    years
        Years between the publication of the list and the later download.
    draws
        Draws of which domains lapse and what they cost.
    seed
        Seed of the simulation.
    """
    given: Listing
    if addresses is None:
        if field != "url":
            raise InputError("--field names a field of your own list; give it with --addresses")
        given = Zipf(num_records=listing.num_records, num_domains=listing.num_domains, exponent=listing.exponent)
    else:
        if listing != Simulated():
            raise InputError(
                "--num-records, --num-domains and --exponent are of a simulated list; your own has its own"
            )
        given = AddressFile.of(addresses, field)
        given.spread()  # what is wrong with it is said before anything else
    return Simulation(
        name="split-view",
        question="A data set is a list of addresses, and domains lapse: what does a share of it cost, and a check?",
        trial=SplitViewTrial(
            listing=given,
            market=purchase.market(years),
            budget=purchase.budget,
            drift=changes.drift(),
            years=years,
            num_pages=changes.pages,
            num_draws=draws,
            seed=seed,
        ),
        cautions=(
            "Which domains have lapsed, what they cost and how often pages change are stated, not found: "
            "set them to what you know of your list.",
        ),
    )
