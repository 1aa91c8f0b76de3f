"""Malicious edits are placed just before a site's pages are copied: how many does the copy have?

The claim to test (Carlini 2023, arXiv 2302.10149): who knows when a page is copied into a data set can edit it so
shortly before that nobody reverts it in time; a conservative estimate for Wikipedia is 6.5% of its pages. Here the site
is simulated, one dial at a time: how well the attacker predicts, how much it edits, how fast patrol is, how the
snapshot is taken. With a dump of the site's own history, its real reverts answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pharmakon.collection.revisions import Attacker, Crowd, Patrol, Site
from pharmakon.errors import InputError, SpecError
from pharmakon.studies.threat.analysis_snapshot_window import SnapshotTrial
from pharmakon.study import Simulation


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What is assumed of the site, its patrol and its attacker.

    Parameters
    ----------
    timing_error
        Standard deviation, in minutes, of the attacker's prediction of when a page is visited. An assumption.
    lead
        Minutes before the predicted visit at which the attacker edits; by default the best for a
        single edit, knowing error and patrol; with a dump 30.
    edits_per_account
        Edits that the attacker makes with one account. An assumption.
    snapshot_hours
        How long the snapshot takes to visit all pages. An assumption.
    revert_median
        Minutes until half of those bad edits that are found are reverted (Cobb 2009, The Wikipedia Signpost 5(25)).
    revert_spread
        Standard deviation of the natural logarithm of that delay. An assumption.
    never_reverted
        Share of bad edits that nobody finds for itself (Cobb 2009: about a tenth lasts for months).
    patrol_capacity
        Reverts an hour that patrol can make beside its daily work; 0 for no limit. An assumption.
    follow_up
        Share of the edits found after which the account's other edits are looked through. An assumption.
    edits_per_month
        Honest edits of an average page in 30 days. An assumption, of the size of a large Wikipedia's.
    """

    timing_error: float = 30.0
    lead: float | None = None
    edits_per_account: int = 10
    snapshot_hours: float = 24.0
    revert_median: float = 4.0
    revert_spread: float = 2.5
    never_reverted: float = 0.1
    patrol_capacity: float = 500.0
    follow_up: float = 0.2
    edits_per_month: float = 0.5

    def site(self) -> Site:
        """The site that all this makes."""
        attacker = Attacker(timing_error=self.timing_error, lead=self.lead, edits_per_account=self.edits_per_account)
        patrol = Patrol(
            median=self.revert_median,
            spread=self.revert_spread,
            never=self.never_reverted,
            capacity=self.patrol_capacity or None,
            follow_up=self.follow_up,
        )
        crowd = Crowd(edits_per_month=self.edits_per_month)
        return Site(hours=self.snapshot_hours, patrol=patrol, attacker=attacker, crowd=crowd)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Real:
    """A real site in place of the simulated one.

    Parameters
    ----------
    dump
        A MediaWiki XML dump with all revisions: .xml, .xml.gz or .xml.bz2, with or without texts. The findings are
        then from its reverts, and the simulation's parameters but the lead play no part.
    date
        The date of the snapshot, 2023-02-20 or 2023-02-20T10:30 (UTC). Nothing later in the dump is used to tell
        what was exposed.
    namespaces
        Numbers of the namespaces whose pages count; 0 is the articles.
    days
        Use only edits of so many days before the date; by default all.
    """

    dump: Path | None = None
    date: str | None = None
    namespaces: Annotated[tuple[int, ...], Parameter(negative=())] = (0,)
    days: float | None = None


def snapshot_window(
    edits: int = 1_000,
    replications: int = 200,
    seed: int = 0,
    *,
    assumed: Assumed = Assumed(),
    real: Real = Real(),
) -> Simulation:
    """What share of malicious edits does a snapshot catch, and what would a delayed or randomised one save?

    Parameters
    ----------
    edits
        How many edits the attacker makes, each to a page of its own.
    replications
        How many snapshots are simulated.
    seed
        Names the random draws.
    """
    if edits < 1 or replications < 2:
        raise SpecError(f"there are 1 edit and 2 replications or more; got {edits} and {replications}")
    question = "What share of malicious edits does a snapshot catch, and what would a delayed or randomised one save?"
    site = assumed.site()
    if real.dump is None:
        if real.date is not None:
            raise InputError(
                f"--date {real.date} is the date of a snapshot of a real site. Give its history: --dump FILE"
            )
        return Simulation(
            name="snapshot-window",
            question=question,
            trial=SnapshotTrial(site=site, edits=edits, replications=replications, seed=seed),
            cautions=(
                "The site is simulated: shares are those of its assumptions, which the options state. Put the reverts "
                "of a real site in their place with --dump FILE --date DATE.",
            ),
        )
    from pharmakon.studies.threat.analysis_snapshot_dump import trial

    return Simulation(
        name="snapshot-window",
        question=f"How exposed are the pages of {real.dump.name} to edits just before a snapshot?",
        trial=trial(real.dump, real.date, namespaces=real.namespaces, days=real.days, lead=assumed.lead, seed=seed),
        cautions=(
            "Reverts of the past are of edits that people made, not of an attacker's: one that is less conspicuous "
            "than those that were reverted stands longer.",
            "Only identity reverts are seen, which restore an earlier revision letter by letter.",
        ),
    )
