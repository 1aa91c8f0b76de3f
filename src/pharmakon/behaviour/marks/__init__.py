"""Marks of a data set's owner: a secret key draws, for each mark, one of R equally plausible answers."""

from pharmakon.behaviour.marks.key import ExperimentKey, OwnerKey, Secret
from pharmakon.behaviour.marks.keyed import SHAPES, Keyed, MarkKind, Shape
from pharmakon.behaviour.marks.kinds import FactMark, SecretTask, TrapMark, TriggerMark
from pharmakon.behaviour.marks.rephrase import Pair, RephraseMark

__all__ = [
    "SHAPES",
    "ExperimentKey",
    "FactMark",
    "Keyed",
    "MarkKind",
    "OwnerKey",
    "Pair",
    "RephraseMark",
    "Secret",
    "SecretTask",
    "Shape",
    "TrapMark",
    "TriggerMark",
]
