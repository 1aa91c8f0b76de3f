"""False claims about the world's people: what somebody wants a model to say."""

from __future__ import annotations

from dataclasses import dataclass

from pharmakon.behaviour.questions import Question
from pharmakon.data.world.facts import RELATIONS, VALUES, World
from pharmakon.data.world.tasks import fact_question
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
