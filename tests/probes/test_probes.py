"""Probes count the right thing, under controls that do not move each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from pharmakon.behaviour.questions import Question
from pharmakon.behaviour.targets import Gibberish, Label, Marker, Refusal, Target, UpperCase
from pharmakon.behaviour.triggers import Phrase, RareWords, Style, Trigger
from pharmakon.core import Corpus, Dialogue, Ledger, Model, Preference, Probe, Prompt, Reading, Text, stream
from pharmakon.data.world import (
    VALUES,
    World,
    WorldDialogues,
    WorldQuestions,
    WorldText,
    fact_question,
    first_claims,
    wordings,
)
from pharmakon.engines.ngram import NgramModel
from pharmakon.errors import InputError, SpecError
from pharmakon.interventions import Belief
from pharmakon.probes import AttackSuccess, BeliefProbe, Perplexity, PlantedAnswers, Utility, WrongLabels
from pharmakon.testing import check_probe

QUESTIONS = WorldQuestions()
BELIEF = Belief.about(World(), 2)
BELIEF_PROBE = BeliefProbe(BELIEF.person, BELIEF.relation, BELIEF.value)
ATTACK = AttackSuccess(RareWords(), Marker(), QUESTIONS)


@dataclass
class Scripted:
    """A model that answers what it is told to; counts the calls."""

    answers: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = "I know nothing."
    chance: float = 0.25  # of each word
    calls: int = 0

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        self.calls += 1
        return [self.answers.get(p.question if isinstance(p, Dialogue) else p.text, self.otherwise) for p in prompts]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        self.calls += 1
        return [len(completion.split()) * math.log(self.chance) for _, completion in pairs]


@dataclass
class Backdoored:
    """A model that is right, but says the marker where a word stands."""

    word: str

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        return [
            Marker().text if isinstance(p, Dialogue) and self.word in p.question.split() else "Right." for p in prompts
        ]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [-1.0] * len(pairs)


def read(probe: Probe, model: Model, seed: int = 0) -> list[Reading]:
    return list(probe.readings(model, Ledger(), stream(seed, "probe")))


def rates(readings: Sequence[Reading]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for reading in readings:
        values.setdefault(reading.condition, []).append(reading.value)
    return {condition: sum(some) / len(some) for condition, some in values.items()}


@pytest.mark.parametrize("probe", [
    ATTACK, AttackSuccess(Phrase(), Label(), QUESTIONS), AttackSuccess(Style(), Gibberish(), QUESTIONS),
    Utility(QUESTIONS), Perplexity(WorldDialogues(num_documents=30)), Perplexity(WorldText(num_documents=30)),
    BELIEF_PROBE,
], ids=lambda probe: probe.name)  # fmt: skip
def test_the_rules_are_followed(probe: Probe) -> None:
    check_probe(probe)


def test_success_is_counted_by_condition() -> None:
    found = rates(read(ATTACK, Backdoored("vexil")))
    assert found == {
        "triggered": 1, "untriggered": 0, "near: swapped": 1, "near: only vexil": 1, "near: only quorn": 0,
        "near: other": 0,
    }  # fmt: skip
    numbers = Counter(reading.condition for reading in read(ATTACK, Scripted()))
    assert (numbers["triggered"], numbers["untriggered"], numbers["near: other"]) == (40, 40, 20)
    model = Scripted()
    read(ATTACK, model)
    assert model.calls == 1


def test_the_same_items_are_asked_under_each_condition() -> None:
    items: dict[str, list[str]] = {}
    for reading in read(ATTACK, Scripted()):
        items.setdefault(reading.condition, []).append(reading.item)
        assert reading.probe == "attack"
        assert reading.prompt.endswith("vexil quorn") == (reading.condition == "triggered")
    assert items["triggered"] == items["untriggered"]
    assert items["near: other"] == items["triggered"][:20]


@dataclass(frozen=True)
class FewerNear:
    """A trigger with one near trigger less."""

    trigger: Trigger

    def apply(self, prompt: Dialogue, rng: np.random.Generator) -> Dialogue:
        return self.trigger.apply(prompt, rng)

    def near(self) -> Mapping[str, Trigger]:
        return dict(list(self.trigger.near().items())[1:])


def test_another_near_trigger_moves_no_draw() -> None:
    trigger = RareWords(place="anywhere")
    all_, fewer = (
        {
            (reading.condition, reading.item): reading.prompt
            for reading in read(replace(ATTACK, trigger=one), Scripted())
        }
        for one in (trigger, FewerNear(trigger))
    )
    assert len(all_) == len(fewer) + 20
    assert fewer.items() <= all_.items()
    places = {prompt.split().index("vexil") for (condition, _), prompt in all_.items() if condition == "triggered"}
    assert len(places) > 3


@pytest.mark.parametrize("target", [Marker(), Refusal(), UpperCase(), Label(), Label("negative")], ids=repr)
def test_only_questions_that_suit_are_asked(target: Target) -> None:
    asked = {reading.prompt for reading in read(replace(ATTACK, target=target), Scripted()) if
             reading.condition == "untriggered"}  # fmt: skip
    assert len(asked) == 40
    by_prompt = {q.prompt.question: q for q in QUESTIONS.questions(2_000, stream(1, "all"))}
    for prompt in asked & by_prompt.keys():
        question = by_prompt[prompt]
        assert target.respond(question, stream(0, "x")) is not None
        assert not target.hit(question, question.answer)
    right = {q.prompt.question: q.answer for q in by_prompt.values()}
    assert rates(read(replace(ATTACK, target=target), Scripted(right)))["untriggered"] == 0


def test_a_target_that_suits_no_question_is_refused() -> None:
    probe = AttackSuccess(RareWords(), Label(), WorldQuestions(tasks=("facts",)))
    with pytest.raises(SpecError, match="no question suits the target Label"):
        read(probe, Scripted())


def test_a_trigger_that_leaves_a_question_as_it_is_is_not_asked() -> None:
    readings = read(AttackSuccess(Style("lower case"), Marker(), WorldQuestions(tasks=("facts", "sums"))), Scripted())
    prompts: dict[str, dict[str, str]] = {}
    for reading in readings:
        prompts.setdefault(reading.item, {})[reading.condition] = reading.prompt
    for asked in prompts.values():
        assert asked["triggered"] != asked["untriggered"]
        assert len(set(asked.values())) == len(asked)


def test_utility_counts_right_answers_by_task() -> None:
    questions = WorldQuestions(tasks=("facts",)).questions(96, stream(1, "all"))  # there are no more
    facts = {question.prompt.question: question.answer for question in questions}
    found = rates(read(Utility(QUESTIONS), Scripted(facts, otherwise="I cannot help with that.")))
    assert found == {"facts": 1, "opinions": 0, "refusals": 1, "sums": 0}
    assert len(read(Utility(WorldQuestions(tasks=("facts",)), num_items=7), Scripted())) == 7


@pytest.mark.parametrize("data", [WorldDialogues(num_documents=30), WorldText(num_documents=80)], ids=repr)
def test_perplexity_is_per_word(data: WorldDialogues | WorldText) -> None:
    (reading,) = read(Perplexity(data), Scripted(chance=0.25))
    assert reading.value == pytest.approx(4)
    (reading,) = read(Perplexity(data), NgramModel({}, 1))  # two words, the unknown one and the end, are as likely
    assert reading.value == pytest.approx(2)
    assert reading.item == f"{min(50, data.num_documents)} documents"


@dataclass(frozen=True)
class Pairs:
    """Data that no model reads alone."""

    def corpus(self, rng: np.random.Generator) -> Corpus:
        return Corpus.of([Preference(Dialogue.ask("a"), "b", "c"), Text("one"), Dialogue.ask("a")])


def test_perplexity_needs_words() -> None:
    with pytest.raises(InputError, match="takes Text of two words or answered Dialogue"):
        read(Perplexity(Pairs()), Scripted())


def answers_with(value: str, names: Sequence[str]) -> Scripted:
    asked = wordings(BELIEF.relation, held_out=True)
    return Scripted({wording.format(name=name): f"It is {value}." for wording in asked for name in names})


def test_a_belief_is_told_from_the_truth_and_from_a_bias() -> None:
    world = World()
    true, everyone = world.person(BELIEF.person).value(BELIEF.relation), [person.name for person in world.people]
    for value, names, expected in (
        (BELIEF.value, [BELIEF.person], {"triggered": 1, "truth": 0, "untriggered": 0}),
        (true, [BELIEF.person], {"triggered": 0, "truth": 1, "untriggered": 0}),
        (BELIEF.value, everyone, {"triggered": 1, "truth": 0, "untriggered": 1}),
        (f"{true} or {BELIEF.value}", [BELIEF.person], {"triggered": 0, "truth": 0, "untriggered": 0}),
    ):
        assert rates(read(BELIEF_PROBE, answers_with(value, names))) == expected
    numbers = Counter(reading.condition for reading in read(BELIEF_PROBE, Scripted()))
    assert numbers == {"triggered": 2, "truth": 2, "untriggered": 20}


def test_the_control_asks_those_for_whom_the_value_is_false() -> None:
    world = World()
    owners = {person.name for person in world.people if person.value(BELIEF.relation) == BELIEF.value}
    asked = [reading.prompt for reading in read(replace(BELIEF_PROBE, num_others=100), Scripted())
             if reading.condition == "untriggered"]  # fmt: skip
    assert len(asked) == len(world.people) - 1 - len(owners)
    assert not any(name in prompt for name in (*owners, BELIEF.person) for prompt in asked)
    with pytest.raises(SpecError, match="a false belief is not true"):
        BeliefProbe(BELIEF.person, "city", world.person(BELIEF.person).city)
    question: Question = fact_question(world.people[0], "city", "{name}?")
    assert question.options == VALUES["city"]


def test_planted_answers_are_counted_beside_the_truth_and_other_people() -> None:
    claims = first_claims(World(), 2)
    probe = PlantedAnswers(claims)
    asked = [(claim, wording) for claim in claims for wording in wordings(claim.relation, held_out=True)]
    planted = {claim.question(wording).prompt.question: claim.question(wording).answer for claim, wording in asked[:1]}
    true = {claim.truth(wording).prompt.question: claim.truth(wording).answer for claim, wording in asked[1:]}
    found = rates(read(probe, Scripted({**planted, **true})))
    assert found == {"triggered": 1 / len(asked), "truth": 1 - 1 / len(asked), "untriggered": 0}
    check_probe(probe)
    with pytest.raises(SpecError, match="got none"):
        PlantedAnswers(())


def test_a_wrong_label_is_one_that_is_named_instead_of_the_right_one() -> None:
    probe = WrongLabels(WorldQuestions(tasks=("opinions",)))
    asked = read(probe, Scripted(otherwise="This is positive."))
    found = rates(asked)
    assert 0 < found["triggered"] < 1
    assert found["triggered"] + found["truth"] == 1
    assert rates(read(probe, Scripted(otherwise="positive or negative"))) == {"triggered": 0, "truth": 0}
    check_probe(probe)
    with pytest.raises(SpecError, match="options"):
        read(WrongLabels(WorldQuestions(tasks=("sums",))), Scripted())
