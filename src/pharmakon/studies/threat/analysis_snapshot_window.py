"""What the simulated snapshot finds: timing error, budget, patrol, and what defences save and cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pharmakon.collection.revisions import DAY, HOUR, Defence, Fate, Floats, Site
from pharmakon.core import stream
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

FEW_ACCOUNTS = 10
"""Of an attacker who cannot make more: the more edits, the more each account shows."""
MOST_EDITS = 1_000_000
"""At most so many edits are simulated at once."""
RANGE = (
    "The estimate is the mean over {} simulated snapshots; between the ends lie 95% of them. All settings have the "
    "same random draws, so that differences between them are clearer than the intervals show. "
)
DEFENCES: Mapping[str, Defence] = {
    "as it is": Defence(),
    "at least 1 hour old": Defence(delay=HOUR),
    "at least 6 hours old": Defence(delay=6 * HOUR),
    "at least 1 day old": Defence(delay=DAY),
    "at least 1 week old": Defence(delay=7 * DAY),
    "secret order, 1 day": Defence(random_hours=24),
    "secret order, 1 week": Defence(random_hours=168),
    "trusted revisions": Defence(trusted_only=True),
}


@dataclass(frozen=True, kw_only=True)
class SnapshotTrial:
    """Simulated snapshots of a site, one dial turned at a time."""

    version: ClassVar[int] = 1
    site: Site = Site()
    edits: int = 1_000
    replications: int = 200
    seed: int = 0
    timing_errors: tuple[float, ...] = (0, 2, 5, 15, 30, 60, 120, 360, 720, 1_440)
    """Minutes."""
    budgets: tuple[int, ...] = (10, 100, 1_000, 10_000, 20_000, 30_000)
    speeds: tuple[float, ...] = (0.1, 0.3, 1, 3, 10, 100)

    def findings(self) -> Iterator[Finding]:
        yield self._timing()
        yield self._budget()
        yield self._patrol()
        yield from self._defences()

    def _fates(self, site: Site, edits: int) -> tuple[Floats, dict[str, float]]:
        """The share taken in each replication, and the mean share of each reason."""
        at_once = max(1, MOST_EDITS // edits)
        taken: list[Floats] = []
        counts = np.zeros(len(Fate))
        for start in range(0, self.replications, at_once):
            some = min(at_once, self.replications - start)
            made = site.simulate(edits, some, stream(self.seed, "snapshot-window", str(start)))
            taken.append(made.taken)
            counts += np.bincount(made.fates.ravel(), minlength=len(Fate))
        reasons = {f"{fate.name.lower()}_share": float(counts[fate] / counts.sum()) for fate in Fate if fate.reason}
        return np.concatenate(taken), reasons

    def _timing(self) -> Finding:
        rows: list[dict[str, Any]] = []
        for name, site in (
            ("patrol looks through accounts", self.site),
            ("patrol looks at single edits", _alone(self.site)),
        ):
            for error in self.timing_errors:
                at = replace(site, attacker=replace(site.attacker, timing_error=error))
                taken, reasons = self._fates(at, self.edits)
                rows.append({"timing_error_min": float(error), "patrol": name, **_range(taken), "lead_min": at.lead(),
                             **{key: reasons[key] for key in ("too_late_share", "reverted_share")}})  # fmt: skip
        taken, _ = self._fates(self.site, self.edits)
        error = self.site.attacker.timing_error
        own = [row for row in rows if row["patrol"] == "patrol looks through accounts"]
        sentence = (
            f"An attacker who predicts the visit of a page to within {_minutes(error)} (standard deviation) gets "
            f"{_said(_range(taken))} of {self.edits:,} edits into the snapshot; the same with a timing error of "
            f"{_minutes(own[0]['timing_error_min'])} {_said(own[0])}, of {_minutes(own[-1]['timing_error_min'])} "
            f"{_said(own[-1])}."
        )
        lead = (
            "with the lead that is best if patrol looked at single edits"
            if self.site.attacker.lead is None
            else "with the lead that is given"
        )
        return Finding(
            title="Caught by the snapshot, by timing error",
            sentence=sentence,
            table=frame(rows),
            chart=Chart(x="timing_error_min", y="taken_share", low="low", high="high", colour="patrol",
                        x_scale="symlog", x_title="timing error, minutes (standard deviation)",
                        y_title="share of the edits in the snapshot"),
            note=RANGE.format(self.replications) + f"Each edit is placed {lead}. For comparison: Carlini 2023 "
            "(arXiv 2302.10149) estimate that 6.5% of Wikipedia's pages could be poisoned so. Looking at single edits "
            "is the case that has a closed form.",
        )  # fmt: skip

    def _budget(self) -> Finding:
        patrol, attacker = self.site.patrol, self.site.attacker
        unlimited = replace(self.site, patrol=replace(patrol, capacity=None))
        kinds = {
            "single edits, no limit": _alone(self.site),
            "accounts looked through, no limit": unlimited,
            f"the same, all edits by {FEW_ACCOUNTS} accounts": unlimited,
        }
        if patrol.capacity is not None:
            kinds[f"accounts looked through, {patrol.capacity:g} reverts an hour"] = self.site
        rows: list[dict[str, Any]] = []
        for name, site in kinds.items():
            for edits in self.budgets:
                size = -(-edits // FEW_ACCOUNTS) if name.startswith("the same") else attacker.edits_per_account
                at = replace(site, attacker=replace(attacker, edits_per_account=size))
                taken, _ = self._fates(at, edits)
                rows.append({"edits": edits, "patrol": name, "edits_per_account": size, **_range(taken),
                             "taken_edits": float(taken.mean() * edits)})  # fmt: skip
        of = {name: [row for row in rows if row["patrol"] == name] for name in kinds}
        own, few = list(of.values())[-1], list(of.values())[2]
        most = own[-1]
        sentence = (
            f"Of {own[0]['edits']:,} edits {_said(own[0])} are in the snapshot, of {most['edits']:,} {_said(most)}: "
            f"{own[0]['taken_edits']:.1f} and {most['taken_edits']:,.0f} pages. With {FEW_ACCOUNTS} accounts in all, "
            f"of {most['edits']:,} edits {_said(few[-1])}."
        )
        if patrol.capacity is not None:
            free = list(of.values())[1][-1]
            sentence += f" If patrol had no limit, it would be {_said(free)} of {most['edits']:,}."
        return Finding(
            title="Caught by the snapshot, by edit budget",
            sentence=sentence,
            table=frame(rows),
            chart=Chart(x="edits", y="taken_share", low="low", high="high", colour="patrol", x_scale="log",
                        x_title="edits that the attacker makes", y_title="share of the edits in the snapshot"),
            note=RANGE.format(self.replications) + f"How patrol reacts is assumed: after {patrol.follow_up:.0%} of the "
            f"edits that it finds, it looks through the account: {patrol.follow_up_delay:g} minutes later all its "
            "edits are reverted, further ones at once. Beyond its capacity, edits that are found wait in turn.",
        )  # fmt: skip

    def _patrol(self) -> Finding:
        rows: list[dict[str, Any]] = []
        for speed in self.speeds:
            site = replace(self.site, patrol=replace(self.site.patrol, speed=speed))
            taken, reasons = self._fates(site, self.edits)
            rows.append({"speed": float(speed), "median_delay_min": self.site.patrol.median / speed, **_range(taken),
                         "lead_min": site.lead(), "reverted_share": reasons["reverted_share"]})  # fmt: skip
        slow, fast = rows[0], rows[-1]
        sentence = (
            f"With a median delay of {_minutes(slow['median_delay_min'])} until a revert {_said(slow)} are in the "
            f"snapshot, with {_minutes(fast['median_delay_min'])} {_said(fast)}. Speed does nothing against the "
            f"{self.site.patrol.never:.0%} of edits that nobody finds for themselves."
        )
        return Finding(
            title="Caught by the snapshot, by speed of patrol",
            sentence=sentence,
            table=frame(rows),
            chart=Chart(x="median_delay_min", y="taken_share", low="low", high="high", x_scale="log",
                        x_title="median minutes until a revert", y_title="share of the edits in the snapshot"),
            note=RANGE.format(self.replications) + "The attacker knows the speed and chooses the lead by it. The "
            "default median is Cobb's for English Wikipedia (2009, The Wikipedia Signpost 5(25)).",
        )  # fmt: skip

    def _defences(self) -> Iterator[Finding]:
        rows: list[dict[str, Any]] = []
        prices: list[dict[str, Any]] = []
        base, _ = self._fates(self.site, self.edits)
        for name, defence in DEFENCES.items():
            for knows, who in ((True, "knows the defence"), (False, "does not know it")):
                attacker = replace(self.site.attacker, knows_defence=knows)
                site = replace(self.site, defence=defence, attacker=attacker)
                taken, _ = self._fates(site, self.edits)
                rows.append({"defence": name, "attacker": who, **_range(taken), **self._saved(base, taken)})
            late = replace(self.site, defence=defence).late(self.replications, stream(self.seed, "late"))
            prices.append({"defence": name, **_range(late, "late_share")})
        none, day = prices[0]["late_share"], next(p for p in prices if p["defence"] == "at least 1 day old")
        known = next(row for row in rows if row["defence"] == day["defence"])
        sentence = (
            f"A snapshot that takes only revisions that are a day old and still stand has {_said(known)} of the edits "
            f"of an attacker who knows it, instead of {_said(_range(base))}: {_percent(known['saved_share'])} "
            f"[{_percent(known['saved_low'])}, {_percent(known['saved_high'])}] fewer. "
            f"It lacks {_percent(day['late_share'])} of a month's honest edits instead of {_percent(none)}."
        )
        yield Finding(
            title="What a delayed or randomised snapshot saves",
            sentence=sentence,
            table=frame(rows),
            chart=Chart(x="defence", y="taken_share", low="low", high="high", colour="attacker", x_scale="names",
                        x_title="the snapshot takes", y_title="share of the edits in the snapshot"),
            note=RANGE.format(self.replications) + "saved_share is 1 less the ratio to the snapshot as it is, with a "
            "95% bootstrap interval over replications. Who knows of a delay edits earlier by it, who knows of a secret "
            "order aims at the snapshot's start; who does not is mostly too young or too late. No defence here is "
            "stronger than patrol: what it never finds is taken in the end. Of trusted revisions it is assumed that "
            f"{self.site.attacker.trusted:.0%} of the attacker's accounts are trusted.",
        )  # fmt: skip
        dearest = max(prices, key=lambda row: row["late_share"])
        yield Finding(
            title="What it costs in freshness",
            sentence=f"Of the honest edits of a cycle, {_percent(none)} miss the snapshot as it is; the dearest is "
            f'"{dearest["defence"]}" with {_said(dearest, "late_share")}. They are late by one snapshot, not lost.',
            table=frame(prices),
            chart=Chart(x="defence", y="late_share", low="low", high="high", x_scale="names",
                        x_title="the snapshot takes", y_title="share of honest edits that are late"),
            note=RANGE.format(self.replications) + f"A cycle is {self.site.crowd.cycle_days:g} days and ends when the "
            f"last page has been visited. Honest edits: {self.site.crowd.edits_per_month:g} a page in 30 days, very "
            f"unevenly; {self.site.crowd.trusted:.0%} by trusted accounts. These are assumptions.",
        )  # fmt: skip

    def _saved(self, base: Floats, taken: Floats) -> dict[str, float | None]:
        from scipy.stats import bootstrap

        def saved(after: Floats, before: Floats, axis: int = -1) -> Floats:
            ratio: Floats = 1 - after.mean(axis=axis) / np.maximum(before.mean(axis=axis), 1e-12)
            return ratio

        if not base.any():
            return {"saved_share": None, "saved_low": None, "saved_high": None}
        low = high = value = float(saved(taken, base))
        if len(base) > 1 and np.ptp(taken) + np.ptp(base) > 0:
            drawn = bootstrap((taken, base), saved, paired=True, vectorized=True, n_resamples=999, method="percentile",
                              rng=stream(self.seed, "saved"))  # fmt: skip
            low, high = map(float, drawn.confidence_interval)
        return {"saved_share": value, "saved_low": low, "saved_high": high}


def _alone(site: Site) -> Site:
    return replace(site, patrol=replace(site.patrol, follow_up=0.0, capacity=None))


def _range(shares: Floats, name: str = "taken_share") -> dict[str, float]:
    """The mean over replications, and the ends between which 95% of them lie."""
    low, high = np.quantile(shares, [0.025, 0.975])
    mean = float(shares.mean())
    return {name: mean, "low": min(float(low), mean), "high": max(float(high), mean)}


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The rows as a table."""
    import polars as pl

    return pl.DataFrame(rows, infer_schema_length=None)


def _said(row: Mapping[str, Any], name: str = "taken_share") -> str:
    return f"{_percent(row[name])} [{_percent(row['low'])}, {_percent(row['high'])}]"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%" if 0 < abs(share) < 0.0995 else f"{100 * share:.0f}%"


def _minutes(minutes: float) -> str:
    """A time as it is said: 2.4 seconds, 30 minutes, 1 day."""
    sizes = {"day": DAY, "hour": HOUR, "minute": 1.0}
    whole = (name for name, size in sizes.items() if minutes >= size and (minutes / size).is_integer())
    name = next(whole, "minute" if minutes >= 1 or not minutes else "second")
    size = sizes.get(name, 1 / 60)
    number = minutes / size
    return f"{number:.3g} {name}{'' if number == 1 else 's'}"
