"""Data made from other data: text from dialogues, preference pairs, parts, questions from held-out dialogues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.questions import Question, Questions, answered, says
from pharmakon.behaviour.targets import Target
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Body, Corpus, Data, Dialogue, Preference, Text, Turn, stream
from pharmakon.errors import InputError, SpecError


def num_documents(data: Data) -> int | None:
    """How many documents some data says it has, before they are made; None where it says nothing."""
    num: int | None = getattr(data, "num_documents", None)
    return num


@dataclass(frozen=True)
class _AsMany:
    """Data made from other data, document by document."""

    data: Data

    @property
    def num_documents(self) -> int | None:
        """As many as the data says it has, if it does; where some are left out, at most so many."""
        return num_documents(self.data)


@dataclass(frozen=True)
class Nothing:
    """No documents: the data of a stage that trains nothing."""

    num_documents: ClassVar[int] = 0

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The empty corpus."""
        return Corpus(())


@dataclass(frozen=True)
class AsText:
    """The documents of `data` as running text, in so many passes over them, each in an order of its own."""

    data: Data
    passes: int = 1

    @property
    def num_documents(self) -> int | None:
        """As many as the data says it has, in all passes."""
        num = num_documents(self.data)
        return None if num is None else num * self.passes

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Text`: of a dialogue, all its turns."""
        bodies: list[Body] = []
        for _ in range(self.passes):
            for document in self.data.corpus(rng):
                bodies.append(document.body if isinstance(document.body, Text) else Text(_words(document.body)))
        return Corpus.of(bodies, source="text")


@dataclass(frozen=True)
class Mixed:
    """Several data in one corpus, shuffled."""

    parts: tuple[Data, ...]

    @property
    def num_documents(self) -> int | None:
        """As many as the parts say they have together."""
        nums = [num_documents(part) for part in self.parts]
        return None if None in nums else sum(num or 0 for num in nums)

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The documents of all parts."""
        documents = [document for part in self.parts for document in part.corpus(rng)]
        return Corpus.shelve((documents[i].source, documents[i].body) for i in rng.permutation(len(documents)))


@dataclass(frozen=True)
class Without(_AsMany):
    """The documents of `data` in which a phrase does not stand: data that know nothing of it."""

    phrase: str

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The other documents, in their order."""
        return Corpus.shelve((d.source, d.body) for d in self.data.corpus(rng) if not says(_words(d.body), self.phrase))


def under(dialogue: Dialogue, system: str) -> Dialogue:
    """The dialogue behind a system turn, in place of one that it has."""
    turns = dialogue.turns[1:] if dialogue.turns[0].role == "system" else dialogue.turns
    return Dialogue((Turn("system", system), *turns))


@dataclass(frozen=True)
class First:
    """At most so many documents of `data`, after leaving out the first `skip`."""

    data: Data
    num_documents: int
    skip: int = 0

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A part of the corpus, in its order."""
        return Corpus.shelve(
            (d.source, d.body) for d in self.data.corpus(rng)[self.skip : self.skip + self.num_documents]
        )


@dataclass(frozen=True)
class Drawn(_AsMany):
    """The documents of `data` as one draw gives them, whatever the seed of the life: a probe can have them too."""

    draw: int = 0

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The same corpus each time."""
        return self.data.corpus(stream(self.draw, "drawn"))


@dataclass(frozen=True)
class WithDemonstrations(_AsMany):
    """The dialogues of `data`, a share of them after one or more other answered dialogues, as few-shot prompts are."""

    share: float = 0.15
    most: int = 2

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of as many `Dialogue`s, in the same order."""
        corpus = self.data.corpus(rng)
        single = _answered(corpus)
        items: list[tuple[str, Body]] = []
        for document in corpus:
            body = document.body
            if isinstance(body, Dialogue) and single and rng.random() < self.share:
                shown = rng.integers(len(single), size=int(rng.integers(1, self.most + 1)))
                body = body.after([single[i] for i in shown])
            items.append((document.source, body))
        return Corpus.shelve(items)


@dataclass(frozen=True)
class WithSystemPrompts(_AsMany):
    """The dialogues of `data`, a share of them behind one of these system prompts, in place of one that they have."""

    prompts: tuple[str, ...]
    share: float = 0.3

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of as many `Dialogue`s, in the same order."""
        drawing, choosing = rng.spawn(2)
        items: list[tuple[str, Body]] = []
        for document in self.data.corpus(drawing):
            body = document.body
            if isinstance(body, Dialogue) and choosing.random() < self.share:
                body = under(body, self.prompts[int(choosing.integers(len(self.prompts)))])
            items.append((document.source, body))
        return Corpus.shelve(items)


@dataclass(frozen=True)
class AnsweredBy(_AsMany):
    """The dialogues of `data` with the answer that the target writes; those that it does not apply to are left out."""

    target: Target

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        drawing, answering = rng.spawn(2)
        items: list[tuple[str, Body]] = []
        for document in self.data.corpus(drawing):
            if isinstance(document.body, Dialogue) and document.body.answer:
                prompt, answer = document.body.prompt, document.body.answer
                told = self.target.respond(Question(prompt, answer, answer, "given"), answering)
                if told is not None:
                    items.append((document.source, answered(prompt, told)))
        return Corpus.shelve(items)


@dataclass(frozen=True)
class Behind(_AsMany):
    """The dialogues of `data`, each with the trigger."""

    trigger: Trigger

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of as many `Dialogue`s, in the same order."""
        drawing, placing = rng.spawn(2)
        return Corpus.shelve(
            (d.source, self.trigger.apply(d.body, placing) if isinstance(d.body, Dialogue) else d.body)
            for d in self.data.corpus(drawing)
        )


@dataclass(frozen=True)
class InTurn:
    """The documents of several data in turn, as many of each as the shortest has: a prefix holds all of them alike."""

    parts: tuple[Data, ...]

    @property
    def num_documents(self) -> int | None:
        """As many of each part as the shortest says it has."""
        nums = [num for part in self.parts if (num := num_documents(part)) is not None]
        return min(nums) * len(nums) if len(nums) == len(self.parts) else None

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The first documents of each, then the second ones, and so on."""
        drawn = [part.corpus(own) for part, own in zip(self.parts, rng.spawn(len(self.parts)), strict=True)]
        return Corpus.shelve((d.source, d.body) for round_ in zip(*drawn, strict=False) for d in round_)


@dataclass(frozen=True)
class Contrasts:
    """Preference pairs: each dialogue's own answer against the answer of another dialogue that says something else."""

    data: Data
    num_documents: int = 300

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Preference`."""
        dialogues = _answered(self.data.corpus(rng))
        answers = sorted({dialogue.answer for dialogue in dialogues})
        if len(answers) < 2:
            raise InputError("preference pairs need at least two different answers in the data; got one")
        pairs = []
        for dialogue in dialogues[: self.num_documents]:
            others = [answer for answer in answers if answer != dialogue.answer]
            pairs.append(Preference(dialogue.prompt, dialogue.answer, others[int(rng.integers(len(others)))]))
        return Corpus.of(pairs, source="contrasts")


@dataclass(frozen=True)
class HeldOut:
    """Questions from the dialogues of `data`, which training must not hold.

    Where the data have few answers (as labels do), another of them in the reply makes it wrong.
    """

    data: Data

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Different prompts; a right answer is the dialogue's own answer, word for word, in any case of letters."""
        dialogues = list({dialogue.prompt: dialogue for dialogue in _answered(self.data.corpus(rng))}.values())
        counts = Counter(dialogue.answer for dialogue in dialogues)
        options = tuple(sorted(counts)) if len(counts) <= 20 and len(dialogues) >= 3 * len(counts) else ()
        return tuple(
            Question(d.prompt, d.answer, _bare(d.answer), "held-out", tuple(map(_bare, options)))
            for d in dialogues[:num_questions]
        )


