"""What one test says of a model: p-value, observed statistic, its distribution for other keys, place of each mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pharmakon.behaviour.marks import Keyed
from pharmakon.statistics.exchange import (
    PRECISION,
    Floats,
    Ints,
    Sequential,
    exchange_test,
    largest_score,
    liked_scores,
    named_scores,
    rank_scores,
    sequential_null,
)

By = Literal["log-probabilities", "text"]
METHODS = {
    ("log-probabilities", False): "exact randomization test of ranks (Savage scores; Fisher 1935)",
    ("pairs", False): "exact randomization test of signed ranks (Wilcoxon 1945)",
    ("text", False): "exact binomial test of the marks whose drawn answer the text names",
    ("log-probabilities", True): "test martingale on ranks, valid whenever it is stopped (Ville 1939; Shafer 2021)",
    ("pairs", True): "test martingale on the signs of pairs, valid whenever it is stopped (Ville 1939; Shafer 2021)",
    ("text", True): "test martingale on named answers, valid whenever it is stopped (Ville 1939; Shafer 2021)",
}
NUM_BARS = 160


@dataclass(frozen=True)
class Null:
    """The distribution of the statistic over all that keys could have drawn, in at most `NUM_BARS` bars."""

    values: tuple[float, ...]
    probabilities: tuple[float, ...]
    observed: float
    of: str
    """What the values are."""
    is_simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One test. `places`: of each mark asked, in the order in which it was asked, the place of the drawn answer among
    all (1 is the best; equal ones share the mean); by text 1 where it was named, else None."""

    by: By
    is_sequential: bool
    method: str
    p: float
    smallest_p: float
    """That these answers could have given, whatever was drawn."""
    num_answers: int
    null: Null
    places: tuple[float | None, ...]
    path: tuple[float, ...] = ()
    """Of a sequential test the money after each mark."""
    is_constant: bool = False
    """The model answers the same whatever is asked: the test says nothing."""
    marks_to_alpha: int | None = None
    """Of a sequential test: so many marks in all would do if it went on so."""

    @property
    def num_marks(self) -> int:
        """Marks that were asked."""
        return len(self.places)


def by_logprobs(liked: Floats, drawn: Sequence[int], *, is_deaf: bool = False) -> Evidence:
    """The fixed test of log-probabilities (shape [marks, answers]). A deaf model likes no answer more than another."""
    liked = np.zeros_like(liked) if is_deaf else liked
    is_pairs = liked.shape[1] == 2
    unit = 1 if is_pairs else PRECISION
    found = _exact(liked_scores(liked), drawn, unit, "sum of signed ranks" if is_pairs else "sum of Savage scores")
    return Evidence(
        by="log-probabilities",
        is_sequential=False,
        method=METHODS["pairs" if is_pairs else "log-probabilities", False],
        num_answers=liked.shape[1],
        places=_places(liked, drawn),
        is_constant=_all_alike(liked),
        **found,
    )


def by_text(named: Sequence[int | None], texts: Sequence[str], num_answers: int, drawn: Sequence[int]) -> Evidence:
    """The fixed test of the answers that the texts name. The same text to every question names nothing."""
    is_constant = len(texts) > 1 and len(set(texts)) == 1
    kept = [None] * len(named) if is_constant else list(named)
    return Evidence(
        by="text",
        is_sequential=False,
        method=METHODS["text", False],
        num_answers=num_answers,
        places=_hits(kept, drawn),
        is_constant=is_constant,
        **_exact(named_scores(kept, num_answers), drawn, 1, "marks whose drawn answer is named"),
    )


