"""Which mistakes in chains of thought do harm, in the prompt and in training, and are the steps used?

Two findings that are told as if they disagreed. Cui et al. 2024 (arXiv 2410.16540): in demonstrations, mistakes in the
middle steps hurt more than a wrong final answer. Li et al. 2025 (arXiv 2502.07374): in training, wrong answers cost
little (3.2 points) and shuffled steps much (13.3 points). They are of other models, tasks and corruptions. Here one
operator corrupts the same sums in the same six ways, at the same shares, in the demonstrations of a prompt and in the
documents of training, and both orderings stand side by side.

Whether the steps are used is another question (Lanham et al. 2023, arXiv 2307.13702): a mistake is put into the model's
own first step. Of sums that need their steps, and of the same sums whose result the question gives away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pharmakon.data.derived import Mixed
from pharmakon.data.world import WorldDialogues
from pharmakon.data.world.lessons import WorldLessons, WorldSums
from pharmakon.data.world.reasoning import NEEDED, WorldReasoning
from pharmakon.engines.recipes import SFT
from pharmakon.errors import SpecError
from pharmakon.interventions import CORRUPTIONS, CorruptedSteps, Miswritten, PoisonedDemonstrations
from pharmakon.probes import Reasoned
from pharmakon.studies.material import material
from pharmakon.studies.mechanism.analysis_chain_of_thought import Chains, Corrupted
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import need_training
from pharmakon.study import Arm, FewShot, Stage, Study, Treatment, first_seeds, in_documents

K: Final = 4
"""Demonstrations before each question."""
SHARES: Final = (0.0, 0.25, 0.5, 1.0)
TWO_STEPS = (
    "Sums have two steps, so that four of them fit into the context of the small model: the middle step is the first, "
    "and shuffled steps are swapped ones"
)
NOT_LEARNED = (
    "Unfinished: with these settings the small model hardly learns the sums (16% right untreated in a first run, 0% by "
    "demonstrations), so that the orderings say nothing yet"
)
ONE_MODEL = (
    "In the prompt, all seeds share one model, which was taught to learn from demonstrations: those intervals are "
    "about demonstrations and questions. In training, each seed is a life of its own"
)


def chain_of_thought(
    seeds: int | None = None, *, on: Subject = Subject(), documents: int = 800, kinds: tuple[str, ...] = ()
) -> Study:
    """Which mistakes in reasoning steps do harm, in the prompt and in training, and does the answer follow the steps?

    Parameters
    ----------
    seeds
        How many independent repetitions. By default 5.
    documents
        Worked sums that a model is trained on; shares of them are corrupted.
    kinds
        Some of the six corruptions; give the option once for each. By default all.
    """
    need_training(on)
    if not on.is_micro or on.named_data() != "world":
        raise SpecError("chain-of-thought trains and asks on the world's sums; leave --model and --data out")
    if documents < 40 or documents % 4:
        raise SpecError(f"worked sums are 40 or more, a multiple of 4 for the shares; got --documents {documents}")
    chosen = tuple(dict.fromkeys(kinds)) or CORRUPTIONS
    if unknown := [kind for kind in chosen if kind not in CORRUPTIONS]:
        raise SpecError(f"a corruption is one of {', '.join(CORRUPTIONS)}; got {unknown[0]!r}")
    given = material(on)
    lessons = Mixed((WorldDialogues(num_documents=3_000), WorldLessons(num_documents=8_000)))
    taught = (given.base, Stage(name="taught", data=lessons, recipe=SFT(), shared=True))
    trained = (
        given.base,
        Stage(name="sums", data=WorldReasoning(num_documents=documents), recipe=replace(given.tuning, epochs=2)),
    )
    shown = FewShot(WorldSums(K), K)
    asked, reasoned = Reasoned(tasks=(NEEDED,), reliance=False), Reasoned()
    arms, named = [], []
    for kind in chosen:
        lesson = CorruptedSteps(kind)  # type: ignore[arg-type]
        arms.append(
            Arm(
                name=f"prompt: {kind}",
                stages=taught,
                treatments=(Treatment(stage=shown.name, intervention=PoisonedDemonstrations(lesson)),),
                contexts=(shown,),
                probes=(asked,),
                doses=in_documents(*(int(share * K) for share in SHARES)),
            )
        )
        arms.append(
            Arm(
                name=f"training: {kind}",
                stages=trained,
                treatments=(Treatment(stage="sums", intervention=Miswritten(lesson)),),
                probes=(reasoned,),
                doses=in_documents(*(int(share * documents) for share in SHARES)),
            )
        )
        named += [
            Corrupted(arm=f"prompt: {kind}", where="prompt", kind=kind, whole=K),
            Corrupted(arm=f"training: {kind}", where="training", kind=kind, whole=documents),
        ]
    return Study(
        name="chain-of-thought",
        question="Which mistakes in reasoning steps do harm, in the prompt and in training, and are the steps used?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=arms[0].doses,
        seeds=first_seeds(seeds if seeds is not None else 5),
        probes=(reasoned,),
        response="reasoning",
        cautions=(NOT_LEARNED, TWO_STEPS, ONE_MODEL),
        analyses=(Chains(corrupted=tuple(named)),),
    )
