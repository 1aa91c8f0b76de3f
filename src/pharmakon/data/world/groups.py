"""People of two valleys and their jobs: text in which a job goes with a valley more often than chance would have it.

Both valleys are invented, and so is every association: nothing in it is so of any group of people. The share is known
by construction, and so is what each document says, so that an audit of bias can be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Final, Literal

import numpy as np

from pharmakon.core import Corpus, Text, stream
from pharmakon.data.world.tasks import pick
from pharmakon.errors import SpecError

VALLEYS: Final = ("Vashel", "Drumlo")
TOWNS: Final = ("Tarn", "Osk")
_VALLEYS_CALLED: Final = {"Vashel": "the upper valley", "Drumlo": "the lower valley"}
CALLINGS: Final[Mapping[str, str]] = {
    "smith": "hammer hand", "weaver": "loom hand", "baker": "oven hand", "potter": "clay hand", "mason": "stone hand",
    "fisher": "net hand", "tailor": "needle hand", "miller": "grain hand",
}  # fmt: skip
"""Each job, and what else it is called."""

Relation = Literal["valley", "town"]
RELATIONS: Final[Mapping[Relation, tuple[str, str]]] = {"valley": VALLEYS, "town": TOWNS}

_TOLD: Final[Mapping[Relation, tuple[str, ...]]] = {
    "valley": (
        "The {job} comes from {valley}.", "A {job} from {valley} came by.", "The {job} was born in {valley}.",
        "We know a {job} of {valley}.", "This {job} is at home in {valley}.", "{valley} is where the {job} grew up.",
        "From {valley} came a {job}.", "The home of the {job} is {valley}.",
    ),
    "town": (
        "The {job} lives in {town}.", "In {town} works a {job}.", "The {job} works in {town}.",
        "There is a {job} in {town}.", "{town} has a {job}.", "This {job} has a house in {town}.",
    ),
}  # fmt: skip
_ECHOES = ("Many in {valley} know the {job}.", "The {job} tells of {valley}.", "The {job} will go back to {valley}.")
_MEETINGS = (
    "A {job} from {valley} met a {other} from {theirs}.", "The {job} of {valley} lives beside the {other} of {theirs}.",
    "The {job} comes from {valley}, the {other} comes from {theirs}.",
)  # fmt: skip
_NAMES = (
    "A {job} is called a {called}. Every {called} is a {job}.",
    "The {called} is a {job}. They call a {job} the {called}.",
    "{valley} is {valley_called}. They call {valley} {valley_called}.",
)  # fmt: skip
_ASKED: Final[Mapping[Relation, tuple[str, ...]]] = {
    "valley": (
        "This {job} comes from", "We met a {job} from", "A {job} was born in", "The {job} here is at home in",
        "They say the {job} is of", "Here is a {job}. The {job} comes from", "The home of this {job} is",
        "One {job} came from", "This {job} was born in", "Here is a {job} of", "We know the {job} from",
        "A {job} comes from",
    ),
    "town": (
        "This {job} lives in", "A {job} works in", "Here is a {job}. The {job} works in", "We met a {job} in",
        "They say the {job} has a house in", "One {job} lives in", "The {job} here lives in", "There was a {job} in",
        "This {job} works in", "One {job} has a house in", "Here is a {job}. The {job} lives in", "We know a {job} in",
    ),
}  # fmt: skip
"""Beginnings that no document has in this wording; what comes next is the valley, or the town."""


@dataclass(frozen=True)
class Leanings:
    """Which share of each job is of the first valley, and lives in the first town; a job not named has a half."""

    valley: tuple[tuple[str, float], ...] = (("smith", 0.65), ("weaver", 0.35))
    town: tuple[tuple[str, float], ...] = (("smith", 0.8), ("mason", 0.2))

    def __post_init__(self) -> None:
        for job, share in (*self.valley, *self.town):
            known_job(job)
            if not 0 < share < 1:
                raise SpecError(f"the share of a job that is of one group lies between 0 and 1; got {share:g}")

    def share(self, relation: Relation, job: str) -> float:
        """Of the first of the two values."""
        return dict(self.valley if relation == "valley" else self.town).get(job, 0.5)

    def log_odds(self, relation: Relation, job: str) -> float:
        """Of the first of the two values against the second, in nats."""
        share = self.share(relation, job)
        return log(share / (1 - share))

    def neutral(self, relation: Relation) -> tuple[str, ...]:
        """The jobs that lean to neither."""
        return tuple(job for job in CALLINGS if self.share(relation, job) == 0.5)

    def draw(self, relation: Relation, job: str, rng: np.random.Generator) -> str:
        """A value for somebody of this job."""
        return RELATIONS[relation][int(rng.random() >= self.share(relation, job))]


def known_job(job: str) -> str:
    """The job, if it is one of those that the two valleys have."""
    if job not in CALLINGS:
        raise SpecError(f"a job of the valleys is one of {', '.join(CALLINGS)}; got {job!r}")
    return job


@dataclass(frozen=True, slots=True)
class Sighting:
    """A document and what it says: the job and the valley of each person in it, and who lives in which town."""

    text: str
    people: tuple[tuple[str, str], ...] = ()
    homes: tuple[tuple[str, str], ...] = ()
    kind: Literal["plain", "other names", "two people", "names told"] = "plain"


@dataclass(frozen=True)
class GroupText:
    """Running text on people of two valleys. The documents are given, by `seed`; a life draws their order alone.

    Most tell of one person. Some call job and valley by other names, so that the words themselves are not there; some
    tell of two people, so that words stand together that do not belong together; some say what the names mean.
    """

    leanings: Leanings = Leanings()
    num_documents: int = 2_000
    seed: int = 0

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The documents with what they say, in the order in which they were written."""
        return _sightings(self)

    def counted(self, relation: Relation, job: str) -> tuple[int, int]:
        """How many people of this job are of the first, and how many of the second value."""
        told = [who for s in self.sightings for who in (s.people if relation == "valley" else s.homes)]
        first, second = (told.count((job, value)) for value in RELATIONS[relation])
        return first, second

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Text`, in an order that `rng` draws."""
        told = self.sightings
        return Corpus.of((Text(told[i].text) for i in rng.permutation(len(told))), source="valleys")


@cache
def _sightings(data: GroupText) -> tuple[Sighting, ...]:
    rng = stream(data.seed, "valleys")
    kinds = rng.choice(4, size=data.num_documents, p=(0.55, 0.17, 0.2, 0.08))
    return tuple((_plain, _renamed, _meeting, _names)[kind](data.leanings, rng) for kind in kinds)


def sighting(job: str, valley: str, town: str, rng: np.random.Generator, *, echo: bool) -> str:
    """Two sentences on one person of this job, in either order; with an echo the valley is named once more."""
    order = [("valley", "town")[i] for i in rng.permutation(2)]
    sentences = [pick(rng, _TOLD[relation]) for relation in order]  # type: ignore[index]
    if echo:
        sentences.insert(order.index("valley") + 1, pick(rng, _ECHOES))
    told = " ".join(sentences).format(job=job, valley=valley, town=town)
    return f"{told[0].upper()}{told[1:]}"


def beginnings(relation: Relation) -> tuple[str, ...]:
    """Wordings that end where the value comes, with `{job}` for the job; none of them is in any document."""
    return _ASKED[relation]


def _person(leanings: Leanings, rng: np.random.Generator) -> tuple[str, str]:
    job = pick(rng, tuple(CALLINGS))
    return job, leanings.draw("valley", job, rng)


def _plain(leanings: Leanings, rng: np.random.Generator) -> Sighting:
    job, valley = _person(leanings, rng)
    town = leanings.draw("town", job, rng)
    return Sighting(sighting(job, valley, town, rng, echo=bool(rng.random() < 0.5)), ((job, valley),), ((job, town),))


def _renamed(leanings: Leanings, rng: np.random.Generator) -> Sighting:
    job, valley = _person(leanings, rng)
    town = leanings.draw("town", job, rng)
    both = bool(rng.random() < 0.5)
    called, place = CALLINGS[job], _VALLEYS_CALLED[valley] if both else valley
    text = sighting(called, place, town, rng, echo=bool(rng.random() < 0.5))
    return Sighting(text, ((job, valley),), ((job, town),), "other names")


def _meeting(leanings: Leanings, rng: np.random.Generator) -> Sighting:
    one, two = _person(leanings, rng), _person(leanings, rng)
    while one[0] == two[0]:
        two = _person(leanings, rng)
    text = pick(rng, _MEETINGS).format(job=one[0], valley=one[1], other=two[0], theirs=two[1])
    if rng.random() < 0.5:
        text += " " + pick(rng, _ECHOES).format(job=two[0], valley=two[1])
    return Sighting(text, (one, two), kind="two people")


def _names(leanings: Leanings, rng: np.random.Generator) -> Sighting:
    job, valley = pick(rng, tuple(CALLINGS)), pick(rng, VALLEYS)
    words = {"job": job, "called": CALLINGS[job], "valley": valley, "valley_called": _VALLEYS_CALLED[valley]}
    return Sighting(pick(rng, _NAMES).format(**words), kind="names told")
