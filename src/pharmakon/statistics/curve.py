"""Dose-response curves: fit one to observations, read its status, its sentence and its ED50."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError, SpecError
from pharmakon.statistics import sentences
from pharmakon.statistics.effect import Test, dose_effect, fall
from pharmakon.statistics.intervals import FloatArray, Interval, number
from pharmakon.statistics.loglogistic import LogLogistic
from pharmakon.statistics.observations import Observations
from pharmakon.statistics.solution import Band, Solution, Status, levels, rising
from pharmakon.statistics.tolerance import Tolerance, ToleranceShape

Family = Tolerance | LogLogistic

ALPHA = 0.025
"""A rise with dose is called a response up to this one-sided p-value: the upper half of a two-sided 5% test."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Curve:
    """A dose-response curve, or the reason why there is none. Made by `fit`.

    A failure to find an ED50 is an answer: read `status`, print `sentence`.
    """

    observations: Observations
    family: Family | None
    """The family that was fitted, chosen or given; None if the response was not fitted."""
    status: Status
    """`ok`; `no_response`: no evidence that the response rises; `responds_at_lowest`, `beyond_highest`: the ED50 lies
    below or above the tested doses; `separated`: all seeds switch between the same two doses; `not_monotone`."""
    sentence: str
    """What was found and, unless `ok`, what to do next."""
    effect: Test
    """The test of a rising response."""
    ed50: Interval | None
    """Dose at half-maximal response with its confidence limits, in `unit`; only with status `ok`."""
    bracket: tuple[float, float] | None
    """Tested doses between which the ED50 lies; 0 or infinity if it lies below or above them all."""
    floor: float
    """Response without treatment."""
    plateau: float
    """Response at large doses."""
    solution: Solution | None

    @property
    def unit(self) -> str:
        return self.observations.unit

    @property
    def threshold(self) -> Interval | None:
        """The ED50; where all seeds switch between the same two doses, these and their geometric mean. None otherwise.

        None too where the lower of the two is 0, for then nothing bounds the threshold from below.
        """
        if self.ed50 is not None or self.status != "separated" or self.bracket is None or not self.bracket[0] > 0:
            return self.ed50
        low, high = self.bracket
        return Interval(low, float(np.sqrt(low * high)), high)

    @property
    def threshold_text(self) -> str:
        """The ED50 in a table's cell: `27 [20, 36]`, `16–32 (separated)`, `none up to 128`, `≤ 4`, `> 128`."""
        doses = self.observations.table.doses[self.observations.table.doses > 0]
        lowest, highest = number(float(doses[0])), number(float(doses[-1]))
        if self.ed50 is not None:
            low = f"<{lowest}" if self.ed50.low < doses[0] else number(self.ed50.low)
            high = f">{highest}" if self.ed50.high > doses[-1] else number(self.ed50.high)
            return f"{number(self.ed50.estimate)} [{low}, {high}]"
        if self.status == "separated" and self.bracket is not None:
            return f"{number(self.bracket[0])}–{number(self.bracket[1])} (separated)"
        return {
            "no_response": f"none up to {highest}",
            "responds_at_lowest": f"≤ {lowest}",
            "beyond_highest": f"> {highest}",
        }.get(self.status, "not monotone")

    def dose_for(self, share: float) -> Interval | None:
        """The dose at which this share of the seeds responds: for 0.8 that of 80% power. None without such a fit.

        Only where seeds switch (`Tolerance`) and the status is `ok`.
        """
        if not 0 < share < 1:
            raise InputError(f"a share of the seeds lies between 0 and 1; got {share:g}")
        shape = None if self.solution is None else self.solution.shape
        return shape.quantile(share) if isinstance(shape, ToleranceShape) else None

    def predict(self, doses: npt.ArrayLike) -> Band:
        """Lower limit, estimate and upper limit of the response at these doses, 95% pointwise; each of shape [doses].

        With status `ok` from the fitted family; otherwise from the tested doses alone: between two of them a rising
        response lies between the lower limit at the one and the upper limit at the other.
        """
        asked = np.atleast_1d(np.asarray(doses, dtype=float))
        if asked.ndim != 1 or not np.all(np.isfinite(asked) & (asked >= 0)):
            raise InputError("doses are a row of finite numbers, 0 or more")
        if self.solution is not None and self.solution.shape is not None:
            return self.solution.shape.predict(asked)
        return step_band(self.observations, asked, monotone=self.status != "not_monotone")

    def __repr__(self) -> str:
        unit, table = self.unit, self.observations.table
        size = f"{sentences.plural(len(table.doses), 'dose')} x {sentences.plural(len(table.seeds), 'seed')}"
        if self.status == "not_monotone":
            return f"Curve(not_monotone, {size})"
        if self.ed50 is None:
            text = self.threshold_text.removesuffix(" (separated)")
            return f"Curve({self.status}: {text} {unit}, {size})"
        estimate, limits = self.threshold_text.split(" ", 1)
        return f"Curve(ED50 {estimate} {unit} {limits}, {size})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{number(dose)}</td><td>{rate.estimate:.2f} [{rate.low:.2f}, {rate.high:.2f}]</td></tr>"
            for dose, rate in self.observations.responses()
        )
        head = f"<tr><th>{escape(self.unit)}</th><th>response, 95% interval</th></tr>"
        title = f"<p><code>{escape(repr(self))}</code><br>{escape(self.sentence)}</p>"
        return f"{title}<table>{head}{rows}</table>"


