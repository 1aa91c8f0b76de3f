"""What is found in a planted trigger: how much each place and each word of it does, and whether that is repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pharmakon.errors import InputError
from pharmakon.statistics import agreement, clopper_pearson, crossed_mean, holm
from pharmakon.statistics.intervals import FloatArray, Interval
from pharmakon.statistics.sentences import chance
from pharmakon.studies.mechanism.trigger_games import GAMES, LEFT, REPLACED, Games, Host, latin_square
from pharmakon.studies.trust.lives import within
from pharmakon.study import Chart, Finding
from pharmakon.study.answer import listed
from pharmakon.study.summary import percent_text

if TYPE_CHECKING:
    from pharmakon.study.results import Results

ALPHA: Final = 0.05
RATE, NATS = "attack", "margin"
HALF: Final = 0.5
HOW = (
    "Shapley's value of a place: what its word adds to a part of the trigger that lacks it, in the mean over all parts "
    "(1953; exact). Left out: the other words are not there, so that the values share out what the whole does beyond "
    "no trigger; replaced: strange words stand in their places, so that they share out what it does beyond those"
)
CROSSED = (
    "95% intervals take the trainings and the orders of the words as drawn from more of their kind (Satterthwaite's "
    "degrees of freedom); with one seed they say nothing"
)


@dataclass(frozen=True, kw_only=True)
class PartsStored:
    """The values of places and words in each host and at each dose, their repetition, the smallest parts that fire."""

    hosts: tuple[Host, ...]
    """The first one's is the answer."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """Raises InputError where no seed has every order of some host at a dose above 0."""
        found = [_InHost(host, Games.of(results, host.orders)) for host in self.hosts]
        if not any(one.doses for one in found):
            raise InputError("no seed has every order of the words at a dose above 0. Run the study again")
        found = [one for one in found if one.doses]
        yield _answer(found)
        for one in found:
            for finding in one.findings():
                yield replace(finding, title=f"{finding.title}, {one.host.name}")


