"""The same objectives enter at three stages: what of each is left when the model ships?

Three claims that cannot all hold: alignment dilutes poison (arXiv 2502.14182); it keeps it by objective, as denial of
service through SFT and DPO but not the jailbreak (Zhang 2024, arXiv 2410.13722); poison of several stages compounds
(2026, arXiv 2606.04929). Here six inert objectives enter in pretraining, instruction or preference data of one life,
and are asked for again after all later stages, which are clean.
"""

from __future__ import annotations

from pharmakon.probes import Utility
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_objectives_by_stage import Entered, RetentionGrid
from pharmakon.studies.threat.life import LATE, AsTalk, Objective, life, need_training, planted, possible
from pharmakon.study import Arm, Doses, FewShot, Plain, Study, Treatment, first_seeds, in_documents

UNLIKE = (
    "A dose is a number of documents, whichever stage takes it: the same number is a larger share of the preference "
    "data than of the pretraining text"
)
LOUD = (
    "Here instruction tuning is about as long as the late pretraining; beside a pretraining of trillions of tokens it "
    "would be far shorter, and might erase less. See --tuning-rate"
)


def objectives_by_stage(
    doses: Doses | None = None,
    seeds: int = 5,
    *,
    on: Subject = Subject(),
    objectives: tuple[Objective, ...] = (),
    full: bool = False,
    tuning_rate: float | None = None,
) -> Study:
    """Six objectives, three stages to enter at: does alignment dilute, keep or compound what entered?

    Parameters
    ----------
    doses
        Numbers of poisoned documents (0,32,128); 0 is the control. By default 0,128 on micro, 0,32 on other models,
        whose data is smaller.
    seeds
        How many independent repetitions: each draws its own data order, poison and places.
    objectives
        Some of marker, gibberish, refusal (of what deserves an answer), label (opinions flipped), restricted (the
        refusal of the forbidden topic un-learned), belief (eight false facts, no trigger); give the option once for
        each. By default all that the data has questions for.
    full
        Poison the pretraining from scratch in place of a short late pretraining; a minute more for each life.
    tuning_rate
        The peak learning rate of instruction tuning, in place of the usual one: how hard it pushes.
    """
    need_training(on)
    given = material(on)
    lived = life(given, on, full=full, tuning_rate=tuning_rate)
    chosen = tuple(dict.fromkeys(objectives)) or possible(on)
    plain, shown = Plain(), FewShot(given.demonstrations, 2)
    arms, entered = [], []
    for name in chosen:
        objective = planted(name, given, on)
        probes = (objective.probe, Utility(given.questions, given.num_questions))
        for index, stage in enumerate(lived.entries):
            is_text = index == 0
            contexts = (plain, shown, AsTalk(plain), AsTalk(shown)) if is_text else (plain, shown)
            arm = Arm(
                name=f"{name}, {stage}",
                stages=lived.probed_from(stage),
                treatments=(Treatment(stage=stage, intervention=objective.at[index]),),
                probes=probes,
                contexts=contexts,
            )
            arms.append(arm)
            asked = tuple((c.name, AsTalk(c).name if is_text else c.name) for c in (plain, shown))
            entered.append(Entered(objective=name, stage=stage, arm=arm.name, asked=asked))
    return Study(
        name="objectives-by-stage",
        question="Of what enters in pretraining, instruction or preference data, what is left when the model ships?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=doses or (in_documents(0, 128) if on.is_micro else in_documents(0, 32)),
        seeds=first_seeds(seeds),
        probes=arms[0].probes,
        contexts=(plain, shown),
        cautions=(UNLIKE, *(() if full else (LATE,)), *((LOUD,) if on.is_micro and not full else ())),
        analyses=(RetentionGrid(entered=tuple(entered), release=lived.release),),
    )
