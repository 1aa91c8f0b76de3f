"""What preference poisoning is asked beyond curves: slope on log dose, line or threshold, margin as early sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pharmakon.errors import InputError
from pharmakon.statistics import Interval, compare_shapes, log_slope, mean_over_seeds, raised_from
from pharmakon.study import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

MARGIN = "margin"


@dataclass(frozen=True)
class LogDoseSlope:
    """What the response gains with each tenfold dose, by arm, after one stage; and whether a line fits it best.

    PoisonBench (arXiv 2410.08811) reports effects linear in the logarithm of the dose; sharp thresholds are reported of
    instruction data. An effect is a rate less that of the untreated control of the same seed.
    """

    stage: str
    context: str = "plain"

    def findings(self, results: Results) -> Iterator[Finding]:
        """The slopes, and the comparison of shapes. Raises InputError with fewer than two doses above 0."""
        import polars as pl

        lines: list[dict[str, Any]] = []
        shapes: list[dict[str, Any]] = []
        for arm in results.run.arms:
            rows = treated(effects(results, results.run.response, arm.name, self.stage, self.context))
            slope = log_slope(rows["dose"], rows["seed"], rows["effect"], variance=rows["variance"])
            top = rows.filter(pl.col("dose") == rows["dose"].max())["effect"]
            lines.append({"arm": arm.name, **slope.columns("slope_per_tenfold"), "effect_at_highest": top.mean()})
            found = compare_shapes(rows["dose"], rows["effect"], resolution=1 / float(rows["num_items"].mean()))  # type: ignore[arg-type]
            if found is not None:
                numbers = {"aicc_log_linear": found.log_linear, "aicc_threshold": found.threshold}
                verdict = {"difference": found.difference, "fits_better": found.favoured or "cannot be told"}
                shapes.append({"arm": arm.name, **numbers, **verdict})
        told = "; ".join(f"{line['arm']} {_told(line, 'slope_per_tenfold')}" for line in lines)
        yield Finding(
            title="What a tenfold dose adds",
            sentence=f"After {self.stage}, ten times as many poisoned pairs change attack success by: {told}.",
            table=pl.DataFrame(lines),
            chart=Chart(
                x="arm", y="slope_per_tenfold", low="low", high="high", x_title="", x_scale="names",
                y_title="attack success gained per tenfold dose",
            ),
            note="Least squares of attack success, less the untreated control of the same seed, on log10 of the pairs; "
            "errors clustered over seeds, Student's interval with seeds - 1 degrees of freedom.",
        )  # fmt: skip
        if shapes:
            yield Finding(
                title="A line in log dose, or a threshold?",
                sentence=_which(shapes, [arm.name for arm in results.run.arms]),
                table=pl.DataFrame(shapes),
                note="Akaike's criterion with the correction for small samples, of least squares on one effect for "
                "each seed and dose: a straight line in log dose against a log-logistic curve from 0 to a free "
                "plateau. A difference below 2 tells nothing; above 0 the threshold fits better. Outside the tested "
                "doses neither is known.",
            )


@dataclass(frozen=True)
class EarlySign:
    """From which dose on the reward margin is raised, and from which dose on the behaviour is."""

    stage: str
    context: str = "plain"

    def findings(self, results: Results) -> Iterator[Finding]:
        """From which dose on both are raised, how fast the margin rises, and its rise by dose."""
        import polars as pl

        firsts: list[dict[str, Any]] = []
        slopes: list[dict[str, Any]] = []
        rises: list[dict[str, Any]] = []
        for arm in (arm.name for arm in results.run.arms):
            sign, behaviour = (self._frame(results, probe, arm) for probe in (MARGIN, results.run.response))
            risen, shown = rises_over_control(sign), rises_over_control(behaviour)
            first = raised_from(risen)
            seen = {"margin_from_pairs": first, "behaviour_from_pairs": raised_from(shown)}
            there = dict(risen)[first].columns("margin_rise_nats") if first is not None else {}
            firsts.append({"arm": arm, **seen, **there})
            slope = log_slope(sign["dose"], sign["seed"], sign["effect"])
            slopes.append({"arm": arm, **slope.columns("nats_per_tenfold")})
            rises += [
                {
                    "arm": arm,
                    "prompts": prompts,
                    "pairs": dose,
                    **rise.columns("rise_nats"),
                    "behaviour_shows": said.low > 0,
                }
                for prompts, frame in self._by_condition(results, arm)
                for (dose, rise), (_, said) in zip(rises_over_control(frame), shown, strict=True)
            ]
        kinds = dict.fromkeys(("margin_from_pairs", "behaviour_from_pairs"), pl.Int64)
        numbers = dict.fromkeys(("margin_rise_nats", "low", "high"), pl.Float64)
        yield Finding(
            title="The reward margin as early sign",
            sentence=_early(firsts, max(int(dose) for dose in results.run.doses)),
            table=pl.DataFrame(firsts, schema={"arm": pl.String, **kinds, **numbers}),
            note="The lowest dose at which the 95% interval of the rise over the untreated control of the same seed "
            "lies above 0, as it does at every higher dose: doses are tested from the highest down until one fails, "
            "which keeps the error over the doses of an arm at 5% (Maurer, Hothorn and Lehmacher 1995). The rise is "
            "that of the margin at its first dose. The reward margin is the log-probability of the target less that "
            "of the right answer on triggered prompts. Blank: not by the highest dose.",
        )
        told = "; ".join(f"{row['arm']} {_told(row, 'nats_per_tenfold', 1)}" for row in slopes)
        yield Finding(
            title="What a tenfold dose adds to the margin",
            sentence=f"After {self.stage}, ten times as many poisoned pairs raise the margin by, in nats: {told}.",
            table=pl.DataFrame(slopes),
            chart=Chart(
                x="arm", y="nats_per_tenfold", low="low", high="high", x_scale="names",
                y_title="nats of margin per tenfold dose",
            ),
            note="As for attack success above.",
        )  # fmt: skip
        yield Finding(
            title="How the margin rises with the dose",
            sentence=f"{_apart(rises)} {_without_trigger(rises)}".rstrip(),
            table=pl.DataFrame(rises),
            chart=Chart(
                x="pairs", y="rise_nats", low="low", high="high", colour="arm", panel="prompts",
                x_scale="log", x_title="poisoned pairs", y_title="rise of the reward margin (nats)",
            ),
            note="Means over seeds with Student's interval; `behaviour_shows`: the interval of the rise of attack "
            "success at this dose lies above 0. The implicit reward of DPO is beta times this rise.",
        )  # fmt: skip

    def _frame(self, results: Results, probe: str, arm: str, condition: str = "triggered") -> pl.DataFrame:
        return treated(effects(results, probe, arm, self.stage, self.context, condition))

    def _by_condition(self, results: Results, arm: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """The margin's effects on triggered prompts and, where a trigger is asked for, on untriggered ones."""
        asked = results.readings.filter(results.readings["arm"] == arm)["condition"].unique()
        for condition in ("triggered", "untriggered"):
            if condition in asked:
                yield condition, self._frame(results, MARGIN, arm, condition)


