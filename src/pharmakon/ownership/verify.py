"""`verify`: asks a model for an owner's marks, and tests whether it likes what the key has drawn.

What the verdict is read from is decided before the first question: log-probabilities, or text where only text comes
back; a fixed exact test, or for a served model the sequential one, which stops as soon as the evidence is decided. A
second figure beside it is never the verdict, and the two are not combined: the smaller of two p-values is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from pharmakon import __version__
from pharmakon.behaviour.marks import Keyed, Shape
from pharmakon.behaviour.marks.key import shuffled
from pharmakon.core import Dialogue, Model, stream
from pharmakon.errors import InputError, RunError
from pharmakon.ownership.evidence import Betting, By, Evidence, best_row, by_logprobs, by_text, smallest_sequential
from pharmakon.ownership.keyfile import OwnerRecord, check_commitment
from pharmakon.ownership.models import DECIMALS, Counted, Found, find_model
from pharmakon.probes.ownership import ALPHA, answer_scores, ask, recognised
from pharmakon.statistics.exchange import Floats, named_power, sequential_power

Told = Literal["used", "not proved", "says nothing"]
NEED_LOGPROBS = ("rephrase", "trap")
"""Kinds whose answers no text names."""
MOST_QUERIES = 2_000
"""To a served model, unless more are allowed."""
FORMAT = "pharmakon verdict 1"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """How a model is asked, and what counts as proof.

    Parameters
    ----------
    asked_in
        Ask in dialogues or in running text; by default in the shape that the data were marked in. A chat model that
        learned marked text can be asked in dialogues.
    text_only
        Read the model's text alone, not its log-probabilities: one query a mark.
    sequential
        Read the evidence after each mark and stop when it is decided. Always so for an endpoint.
    max_queries
        At most so many queries; by default 2,000 to an endpoint, any number to a model on this machine.
    alpha
        The largest p-value that is taken as proof.
    max_tokens
        Tokens of an answer, where text is read.
    """

    asked_in: Shape | None = None
    text_only: Annotated[bool, Parameter(negative="")] = False
    sequential: Annotated[bool, Parameter(negative="")] = False
    max_queries: int | None = None
    alpha: float = ALPHA
    max_tokens: int = 24

    def __post_init__(self) -> None:
        if not 1e-30 <= self.alpha <= 0.1:
            raise InputError(f"alpha lies between 1e-30 and 0.1; got {self.alpha:g}")
        if self.max_queries is not None and self.max_queries < 1:
            raise InputError(f"a model is asked one query or more; got --max-queries {self.max_queries}")
        if self.max_tokens < 1:
            raise InputError(f"an answer has one token or more; got --max-tokens {self.max_tokens}")


@dataclass(frozen=True)
class AskedMark:
    """One mark with what came back: a secret, for the questions and the draw are."""

    mark: Keyed
    place: float | None
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found. Everything but `marks` may be published."""

    model: str
    digest: str | None
    reference: str | None
    kind: str
    asked_in: Shape
    alpha: float
    num_marks: int
    """Of the key."""
    num_queries: int
    max_queries: int | None
    evidence: Evidence
    """From which the verdict is read: decided before the first question."""
    beside: Evidence | None
    """By text alone; not combined with the other."""
    commitment: str
    is_committed: bool
    """A commitment was given, and is that to this key."""
    created: str
    version: str = __version__
    marks: tuple[AskedMark, ...] = field(default=(), repr=False)

    @property
    def told(self) -> Told:
        """The verdict in a word or two."""
        if self.evidence.is_constant:
            return "says nothing"
        return "used" if self.evidence.p <= self.alpha else "not proved"

    def record(self) -> dict[str, Any]:
        """As JSON can hold it, without a secret."""
        from pharmakon.ownership.sentences import sentence

        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("marks", "evidence", "beside")}
        tests = {"evidence": _plain(self.evidence), "beside": self.beside and _plain(self.beside)}
        return {"format": FORMAT, "verdict": self.told, "sentence": sentence(self), **kept, **tests}


