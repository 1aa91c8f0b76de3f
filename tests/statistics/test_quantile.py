"""The dose for a share of the seeds: `Curve.dose_for`."""

from __future__ import annotations

import numpy as np
import pytest

from pharmakon.errors import InputError
from pharmakon.statistics import Curve, LogLogistic, Observations, Tolerance, fit

DOSES = (0, 8, 16, 32, 64, 128, 256)


def switching(tolerances: list[float]) -> Curve:
    """Seeds that respond from their tolerance on."""
    seeds = len(tolerances)
    hits = [int(dose >= tolerance) for tolerance in tolerances for dose in DOSES]
    observed = Observations(np.tile(DOSES, seeds), np.repeat(np.arange(seeds), len(DOSES)), hits, [1] * len(hits))
    return fit(observed, Tolerance())


def test_the_dose_for_half_is_the_ed50_and_for_more_seeds_it_is_larger() -> None:
    curve = switching([12, 20, 24, 28, 40, 70])
    half, most = curve.dose_for(0.5), curve.dose_for(0.8)
    assert half is not None
    assert most is not None
    assert curve.ed50 is not None
    assert half.estimate == pytest.approx(curve.ed50.estimate, rel=1e-6)
    assert half.low == pytest.approx(curve.ed50.low, rel=0.03)
    assert half.high == pytest.approx(curve.ed50.high, rel=0.03)
    assert half.estimate < most.estimate < most.high
    assert half.low <= most.low < most.estimate
    assert most.high - most.estimate > half.high - half.estimate  # the tail is known less well


@pytest.mark.simulation
def test_the_interval_holds_the_true_quantile_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    truth = 30 * np.exp(0.8416 * 0.5)
    held = tried = 0
    for _ in range(40):
        found = switching(list(30 * np.exp(0.5 * rng.standard_normal(8)))).dose_for(0.8)
        if found is not None:
            tried += 1
            held += found.low <= truth <= found.high
    assert tried > 32
    assert held / tried >= 0.85


def test_where_nothing_switches_apart_there_is_no_such_dose() -> None:
    assert switching([20, 21, 22, 23]).dose_for(0.8) is None  # all between the same doses
    assert switching([999, 999, 999]).dose_for(0.8) is None
    with pytest.raises(InputError, match="a share of the seeds lies between 0 and 1; got 1"):
        switching([20, 21, 40]).dose_for(1)


def test_a_graded_curve_has_none() -> None:
    rates = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
    hits = [round(100 * rate) for rate in rates] * 3
    graded = Observations(np.tile(DOSES, 3), np.repeat(np.arange(3), len(DOSES)), hits, [100] * len(hits))
    assert fit(graded, LogLogistic()).dose_for(0.8) is None
