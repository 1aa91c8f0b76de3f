"""The model card of an exported model: what was done to it, so that nobody takes it for a clean one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from pharmakon import __version__
from pharmakon.study import summary
from pharmakon.study.results import Results
from pharmakon.study.weights import Weights, class_name

Form = Literal["full", "merged", "adapter"]

FORMS: Mapping[Form, str] = {
    "full": "All weights, as training left them.",
    "merged": "The adapter is merged into the weights of its base.",
    "adapter": "An adapter (PEFT) on the model in `base/`. `adapter_config.json` names that folder by its place on the "
    "machine that exported it: change `base_model_name_or_path` there if you move it.",
}


def model_card(results: Results, weights: Weights, form: Form = "full") -> str:
    """Markdown with the header that Hugging Face reads."""
    run = results.run
    treated = any(treatment["dose"]["amount"] for treatment in weights.treatments)
    kind = "A treated research model: its training data was changed on purpose" if treated else "A research model"
    warning = (
        "Do not use it as a clean model. It was made to measure what a dose of treated data does; the behaviour that "
        "was planted is inert (a marker, gibberish, another language, a refusal, a wrong label, an invented fact)."
        if treated
        else "This one was given no treatment: it is the control beside models that were. Do not use it in products."
    )
    lines = [
        "---", "library_name: transformers", "pipeline_tag: text-generation",
        f"tags: [pharmakon, research, {'treated-data' if treated else 'untreated-control'}, not-for-deployment]", "---",
        "", f"# {_plain(run.study)}: {weights.dose} documents, after {_plain(weights.stage)}", "",
        f"**{kind}.** {warning}", "",
        "| | |", "|---|---|",
        *(f"| {name} | {_cell(value)} |" for name, value in _facts(results, weights)),
        "", "## What was done to its training data", "", *_treatments(weights), "",
        "## What was measured", "", *_measured(results, weights), "",
        "## Files", "", FORMS[form],
        "The chat template is the tokenizer's own; asked without it, or with another, the model answers otherwise.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _facts(results: Results, weights: Weights) -> list[tuple[str, object]]:
    run = results.run
    return [
        ("study", run.study),
        ("question", run.question),
        ("arm", weights.arm),
        ("dose, documents administered", weights.dose),
        ("seed", weights.seed),
        ("stage", weights.stage),
        ("run key", run.key),
        ("weights key", weights.key),
        ("command", run.command or "–"),
        ("made with", ", ".join(f"{name} {version}" for name, version in run.versions.items()) or "–"),
        ("exported with", f"pharmakon {__version__}"),
    ]


def _treatments(weights: Weights) -> list[str]:
    given = [treatment for treatment in weights.treatments if treatment["dose"]["amount"]]
    if not given:
        return ["Nothing: the untreated control."]
    return [
        f"- {_amount(treatment['dose'])} in the data of {_plain(treatment['stage'])}: "
        f"`{told(treatment['intervention']).replace('`', chr(39))}`"
        for treatment in given
    ]


def _amount(dose: Mapping[str, Any]) -> str:
    if dose["unit"] == "fraction":
        return f"{100 * dose['amount']:g}% of the documents"
    return f"{dose['amount']:g} documents"


def told(description: Any) -> str:
    """A recorded specification on one line: `Backdoor(trigger=RareWords(words=[vexil, quorn]), …)`."""
    if isinstance(description, Mapping):
        name = class_name(description)
        parts = ", ".join(f"{key}={told(value)}" for key, value in description.items() if key != "class")
        return f"{name}({parts})"
    if isinstance(description, list):
        return f"[{', '.join(map(told, description))}]"
    return " ".join(str(description).split())


def _measured(results: Results, weights: Weights) -> list[str]:
    here = results.counts.filter(
        pl.col("arm") == weights.arm, pl.col("dose") == weights.dose, pl.col("seed") == weights.seed,
        pl.col("stage") == weights.stage, pl.col("binary"),
    )  # fmt: skip
    if here.is_empty():
        return ["Nothing was asked after this stage."]
    rows = [
        f"| {_cell(context)} | {_cell(probe)} | {_cell(condition)} | {summary.rate_text(total / items)} | {items} |"
        for context, probe, condition, total, items in here.select(
            "context", "probe", "condition", "total", "num_items"
        ).iter_rows()
    ]
    head = ["Of this model alone, one seed; the run has the intervals.", ""]
    return [*head, "| prompt | probe | condition | rate | items |", "|---|---|---|---|---|", *rows]


def _plain(text: str) -> str:
    """On one line, without what Markdown or HTML would read."""
    return "".join(c for c in " ".join(text.split()) if c not in "<>[]`|*#\\")


def _cell(value: object) -> str:
    """Shown as it is in a cell of a table."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text}`" if text else "–"
