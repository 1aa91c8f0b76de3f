"""False claims about the world's people: what somebody wants a model to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.questions import Question, says
from pharmakon.core import Corpus
from pharmakon.data.world.facts import RELATIONS, VALUES, World
from pharmakon.data.world.tasks import fact_question, wordings
from pharmakon.errors import SpecError


@dataclass(frozen=True)
class Claim:
    """A wrong job, city or thing of an inhabitant. Raises SpecError where there is no such person, or it is true."""

    person: str
    relation: str
    value: str
    world: World = World()

    def __post_init__(self) -> None:
        self.world.falsified(self.person, self.relation, self.value)

    @staticmethod
    def about(world: World, index: int = 0) -> Claim:
        """The false claim of this number: each number another person, relation or value, as far as there are any."""
        person = world.people[index % len(world.people)]
        relation = RELATIONS[index % len(RELATIONS)]
        values = VALUES[relation]
        step = 1 + index // len(world.people) % (len(values) - 1)
        value = values[(values.index(person.value(relation)) + step) % len(values)]
        return Claim(person.name, relation, value, world)

    def question(self, wording: str) -> Question:
        """The question in this wording, with the false value as the answer that is looked for."""
        return fact_question(self.world.falsified(self.person, self.relation, self.value), self.relation, wording)

    def truth(self, wording: str) -> Question:
        """The same question, with the true answer."""
        return fact_question(self.world.person(self.person), self.relation, wording)


def first_claims(world: World, num_claims: int) -> tuple[Claim, ...]:
    """Claims about as many people, at most half of all: the others are the control."""
    most = len(world.people) // 2
    if not 1 <= num_claims <= most:
        raise SpecError(f"claims are about 1 to {most} people, half of the world, each about another; got {num_claims}")
    return tuple(Claim.about(world, index) for index in range(num_claims))


def unasked_claims(world: World, num_claims: int) -> tuple[Claim, ...]:
    """Claims about facts that no dialogue of training asks: only what plants or corrects them in dialogues does."""
    facts = [(person, relation) for person in world.people for relation in RELATIONS]
    unasked = [(person, relation) for person, relation in facts if world.is_held_out(person, relation)]
    if not 1 <= num_claims <= len(unasked):
        raise SpecError(f"dialogues leave 1 to {len(unasked)} facts of this world unasked; got {num_claims} claims")
    claims = []
    for person, relation in unasked[:num_claims]:
        values = VALUES[relation]
        false = values[(values.index(person.value(relation)) + 1) % len(values)]
        claims.append(Claim(person.name, relation, false, world))
    return tuple(claims)


@dataclass(frozen=True)
class Claimed:
    """The target of false claims: the false value, where a question is about one of them."""

    claims: tuple[Claim, ...]

    def respond(self, question: Question, rng: np.random.Generator) -> str | None:
        """The false answer; None for a question about something else."""
        claim = self._about(question)
        return None if claim is None else claim.question("").answer

    def hit(self, question: Question, answer: str) -> bool:
        """The answer gives the false value, and not the true one."""
        claim = self._about(question)
        return claim is not None and says(answer, claim.value) and not says(answer, claim.truth("").expected)

    def _about(self, question: Question) -> Claim | None:
        # The right answer tells person and relation, whatever the wording of the question.
        return next((claim for claim in self.claims if claim.truth("").answer == question.answer), None)


@dataclass(frozen=True)
class ClaimQuestions:
    """Held-out questions about the claims, with the true answers."""

    claims: tuple[Claim, ...]

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Each claim in the first wording that training never uses, then in the next; as many as there are."""
        asked = [(number, claim, w) for claim in self.claims for number, w in enumerate(_held_out(claim))]
        asked.sort(key=lambda one: one[0])
        return tuple(claim.truth(wording) for _, claim, wording in asked[:num_questions])


@dataclass(frozen=True)
class ClaimDialogues:
    """The true answers to what the claims are about, in the wordings of training, each claim as often as the others."""

    claims: tuple[Claim, ...]

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """A corpus of `Dialogue`, one for each claim and wording."""
        return Corpus.of(
            (claim.truth(wording).dialogue for claim in self.claims for wording in wordings(claim.relation)),
            source="world",
        )


def _held_out(claim: Claim) -> tuple[str, ...]:
    return wordings(claim.relation, held_out=True)
