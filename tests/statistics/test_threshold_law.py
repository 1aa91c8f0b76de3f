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


def test_seeds_that_all_switch_alike_are_a_count() -> None:
    law = threshold_law([Sized(size=size, observations=_seen([20.0] * 3)) for size in SIZES])
    assert law.slope.estimate == pytest.approx(0, abs=0.1)
    assert law.verdict == "count"


def test_one_size_and_too_few_seeds_are_refused() -> None:
    one = Sized(size=100, observations=_seen([20.0]))
    with pytest.raises(InputError, match="two sizes"):
        threshold_law([one])
    with pytest.raises(InputError, match="more seeds"):
        threshold_law([one, Sized(size=200, observations=_seen([20.0]))])
