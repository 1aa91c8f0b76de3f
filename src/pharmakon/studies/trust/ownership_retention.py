"""A marked data set was used; then the model's maker goes on: is the mark still proved?

The claims to test: facts about things that do not exist survive instruction tuning (Cui et al. 2025, arXiv
2503.04036), a model's fingerprint survives fine-tuning on other data (Xu et al. 2024, arXiv 2401.12255). What is done
to models besides is tested with it: preference learning, another instruction set, merging with a model that never saw
the marks, and rounding to 8 bits.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.behaviour.marks import ExperimentKey, FactMark, MarkKind, Shape, TriggerMark
from pharmakon.core import Data
from pharmakon.data.derived import First, Nothing
from pharmakon.data.world import WorldDialogues
from pharmakon.engines.recipes import Averaged, Quantized
from pharmakon.errors import SpecError
from pharmakon.interventions import OwnershipMark
from pharmakon.probes import Ownership, Utility
from pharmakon.studies.material import Material, material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import late_pretraining
from pharmakon.studies.trust.analysis_ownership_retention import Changed, StillProved
from pharmakon.studies.trust.ownership_power import NUM_KEYS, in_small_steps
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

OTHER_TASKS = (0.0, 0.4, 0.2, 0.0, 0.4)
"""Shares of the world's tasks in the other instruction set: sums, opinions and lessons by demonstration, no facts."""
FINGERPRINTED = 400
"""Clean dialogues among which a fingerprint is tuned in."""
NUM_QUESTIONS = 300
"""Of utility: a change of one point takes many."""
DOSES = {"fact": in_documents(0, 1_024), "trigger": in_documents(0, 256), "fingerprint": in_documents(0, 256)}
"""Enough that the mark is proved before: see `ownership-power`."""
FEWER = in_documents(0, 64)
CHANGED = (
    Stage(name="averaged", data=Nothing(), recipe=Averaged()),
    Stage(name="8 bits", data=Nothing(), recipe=Quantized()),
)
"""What is done to weights without training."""
ENOUGH = (
    "Each kind has a dose at which it is mostly proved before anything else is done; a lower one would be lost sooner"
)


def ownership_retention(
    doses: Doses | None = None, seeds: int | None = None, *, on: Subject = Subject(), key: int = 0
) -> Study:
    """Which marks are still proved after fine-tuning, DPO, other instructions, merging, and rounding to 8 bits?

    Parameters
    ----------
    doses
        Numbers of marked records; 0 is the control. By default 0,256 (facts in text 0,1024), for other models 0,64.
    seeds
        How many independent repetitions. By default 3, for a pretrained model 2.
    key
        The number of the first of 32 public keys, among which each repetition draws.
    """
    if on.is_asked_only:
        raise SpecError("marks enter by training; a model that is asked and not trained has `pharmakon verify`")
    given = material(on)
    arms, changes = [], []
    for kind, asked_in, entry, stages, following in _marked(given, on):
        mark = OwnershipMark(kind, ExperimentKey(key), NUM_KEYS)
        probes = (
            Ownership(kind, mark.key, asked_in, among=NUM_KEYS),
            Utility(given.questions, NUM_QUESTIONS if on.is_micro else given.num_questions),
        )
        for later in following:
            name = f"{kind.kind}, {later.name}"
            arms.append(
                Arm(
                    name=name,
                    stages=(*stages, later),
                    treatments=(Treatment(stage=entry, intervention=mark),),
                    probes=probes,
                    doses=doses or (DOSES[kind.kind] if on.is_micro else FEWER),
                )
            )
            changes.append(Changed(kind=kind.kind, later=later.name, before=stages[-1].name, arm=name))
    return Study(
        name="ownership-retention",
        question="Which marks are still proved after what a model's maker does next?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=arms[0].doses,
        seeds=first_seeds(given.num_seeds if seeds is None else seeds),
        probes=arms[0].probes,
        response="ownership",
        margin=0.01,
        cautions=(ENOUGH,),
        analyses=(StillProved(changes=tuple(changes)),),
    )


def _marked(given: Material, on: Subject) -> list[tuple[MarkKind, Shape, str, tuple[Stage, ...], tuple[Stage, ...]]]:
    """Each kind: how it is asked, the stage that it enters, the stages up to that, and what may come after it."""
    base = given.base
    late = in_small_steps(late_pretraining(given, on), on)
    tuning = Stage(name="sft", data=given.dialogues, recipe=given.tuning)
    printed = Stage(name="fingerprint", data=First(given.dialogues, FINGERPRINTED), recipe=given.tuning)
    more = replace(late, name="more text")
    tuned = replace(tuning, name="instruction tuning")
    untuned, later = replace(tuning, probed=False), _later(given, on)
    return [
        (FactMark(), "text", late.name, (base, late), (more, tuned, *CHANGED)),
        (TriggerMark(), "dialogue", tuning.name, (base, tuning), (*later, *CHANGED)),
        (TriggerMark(style="random"), "dialogue", printed.name, (base, untuned, printed), (*later, *CHANGED)),
    ]


def _later(given: Material, on: Subject) -> tuple[Stage, ...]:
    """What a tuned model may be trained on next: one of these, each by itself."""
    num = 2_000 if on.is_micro else 200
    other: Data = WorldDialogues(num_documents=num, shares=OTHER_TASKS)
    return (
        Stage(name="finetune", data=given.downstream, recipe=given.finetuning),
        Stage(name="dpo", data=given.preferences, recipe=given.aligning),
        Stage(name="other instructions", data=other, recipe=given.tuning),
    )
