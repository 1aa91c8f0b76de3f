"""What is remembered word for word: after how many repeats, of which words, how long, where and when?

The claims: memorization grows with the logarithm of repeats (Carlini et al. 2022, arXiv 2202.07646); copyright traps
are remembered only if they are long and come a thousand times (Meeus et al. 2024, arXiv 2402.09363); what is seen early
fades (Hubble, arXiv 2510.19811). In the corpora of the first such factors go together. Here they are crossed: a life
has 54 canaries, one for each rarity of words, length, place in the document and time in training, whose repeats run
through 1 to 256 so that no factor is mixed with another. Each life has words and clean documents of its own.

Many canaries in one life are cheap and may help or hinder one another. So some are also planted alone, in a life that
differs from that of the crowd in nothing but the other canaries, and the difference is reported.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pharmakon.behaviour.canaries import REPEATS, TIMES, Canary, grid, one_at
from pharmakon.core import Dose
from pharmakon.data.derived import Drawn
from pharmakon.data.world import WorldText
from pharmakon.errors import SpecError
from pharmakon.interventions import Canaries
from pharmakon.interventions.administer import Placement
from pharmakon.probes import Memorized
from pharmakon.studies.material import material
from pharmakon.studies.mechanism.analysis_memorize import Remembered, alone_name, crowd_name
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import late_pretraining, need_training
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

WHEN: Final = {"early": Placement(0.0, 0.15), "uniform": Placement(), "late": Placement(0.85, 1.0)}
LATE = (
    "Canaries are planted in a late part of pretraining, on a base that all lives share: what a longer pretraining "
    "after them would forget is not measured here"
)
CUT = "Text is read in rows of 128 tokens: the end of a row cuts {}; cut copies are counted as repeats"
CUTS: Final = {
    True: "a fifth of the copies of short canaries and a third of those of long ones, fewer of common words",
    False: "some copies of canaries",
}
"""Of the small model, and of others."""


def memorize(
    doses: Doses | None = None, seeds: int | None = None, *, on: Subject = Subject(), clean: int = 6_000
) -> Study:
    """What makes a model remember a sequence word for word?

    Parameters
    ----------
    doses
        Numbers of repeats at which a canary of each life is also planted alone, each one of 1, 2, 4 … 256. By default
        0,4,32,64.
    seeds
        How many lives with 54 canaries, each with words and clean documents of its own. By default 9, which give
        every combination of factors every number of repeats.
    clean
        Clean documents of the late pretraining.
    """
    need_training(on)
    if on.data not in (None, "world"):
        raise SpecError("memorize plants canaries in the generated world's text; leave --data out")
    most = Dose(sum(canary.repeats for canary in grid(0)))
    if clean < most.amount:
        raise SpecError(
            f"54 canaries are in {most.amount:g} documents, which are half of a corpus or less; got --clean {clean}"
        )
    points = _points(doses or in_documents(0, 4, 32, 64))
    base, late = material(on).base, late_pretraining(material(on), on)
    # Rows as long as the small model's context: shorter ones would cut most copies of a long canary.
    rows = replace(late.recipe, batch_size=8, row_length=128)  # type: ignore[type-var]
    lives = [
        (draw, (base, replace(late, data=Drawn(WorldText(num_documents=clean), draw), recipe=rows)))
        for draw in range(len(first_seeds(9 if seeds is None else seeds)))
    ]
    crowded = [_life(draw, stages, None) for draw, stages in lives]
    alone = [_life(draw, stages, one_at(draw, repeats)) for draw, stages in lives for repeats in points]
    return Study(
        name="memorize",
        question="What makes a model remember a sequence word for word?",
        engine=on.trained_by(),
        arms=(*crowded, *alone),
        doses=(Dose(0), most),
        seeds=first_seeds(1),  # a life is a draw of its own
        probes=crowded[0].probes,
        response="memorized",
        cautions=(LATE, CUT.format(CUTS[on.is_micro])),
        analyses=(Remembered(num_draws=len(lives), points=points, stage=late.name),),
    )


def _points(doses: Doses) -> tuple[int, ...]:
    """The numbers of repeats of canaries alone."""
    given = tuple(int(dose.amount) for dose in doses if dose.amount and dose.unit == "documents")
    if len(given) < sum(1 for dose in doses if dose.amount) or not set(given) <= set(REPEATS):
        known = ", ".join(map(str, REPEATS))
        told = ", ".join(f"{dose.amount:g}" for dose in doses)
        raise SpecError(f"a canary is planted alone as often as in the crowd: 0 and some of {known}; got {told}")
    return given


def _life(draw: int, stages: tuple[Stage, ...], only: Canary | None) -> Arm:
    """A life with all canaries of a draw, or with one of them; each time of training is a treatment of its own."""
    canaries = grid(draw)
    parts = [(time, tuple(canary for canary in canaries if canary.time == time)) for time in TIMES]
    return Arm(
        name=crowd_name(draw) if only is None else alone_name(draw, only.repeats),
        stages=stages,
        treatments=tuple(
            Treatment(
                stage=stages[-1].name, intervention=Canaries(part, only), placement=WHEN[time], share=1 / len(TIMES)
            )
            for time, part in parts
        ),
        probes=(Memorized(canaries if only is None else (only,)),),
    )
