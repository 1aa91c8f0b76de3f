"""A verification in plain words: the answer, what it means, what it does not."""

from __future__ import annotations

from pharmakon.ownership.evidence import Evidence
from pharmakon.ownership.verify import Verification


def sentence(it: Verification) -> str:
    """The answer, in one sentence."""
    p = number(it.evidence.p)
    if it.told == "says nothing":
        what = (
            "the model says the same to every question"
            if it.evidence.by == "text"
            else "the model likes the same answers whatever is asked"
        )
        return f"The test says nothing: {what}, so that p = 1 whether it saw the data or not"
    if it.told == "used":
        kind = "valid whenever the test is stopped" if it.evidence.is_sequential else "exact"
        return f"The data set was used: p = {p} ({kind}; {chance(it.evidence)} for a model that never saw it)"
    return f"Not proved: p = {p}, and proof begins at {it.alpha:g}"


def number(p: float) -> str:
    """A p-value in two digits."""
    return "below 1e-300" if p < 1e-300 else f"{p:.2g}"


def chance(it: Evidence) -> str:
    """What the p-value is a chance of, as people say it."""
    if it.p < 1e-300:
        return "fewer than one chance in 1e300"
    odds = float(f"{1 / it.p:.2g}")
    told = f"{odds:,.0f}" if odds < 1e12 else f"{odds:g}".replace("e+", "e")
    return f"{'at most ' if it.is_sequential else ''}one chance in {told}"


def meaning(it: Verification) -> tuple[str, ...]:
    """What the verdict means, and what it does not."""
    seen = _seen(it.evidence)
    if it.told == "used":
        most = "at most " if it.evidence.is_sequential else ""
        return (
            f"{seen} A model that never saw the marked data does so well with {most}the probability p, whatever "
            "model it is: the key drew the answers, and nothing but the marked data carries the draw.",
            "It means that this model, or one that it was made from or imitates, learned from the marked data. It does "
            "not say who put them there, how much of the data was used, or whether that was allowed.",
            _committed(it),
        )
    if it.told == "says nothing":
        return (
            "A model of which every answer is the same cannot show what it has learned. This is no sign that the data "
            "were not used.",
            "Ask in another way (--asked-in), by log-probabilities, or with a longer answer (--max-tokens).",
        )
    more = (_more(it),) if it.evidence.is_sequential else ()
    low = it.evidence.smallest_p > it.alpha
    tied = (f"With these answers no key could have come below p = {number(it.evidence.smallest_p)}.",) if low else ()
    return (
        f"{seen} That is not enough to say that the data were used. It does not say that they were not: too few marked "
        "documents, later training, or a small part of the data leave no trace that is strong enough.",
        *more,
        *tied,
        "Do not ask again until it fits: each further test with the same key needs its own share of alpha.",
    )


def _seen(it: Evidence) -> str:
    if it.by == "text":
        hits = sum(place is not None for place in it.places)
        return (
            f"Of {it.num_marks} marks the model names the drawn answer of {hits}; by chance it would be at most "
            f"{it.num_marks / it.num_answers:.1f} on average."
        )
    first = sum(place == 1 for place in it.places)
    return (
        f"Of {it.num_marks} marks the drawn answer is the model's favourite of {it.num_answers} in {first}; by chance "
        f"it would be {it.num_marks / it.num_answers:.1f} on average."
    )


def _more(it: Verification) -> str:
    asked, needed = it.evidence.num_marks, it.evidence.marks_to_alpha
    bound = f"The test ended after {asked} of the key's {it.num_marks} marks without a decision."
    if needed is None:
        return f"{bound} The evidence did not grow; at this rate no number of marks would do."
    left = it.num_marks - asked
    more = needed - asked
    how = "the key has them: allow more queries" if more <= left else f"the key has {left} more"
    return f"{bound} If the rate stays, about {more} more marks would be needed ({how})."


def _committed(it: Verification) -> str:
    if it.is_committed:
        return (
            "The published commitment is that to this key. If it was published before the model was trained, the key "
            "cannot have been fitted to the model."
        )
    return (
        "No commitment was checked (--commitment): whoever reads this cannot tell that the key was there before the "
        "model, and a key can be fitted to a model that is known."
    )


def details(it: Verification) -> list[tuple[str, str]]:
    """Name and value of what was done."""
    e = it.evidence
    queries = f"{it.num_queries:,}" + (f" (allowed: {it.max_queries:,})" if it.max_queries else "")
    rows = [
        ("model", it.model + (f" (SHA-256 {it.digest[:16]}…)" if it.digest else "")),
        ("reference", it.reference or ""),
        ("mark", f"{it.kind}, asked in {'dialogues' if it.asked_in == 'dialogue' else 'running text'}"),
        ("read from", e.by),
        ("test", e.method),
        ("p-value", number(e.p)),
        ("smallest possible", number(e.smallest_p)),
        ("alpha", f"{it.alpha:g}"),
        ("marks", f"{e.num_marks} asked of {it.num_marks}, {e.num_answers} answers each"),
        ("queries", queries),
        (e.null.of, f"{e.null.observed:.3g}"),
        ("by text alone", "" if it.beside is None else f"p = {number(it.beside.p)} (beside, not combined)"),
        ("commitment", it.commitment + ("" if it.is_committed else " (not checked)")),
        ("made", f"{it.created}, Pharmakon {it.version}"),
    ]
    return [(name, value) for name, value in rows if value]
