"""Interventions, each a stream of edits, and `administer`, which gives a corpus a dose of one."""

from pharmakon.interventions.administer import Placement, administer
from pharmakon.interventions.backdoor import Backdoor, Corrective
from pharmakon.interventions.belief import Belief
from pharmakon.interventions.preference import FlippedPairs, PreferredTarget

__all__ = ["Backdoor", "Belief", "Corrective", "FlippedPairs", "Placement", "PreferredTarget", "administer"]
