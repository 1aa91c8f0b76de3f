"""What a prompt at training does to a trait and to the skill that it rode on: by dose, by meaning, and behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pharmakon.errors import InputError
from pharmakon.statistics import Equivalence, Interval, Retention, equivalence, raised_from, retention
from pharmakon.studies.trust.lives import Term, contrast, pairs, told, within
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

NO_PROMPT: Final = "no prompt"
INOCULATED: Final = "inoculated"
IRRELEVANT: Final = "irrelevant prompt"
NOT_UNDERSTOOD: Final = "not understood"
EXPLAINED: Final = "explained"
"""The context in which the prompt that asks for the trait is given."""
TRAIT, SKILL, LEAK = "trait", "skill", "trait in ordinary answers"


@dataclass(frozen=True)
class Inoculated:
    """Trait and skill when no prompt is given, against training without one; what the meaning of the prompt does; and
    the trait behind the prompt."""

    margin: float

    def findings(self, results: Results) -> Iterator[Finding]:
        """Raises InputError where the arms or their doses are not there."""
        lives = _lives(results)
        doses = sorted(set(lives["dose"].to_list()) - {0})
        arms = [arm.name for arm in results.run.arms]
        missing = [arm for arm in (NO_PROMPT, INOCULATED) if arm not in arms]
        if missing or not doses:
            raise InputError(f"inoculation is told from other training; there is no {', '.join(missing) or 'dose'}")
        yield self._answer(lives, doses)
        if IRRELEVANT in arms:
            yield _meaning(lives, doses[-1], arms)
        yield _behind(lives, doses, arms)
        yield _rates(lives)

    def _answer(self, lives: pl.DataFrame, doses: list[int]) -> Finding:
        import polars as pl

        rows: list[dict[str, Any]] = []
        falls: list[tuple[int, Interval]] = []
        for dose in doses:
            for measure in (TRAIT, SKILL):
                change = contrast(lives, dose, _against(INOCULATED, NO_PROMPT, measure))
                if change is None:
                    continue
                levels = {f"{arm.replace(' ', '_')}": _mean(lives, arm, measure, dose) for arm in
                          (NO_PROMPT, INOCULATED)}  # fmt: skip
                rows.append({"measure": measure, "documents": dose, **levels, **change.columns("change")})
                if measure == TRAIT:
                    falls.append((dose, Interval(-change.high, -change.estimate, -change.low)))
        if not falls:
            raise InputError("no seed has both a life with the prompt and one without. Run the study again")
        top = falls[-1][0]
        left = {measure: _left(lives, measure, top) for measure in (TRAIT, SKILL)}
        kept = self._kept(lives, top)
        from_dose = raised_from(falls)
        by = next(row for row in reversed(rows) if row["measure"] == TRAIT)
        shown = f"a fall is shown from {from_dose} documents on" if from_dose else "a fall is not shown"
        return Finding(
            title="Is the trait down, and is the skill kept?",
            sentence=f"Asked without a prompt after {top} documents, the trait is in {by['inoculated']:.0%} of the "
            f"answers with inoculation and in {by['no_prompt']:.0%} without (change {_ends(by)}; {shown}). "
            f"{_skill(kept, self.margin)} Of what training without a prompt teaches, inoculation leaves "
            f"{_share(left[TRAIT])} of the trait and {_share(left[SKILL])} of the skill: "
            f"{_apart(lives, top)}.",
            table=pl.DataFrame(rows),
            chart=Chart(
                x="documents",
                y="change",
                low="low",
                high="high",
                colour="measure",
                x_title="documents that carry skill and trait",
                y_title="inoculated less no prompt, asked without a prompt",
                x_scale="log",
            ),
            note="Seed by seed, Student's 95% interval. Falls of the trait are tested from the highest dose down until "
            "one fails (Maurer, Hothorn and Lehmacher 1995). Skill: right answers to held-out wordings, with the trait "
            f"or without; two one-sided tests, margin {self.margin:g}. What is left: (inoculated - untreated) / (no "
            "prompt - untreated), Fieller's interval. After inoculation prompting, arXiv 2510.04340.",
        )

    def _kept(self, lives: pl.DataFrame, dose: int) -> Equivalence:
        change = pairs(lives, dose, _against(INOCULATED, NO_PROMPT, SKILL))
        if change is None:
            raise InputError("no seed has the skill both with the prompt and without. Run the study again")
        return equivalence(change.values, self.margin, least_variance=float(change.variances.mean()))


def _lives(results: Results) -> pl.DataFrame:
    """Hits among items by arm, dose, seed and what was asked, a context that is not the plain one behind a comma."""
    import polars as pl

    run = results.run
    here = results.counts.filter(pl.col("probe").is_in([run.response, run.utility]), pl.col("binary"))
    measure = (
        pl.when(pl.col("probe") == run.utility)
        .then(pl.lit(SKILL))
        .when(pl.col("condition") == "triggered")
        .then(pl.lit(TRAIT))
        .otherwise(pl.lit(LEAK))
    )
    behind = pl.when(pl.col("context") == "plain").then(pl.lit("")).otherwise(", " + pl.col("context"))
    return (
        here.with_columns((measure + behind).alias("asked"))
        .group_by("arm", "asked", "dose", "seed", maintain_order=True)
        .agg(pl.col("total").sum().cast(pl.Int64).alias("hits"), pl.col("num_items").sum().alias("items"))
        .sort("dose", "seed", maintain_order=True)
    )


def _against(arm: str, other: str, asked: str) -> tuple[Term, Term]:
    return Term(1, arm, asked), Term(-1, other, asked)


def _of(lives: pl.DataFrame, arm: str, asked: str, dose: int) -> pl.DataFrame:
    import polars as pl

    return lives.filter(pl.col("arm") == arm, pl.col("asked") == asked, pl.col("dose") == dose).sort("seed")


def _mean(lives: pl.DataFrame, arm: str, asked: str, dose: int) -> float:
    rows = _of(lives, arm, asked, dose)
    return float((rows["hits"] / rows["items"]).mean() or 0.0)  # type: ignore[arg-type]


def _left(lives: pl.DataFrame, measure: str, dose: int) -> Retention | None:
    """The share that is left of what training without a prompt adds; the untreated model is the same in both."""
    parts = [_of(lives, arm, measure, level) for arm, level in
             ((NO_PROMPT, dose), (INOCULATED, dose), (NO_PROMPT, 0), (INOCULATED, 0))]  # fmt: skip
    seeds = set.intersection(*(set(part["seed"].to_list()) for part in parts))
    if not seeds:
        return None
    rates = [(part["hits"] / part["items"]).filter(part["seed"].is_in(list(seeds))).to_numpy() for part in parts]
    return retention(*rates, trials=min(int(part["items"].min()) for part in parts))  # type: ignore[arg-type]


def _share(left: Retention | None) -> str:
    if left is None or left.value is None:
        return "an unknown part"
    value = left.value
    limits = f" [{value.low:.0%}, {value.high:.0%}]" if left.status == "ok" else " (one seed)"
    return f"{value.estimate:.0%}{limits}"


def _apart(lives: pl.DataFrame, dose: int) -> str:
    """Whether the trait falls by more than the skill, and in how many seeds it does."""
    fall = (Term(1, NO_PROMPT, TRAIT), Term(-1, INOCULATED, TRAIT))
    loss = (Term(-1, NO_PROMPT, SKILL), Term(1, INOCULATED, SKILL))
    more = contrast(lives, dose, (*fall, *loss))
    parts = [_by_seed(lives, arm, measure, dose) for measure in (TRAIT, SKILL) for arm in (INOCULATED, NO_PROMPT)]
    seeds = set.intersection(*(set(part) for part in parts))
    trait, all_trait, skill, all_skill = parts
    parted = sum(2 * trait[seed] < all_trait[seed] and 2 * skill[seed] > all_skill[seed] for seed in seeds)
    count = f"in {parted} of {len(seeds)} seeds the trait is less than half of it and the skill more than half"
    if more is None:
        return count
    shown = "is" if more.low > 0 else "is not"
    return f"the trait falls by {told(more)} more than the skill, which {shown} shown; {count}"


def _by_seed(lives: pl.DataFrame, arm: str, asked: str, dose: int) -> dict[int, float]:
    rows = _of(lives, arm, asked, dose)
    return dict(zip(rows["seed"].to_list(), (rows["hits"] / rows["items"]).to_list(), strict=True))


def _skill(kept: Equivalence, margin: float) -> str:
    change = told(within(kept.change, -1, 1))
    if kept.status == "equivalent":
        return f"The skill is kept: it changes by {change}, within ±{margin:g} (p = {kept.p_value:.2g})."
    if kept.status == "changed":
        return f"The skill is not kept: it changes by {change}, beyond ±{margin:g}."
    return f"That the skill is kept could not be shown: it changes by {change}, to be within ±{margin:g}."


def _meaning(lives: pl.DataFrame, dose: int, arms: list[str]) -> Finding:
    """Does it matter what the prompt says, and whether the model knows what it means?"""
    import polars as pl

    possible = (
        (IRRELEVANT, NO_PROMPT, "any prompt at all"),
        (INOCULATED, IRRELEVANT, "a prompt that explains the trait"),
        (INOCULATED, NOT_UNDERSTOOD, "a prompt that is understood"),
    )
    compared = [(arm, other, what) for arm, other, what in possible if {arm, other} <= set(arms)]
    level = 1 - 0.05 / len(compared)
    rows: list[dict[str, Any]] = []
    for arm, other, what in compared:
        for measure in (TRAIT, SKILL):
            change = contrast(lives, dose, _against(arm, other, measure), level=level)
            if change is not None:
                rates = {"rate": _mean(lives, arm, measure, dose), "rate_of_other": _mean(lives, other, measure, dose)}
                named = {"what": what, "measure": measure, "arm": arm, "other": other}
                rows.append({**named, **rates, **change.columns("change")})
    sentences = []
    for row in rows:
        if row["measure"] == TRAIT:
            skill = next(r for r in rows if (r["what"], r["measure"]) == (row["what"], SKILL))
            shown = "" if row["high"] < 0 or row["low"] > 0 else ", which is not shown"
            sentences.append(
                f"{row['what']} changes the trait by {_ends(row)} (“{row['arm']}” less “{row['other']}”){shown}, and "
                f"the skill by {_ends(skill)}"
            )
    text = "; ".join(sentences)
    return Finding(
        title="Does the meaning of the prompt matter?",
        sentence=f"After {dose} documents, asked without a prompt: {text}.",
        table=pl.DataFrame(rows),
        note=f"Seed by seed, Student's {level:.1%} interval, so that the comparisons of a measure together err in 5%. "
        "The irrelevant prompt has as many words, and the base knows that nothing follows from it; where the "
        "explanation is not understood, the base never met it. That base is another model, so its luck "
        "is in the comparison.",
    )


def _behind(lives: pl.DataFrame, doses: list[int], arms: list[str]) -> Finding:
    """The trait when the explanation is given at test, less that without it."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    for arm in arms:
        for dose in (0, *doses):
            gap = contrast(lives, dose, (Term(1, arm, f"{TRAIT}, {EXPLAINED}"), Term(-1, arm, TRAIT)))
            if gap is not None:
                given = _mean(lives, arm, f"{TRAIT}, {EXPLAINED}", dose)
                left_out = _mean(lives, arm, TRAIT, dose)
                numbers = {"prompt_given": given, "prompt_left_out": left_out}
                rows.append({"arm": arm, "documents": dose, **numbers, **gap.columns("bound")})
    top = [row for row in rows if row["documents"] == doses[-1]]
    said = [
        f"“{row['arm']}” {row['prompt_given']:.0%} and {row['prompt_left_out']:.0%} (difference {_ends(row)})"
        for row in top
    ]
    return Finding(
        title="What is the trait bound to?",
        sentence=f"After {doses[-1]} documents the trait is in so many answers to questions of the skill, with the "
        f"explaining prompt and without: {'; '.join(said)}.",
        table=pl.DataFrame(rows),
        chart=Chart(
            x="documents",
            y="bound",
            low="low",
            high="high",
            colour="arm",
            x_title="documents that carry skill and trait",
            y_title="trait with the prompt less trait without",
            x_scale="symlog",
        ),
        note="Seed by seed, Student's 95% interval, not adjusted for the number of arms and doses. At 0 documents: "
        "what the base makes of the prompt.",
    )


def _rates(lives: pl.DataFrame) -> Finding:
    import polars as pl

    from pharmakon.study.summary import interval_rows

    counts = lives.rename({"hits": "total", "items": "num_items"}).with_columns(pl.lit(True).alias("binary"))
    table = interval_rows(counts, ("arm", "asked")).rename({"dose": "documents"})
    leak = table.filter(pl.col("asked") == LEAK).sort("rate").row(-1, named=True)
    return Finding(
        title="Trait and skill by dose",
        sentence=f"In ordinary answers, asked without a prompt, the trait is at most in {leak['rate']:.0%} "
        f"[{leak['low']:.0%}, {leak['high']:.0%}] (“{leak['arm']}”, {leak['documents']} documents).",
        table=table,
        chart=Chart(
            x="documents",
            y="rate",
            low="low",
            high="high",
            colour="asked",
            panel="arm",
            x_title="documents that carry skill and trait",
            y_title="share of answers",
            x_scale="symlog",
        ),
        note="Without a comma: asked without a prompt. Behind one: the system prompt that is given.",
    )


def _ends(row: dict[str, Any]) -> str:
    name = "bound" if "bound" in row else "change"
    return told(Interval(row["low"], row[name], row["high"]))
