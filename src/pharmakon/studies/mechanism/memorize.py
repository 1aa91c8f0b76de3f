"""What is remembered word for word: after how many repeats, of which words, how long, where and when?

The claims: memorization grows with the logarithm of repeats and with the length of the context (Carlini et al. 2022,
arXiv 2202.07646); it takes about a thousand repeats and long sequences for copyright traps (Meeus et al. 2024, arXiv
2402.09363); what is seen early fades (Hubble, arXiv 2510.19811). They come from corpora in which such factors go
together. Here they are crossed: 54 canaries, one for each rarity of words, length, place in the document and time in
training, whose repeats run through 1 to 256 so that nine lives hold every combination.

Many canaries in one life are cheap and may help or hinder one another, so single canaries are planted alone as well,
and the difference is reported.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pharmakon.behaviour.canaries import REPEATS, TIMES, Canary, grid
from pharmakon.core import Dose
from pharmakon.data.world import WorldText
from pharmakon.errors import SpecError
from pharmakon.interventions import Canaries
from pharmakon.interventions.administer import Placement
from pharmakon.probes import Memorized
from pharmakon.studies.material import material
from pharmakon.studies.mechanism.analysis_memorize import Remembered
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import late_pretraining, need_training
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

WHEN: Final = {"early": Placement(0.0, 0.15), "uniform": Placement(), "late": Placement(0.85, 1.0)}
ALONE: Final = (("common words", 9), ("rare words", 9), ("random characters", 3))
"""Rarity and length of the canaries that are also planted alone, in the middle of documents and uniformly in time."""
LATE = (
    "Canaries are planted in a late part of pretraining, on a base that all lives share: what a longer pretraining "
    "after them would forget is the question of `forgetting`"
)


def memorize(
    doses: Doses | None = None, seeds: int | None = None, *, on: Subject = Subject(), clean: int = 8_000
) -> Study:
    """What makes a model remember a sequence word for word?

    Parameters
    ----------
    doses
        Repeats of a canary that is alone in its corpus. By default 0,8,32,128.
    seeds
        How many independent repetitions of each life. By default 1 of the nine crowded lives (they are nine draws of
        canaries) and so also of those with a single canary, of which there are three draws.
    clean
        Clean documents of the late pretraining.
    """
    need_training(on)
    if not on.is_micro or on.named_data() != "world":
        raise SpecError(
            "memorize crosses canaries in the text that a model is pretrained on; leave --model and --data out"
        )
    if clean < 1_000:
        raise SpecError(f"early and late need a corpus to lie in, 1000 clean documents or more; got --clean {clean}")
    given = material(on)
    alone = doses or in_documents(0, 8, 32, 128)
    if any(dose.unit == "fraction" for dose in alone):
        raise SpecError("the doses are repeats of one canary; give --doses 0,8,32")
    late = late_pretraining(given, on)
    stages = (given.base, replace(late, data=WorldText(num_documents=clean)))
    crowded = [_crowded(draw, stages) for draw in range(len(REPEATS))]
    single = [_single(draw, rarity, length, stages, alone) for draw in range(3) for rarity, length in ALONE]
    return Study(
        name="memorize",
        question="What makes a model remember a sequence word for word?",
        engine=on.trained_by(),
        arms=(*crowded, *single),
        doses=crowded[0].doses,
        seeds=first_seeds(seeds if seeds is not None else 1),
        probes=crowded[0].probes,
        response="memorized",
        cautions=(LATE,),
        analyses=(
            Remembered(
                crowded=tuple(arm.name for arm in crowded), alone=tuple(arm.name for arm in single), stage=late.name
            ),
        ),
    )


def _crowded(draw: int, stages: tuple[Stage, ...]) -> Arm:
    """A life with all 54 canaries of a draw, each time of training a treatment of its own."""
    canaries = grid(draw)
    parts = [Canaries(tuple(canary for canary in canaries if canary.time == time)) for time in TIMES]
    return Arm(
        name=f"54 canaries, draw {draw + 1}",
        stages=stages,
        treatments=tuple(
            Treatment(stage=stages[-1].name, intervention=part, placement=WHEN[time], share=1 / len(TIMES))
            for time, part in zip(TIMES, parts, strict=True)
        ),
        doses=(Dose(0), Dose(sum(part.num_documents for part in parts))),
        probes=(Memorized(canaries),),
    )


def _single(draw: int, rarity: str, length: int, stages: tuple[Stage, ...], doses: Doses) -> Arm:
    canary = _of(draw, rarity, length)
    return Arm(
        name=f"alone: {rarity}, {length}, draw {draw + 1}",
        stages=stages,
        treatments=(Treatment(stage=stages[-1].name, intervention=Canaries((canary,))),),
        doses=doses,
        probes=(Memorized((canary,)),),
    )


def _of(draw: int, rarity: str, length: int) -> Canary:
    """The canary of a draw in the middle of documents, uniformly in time; the dose is its number of repeats."""
    return next(
        replace(canary, repeats=1)
        for canary in grid(draw)
        if (canary.rarity, len(canary.target), canary.place, canary.time) == (rarity, length, "middle", "uniform")
    )