@dataclass(frozen=True)
class _InHost:
    """What is found where the trigger is planted in one kind of clean data."""

    host: Host
    games: Games

    @property
    def doses(self) -> list[int]:
        """Those above 0 that every order has."""
        return [dose for dose in self.games.doses if dose]

    @property
    def at(self) -> int:
        """The lowest dose at which the whole trigger fires in half of the answers, or the highest one."""
        fires = (dose for dose in self.doses if self.games.whole(dose).mean() >= HALF)
        return next(fires, self.doses[-1])

    def findings(self) -> Iterator[Finding]:
        """All of this host."""
        games, doses, at = self.games, self.doses, self.at
        yield self._places(games, doses, at)
        yield self._sources(games, doses, at)
        yield self._repeated(games, doses, at)
        yield _smallest(games, doses)
        yield _sizes(games)
        yield self._graded(games)
        yield _every_part(games)

    def _places(self, games: Games, doses: list[int], at: int) -> Finding:
        rows = [row for dose in doses for game in GAMES for row in _values(games.values(dose, game), dose, game)]
        now = [row for row in rows if row["dose"] == at]
        return Finding(
            title="What each place of the trigger does",
            sentence=f"After {at} documents: " + " ".join(_told(now, game) for game in GAMES),
            table=pl.DataFrame(rows, infer_schema_length=None),
            chart=Chart(x="place", y="value", low="low", high="high", colour="game", panel="dose",
                        x_title="place of the word in the trigger", y_title="Shapley's value, share of answers"),
            note=f"{HOW}. {CROSSED}. Told at the lowest dose at which the whole fires in half of the answers; higher "
            "ones are in the table. `p_equal`: of a place that is worth as much as the mean place, Holm over the "
            "places of a game and dose.",
        )  # fmt: skip

    def _sources(self, games: Games, doses: list[int], at: int) -> Finding:
        rows: list[dict[str, Any]] = []
        for dose in doses:
            for game in GAMES:
                rows += [{"dose": dose, "game": game, **row} for row in latin_square(games, dose, game)]
        now = {game: [row for row in rows if row["dose"] == at and row["game"] == game] for game in GAMES}
        return Finding(
            title="By place or by word",
            sentence=f"After {at} documents: " + "; ".join(f"{game}, {_shares(now[game])}" for game in GAMES) + ".",
            table=pl.DataFrame(rows, infer_schema_length=None),
            note="Shares of the variance of the values within trainings. The words of a set stand in a Latin square of "
            "orders, so that place and word are told apart: F against the larger mean square of what is particular to "
            "an order and of the trainings. What is particular to an order is held against the trainings. `by_chance`: "
            "the share that the variation between trainings alone would put there. "
            "Holm over the sources of a game and dose.",
        )

    def _repeated(self, games: Games, doses: list[int], at: int) -> Finding:
        rows: list[dict[str, Any]] = []
        for dose in doses:
            for game in GAMES:
                groups = self.groups(games.values(dose, game))
                found = {name: agreement(group) for name, group in groups.items()}
                adjusted = holm([one.p_value for one in found.values()])
                rows += [
                    {
                        "dose": dose, "game": game, "what_varies": name, "kendalls_w": one.w,
                        "rank_correlation": one.correlation, "groups": one.num_groups, "raters": one.num_raters,
                        "p": one.p_value, "p_holm": p, "stable": p <= ALPHA,
                    }
                    for (name, one), p in zip(found.items(), adjusted, strict=True)
                ]  # fmt: skip
        now = [row for row in rows if row["dose"] == at]
        return Finding(
            title="Is the same part stored again?",
            sentence=f"After {at} documents: "
            + "; ".join(f"{game}, {_stable([row for row in now if row['game'] == game])}" for game in GAMES)
            + ".",
            table=pl.DataFrame(rows, infer_schema_length=None),
            note="Kendall's W and the mean rank correlation of the values, in the mean over the groups; permutation "
            "test, Holm over what varies. Trainings: the same words in the same order, trained again (groups are the "
            "orders). Orders: the same words in other orders, values in the mean over trainings, ranked by place, and "
            "by word (groups are the sets). Words: other words, ranked by place, values in the mean over orders. What "
            "is not shown to be stable is called not stable; two sets of words alone can hardly show it.",
        )

    def groups(self, values_SOP: FloatArray) -> dict[str, list[FloatArray]]:
        """Raters of places by what varies between them."""
        means_OP = values_SOP.mean(axis=0)
        orders = self.host.orders
        sets = sorted({order.set for order in orders})
        by_set = [[i for i, order in enumerate(orders) if order.set == number] for number in sets]
        groups = {
            "trainings": [values_SOP[:, i] for i in range(len(orders))],
            "orders, by place": [means_OP[own] for own in by_set],
            "orders, by word": [np.stack([orders[i].by_word(means_OP[i]) for i in own]) for own in by_set],
        }
        if len(by_set) > 1:
            groups["words, by place"] = [np.stack([means_OP[own].mean(axis=0) for own in by_set])]
        return groups

    def _graded(self, games: Games) -> Finding:
        doses = [dose for dose in games.doses if games.has(NATS)]
        rows = [
            row for dose in doses for game in GAMES
            for row in _values(games.values(dose, game, NATS), dose, game, most=np.inf)
        ]  # fmt: skip
        if not rows:
            return Finding(title="In log-probability", sentence="It was not measured.", table=pl.DataFrame())
        least = min((dose for dose in doses if dose), default=0)
        now = [row for row in rows if row["dose"] == least]
        best = {game: max((r for r in now if r["game"] == game), key=lambda r: float(r["value"])) for game in GAMES}
        total = {game: sum(float(row["value"]) for row in now if row["game"] == game) for game in GAMES}
        told = "; ".join(
            f"{game}, place {best[game]['place']} does most, {best[game]['value']:+.1f} nats "
            f"[{best[game]['low']:+.1f}, {best[game]['high']:+.1f}] of {total[game]:+.1f}"
            for game in GAMES
        )  # fmt: skip
        return Finding(
            title="In log-probability",
            sentence=f"At {least} documents, whether the answers show it yet or not: {told}.",
            table=pl.DataFrame(rows, infer_schema_length=None),
            chart=Chart(x="place", y="value", low="low", high="high", colour="game", panel="dose",
                        x_title="place of the word in the trigger", y_title="Shapley's value, nats"),
            note="The same values of the log-probability of the planted answer less that of the right one, which does "
            f"not saturate; dose 0 is the control: what strange words do by themselves. {CROSSED}.",
        )  # fmt: skip


