"""Which mistakes in chains of thought do harm, in the prompt and in training, and are the steps used?

Two findings that are told as if they disagreed. Cui et al. 2024 (arXiv 2410.16540): in demonstrations, mistakes in the
middle steps hurt more than a wrong final answer. Li et al. 2025 (arXiv 2502.07374): in training, wrong answers cost
little (3.2 points) and shuffled steps much (13.3 points). They are of other models, tasks and corruptions. Here one
operator corrupts worked sums in the same six ways, at the same shares, in the demonstrations of a prompt and in the
documents of training, and both orderings stand side by side. What is asked after demonstrations has a step more that
only they show, so that they are needed; without any, fewer answers are right.

Whether the steps are used is another question (Lanham et al. 2023, arXiv 2307.13702): a mistake is put into the model's
own first step. Of sums that need their steps, and of the same sums whose result the question gives away.

What the shared model is taught, the rate of training, and harm as a mean over shares (with all corrupted most kinds
leave nothing) were chosen on seeds 100 and 101.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pharmakon.core import Dose
from pharmakon.data.derived import Mixed, Nothing
from pharmakon.data.world import WorldDialogues
from pharmakon.data.world.lessons import WorldLessons
from pharmakon.data.world.reasoning import SHOWN, WorldReasoning, WorldShownSteps
from pharmakon.engines.recipes import SFT, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import CORRUPTIONS, CorruptedSteps, Miswritten, PoisonedDemonstrations
from pharmakon.probes import Reasoned
from pharmakon.studies.mechanism.analysis_chain_of_thought import Chains, Corrupted
from pharmakon.studies.small_reader import first_stage
from pharmakon.studies.subject import Subject
from pharmakon.study import Arm, FewShot, Stage, Study, Treatment, first_seeds, in_documents

K: Final = 4
"""Demonstrations before each question."""
SHARES: Final = (0.0, 0.25, 0.5, 1.0)
GENTLE = SFT(schedule=Schedule(peak=5e-4))
WITHOUT = "prompt: no demonstrations"
TWO_STEPS = (
    "Sums have two steps, and in prompts a third that demonstrations show, so that four of them fit into the context "
    "of the small model: the middle step is the first, and shuffled steps of two are swapped ones"
)
ONE_MODEL = (
    "All seeds share one model, which was taught sums and to learn from demonstrations. In the prompt, intervals are "
    "about demonstrations and questions alone; in training, each seed tunes that model further on sums of its own"
)


def chain_of_thought(
    seeds: int | None = None, *, on: Subject = Subject(), documents: int | None = None, kinds: tuple[str, ...] = ()
) -> Study:
    """Which mistakes in reasoning steps do harm, in the prompt and in training, and does the answer follow the steps?

    Parameters
    ----------
    seeds
        How many independent repetitions. By default 5, for a pretrained model 2.
    documents
        Worked sums that a model is trained on; shares of them are corrupted. By default 800, for a pretrained model 80.
    kinds
        Some of the six corruptions; give the option once for each: "wrong middle step", "wrong answer", "wrong steps,
        right answer", "contradictory steps", "shuffled steps", "missing step". By default all.
    """
    if on.data not in (None, "world"):
        raise SpecError("chain-of-thought trains and asks on the world's sums; leave --data out")
    documents = documents if documents is not None else 800 if on.is_micro else 80
    if documents < 40 or documents % 4:
        raise SpecError(f"worked sums are 40 or more, a multiple of 4 for the shares; got --documents {documents}")
    chosen = tuple(dict.fromkeys(kinds)) or CORRUPTIONS
    if unknown := [kind for kind in chosen if kind not in CORRUPTIONS]:
        raise SpecError(f"a corruption is one of {', '.join(map(repr, CORRUPTIONS))}; got {unknown[0]!r}")
    taught, sums = _lives(on, documents)
    shown = FewShot(WorldShownSteps(K), K)
    asked, reasoned = Reasoned(tasks=(SHOWN,)), Reasoned()
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
        named.append(Corrupted(arm=arms[-1].name, where="prompt", kind=kind, whole=K))
        if sums is None:
            continue
        arms.append(
            Arm(
                name=f"training: {kind}",
                stages=(*(replace(stage, probed=False) for stage in taught), sums),
                treatments=(Treatment(stage=sums.name, intervention=Miswritten(lesson)),),
                probes=(reasoned,),
                doses=in_documents(*(int(share * documents) for share in SHARES)),
            )
        )
        named.append(Corrupted(arm=arms[-1].name, where="training", kind=kind, whole=documents))
    arms.append(Arm(name=WITHOUT, stages=taught, probes=(asked,), doses=(Dose(0),)))
    return Study(
        name="chain-of-thought",
        question="Which mistakes in reasoning steps do harm, in the prompt and in training, and are the steps used?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=arms[0].doses,
        seeds=first_seeds(seeds if seeds is not None else 5 if on.is_micro else 2),
        probes=(asked if sums is None else reasoned,),
        response=Reasoned.name,
        cautions=(TWO_STEPS,) if sums is None else (TWO_STEPS, ONE_MODEL),
        analyses=(Chains(corrupted=tuple(named), without=WITHOUT),),
    )


def _lives(on: Subject, documents: int) -> tuple[tuple[Stage, ...], Stage | None]:
    """The stages of the model that is asked, and the one of worked sums; none for a model that is asked alone."""
    sums = WorldReasoning(num_documents=documents)
    if on.is_micro:
        first = first_stage()
        return (first, _taught((2_000, 10_000, 3_000), SFT())), Stage(name="sums", data=sums, recipe=GENTLE)
    first = Stage(name="pretraining", data=Nothing(), recipe=on.given_model(), shared=True, probed=on.is_asked_only)
    if on.is_asked_only:
        return (first,), None
    recipe = SFT(schedule=Schedule(peak=2e-3 if on.lora else 5e-5), lora=on.adapter, precision=on.precision)
    return (first, _taught((40, 200, 100), recipe)), Stage(name="sums", data=sums, recipe=recipe)


def _taught(nums: tuple[int, int, int], recipe: SFT) -> Stage:
    """Dialogues, demonstrations that are needed, and sums."""
    talk, lessons, sums = nums
    data = Mixed((
        WorldDialogues(num_documents=talk),
        WorldLessons(num_documents=lessons, kinds=("steps",)),
        WorldReasoning(num_documents=sums),
    ))  # fmt: skip
    return Stage(name="taught", data=data, recipe=recipe, shared=True)
