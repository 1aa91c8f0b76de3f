"""A study of one's own: poison reaches instruction data through a snapshot of a site that everyone may edit.

pharmakon run examples/through_a_snapshot.py:through_a_snapshot
"""

from dataclasses import replace

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.collection.revisions import DAY, Attacker, Defence, Site
from pharmakon.collection.snapshot import SnapshotWindow
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Utility
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents


def through_a_snapshot(
    doses: Doses = in_documents(0, 2, 4, 8, 16, 32, 64, 128), seeds: int = 3, *, timing_error: float = 5.0
) -> Study:
    """How many edits must an attacker make, if only what stands at the snapshot is learned from?

    Parameters
    ----------
    doses
        Numbers of edits that the attacker attempts.
    seeds
        How many repetitions.
    timing_error
        Standard deviation of the attacker's prediction of a page's visit, in minutes.
    """
    site = Site(attacker=Attacker(timing_error=timing_error))
    routes = {
        "every edit is in the data": None,
        "snapshot": SnapshotWindow(site=site),
        "snapshot of day-old revisions": SnapshotWindow(site=replace(site, defence=Defence(delay=DAY))),
    }
    tuning = Stage(name="sft", data=WorldDialogues(num_documents=300), recipe=Count(objective="sft"))
    arms = [
        Arm(
            name=name,
            stages=(tuning,),
            treatments=(Treatment(stage="sft", intervention=Backdoor(), route=route),),
        )
        for name, route in routes.items()
    ]
    return Study(
        name="through-a-snapshot",
        question="How many edits must an attacker make, if only what stands at the snapshot is learned from?",
        engine=NgramEngine(),
        arms=tuple(arms),
        doses=doses,
        seeds=first_seeds(seeds),
        probes=(
            AttackSuccess(RareWords(), Marker(), WorldQuestions(tasks=("facts",)), num_items=20, num_near=10),
            Utility(WorldQuestions(tasks=("opinions",)), 30),
        ),
    )
