"""What a route costs until half of its effect is in the released model, and what each defence makes of that.

Three measured things are joined: the share of attempts that reach the data, the number of documents in the data that
give half of the effect at release, after cleaning and all later stages, and the price of an attempt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pharmakon.core import Corpus, Edit, Route, stream
from pharmakon.errors import InputError, SpecError
from pharmakon.statistics import Curve, Interval, mean_over_seeds, proportion
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import main_context, rate_text

UNDEFENDED = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one purchase costs, in US dollars, and how many attempts it buys."""

    amount: float
    unit: str
    """`edit`, `domain` …"""
    attempts: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("price", self.amount), ("number of attempts", self.attempts)):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"the {name} per {self.unit} is a number above 0; got {value:g}")

    def cost(self, num_attempts: float) -> float:
        """The cost of so many attempts: whole purchases."""
        return math.ceil(num_attempts / self.attempts - 1e-9) * self.amount


@dataclass(frozen=True, slots=True)
class Everything:
    """The route of somebody who writes into the data: every attempt reaches them."""

    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        """None for each edit."""
        yield from (None for _ in edits)


@dataclass(frozen=True, kw_only=True)
class Access:
    """One way to the data, undefended or with one defence: who can do it, where it enters, what an attempt costs."""

    name: str
    data: str
    """What of the data the attacker reaches."""
    model: str
    """What of the model: `none`, `queries`."""
    stage: str
    arm: str
    """The arm of the study in which the documents of this route are dosed."""
    price: Price
    route: Route = Everything()
    attempts: tuple[Edit, ...] = field(default=(), repr=False)
    """Attempts by which the share that reaches the data is measured, as the route judges them."""
    host: Corpus = field(default=Corpus(()), repr=False)
    replications: int = 20
    defence: str = UNDEFENDED

    def reach(self) -> Interval:
        """The share of attempts that reach the data, over replications of the route."""
        if isinstance(self.route, Everything):
            return Interval(1.0, 1.0, 1.0)
        if not self.attempts:
            raise SpecError(f"the route of {self.name!r} is measured on attempts; there are none")
        shares = []
        for number in range(self.replications):
            rng = stream(number, "reach", self.name, self.defence)
            reasons = list(self.route.verdicts(self.attempts, self.host, rng))
            shares.append(sum(reason is None for reason in reasons) / len(reasons))
        if self.replications < 2:
            return proportion(round(shares[0] * len(self.attempts)), len(self.attempts))
        mean = mean_over_seeds(shares)
        return Interval(max(0.0, mean.low), mean.estimate, min(1.0, mean.high))


@dataclass(frozen=True)
class Needed:
    """Documents in the data until half of the effect is in the released model: 0 and infinity where it is not known."""

    low: float
    estimate: float | None
    high: float
    says: str

    @staticmethod
    def of(curve: Curve) -> Needed:
        """What a curve knows of its ED50, with its limits or the tested doses about it."""
        if curve.ed50 is not None:
            return Needed(curve.ed50.low, curve.ed50.estimate, curve.ed50.high, curve.threshold_text)
        low, high = curve.bracket if curve.bracket is not None else (0.0, math.inf)
        if curve.status == "no_response":
            low = float(curve.observations.table.doses.max())
        middle = math.sqrt(low * high) if low > 0 and math.isfinite(high) else None
        return Needed(low, middle, high, curve.threshold_text)


@dataclass(frozen=True)
class Verdict:
    """The table of all routes: access, price, reach, survival, ED50 at release, cost at half of the effect.

    The cost is that of ED50 / reach attempts. Its interval joins the relative errors of the two as independent ones.
    `arms` of the study that are not named by a route are not in the table.
    """

    routes: tuple[Access, ...]

    def findings(self, results: Results) -> Iterator[Finding]:
        """The routes by cost, and how much dearer each defence makes its own."""
        rows = [self._row(results, access) for access in self.routes]
        plain = {row["route"]: row for row in rows if row["defence"] == UNDEFENDED}
        for row in rows:
            base = plain.get(row["route"])
            row["times_dearer"] = _dearer(row, base) if base is not None and base is not row else None
        frame = pl.DataFrame(rows, schema=_SCHEMA)
        plainly = pl.col("defence") == UNDEFENDED
        way = pl.col("route") + pl.when(plainly).then(pl.lit("")).otherwise(", " + pl.col("defence"))
        shown = frame.with_columns(way.alias("way")).sort("cost_usd", nulls_last=True)
        yield Finding(
            title="Cost of half the effect at release, by route",
            sentence=_cheapest(rows),
            table=shown.select("way", "reach", "survival", "ed50", "cost_usd", "cost_low_usd", "cost_high_usd"),
            chart=Chart(
                x="way", y="cost_usd", low="cost_low_usd", high="cost_high_usd", x_scale="names", y_scale="log",
                x_title="route", y_title="US dollars, log scale",
            ),
            note="Cost = price x ED50 / reach, in whole purchases. ED50: documents in the data that give half of the "
            "full effect after cleaning and all later stages; where the tested doses only bracket it, the geometric "
            "middle, with the bracket as its limits. Reach: the share of attempts that the route lets into the data, "
            "by simulation. Survival: of what is administered, through raters, rules and cleaning. Routes without an "
            "effect up to the highest dose have no cost, but a lower limit.",
        )  # fmt: skip
        yield Finding(
            title="Who can do it, and what an attempt costs",
            sentence="Prices are the user's: see the options. Most defaults are assumptions.",
            table=frame.filter(plainly).select(
                "route", "reaches", "model_access", "enters", "release", "price_usd", "per", "attempts"
            ),
            note="Reaches: what of the data the attacker comes to. Model access: what of the model. Attempts: those "
            "that half of the effect takes.",
        )
        defended = frame.filter(pl.col("defence") != UNDEFENDED)
        if len(defended):
            yield Finding(
                title="What each defence buys",
                sentence=_defences(rows),
                table=defended.select(
                    "route", "defence", "reach", "survival", "ed50", "cost_usd", "cost_low_usd", "times_dearer"
                ),
                note="How many times dearer half of the effect becomes. Infinite where nothing gets in; a lower limit "
                "(at least) where the effect was not seen up to the highest dose.",
            )

    def _row(self, results: Results, access: Access) -> dict[str, Any]:
        arm = next((arm for arm in results.run.arms if arm.name == access.arm), None)
        if arm is None:
            raise InputError(f"the route {access.name!r} is measured in arm {access.arm!r}, which the run has not")
        context = main_context(results, arm.name) or "plain"
        probed = set(results.readings.filter(pl.col("arm") == arm.name)["stage"])
        last = [stage for stage in arm.stages if stage in probed][-1]
        needed = Needed.of(results.curve(arm.name, last, context))
        reach = access.reach()
        kept = results.survival().filter(pl.col("arm") == arm.name).sort("dose").tail(1)["survived_share"].to_list()
        low, cost, high = _cost(access.price, needed, reach)
        return {
            "route": access.name, "defence": access.defence, "reaches": access.data, "model_access": access.model,
            "enters": access.stage, "release": last, "price_usd": access.price.amount, "per": access.price.unit,
            "reach": reach.estimate, "survival": kept[0] if kept else None, "ed50": needed.says,
            "attempts": needed.estimate / reach.estimate if needed.estimate and reach.estimate else None,
            "cost_usd": cost, "cost_low_usd": low, "cost_high_usd": high, "times_dearer": None,
        }  # fmt: skip


