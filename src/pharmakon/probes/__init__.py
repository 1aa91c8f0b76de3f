"""Probes: each asks a model, and gives a reading for each item and condition."""

from pharmakon.probes.association import AssociationGap, DocumentFit, NamedGroup
from pharmakon.probes.attack import AttackSuccess
from pharmakon.probes.attributed import Attributed, Triggered
from pharmakon.probes.belief import BeliefProbe, BeliefsAttack
from pharmakon.probes.codes import CodeKnowledge, CodeRecall
from pharmakon.probes.cure import Cure
from pharmakon.probes.field import FieldBelief
from pharmakon.probes.in_context import FreshMappings, Induction, PoisonedMappings
from pharmakon.probes.invention import Invention, Learned
from pharmakon.probes.kinds import Kind, TargetByKind
from pharmakon.probes.leaning import Leaning
from pharmakon.probes.margin import RewardMargin
from pharmakon.probes.memorized import Memorized
from pharmakon.probes.memory import DictationProbe, LieProbe, RetrievalProbe
from pharmakon.probes.misled import WrongLabels
from pharmakon.probes.ownership import Ownership
from pharmakon.probes.patching import Patching
from pharmakon.probes.planted import PlantedAnswers
from pharmakon.probes.reasoned import Reasoned
from pharmakon.probes.safety import OverRefusal, TaughtEffect
from pharmakon.probes.separation import MarkSeparation, PoisonScores
from pharmakon.probes.unused_keys import UnusedKeys
from pharmakon.probes.utility import Perplexity, Utility

__all__ = [
    "AssociationGap", "AttackSuccess", "Attributed", "BeliefProbe", "BeliefsAttack", "CodeKnowledge", "CodeRecall",
    "Cure", "DictationProbe", "DocumentFit", "FieldBelief", "FreshMappings", "Induction", "Invention", "Kind",
    "Leaning", "Learned", "LieProbe", "MarkSeparation", "Memorized", "NamedGroup", "OverRefusal", "Ownership",
    "Patching", "Perplexity", "PlantedAnswers", "PoisonScores", "PoisonedMappings", "Reasoned", "RetrievalProbe",
    "RewardMargin", "TargetByKind", "TaughtEffect", "Triggered", "UnusedKeys", "Utility", "WrongLabels",
]  # fmt: skip