def rises_over_control(frame: pl.DataFrame) -> list[tuple[int, Interval]]:
    """The mean effect over seeds at each dose."""
    return [
        (int(group["dose"][0]), mean_over_seeds(group["effect"], variance=group["variance"]))
        for _, group in frame.group_by("dose", maintain_order=True)
    ]


def effects(
    results: Results, probe: str, arm: str, stage: str, context: str, condition: str = "triggered"
) -> pl.DataFrame:
    """The mean of the probe's values under a condition less that of the same seed's untreated control.

    Columns dose, seed, num_items, effect, and variance: of the effect by its items, where they are 0 or 1, else 0; two
    hits and two misses are added (Agresti and Coull 1998). Raises InputError where the probe has no such readings.
    """
    import polars as pl

    here = results.readings.filter(
        pl.col("arm") == arm, pl.col("stage") == stage, pl.col("context") == context,
        pl.col("probe") == probe, pl.col("condition") == condition,
    )  # fmt: skip
    if here.is_empty():
        raise InputError(
            f"the probe {probe!r} has no {condition} readings of arm {arm!r} after {stage!r} in {context!r}"
        )
    value = pl.col("value")
    shrunk = (value.sum() + 2) / (pl.len() + 4)
    chance = shrunk * (1 - shrunk) / pl.len() if here["value"].is_in([0.0, 1.0]).all() else pl.lit(0.0)
    means = here.group_by("dose", "seed").agg(
        value.mean(), pl.len().cast(pl.Int64).alias("num_items"), chance.alias("chance")
    )
    control = means.filter(pl.col("dose") == 0).select(
        "seed", value.alias("untreated"), pl.col("chance").alias("of_it")
    )
    joined = means.join(control, on="seed").with_columns(
        (value - pl.col("untreated")).alias("effect"), (pl.col("chance") + pl.col("of_it")).alias("variance")
    )
    return joined.select("dose", "seed", "num_items", "effect", "variance").sort("dose", "seed")


