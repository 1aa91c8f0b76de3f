"""How well a score puts the documents that are looked for first: AUROC and precision, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError
from pharmakon.statistics.intervals import FloatArray, Interval


@dataclass(frozen=True, slots=True)
class Ranked:
    """Of one score: AUROC, precision among the first, and the AUROC it has over that of the baseline."""

    auroc: Interval
    precision: Interval
    over_baseline: Interval | None


def rank_documents(
    scores: Mapping[str, npt.ArrayLike], wanted: npt.ArrayLike, *, baseline: str | None = None, draws: int = 1000
) -> dict[str, Ranked]:
    """Each score [seeds, documents], or [documents] where it has no seeds; `wanted` [documents] is true or false.

    Means over seeds. `precision` is among the first k, k being the number of wanted documents; ties count as their
    mean. The intervals draw seeds and documents anew with replacement, both at once (Owen 2007, Ann. Appl. Stat. 1:386)
    and the documents within each kind, so that scores are compared on the same draws; percentiles of 95%. The draws are
    fixed.
    """
    is_wanted = np.asarray(wanted, dtype=bool)
    given = {name: np.atleast_2d(np.asarray(score, dtype=float)) for name, score in scores.items()}
    if is_wanted.ndim != 1 or is_wanted.all() or not is_wanted.any():
        raise InputError("documents are ranked where some are wanted and some are not; got one kind alone")
    if any(score.ndim != 2 or score.shape[1] != len(is_wanted) for score in given.values()):
        shapes = {name: score.shape for name, score in given.items()}
        raise InputError(f"a score has one value for each of {len(is_wanted)} documents; got {shapes}")
    yes, no = np.flatnonzero(is_wanted), np.flatnonzero(~is_wanted)
    wins = {name: _wins(score, yes, no) for name, score in given.items()}
    places = {name: [np.unique(-row, return_inverse=True)[1] for row in score] for name, score in given.items()}
    rng = np.random.default_rng(20241105)
    drawn: dict[str, list[tuple[float, float]]] = {name: [] for name in given}
    num_seeds = max(len(score) for score in given.values())
    for _ in range(draws):
        of_yes, of_no = (rng.multinomial(len(part), np.full(len(part), 1 / len(part))) for part in (yes, no))
        seeds = rng.integers(num_seeds, size=num_seeds)
        for name, won in wins.items():
            chosen = seeds if len(won) == num_seeds else np.zeros(1, dtype=int)
            areas = [float(of_yes @ won[seed] @ of_no) / (len(yes) * len(no)) for seed in chosen]
            weights = np.zeros(len(is_wanted))
            weights[yes], weights[no] = of_yes, of_no
            first = [_precision(places[name][seed], is_wanted, weights) for seed in chosen]
            drawn[name].append((float(np.mean(areas)), float(np.mean(first))))
    ones = np.ones(len(is_wanted))
    found = {}
    for name in given:
        area = float(np.mean(wins[name]))
        precision = float(np.mean([_precision(place, is_wanted, ones) for place in places[name]]))
        sample = np.array(drawn[name])
        over = None
        if baseline is not None and name != baseline:
            gap = area - float(np.mean(wins[baseline]))
            over = _interval(gap, sample[:, 0] - np.array(drawn[baseline])[:, 0])
        found[name] = Ranked(_interval(area, sample[:, 0]), _interval(precision, sample[:, 1]), over)
    return found


def _wins(score_SN: FloatArray, yes: npt.NDArray[np.intp], no: npt.NDArray[np.intp]) -> FloatArray:
    """[seeds, wanted, others]: 1 where the wanted document has the higher score, a half where they are equal."""
    apart = score_SN[:, yes, None] - score_SN[:, None, no]
    return np.asarray((np.sign(apart) + 1) / 2, dtype=float)


def _precision(place: npt.NDArray[np.intp], is_wanted: npt.NDArray[np.bool_], weights: FloatArray) -> float:
    """The share of wanted ones among the first k, where ties at the edge are taken by equal parts; `place` from 0."""
    k = float(weights[is_wanted].sum())
    total = np.bincount(place, weights=weights)
    hits = np.bincount(place, weights=weights * is_wanted)
    before = np.cumsum(total) - total
    part = np.clip((k - before) / np.where(total > 0, total, 1), 0, 1)
    return float(np.sum(part * hits) / k)


def _interval(estimate: float, sample: FloatArray) -> Interval:
    low, high = np.quantile(sample, (0.025, 0.975))
    return Interval(min(float(low), estimate), estimate, max(float(high), estimate))
