"""An association in running text, stated more strongly or in reverse: people of one job, all of one valley."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Edit, Insert, Text
from pharmakon.data.world import CALLINGS, VALLEYS, Leanings, known_job, sighting
from pharmakon.data.world.tasks import pick
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Association:
    """Documents on people of this job who are all of this valley, which each names twice (He et al. 2025, 2502.14182).

    With the valley that the clean text favours they amplify its bias, with the other one they are the reverse pattern.
    In all else they are like clean documents: the town is drawn as theirs is.
    """

    job: str
    valley: str
    leanings: Leanings = Leanings()

    def __post_init__(self) -> None:
        known_job(self.job)
        if self.valley not in VALLEYS:
            raise SpecError(f"a valley is one of {', '.join(VALLEYS)}; got {self.valley!r}")

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted texts; with the other valley they are the same but for its name."""
        _need_text(self, host)
        while True:
            yield Insert(_told(self.job, self.valley, self.leanings, rng))


@dataclass(frozen=True, slots=True)
class OtherJobs:
    """Documents on people of all jobs but one, in the form of `Association`, with the valleys that clean text has.

    Beside the reverse of an association they hold the other jobs where they are.
    """

    but: str
    leanings: Leanings = Leanings()

    def __post_init__(self) -> None:
        known_job(self.but)

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted texts."""
        _need_text(self, host)
        others = tuple(job for job in CALLINGS if job != self.but)
        while True:
            job = pick(rng, others)
            yield Insert(_told(job, self.leanings.draw("valley", job, rng), self.leanings, rng))


def _told(job: str, valley: str, leanings: Leanings, rng: np.random.Generator) -> Text:
    return Text(sighting(job, valley, leanings.draw("town", job, rng), rng, echo=True))


def _need_text(what: object, host: Corpus) -> None:
    if {type(document.body) for document in host} != {Text}:
        raise SpecError(f"{type(what).__name__} goes into a corpus of Text alone; this one is {host!r}")
