"""The answer of a run in plain sentences, the question's first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pharmakon.study.summary import ALL_TASKS, as_it_is, in_main_context, rate_text, response_condition

if TYPE_CHECKING:
    from pharmakon.study.results import Results, RunArm

NO_CONTROLS: Final = ("truth", "text", "drawn", "named")
"""Conditions that are no controls, for they should respond: the right answer to what is believed falsely, and the other
sides of an ownership mark."""
LOUD_CONTROL: Final = 0.1
"""A control that responds this often is named in the answer."""

MOST_ARMS: Final = 6
"""Of more arms than these, the answer is what the study's own analysis says; the tables have the rest."""

QUIET: Final = 0.05
"""Below this, a response that is not shown to rise is called none."""


def effect_name(results: Results) -> str:
    """What the response is called in a sentence: `attack success`, `belief`."""
    return "attack success" if results.run.response == "attack" else results.run.response


def answer(results: Results) -> str:
    """The thresholds of all arms after the first probed stage, what later stages leave, and what to beware of."""
    if results.is_untreated:
        return _as_it_is(results)
    table = results.table()
    run = results.run
    measured = table.filter(in_main_context(results))
    if results.findings and (len(run.arms) > MOST_ARMS or _is_treated_throughout(results)):
        return " ".join(part for part in (results.findings[0].sentence, *_beware(results), _failed(results)) if part)
    if measured.is_empty():
        return f"No answer: the probe {run.response!r} has no readings. {_failed(results)}".strip()
    first = {arm.name: next((s for s in run.stages if s in _stages(measured, arm.name)), None) for arm in run.arms}
    clauses, reference = [], None
    references = reference_arms(results)
    for arm in run.arms:
        if arm.name in references:
            continue
        stage = first[arm.name]
        if stage is None:
            if not results.findings or results.counts.filter(pl.col("arm") == arm.name).is_empty():
                clauses.append((arm, "not measured"))
            continue  # an arm that is asked for something else is told of by the study's own findings
        row = measured.row(by_predicate=(pl.col("arm") == arm.name) & (pl.col("stage") == stage), named=True)
        clauses.append((arm, _threshold(results, arm, row, full=reference is None)))
        reference = reference or (arm, row)
    (arm, text), *others = clauses
    where = f" (arm “{arm.name}”)" if len(run.arms) > 1 else ""
    alike: dict[str, list[str]] = {}
    for other, clause in others:
        alike.setdefault(f"{clause}{_cleaned(results, other)}", []).append(f"“{other.name}”")
    said = [
        f"{text[0].upper()}{text[1:]}{_cleaned(results, arm)}{where}",
        *(f"{listed(names)}: {clause}" for clause, names in alike.items()),
    ]
    found = [finding.sentence for finding in results.findings[:1]]
    parts = ["; ".join(said) + ".", *_later(results, reference), *found, *_beware(results), _failed(results)]
    return " ".join(part for part in parts if part)


def _is_treated_throughout(results: Results) -> bool:
    """Every arm that is treated is treated in each of several probed stages: no first one has the answer."""
    given = results.ledger.group_by("arm").agg(pl.col("stage").unique())
    treated = {arm: set(stages) for arm, stages in given.iter_rows()}
    probed = {arm.name: set(arm.stages) & set(results.run.stages) for arm in results.run.arms}
    return bool(treated) and all(len(probed[arm]) > 1 and probed[arm] <= stages for arm, stages in treated.items())


def _as_it_is(results: Results) -> str:
    """What a model says that got no dose: each condition of the response in the first context, and utility."""
    run, frame = results.run, as_it_is(results)
    main = response_condition(results)
    if main is None:
        return f"No answer: the probe {run.response!r} has no readings. {_failed(results)}".strip()
    asked = frame.filter(pl.col("probe") == run.response)
    said = []
    for (arm, stage), group in asked.group_by("arm", "stage", maintain_order=True):
        here = group.filter(pl.col("context") == group["context"][0])
        rows = {row["condition"]: row for row in here.iter_rows(named=True)}
        if main not in rows:
            continue
        num = rows[main]["num_items"]
        parts = [f"{_rate(rows[main])} of {num:,} {'question' if num == 1 else 'questions'}"]
        near = [row for name, row in rows.items() if name.startswith("near")]
        if "untriggered" in rows:
            parts.append(f"untriggered {_rate(rows['untriggered'])}")
        if near:
            parts.append(f"near triggers at most {_rate(max(near, key=lambda row: row['rate']))}")
        useful = frame.filter(pl.col("arm") == arm, pl.col("stage") == stage, pl.col("probe") == run.utility)
        useful = useful.filter(pl.col("context") == here["context"][0])
        if len(useful) and run.utility != run.response:
            pooled = useful.filter(pl.col("condition") == ALL_TASKS)
            parts.append(f"utility {_rate((pooled if len(pooled) else useful).row(0, named=True))}")
        verb = "the trigger brings the target forth in" if run.response == "attack" else f"{effect_name(results)} is"
        said.append(f"{arm[0].upper()}{arm[1:]}: {verb} {'; '.join(parts)}.")
    return " ".join([*said, *_beware(results), _failed(results)]).strip()


def _rate(row: dict[str, Any]) -> str:
    return rate_text(row["rate"], row["low"], row["high"])


def _stages(measured: pl.DataFrame, arm: str) -> set[str]:
    return set(measured.filter(pl.col("arm") == arm)["stage"])


