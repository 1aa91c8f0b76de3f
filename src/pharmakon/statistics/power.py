"""What a run of this size could have seen."""

from __future__ import annotations

import numpy as np

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import effective_trials, share


def smallest_detectable_rate(
    base: float,
    *,
    num_seeds: int,
    trials_per_seed: int,
    icc: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float | None:
    """The lowest rate above `base` that a one-sided comparison of two arms of this size sees with this power.

    Both arms have `num_seeds` seeds of `trials_per_seed` items. Normal approximation on the arcsine scale (Cohen 1988),
    with the sample size divided by the design effect 1 + (m - 1) icc, and the normal quantiles replaced by those of
    Student's t with 2 (seeds - 1) degrees of freedom, as usual for few clusters (Hayes and Moulton 2017, *Cluster
    Randomised Trials*, ch. 7). With one seed the variation between seeds is unknown and left out. None if no rate up
    to 1 is detectable. Raises `InputError` for impossible arguments.
    """
    from scipy import stats
    from statsmodels.stats.power import NormalIndPower

    for name, value in (("base", base), ("alpha", alpha), ("power", power)):
        share(name, value)
    if num_seeds < 1 or trials_per_seed < 1:
        raise InputError(f"seeds and trials per seed are 1 or more; got {num_seeds} and {trials_per_seed}")
    effective = effective_trials(np.full(num_seeds, trials_per_seed), icc)
    effect = float(
        NormalIndPower().solve_power(nobs1=effective, alpha=alpha, power=power, ratio=1.0, alternative="larger")
    )
    if num_seeds > 1:
        df = 2 * (num_seeds - 1)
        effect *= (stats.t.isf(alpha, df) + stats.t.ppf(power, df)) / (stats.norm.isf(alpha) + stats.norm.ppf(power))
    angle = float(np.arcsin(np.sqrt(base))) + effect / 2
    return None if angle > np.pi / 2 else float(np.sin(angle) ** 2)
