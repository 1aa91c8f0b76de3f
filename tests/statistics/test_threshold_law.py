"""How a threshold grows with the corpus: laws that are known are found, and limits say what is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import Observations, Sized, threshold_law

DOSES = (0, 4, 8, 16, 32, 64, 128, 256, 512)
SIZES = (250, 630, 1_600, 4_000)


def _seen(tolerances: list[float], doses: tuple[int, ...] = DOSES) -> Observations:
    """Seeds that give 0 of 20 below their tolerance and 20 of 20 from it on."""
    rows = [(dose, seed, 20 * (dose >= one), 20) for seed, one in enumerate(tolerances) for dose in doses]
    return Observations(*zip(*rows, strict=True))


def _drawn(
    slope: float, rng: np.random.Generator, *, spread: float = 0.4, seeds: int = 4, group: str = ""
) -> list[Sized]:
    return [
        Sized(
            size=size,
            observations=_seen(list(40 * (size / 1_000) ** slope * np.exp(spread * rng.standard_normal(seeds)))),
            group=group,
        )
        for size in SIZES
    ]


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "count"), (1.0, "fraction"), (0.5, "neither")])
def test_a_known_law_is_found_with_its_evidence(slope: float, verdict: str) -> None:
    rng = np.random.default_rng(5)
    law = threshold_law(_drawn(slope, rng, group="a") + _drawn(slope, rng, group="b"))
    assert law.slope.low < slope < law.slope.high
    assert law.slope.high - law.slope.low < 0.6
    assert law.verdict == verdict
    assert (law.evidence > 100) == (slope == 0)
    assert (law.evidence < 0.01) == (slope == 1)
    assert (law.p_count < 0.05) == (slope != 0)
    assert law.loglik_free >= max(law.loglik_count, law.loglik_fraction) - 1e-6


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(30):
        law = threshold_law(_drawn(0.3, rng, seeds=3))
        held += law.slope.low <= 0.3 <= law.slope.high
    assert held >= 25  # 28.5 of 30 expected; under 25 has a chance of 0.3%


def test_fine_doses_give_the_slope_and_limits_of_least_squares() -> None:
    """Tolerances that are seen nearly exactly: an ordinary regression on logarithms."""
    import statsmodels.api as sm

    doses = (0, *(int(d) for d in np.unique(np.round(np.geomspace(5, 400, 500)))))
    rng = np.random.default_rng(2)
    logs = [(size, 4 + 0.2 * math.log(size / 1_000) + 0.3 * z) for size in SIZES for z in rng.standard_normal(4)]
    parts = [
        Sized(size=size, observations=_seen([math.exp(log) for n, log in logs if n == size], doses)) for size in SIZES
    ]
    law = threshold_law(parts)
    fitted = sm.OLS([log for _, log in logs], sm.add_constant([math.log(n) for n, _ in logs])).fit()
    assert law.slope.estimate == pytest.approx(fitted.params[1], abs=0.02)
    assert (law.slope.low, law.slope.high) == pytest.approx(tuple(fitted.conf_int()[1]), abs=0.04)
    assert law.p_count == pytest.approx(fitted.pvalues[1], abs=0.03)


def test_nothing_that_switches_says_nothing() -> None:
    law = threshold_law([Sized(size=size, observations=_seen([1_000.0] * 3)) for size in SIZES])
    assert law.verdict == "undecided"
    assert math.isinf(law.slope.low)


def test_models_of_the_same_corpora_are_not_counted_twice() -> None:
    """A second group that repeats the first adds nothing; one of other corpora does."""
    one = _drawn(0.3, np.random.default_rng(4), group="a")
    again = [Sized(size=part.size, observations=part.observations, group="b") for part in one]
    other = [
        Sized(size=part.size, observations=_other_seeds(part.observations), group="b")
        for part in _drawn(0.3, np.random.default_rng(6), group="b")
    ]
    alone, twice, more = threshold_law(one), threshold_law(one + again), threshold_law(one + other)
    assert (twice.num_tolerances, twice.num_corpora) == (32, 16)
    assert (more.num_tolerances, more.num_corpora) == (32, 32)
    for name in ("low", "estimate", "high"):
        assert getattr(twice.slope, name) == pytest.approx(getattr(alone.slope, name), abs=0.01)
    for name in ("p_count", "p_law", "loglik_free"):
        assert getattr(twice, name) == pytest.approx(getattr(alone, name), rel=0.05)
    assert more.slope.high - more.slope.low < 0.85 * (alone.slope.high - alone.slope.low)


def _other_seeds(seen: Observations) -> Observations:
    return Observations(seen.dose, seen.seed + 100, seen.successes, seen.trials)


def test_sizes_that_follow_no_law_are_told_from_those_that_do() -> None:
    rng = np.random.default_rng(8)
    bent = [
        Sized(size=size, observations=_seen(list(middle * np.exp(0.3 * rng.standard_normal(4)))))
        for size, middle in zip(SIZES, (20, 90, 90, 20), strict=True)
    ]
    law = threshold_law(bent)
    assert law.p_law < 0.001
    assert law.loglik_own > law.loglik_free + 3
    assert threshold_law(_drawn(0.5, rng)).p_law > 0.05
    assert threshold_law(bent[:2]).p_law == 1


def test_seeds_that_all_switch_alike_are_a_count() -> None:
    law = threshold_law([Sized(size=size, observations=_seen([20.0] * 3)) for size in SIZES])
    assert law.slope.estimate == pytest.approx(0, abs=0.1)
    assert law.verdict == "count"


def test_one_size_and_too_few_seeds_are_refused() -> None:
    one = Sized(size=100, observations=_seen([20.0]))
    with pytest.raises(InputError, match="two sizes"):
        threshold_law([one])
    with pytest.raises(InputError, match="give more seeds or sizes"):
        threshold_law([one, Sized(size=200, observations=_seen([20.0]))])
