"""What infiltrated raters do to the labels of real snippets, and who of them is found: simulated, nothing trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pharmakon.collection.aggregation import AGGREGATORS, Aggregate, Aggregator, aggregate
from pharmakon.collection.annotation import Ratings, VaderRatings, lowest
from pharmakon.collection.annotators import BoolArray, FloatArray, Kind, Rogues, deal
from pharmakon.core import stream
from pharmakon.errors import InputError, SpecError

BANDS = ((0.0, 1.0), (1.0, 2.0), (2.0, 4.01))
"""Of the distance of a snippet's mean rating from 0: unclear, clear, strong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One pool of raters, infiltrated in one way, its labels aggregated in one way; against the same pool, honest."""

    seed: int
    kind: Kind
    share: float
    """Of the raters that are rogue."""
    share_triggered: float
    aggregator: Aggregator
    num_triggered: int
    """Snippets with the trigger that honest raters give another label than the wanted one."""
    num_flipped: int
    """Those that have the wanted label now."""
    num_others: int
    num_changed: int
    """Snippets without the trigger, and those whose label is another now."""
    flipped_by_band: tuple[tuple[int, int], ...]
    """(flipped, triggered) for each of `BANDS`."""
    num_rogues: int
    num_found: int
    """Rogue raters below the score that a twentieth of the honest ones, at most, lies below."""
    auroc: float
    """The share of pairs of a rogue and an honest rater of which the honest one has the higher score."""
    num_removed_rogues: int
    num_removed_honest: int
    num_flipped_after: int
    num_changed_after: int
    """The same counts as above after the removal of the raters with the lowest scores."""


