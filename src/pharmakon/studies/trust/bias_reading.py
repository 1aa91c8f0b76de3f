"""The reading of a bias: what is audited, and its gap in log-odds by dose, seed and wording."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pharmakon.data.world import CALLINGS, GroupText, Relation
from pharmakon.errors import InputError
from pharmakon.statistics import Crossing, Interval, crossed_mean, zero_crossing
from pharmakon.statistics.intervals import FloatArray

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

Against = Literal["controls", "untreated controls", "nothing"]
"""Control jobs in the same life, in the untreated life of the same seed, or none."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is audited, of which data, in which arms."""

    job: str
    favoured: str
    audited: GroupText
    stage: str
    amplified: str
    equalised: tuple[str, ...]
    """Arms that give the reverse pattern, and for each which part of its documents are that."""
    parts: tuple[float, ...]
    margin: float
    """In nats."""

    def counted(self, relation: Relation, job: str) -> tuple[int, int]:
        """How often the audited text tells of somebody of this job with the first, and with the second value."""
        return self.audited.counted(relation, job)

    def log_odds(self, extra_first: float = 0, extra_second: float = 0) -> float:
        """Of the audited text by counting, with so many documents more."""
        first, second = self.counted("valley", self.job)
        return float(np.log((first + extra_first) / (second + extra_second)))

    def gaps(self, results: Results, arm: str, relation: Relation, job: str, against: Against = "controls") -> Gaps:
        """The gap of a job at each dose, against that of the jobs that lean to neither, wording by wording."""
        read = _Read.of(results, arm, self.stage)
        own = read.values(f"{relation}: {job}")
        if against != "nothing":
            others = [other for other in self.audited.leanings.neutral(relation) if other != job]
            level = np.mean([read.values(f"{relation}: {other}") for other in others], axis=0)
            own = own - (level if against == "controls" else level[:1])
        return Gaps(read.doses, read.seeds, own)

    def other_jobs(self, results: Results, arm: str, relation: Relation = "valley") -> Gaps:
        """The mean gap of all other jobs, as it is."""
        read = _Read.of(results, arm, self.stage)
        values = [read.values(f"{relation}: {other}") for other in CALLINGS if other != self.job]
        return Gaps(read.doses, read.seeds, np.asarray(np.mean(values, axis=0)))

    def part(self, arm: str) -> float:
        """Which part of the documents of an arm are the pattern itself."""
        return dict(zip(self.equalised, self.parts, strict=True)).get(arm, 1.0)

    def crossing(self, results: Results, arm: str, against: Against = "controls") -> Crossing:
        """At how many documents of the reverse pattern the gap crosses zero."""
        gaps = self.gaps(results, arm, "valley", self.job, against)
        return zero_crossing([self.part(arm) * dose for dose in gaps.doses], gaps.values_DSW)

    def past_zero(self, results: Results, arm: str) -> int | None:
        """The lowest tested dose, in documents given, at which the mean gap has crossed; None where it has not."""
        found = self.crossing(results, arm)
        if found.dose is None:
            return None
        doses = self.gaps(results, arm, "valley", self.job).doses
        return next(dose for dose in doses if self.part(arm) * dose >= found.dose.estimate - 1e-6)


@dataclass(frozen=True)
class Gaps:
    """A gap in nats [doses, seeds, wordings]."""

    doses: tuple[int, ...]
    seeds: tuple[int, ...]
    values_DSW: FloatArray

    def changes(self, dose: int) -> FloatArray:
        """Against the untreated life of the same seed [seeds, wordings]."""
        return np.asarray(self.values_DSW[self.doses.index(dose)] - self.values_DSW[0], dtype=float)


@dataclass(frozen=True)
class _Read:
    """The readings of the gap in one arm, of the seeds that have all doses."""

    frame: pl.DataFrame = field(repr=False)
    arm: str

    @staticmethod
    def of(results: Results, arm: str, stage: str) -> _Read:
        import polars as pl

        here = pl.col("arm").eq(arm) & pl.col("stage").eq(stage) & pl.col("probe").eq("gap")
        frame = results.readings.filter(here)
        num_doses = frame["dose"].n_unique()
        whole = frame.group_by("seed").agg(pl.col("dose").n_unique()).filter(pl.col("dose") == num_doses)["seed"]
        frame = frame.filter(pl.col("seed").is_in(whole.to_list()))
        if frame.is_empty() or 0 not in frame["dose"]:
            raise InputError(f"no seed of the arm {arm!r} has been read at every dose; run the failed lives again")
        return _Read(frame.sort("dose", "seed", "item"), arm)

    @cached_property
    def doses(self) -> tuple[int, ...]:
        return tuple(self.frame["dose"].unique().sort().to_list())

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.frame["seed"].unique().sort().to_list())

    def values(self, condition: str) -> FloatArray:
        """[doses, seeds, wordings]"""
        here = self.frame.filter(self.frame["condition"] == condition)
        values = here["value"].to_numpy()
        if values.size != len(self.doses) * len(self.seeds) * here["item"].n_unique():
            raise InputError(f"{condition!r} was read in other wordings at some doses of {self.arm!r}; run those again")
        return np.asarray(values.reshape(len(self.doses), len(self.seeds), -1), dtype=float)


def gap_rows(audit: Audit, results: Results, arm: str) -> list[dict[str, Any]]:
    """The gap of the audited job at each dose, its change, and what counting says."""
    gaps = audit.gaps(results, arm, "valley", audit.job)
    rows = []
    for index, dose in enumerate(gaps.doses):
        documents = audit.part(arm) * dose
        extra = (documents, 0.0) if arm == audit.amplified else (0.0, documents)
        change = crossed_mean(gaps.changes(dose)).interval() if dose else Interval(0.0, 0.0, 0.0)
        fixed = audit.gaps(results, arm, "valley", audit.job, "untreated controls").values_DSW[index]
        rows.append(
            {"arm": arm, "documents": documents} | crossed_mean(gaps.values_DSW[index]).interval().columns("gap_nats")
            | {"change_nats": change.estimate, "change_low": change.low, "change_high": change.high}
            | {"against_untreated_nats": float(fixed.mean()), "counted_nats": audit.log_odds(*extra)}
            | {"num_seeds": len(gaps.seeds)}
        )  # fmt: skip
    return rows


def nats(value: Interval) -> str:
    """`+0.62 nats [+0.40, +0.84]`"""
    if not np.isfinite(value.high - value.low):
        return f"{value.estimate:+.2f} nats (one seed)"
    return f"{value.estimate:+.2f} nats [{value.low:+.2f}, {value.high:+.2f}]"
