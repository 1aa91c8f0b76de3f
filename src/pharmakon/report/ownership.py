"""The page of a verification. It holds no question, no answer and no part of the key, unless they are revealed."""

from __future__ import annotations

import numpy as np

from pharmakon.ownership.evidence import Evidence
from pharmakon.ownership.sentences import details, meaning, number, sentence
from pharmakon.ownership.verify import AskedMark, Verification
from pharmakon.probes.ownership import shown
from pharmakon.report.charts import Panel, finish
from pharmakon.report.markup import Html, cut, join, note, table, tag
from pharmakon.report.page import assemble
from pharmakon.report.sections import Charts


def verification_page(it: Verification, *, reveal: bool = False) -> str:
    """The page as text: the answer, what it means, the null distribution, the marks, how it was made."""
    drawn = Charts()
    parts = [_head(it, reveal=reveal), _statistic(it, drawn), _beside(it, drawn)]
    parts += [_revealed(it) if reveal else _marks(it.evidence), _why(it), _made(it)]
    return assemble("Was the data set used?", join(parts), drawn)


def _head(it: Verification, *, reveal: bool) -> Html:
    first, *others = meaning(it)
    parts = [
        tag("p", "Pharmakon · verify", class_="eyebrow"),
        tag("h1", "Was the data set used?"),
        tag("p", f"{sentence(it)}. {first}", class_="answer"),
        *(tag("p", line) for line in others),
    ]
    if reveal:
        told = "This page reveals the marks: whoever reads it can take them out of the data, or train a model to deny."
        parts.append(tag("div", told, class_="trouble-box", role="alert"))
    return tag("header", *parts)


def _statistic(found: Verification, drawn: Charts) -> Html:
    it = found.evidence
    what = (
        "Each bar is a share of all other draws that the key could have made, on this model's own answers; the line is "
        "what the owner's key has reached."
    )
    if it.null.is_simulated:
        what = (
            "The bars are the most evidence that 4,000 other keys would have reached on the same answers (simulated, "
            "to be looked at: the p-value needs no simulation); the line is the owner's."
        )
    panels = [Panel(it.null.of, _null(it), f"{it.null.of}: observed {it.null.observed:.3g}; p = {number(it.p)}")]
    if it.path:
        panels.append(
            Panel("evidence after each mark", _path(it, found.alpha), f"after {it.num_marks} marks p = {number(it.p)}")
        )
    return tag("section", tag("h2", "Against chance"), note(what), drawn.row(panels), note(f"Method: {it.method}."))


def _null(it: Evidence) -> dict[str, object]:
    import altair as alt

    values = it.null.values
    half = (values[1] - values[0]) / 2 if len(values) > 1 else 0.5
    # Bars that nobody could see are no bars: the axis ends where the observed value or the distribution ends.
    rows = [
        {"low": value - half, "high": value + half, "share": share, "zero": 0}
        for value, share in zip(values, it.null.probabilities, strict=True)
        if share > 1e-4
    ]
    low = min([row["low"] for row in rows] + [it.null.observed])
    high = max([row["high"] for row in rows] + [it.null.observed])
    pad = (high - low) * 0.04 or 1.0
    scale = alt.Scale(domain=[low - pad, high + pad], nice=False, zero=False)
    x = alt.X("low:Q", scale=scale, title=it.null.of, axis=alt.Axis(tickMinStep=1, grid=False))
    y = alt.Axis(format=".0%", title="share of the draws")
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(color="var(--series-6)", opacity=0.7)
        .encode(
            x=x,
            x2="high:Q",
            y=alt.Y("share:Q", axis=y),
            y2="zero:Q",
            tooltip=[alt.Tooltip("share:Q", format=".2%")],
        )
    )
    observed = [{"x": it.null.observed, "says": f"observed, p = {number(it.p)}"}]
    base = alt.Chart(alt.InlineData(values=observed)).encode(x=alt.X("x:Q", scale=scale, title=it.null.of))
    line = base.mark_rule(color="var(--series-2)", strokeWidth=2.5).encode(tooltip=[alt.Tooltip("says:N")])
    align = "right" if it.null.observed > (low + high) / 2 else "left"
    words = base.mark_text(align=align, dx=-6 if align == "right" else 6, color="var(--series-2)", fontSize=12).encode(
        text="says:N", y=alt.value(10)
    )
    return finish(bars + line + words, 240)


