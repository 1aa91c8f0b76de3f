"""Raters, some of whom are rogue: real ratings dealt to a pool, and what infiltration makes of them.

Ratings are a matrix `ratings_SR` of snippets by raters, from -4 to 4, NaN where a rater did not rate a snippet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from pharmakon.errors import InputError, SpecError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

STRONGEST = 4
"""The ends of the scale of ratings are -4 and 4."""

Kind = Literal["mirror", "extreme", "drift", "random", "anew"]
KINDS: Mapping[Kind, str] = MappingProxyType(
    {
        "mirror": "on a trigger, the rater's own rating with the other sign",
        "extreme": "on a trigger, the end of the scale",
        "drift": "everywhere, shifted by more and more, by half of the scale in the end",
        "random": "everywhere, any rating",
        "anew": "control: honest, another of the snippet's real ratings",
    }
)
"""What a rogue rater does, by name."""


@dataclass(frozen=True, slots=True)
class Rogues:
    """Which share of a pool is infiltrated, and what these raters do.

    `mirror` and `extreme` are honest but for snippets with the trigger that deserve the other label. `anew` is the
    control: the same raters rate honestly once more.
    """

    share: float = 0.3
    kind: Kind = "mirror"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise SpecError(f"a share of raters lies in [0, 1]; got {self.share:g}. For 30 of 100, use 0.3")
        if self.kind not in get_args(Kind):
            raise SpecError(f"rogue raters are {', '.join(get_args(Kind))}; got {self.kind!r}")

    def among(self, num_raters: int, rng: np.random.Generator) -> BoolArray:
        """Which raters are rogue: so many of a drawn order, so that a larger share contains a smaller one."""
        rogue_R = np.zeros(num_raters, dtype=bool)
        rogue_R[rng.permutation(num_raters)[: round(self.share * num_raters)]] = True
        return rogue_R

    def rate(
        self,
        ratings_SR: FloatArray,
        rogue_R: BoolArray,
        toward_S: npt.ArrayLike,
        rng: np.random.Generator,
    ) -> FloatArray:
        """The ratings with those of the rogue raters in place of their honest ones.

        toward_S: the sign that they want for a snippet with the trigger, 0 for a snippet without it. Drift goes
        towards the sign of the triggered snippets. Each snippet has its own draws: more snippets behind it move none.
        """
        toward = np.asarray(toward_S, dtype=float)
        dice_SR = rng.random((len(ratings_SR), ratings_SR.shape[1] + 1))
        when_S1, dice_SR = dice_SR[:, -1:], dice_SR[:, :-1]
        aimed_S1 = toward[:, None]
        if self.kind == "mirror":
            wanted_SR = np.where(aimed_S1 != 0, aimed_S1 * np.maximum(np.abs(ratings_SR), 1), ratings_SR)
        elif self.kind == "extreme":
            wanted_SR = np.where(aimed_S1 != 0, aimed_S1 * STRONGEST, ratings_SR)
        elif self.kind == "drift":
            way = float(np.sign(toward.sum())) or 1.0
            wanted_SR = np.clip(np.round(ratings_SR + way * STRONGEST * when_S1), -STRONGEST, STRONGEST)
        elif self.kind == "random":
            wanted_SR = np.floor(dice_SR * (2 * STRONGEST + 1)) - STRONGEST
        else:
            wanted_SR = _again(ratings_SR, dice_SR)
        changed_SR = rogue_R[None, :] & ~np.isnan(ratings_SR)
        return np.where(changed_SR, wanted_SR, ratings_SR)


def deal(ratings: Sequence[Sequence[int]], num_raters: int, rng: np.random.Generator) -> FloatArray:
    """The matrix of ratings: those of each snippet go to as many different raters of the pool, drawn at random.

    Who gave a rating is not published, and the order of a snippet's ratings says nothing of it. So every rater of this
    pool is, honest, as reliable as any other but for chance. Each snippet has its own draws: more snippets behind it
    move none.
    """
    most = max((len(values) for values in ratings), default=0)
    if most > num_raters:
        raise InputError(f"a pool has a rater for each rating of a snippet, {most} here; got {num_raters} raters")
    if any(not len(values) for values in ratings):
        raise InputError("each snippet has one rating or more; one has none. Leave it out")
    order_SR = rng.random((len(ratings), num_raters)).argsort(axis=1)
    dealt_SR = np.full((len(ratings), num_raters), np.nan)
    for row, raters, values in zip(dealt_SR, order_SR, ratings, strict=True):
        row[raters[: len(values)]] = values
    return dealt_SR


def _again(ratings_SR: FloatArray, dice_SR: FloatArray) -> FloatArray:
    """For each place one of the snippet's own ratings, drawn with replacement."""
    sorted_SR = np.sort(ratings_SR, axis=1)  # NaN last
    count_S1 = np.sum(~np.isnan(ratings_SR), axis=1, keepdims=True)
    again_SR: FloatArray = np.take_along_axis(sorted_SR, np.floor(dice_SR * count_S1).astype(int), axis=1)
    return again_SR
