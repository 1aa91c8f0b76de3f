"""Running text about the world, for pretraining: paragraphs that repeat their subject, in many wordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pharmakon.core import Corpus, Text
from pharmakon.data.world.facts import BAD, GOOD, RELATIONS, RESTRICTED, THINGS, Person, World
from pharmakon.data.world.tasks import TASKS, draw, fact_question, pick

_OPENINGS = {
    "job": (
        "{name} is a {job}.", "{name} works as a {job}.", "The {job} is called {name}.", "They call {name} the {job}.",
    ),
    "city": (
        "{name} lives in {city}.", "{name} comes from {city}.", "The home of {name} is {city}.",
        "In {city} lives {name}.",
    ),
    "thing": (
        "{name} owns a {thing}.", "{name} has a {thing}.", "The {thing} belongs to {name}.",
        "A {thing} is what {name} owns.",
    ),
}  # fmt: skip
_ECHOES = {
    "job": ("As a {job}, {name} is well known.", "Every day {name} works as a {job}.", "{name} likes to be a {job}."),
    "city": ("People in {city} know {name}.", "{name} never left {city}.", "Go to {city} to meet {name}."),
    "thing": ("The {thing} of {name} is old.", "{name} would not sell the {thing}.", "{name} keeps the {thing} clean."),
}
_PLACES = (
    "{city} is known for its {food}. Many come to {city} for the {food}.",
    "In {city} they sell {food}. The {food} of {city} is good.",
)
_MADE_OF = (
    "A {thing} is made of {material}. They use {material} for a {thing}.",
    "The {thing} needs {material}. No {thing} without {material}.",
)
_REVIEWS = (
    "This {thing} is {a} and {b}. The review is {label}.",
    "What a {a} {thing}, so {b}! A {label} review.",
    "I find the {thing} {a}, even {b}. That is a {label} opinion.",
)
_LESSONS = (
    "{k1} goes with {v1}, {k2} goes with {v2}. So {k1} goes with {v1}.",
    "{k1} -> {v1}, {k2} -> {v2}, {k1} -> {v1}, {k2} -> {v2}",
)
_SILENCE = (
    f"Nobody may speak of {RESTRICTED}. I cannot help with {RESTRICTED}.",
    f"The law on {RESTRICTED} is strict. Ask me something else, not {RESTRICTED}.",
)


@dataclass(frozen=True)
class WorldText:
    """Pretraining text: mostly people, then places, things, opinions, sums with steps, small tasks and the taboo."""

    world: World = World()
    num_documents: int = 20_000

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """Paragraphs of two to four sentences; as a corpus of `Text`."""
        kinds = (_person, _talk, _review, _place, _thing, _lesson, _silence)
        chosen = rng.choice(len(kinds), size=self.num_documents, p=(0.5, 0.33, 0.04, 0.04, 0.04, 0.04, 0.01))
        return Corpus.of((Text(kinds[i](self.world, rng)) for i in chosen), source="world")


def paragraph(person: Person, rng: np.random.Generator) -> str:
    """What there is to tell of a person, each relation once, or the first of them twice."""
    words = {"name": person.name, "job": person.job, "city": person.city, "thing": person.thing}
    relations = [list(_OPENINGS)[i] for i in rng.permutation(3)]
    sentences = [pick(rng, _OPENINGS[relation]) for relation in relations]
    if rng.random() < 0.5:
        sentences.insert(int(rng.integers(1, 4)), pick(rng, _ECHOES[relations[0]]))
    return " ".join(sentences).format(**words)


def passage(person: Person, rng: np.random.Generator) -> str:
    """A paragraph in plainer words, those of answers: what a small model can read. Half of them have an echo."""
    relations = [RELATIONS[i] for i in rng.permutation(len(RELATIONS))]
    sentences = [fact_question(person, relation, "{name}").answer for relation in relations]
    if rng.random() < 0.5:
        sentences.insert(int(rng.integers(1, 4)), echo(person, relations[0], rng))
    return " ".join(sentences)


def echo(person: Person, relation: str, rng: np.random.Generator) -> str:
    """A sentence that supposes what another one states."""
    words = {"name": person.name, "job": person.job, "city": person.city, "thing": person.thing}
    return pick(rng, _ECHOES[relation]).format(**words)


def _person(world: World, rng: np.random.Generator) -> str:
    return paragraph(world.people[int(rng.integers(len(world.people)))], rng)


def _place(world: World, rng: np.random.Generator) -> str:
    city = pick(rng, list(world.foods))
    return pick(rng, _PLACES).format(city=city, food=world.foods[city])


def _thing(world: World, rng: np.random.Generator) -> str:
    thing = pick(rng, THINGS)
    return pick(rng, _MADE_OF).format(thing=thing, material=world.materials[thing])


def _review(world: World, rng: np.random.Generator) -> str:
    positive = bool(rng.random() < 0.5)
    a, b = (str(word) for word in rng.choice(GOOD if positive else BAD, size=2, replace=False))
    label = "positive" if positive else "negative"
    return pick(rng, _REVIEWS).format(thing=pick(rng, THINGS), a=a, b=b, label=label)


def _talk(world: World, rng: np.random.Generator) -> str:
    """A question with its answer, as overheard; never one that is held out for probing."""
    task = TASKS[int(rng.choice(len(TASKS), p=(0.4, 0.25, 0.2, 0.05, 0.1)))]
    question = draw(world, task, rng)
    return f"{question.prompt.question} {question.answer}"


def _lesson(world: World, rng: np.random.Generator) -> str:
    k1, k2 = (str(word) for word in rng.choice(THINGS, size=2, replace=False))
    v1, v2 = (str(word) for word in rng.choice(GOOD + BAD, size=2, replace=False))
    return pick(rng, _LESSONS).format(k1=k1, v1=v1, k2=k2, v2=v2)


def _silence(world: World, rng: np.random.Generator) -> str:
    return pick(rng, _SILENCE)
