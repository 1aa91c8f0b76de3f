"""What a model was told is followed by clean training: how fast is it forgotten, and how much brings it back?

The claims to test: examples seen early in training fade where they are not repeated (Hubble, Wei et al. 2025, arXiv
2510.19811); and what is forgotten is learned again with less than the first time, Ebbinghaus' savings (1885), so that
it was not gone. Here made-up codes are told so many times, then clean dialogues follow in a row of checkpoints:
retention in graded measures, a half-life, and exponential against power-law decay. At the last checkpoint the codes are
told again, at several doses, beside codes that were never told to the same model at the same time: a model that learns
anything faster by then has no savings.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.core import Dose
from pharmakon.data.world import WorldDialogues
from pharmakon.data.world.codes import Codes
from pharmakon.engines.recipes import Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Supplement
from pharmakon.probes import CodeKnowledge, CodeRecall
from pharmakon.studies.material import material
from pharmakon.studies.mechanism.analysis_forgetting import AGAIN, FOLLOWING, FRESH, FRESH_FIRST, LEARNED, Forgotten
from pharmakon.studies.subject import Subject
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

FIRST, SECOND = Codes("first"), Codes("second")
HOST = 512
"""Clean dialogues among which codes are told, the first time and again."""
CLEAN = (64, 64, 128, 256, 512, 1_024, 2_048)
"""Clean dialogues between checkpoints: each twice as long after the telling as the one before."""
SHORTER = (16, 16, 32, 64)
DOSES, FOLLOWED = (0, 16, 32, 64, 128, 256, 512), (0, 128, 256, 512)
RATE = 1e-3
"""The learning rate from the telling on, without warm-up or decay: a checkpoint is no end of training."""
RESTARTED = (
    "Each checkpoint starts the optimizer's moments anew, so that clean training is a little rougher than in one piece"
)
ONE_SIZE = (
    "Half-lives hold for this rate of learning and these clean data; both are the same in all lives, so that doses can "
    "be compared"
)
FIRST_TIME = (
    "Codes of the first time are told to a model that never saw a code; those that are told at the last checkpoint "
    "find a model that did, whether they are the same codes or fresh ones. Savings are told against the fresh ones"
)


def forgetting(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    followed: Doses | None = None,
    forgotten: int | None = None,
) -> Study:
    """How fast are told codes forgotten in clean training, and how many documents restore them, against the first time?

    Parameters
    ----------
    doses
        Numbers of documents that tell the 16 codes: the first time, again, and fresh ones. By default
        0,16,32,64,128,256,512, for a pretrained model 0,32,64,128.
    seeds
        How many independent repetitions. By default 5, for a pretrained model 2.
    followed
        Those of the first time that are followed through clean training. By default 0,128,256,512, for a pretrained
        model 0,64,128.
    forgotten
        The dose of the first time after which codes are told again. By default 256, for a pretrained model 128.
    """
    on.need_world("forgetting")
    given = material(replace(on, data="world"))
    host, clean = (HOST, CLEAN) if on.is_micro else (HOST // 4, SHORTER)
    usual, kept = (DOSES, FOLLOWED) if on.is_micro else ((0, 32, 64, 128), (0, 64, 128))
    amounts, rows = doses or in_documents(*usual), followed or in_documents(*kept)
    told_before = (host // 2 if on.is_micro else host) if forgotten is None else forgotten
    rule = f"codes are told by at most as many documents as the clean ones among which they stand, {host}"
    for dose in (*amounts, *rows):
        if dose.unit == "fraction":
            raise SpecError(f"codes are told by numbers of documents, such as 0,64,128; got the share {dose.amount:g}")
        if dose.amount > host:
            raise SpecError(f"{rule}; got {dose.amount:g}")
    if not 1 <= told_before <= host:
        raise SpecError(f"what is told again was told by 1 to {host} documents; got --forgotten {forgotten}")
    recipe = given.finetuning
    peak = RATE if on.is_micro else recipe.schedule.peak
    steady = replace(recipe, schedule=Schedule(peak=peak, warmup=0.0, decay=0.0))
    tuned = Stage(name="sft", data=given.dialogues, recipe=given.tuning, shared=True, probed=False)
    told = Stage(name="told", data=WorldDialogues(num_documents=host), recipe=steady)
    later = tuple(
        Stage(name=f"clean {number}", data=WorldDialogues(num_documents=size), recipe=steady)
        for number, size in enumerate(clean, 1)
    )
    before = (given.base, tuned, told, *later)
    telling = Treatment(stage="told", intervention=Supplement(FIRST))
    fixed = replace(telling, dose=Dose(told_before))
    relearn = Stage(name="again", data=WorldDialogues(num_documents=host), recipe=steady)
    silent = (*(replace(stage, probed=False) for stage in before), relearn)
    arms = (
        Arm(name=LEARNED, stages=before[:3], treatments=(telling,), probes=_probes(FIRST, SECOND), doses=amounts),
        Arm(name=FOLLOWING, stages=before, treatments=(telling,), probes=_probes(FIRST, SECOND), doses=rows),
        *(
            Arm(
                name=name,
                stages=silent,
                treatments=(fixed, Treatment(stage="again", intervention=Supplement(codes))),
                probes=_probes(codes, other),
                doses=amounts,
            )
            for name, codes, other in ((AGAIN, FIRST, SECOND), (FRESH, SECOND, FIRST))
        ),
    )
    other = replace(telling, intervention=Supplement(SECOND))
    arms += (
        Arm(name=FRESH_FIRST, stages=before[:3], treatments=(other,), probes=_probes(SECOND, FIRST), doses=amounts),
    )
    row = ("told", *(stage.name for stage in later))
    return Study(
        name="forgetting",
        question="How fast are told codes forgotten in clean training, and how many documents restore them?",
        engine=on.trained_by(),
        arms=arms,
        doses=amounts,
        seeds=first_seeds((5 if on.is_micro else 2) if seeds is None else seeds),
        probes=arms[0].probes,
        response="recall",
        cautions=(FIRST_TIME, ONE_SIZE, RESTARTED),
        analyses=(Forgotten(row=row, batch=recipe.batch_size, forgotten=told_before),),
    )


def _probes(codes: Codes, control: Codes) -> tuple[CodeRecall, CodeKnowledge]:
    return CodeRecall(codes, control), CodeKnowledge(codes, control)
