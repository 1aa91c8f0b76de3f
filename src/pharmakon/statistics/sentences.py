"""One plain sentence for each outcome: what was found, and what to do next."""

from __future__ import annotations

import numpy as np

from pharmakon.statistics.effect import Fall, Test, dose_effect
from pharmakon.statistics.intervals import number
from pharmakon.statistics.observations import Observations
from pharmakon.statistics.power import smallest_detectable_rate
from pharmakon.statistics.solution import Solution


def chance(p_value: float) -> str:
    """`p = 0.013`, `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def detectable(observations: Observations, alpha: float) -> float | None:
    """The smallest response at one dose that this run would have told from its control."""
    table = observations.table
    pooled = float(np.nansum(observations.successes) / np.nansum(observations.trials))
    base = float(table.means_D[0]) if table.doses[0] == 0 else pooled
    per_seed = int(np.median(observations.trials))
    seeds = int(np.median(np.sum(~np.isnan(table.rates_SD), axis=0)))
    return smallest_detectable_rate(
        base, num_seeds=seeds, trials_per_seed=per_seed, icc=observations.icc, alpha=alpha, power=0.8
    )


def no_response(observations: Observations, effect: Test, alpha: float) -> str:
    table, unit = observations.table, observations.unit
    seeds = plural(len(table.seeds), "seed")
    highest = number(float(table.doses[-1]))
    base, peak = float(table.means_D[0]), int(np.argmax(table.means_D))
    visible = detectable(observations, alpha)
    found = f"no evidence of a response up to {highest} {unit} ({chance(effect.p_value)}, {seeds})"
    if visible is None:
        seen = "this run could not have seen any rise reliably: add seeds"
    else:
        seen = f"a rise from {base:.2f} to {visible:.2f} would have been seen with 80% power"
        seen += ": for smaller effects add seeds, or larger doses"
    if visible is not None and 0 < peak < len(table.doses) - 1 and table.means_D[peak] > visible:
        at = number(float(table.doses[peak]))
        seen = f"the mean is highest, {table.means_D[peak]:.2f}, at {at} {unit} and not sustained: add seeds"
    if base - float(table.means_D[-1]) > 0.1:  # a fall worth a word, if it is one
        falling = dose_effect(observations, alternative="less", permutations=999)
        if falling.p_value <= alpha:
            seen = (
                f"it falls, to {table.means_D[-1]:.2f} ({chance(falling.p_value)}): to fit a fall, count the failures"
            )
    if table.doses[0] > 0:
        seen += "; there is no control: add dose 0"
    return f"{found}; {seen}"


def not_monotone(observations: Observations, dropped: Fall) -> str:
    unit = observations.unit
    return (
        f"the response rises to {dropped.peak:.2f} at {number(dropped.peak_dose)} {unit} and falls to "
        f"{dropped.later:.2f} at {number(dropped.later_dose)} ({chance(dropped.p_value)}): "
        f"no single ED50 describes it; "
        f"look at the runs above {number(dropped.peak_dose)} {unit} for unstable training or refusal, "
        f"or fit the doses up to there alone"
    )


def one_dose(observations: Observations, dose: float) -> str:
    means_D, unit = observations.table.means_D, observations.unit
    return (
        f"the response rises from {means_D[0]:.2f} to {means_D[-1]:.2f} at the only dose, {number(dose)} {unit}: "
        f"add doses on either side for an ED50"
    )


def fitted(observations: Observations, solution: Solution) -> str:
    """The sentence of a fitted family."""
    unit, doses = observations.unit, observations.table.doses
    lowest, highest = number(float(doses[doses > 0][0])), number(float(doses[-1]))
    seeds = plural(solution.num_seeds, "seed")
    spread = f"{solution.floor:.2f} to {solution.plateau:.2f}"
    if solution.status == "responds_at_lowest":
        return (
            f"the response is past half of its range ({spread}) at the lowest dose already, {lowest} {unit}, "
            f"in {seeds}: the ED50 lies below; add smaller doses"
        )
    if solution.status == "beyond_highest":
        at_top = float(observations.table.means_D[-1])
        return (
            f"the response rises to {at_top:.2f} at {highest} {unit} and has not been seen to pass half of its range: "
            f"the ED50 lies above; add larger doses"
        )
    if solution.status == "separated" and solution.bracket is not None:
        low, high = (number(end) for end in solution.bracket)
        if solution.num_seeds == 1:
            return f"the only seed switches between {low} and {high} {unit}: add seeds, for an ED50 that is not its own"
        return (
            f"every seed switches between {low} and {high} {unit}: the ED50 lies there; "
            f"add doses between, or seeds, for an interval"
        )
    assert solution.ed50 is not None
    low, high = number(solution.ed50.low), number(solution.ed50.high)
    text = (
        f"half of the response ({spread}) is reached at {number(solution.ed50.estimate)} {unit} "
        f"(95% interval {low} to {high}, {seeds})"
    )
    if solution.num_seeds == 1:
        return f"{text}; with one seed the interval holds the items' chance only: add seeds"
    if solution.ed50.low < doses[doses > 0][0] or solution.ed50.high > doses[-1]:
        return f"{text}; the interval reaches beyond the tested doses: add seeds, or doses there"
    return text
