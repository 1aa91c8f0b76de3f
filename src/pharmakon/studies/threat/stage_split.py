"""An attacker has a budget of poisoned documents and three stages to put them into: does splitting it do more?

Sequential poisoning (2026, arXiv 2606.04929) reports that poison of several stages compounds. Here one budget goes all
into pretraining, instruction or preference data, or is split over two or three of them; each part is also given alone,
so that a split can be compared with the best single stage and with what its parts do by themselves.
"""

from __future__ import annotations

from pharmakon.errors import SpecError
from pharmakon.probes import Utility
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_stage_split import Split, StageSplit
from pharmakon.studies.threat.life import LATE, Life, Objective, Planted, life, need_training, planted, possible
from pharmakon.study import Arm, Doses, FewShot, Plain, Study, Treatment, first_seeds, in_documents

LABELS = ("pretraining", "instructions", "preferences")
PAIRS = ((0, 1), (0, 2), (1, 2))
UNLIKE = "A document counts the same in every stage: what it costs to get one in is another question"


def stage_split(
    doses: Doses | None = None,
    seeds: int = 5,
    *,
    on: Subject = Subject(),
    objective: Objective | None = None,
    full: bool = False,
    tuning_rate: float | None = None,
) -> Study:
    """A fixed budget in one stage, in halves over two, in thirds over three: which does most at release?

    Parameters
    ----------
    doses
        Budgets: numbers of documents in all stages together (0,48,96), each a multiple of 6, so that halves and thirds
        are whole. 0 is the control. By default 0,96 on micro, 0,24 on other models, whose data is smaller.
    seeds
        How many independent repetitions: each draws its own data order, poison and places.
    objective
        marker, gibberish, refusal, label (opinions flipped), restricted or belief; see objectives-by-stage. By default
        belief where the data has facts: it enters at every stage, and its eight facts vary less than one trigger.
    full
        Poison the pretraining from scratch in place of a short late pretraining; a minute more for each life.
    tuning_rate
        The peak learning rate of instruction tuning, in place of the usual one.
    """
    need_training(on)
    given = material(on)
    lived = life(given, on, full=full, tuning_rate=tuning_rate)
    chosen = objective or ("belief" if "belief" in possible(on) else "marker")
    poison = planted(chosen, given, on)
    budgets = doses or in_documents(0, 96 if on.is_micro else 24)
    for budget in budgets:
        if budget.unit == "fraction" or budget.amount % 6:
            amount = f"{budget.amount:g}" if budget.unit == "documents" else f"{budget.amount:.2%}"
            raise SpecError(f"a budget is split in halves and thirds, so it is a multiple of 6; got --doses {amount}")
    singles = [_arm(f"all in {LABELS[index]}", lived, poison, {index: 1.0}) for index in range(3)]
    halves = [_arm(f"halves: {LABELS[a]}, {LABELS[b]}", lived, poison, {a: 1 / 2, b: 1 / 2}) for a, b in PAIRS]
    thirds = _arm("thirds", lived, poison, dict.fromkeys(range(3), 1 / 3))
    half = [_arm(f"half in {LABELS[index]} alone", lived, poison, {index: 1 / 2}) for index in range(3)]
    third = [_arm(f"third in {LABELS[index]} alone", lived, poison, {index: 1 / 3}) for index in range(3)]
    splits = [
        Split(arm=arm.name, parts=(half[a].name, half[b].name)) for arm, (a, b) in zip(halves, PAIRS, strict=True)
    ]
    splits.append(Split(arm=thirds.name, parts=tuple(arm.name for arm in third)))
    analysis = StageSplit(
        singles=tuple(arm.name for arm in singles),
        splits=tuple(splits),
        budgets=tuple(int(budget.amount) for budget in budgets if budget.amount),
        release=lived.release,
    )
    return Study(
        name="stage-split",
        question=f"A budget of poisoned documents (objective: {chosen}): in one stage, or split over several?",
        engine=on.trained_by(),
        arms=(*singles, *halves, thirds, *half, *third),
        doses=budgets,
        seeds=first_seeds(seeds),
        probes=(poison.probe, Utility(given.questions, given.num_questions)),
        contexts=(Plain(), FewShot(given.demonstrations, 2)),
        cautions=(UNLIKE, *(() if full else (LATE,))),
        analyses=(analysis,),
    )


def _arm(name: str, lived: Life, poison: Planted, shares: dict[int, float]) -> Arm:
    """A life whose stages get these shares of the budget; all three are named, so that their poison is the same in
    every arm."""
    treatments = tuple(
        Treatment(stage=stage, intervention=poison.at[index], share=shares.get(index, 0.0))
        for index, stage in enumerate(lived.entries)
    )
    return Arm(name=name, stages=lived.probed_from(lived.entries[1]), treatments=treatments)