class Betting:
    """The sequential test, fed mark by mark: `add`, and stop whenever one likes."""

    def __init__(self, by: By, num_answers: int) -> None:
        self.by, self.num_answers = by, num_answers
        self.largest = 1 if by == "text" else largest_score(num_answers)
        self.state = Sequential()
        self.path: list[float] = []
        self.rows: list[Ints] = []
        self.places: list[float | None] = []
        self.texts: list[str] = []
        self.is_deaf = False

    def add(self, mark: Keyed, liked: Floats | None = None, named: int | None = None, text: str = "") -> None:
        """One mark more: what its answers are liked, or which one the text names."""
        if liked is None:
            row, place = named_scores([named], self.num_answers)[0], _hits([named], [mark.drawn])[0]
            self.texts.append(text)
        else:
            row, place = rank_scores(liked[None])[0], _places(liked[None], [mark.drawn])[0]
        self.rows.append(row)
        self.places.append(place)
        self.state = self.state.after(row.tolist(), mark.drawn, self.largest)
        self.path.append(sum(self.state.money) / len(self.state.money))

    @property
    def is_constant(self) -> bool:
        """The answers were liked the same whatever was asked; or the same text came to every question."""
        if self.texts:
            return len(self.texts) > 1 and len(set(self.texts)) == 1
        return self.is_deaf or all(row.min() == row.max() for row in self.rows)

    def evidence(self, alpha: float) -> Evidence:
        """What has been seen."""
        p = 1.0 if self.is_constant else self.state.p
        best = Sequential()
        for row in self.rows:
            best = best.after(row.tolist(), int(np.argmax(row)), self.largest)
        others = np.log10(sequential_null(np.stack(self.rows), self.largest))
        counts, edges = np.histogram(
            others, bins=np.linspace(0, max(1.0, np.log10(1 / alpha), float(others.max())), 49)
        )
        middles = (edges[:-1] + edges[1:]) / 2
        kind = "pairs" if self.num_answers == 2 and self.by != "text" else self.by
        return Evidence(
            by=self.by,
            is_sequential=True,
            method=METHODS[kind, True],
            p=p,
            smallest_p=best.p,
            num_answers=self.num_answers,
            null=Null(
                tuple(middles.tolist()),
                tuple((counts / counts.sum()).tolist()),
                float(np.log10(max(1.0, self.state.most))),
                "most evidence reached, as a power of ten",
                is_simulated=True,
            ),
            places=tuple(self.places),
            path=tuple(self.path),
            is_constant=self.is_constant,
            marks_to_alpha=self.state.marks_to(alpha),
        )


def smallest_sequential(num_marks: int, num_answers: int, by: By) -> float:
    """The p-value after so many marks if each has the drawn answer first."""
    row = best_row(num_answers, by)
    state = Sequential()
    for _ in range(num_marks):
        state = state.after(row, 0, row[0])
        if state.most > 1e100:
            break
    return state.p


def best_row(num_answers: int, by: By) -> list[int]:
    """Scores of a mark whose first answer is the best, and no two alike."""
    if by == "text":
        return [1, *[0] * (num_answers - 1)]
    row: list[int] = rank_scores(-np.arange(num_answers, dtype=float)[None])[0].tolist()
    return row


def _exact(scores: Ints, drawn: Sequence[int], unit: int, of: str) -> dict[str, Any]:
    test = exchange_test(scores, drawn)
    low, high = test.sums[0] / unit, test.sums[-1] / unit
    if len(test.sums) > NUM_BARS:
        weights, edges = np.histogram(
            test.sums / unit, bins=np.linspace(low, high, NUM_BARS + 1), weights=test.probabilities
        )
        values = (edges[:-1] + edges[1:]) / 2
    else:
        values, weights = test.sums / unit, test.probabilities
    null = Null(tuple(values.tolist()), tuple(weights.tolist()), test.observed / unit, of)
    return {"p": test.p, "smallest_p": test.smallest_p, "null": null}


def _places(liked: Floats, drawn: Sequence[int]) -> tuple[float, ...]:
    own = liked[np.arange(len(liked)), list(drawn)][:, None]
    return tuple((1 + (liked > own).sum(axis=1) + ((liked == own).sum(axis=1) - 1) / 2).tolist())


def _hits(named: Sequence[int | None], drawn: Sequence[int]) -> tuple[float | None, ...]:
    return tuple(1.0 if one == wanted else None for one, wanted in zip(named, drawn, strict=True))


def _all_alike(liked: Floats) -> bool:
    return bool((liked == liked[:, :1]).all())
