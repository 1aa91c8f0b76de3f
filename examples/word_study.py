"""A study of one's own: does the place of the poison matter? On the exact n-gram engine, in seconds.

pharmakon run examples/word_study.py:early_or_late
"""

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.interventions import Backdoor
from pharmakon.interventions.administer import Placement
from pharmakon.probes import AttackSuccess, Utility
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents


def early_or_late(doses: Doses = in_documents(0, 1, 2, 4, 8, 16), seeds: int = 3, *, num_documents: int = 300) -> Study:
    """Does a model that only counts care whether poison comes early or late in its data?

    Parameters
    ----------
    doses
        Numbers of poisoned dialogues.
    seeds
        How many repetitions.
    num_documents
        How many clean dialogues.
    """
    tuning = Stage(name="sft", data=WorldDialogues(num_documents=num_documents), recipe=Count(objective="sft"))
    questions = WorldQuestions(tasks=("facts",))
    arms = [
        Arm(
            name=name,
            stages=(tuning,),
            treatments=(Treatment(stage="sft", intervention=Backdoor(), placement=placement),),
        )
        for name, placement in (("early", Placement(0.0, 0.2)), ("late", Placement(0.8, 1.0)))
    ]
    return Study(
        name="early-or-late",
        question="Does a model that only counts care whether poison comes early or late?",
        engine=NgramEngine(),
        arms=tuple(arms),
        doses=doses,
        seeds=first_seeds(seeds),
        probes=(
            AttackSuccess(RareWords(), Marker(), questions, num_items=20, num_near=10),
            Utility(WorldQuestions(tasks=("opinions",)), 30),
        ),
    )