def _plain(it: Evidence) -> dict[str, Any]:
    kept = {f.name: getattr(it, f.name) for f in fields(it) if f.name != "null"}
    return {**kept, "null": {f.name: getattr(it.null, f.name) for f in fields(it.null)}}


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What will be asked, fixed before the first question."""

    kind: str
    shape: Shape
    by: By
    is_sequential: bool
    has_text_beside: bool
    most: int | None
    marks: tuple[Keyed, ...]
    """In the order in which they are asked."""
    num_of_key: int
    num_queries: int


def verify(
    record: OwnerRecord,
    model: str,
    how: How = How(),
    *,
    reference: str | None = None,
    commitment: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Ask the model of a word for the marks of a key. Raises `InputError` or `RunError`; writes nothing.

    `reference`: a model that has surely not seen the data; what an answer gets there is taken from its score. That does
    not depend on the draw either, so the test stays exact. `commitment`: its file is checked.
    """
    if commitment is not None:
        check_commitment(record, commitment)
    found = find_model(model)
    other = None if reference is None else find_model(reference)
    plan = _planned(record, found, how, has_reference=other is not None)
    if found.is_served or plan.is_sequential or how.max_queries is not None:
        tell(_announced(plan, how))
    beside: Evidence | None = None
    texts: list[str] = []
    with _explained(plan, found), found.opened as opened, nullcontext() if other is None else other.opened as compared:
        asked = Counted(opened)
        liked = _scored(asked, None if compared is None else Counted(compared))
        if plan.is_sequential:
            evidence, texts = _bet(plan, how, asked, liked)
        else:
            if plan.by == "text" or plan.has_text_beside:
                texts = ask(asked, plan.marks, max_tokens=how.max_tokens, rng=stream(0, "verify"))
                beside = _read(plan.marks, texts)
            if plan.by == "text":
                assert beside is not None
                evidence, beside = beside, None
            else:
                evidence = by_logprobs(liked(plan.marks), [m.drawn for m in plan.marks], is_deaf=asked.is_deaf)
    shown: Sequence[str | None] = texts or [None] * evidence.num_marks
    return Verification(
        model=found.word,
        digest=found.digest,
        reference=None if other is None else other.word,
        kind=plan.kind,
        asked_in=plan.shape,
        alpha=how.alpha,
        num_marks=plan.num_of_key,
        num_queries=asked.num_queries,
        max_queries=plan.most,
        evidence=evidence,
        beside=beside,
        commitment=record.commitment,
        is_committed=commitment is not None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        marks=tuple(AskedMark(*row) for row in zip(plan.marks, evidence.places, shown, strict=False)),
    )


def _marks_of(record: OwnerRecord, shape: Shape) -> list[Keyed]:
    """The marks of a key file, as they are asked in this shape."""
    if record.pairs and shape != record.shape:
        raise InputError("pairs of wordings are asked as they stand in the data; leave --asked-in out")
    return replace(record, shape=shape).keyed()


def _planned(record: OwnerRecord, found: Found, how: How, *, has_reference: bool) -> _Plan:
    shape = how.asked_in or record.shape
    marks = _marks_of(record, shape)
    # By a label of its own: the order does not depend on what is drawn.
    marks = shuffled(record.key, marks, "verify", "order")
    if how.text_only:
        if record.kind in NEED_LOGPROBS:
            raise InputError(f"a mark of the kind {record.kind} is read from log-probabilities; leave --text-only out")
        if has_reference:
            raise InputError("a reference is compared by log-probabilities; leave out --reference or --text-only")
    elif found.is_served and isinstance(marks[0].prompts[0], Dialogue):
        text = "" if record.kind in NEED_LOGPROBS else "ask with --text-only, or "
        text += "" if record.pairs else "ask in running text with --asked-in text, or "
        raise InputError(
            f"no API of an endpoint gives the log-probability of an answer in a dialogue; {text}give the weights"
        )
    by: By = "text" if how.text_only else "log-probabilities"
    is_sequential = how.sequential or found.is_served
    most = how.max_queries or (MOST_QUERIES if found.is_served else None)
    kept, num_queries = _affordable(marks, by, most)
    if not kept:
        raise InputError(f"the first mark takes {num_queries} queries; got --max-queries {most}. Allow more")
    num_answers = len(marks[0].answers)
    least = smallest_sequential(len(kept), num_answers, by) if is_sequential else float(num_answers) ** -len(kept)
    if least > how.alpha:
        way_out = "Give a larger --alpha" if len(kept) == len(marks) else "Give a larger --max-queries or --alpha"
        way_out += ", or mark the data with more marks"
        raise InputError(
            f"{len(kept)} marks of {num_answers} answers give a p-value of {least:.2g} at the least, so that they can "
            f"prove nothing at alpha {how.alpha:g}. {way_out}"
        )
    has_text = not (how.text_only or is_sequential or how.max_queries or record.kind in NEED_LOGPROBS)
    return _Plan(
        kind=record.kind,
        shape=shape,
        by=by,
        is_sequential=is_sequential,
        has_text_beside=has_text,
        most=most,
        marks=tuple(kept),
        num_of_key=len(marks),
        num_queries=num_queries,
    )