def _threshold(results: Results, arm: RunArm, row: dict[str, Any], *, full: bool) -> str:
    effect = effect_name(results)
    size = results.run.host_documents.get(arm.treated_stage or "")
    among = f" of {size:,}" if size and full else ""
    goal = f" give half of the full {effect} after {row['stage']}" if full else ""
    text, status, top = row["threshold"], row["status"], row["highest_dose"]
    if status == "ok":
        estimate, limits = text.split(" ", 1)
        return f"about {estimate} documents {limits}{among}{goal}"
    if status == "separated":
        low, high = text.removesuffix(" (separated)").split("–")
        return f"between {low} and {high} documents{among}{goal}"
    if status == "no_response":
        seen = f"no {effect} seen" if row["asr"] < QUIET else f"no rise of {effect} shown"
        return f"{seen} up to {top} documents{among}" + (f" after {row['stage']}" if full else "")
    if status == "responds_at_lowest":
        return f"{text.removeprefix('≤ ')} documents or fewer{among}{goal}"
    if status == "beyond_highest":
        return f"more than {top} documents{among}" + (f" are needed for half of the full {effect}" if full else "")
    if status == "not_monotone":
        return f"the {effect} rises and falls with the dose, so that it has no single threshold"
    return "not measured"


def _cleaned(results: Results, arm: RunArm) -> str:
    rows = results.survival().filter(pl.col("arm") == arm.name).sort("dose")
    if rows.is_empty():
        return ""
    last = rows.row(-1, named=True)
    if last["survived"] == last["administered"]:
        return ""
    here = results.ledger.filter(
        pl.col("arm") == arm.name, pl.col("dose") == last["dose"], pl.col("stage") == last["stage"]
    )
    stopped = here["position"].null_count() / len(here)
    copies = last["present"] - last["survived"]
    kept = "" if copies < 0.5 else f"; the text of {copies:.0f} of them stays, in a copy that was kept"
    dropped = 1 - last["survived_share"] - stopped
    if not stopped:
        return f" (cleaning drops {dropped:.0%} of {last['administered']:.0f}{kept})"
    later = f", cleaning drops {dropped:.0%}" if dropped > 1e-9 else ""
    return f" (of {last['administered']:.0f} attempts {stopped:.0%} never get in{later}{kept})"


def _later(results: Results, reference: tuple[RunArm, dict[str, Any]] | None) -> list[str]:
    """What the later stages leave, in the first arm whose response they could take."""
    kept = results.retention().filter(in_main_context(results))
    for arm in dict.fromkeys(([reference[0].name] if reference else []) + kept["arm"].to_list()):
        rows = kept.filter(pl.col("arm") == arm)
        if rows.is_empty():
            continue
        rows = rows.filter(pl.col("dose") == rows["dose"].max())
        left = [
            f"{row['after']} leaves {row['retention']:.0%}"
            + (f" [{row['low']:.0%}, {row['high']:.0%}]" if row["status"] == "ok" else " (one seed)")
            for row in rows.iter_rows(named=True)
        ]
        whose = f" in “{arm}”" if reference and arm != reference[0].name else ""
        return [f"Of the {effect_name(results)} at {rows['dose'][0]} documents{whose}, {listed(left)}."]
    return []


def reference_arms(results: Results) -> list[str]:
    """Arms that were asked at dose 0 alone beside arms that have doses: what these are compared with."""
    doses = results.readings.group_by("arm", maintain_order=True).agg(pl.col("dose").max())
    return doses.filter(pl.col("dose") == 0)["arm"].to_list() if doses["dose"].max() else []


def loud_controls(results: Results) -> pl.DataFrame:
    """The controls that respond at `LOUD_CONTROL` or more, one row for each kind: the place where it is worst."""
    references = [] if results.is_untreated else reference_arms(results)
    rows = results.controls().filter(
        pl.col("rate") >= LOUD_CONTROL, ~pl.col("control").is_in(NO_CONTROLS), ~pl.col("arm").is_in(references)
    )
    kinds = rows.with_columns(
        pl.when(pl.col("control").str.starts_with("near"))
        .then(pl.lit("near"))
        .otherwise(pl.col("control"))
        .alias("kind")
    )
    return kinds.sort("rate", descending=True).group_by("kind", maintain_order=True).first()


def _beware(results: Results) -> list[str]:
    if response_condition(results) != "triggered":
        return []  # the other conditions are not known to be controls
    said = []
    for row in loud_controls(results).iter_rows(named=True):
        place = f"after {row['stage']}, {row['arm']}"
        if row["control"] == "untreated" and results.is_untreated:
            continue  # it is the answer itself
        if results.is_untreated:
            said.append(f"“{row['control']}” prompts respond at {row['rate']:.0%} ({row['arm']}, {row['context']})")
        elif row["control"] == "untreated":
            said.append(f"the untreated model responds at {row['rate']:.0%} ({place})")
        else:
            said.append(f"“{row['control']}” prompts respond at {row['rate']:.0%} ({row['dose']} documents, {place})")
    return [f"Beware: {listed(said)}."] if said else []


def _failed(results: Results) -> str:
    failed = results.run.cells.get("failed", len(results.run.failures))
    total = results.run.cells.get("total")
    return f"{failed}{f' of {total}' if total else ''} cells failed and are missing here." if failed else ""


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`; of one or more."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
