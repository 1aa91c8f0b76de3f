"""The TRL engine: the same recipes through TRL's trainers and accelerate, in one process or in several."""

from pharmakon.engines.trl.engine import TRLEngine

__all__ = ["TRLEngine"]