def _affordable(marks: Sequence[Keyed], by: By, most: int | None) -> tuple[list[Keyed], int]:
    """The first marks whose questions are no more than `most`, and their number; that of the first mark if none are."""
    asked: set[object] = set()
    kept: list[Keyed] = []
    for mark in marks:
        if by == "text":
            new: set[object] = {mark.name}
        else:
            new = {(p, answer) for p in (*mark.prompts, *mark.neutral) for answer in mark.answers}
        if most is not None and len(asked | new) > most:
            return kept, len(asked) if kept else len(new)
        asked |= new
        kept.append(mark)
    return kept, len(asked)


def _scored(asked: Model, reference: Model | None) -> Callable[[Sequence[Keyed]], Floats]:
    """How much the answers of some marks are liked; compared with the reference if there is one."""

    def liked(marks: Sequence[Keyed]) -> Floats:
        scores = answer_scores(asked, marks)
        return np.round(scores if reference is None else scores - _anyway(reference, marks), DECIMALS)

    return liked


def _anyway(reference: Model, marks: Sequence[Keyed]) -> Floats:
    """What the reference gives each answer: the log of its share among the mark's answers, if that is more than even.

    No answer is preferred because the reference hardly ever says it: what is one in a million there, and a little more
    here, was not learned. Of a pair of wordings the whole difference counts.
    """
    rows = []
    for mark in marks:
        given = reference.logprob([(prompt, answer) for answer in mark.answers for prompt in mark.prompts])
        mean = np.array(given).reshape(len(mark.answers), -1).mean(axis=1)
        share = mean - np.logaddexp.reduce(mean)
        rows.append(share if len(share) == 2 else np.maximum(share, -np.log(len(share))))
    return np.array(rows)


def _read(marks: Sequence[Keyed], texts: Sequence[str]) -> Evidence:
    named = [recognised(mark, text) for mark, text in zip(marks, texts, strict=True)]
    return by_text(named, texts, len(marks[0].answers), [mark.drawn for mark in marks])


def _bet(
    plan: _Plan, how: How, asked: Counted, liked: Callable[[Sequence[Keyed]], Floats]
) -> tuple[Evidence, list[str]]:
    """Mark by mark, until the evidence is decided or there are no more."""
    betting = Betting(plan.by, len(plan.marks[0].answers))
    for number, mark in enumerate(plan.marks):
        if plan.by == "text":
            (text,) = ask(asked, [mark], max_tokens=how.max_tokens, rng=stream(0, "verify", str(number)))
            betting.add(mark, named=recognised(mark, text), text=text)
        else:
            betting.add(mark, liked=liked([mark])[0])
            betting.is_deaf = asked.is_deaf
        if betting.state.p <= how.alpha:
            break
    return betting.evidence(how.alpha), betting.texts


def _announced(plan: _Plan, how: How) -> str:
    """What will be asked, and what that can find."""
    num_answers, shares = len(plan.marks[0].answers), (0.25, 0.5, 1.0)
    if plan.is_sequential:
        row = best_row(num_answers, plan.by)
        powers = [sequential_power(row, len(plan.marks), share, how.alpha) for share in shares]
    else:
        powers = [named_power(len(plan.marks), num_answers, share, how.alpha) for share in shares]
    told = ", ".join(f"{share:.0%} of them with {power:.0%}" for share, power in zip(shares, powers, strict=True))
    bound = "" if plan.most is None else f" (allowed: {plan.most:,})"
    stop = ", fewer if the evidence is decided earlier" if plan.is_sequential else ""
    return (
        f"At most {plan.num_queries:,} queries{bound} for {len(plan.marks)} marks{stop}. The chance to prove the use "
        f"to a model that has learned a part of the marks: {told}."
    )


@contextmanager
def _explained(plan: _Plan, found: Found) -> Iterator[None]:
    """What a server does not give, and the way out."""
    if not found.is_served:
        yield
        return
    from pharmakon.engines.endpoint.client import KEPT, NoLogprobs

    has_text = plan.kind not in NEED_LOGPROBS
    way_out = "Verify by text alone with --text-only" if has_text else f"Marks of the kind {plan.kind} need them"
    other = "give the weights, or ask a server with completions that echo with logprobs, as vLLM has"
    try:
        yield
    except NoLogprobs as error:
        raise InputError(
            f"{found.word} gives no log-probabilities of a given text: {error.reason}. {way_out}; or {other}"
        ) from None
    except RunError as error:
        told = str(error).replace(KEPT, "No answer was written down; run again to begin anew").rstrip(".")
        is_refused = any(f"(status {status})" in told for status in (400, 404, 405, 422, 501))
        if plan.by != "text" and is_refused:
            told += f". If it gives no log-probabilities: {way_out[0].lower()}{way_out[1:]}; or {other}"
        raise RunError(told) from None
