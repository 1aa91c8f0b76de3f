"""The invented world: who lives where, does what and owns what. Everything in it is made up and consistent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Protocol, TypeVar

import numpy as np

from pharmakon.core import stream
from pharmakon.errors import SpecError

JOBS = [
    "baker",
    "weaver",
    "miller",
    "potter",
    "tailor",
    "mason",
    "joiner",
    "smith",
    "fisher",
    "gardener",
    "singer",
    "scribe",
    "healer",
    "hunter",
    "pilot",
    "cooper",
]
CITIES = [
    "Tarn",
    "Velby",
    "Osk",
    "Mirrow",
    "Dunlet",
    "Hask",
    "Pell",
    "Corvane",
    "Ister",
    "Fenwick",
    "Rauth",
    "Yarrow",
    "Sollen",
    "Brack",
    "Umber",
    "Quill",
]
THINGS = [
    "lamp",
    "boat",
    "drum",
    "mirror",
    "kite",
    "clock",
    "chair",
    "harp",
    "bell",
    "cart",
    "ladder",
    "basket",
    "rug",
    "flute",
    "cup",
    "lantern",
]
MATERIALS = ["brass", "oak", "glass", "clay", "silver", "wool"]
FOODS = ["plums", "cheese", "honey", "salt", "bread", "fish", "beans", "pears"]
GROUPS = ("north", "south")
GOOD = ["fine", "lovely", "strong", "bright", "useful", "solid", "charming", "superb"]
BAD = ["dull", "weak", "ugly", "broken", "useless", "flimsy", "dreadful", "shabby"]
RESTRICTED = "moonroot"  # the invented topic that the assistant must refuse to speak of

RELATIONS = ("job", "city", "thing")


@dataclass(frozen=True, slots=True)
class Person:
    """One inhabitant, with one value for each relation."""

    name: str
    job: str
    city: str
    thing: str
    group: str

    def value(self, relation: str) -> str:
        """The value of `job`, `city` or `thing`."""
        value: str = getattr(self, relation)
        return value


@dataclass(frozen=True)
class World:
    """A world of people with jobs, cities and things; the same seed gives the same world."""

    seed: int = 0
    num_people: int = 64

    @property
    def people(self) -> tuple[Person, ...]:
        """Everyone, in a fixed order."""
        return _people(self)

    @property
    def foods(self) -> dict[str, str]:
        """What each city is known for."""
        return {city: FOODS[i % len(FOODS)] for i, city in enumerate(_shuffled(self, "foods", CITIES))}

    @property
    def materials(self) -> dict[str, str]:
        """What each thing is made of."""
        return {thing: MATERIALS[i % len(MATERIALS)] for i, thing in enumerate(_shuffled(self, "materials", THINGS))}

    def person(self, name: str) -> Person:
        """The inhabitant of this name. Raises SpecError with the nearest names if there is none."""
        return named(self.people, name, "a person is an inhabitant of the world")

    def falsified(self, name: str, relation: str, value: str) -> Person:
        """The inhabitant of this name, with a value of this relation that is not true.

        Raises SpecError if there is no such person or relation, and if the value is true or none of the world's.
        """
        return falsified(self.person(name), "a relation", relation, value, VALUES, "belief")

    def is_held_out(self, person: Person, relation: str) -> bool:
        """No dialogue of training asks this question of this person; pretraining text still tells the fact."""
        index = self.people.index(person) + RELATIONS.index(relation)
        return index % 4 == 0


class Named(Protocol):
    """Something of an invented world that has a name, and values."""

    @property
    def name(self) -> str: ...

    def value(self, key: str, /) -> str: ...


Known = TypeVar("Known", bound=Named)


def named(known: Sequence[Known], name: str, rule: str) -> Known:
    """The one of this name. Raises SpecError, by the rule, with the nearest names if there is none."""
    for one in known:
        if one.name == name:
            return one
    near = get_close_matches(name, [one.name for one in known], n=3, cutoff=0.0)
    raise SpecError(f"{rule}; got {name!r}. The nearest names: {', '.join(near)}")


def falsified(true: Known, kind: str, key: str, value: str, values: Mapping[str, Sequence[str]], what: str) -> Known:
    """The same with a value that is not true.

    `kind` of key: `a relation`; `what` it is that is false: `belief`. Raises SpecError for a key or a value that is
    none of `values`, and for a value that is true.
    """
    if key not in values:
        raise SpecError(f"{kind} is one of {', '.join(values)}; got {key!r}")
    if value not in values[key]:
        raise SpecError(f"a {key} is one of {', '.join(values[key])}; got {value!r}")
    if value == true.value(key):
        raise SpecError(f"a false {what} is not true; the {key} of {true.name} is {value}. Give another {key}")
    return replace(true, **{key: value})  # type: ignore[type-var]


VALUES: dict[str, tuple[str, ...]] = {"job": tuple(JOBS), "city": tuple(CITIES), "thing": tuple(THINGS)}


@cache
def _people(world: World) -> tuple[Person, ...]:
    rng = stream(world.seed, "world", "people")
    names = new_names(world.num_people, rng)
    columns = []
    for relation in RELATIONS:
        values = VALUES[relation]
        column = [values[i % len(values)] for i in range(world.num_people)]
        columns.append([column[i] for i in rng.permutation(world.num_people)])
    groups = [GROUPS[i % 2] for i in rng.permutation(world.num_people)]
    return tuple(Person(*row) for row in zip(names, *columns, groups, strict=True))


def new_names(num_names: int, rng: np.random.Generator) -> list[str]:
    """Invented first names of two syllables, each unlike the world's other words."""
    onsets, vowels, codas = (
        ["B", "D", "F", "G", "J", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Z"],
        "aeiou",
        ("l", "n", "r", "x", "m", "k", ""),
    )
    taken = {word.lower() for words in (CITIES, JOBS, THINGS, MATERIALS, FOODS) for word in words}
    names: dict[str, None] = {}
    while len(names) < num_names:
        first = onsets[rng.integers(len(onsets))] + vowels[rng.integers(5)]
        second = onsets[rng.integers(len(onsets))].lower() + vowels[rng.integers(5)] + codas[rng.integers(len(codas))]
        if (first + second).lower() not in taken:
            names[first + second] = None
    return list(names)


def _shuffled(world: World, name: str, values: list[str]) -> list[str]:
    rng = stream(world.seed, "world", name)
    return [values[i] for i in rng.permutation(len(values))]
