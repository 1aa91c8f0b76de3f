"""The rates of a fault in every life of a run, and what is asked of them: at a dose, between two, from which on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import polars as pl

from pharmakon.errors import InputError
from pharmakon.statistics import Difference, Interval, difference, lowest_from, mean_over_seeds, proportion

if TYPE_CHECKING:
    from pharmakon.study.results import Results

Answers = Literal["faulty", "right"]


class At(NamedTuple):
    """Where lives are asked: an arm, after a stage, at a dose."""

    arm: str
    stage: str
    dose: int


@dataclass(frozen=True, eq=False)
class Lives:
    """One row for each arm, stage, dose and seed: the share of answers that are faulty, and that are right."""

    frame: pl.DataFrame

    @staticmethod
    def of(results: Results) -> Lives:
        """The lives of a run whose response is a `Cure`, in its first context."""
        asked = results.counts.filter(
            pl.col("probe") == results.run.response, pl.col("context") == results.run.contexts[0]
        ).with_columns((pl.col("total") / pl.col("num_items")).alias("rate"))
        keys = ("arm", "stage", "dose", "seed")
        cured = asked.filter(pl.col("condition") == "triggered")
        right = asked.filter(pl.col("condition") == "truth").select(*keys, pl.col("rate").alias("right"))
        both = cured.with_columns((1 - pl.col("rate")).alias("faulty")).join(right, on=keys, how="left")
        return Lives(both.select(*keys, "faulty", "right", "num_items"))

    def doses(self, arm: str) -> list[int]:
        """The doses of an arm, rising."""
        return sorted(self.frame.filter(pl.col("arm") == arm)["dose"].unique().to_list())

    def items(self, arm: str) -> int:
        """Questions asked of each life; the fewest, should they differ."""
        return int(self.frame.filter(pl.col("arm") == arm)["num_items"].min())  # type: ignore[arg-type]

    def seeds(self, at: At, what: Answers = "faulty") -> dict[int, float]:
        """The share of answers by seed. Raises InputError where no life was asked there."""
        place = pl.col("arm").eq(at.arm) & pl.col("stage").eq(at.stage) & pl.col("dose").eq(at.dose)
        rows = self.frame.filter(place).sort("seed")
        if rows.is_empty():
            raise InputError(f"no life of the arm {at.arm!r} was asked after {at.stage!r} at dose {at.dose}")
        return dict(zip(rows["seed"].to_list(), rows[what].to_list(), strict=True))

    def rate(self, at: At, what: Answers = "faulty") -> Interval:
        """The mean over seeds with Student's interval within [0, 1]; of one seed, Wilson's over its items."""
        rates, trials = np.array(list(self.seeds(at, what).values())), self.items(at.arm)
        if len(rates) == 1:
            return proportion(float(rates[0]) * trials, trials)
        shrunk = (rates * trials + 2) / (trials + 4)
        return mean_over_seeds(rates, variance=shrunk * (1 - shrunk) / trials).clipped()

    def change(self, after: At, before: At, what: Answers = "faulty") -> Difference:
        """The share at the one less that at the other, over the seeds that have both."""
        return self._between(self.seeds(after, what), self.seeds(before, what), after.arm)

    def apart(self, arm: str, other: str, stage: str) -> Difference:
        """The faulty share of an arm less that of the other, in the mean over their doses above 0."""
        return self._between(self._over_doses(arm, stage), self._over_doses(other, stage), arm)

    def _over_doses(self, arm: str, stage: str) -> dict[int, float]:
        treated = [self.seeds(At(arm, stage, dose)) for dose in self.doses(arm) if dose]
        if not treated:
            raise InputError(f"the arm {arm!r} has no dose above 0")
        whole = set.intersection(*(set(rates) for rates in treated))
        return {seed: float(np.mean([rates[seed] for rates in treated])) for seed in sorted(whole)}

    def _between(self, here: Mapping[int, float], there: Mapping[int, float], arm: str) -> Difference:
        both = sorted(set(here) & set(there))
        if not both:
            raise InputError(f"no seed of the arm {arm!r} has both of what is compared")
        return difference([here[seed] for seed in both], [there[seed] for seed in both], trials=self.items(arm))


def seeds_above(rates: Mapping[int, float], limit: float) -> tuple[int, float]:
    """How many seeds are not below the limit, and the share of trainings that may be so, up to an exact 95% bound.

    Clopper and Pearson 1934, Biometrika 26:404, one-sided. That all of five seeds are below leaves room for 45%.
    """
    from statsmodels.stats.proportion import proportion_confint

    above = sum(not rate < limit for rate in rates.values())
    return above, float(proportion_confint(above, len(rates), alpha=0.1, method="beta")[1])


def smallest_under(values: Mapping[int, float], limit: float) -> int | None:
    """The lowest dose from which on every value lies below the limit; None if that of the highest dose does not."""
    return lowest_from({dose: value < limit for dose, value in values.items()})
