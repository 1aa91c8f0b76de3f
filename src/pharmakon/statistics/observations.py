"""What was counted: one row for each dose and seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import (
    FloatArray,
    Interval,
    clustered_proportion,
    counts,
    intraclass_correlation,
)


@dataclass(frozen=True, slots=True)
class Table:
    """The same counts as matrices of shape [seeds, doses]; NaN where a seed was not run at a dose."""

    doses: FloatArray  # shape [doses], rising
    seeds: npt.NDArray[np.int64]  # shape [seeds], rising
    rates_SD: FloatArray
    trials_SD: FloatArray

    @property
    def means_D(self) -> FloatArray:
        """Response at each dose: the mean over its seeds of their rates."""
        return np.asarray(np.nanmean(self.rates_SD, axis=0), dtype=float)


@dataclass(frozen=True, eq=False, init=False)
class Observations:
    """Successes among trials, one row for each dose and seed. Dose 0 is the untreated control.

    Rows are kept sorted by dose and seed, so their order carries nothing. Every array has shape [rows]. Seeds need
    not have every dose. `InputError` names the first row that breaks a rule.
    """

    dose: FloatArray
    """In `unit`, 0 or more."""
    seed: npt.NDArray[np.int64]
    successes: npt.NDArray[np.int64]
    trials: npt.NDArray[np.int64]
    """Items asked; 1 or more."""
    unit: str
    """What a dose of 1 is, in the plural: "documents"."""

    def __init__(
        self,
        dose: npt.ArrayLike,
        seed: npt.ArrayLike,
        successes: npt.ArrayLike,
        trials: npt.ArrayLike,
        unit: str = "documents",
    ) -> None:
        doses, seeds = np.asarray(dose, dtype=float), np.asarray(seed)
        hits, asked = counts(successes, trials)
        if hits.ndim != 1 or doses.shape != hits.shape or seeds.shape != hits.shape:
            shapes = f"{doses.shape}, {seeds.shape}, {hits.shape}, {asked.shape}"
            raise InputError(f"dose, seed, successes and trials are columns of one length; got shapes {shapes}")
        if not np.issubdtype(seeds.dtype, np.integer):
            raise InputError(f"a seed is a whole number; got {seeds.dtype}. Number the seeds 0, 1, 2 ...")
        wrong = np.flatnonzero(~(np.isfinite(doses) & (doses >= 0)))
        if len(wrong):
            raise InputError(f"a dose is finite and 0 or more; got {doses[wrong[0]]:g} in row {wrong[0]}")
        order = np.lexsort((seeds, doses))
        doses, seeds = doses[order], seeds[order].astype(np.int64)
        twice = np.flatnonzero((np.diff(doses) == 0) & (np.diff(seeds) == 0))
        if len(twice):
            pair = f"dose {doses[twice[0]]:g}, seed {seeds[twice[0]]}"
            raise InputError(f"one row for each dose and seed; {pair} comes twice. Add up its successes and trials")
        columns = {
            "dose": doses,
            "seed": seeds,
            "successes": hits[order].astype(np.int64),
            "trials": asked[order].astype(np.int64),
        }
        for name, column in columns.items():
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        object.__setattr__(self, "unit", unit)

    def __len__(self) -> int:
        return len(self.dose)

    def __repr__(self) -> str:
        return f"Observations({len(self.table.doses)} doses x {len(self.table.seeds)} seeds, {self.unit})"

    @cached_property
    def table(self) -> Table:
        """The counts as [seeds, doses]."""
        doses, column = np.unique(self.dose, return_inverse=True)
        seeds, row = np.unique(self.seed, return_inverse=True)
        rates_SD = np.full((len(seeds), len(doses)), np.nan)
        trials_SD = np.full_like(rates_SD, np.nan)
        rates_SD[row, column] = self.successes / self.trials
        trials_SD[row, column] = self.trials
        return Table(doses, seeds, rates_SD, trials_SD)

    @cached_property
    def icc(self) -> float:
        """Intraclass correlation of the items of one seed, pooled over the doses."""
        return intraclass_correlation(self.dose, self.successes, self.trials)

    def responses(self) -> tuple[tuple[float, Interval], ...]:
        """(dose, success rate with its 95% interval), rising in dose: the points of a plot.

        Treated doses share one intraclass correlation: how a seed's tolerance makes its items alike is a property of
        the curve. The untreated control has no tolerance, so only its own seeds tell how alike its items are.
        """
        points = []
        for dose in self.table.doses:
            here = self.dose == dose
            hits, asked = self.successes[here], self.trials[here]
            icc = self.icc if dose > 0 else intraclass_correlation(self.dose[here], hits, asked)
            points.append((float(dose), clustered_proportion(hits, asked, icc)))
        return tuple(points)
