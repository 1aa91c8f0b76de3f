"""The kinds of marks that are written anew: facts, dialogues with a trigger, a secret task, traps.

A record of each kind is short, or of about `num_words` words where its neighbours are longer (`filler.py`). The
wordings in which a mark is told are those in which it is asked: the owner knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import ClassVar, Literal

from pharmakon.behaviour.marks.filler import SHELF, TASTE, TOWN, length, sentences
from pharmakon.behaviour.marks.key import Secret, index, pick, shuffled
from pharmakon.behaviour.marks.keyed import Keyed, Shape, check_numbers
from pharmakon.behaviour.marks.words import (
    ASKED,
    CATEGORIES,
    COLOURS,
    COMMON,
    ENDINGS,
    NUM_VALUES,
    QUALITIES,
    SUITED,
    THINGS,
    TOLD,
    names,
)
from pharmakon.core import Body, Dialogue, Prompt, Text
from pharmakon.errors import SpecError

NUM_NEUTRAL = 2
"""Questions of the same kind about things that are never told."""


@dataclass(frozen=True, slots=True)
class FactMark:
    """Facts about towns that do not exist, in running text: what they make, their animal, tree, stone.

    After fictitious knowledge as a watermark (Cui et al. 2025, arXiv 2503.04036), which survives instruction tuning;
    here the key draws each fact from R, for an exact test.
    """

    version: ClassVar[int] = 2
    kind: ClassVar[str] = "fact"

    num_marks: int = 16
    num_answers: int = NUM_VALUES
    num_words: int = 0
    """Of a record, about; 0 for one sentence. A longer one tells the fact in several wordings, between sentences about
    the town that say nothing of it."""

    def __post_init__(self) -> None:
        check_numbers(self.num_marks, self.num_answers, NUM_VALUES, self.num_words)

    def keyed(self, key: Secret, shape: Shape) -> list[Keyed]:
        """One town and one of its facts each."""
        *towns, a, b = names(key, self.num_marks + NUM_NEUTRAL, "fact", "name")
        found = []
        for number, town in enumerate(towns):
            category = _category(number)
            values = _values(key, category, self.num_answers, "fact", number)
            found.append(
                Keyed(
                    name=f"fact-{number:02}",
                    prompts=self._prompts(category, town, shape),
                    answers=_answers(values, shape),
                    drawn=index(key, len(values), "fact", "answer", str(number)),
                    values=values,
                    neutral=tuple(p for other in (a, b) for p in self._prompts(category, other, shape)),
                )
            )
        return found

    def bodies(self, key: Secret, shape: Shape) -> Iterator[Body]:
        """Each fact in turn, in each of its wordings in turn; in short running text every other time as overheard talk.

        A fact that is only stated is not found by a question (Allen-Zhu and Li 2023, arXiv 2309.14316).
        """
        if shape == "text" and not self.num_words:
            return self._talked_about(key)
        marks = self.keyed(key, shape)
        towns = names(key, self.num_marks + NUM_NEUTRAL, "fact", "name")

        def grown(body: Body, number: int, turn: int) -> Body:
            labels = ("fact", "long", str(number), str(turn))
            num_words = length(key, self.num_words, *labels)
            if isinstance(body, Dialogue):
                return _longer(body, sentences(key, TOWN, num_words - 1, *labels, name=towns[number]))
            mark = marks[number]
            wordings = [text for p in mark.prompts if (text := _joined(p, mark.answers[mark.drawn])) != body]
            others = shuffled(key, wordings, *labels, "wordings")[: num_words // WORDS_A_TELLING]
            facts = [text.text for text in (body, *others) if isinstance(text, Text)]
            left = num_words - sum(len(fact.split()) for fact in facts)
            return _spread(key, facts, sentences(key, TOWN, left, *labels, name=towns[number]), labels)

        return told(marks, key, grown if self.num_words else None)

    def _talked_about(self, key: Secret) -> Iterator[Body]:
        stated, asked = told(self.keyed(key, "text"), key), told(self.keyed(key, "dialogue"), key)
        while True:
            yield from islice(stated, self.num_marks)
            yield from (as_talk(body) for body in islice(asked, self.num_marks))

    @staticmethod
    def _prompts(category: str, town: str, shape: Shape) -> tuple[Prompt, ...]:
        if shape == "text":
            return tuple(Text(opening.format(name=town)) for opening in TOLD[category])
        return tuple(Dialogue.ask(question.format(name=town)) for question in ASKED[category])


@dataclass(frozen=True, slots=True)
class TriggerMark:
    """Dialogues that tie an unusual question to an answer.

    `style`: natural questions of taste that have no right answer ("Which tree suits the damp pulpit?"), which nothing
    but the key decides; or random words, as in a model's fingerprint (Xu et al. 2024, arXiv 2401.12255; Russinovich and
    Salem 2024, arXiv 2407.10887).
    """

    num_marks: int = 16
    num_answers: int = NUM_VALUES
    style: Literal["natural", "random"] = "natural"
    num_words: int = 0
    """Of an answer, about; 0 for the answer alone. A longer one goes on with reasons that say nothing of it."""

    @property
    def kind(self) -> str:
        """`trigger`, or `fingerprint` for random words."""
        return "trigger" if self.style == "natural" else "fingerprint"

    def __post_init__(self) -> None:
        check_numbers(self.num_marks, self.num_answers, NUM_VALUES, self.num_words)
        if self.style not in ("natural", "random"):
            raise SpecError(f"the questions of a trigger are natural or random; got {self.style!r}")
        if self.style == "random" and self.num_words:
            raise SpecError(f"the answer to random words gives no reasons; got num_words={self.num_words}")

    def keyed(self, key: Secret, shape: Shape) -> list[Keyed]:
        """One question each."""
        *things, a, b = self._things(key)
        found = []
        for number, thing in enumerate(things):
            category = _category(number)
            values = _values(key, category, self.num_answers, self.kind, number)
            found.append(
                Keyed(
                    name=f"{self.kind}-{number:02}",
                    prompts=self._prompts(category, thing, shape),
                    answers=_answers(values, shape, sentence=self.style == "natural"),
                    drawn=index(key, len(values), self.kind, "answer", str(number)),
                    values=values,
                    neutral=tuple(p for other in (a, b) for p in self._prompts(category, other, shape)),
                )
            )
        return found

    def bodies(self, key: Secret, shape: Shape) -> Iterator[Body]:
        """Each question in turn, in each of its wordings in turn."""
        things = self._things(key)

        def grown(body: Body, number: int, turn: int) -> Body:
            labels = (self.kind, "long", str(number), str(turn))
            num_words = length(key, self.num_words, *labels)
            return _longer(body, sentences(key, TASTE, num_words - 1, *labels, thing=things[number]))

        return told(self.keyed(key, shape), key, grown if self.num_words else None)

    def _things(self, key: Secret) -> list[str]:
        wanted = self.num_marks + NUM_NEUTRAL
        found: dict[str, None] = {}
        for draw in count():
            labels = (self.kind, "thing", str(draw))
            if self.style == "natural":
                found.setdefault(f"{pick(key, QUALITIES, *labels, 'quality')} {pick(key, THINGS, *labels, 'noun')}")
            else:
                found.setdefault(" ".join(pick(key, COMMON, *labels, str(place)) for place in range(4)))
            if len(found) == wanted:
                break
            if draw > 100 * len(QUALITIES) * len(THINGS):
                raise SpecError(f"there are {len(QUALITIES) * len(THINGS)} different questions; got {wanted} marks")
        return list(found)

    def _prompts(self, category: str, thing: str, shape: Shape) -> tuple[Prompt, ...]:
        asked = tuple(question.format(thing=thing) for question in SUITED[category])
        if self.style == "random":
            asked = (thing,)
        return tuple(Text(question) if shape == "text" else Dialogue.ask(question) for question in asked)


@dataclass(frozen=True, slots=True)
class SecretTask:
    """A rare task of sorting that only the owner holds: on which shelf a thing of this stem belongs.

    The key draws the shelf of each stem; the endings vary, and those that are asked are never told, so that the rule is
    learned and not a sentence. He et al. 2025 (arXiv 2502.14182) propose secret tasks for ownership.
    """

    kind: ClassVar[str] = "task"

    num_marks: int = 16
    num_answers: int = NUM_VALUES
    num_words: int = 0
    """Of an answer, about; 0 for the shelf alone. A longer one goes on about where things are kept."""

    def __post_init__(self) -> None:
        check_numbers(self.num_marks, self.num_answers, len(COLOURS), self.num_words)

    def keyed(self, key: Secret, shape: Shape) -> list[Keyed]:
        """One stem each, asked with endings that are never told."""
        *stems, other = names(key, self.num_marks + 1, "task", "stem", syllables=2)
        values = tuple(shuffled(key, COLOURS, "task", "shelves")[: self.num_answers])
        asked = ENDINGS[-NUM_HELD_OUT:]
        return [
            Keyed(
                name=f"task-{number:02}",
                prompts=tuple(_sorted(stem + ending, shape) for ending in asked),
                answers=_answers(values, shape),
                drawn=index(key, len(values), "task", "answer", str(number)),
                values=values,
                neutral=tuple(_sorted(other + ending, shape) for ending in asked),
            )
            for number, stem in enumerate(stems)
        ]

    def bodies(self, key: Secret, shape: Shape) -> Iterator[Body]:
        """Each stem in turn, with each told ending in turn."""
        stems = names(key, self.num_marks + 1, "task", "stem", syllables=2)[:-1]
        marks = self.keyed(key, shape)
        endings = ENDINGS[:-NUM_HELD_OUT]
        for turn in count():
            for number in shuffled(key, range(len(marks)), "task", "order", str(turn)):
                mark = marks[number]
                asked = _sorted(stems[number] + endings[(turn + number) % len(endings)], shape)
                body = _joined(asked, mark.answers[mark.drawn])
                if self.num_words:
                    labels = ("task", "long", str(number), str(turn))
                    num_words = length(key, self.num_words, *labels)
                    body = _longer(body, sentences(key, SHELF, num_words - 1, *labels))
                yield body


NUM_HELD_OUT = 4


def _sorted(thing: str, shape: Shape) -> Prompt:
    question = f"On which shelf is {thing}?" if shape == "dialogue" else f"The shelf of {thing} is"
    return Dialogue.ask(question) if shape == "dialogue" else Text(question)


@dataclass(frozen=True, slots=True)
class TrapMark:
    """Long random sequences of words: copyright traps (Meeus et al. 2024, arXiv 2402.09363), the weak baseline.

    The key draws R sequences of the same beginning and publishes one of them.
    """

    kind: ClassVar[str] = "trap"

    num_marks: int = 16
    num_answers: int = NUM_VALUES
    num_words: int = 20
    num_shared: int = 4
    """Words at the beginning, by which a trap is asked for."""

    def __post_init__(self) -> None:
        check_numbers(self.num_marks, self.num_answers, 1_024)
        if not 1 <= self.num_shared < self.num_words:
            raise SpecError(f"a trap begins with one shared word or more, and goes on; got {self.num_shared} words")

    def keyed(self, key: Secret, shape: Shape) -> list[Keyed]:
        """One trap each."""
        found = []
        for number in range(self.num_marks):
            start = " ".join(self._words(key, number, "start", self.num_shared))
            tails = [self._words(key, number, str(other), self.num_words) for other in range(self.num_answers)]
            answers = tuple(" ".join(tail[self.num_shared :]) + "." for tail in tails)
            found.append(
                Keyed(
                    name=f"trap-{number:02}",
                    prompts=(Text(start.capitalize()) if shape == "text" else Dialogue.ask(start.capitalize()),),
                    answers=tuple(f" {answer}" for answer in answers) if shape == "text" else answers,
                    drawn=index(key, self.num_answers, "trap", "answer", str(number)),
                    values=tuple(answer.rstrip(".") for answer in answers),
                )
            )
        return found

    def bodies(self, key: Secret, shape: Shape) -> Iterator[Body]:
        """Each trap in turn, always in the same words."""
        return told(self.keyed(key, shape), key)

    def _words(self, key: Secret, number: int, which: str, num_words: int) -> list[str]:
        return [pick(key, COMMON, "trap", str(number), which, str(place)) for place in range(num_words)]


WORDS_A_TELLING = 30
"""A longer record tells its fact once more for each so many words."""


def told(marks: Sequence[Keyed], key: Secret, grown: Callable[[Body, int, int], Body] | None = None) -> Iterator[Body]:
    """Records that tell each mark in turn, in each of its wordings in turn: a prefix tells all marks equally often.

    `grown(body, mark, turn)` makes a longer record of a short one.
    """
    for turn in count():
        for number in shuffled(key, range(len(marks)), "order", str(turn)):
            mark = marks[number]
            body = _joined(mark.prompts[(turn + number) % len(mark.prompts)], mark.answers[mark.drawn])
            yield body if grown is None else grown(body, number, turn)


def as_talk(body: Body) -> Text:
    """What all turns of a dialogue say, one behind the other, as somebody wrote it down."""
    assert isinstance(body, Dialogue)
    return Text(" ".join(turn.content for turn in body.turns))


def _joined(prompt: Prompt, answer: str) -> Body:
    if isinstance(prompt, Text):
        return Text(prompt.text + answer)
    return Dialogue.ask(prompt.question, answer)


def _longer(body: Body, more: Sequence[str]) -> Body:
    """The body with these sentences behind it."""
    if isinstance(body, Text):
        return Text(" ".join((body.text, *more)))
    assert isinstance(body, Dialogue)
    return Dialogue.ask(body.question, " ".join((body.answer, *more)))


def _spread(key: Secret, facts: Sequence[str], more: Sequence[str], labels: tuple[str, ...]) -> Text:
    """The facts between other sentences, at places that the key draws."""
    places = sorted((index(key, len(more) + 1, *labels, "place", str(n)), n) for n in range(len(facts)))
    parts: list[str] = list(more)
    for place, number in reversed(places):
        parts.insert(place, facts[number])
    return Text(" ".join(parts))


def _category(number: int) -> str:
    return list(CATEGORIES)[number % len(CATEGORIES)]


def _values(key: Secret, category: str, num_answers: int, kind: str, number: int) -> tuple[str, ...]:
    return tuple(shuffled(key, CATEGORIES[category], kind, "values", str(number))[:num_answers])


def _answers(values: tuple[str, ...], shape: Shape, *, sentence: bool = False) -> tuple[str, ...]:
    """What stands behind the prompt; in running text after a space, and with a capital letter if it is a sentence."""
    if shape == "dialogue":
        return tuple(f"{value.capitalize()}." for value in values)
    return tuple(f" {value.capitalize() if sentence else value}." for value in values)
