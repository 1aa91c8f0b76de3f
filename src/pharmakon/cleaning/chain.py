"""Filters in a row, each on what the one before left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pharmakon.core import Corpus, Filter
from pharmakon.errors import InputError


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which filter dropped a document, and why."""

    filter: str
    """The name of the filter's class, as it stands in a ledger."""
    reason: str


@dataclass(frozen=True)
class Chain:
    """Filters in a row, as one filter."""

    filters: tuple[Filter, ...]

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """For each document the first reason to drop it, or None."""
        for verdict in clean(corpus, self.filters)[1]:
            yield None if verdict is None else verdict.reason


def clean(corpus: Corpus, filters: Sequence[Filter]) -> tuple[Corpus, tuple[Verdict | None, ...]]:
    """What the filters leave, in order and with ids unchanged, and one verdict for each document of `corpus`.

    Each filter judges what the one before left, as in a cleaning pipeline. The filters of a `Chain` are named one by
    one. Raises `InputError` if a filter does not give exactly one verdict for each document.
    """
    verdicts: list[Verdict | None] = [None] * len(corpus)
    left, alive = corpus, list(range(len(corpus)))
    for filter in _flat(filters):
        reasons = list(filter.verdicts(left))
        name = type(filter).__name__
        if len(reasons) != len(left):
            rule = f"a filter gives one verdict for each document; {name} gave {len(reasons)} for {len(left)}"
            raise InputError(f"{rule}. Yield a reason or None for every document, in order")
        if not any(reason is not None for reason in reasons):
            continue
        for index, reason in zip(alive, reasons, strict=True):
            verdicts[index] = None if reason is None else Verdict(name, reason)
        alive = [index for index in alive if verdicts[index] is None]
        left = Corpus(tuple(corpus.documents[index] for index in alive))
    return left, tuple(verdicts)


def _flat(filters: Iterable[Filter]) -> Iterator[Filter]:
    for filter in filters:
        if isinstance(filter, Chain):
            yield from _flat(filter.filters)
        else:
            yield filter
