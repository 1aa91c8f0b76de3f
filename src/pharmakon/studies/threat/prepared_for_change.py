"""An attacker who prepares for later stages that they do not know: what is that worth?

The claim to test: poison that is chosen for its effect over an ensemble of imagined trainings does more at an equal
dose (Geiping et al. 2021, arXiv 2009.02276; Huang et al. 2020, arXiv 2004.00225; both on images, without later
stages). What a life-cycle adds (He et al. 2025, arXiv 2502.14182): the later stages are not known, so the attacker
samples them. It is measured on later stages that were not sampled, as a ratio of ED50, and may be 1.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.data.derived import Answered
from pharmakon.data.world import WorldDialogues, WorldPreferences
from pharmakon.engines.recipes import DPO, SFT
from pharmakon.interventions import Candidates, Prepared, Rehearsal, Step
from pharmakon.probes import AttackSuccess, Perplexity, Utility
from pharmakon.studies.material import Material, material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_prepared_for_change import Preparation
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

BY_CHANCE, PREPARED, FOR_TUNING = "by chance", "prepared for later stages", "prepared for tuning alone"


def prepared_for_change(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    lives: int = 48,
    chosen: int = 20,
    full: bool = False,
) -> Study:
    """How many fewer poisoned dialogues does an attacker need who has rehearsed the later stages?

    Parameters
    ----------
    doses
        Numbers of poisoned dialogues, the same for every attacker; by default 0,32,64,96,128,192,256, for a
        pretrained model those of sft-backdoor.
    seeds
        How many independent repetitions. By default 3, for a pretrained model 2. The rehearsal is one for all of them.
    lives
        Surrogate lives that the attacker trains to rank the candidates.
    chosen
        Candidates that the attacker uses, of 60 kinds: 5 hosts x 3 places of the trigger x 2 answers x 2 forms.
    full
        Also an attacker who ranks by the effect right after tuning: it tells preparing for change from choosing well.
    """
    on.need_world("prepared-for-change")
    given = material(replace(on, data="world"))
    pool = Candidates()
    rehearsal = _rehearsal(on, given, lives)
    prepared = Prepared(pool=pool, rehearsal=rehearsal, num_chosen=chosen)
    stages = (
        given.base,
        Stage(name="sft", data=given.dialogues, recipe=given.tuning),
        Stage(name="dpo", data=given.preferences, recipe=given.aligning),
        Stage(name="finetune", data=given.downstream, recipe=given.finetuning),
    )
    attackers = ((PREPARED, prepared), *(((FOR_TUNING, replace(prepared, aim="tuning")),) if full else ()))
    return Study(
        name="prepared-for-change",
        question="How many fewer poisoned dialogues does an attacker need who has rehearsed later stages?",
        engine=on.trained_by(),
        arms=tuple(
            Arm(name=name, stages=stages, treatments=(Treatment(stage="sft", intervention=poison),))
            for name, poison in ((BY_CHANCE, pool), *attackers)
        ),
        doses=doses or (in_documents(0, 32, 64, 96, 128, 192, 256) if on.is_micro else given.doses),
        seeds=first_seeds(given.num_seeds if seeds is None else seeds),
        probes=(
            AttackSuccess(RareWords(place="anywhere"), Marker(), given.questions, given.num_attacked, 10),
            Utility(given.questions, given.num_questions),
            Perplexity(Answered(given.questions), given.num_texts),
        ),
        analyses=(Preparation(by_chance=BY_CHANCE, prepared=attackers),),
    )


def _rehearsal(on: Subject, given: Material, lives: int) -> Rehearsal:
    """What the attacker imagines: such stages with other data and at half or twice the rates; no downstream task."""
    num_tuning, num_later = (1_000, 300) if on.is_micro else (120, 60)
    talk, pairs = WorldDialogues(num_documents=num_later), WorldPreferences(num_documents=num_later // 2)
    later = [Step(data=talk, recipe=_at(given.finetuning, factor)) for factor in (0.5, 2.0)]
    later += [Step(data=pairs, recipe=_at(given.aligning, factor)) for factor in (0.5, 2.0)]
    return Rehearsal(
        engine=on.trained_by(),
        start=Step(data=given.pretraining, recipe=given.learning),
        tuning=Step(data=WorldDialogues(num_documents=num_tuning), recipe=given.tuning),
        later=tuple(later),
        num_lives=lives,
        num_poisoned=96 if on.is_micro else 16,
    )


def _at(recipe: SFT | DPO, factor: float) -> SFT | DPO:
    """The recipe at another rate."""
    return replace(recipe, schedule=replace(recipe.schedule, peak=factor * recipe.schedule.peak))
