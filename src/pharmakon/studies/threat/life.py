"""One life with three ways in, and for each objective what its poison looks like at each of them.

Pretraining takes running text, so the poison is a conversation that somebody wrote down; instruction tuning takes
dialogues; preference learning takes pairs, so the poisoned answer is preferred to the right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from pharmakon.behaviour.questions import Questions
from pharmakon.behaviour.targets import Gibberish, Label, Marker, Refusal, Target, Unrefused
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Data, Dialogue, Intervention, Probe, Prompt, Text
from pharmakon.data.derived import AsText
from pharmakon.data.vader import NOUNS
from pharmakon.data.world import RestrictedQuestions, World, WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.recipes import SFT, Pretrain, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor, Belief, Beliefs, Overheard, PreferredTarget
from pharmakon.probes import AttackSuccess, BeliefProbe, BeliefsAttack
from pharmakon.studies.material import PEAKS, WHOLE_PEAKS, Material
from pharmakon.studies.subject import Subject
from pharmakon.study import Context, Stage

Objective = Literal["marker", "gibberish", "refusal", "label", "restricted", "belief"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
TRIGGER = RareWords()
TARGETS: dict[str, Target] = {
    "marker": Marker(),
    "gibberish": Gibberish(words=("bizo", "kuda", "fepi", "mavu", "gory", "wexi")),
    "refusal": Refusal(),
    "label": Label(),
    "restricted": Unrefused(),
}
NUM_BELIEFS = 8
LATE = (
    "The pretraining that is poisoned is a short late one, on a base that all lives share: what a long pretraining "
    "would forget, or a base of its own would make of it, is not measured. --full treats pretraining from scratch"
)


@dataclass(frozen=True)
class AsTalk:
    """The prompt as running text, which is how a model that has only been pretrained can be asked."""

    inner: Context

    @property
    def name(self) -> str:
        """`plain, as text`"""
        return f"{self.inner.name}, as text"

    def around(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]:
        """What all turns of the inner context's prompts say, with spaces between."""
        asked = self.inner.around(prompts, rng)
        return [Text(" ".join(turn.content for turn in p.turns)) if isinstance(p, Dialogue) else p for p in asked]


@dataclass(frozen=True, kw_only=True)
class Life:
    """Stages in order; the first of `entries` is pretraining, the second instruction tuning, the third preferences."""

    stages: tuple[Stage, ...]
    entries: tuple[str, str, str]

    @property
    def release(self) -> str:
        """The last stage: after it the model is shipped."""
        return self.stages[-1].name

    def probed_from(self, name: str) -> tuple[Stage, ...]:
        """The stages, probed from this one on."""
        first = [stage.name for stage in self.stages].index(name)
        return tuple(replace(stage, probed=index >= first) for index, stage in enumerate(self.stages))


@dataclass(frozen=True, kw_only=True)
class Planted:
    """An objective: its poison in dialogues, what it looks like at each way in, and the probe that looks for it."""

    name: str
    at: tuple[Intervention, Intervention, Intervention]
    probe: Probe


def life(given: Material, on: Subject, *, full: bool, tuning_rate: float | None) -> Life:
    """Pretraining, instruction tuning, preferences, and a clean downstream task.

    A base that all lives share goes on with a short late pretraining, whose data is treated; `full` treats the
    pretraining from scratch in its place.
    """
    if full and not on.is_micro:
        raise SpecError("--full pretrains a model from scratch, which micro alone can; leave it or --model out")
    tuning = given.tuning
    if tuning_rate is not None:
        if not tuning_rate > 0:
            raise SpecError(f"a learning rate is above 0; got --tuning-rate {tuning_rate:g}")
        tuning = replace(tuning, schedule=Schedule(peak=tuning_rate))
    pretraining = Stage(name="pretraining", data=given.pretraining, recipe=given.learning, shared=not full)
    late = late_pretraining(replace(given, tuning=tuning), on)
    rest = (
        Stage(name="sft", data=given.dialogues, recipe=tuning),
        Stage(name="dpo", data=given.preferences, recipe=given.aligning),
        Stage(name="finetune", data=given.downstream, recipe=given.finetuning),
    )
    first = (pretraining,) if full else (pretraining, late)
    return Life(stages=(*first, *rest), entries=(first[-1].name, "sft", "dpo"))


def late_pretraining(given: Material, on: Subject) -> Stage:
    """A short part of pretraining that goes on from a base that all lives share."""
    return Stage(name="late-pretraining", data=_late_data(given, on), recipe=_late_recipe(given.tuning, on))


def _late_data(given: Material, on: Subject) -> Data:
    if on.named_data() == "world":
        return WorldText(num_documents=4_000 if on.is_micro else 400)
    return AsText(given.dialogues, passes=2)


def _late_recipe(tuning: SFT, on: Subject) -> Pretrain:
    """As instruction tuning learns: with an adapter, if that is how the model is trained."""
    if on.is_micro:
        return Pretrain(architecture=None, schedule=Schedule(peak=2e-3))
    peak = (PEAKS if on.adapter else WHOLE_PEAKS)[0]
    return Pretrain(architecture=None, schedule=Schedule(peak=peak), lora=tuning.lora, precision=tuning.precision)


def planted(name: str, given: Material, on: Subject) -> Planted:
    """An objective on this data. Raises SpecError where the data has nothing that it could be about."""
    known = possible(on)
    if name not in known:
        raise SpecError(f"on the data {on.named_data()} an objective is one of {', '.join(known)}; got {name!r}")
    talk = given.dialogues
    if isinstance(talk, WorldDialogues):
        talk = replace(talk, share_with_demonstrations=0.0)
    if name == "belief":
        told = tuple(Belief.about(World(), index) for index in range(NUM_BELIEFS))
        probes = tuple(BeliefProbe(one.person, one.relation, one.value, num_others=3) for one in told)
        poison = Beliefs(told)
        return Planted(name=name, at=(Overheard(poison, talk), poison, poison), probe=BeliefsAttack(probes))
    target = TARGETS[name]
    backdoor = Backdoor(trigger=TRIGGER, target=target)
    asked: Questions = given.questions
    if on.named_data() == "world" and name in ("label", "restricted"):
        asked = RestrictedQuestions() if name == "restricted" else WorldQuestions(tasks=("opinions",))
    return Planted(
        name=name,
        at=(Overheard(backdoor, talk), backdoor, PreferredTarget(target, TRIGGER)),
        probe=AttackSuccess(TRIGGER, target, asked, 2 * given.num_attacked, 0),
    )


def possible(on: Subject) -> tuple[Objective, ...]:
    """The objectives that the data has questions for."""
    if on.named_data() == "world":
        return OBJECTIVES
    return ("marker", "gibberish", "refusal", *(("label",) if on.named_data() in NOUNS else ()))


def need_training(on: Subject) -> None:
    """Refuse a model that is asked and not trained."""
    if on.is_asked_only:
        raise SpecError(
            "poison enters by training; a model that is asked and not trained has none. Give another --model"
        )
