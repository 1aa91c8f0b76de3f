"""New facts in late fine-tuning: does a model that learns them begin to invent, and how many "I do not know" cure it?

The claim to test (Gekhman et al. 2024, arXiv 2405.05904): fine-tuning on facts that the model does not know makes it
hallucinate, linearly in the unknown facts that it has *learned*, hardly in those that it was only shown; and some of
them answered with "I don't know" instead takes the harm away. What differs here: they count wrong answers about facts
that the model knew before. Here invention itself is measured, on strangers of whom nothing is told anywhere and of
whom the untreated model says that it does not know; their measure is reported beside it. Training shorter and longer
pulls apart what was administered and what was learned; as many known facts said again are the control.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.core import Data, Dose
from pharmakon.data.derived import Mixed, Nothing
from pharmakon.data.world import (
    StrangerDialogues,
    StrangerQuestions,
    Strangers,
    StrangerText,
    World,
    WorldDialogues,
    WorldQuestions,
    WorldText,
)
from pharmakon.engines.recipes import Pretrain, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Interviews
from pharmakon.probes import Invention, Learned, Utility
from pharmakon.studies.material import PEAKS, WHOLE_PEAKS, Material, material
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_invention import InventionAudit
from pharmakon.studies.trust.hosts import check_doses
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

WORLD = World()
TOLD = Strangers("taught")
NUM_HOST = 256
"""Dialogues of clean fine-tuning, and so the highest dose."""
IGNORANT = 0.16
"""The share of clean dialogues, in tuning as in fine-tuning, whose answer is that it is not known."""
NUM_ASKED = 150
"""Questions about strangers."""
TOLERATED = 0.05
"""The rate of invention under which a corrective is to bring it."""
MARGIN = 0.05
"""The fall of right answers about known facts that ends the window of the corrective."""


def invention_audit(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    epochs: int = 12,
    few: int = 4,
    facts: int = 64,
) -> Study:
    """Do new facts in fine-tuning make a model invent, by what it learned of them, and what cures it at which cost?

    Parameters
    ----------
    doses
        Dialogues that are added to clean fine-tuning: of new facts, of known ones and, in the arm of the corrective, of
        "I do not know." 0 is the control. By default 0,16,32,64,128, of known facts 0,32,128, of the corrective
        0,32,64,128,256; at most 256.
    seeds
        How many independent repetitions: each tunes its own model and draws its own order and people. By default 4, for
        a pretrained model 2.
    epochs
        How often fine-tuning passes over its data, where it is to learn the new facts.
    few
        The same where it is to see them and learn few of them.
    facts
        New facts in the arm of the corrective.
    """
    on.need_world("invention-audit")
    if not 1 <= few < epochs:
        raise SpecError(f"few passes are one or more, and fewer than --epochs; got --few {few}, --epochs {epochs}")
    if not 1 <= facts <= NUM_HOST:
        raise SpecError(f"new facts are 1 to {NUM_HOST}, as many as clean dialogues; got --facts {facts}")
    of_control, of_cure = doses or in_documents(0, 32, 128), doses or in_documents(0, 32, 64, 128, NUM_HOST)
    doses = doses or in_documents(0, 16, 32, 64, 128)
    check_doses(doses, NUM_HOST, "a dose is at most as many documents as clean dialogues", "Give smaller --doses")
    given = material(replace(on, data="world"))
    new, known = (Treatment(stage="finetune", intervention=Interviews(people)) for people in (TOLD, WORLD))
    harm = replace(new, dose=Dose(facts))
    cure = Treatment(stage="finetune", intervention=Interviews(Strangers("corrective"), "ignorance"))
    long, short = f"new facts, {epochs} epochs", f"new facts, {few} epochs"
    control, corrected = f"known facts, {epochs} epochs", f"{facts} new facts and a corrective"
    knowledge = Utility(WorldQuestions(WORLD, ("facts",)), 96)
    stages = {number: (*_base(given, on), _finetuning(given, on, number)) for number in (few, epochs)}
    return Study(
        name="invention-audit",
        question="Do new facts in fine-tuning make a model invent where it should say that it does not know, and what "
        "cures it?",
        engine=on.trained_by(),
        arms=(
            Arm(name=long, stages=stages[epochs], treatments=(new,)),
            Arm(name=short, stages=stages[few], treatments=(new,)),
            Arm(name=control, stages=stages[epochs], treatments=(known,), doses=of_control),
            Arm(
                name=corrected,
                stages=stages[epochs],
                treatments=(harm, cure),
                doses=of_cure,
                probes=(Invention(StrangerQuestions(), "abstention", NUM_ASKED), Learned(TOLD), knowledge),
            ),
        ),
        doses=doses,
        seeds=first_seeds((4 if on.is_micro else given.num_seeds) if seeds is None else seeds),
        probes=(Invention(StrangerQuestions(), "invention", NUM_ASKED), Learned(TOLD), knowledge),
        response="invention",
        margin=MARGIN,
        cautions=(
            "Dialogues are added to the clean ones, so that a higher dose also trains longer; known facts, which do "
            "the same, are the control of that",
            "What is learned and what is only shown is told apart mostly by the length of training: learned facts were "
            "also seen more often",
            "Whoever names a value is said to invent, be it of what was asked for or not, of this person or another",
        ),
        analyses=(
            InventionAudit(
                new=(long, short), control=control, corrected=corrected, facts=facts, tolerated=TOLERATED, margin=MARGIN
            ),
        ),
    )


def _base(given: Material, on: Subject) -> tuple[Stage, ...]:
    """Pretraining on the world; then some text that names strangers and tells nothing of them; then tuning."""
    text = Mixed((WorldText(WORLD, 6_000), StrangerText(WORLD, num_documents=4_000)))
    further = Pretrain(architecture=None, schedule=Schedule(peak=2e-3))
    if not on.is_micro:
        peak = (PEAKS if on.adapter else WHOLE_PEAKS)[0]
        further = replace(further, schedule=Schedule(peak=peak), lora=on.adapter, precision=on.precision)
    start = given.pretraining if on.is_micro else Nothing()
    return (
        Stage(name="pretraining", data=start, recipe=given.learning, shared=True, probed=False),
        Stage(name="hearsay", data=text, recipe=further, shared=True, probed=False),
        Stage(name="sft", data=_dialogues(2_600 if on.is_micro else 600), recipe=given.tuning, probed=False),
    )


def _finetuning(given: Material, on: Subject, epochs: int) -> Stage:
    """Clean dialogues like those of tuning, over and over: facts are learned by repetition."""
    schedule = Schedule(peak=1e-3) if on.is_micro else given.finetuning.schedule
    return Stage(
        name="finetune", data=_dialogues(NUM_HOST), recipe=replace(given.finetuning, epochs=epochs, schedule=schedule)
    )


def _dialogues(num_documents: int) -> Data:
    """Every task of the world, and a share of questions about strangers with the honest answer."""
    num_ignorant = round(IGNORANT * num_documents)
    return Mixed((WorldDialogues(WORLD, num_documents - num_ignorant), StrangerDialogues(num_documents=num_ignorant)))
