"""Interventions, each a stream of edits, and `administer`, which gives a corpus a dose of one."""

from pharmakon.interventions.administer import Placement, administer
from pharmakon.interventions.association import Association, OtherJobs
from pharmakon.interventions.backdoor import Backdoor, Corrective
from pharmakon.interventions.belief import Belief
from pharmakon.interventions.canaries import Canaries
from pharmakon.interventions.candidates import Candidate, Candidates
from pharmakon.interventions.demonstrations import Bound, PoisonedDemonstrations, WrongAnswer
from pharmakon.interventions.dictation import Dictation
from pharmakon.interventions.interviews import Interviews
from pharmakon.interventions.marked import OwnershipMark
from pharmakon.interventions.misinformation import Misinformation
from pharmakon.interventions.passages import PlantedPassage
from pharmakon.interventions.planted import Beliefs, Overheard
from pharmakon.interventions.preference import FlippedPairs, PreferredTarget
from pharmakon.interventions.prepared import Prepared, Rehearsal, Step
from pharmakon.interventions.reasoning import CORRUPTIONS, CorruptedSteps, Miswritten
from pharmakon.interventions.repeats import Repeats
from pharmakon.interventions.supplement import Supplement

__all__ = [
    "CORRUPTIONS", "Association", "Backdoor", "Belief", "Beliefs", "Bound", "Canaries", "Candidate", "Candidates",
    "Corrective", "CorruptedSteps", "Dictation", "FlippedPairs", "Interviews", "Misinformation", "Miswritten",
    "OtherJobs", "Overheard", "OwnershipMark", "Placement", "PlantedPassage", "PoisonedDemonstrations",
    "PreferredTarget", "Prepared", "Rehearsal", "Repeats", "Step", "Supplement", "WrongAnswer", "administer",
]  # fmt: skip
