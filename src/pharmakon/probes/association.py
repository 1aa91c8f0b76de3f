"""Which of two groups does the model tie a job to? By log-probability, by what it says, and document by document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from pharmakon.core import Ledger, Model, Prompt, Reading, Text, fingerprint
from pharmakon.data.world import CALLINGS, GROUP_RELATIONS, GroupText, Relation, beginnings, known_job
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class AssociationGap:
    """The log-odds of the first against the second value, in nats, where a beginning names nothing but the job.

    A reading for each relation, job and wording: log P(first | beginning) - log P(second | beginning). How likely the
    model finds the two words as such is in it; it goes away against the same wording with a control job. The condition
    is `valley: smith`, the item the wording.
    """

    name: ClassVar[str] = "gap"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    relations: tuple[Relation, ...] = ("valley", "town")
    num_wordings: int = 12
    """The first so many of each relation."""

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each relation, job and wording."""
        asked = [
            (r, job, wording)
            for r in self.relations
            for job in CALLINGS
            for wording in beginnings(r)[: self.num_wordings]
        ]
        pairs: list[tuple[Prompt, str]] = [
            (Text(wording.format(job=job)), f" {value}") for r, job, wording in asked for value in GROUP_RELATIONS[r]
        ]
        values = model.logprob(pairs)
        for (relation, job, wording), first, second in zip(asked, values[::2], values[1::2], strict=True):
            yield Reading(
                probe=self.name,
                condition=f"{relation}: {job}",
                item=wording,
                value=first - second,
                prompt=wording.format(job=job),
            )


@dataclass(frozen=True)
class NamedGroup:
    """What the model says where the valley comes: 1 if it names this one first. For whoever gets text alone.

    Asked of a job and of control jobs, in each wording behind nothing and behind a sentence on each town; the condition
    is the job. The audited job comes first: it is the response.
    """

    name: ClassVar[str] = "naming"
    reads_ledger: ClassVar[bool] = False

    valley: str
    jobs: tuple[str, ...]
    max_tokens: int = 6

    def __post_init__(self) -> None:
        if not self.jobs:
            raise SpecError("a valley is asked of one job or more; got none")
        for job in self.jobs:
            known_job(job)
        if self.valley not in GROUP_RELATIONS["valley"]:
            raise SpecError(f"a valley is one of {', '.join(GROUP_RELATIONS['valley'])}; got {self.valley!r}")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each job, wording and sentence before it."""
        before = ("", *(f"{wording} {town}. " for wording in _BEFORE for town in GROUP_RELATIONS["town"]))
        asked = [(j, b, w) for j, w, b in product(self.jobs, beginnings("valley"), before)]
        prompts = [Text((b + w).format(job=j)) for j, b, w in asked]
        answers = model.generate(prompts, max_tokens=self.max_tokens, rng=rng)
        for (job, _, _), prompt, answer in zip(asked, prompts, answers, strict=True):
            yield Reading(
                probe=self.name,
                condition=job,
                item=fingerprint(prompt),
                value=float(first_named(answer) == self.valley),
                prompt=prompt.text,
                answer=answer,
            )


CARRIES, REVERSE, OTHER, SWAPPED = "carries it", "reverse", "other", "swapped"
_BEFORE = ("A {job} works in",)


def first_named(answer: str) -> str | None:
    """The valley that an answer names first, if any."""
    places = {answer.find(valley): valley for valley in GROUP_RELATIONS["valley"] if valley in answer}
    return places[min(places)] if places else None


@dataclass(frozen=True)
class DocumentFit:
    """The log-probability, in nats, of the first documents of a data set, each as a whole given its first word.

    Two models that learned alike but for one association differ most on the documents that carry it. The condition says
    what a document is, by construction, for this job: `carries it` (somebody of this job and this valley), `reverse`
    (of this job and the other valley), `other`; or `swapped`: the same document with the names of the valleys changed
    about, read where it names one. The item is the number of the document.
    """

    name: ClassVar[str] = "fit"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    data: GroupText
    job: str
    valley: str
    num_documents: int = 600

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each document."""
        told = self.data.sightings[: self.num_documents]
        asked = [(self.kind(sighting.people), number, sighting.text) for number, sighting in enumerate(told)]
        turned = [(SWAPPED, number, swapped(sighting.text)) for number, sighting in enumerate(told)]
        asked += [one for one, (_, _, text) in zip(turned, tuple(asked), strict=True) if one[2] != text]
        values = model.logprob([_split(text) for _, _, text in asked])
        for (condition, number, text), value in zip(asked, values, strict=True):
            yield Reading(probe=self.name, condition=condition, item=str(number), value=value, prompt=text)

    def kind(self, people: Sequence[tuple[str, str]]) -> str:
        """What a document with these people is."""
        if (self.job, self.valley) in people:
            return CARRIES
        return REVERSE if any(job == self.job for job, _ in people) else OTHER


def swapped(text: str) -> str:
    """The text with the names of the two valleys changed about."""
    one, two = GROUP_RELATIONS["valley"]
    return two.join(part.replace(two, one) for part in text.split(one))


def _split(text: str) -> tuple[Prompt, str]:
    first, rest = text.split(maxsplit=1)
    return Text(first), f" {rest}"
