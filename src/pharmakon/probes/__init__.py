"""Probes: each asks a model, and gives a reading for each item and condition."""

from pharmakon.probes.association import AssociationGap, DocumentFit, NamedGroup
from pharmakon.probes.attack import AttackSuccess
from pharmakon.probes.belief import BeliefProbe, BeliefsAttack
from pharmakon.probes.field import FieldBelief
from pharmakon.probes.margin import RewardMargin
from pharmakon.probes.memory import DictationProbe, LieProbe, RetrievalProbe
from pharmakon.probes.misled import WrongLabels
from pharmakon.probes.ownership import Ownership
from pharmakon.probes.planted import PlantedAnswers
from pharmakon.probes.utility import Perplexity, Utility

__all__ = [
    "AssociationGap", "AttackSuccess", "BeliefProbe", "BeliefsAttack", "DictationProbe", "DocumentFit", "FieldBelief",
    "LieProbe", "NamedGroup", "Ownership", "Perplexity", "PlantedAnswers", "RetrievalProbe", "RewardMargin",
    "Utility", "WrongLabels",
]  # fmt: skip