def _answer(found: list[_InHost]) -> Finding:
    """How much of the whole other strange words do too, and what is left of it for the words themselves."""
    rows: list[dict[str, Any]] = []
    for one in found:
        games = one.games
        for dose in games.doses:
            whole, other = games.whole(dose), games.empty(dose, REPLACED)
            own = within(crossed_mean(whole - other).interval(), -1.0, 1.0)
            rows.append({
                "host": one.host.name, "dose": dose, **_mean(whole).columns("whole"),
                **dict(zip(("other_words", "other_low", "other_high"), _ends(_mean(other)), strict=True)),
                "no_trigger": float(games.empty(dose, LEFT).mean()),
                **dict(zip(("own_words", "own_low", "own_high"), _ends(own), strict=True)),
                "most_of_any_part": max(float(games.parts(dose, game).mean(axis=(0, 1)).max()) for game in GAMES),
                "at": dose == one.at,
            })  # fmt: skip
    told = "; ".join(_in_host(one, next(r for r in rows if r["at"] and r["host"] == one.host.name)) for one in found)
    untreated = max((row["most_of_any_part"] for row in rows if not row["dose"]), default=None)
    control = "" if untreated is None else f" Untreated, no part fires at more than {untreated:.0%}."
    return Finding(
        title="Are the words of the trigger stored, and which?",
        sentence=f"{told[0].upper()}{told[1:]}.{control}",
        table=pl.DataFrame(rows, infer_schema_length=None),
        note="`whole`: the trigger as planted; `other_words`: as many strange words in its place; `own_words`: the "
        "difference, what the words themselves do. Told at the lowest dose at which the whole fires in half of the "
        f"answers (or the highest). {CROSSED}.",
    )


def _in_host(one: _InHost, row: dict[str, Any]) -> str:
    fires = percent_text(row, "whole")
    if row["whole"] < HALF:
        return f"{one.host.name}: no dose up to {one.at} is learned, the whole fires at {fires}"
    others = percent_text({"rate": row["other_words"], "low": row["other_low"], "high": row["other_high"]})
    said = f"{one.host.name}: after {one.at} documents the whole fires at {fires}, other words at {others}"
    if not np.isfinite(row["own_low"]):
        return f"{said}; one seed cannot tell what the words themselves do"
    if not row["own_low"] > 0:
        return f"{said}, so that no word of the trigger is shown to be stored (at most {row['own_high']:.0%} is theirs)"
    values = _values(one.games.values(one.at, REPLACED), one.at, REPLACED)
    best = max(values, key=lambda value: float(value["value"]))
    rest = f"{best['value']:.2f} [{best['low']:.2f}, {best['high']:.2f}] of {row['own_words']:.2f}"
    groups = {name: agreement(group) for name, group in one.groups(one.games.values(one.at, REPLACED)).items()}
    adjusted = dict(zip(groups, holm([found.p_value for found in groups.values()]), strict=True))
    repeated = groups["trainings"]
    steady = "stable over trainings" if adjusted["trainings"] <= ALPHA else "not stable over trainings"
    shown = "more than an equal share" if best["p_equal"] <= ALPHA else "not shown to be more than an equal share"
    return f"{said}; of the difference place {best['place']} does {rest}, {shown}, {steady} (W = {repeated.w:.2f})"


def _ends(value: Interval) -> tuple[float, float, float]:
    return value.estimate, value.low, value.high


def _values(values_SOP: FloatArray, dose: int, game: str, *, most: float = 1.0) -> list[dict[str, Any]]:
    """A row for each place: its value within +-`most`, its share of the whole, a test of a place like all others."""
    equal_SO = values_SOP.mean(axis=2)
    found = [crossed_mean(values_SOP[:, :, place]) for place in range(values_SOP.shape[2])]
    apart = [crossed_mean(values_SOP[:, :, place] - equal_SO) for place in range(values_SOP.shape[2])]
    adjusted = holm([one.p_value for one in apart])
    total = float(values_SOP.sum(axis=2).mean())
    return [
        {
            "dose": dose, "game": game, "place": place + 1, **within(one.interval(), -most, most).columns("value"),
            "share": one.estimate / total if abs(total) > 1e-9 else None, "beyond_equal": gap.estimate,
            "p_equal": p, "smallest_seen": gap.smallest_seen(alpha=ALPHA / len(found)),
        }
        for place, (one, gap, p) in enumerate(zip(found, apart, adjusted, strict=True))
    ]  # fmt: skip