_TEXTS = ("route", "defence", "reaches", "model_access", "enters", "release", "per", "ed50", "times_dearer")
_ORDER = (
    "route", "defence", "reaches", "model_access", "enters", "release", "price_usd", "per", "reach", "survival", "ed50",
    "attempts", "cost_usd", "cost_low_usd", "cost_high_usd", "times_dearer",
)  # fmt: skip
_SCHEMA: dict[str, Any] = {name: pl.String if name in _TEXTS else pl.Float64 for name in _ORDER}


def _cost(price: Price, needed: Needed, reach: Interval) -> tuple[float | None, float | None, float | None]:
    """Lower limit, estimate and upper limit; None where there is none."""
    if reach.estimate <= 0:
        return None, None, None
    middle = needed.estimate
    if middle is None:
        ends = (needed.low / reach.estimate, needed.high / reach.estimate)
        low, high = (price.cost(end) if 0 < end < math.inf else None for end in ends)
        return low, None, high
    down = math.hypot(_apart(needed.low, middle), _apart(reach.estimate, reach.high))
    up = math.hypot(_apart(middle, needed.high), _apart(reach.low, reach.estimate))
    attempts = middle / reach.estimate
    low = price.cost(attempts * math.exp(-down)) if math.isfinite(down) else None
    high = price.cost(attempts * math.exp(up)) if math.isfinite(up) else None
    return low, price.cost(attempts), high


def _apart(low: float, high: float) -> float:
    """How far apart on the log scale; infinite from 0 or to infinity."""
    return math.log(high / low) if low > 0 and high < math.inf else math.inf


def _dearer(row: dict[str, Any], base: dict[str, Any]) -> str:
    if row["reach"] == 0:
        return "nothing gets in"
    if base["cost_usd"] is None:
        return "no effect without it"
    if row["cost_usd"] is not None:
        return f"{row['cost_usd'] / base['cost_usd']:.2g} times"
    if row["cost_low_usd"] is not None:
        return f"at least {row['cost_low_usd'] / base['cost_usd']:.2g} times"
    return "not measured"


def dollars(amount: float) -> str:
    """`$0.40`, `$12`, `$1,300`."""
    return f"${amount:,.2f}" if amount < 10 else f"${amount:,.0f}"


def _told(row: dict[str, Any]) -> str:
    ends = row["cost_low_usd"], row["cost_high_usd"]
    limits = f" [{', '.join('–' if end is None else dollars(end) for end in ends)}]"
    return f"{row['route']}: {dollars(row['cost_usd'])}{limits} for {row['attempts']:,.0f} attempts"


def _cheapest(rows: Sequence[dict[str, Any]]) -> str:
    plain = [row for row in rows if row["defence"] == UNDEFENDED]
    priced = sorted((row for row in plain if row["cost_usd"] is not None), key=lambda row: float(row["cost_usd"]))
    without = [row for row in plain if row["cost_usd"] is None]
    if not priced:
        return "No route reached half of its effect at release with the doses tested."
    said = f"The cheapest route to half of the effect at release is {_told(priced[0])}"
    if len(priced) > 1:
        said += f"; the dearest is {_told(priced[-1])}"
    if without:
        names = ", ".join(
            f"{row['route']} ({'more than ' + dollars(row['cost_low_usd']) if row['cost_low_usd'] else row['ed50']})"
            for row in without
        )
        said += f". Not priced, since the doses tested do not bracket half of an effect at release: {names}"
    return f"{said}."


def _defences(rows: Sequence[dict[str, Any]]) -> str:
    said = [f"{row['route']} by {row['defence']}: {row['times_dearer']}" for row in rows if row["times_dearer"]]
    plain = [row for row in rows if row["defence"] == UNDEFENDED and row["reach"] < 1]
    reach = [f"{rate_text(row['reach'])} of the attempts on the {row['route']}" for row in plain]
    without = f" Without a defence {', '.join(reach)} reach the data." if reach else ""
    return f"Half of the effect is made dearer. {'; '.join(said)}.{without}" if said else without.strip()
