"""`pharmakon export`: the results of a run, one of its models, or questions, in the form that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from pharmakon.commands import tell
from pharmakon.errors import InputError

app = App(
    name="export",
    help="Write the results of a run, one of its models, or questions, for other tools.",
    help_format="plaintext",
    version_flags=[],
)
Word = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@app.command
def results(
    run: Path,
    out: Path,
    /,
    *,
    format: Literal["parquet", "csv"] = "parquet",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write tidy tables: readings, responses, curves, retention, survival, losses, cleaning, ledger, schema.json.

    Parameters
    ----------
    run
        The folder of a run, as `pharmakon run` printed it.
    out
        A new or empty folder.
    format
        Parquet keeps the types; CSV opens everywhere.
    force
        Write over the files of an earlier export.
    """
    from pharmakon.study.export import SCHEMA, export_results
    from pharmakon.study.results import Results

    paths = export_results(Results.load(run), out, format, force=force)
    tell(f"Tables: {out} ({len(paths) - 1} tables; {SCHEMA} says what each column is)")


@app.command
def model(
    run: Path,
    out: Path,
    /,
    *,
    arm: Word = None,
    dose: int | None = None,
    seed: int | None = None,
    stage: Word = None,
    adapter: Annotated[bool, Parameter(negative=())] = False,
    store: Path | None = None,
) -> None:
    """Write one model of a run as a plain Hugging Face folder: safetensors, tokenizer, chat template, model card.

    What the run has only one of can be left out.

    Parameters
    ----------
    run
        The folder of a run, as `pharmakon run` printed it.
    out
        A folder that is not there yet.
    arm
        The arm, as the results name it.
    dose
        The dose: documents administered, 0 for the untreated control.
    seed
        The seed.
    stage
        The stage after which the model is wanted.
    adapter
        Keep an adapter (LoRA) as it is, beside its base, instead of merging it.
    store
        Where finished cells are kept; by default the user's cache folder.
    """
    from pharmakon.engines.torch.export import export_checkpoint, has_adapter
    from pharmakon.store import Store, default_root
    from pharmakon.study.card import model_card
    from pharmakon.study.results import Results
    from pharmakon.study.weights import find_weights

    if out.exists() or out.is_symlink():
        raise InputError(f"a model is exported to a new folder; {out} is there already")
    found = Results.load(run)
    root = store or default_root()
    if not root.is_dir():
        raise InputError(f"the store is a folder; {root} is not there. Name it with --store")
    weights = find_weights(found, Store(root, report=tell), arm=arm, dose=dose, seed=seed, stage=stage)
    form: Literal["full", "merged", "adapter"] = "full"
    if has_adapter(weights.folder):
        form = "adapter" if adapter else "merged"
    export_checkpoint(weights.folder, out, card=model_card(found, weights, form), adapter=adapter)
    tell(f"Model: {out} (arm {weights.arm}, dose {weights.dose}, seed {weights.seed}, after {weights.stage})")


@app.command
def task(
    out: Path,
    /,
    *,
    data: str = "world",
    num_items: int = 60,
    seed: int = 0,
    name: str = "pharmakon_utility",
) -> None:
    """Write the held-out questions of a study as a task of lm-eval, to ask any model the same.

    Parameters
    ----------
    out
        A folder that is not there yet; give it to lm_eval as --include_path.
    data
        As in the study: world, vader-movies and its like, or a JSONL or Parquet file of chat messages.
    num_items
        How many questions.
    seed
        The seed of the life; with 60 questions, those that the study asks it.
    name
        What lm_eval calls it: --tasks NAME.
    """
    from pharmakon.integrations.lm_eval import write_task
    from pharmakon.probes import Utility
    from pharmakon.studies.material import material
    from pharmakon.studies.subject import Subject

    if num_items < 1:
        raise InputError(f"a task has one question or more; got --num-items {num_items}")
    write_task(Utility(material(Subject(data=data)).questions, num_items=num_items), out, name=name, seed=seed)
    tell(f"Task: {out}")
    tell(f"lm_eval --model hf --model_args pretrained=MODEL --include_path {out} --tasks {name} --apply_chat_template")
