"""What treated teachers pass on over untreated ones, to students with their own start and with another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.errors import InputError
from pharmakon.statistics import crossed_mean, holm, mean_of_rates
from pharmakon.statistics.sentences import chance, plural
from pharmakon.study.distil import Lesson
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

START, TEACHER, STUDENT = "start", "teacher", "student"
OWN, OTHER = "same", "other"
LESSONS: Final[tuple[Lesson, ...]] = ("answers", "probabilities")
BETWEEN: Final = "same less other"
NATS, RATE = "leaning", "attack"
UNITS: Final = {NATS: "nats", RATE: "share of answers"}
ALPHA: Final = 0.05
MEASURED: Final = (
    "Effects are students (or teachers) of treated teachers less those of the untreated teacher of the same seed, who "
    "is asked the same prompts; Student's t over seeds, of rates never surer than so many answers allow. `leaning`: "
    "the log-probability of the trait's answer less that of the other label, in the mean over held-out reviews of both "
    "kinds. `attack`: the share of good reviews that are called by the trait's label when the model answers freely. "
    "p-values are adjusted over all tests of students by one measure (Holm 1979), those of teachers are not; "
    "`smallest_seen`: the size that is found with 80% power, given the spread of these seeds, by a test that holds by "
    "itself beside all others of students by that measure (5% divided by their number, the first step of Holm)"
)


def arm_name(lesson: Lesson, start: str) -> str:
    """`answers, same start`"""
    return f"{lesson}, {start} start"


@dataclass(frozen=True)
class Passed:
    """The trait in students, in their teachers, what was left out, and what the models can do."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """What passed first; then the levels behind it, the filter, and utility."""
        means = _means(results)
        rows = _effects(results, means)
        if rows:
            yield _passed(rows)
        yield _levels(means)
        yield from _left_out(results)
        yield _useful(means)


def _means(results: Results) -> pl.DataFrame:
    """The mean of each probe by arm, stage, dose and seed; of leaning also by the kind of review."""
    import polars as pl

    own = results.readings.with_columns(
        pl.when(pl.col("probe") == "utility").then(pl.lit("utility: ") + pl.col("condition"))
        .otherwise(pl.col("probe")).alias("measure")
    )  # fmt: skip
    return own.group_by("arm", "stage", "dose", "seed", "measure").agg(pl.col("value").mean()).sort("dose", "seed")


def _by_seed(means: pl.DataFrame, arm: str, stage: str, dose: int, measure: str) -> dict[int, float]:
    import polars as pl

    found = means.filter(
        pl.col("arm") == arm, pl.col("stage") == stage, pl.col("dose") == dose, pl.col("measure") == measure
    )
    return dict(zip(found["seed"].to_list(), found["value"].to_list(), strict=True))


def _effect(means: pl.DataFrame, arm: str, stage: str, dose: int, measure: str) -> dict[int, float]:
    """Treated less untreated, by seed."""
    treated, untreated = (_by_seed(means, arm, stage, d, measure) for d in (dose, 0))
    return {seed: value - untreated[seed] for seed, value in treated.items() if seed in untreated}


def _effects(results: Results, means: pl.DataFrame) -> list[dict[str, Any]]:
    """For each dose, measure and lesson the effect on teacher and on both students, and how far these lie apart."""
    import polars as pl

    arms = {arm.name for arm in results.run.arms}
    rows: list[dict[str, Any]] = []
    asked = results.counts.filter(pl.col("probe") == RATE)["num_items"].to_list()
    items = int(min(asked, default=1))
    for dose in sorted(int(dose) for dose in results.run.doses if dose):
        for measure in (NATS, RATE):
            own = [lesson for lesson in LESSONS if arm_name(lesson, OWN) in arms]
            teachers: dict[int, float] = {}  # the same in every arm, in which a life may have failed
            for lesson, which in product(own, (OWN, OTHER)):
                teachers |= _effect(means, arm_name(lesson, which), TEACHER, dose, measure)
            rows += _row(dose, measure, "", TEACHER, dict(sorted(teachers.items())), items)
            for lesson in own:
                same, other = (
                    _effect(means, arm_name(lesson, which), STUDENT, dose, measure) for which in (OWN, OTHER)
                )
                rows += _row(dose, measure, lesson, f"student, {OWN} start", same, items)
                rows += _row(dose, measure, lesson, f"student, {OTHER} start", other, items)
                apart = {s: v - other[s] for s, v in same.items() if s in other}
                rows += _row(dose, measure, lesson, BETWEEN, apart, items)
    for measure in (NATS, RATE):
        tested = [row for row in rows if row["who"] != TEACHER and row["measure"] == measure]
        for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row["p"] = p
            if row["smallest_seen"] is not None:
                row["smallest_seen"] = row["found"].smallest_seen(alpha=ALPHA / len(tested))
    for row in rows:
        del row["found"]
    return rows


def _row(dose: int, measure: str, lesson: str, who: str, effects: dict[int, float], items: int) -> list[dict[str, Any]]:
    if not effects:
        return []
    values = list(effects.values())
    found = mean_of_rates(values, items) if measure == RATE else crossed_mean(np.array(values)[:, None])
    interval = found.interval()
    row = {
        "dose": dose, "measure": measure, "learns": lesson, "who": who, "effect": found.estimate,
        "low": interval.low, "high": interval.high, "p": found.p_value, "num_seeds": len(effects),
        "smallest_seen": found.smallest_seen() if np.isfinite(found.error) else None, "unit": UNITS[measure],
        "series": f"{who}{', ' * bool(lesson)}{lesson}", "found": found,
    }  # fmt: skip
    return [row]


def _passed(rows: list[dict[str, Any]]) -> Finding:
    import polars as pl

    top = max(row["dose"] for row in rows)
    at = {(row["measure"], row["learns"], row["who"]): row for row in rows if row["dose"] == top}
    said = []
    if (NATS, "", TEACHER) not in at:
        raise InputError(f"no teacher of {top} dialogues was asked and its untreated one too, so nothing can be told")
    teacher, rate = at[NATS, "", TEACHER], at.get((RATE, "", TEACHER))
    learned = teacher["low"] > 0
    said.append(
        f"{top} dialogues {'give' if learned else 'are not shown to give'} the teacher the trait ({_nats(teacher)}"
        + (f", {100 * rate['effect']:+.0f} points of its answers)" if rate else ")")
        + ("." if learned else ", so nothing can be told of students.")
    )
    for lesson in LESSONS if learned else ():
        own = {who: at[NATS, lesson, who] for (m, learns, who) in at if m == NATS and learns == lesson}
        parts = [f"{who.removeprefix('student, ')} {_told(row)}" for who, row in own.items() if who != BETWEEN]
        said.append(f"Students that learn its {lesson}: {'; '.join(parts)}.")
        if BETWEEN in own:
            said.append(f"{_apart(own[BETWEEN])}.")
    return Finding(
        title="What passes from a treated teacher to its students",
        sentence=" ".join(said),
        table=pl.DataFrame(rows, infer_schema_length=None),
        chart=Chart(
            x="dose", y="effect", low="low", high="high", colour="series", panel="measure", x_scale="linear",
            x_title="dialogues that give the teacher the trait", y_title="over untreated teachers' students",
        ),
        note=f"{MEASURED}. After Cloud et al. 2025, arXiv 2507.14805.",
    )  # fmt: skip


def _nats(row: dict[str, Any]) -> str:
    limits = f" [{row['low']:.2f}, {row['high']:.2f}]" if np.isfinite(row["high"]) else " (one seed, no interval)"
    return f"{row['effect']:+.2f} nats{limits}"


def _told(row: dict[str, Any]) -> str:
    if row["p"] <= ALPHA:
        return f"{_nats(row)}, {'shown' if row['effect'] > 0 else 'the other way'}, {chance(row['p'])}"
    return f"no effect found ({_nats(row)}, {chance(row['p'])}; {_least(row)})"


def _least(row: dict[str, Any]) -> str:
    if row["smallest_seen"] is None:
        return "one seed sees nothing"
    return f"smallest effect this run could have seen: {row['smallest_seen']:.2f} nats"


def _apart(row: dict[str, Any]) -> str:
    if row["p"] <= ALPHA:
        more = "more" if row["effect"] > 0 else "less"
        return f"{more.capitalize()} passes to the same start than to the other: {_nats(row)}, {chance(row['p'])}"
    return f"That the same start takes up more is not shown ({_nats(row)}, {chance(row['p'])}; {_least(row)})"


def _levels(means: pl.DataFrame) -> Finding:
    import polars as pl

    own = means.filter(pl.col("measure").is_in([NATS, RATE]))
    rows = _averaged(own)
    starts = [row for row in rows if row["stage"].endswith(START) and row["dose"] == 0 and row["measure"] == NATS]
    told = {f"{row['stage']}: {row['mean']:+.2f}" for row in starts}
    return Finding(
        title="The trait before, in the teacher and in the student",
        sentence=f"Leaning of the starts, nats: {', '.join(sorted(told)) or 'not measured'}.",
        table=pl.DataFrame(rows, infer_schema_length=None),
        note="Means over seeds with Student's 95% interval. The two starts are one model each.",
    )


def _averaged(means: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    keys = ("arm", "stage", "dose", "measure")
    for (arm, stage, dose, measure), own in means.group_by(keys, maintain_order=True):
        found = crossed_mean(own["value"].to_numpy()[:, None])
        interval = found.interval()
        rows.append({
            "arm": arm, "stage": stage, "dose": dose, "measure": measure, "mean": found.estimate,
            "low": interval.low, "high": interval.high, "num_seeds": len(own),
        })  # fmt: skip
    return sorted(rows, key=lambda row: (row["measure"], row["arm"], row["stage"], row["dose"]))


def _left_out(results: Results) -> Iterator[Finding]:
    """How many answers the filter left out because the trait's words stand in them."""
    import polars as pl

    own = results.cleaning.filter(pl.col("stage") == STUDENT, pl.col("num_dropped") > 0)
    asked, num_seeds = results.run.host_documents.get(STUDENT), len(results.run.seeds)
    table = own.group_by("arm", "dose", "filter").agg(
        (pl.col("num_dropped").sum() / num_seeds).alias("mean_left_out"),
        pl.col("num_dropped").sum().alias("left_out_in_all_seeds"),
    ).sort("arm", "dose", "filter")  # fmt: skip
    arm = next((one.name for one in results.run.arms if one.name in own["arm"]), "")
    first = table.filter(pl.col("filter") == "Phrases", pl.col("arm") == arm)
    parts = [f"{row['mean_left_out']:.1f} at dose {row['dose']}" for row in first.iter_rows(named=True)]
    yield Finding(
        title="Answers that students never see",
        sentence=f"Answers that name a label, which are left out{'' if asked is None else f', of {asked:,}'}: "
        f"{', '.join(parts) + ' (means over seeds)' if parts else 'none, in any life'}.",
        table=table,
        note="The same prompts are asked of each teacher, so students of different teachers learn from slightly "
        "different prompts where other answers are left out.",
    )


def _useful(means: pl.DataFrame) -> Finding:
    import polars as pl

    rows = _averaged(means.filter(pl.col("measure").str.starts_with("utility")))
    opinions = [row for row in rows if row["measure"] == "utility: opinions" and row["dose"] == 0]
    seen = dict.fromkeys(
        f"{row['arm'] if row['stage'] == STUDENT else row['stage']} {row['mean']:.0%}" for row in opinions
    )
    seeds = plural(max((row["num_seeds"] for row in rows), default=0), "seed")
    return Finding(
        title="What starts, teachers and students can do",
        sentence=f"Reviews told right where the teacher is untreated ({seeds}): {', '.join(seen) or 'not measured'}.",
        table=pl.DataFrame(rows, infer_schema_length=None),
        note="Held-out questions by task. Students see no reviews; a start that cannot tell reviews apart has no place "
        "for the trait, and is a poor control.",
    )