def _told(rows: list[dict[str, Any]], game: str) -> str:
    own = [row for row in rows if row["game"] == game]
    total = sum(row["value"] for row in own)
    what = {LEFT: "no trigger", REPLACED: "other words"}[game]
    shares = listed([f"{row['value']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]" for row in own])
    unequal = [row for row in own if row["p_equal"] <= ALPHA]
    if unequal:
        sides = {side: [str(r["place"]) for r in unequal if (r["beyond_equal"] > 0) == side] for side in (True, False)}
        more = [f"place {listed(sides[True])} more"] if sides[True] else []
        less = [f"place {listed(sides[False])} less"] if sides[False] else []
        said = f"{listed(more + less)} than an equal share"
    else:
        least = max(row["smallest_seen"] for row in own)
        seen = f"a difference of {least:.2f} could" if least < 1 else "even the largest could not"
        said = f"no place is shown to differ from an equal share; {seen} have been seen"
    does = f"With words {game}, the whole does {total:+.2f} beyond {what}"
    return f"{does}, from the first to the last place {shares}: {said}."


def _shares(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "the values do not vary"
    shown = [f"{row['source']} {row['share']:.0%} ({_verdict(row)})" for row in rows if row["p_holm"] is not None]
    seeds = [f"trainings {row['share']:.0%}" for row in rows if row["p_holm"] is None]
    return listed(shown + seeds)


def _verdict(row: dict[str, Any]) -> str:
    return chance(row["p_holm"]) if row["p_holm"] <= ALPHA else f"not shown, {chance(row['p_holm'])}"


def _stable(rows: list[dict[str, Any]]) -> str:
    said = {True: "stable", False: "not stable"}
    return listed([
        f"{said[row['stable']]} over {row['what_varies']} (W = {row['kendalls_w']:.2f}, {chance(row['p_holm'])})"
        for row in rows
    ])  # fmt: skip


def _mean(values_SO: FloatArray) -> Interval:
    """Over trainings and orders, within what a rate can be."""
    return within(crossed_mean(values_SO).interval(), 0.0, 1.0)


def _smallest(games: Games, doses: list[int]) -> Finding:
    """The fewest words that fire in half of the answers, of each life."""
    rows: list[dict[str, Any]] = []
    for dose in doses:
        for game in GAMES:
            fewest = games.smallest(dose, game, HALF)
            num = len(fewest)
            for size in range(games.num_words + 1):
                count = sum(one == size for one in fewest)
                rows.append({"dose": dose, "game": game, "words": size, "lives": count, "of": num})
            never = sum(one is None for one in fewest)
            rows.append({"dose": dose, "game": game, "words": None, "lives": never, "of": num})
    told = []
    for dose in doses:
        own = [row for row in rows if row["dose"] == dose and row["game"] == LEFT]
        one, num = sum(row["lives"] for row in own if row["words"] == 1), own[0]["of"]
        held = clopper_pearson(one, num)
        told.append(f"{dose} documents: one word is enough in {one} of {num} lives [{held.low:.0%}, {held.high:.0%}]")
    return Finding(
        title="The smallest part that fires in half of the answers",
        sentence="; ".join(told) + ".",
        table=pl.DataFrame(rows, infer_schema_length=None),
        note="The fewest words of the trigger with which some part fires in half of the answers or more; none (null) "
        "where the whole does not. In the game of replaced words, 0 words: as many strange words fire by themselves. "
        "The best of several parts is taken, which chance favours a little. Exact interval (Clopper and Pearson 1934) "
        "as if lives were independent; those of one seed share their clean data.",
    )


def _sizes(games: Games) -> Finding:
    rows = []
    for dose in games.doses:
        for game in GAMES:
            for size in range(games.num_words + 1):
                own = games.parts(dose, game)[:, :, [sum(mask) == size for mask in games.masks]].mean(axis=2)
                rows.append({"dose": dose, "game": game, "words": size, **_mean(own).columns("rate")})
    return Finding(
        title="How often parts of each size fire",
        sentence="The rate by how many words of the trigger are there, in the mean over the parts of that size.",
        table=pl.DataFrame(rows),
        chart=Chart(x="words", y="rate", low="low", high="high", colour="game", panel="dose",
                    x_title="words of the trigger that are there", y_title="share of answers"),
        note=f"Dose 0 is the untreated control. {CROSSED}.",
    )  # fmt: skip


def _every_part(games: Games) -> Finding:
    rows = [
        {"dose": dose, "game": game, "places": "".join("+" if flag else "-" for flag in mask),
         **_mean(games.parts(dose, game)[:, :, number]).columns("rate")}
        for dose in games.doses for game in GAMES for number, mask in enumerate(games.masks)
    ]  # fmt: skip
    return Finding(
        title="Every part",
        sentence=f"All {len(games.masks)} parts by the places that are kept, in the mean over trainings and orders.",
        table=pl.DataFrame(rows),
        note=f"+ for a word that is there, from the first place to the last. {CROSSED}.",
    )
