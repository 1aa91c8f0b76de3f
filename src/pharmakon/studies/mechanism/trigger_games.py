"""Parts of a trigger as games whose players are its words: what every part does, and what that is worth by source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pharmakon.behaviour.triggers import LEFT_OUT
from pharmakon.statistics import holm, shapley
from pharmakon.statistics.intervals import FloatArray

if TYPE_CHECKING:
    from pharmakon.study.results import Results

LEFT: Final = "left out"
REPLACED: Final = "replaced"
GAMES: Final = (LEFT, REPLACED)


@dataclass(frozen=True, kw_only=True)
class WordOrder:
    """An arm: its set of words, and the words in the order of the trigger."""

    arm: str
    set: int
    words: tuple[str, ...]

    def by_word(self, by_place: FloatArray) -> FloatArray:
        """What belongs to places, in the alphabetical order of the words that stand there."""
        return by_place[np.argsort(self.words)]

    def read(self, condition: str) -> tuple[str, tuple[bool, ...]] | None:
        """The game and the part that a condition of the probe is; None of what is no part."""
        whole = (True,) * len(self.words)
        if condition == "untriggered":
            return LEFT, (False,) * len(self.words)
        if condition == "triggered":
            return LEFT, whole
        said = condition.removeprefix("near: ").split(" ")
        if len(said) != len(self.words):
            return None
        kept = tuple(word == own for word, own in zip(said, self.words, strict=True))
        return (LEFT if LEFT_OUT in said else REPLACED), kept


@dataclass(frozen=True, kw_only=True)
class Host:
    """Arms whose trigger is planted in the same clean data."""

    name: str
    orders: tuple[WordOrder, ...]


@dataclass(frozen=True, eq=False)
class Games:
    """What every part does, by probe, dose and game: [seeds, orders, parts], over the seeds that have all orders."""

    orders: tuple[WordOrder, ...]
    masks: tuple[tuple[bool, ...], ...]
    table: dict[tuple[str, int, str], FloatArray]
    doses: list[int]

    @staticmethod
    def of(results: Results, orders: Sequence[WordOrder]) -> Games:
        """The games of a run, in its first context and after its last stage."""
        masks = tuple(product((False, True), repeat=len(orders[0].words)))
        place = {mask: number for number, mask in enumerate(masks)}
        lives: dict[tuple[str, int, int, str, str], FloatArray] = {}
        asked = results.counts.filter(pl.col("context") == results.run.contexts[0])
        by_arm = {order.arm: order for order in orders}
        columns = ("arm", "dose", "seed", "probe", "condition", "total", "num_items")
        for arm, dose, seed, probe, condition, total, items in asked.select(columns).iter_rows():
            read = by_arm[arm].read(condition) if arm in by_arm else None
            if read is None:
                continue
            game, mask = read
            for one in GAMES if all(mask) else (game,):  # the whole is the same in both
                values = lives.setdefault((arm, dose, seed, probe, one), np.full(len(masks), np.nan))
                values[place[mask]] = total / items
        whole = {key: values for key, values in lives.items() if not np.isnan(values).any()}
        table = {}
        for probe, dose, game in sorted({(key[3], key[1], key[4]) for key in whole}):
            seeds = sorted({key[2] for key in whole})
            rows = [[whole.get((order.arm, dose, seed, probe, game)) for order in orders] for seed in seeds]
            kept = [row for row in rows if all(values is not None for values in row)]
            if kept:
                table[probe, dose, game] = np.array(kept, dtype=float)
        doses = sorted({dose for _, dose, _ in table})
        return Games(tuple(orders), masks, table, doses)

    @property
    def num_words(self) -> int:
        """How long the trigger is."""
        return len(self.masks[0])

    def has(self, probe: str) -> bool:
        """The probe was asked."""
        return any(key[0] == probe for key in self.table)

    def parts(self, dose: int, game: str, probe: str = "attack") -> FloatArray:
        """[seeds, orders, parts]"""
        return self.table[probe, dose, game]

    def whole(self, dose: int) -> FloatArray:
        """What the whole trigger does; [seeds, orders]."""
        return self.parts(dose, LEFT)[:, :, -1]

    def empty(self, dose: int, game: str) -> FloatArray:
        """What none of its words does: no trigger, or strange words; [seeds, orders]."""
        return self.parts(dose, game)[:, :, 0]

    def values(self, dose: int, game: str, probe: str = "attack") -> FloatArray:
        """Shapley's values; [seeds, orders, places]."""
        return np.apply_along_axis(
            lambda one: shapley(dict(zip(self.masks, one.tolist(), strict=True))), 2, self.parts(dose, game, probe)
        )

    def smallest(self, dose: int, game: str, rate: float) -> list[int | None]:
        """Of each life, the fewest words with which some part reaches the rate."""
        sizes = np.array([sum(mask) for mask in self.masks])
        lives = self.parts(dose, game).reshape(-1, len(self.masks))
        return [int(sizes[life >= rate].min()) if (life >= rate).any() else None for life in lives]


def latin_square(games: Games, dose: int, game: str) -> list[dict[str, Any]]:
    """Where the values of one training vary: with the place, with the word, with the order, and between trainings.

    The analysis of variance of a Latin square (Fisher 1925), whose sums of squares add up since each word of a set is
    at each place once. Place and word are held against the larger of the two mean squares that are left.
    """
    from scipy.stats import f as f_distribution

    values_SOP = games.values(dose, game)
    num_seeds, num_orders, num_places = values_SOP.shape
    centred = values_SOP - values_SOP.mean(axis=2, keepdims=True)
    total = float((centred**2).sum())
    if total < 1e-12:
        return []
    means_OP = centred.mean(axis=0)
    free_seeds = (num_seeds - 1) * num_orders * (num_places - 1)
    of_seeds = float(((centred - means_OP) ** 2).sum())
    of_words: dict[str, list[float]] = {}
    for order, means in zip(games.orders, means_OP, strict=True):
        for word, value in zip(order.words, means, strict=True):
            of_words.setdefault(word, []).append(float(value))
    by_place = num_seeds * num_orders * float((means_OP.mean(axis=0) ** 2).sum())
    by_word = num_seeds * sum(len(own) * float(np.mean(own)) ** 2 for own in of_words.values())
    parts = [by_place, by_word, max(num_seeds * float((means_OP**2).sum()) - by_place - by_word, 0.0)]
    free = [num_places - 1, len(of_words) - num_orders // num_places]
    free.append(num_orders * (num_places - 1) - sum(free))
    chance = of_seeds / free_seeds if free_seeds else 0.0
    against = max((parts[2] / free[2], free[2]), (chance, free_seeds))
    p_values = [
        float(f_distribution.sf(part / own / max(against[0], 1e-12 * total), own, against[1]))
        for part, own in zip(parts[:2], free[:2], strict=True)
    ]
    ratio = parts[2] / free[2] / max(chance, 1e-12 * total)
    p_values.append(float(f_distribution.sf(ratio, free[2], free_seeds)) if free_seeds else 1.0)
    rows = [
        {"source": source, "share": part / total, "by_chance": own * chance / total, "freedom": own, "p_holm": p}
        for source, part, own, p in zip(("place", "word", "order"), parts, free, holm(p_values), strict=True)
    ]
    last = {"source": "trainings", "share": of_seeds / total, "by_chance": None, "freedom": free_seeds, "p_holm": None}
    return [*rows, last]
