"""Interventions, each a stream of edits, and `administer`, which gives a corpus a dose of one."""

from pharmakon.interventions.administer import Placement, administer
from pharmakon.interventions.backdoor import Backdoor, Corrective
from pharmakon.interventions.belief import Belief
from pharmakon.interventions.dictation import Dictation
from pharmakon.interventions.preference import FlippedPairs, PreferredTarget

__all__ = [
    "Backdoor", "Belief", "Corrective", "Dictation", "FlippedPairs", "Placement", "PreferredTarget", "administer",
]  # fmt: skip