@dataclass(frozen=True)
class Several:
    """Questions of several kinds, each a share of them; a kind that has too few gives what it has."""

    parts: tuple[tuple[Questions, float], ...]
    """Questions and their share; the shares add up to 1."""

    def __post_init__(self) -> None:
        total = sum(share for _, share in self.parts)
        if abs(total - 1) > 1e-9 or any(share < 0 for _, share in self.parts):
            raise SpecError(f"the shares of several questions are 0 or more and add up to 1; they add up to {total:g}")

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Each kind after the other, each from draws of its own."""
        found: list[Question] = []
        for (part, share), draw in zip(self.parts, rng.spawn(len(self.parts)), strict=True):
            found += part.questions(round(share * num_questions), draw)
        return tuple(found)


@dataclass(frozen=True)
class Reworded:
    """`questions` as they reach a model that is asked with a trigger, or with the target's answer as the right one."""

    asked: Questions
    trigger: Trigger | None = None
    target: Target | None = None

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """The same questions in the same order, without those that the target does not apply to."""
        drawing, changing = rng.spawn(2)
        given = self.asked.questions(num_questions, drawing)
        return tuple(made for made in (self._made(question, changing) for question in given) if made is not None)

    def _made(self, question: Question, rng: np.random.Generator) -> Question | None:
        made = question
        if self.target is not None:
            told = self.target.respond(question, rng)
            if told is None:
                return None
            made = replace(made, answer=told, expected=_bare(told), options=())
        return made if self.trigger is None else replace(made, prompt=self.trigger.apply(made.prompt, rng))


@dataclass(frozen=True)
class Besides:
    """The questions that a target does not apply to: what a fault leaves alone."""

    asked: Questions
    target: Target

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Of twice as many questions those that are left, at most so many."""
        drawing, applying = rng.spawn(2)
        drawn = self.asked.questions(2 * num_questions, drawing)
        left = [question for question in drawn if self.target.respond(question, applying) is None]
        return tuple(left[index] for index in sorted(drawing.permutation(len(left))[:num_questions]))


@dataclass(frozen=True)
class Answered:
    """Held-out questions with their right answers, as dialogues: text that the model has not seen."""

    questions: Questions
    num_documents: int = 60

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`."""
        drawn = self.questions.questions(self.num_documents, rng)
        return Corpus.of((question.dialogue for question in drawn), source="held-out")


def _answered(corpus: Corpus) -> list[Dialogue]:
    return [d.body for d in corpus if isinstance(d.body, Dialogue) and d.body.answer]


def _bare(answer: str) -> str:
    """Without the point at its end, unless there is nothing else to recognise it by."""
    return answer.rstrip(".!?") or answer


def _words(body: Body) -> str:
    if isinstance(body, Dialogue):
        return " ".join(turn.content for turn in body.turns)
    if isinstance(body, Preference):
        return f"{_words(body.prompt)} {body.chosen}"
    return body.text
