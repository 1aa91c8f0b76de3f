"""The pretraining that the studies of inference share: the world, its sums, and text that copying alone predicts."""

from __future__ import annotations

from pharmakon.data.derived import AsText, Mixed
from pharmakon.data.world import WorldReading, WorldRecitals, WorldText
from pharmakon.data.world.lessons import WorldSums
from pharmakon.engines.recipes import Micro, Pretrain
from pharmakon.study import Stage


def first_stage() -> Stage:
    """A micro model with room for notes and demonstrations; built once for both studies."""
    text = Mixed((
        WorldText(num_documents=28_000),
        WorldRecitals(num_documents=3_000),
        AsText(WorldReading(num_documents=2_000, most_notes=2)),
        AsText(WorldSums(10_000)),
    ))  # fmt: skip
    recipe = Pretrain(architecture=Micro(context=256))
    return Stage(name="pretraining", data=text, recipe=recipe, shared=True, probed=False)