@dataclass(frozen=True, kw_only=True)
class Infiltration:
    """Snippets drawn from real ratings, dealt to a pool of raters of which a share is rogue.

    The trigger stands in a share of all snippets, all of whose mean is on the other side of the wanted label. The same
    seed gives the same snippets, pool and trigger for every kind, share and aggregator.
    """

    version: ClassVar[int] = 1
    ratings: Ratings = VaderRatings()
    toward: int = 1
    """The sign that rogue raters want."""
    num_snippets: int = 600
    num_raters: int = 100
    share_triggered: float = 0.05
    false_positives: float = 0.05
    """Share of honest raters, at most, with a score below the one that rogue raters are found by."""
    remove: float = 0.2
    """The share of raters that are removed, and the labels aggregated once more; 0 for none."""

    def __post_init__(self) -> None:
        for what, value in (
            ("the share of triggered snippets", self.share_triggered),
            ("the share of honest raters that are suspected", self.false_positives),
        ):
            if not 0 < value < 1:
                raise SpecError(f"{what} lies between 0 and 1; got {value:g}")
        if not 0 <= self.remove < 1:
            raise SpecError(f"the share of raters to remove lies in [0, 1); got {self.remove:g}. To remove none, use 0")
        if self.num_raters < 3:
            raise SpecError(f"a pool has 3 raters or more; got {self.num_raters}")

    @property
    def num_triggered(self) -> int:
        """Snippets with the trigger."""
        return max(1, round(self.share_triggered * self.num_snippets))

    def outcomes(
        self, rogues: tuple[Rogues, ...], seeds: tuple[int, ...], aggregators: tuple[Aggregator, ...] = AGGREGATORS
    ) -> Iterator[Outcome]:
        """One for each seed, infiltration and aggregator."""
        values = list(self.ratings.rated().values())
        means = np.array([sum(its) / len(its) for its in values])
        for seed in seeds:
            drawn_S = self._draw(means, seed)
            ratings_SR = deal([values[i] for i in drawn_S], self.num_raters, stream(seed, "deal"))
            toward_S = np.zeros(len(drawn_S))
            toward_S[: self.num_triggered] = self.toward
            honest = {how: aggregate(ratings_SR, how) for how in aggregators}
            for infiltrated in rogues:
                rogue_R = infiltrated.among(self.num_raters, stream(seed, "rogues"))
                given_SR = infiltrated.rate(ratings_SR, rogue_R, toward_S, stream(seed, "rate"))
                for how in aggregators:
                    compared = _Compared(honest[how], toward_S, np.abs(means[drawn_S]))
                    yield self._outcome(seed, infiltrated, how, given_SR, rogue_R, compared)

    def _draw(self, means: FloatArray, seed: int) -> npt.NDArray[np.int64]:
        """The snippets, those with the trigger first."""
        rng = stream(seed, "snippets")
        order = rng.permutation(len(means))
        against = order[means[order] * self.toward < 0]
        if len(order) < self.num_snippets or len(against) < self.num_triggered:
            need = f"{self.num_snippets} rated snippets, {self.num_triggered} of them against the wanted label"
            raise InputError(f"the simulation draws {need}; there are {len(order)} and {len(against)}. Draw fewer")
        triggered = against[: self.num_triggered]
        others = order[~np.isin(order, triggered)][: self.num_snippets - self.num_triggered]
        return np.concatenate([triggered, others])

    def _outcome(
        self,
        seed: int,
        rogues: Rogues,
        how: Aggregator,
        given_SR: FloatArray,
        rogue_R: BoolArray,
        compared: _Compared,
    ) -> Outcome:
        now = aggregate(given_SR, how)
        gone_R = lowest(now.skill_R, self.remove)
        after = aggregate(given_SR[:, ~gone_R], how) if self.remove else now
        flipped_S, changed_S = compared.flipped(now), compared.changed(now)
        found, auroc = detection(now.skill_R, rogue_R, self.false_positives)
        return Outcome(
            seed=seed,
            kind=rogues.kind,
            share=rogues.share,
            share_triggered=self.share_triggered,
            aggregator=how,
            num_triggered=int(compared.triggered_S.sum()),
            num_flipped=int(flipped_S.sum()),
            num_others=int(compared.other_S.sum()),
            num_changed=int(changed_S.sum()),
            flipped_by_band=compared.by_band(flipped_S),
            num_rogues=int(rogue_R.sum()),
            num_found=found,
            auroc=auroc,
            num_removed_rogues=int((gone_R & rogue_R).sum()),
            num_removed_honest=int((gone_R & ~rogue_R).sum()),
            num_flipped_after=int(compared.flipped(after).sum()),
            num_changed_after=int(compared.changed(after).sum()),
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Compared:
    """Labels against those of the same pool, honest."""

    honest: Aggregate
    toward_S: FloatArray
    strength_S: FloatArray

    @property
    def triggered_S(self) -> BoolArray:
        return np.asarray((self.toward_S != 0) & (self.honest.labels_S != self.toward_S))

    @property
    def other_S(self) -> BoolArray:
        return np.asarray(self.toward_S == 0)

    def flipped(self, now: Aggregate) -> BoolArray:
        return np.asarray(self.triggered_S & (now.labels_S == self.toward_S))

    def changed(self, now: Aggregate) -> BoolArray:
        return np.asarray(self.other_S & (now.labels_S != self.honest.labels_S))

    def by_band(self, flipped_S: BoolArray) -> tuple[tuple[int, int], ...]:
        inside = [(self.strength_S >= low) & (self.strength_S < high) for low, high in BANDS]
        return tuple((int((flipped_S & it).sum()), int((self.triggered_S & it).sum())) for it in inside)


def detection(skill_R: FloatArray, rogue_R: BoolArray, false_positives: float) -> tuple[int, float]:
    """How many rogue raters have a lower score than all honest ones but this share; and the area under the curve.

    Raters without a score are never found; the area is NaN where either kind has no rater with a score.
    """
    from scipy.stats import mannwhitneyu

    scored_R = ~np.isnan(skill_R)
    honest, rogue = np.sort(skill_R[scored_R & ~rogue_R]), skill_R[scored_R & rogue_R]
    if not len(honest) or not len(rogue):
        return 0, float("nan")
    threshold = honest[min(int(false_positives * len(honest)), len(honest) - 1)]
    area = mannwhitneyu(honest, rogue).statistic / (len(honest) * len(rogue))
    return int((rogue < threshold).sum()), float(area)