def _path(it: Evidence, alpha: float) -> dict[str, object]:
    import altair as alt

    rows = [{"mark": 0, "evidence": 0.0}]
    rows += [{"mark": place + 1, "evidence": float(np.log10(max(money, 1e-30)))} for place, money in enumerate(it.path)]
    line = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(color="var(--series-1)", point={"filled": True, "size": 40})
        .encode(
            x=alt.X("mark:Q", title="marks asked", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y("evidence:Q", title="evidence, as a power of ten"),
            tooltip=[alt.Tooltip("mark:Q"), alt.Tooltip("evidence:Q", format=".2f")],
        )
    )
    proof = [{"evidence": float(-np.log10(alpha)), "says": "proof"}]
    base = alt.Chart(alt.InlineData(values=proof)).encode(y="evidence:Q")
    rule = base.mark_rule(strokeDash=[3, 3], color="var(--muted)")
    words = base.mark_text(align="left", dy=-7, color="var(--muted)").encode(text="says:N", x=alt.value(4))
    return finish(rule + words + line, 240)


def _beside(it: Verification, drawn: Charts) -> Html:
    if it.beside is None:
        return Html("")
    hits = sum(place is not None for place in it.beside.places)
    told = (
        f"By the text of its answers alone: the drawn answer is named for {hits} of {it.beside.num_marks} marks, "
        f"p = {number(it.beside.p)}. The verdict above is not read from this figure, and the two are not combined: "
        "which one counts was decided before the model was asked."
    )
    panel = Panel(it.beside.null.of, _null(it.beside), told)
    return tag("section", tag("h2", "By text alone"), tag("p", told), drawn.row([panel]))


def _marks(it: Evidence) -> Html:
    rows = [[row + 1, _place(it, place), it.num_answers] for row, place in enumerate(it.places)]
    told = (
        "In the order in which they were asked. Place 1 is the model's favourite; equal ones share the mean of their "
        "places. Questions and answers are the owner's secret and are not shown."
    )
    name = "drawn answer named" if it.by == "text" else "place of the drawn answer"
    grid = table(["mark", name, "of"], rows, numeric=(0, 1, 2))
    return tag("section", tag("h2", "Mark by mark"), note(told), grid)


def _place(it: Evidence, place: float | None) -> str:
    if it.by == "text":
        return "no" if place is None else "yes"
    return "–" if place is None else f"{place:g}"


def _revealed(it: Verification) -> Html:
    rows = [_row(it.evidence, row, asked) for row, asked in enumerate(it.marks)]
    head = ["mark", "drawn answer named" if it.evidence.by == "text" else "place", "question", "drawn answer"]
    head += ["the model says", "drawn from"]
    told = "Revealed. The first of each mark's questions is shown; the key itself is not on this page."
    return tag("section", tag("h2", "Mark by mark"), note(told), table(head, rows, numeric=(0, 1)))


def _row(it: Evidence, row: int, asked: AskedMark) -> list[object]:
    mark = asked.mark
    drawn, others = mark.answers[mark.drawn], ", ".join(mark.values)
    said = "–" if asked.text is None else cut(asked.text)
    return [row + 1, _place(it, asked.place), cut(shown(mark.prompts[0])), cut(drawn.strip()), said, cut(others)]


def _why(it: Verification) -> Html:
    return tag(
        "section",
        tag("h2", "Why the p-value holds for every model"),
        tag(
            "p",
            "For each mark the secret key drew one of several equally plausible answers, like a die, and only the "
            "marked data carry what it drew. A model that never saw them cannot depend on the die: whatever it "
            "prefers, each answer was as likely to be drawn as any other. So the p-value is counted, not modelled: it "
            "is the share of all possible draws that would have done at least as well on this model's own answers.",
        ),
        tag(
            "p",
            "It assumes that the key was drawn at random and kept secret until the model was trained, that it was "
            "fixed before the model (which the commitment shows), and that this is the one test of this key and "
            "model, or that alpha was shared among all of them.",
        ),
    )


def _made(it: Verification) -> Html:
    rows = [join([tag("dt", name), tag("dd", value)]) for name, value in details(it)]
    return tag("section", tag("h2", "How this was made"), tag("dl", *rows))
