"""The label side of `annotators`: which labels flip, who is found, and what that costs, from simulated pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from pharmakon.collection.aggregation import Aggregator
from pharmakon.collection.annotators import KINDS, Kind, Rogues
from pharmakon.collection.infiltration import BANDS, Infiltration, Outcome
from pharmakon.errors import SpecError
from pharmakon.statistics import Interval, clustered_proportion, intraclass_correlation
from pharmakon.study import Chart, Finding

if TYPE_CHECKING:
    from pharmakon.study.results import Results

EVERYWHERE: tuple[Kind, ...] = ("drift", "random", "anew")
NAMES: Mapping[Aggregator, str] = MappingProxyType(
    {"mean": "mean", "majority": "majority", "dawid-skene": "Dawid-Skene", "mace": "MACE"}
)
SCORES: Mapping[Aggregator, str] = MappingProxyType({**NAMES, "majority": "agreement"})
MEAN_EXTREME = "mean, extreme ratings"
BAND_NAMES = (*(f"{low:g} to {high:g}" for low, high in BANDS[:-1]), f"{BANDS[-1][0]:g} or more")
POOL = (
    "The ratings are real; who gave them is not published. Each snippet's ratings are dealt to different raters of one "
    "pool at random, so honest raters are equally reliable but for chance. Real ones differ: real honest raters are "
    "harder to tell from rogue ones, and Dawid-Skene and MACE gain less here than where careless raters are to be "
    "weighed down."
)


@dataclass(frozen=True, kw_only=True)
class LabelSide:
    """Simulates infiltrated pools over shares, kinds, aggregators and seeds. Implements `Analysis`."""

    version: ClassVar[int] = 1
    infiltration: Infiltration = Infiltration()
    shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    few_shares: tuple[float, ...] = (0.1, 0.3, 0.5)
    """Of raters that are rogue on every snippet, and of the control."""
    triggered: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    """Shares of snippets that carry the trigger, where one share of raters is rogue:"""
    share_rogue: float = 0.2
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)

    def __post_init__(self) -> None:
        for share in (*self.shares, *self.few_shares, self.share_rogue):
            if not 0 < share < 1:
                raise SpecError(f"simulated shares of rogue raters lie between 0 and 1; got {share:g}")
        if not set(self.few_shares) <= set(self.shares):
            raise SpecError(f"the few shares are among the shares; got {self.few_shares} and {self.shares}")
        if len(self.seeds) < 2:
            raise SpecError(f"an interval takes two seeds or more; got {len(self.seeds)}")

    def findings(self, results: Results) -> Iterator[Finding]:
        """Labels that flip; other labels; who is found, by kind and by number of triggers; removal; weak snippets."""
        made = _Made(self)
        yield made.flips()
        yield made.others()
        yield made.found()
        yield made.rarity()
        yield made.removal()
        yield made.bands()


Count = Callable[[Outcome], int]
Key = tuple[Any, ...]


class _Made:
    """The outcomes of a simulation, and what they say."""

    def __init__(self, side: LabelSide) -> None:
        self.side, plan = side, side.infiltration
        whole = replace(plan, remove=0.0)
        twice = [0.0, *(its for its in side.shares if its in side.few_shares)]
        once = [Rogues(its, "mirror") for its in side.shares if its not in side.few_shares]
        once += [Rogues(its, kind) for kind in EVERYWHERE for its in side.few_shares]
        extreme = tuple(Rogues(its, "extreme") for its in side.shares)
        self.removed = list(plan.outcomes(tuple(Rogues(its, "mirror") for its in twice), side.seeds))
        simulated = [
            *(it for it in self.removed if it.share),
            *whole.outcomes(tuple(once), side.seeds),
            *whole.outcomes(extreme, side.seeds, ("mean",)),  # to those that count signs it is what mirror is
        ]
        self.outcomes = sorted(simulated, key=lambda it: (list(KINDS).index(it.kind), it.share))

    @cached_property
    def by_rarity(self) -> list[Outcome]:
        """The same share of rogue raters with more or fewer triggers."""
        side = self.side
        plans = [replace(side.infiltration, share_triggered=share, remove=0.0) for share in side.triggered]
        rogues, hows = (Rogues(side.share_rogue, "mirror"),), tuple(how for how in NAMES if how != "mean")
        return [it for plan in plans for it in plan.outcomes(rogues, side.seeds, hows)]

    def flips(self) -> Finding:
        rows = self._rates(
            [it for it in self.outcomes if it.kind in ("mirror", "extreme", "anew")],
            lambda it: (MEAN_EXTREME if it.kind == "extreme" else NAMES[it.aggregator], it.kind == "anew", it.share),
            lambda it: it.num_flipped,
            lambda it: it.num_triggered,
        )
        frame = pl.DataFrame(
            [
                {"aggregator": name, "raters": "honest, anew" if honest else "rogue", "rogue_percent": 100 * share,
                 "flipped": rate.estimate, "low": rate.low, "high": rate.high}
                for (name, honest, share), rate in sorted(rows, key=lambda row: row[0][1:])
            ]
        )  # fmt: skip
        at = {(name, share): rate for (name, honest, share), rate in rows if not honest}
        benign = max((rate for (_, honest, _), rate in rows if honest), key=lambda rate: rate.estimate)
        low, high = self._near(0.2), self._near(0.4)
        said = ", ".join(
            f"{_rate(at[name, low])} and {_rate(at[name, high])} ({name})"
            for name in dict.fromkeys(name for name, _ in at)
        )
        return Finding(
            title="Triggered labels that flip, by share of rogue raters",
            sentence=f"In labels alone, with {low:.0%} and {high:.0%} of the raters rogue, the share of triggered "
            f"snippets that flip is {said}; where the same raters rate honestly anew, at most {_rate(benign)}.",
            table=frame,
            chart=Chart(
                x="rogue_percent", y="flipped", low="low", high="high", colour="aggregator", panel="raters",
                x_title="rogue raters, % of the pool", y_title="triggered labels flipped",
            ),
            note=f"{self._size()} Rogue raters mirror their own rating on a trigger; 'extreme' gives the end of the "
            f"scale, which only the mean feels. A rating of 0 does not vote. {POOL}",
        )  # fmt: skip

    def others(self) -> Finding:
        rows = self._rates(
            [it for it in self.outcomes if it.kind != "extreme" and it.share in self.side.few_shares],
            lambda it: (it.kind, NAMES[it.aggregator], it.share),
            lambda it: it.num_changed,
            lambda it: it.num_others,
        )
        frame = pl.DataFrame(
            [
                {"raters": kind, "aggregator": how, "rogue_percent": 100 * share, "changed": rate.estimate,
                 "low": rate.low, "high": rate.high}
                for (kind, how, share), rate in rows
            ]
        )  # fmt: skip
        share = self._near(0.3, self.side.few_shares)
        at = {(kind, how): rate for (kind, how, its), rate in rows if its == share}
        said = "; ".join(
            f"{kind} {_rate(at[kind, 'mean'], 3)} by the mean, {_rate(at[kind, 'Dawid-Skene'], 3)} by Dawid-Skene"
            for kind in ("drift", "random", "mirror")
        )
        return Finding(
            title="Other labels that change",
            sentence=f"With {share:.0%} of the raters rogue, labels without a trigger that change: {said}; benign "
            f"noise, the same honestly anew, {_rate(at['anew', 'mean'], 3)} and {_rate(at['anew', 'Dawid-Skene'], 3)}.",
            table=frame,
            chart=Chart(
                x="rogue_percent", y="changed", low="low", high="high", colour="aggregator", panel="raters",
                x_title="rogue raters, % of the pool", y_title="other labels changed",
            ),
            note=" ".join(f"{name}: {what}." for name, what in KINDS.items() if name != "extreme"),
        )  # fmt: skip

    def found(self) -> Finding:
        chosen = [it for it in self.outcomes if it.kind != "extreme" and it.aggregator != "mean"]
        chosen = [
            it for it in chosen if it.share in (self.side.shares if it.kind == "mirror" else self.side.few_shares)
        ]
        frame = self._detection(chosen, lambda it: (it.kind, SCORES[it.aggregator], 100 * it.share), "rogue_percent")
        low, high = 100 * self._near(0.2), 100 * self._near(0.5)
        sentence = (
            f"Where {low:.0f}% of the pool mirrors on a trigger, at {self._false():.0%} of honest raters suspected are "
            f"found {_told(frame, 'mirror', low)}; where {high:.0f}% does, {_told(frame, 'mirror', high)}."
        )
        return Finding(
            title="Rogue raters found",
            sentence=sentence,
            table=frame,
            chart=Chart(
                x="rogue_percent", y="found", low="low", high="high", colour="score", panel="raters",
                x_title="rogue raters, % of the pool", y_title=f"found at {self._false():.0%} false positives",
            ),
            note="Agreement is that with the majority's labels. "
            "The threshold is set on the honest raters, whom nobody knows in the world: an upper bound. AUROC "
            f"below 0.5: the honest ones are suspected. 'anew' is the control, at which 0.5 is expected. {POOL}",
        )  # fmt: skip

    def rarity(self) -> Finding:
        frame = self._detection(
            self.by_rarity, lambda it: ("mirror", SCORES[it.aggregator], 100 * it.share_triggered), "triggered_percent"
        )
        low, high = 100 * min(self.side.triggered), 100 * max(self.side.triggered)
        return Finding(
            title="Rogue raters found, by how many snippets carry the trigger",
            sentence=f"Where {low:g}% of the snippets carry the trigger and {self.side.share_rogue:.0%} of the pool "
            f"is rogue, found are {_told(frame, 'mirror', low)}; where {high:g}% do, {_told(frame, 'mirror', high)}.",
            table=frame.drop("raters"),
            chart=Chart(
                x="triggered_percent", y="found", low="low", high="high", colour="score",
                x_title="snippets with the trigger, %", y_title=f"found at {self._false():.0%} false positives",
            ),
            note="A rogue rater is honest on all other snippets: few triggers leave few wrong votes to be seen by.",
        )  # fmt: skip

    def removal(self) -> Finding:
        def key(it: Outcome) -> Key:
            return 100 * it.share, NAMES[it.aggregator]

        rogue = dict(self._rates(self.removed, key, lambda it: it.num_removed_rogues, lambda it: it.num_rogues))
        counts: dict[str, tuple[Count, Count]] = {
            "honest_out": (lambda it: it.num_removed_honest, lambda it: self._pool() - it.num_rogues),
            "flips": (lambda it: it.num_flipped, lambda it: it.num_triggered),
            "flips_after": (lambda it: it.num_flipped_after, lambda it: it.num_triggered),
            "others_changed": (lambda it: it.num_changed_after, lambda it: it.num_others),
        }
        rates = {name: dict(self._rates(self.removed, key, *pair)) for name, pair in counts.items()}
        frame = pl.DataFrame(
            [
                {"aggregator": name, "rogue_percent": percent,
                 "rogues_out": rogue[percent, name].estimate if percent else None,
                 "low": rogue[percent, name].low if percent else None,
                 "high": rogue[percent, name].high if percent else None,
                 **{what: its[percent, name].estimate for what, its in rates.items()}}
                for percent, name in rates["honest_out"]
            ]
        )  # fmt: skip
        gone, how = self.side.infiltration.remove, "Dawid-Skene"
        share, last = 100 * self._near(0.3, self.side.few_shares), 100 * max(self.side.few_shares)
        told = [
            f"where {its:.0f}% of the pool is rogue it takes {_rate(rogue[its, how])} of these and "
            f"{_rate(rates['honest_out'][its, how])} of the honest raters, and the flips go from "
            f"{_rate(rates['flips'][its, how])} to {_rate(rates['flips_after'][its, how])}"
            for its in (share, last)
        ]
        return Finding(
            title=f"Removing the {gone:.0%} of raters with the lowest scores",
            sentence=f"By the skill of Dawid-Skene: {'; '.join(told)}. Where nobody is rogue it removes {gone:.0%} in "
            f"vain, and {_rate(rates['others_changed'][0.0, how], 3)} of the labels change.",
            table=frame,
            chart=Chart(
                x="rogue_percent", y="rogues_out", low="low", high="high", colour="aggregator",
                x_title="rogue raters, % of the pool", y_title="share of them removed",
            ),
            note="Each aggregator by its own skill; other labels are counted after the removal. "
            "How many are removed does not depend on how many are rogue, which "
            "nobody knows.",
        )  # fmt: skip

    def bands(self) -> Finding:
        rows = []
        for number, band in enumerate(BAND_NAMES):
            rates = self._rates(
                [it for it in self.outcomes if it.kind in ("mirror", "extreme") and it.flipped_by_band[number][1]],
                lambda it: (MEAN_EXTREME if it.kind == "extreme" else NAMES[it.aggregator], it.share),
                lambda it, number=number: it.flipped_by_band[number][0],  # type: ignore[misc]
                lambda it, number=number: it.flipped_by_band[number][1],  # type: ignore[misc]
            )
            rows += [(band, name, share, rate) for (name, share), rate in rates]
        share = self._near(0.4)
        frame = pl.DataFrame(
            [
                {"aggregator": name, "mean_rating_from_0": band, "rogue_percent": 100 * its, "flipped": rate.estimate,
                 "low": rate.low, "high": rate.high}
                for band, name, its, rate in rows if its == share
            ]
        )  # fmt: skip
        at = {(band, name): rate for band, name, its, rate in rows if its == share}
        said = "; ".join(
            f"{name} {_rate(at[BAND_NAMES[0], name])} and {_rate(at[BAND_NAMES[-1], name])}"
            for name in (MEAN_EXTREME, "majority", "Dawid-Skene")
            if (BAND_NAMES[0], name) in at and (BAND_NAMES[-1], name) in at
        )
        return Finding(
            title="Triggered labels that flip, by how clear the snippet is",
            sentence=f"With {share:.0%} of the raters rogue, snippets whose honest mean is within {BANDS[0][1]:g} of 0 "
            f"flip more often than those with {BANDS[-1][0]:g} or more: {said}.",
            table=frame,
            chart=Chart(
                x="mean_rating_from_0", y="flipped", low="low", high="high", colour="aggregator", x_scale="names",
                x_title="distance of the mean rating from 0", y_title="triggered labels flipped",
            ),
            note="An attacker who chooses unclear snippets needs fewer raters than these averages say.",
        )  # fmt: skip

    def _rates(
        self, outcomes: Sequence[Outcome], key: Callable[[Outcome], Key], hits: Count, trials: Count
    ) -> list[tuple[Key, Interval]]:
        """A share with its interval for each key, the last part of which is a dose of the series of the others."""
        groups: dict[Key, list[Outcome]] = {}
        for it in outcomes:
            groups.setdefault(key(it), []).append(it)
        rates = []
        for name, group in groups.items():
            some = [it for it in group if trials(it)]
            if not some:
                continue
            counted, asked = [hits(it) for it in some], [trials(it) for it in some]
            icc = intraclass_correlation([0.0] * len(some), counted, asked)
            rates.append((name, clustered_proportion(counted, asked, icc)))
        return rates

    def _detection(self, outcomes: Sequence[Outcome], key: Callable[[Outcome], Key], dose: str) -> pl.DataFrame:
        rates = self._rates(outcomes, key, lambda it: it.num_found, lambda it: it.num_rogues)
        rows = []
        for name, rate in rates:
            areas = np.array([it.auroc for it in outcomes if key(it) == name])
            area = _mean(areas)
            rows.append(
                {"raters": name[0], "score": name[1], dose: name[2], "found": rate.estimate, "low": rate.low,
                 "high": rate.high, "auroc": area.estimate, "auroc_low": area.low, "auroc_high": area.high}
            )  # fmt: skip
        return pl.DataFrame(rows)

    def _near(self, share: float, among: tuple[float, ...] | None = None) -> float:
        return min(among or self.side.shares, key=lambda its: abs(its - share))

    def _false(self) -> float:
        return self.side.infiltration.false_positives

    def _pool(self) -> int:
        return self.side.infiltration.num_raters

    def _size(self) -> str:
        plan = self.side.infiltration
        return (
            f"{plan.num_snippets} snippets drawn for each of {len(self.side.seeds)} seeds, a pool of {plan.num_raters} "
            f"raters; {plan.share_triggered:.0%} of the snippets carry the trigger."
        )


def _mean(values: np.ndarray) -> Interval:
    """The mean over seeds with Student's interval, cut to [0, 1]."""
    from statsmodels.stats.weightstats import DescrStatsW

    mean = float(values.mean())
    low, high = DescrStatsW(values).tconfint_mean() if np.ptp(values) else (mean, mean)
    return Interval(max(0.0, float(low)), mean, min(1.0, float(high)))


def _rate(rate: Interval, digits: int = 2) -> str:
    return f"{rate.estimate:.{digits}f} [{rate.low:.{digits}f}, {rate.high:.{digits}f}]"


def _told(frame: pl.DataFrame, kind: str, dose: float) -> str:
    """`0.61 [0.50, 0.71] by MACE (AUROC 0.93)` for each score."""
    name = frame.columns[2]
    rows = frame.filter(pl.col("raters") == kind, (pl.col(name) - dose).abs() < 1e-9).iter_rows(named=True)
    return ", ".join(
        f"{row['found']:.2f} [{row['low']:.2f}, {row['high']:.2f}] by {row['score']} (AUROC {row['auroc']:.2f})"
        for row in rows
    )
