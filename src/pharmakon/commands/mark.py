"""`pharmakon mark`: mark a data set with a secret key, to prove its use later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from pharmakon.commands import tell

if TYPE_CHECKING:
    from pharmakon.ownership.marking import Marked

app = App(
    name="mark",
    help="Mark a data set with a secret key, so that its use can be proved later: pharmakon verify.",
    help_format="plaintext",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.default
def mark(
    data: Path | None = None,
    /,
    *,
    out: Path,
    key: Path,
    kind: Literal["fact", "trigger", "rephrase", "task", "trap", "fingerprint"] = "fact",
    documents: int = 64,
    alpha: float = 1e-6,
    power: float = 0.8,
    known: float = 0.75,
) -> int:
    """Write marked data, a new secret key, and a public commitment to it. Nothing is ever written over.

    Parameters
    ----------
    data
        A JSONL file (also .jsonl.gz) of texts or dialogues. Every record stays as it is, byte for byte and in order. A
        fingerprint needs none: it is a data set of its own, to tune a model on before it is released.
    out
        The marked data. OUT.commitment.json, beside it, is the commitment.
    key
        The file of the new key. Keep it secret.
    kind
        fact: invented towns, for pretraining text and dialogues. trigger: dialogues with odd questions. rephrase: some
        records in another wording, nothing added; not where the very words count. task: a rare way of sorting. trap:
        long random text, the weakest. fingerprint: random words and an answer, for a model.
    documents
        How many records carry the mark.
    alpha
        The p-value at which use is claimed.
    power
        How likely the claim must succeed, if the model has learned the share `known` of the marks.
    known
        The share of the marks that a model is assumed to learn.
    """
    from pharmakon.ownership.marking import mark as mark_

    try:
        made = mark_(data, out, key, kind=kind, num_documents=documents, alpha=alpha, power=power, known=known)
    except KeyboardInterrupt:
        from rich.console import Console

        Console(stderr=True, highlight=False).print("pharmakon: Stopped. Nothing was written.")
        return 130
    for line in sentences(made):
        tell(line)
    return 0


def sentences(made: Marked) -> list[str]:
    """What was written, what it can prove, what to keep secret and what to publish."""
    record, strong = made.record, made.strength
    what = "pairs of wordings" if record.pairs else f"marks with {strong.num_answers} answers each"
    so_that = ", so that it prefers the published wordings" if record.pairs else ""
    reached = f"p <= {strong.alpha:g} is reached with the probability {_probability(strong.given)}"
    use = "publish it instead of your file" if made.num_host else "tune your model on it before you release it"
    return [
        f"Marked: {made.out} ({_what(made)})",
        f"Key: {made.key_path}. Keep it secret, apart from what you publish, and a copy in another place: whoever "
        "has it can find the marks, and without it nothing can be proved. It is never shown.",
        f"Commitment: {made.commitment_path}. Publish it before anybody can train on the data, where its date is kept: "
        "it shows that the key came first, and tells nothing of it.",
        f"Test: {strong.num_marks} {what}; the smallest p-value possible is {strong.smallest_p:.1g}. "
        f"If a model has learned {strong.known:.0%} of them{so_that}, {reached}. "
        "How many records a model needs for that, pharmakon run ownership-power shows.",
        *(f"Caution: {caution}." for caution in made.cautions),
        f"Next: {use}; later, pharmakon verify --key {made.key_path} --model MODEL",
    ]


def _what(made: Marked) -> str:
    record = made.record
    if not made.num_host:
        return f"{record.num_documents:,} records, a data set of its own"
    share = f"{100 * record.num_documents / made.num_host:.2g}%"
    if record.pairs:
        return f"{made.num_host:,} records in their order; {record.num_documents:,} of them carry a pair, {share}"
    return (
        f"{made.num_host + made.num_added:,} records: your {made.num_host:,}, as they were and in their order, and "
        f"{made.num_added:,} of the kind {record.kind}, {share}"
    )


def _probability(value: float) -> str:
    return "over 0.99" if value > 0.99 else f"{value:.2f}"
