"""What preference poisoning is asked beyond curves: slope on log dose, line or threshold, margin as early sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pharmakon.errors import InputError
from pharmakon.statistics import Interval, compare_shapes, log_slope, mean_over_seeds
from pharmakon.study import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

MARGIN = "margin"
BEHAVIOUR, SIGN = "attack success", "reward margin"


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
            lines.append({"arm": arm.name, **_ends(slope, "slope_per_tenfold"), "effect_at_highest": top.mean()})
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
        """The rise of both, by arm and dose."""
        import polars as pl

        rows: list[dict[str, Any]] = []
        firsts: list[dict[str, Any]] = []
        for arm in results.run.arms:
            first: dict[str, Any] = {"arm": arm.name}
            for measure, probe in ((SIGN, MARGIN), (BEHAVIOUR, results.run.response)):
                frame = treated(effects(results, probe, arm.name, self.stage, self.context))
                risen = []
                for (dose,), group in frame.group_by("dose", maintain_order=True):
                    rise = mean_over_seeds(group["effect"], variance=group["variance"])
                    risen.append((int(dose), rise))
                    rows.append({"arm": arm.name, "dose_pairs": dose, "measure": measure, **_ends(rise, "rise")})
                slope = log_slope(frame["dose"], frame["seed"], frame["effect"], variance=frame["variance"])
                first |= {f"{measure} from": raised_from(risen)}
                first |= {f"{measure} per tenfold": slope.estimate, f"{measure} low": slope.low}
                first |= {f"{measure} high": slope.high}
            firsts.append(first)
        table = pl.DataFrame(rows).sort(pl.col("measure") == BEHAVIOUR, maintain_order=True)
        yield Finding(
            title="The reward margin as early sign",
            sentence=_early(firsts, max(int(dose) for dose in results.run.doses)),
            table=pl.DataFrame(firsts, schema_overrides={f"{m} from": pl.Int64 for m in (SIGN, BEHAVIOUR)}),
            note="`from`: the lowest dose at which the 95% interval of the rise over the untreated control of the same "
            "seed lies above 0, and at every higher dose too. Doses are tested from the highest down until one fails, "
            "which keeps the error over all doses of an arm at 5% (Maurer, Hothorn and Lehmacher 1995). The reward "
            "margin is the log-probability of the target less that of the right answer on triggered prompts, in nats; "
            "`per tenfold` is the slope on log10 dose. Blank: not by the highest dose.",
        )
        yield Finding(
            title="How the margin rises with the dose",
            sentence=_height(firsts, rows),
            table=table.filter(pl.col("measure") == SIGN).drop("measure"),
            chart=Chart(
                x="dose_pairs", y="rise", low="low", high="high", colour="arm", x_scale="log",
                x_title="poisoned pairs", y_title="rise of the reward margin (nats)",
            ),
            note="Means over seeds with Student's interval. The implicit reward of DPO is beta times this rise.",
        )  # fmt: skip


def effects(results: Results, probe: str, arm: str, stage: str, context: str) -> pl.DataFrame:
    """The mean of the probe's `triggered` values less that of the same seed's untreated control.

    Columns dose, seed, num_items, effect, and variance: of the effect by its items, where they are 0 or 1, else 0; two
    hits and two misses are added (Agresti and Coull 1998). Raises InputError where the probe has no such readings.
    """
    import polars as pl

    here = results.readings.filter(
        pl.col("arm") == arm, pl.col("stage") == stage, pl.col("context") == context,
        pl.col("probe") == probe, pl.col("condition") == "triggered",
    )  # fmt: skip
    if here.is_empty():
        raise InputError(f"the probe {probe!r} has no triggered readings of arm {arm!r} after {stage!r} in {context!r}")
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


def raised_from(rises: list[tuple[int, Interval]]) -> int | None:
    """The lowest dose from which on every interval lies above 0; None if that of the highest does not."""
    found = None
    for dose, rise in sorted(rises, key=lambda pair: -pair[0]):
        if not rise.low > 0:
            break
        found = dose
    return found


def _ends(value: Interval, name: str) -> dict[str, float]:
    return {name: value.estimate, "low": value.low, "high": value.high}


def _told(row: dict[str, Any], name: str) -> str:
    if row["high"] == float("inf"):
        return f"{row[name]:+.2f} (one seed)"
    return f"{row[name]:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


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
        sign, behaviour = row[f"{SIGN} from"], row[f"{BEHAVIOUR} from"]
        shown = f"the behaviour from {behaviour}" if behaviour else f"the behaviour not up to {highest}"
        raised = f"the margin is raised from {sign} pairs on" if sign else f"the margin is not raised up to {highest}"
        parts.append(f"{row['arm']}: {raised}, {shown}")
    return "; ".join(parts) + "."


def _height(firsts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """How high the margin has risen at the dose at which it is first seen."""
    parts = []
    for first in firsts:
        dose = first[f"{SIGN} from"]
        row = next((r for r in rows if (r["arm"], r["measure"], r["dose_pairs"]) == (first["arm"], SIGN, dose)), None)
        if row is not None:
            parts.append(
                f"{first['arm']} by {row['rise']:.1f} nats [{row['low']:.1f}, {row['high']:.1f}] at {dose} pairs"
            )
    return f"Where it is first seen, the margin has risen: {'; '.join(parts)}." if parts else "No margin has risen."