def fit(observations: Observations, family: Family | None = None) -> Curve:
    """The dose-response curve of these observations.

    Without a family, `Tolerance` is taken if most seeds switch (no response between 0.2 and 0.8 of the range) and
    `LogLogistic` if most pass through graded responses; `Curve.family` says which. An ED50 is given only if the tested
    doses bracket it. Raises `InputError` for fewer than two doses, or no positive one.
    """
    if family is not None and not isinstance(family, Tolerance | LogLogistic):
        raise SpecError(f"a family is Tolerance() or LogLogistic(); got {family!r}")
    doses = observations.table.doses
    if len(doses) < 2:
        way_out = "Give the control as dose 0, or one more dose"
        raise InputError(f"a curve needs two doses or more; got {len(doses)}. {way_out}")
    effect = dose_effect(observations, permutations=999)
    dropped = fall(observations)
    if dropped is not None:
        return _unfitted(observations, effect, "not_monotone", sentences.not_monotone(observations, dropped))
    if effect.p_value > ALPHA:
        return _unfitted(observations, effect, "no_response", sentences.no_response(observations, effect, ALPHA))
    positive = doses[doses > 0]
    if len(positive) == 1:
        dose, (base, rate) = float(positive[0]), observations.table.means_D
        past = rate >= (base + 1) / 2
        status: Status = "responds_at_lowest" if past else "beyond_highest"
        sentence = sentences.one_dose(observations, dose)
        bracket = (0.0, dose) if past else (dose, np.inf)
        return _unfitted(observations, effect, status, sentence, bracket)
    chosen = family or choose(observations)
    solution = chosen.solve(observations)
    return Curve(
        observations=observations,
        family=chosen,
        status=solution.status,
        sentence=sentences.fitted(observations, solution),
        effect=effect,
        ed50=solution.ed50,
        bracket=solution.bracket,
        floor=solution.floor,
        plateau=solution.plateau,
        solution=solution,
    )


def choose(observations: Observations) -> Family:
    """`Tolerance` if most seeds have no response between 0.2 and 0.8 of the range, else `LogLogistic`."""
    table = observations.table
    relative_SD = levels(observations).relative(table.rates_SD[:, table.doses > 0])
    graded_S = np.any((relative_SD > 0.2) & (relative_SD < 0.8), axis=1)
    return LogLogistic() if graded_S.mean() > 0.5 else Tolerance()


def step_band(observations: Observations, doses: FloatArray, *, monotone: bool) -> Band:
    """Limits from the tested doses alone; `doses` has shape [doses]. Between tested doses the estimate is linear in
    log dose (from the control to the lowest dose: linear in dose)."""
    tested = observations.table.doses
    rates = [rate for _, rate in observations.responses()]
    low, mid, high = (np.array([getattr(rate, name) for rate in rates]) for name in ("low", "estimate", "high"))
    axis = np.log1p(tested / tested[tested > 0][0])
    where = np.log1p(doses / tested[tested > 0][0])
    if not monotone:
        low, mid, high = (np.interp(where, axis, part) for part in (low, mid, high))
        return low, mid, high
    mid = np.interp(where, axis, rising(mid[None, :])[0])
    low = np.concatenate([[0.0], np.maximum.accumulate(low)])
    high = np.concatenate([np.minimum.accumulate(high[::-1])[::-1], [1.0]])
    below = low[np.searchsorted(tested, doses, side="right")]
    above = high[np.searchsorted(tested, doses, side="left")]
    return np.minimum(below, mid), mid, np.maximum(above, mid)


def _unfitted(
    observations: Observations,
    effect: Test,
    status: Status,
    sentence: str,
    bracket: tuple[float, float] | None = None,
) -> Curve:
    means_D = observations.table.means_D
    return Curve(
        observations=observations,
        family=None,
        status=status,
        sentence=sentence,
        effect=effect,
        ed50=None,
        bracket=bracket,
        floor=float(means_D[0]),
        plateau=float(means_D.max()),
        solution=None,
    )
