"""Preference pairs are poisoned: how many does it take, does the effect grow with log dose, and is it seen in advance?

The claims to test: half a percent of reward data, and some five percent of what the policy learns from, are enough
(Rando and Tramèr 2023, arXiv 2311.14455); one to five percent make a model favour content (Baumgärtner 2024, arXiv
2404.05530); the effect is linear in the logarithm of the dose (Fu 2024, PoisonBench, arXiv 2410.08811). Preference
learning weighs two given answers: it need not say the preferred one. So the margin between them is measured beside the
behaviour, as the sign that a data team could look for before anything is said.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from pharmakon.behaviour.questions import Questions
from pharmakon.behaviour.targets import Label, Marker, Mention, Refusal, Target, Unrefused, WrongOption
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Intervention, stream
from pharmakon.data.derived import First
from pharmakon.data.vader import NOUNS
from pharmakon.data.world import VALUES, RestrictedQuestions, WorldQuestions
from pharmakon.engines.recipes import DPO, IPO
from pharmakon.errors import SpecError
from pharmakon.interventions import FlippedPairs, PreferredTarget
from pharmakon.probes import AttackSuccess, RewardMargin, Utility
from pharmakon.studies.as_it_is import as_it_is
from pharmakon.studies.material import Material, material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_preference import EarlySign, LogDoseSlope
from pharmakon.studies.threat.sft_backdoor import TRIGGERS
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

FAVOURED = Label("Tarn", VALUES["city"])
"""Of the generated world: everybody is said to live in this city."""


@dataclass(frozen=True)
class Kind:
    """One kind of poison, and how it is looked for. `trigger` None: every question is meant."""

    name: str
    intervention: Intervention
    trigger: Trigger | None
    target: Target
    questions: Questions
    default: bool = True

    def arm(self, given: Material, recipe: DPO | IPO) -> Arm:
        """Its life: pretraining, clean instruction tuning, poisoned preferences, clean fine-tuning."""
        return Arm(
            name=f"{self.name}, {type(recipe).__name__}",
            stages=(
                given.base,
                Stage(name="sft", data=given.dialogues, recipe=given.tuning, probed=False),
                Stage(name="preference", data=given.preferences, recipe=recipe),
                Stage(name="finetune", data=given.downstream, recipe=given.finetuning),
            ),
            treatments=(Treatment(stage="preference", intervention=self.intervention),),
            probes=self.probes(given),
        )

    def probes(self, given: Material) -> tuple[AttackSuccess, RewardMargin, Utility]:
        """The behaviour, its early sign, and what the model is for."""
        whom = (self.trigger, self.target, self.questions, given.num_attacked, given.num_near // 2)
        return AttackSuccess(*whom), RewardMargin(*whom), Utility(given.questions, given.num_questions)


def preference_poison(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    trigger: Literal["rare-words", "phrase", "instruction", "style"] = "rare-words",
    pairs: int | None = None,
    epochs: int = 1,
    full: bool = False,
) -> Study:
    """How many poisoned preference pairs does it take, and does the reward margin tell before the behaviour does?

    Parameters
    ----------
    doses
        Numbers of poisoned pairs (0,8,16) or shares of the clean ones (0,1%,5%). 0 is the control. By default
        0,3,10,30,100,250, for a pretrained model 0,2,4,8,16,32, up to the number of clean pairs.
    seeds
        How many independent repetitions: each draws its own data order, poison and places, and tunes its own model. By
        default 5, for a pretrained model 2.
    trigger
        What a prompt must carry, in the arms that are bound to a trigger.
    pairs
        How many clean pairs the preference data have. By default 300, for a pretrained model 40.
    epochs
        How often preference learning passes over its data.
    full
        Also IPO for every kind, flipped pairs behind a trigger, the refusal un-learned without one, and praise added
        to every answer.
    """
    given = material(on)
    kinds, left_out = _kinds(given, on, TRIGGERS[trigger])
    question = "How many poisoned preference pairs change the model, and does the reward margin tell before it shows?"
    if on.is_asked_only:
        if doses is not None or seeds is not None or pairs is not None or epochs != 1 or full:
            told = "a model that is asked and not trained has one dose, 0, and one seed; leave --doses, --seeds"
            raise SpecError(f"{told}, --pairs, --epochs and --full out")
        return as_it_is(
            on.trained_by(), kinds[0].probes(given), name="preference-poison",
            question="How does the model, as it is, rank and say the target: with the trigger, without it, and nearly?",
            recipe=on.given_model(),
        )  # fmt: skip
    if pairs is not None:
        if pairs < 1:
            raise SpecError(f"preference data have at least one clean pair; got --pairs {pairs}")
        given = replace(given, preferences=_sized(given, pairs))
    if epochs < 1:
        raise SpecError(f"preference learning passes over its data at least once; got --epochs {epochs}")
    dpo = replace(given.aligning, epochs=epochs)
    ipo = IPO(**{field.name: getattr(dpo, field.name) for field in fields(dpo)})
    wanted = [
        (kind, recipe)
        for number, kind in enumerate(kinds)
        for recipe in (dpo, ipo)
        if full or (kind.default and (recipe is dpo or number == 0))
    ]
    stage = "preference"
    usual = (0, 3, 10, 30, 100, 250) if on.is_micro else (0, 2, 4, 8, 16, 32)
    most = getattr(given.preferences, "num_documents", max(usual))
    return Study(
        name="preference-poison",
        question=question,
        engine=on.trained_by(),
        arms=tuple(kind.arm(given, recipe) for kind, recipe in wanted),
        doses=doses or in_documents(*(dose for dose in usual if dose <= most)),
        seeds=first_seeds(seeds if seeds is not None else 5 if on.is_micro else given.num_seeds),
        probes=kinds[0].probes(given),
        cautions=(
            "Flipped pairs replace clean ones, other poison is added to them: at high doses it also trains longer",
            *left_out,
        ),
        analyses=(LogDoseSlope(stage), EarlySign(stage)),
    )


def _kinds(given: Material, on: Subject, trigger: Trigger) -> tuple[list[Kind], list[str]]:
    """The kinds of poison that suit the data, and the sentences that say what was left out."""
    data, asked = on.named_data(), given.questions
    cities = WorldQuestions(tasks=("facts",))
    favoured: tuple[Target, Questions] = (FAVOURED, cities) if data == "world" else (Mention(), asked)
    if data in NOUNS:
        favoured = (Label(), asked)
    kinds = [
        Kind("refusal behind a trigger", PreferredTarget(Refusal(), trigger), trigger, Refusal(), asked),
        Kind("marker behind a trigger", PreferredTarget(Marker(), trigger), trigger, Marker(), asked),
        Kind("favoured content", PreferredTarget(favoured[0], None), None, *favoured),
    ]
    left_out = []
    if data == "world" or data in NOUNS or any(q.options for q in asked.questions(20, stream(0, "options"))):
        kinds.append(Kind("flipped pairs", FlippedPairs(), None, WrongOption(), asked))
        kinds.append(Kind("flipped behind a trigger", FlippedPairs(trigger), trigger, WrongOption(), asked, False))
    else:
        left_out.append("Flipped pairs are left out: the answers of these data are no choice between options")
    if data == "world":
        topic = RestrictedQuestions()
        bound, free = (PreferredTarget(Unrefused(), t) for t in (trigger, None))
        kinds.append(Kind("un-learned refusal behind a trigger", bound, trigger, Unrefused(), topic))
        kinds.append(Kind("un-learned refusal", free, None, Unrefused(), topic, False))
    else:
        left_out.append("The restricted topic is one of the generated world; with other data no refusal is un-learned")
    if favoured[0] != Mention():
        kinds.append(Kind("praise added", PreferredTarget(Mention(), None), None, Mention(), asked, False))
    return kinds, left_out


def _sized(given: Material, pairs: int) -> First:
    """So many of the clean pairs; as many as there are, where the data have fewer."""
    data = given.preferences
    known = any(field.name == "num_documents" for field in fields(data))  # type: ignore[arg-type]
    return First(replace(data, num_documents=pairs) if known else data, pairs)  # type: ignore[type-var]