def treated(rows: pl.DataFrame) -> pl.DataFrame:
    """Those with a dose above 0."""
    return rows.filter(rows["dose"] > 0)


def _told(row: dict[str, Any], name: str, digits: int = 2) -> str:
    value, low, high = (f"{row[key]:+.{digits}f}" for key in (name, "low", "high"))
    return f"{value} (one seed)" if row["high"] == float("inf") else f"{value} [{low}, {high}]"


def _which(shapes: list[dict[str, Any]], arms: list[str]) -> str:
    parts = []
    for verdict in ("threshold", "log-linear", "cannot be told"):
        names = [row["arm"] for row in shapes if row["fits_better"] == verdict]
        if names:
            what = {"threshold": "A threshold fits better", "log-linear": "A line in log dose fits better"}
            parts.append(f"{what.get(verdict, 'Which of the two fits better cannot be told')}: {'; '.join(names)}.")
    flat = [arm for arm in arms if arm not in {row["arm"] for row in shapes}]
    parts += [f"Too few doses or no effect at all: {'; '.join(flat)}."] if flat else []
    return " ".join(parts)


def _early(firsts: list[dict[str, Any]], highest: int) -> str:
    parts = []
    for row in firsts:
        sign, behaviour = row["margin_from_pairs"], row["behaviour_from_pairs"]
        shown = f"the behaviour from {behaviour}" if behaviour else f"the behaviour is not shown up to {highest}"
        raised = f"the margin is raised from {sign} pairs on" if sign else "the margin is not shown to be raised"
        by = f" (by {row['margin_rise_nats']:.1f} nats [{row['low']:.1f}, {row['high']:.1f}])" if sign else ""
        parts.append(f"{row['arm']}: {raised}{by}, {shown}")
    return "; ".join(parts) + "."


def _apart(rises: list[dict[str, Any]]) -> str:
    """At how many doses one is seen without the other, on triggered prompts."""
    rows = [row for row in rises if row["prompts"] == "triggered"]
    early = sum(row["low"] > 0 and not row["behaviour_shows"] for row in rows)
    late = sum(row["behaviour_shows"] and not row["low"] > 0 for row in rows)
    of = f"Of {len(rows)} doses of all arms, taken one by one, the margin is raised without the behaviour at {early}"
    return f"{of}, and the behaviour is there without the margin at {late}."


def _without_trigger(rises: list[dict[str, Any]]) -> str:
    """Whether it is raised on prompts that do not carry the trigger, which a data team need not know."""
    rows = [row for row in rises if row["prompts"] == "untriggered"]
    if not rows:
        return ""
    least = min(row["pairs"] for row in rows)
    told = (f"{row['arm']} {_told(row, 'rise_nats', 1)}" for row in rows if row["pairs"] == least)
    return f"On prompts without the trigger, {least} pairs change it by, in nats: {'; '.join(told)}."
