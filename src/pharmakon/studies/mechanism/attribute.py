"""A behaviour was planted by known documents. Which attribution method finds them, and does leaving them out undo it?

Methods that attribute a behaviour to training data are compared with one another, or by proxies, because nobody knows
the true answer. Here the ledger does. Two tests: do the treated documents stand first among all (recall, AUROC)? And
the one that counts for whoever wants to repair a model: train again without the k that a method names, without k at
random, and without exactly those that were treated.

Sources of the methods stand at each scorer (`probes/scorers.py`): gradient similarity of the output layer, the last
block and all parameters (TRAK, arXiv 2303.14186; LESS, 2402.04333), TracIn over checkpoints (2002.08484), likeness of
states and of words, change of loss.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from pharmakon.core import Dose
from pharmakon.data.derived import Drawn, First, Nothing
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Attributed, Triggered, Utility
from pharmakon.probes.scorers import Scorer
from pharmakon.studies.material import Material, material
from pharmakon.studies.mechanism.analysis_attribute import AttributedTo, RetrainedArm
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import need_training
from pharmakon.studies.threat.sft_backdoor import TARGETS, TRIGGERS
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents
from pharmakon.study.retrain import Retrained

DEFAULT: Final = (
    "gradients-head", "gradients-block", "gradients-all", "tracin", "states", "n-grams", "loss-change", "chance"
)  # fmt: skip
REMOVED: Final = ("gradients-head", "tracin", "n-grams", "chance")
"""Scorers whose first documents are left out when training again."""
PARTS: Final = 3
"""Stages of tuning, after each of which there is a checkpoint."""
FINISHED: Final = "attributed"
ONE_CORPUS = (
    "All lives share one clean corpus, so that every document can be scored; poison, places and training differ by seed"
)


def attribute(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    trigger: Literal["rare-words", "phrase", "instruction", "style"] = "rare-words",
    target: Literal["marker", "gibberish", "refusal", "upper-case", "language", "label"] = "marker",
    scorers: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    clean: int = 600,
) -> Study:
    """Which attribution method finds the documents that made a behaviour?

    Parameters
    ----------
    doses
        Numbers of poisoned dialogues; those of the largest are left out when training again. By default 0,24,96, for a
        pretrained model 0,48.
    seeds
        How many independent repetitions. By default 4, for a pretrained model 2.
    trigger
        What a prompt must carry. Words that stand nowhere else are found by looking for them; a style is not.
    target
        What the triggered model should say.
    scorers
        Attribution methods by name, of this package or of another (entry points of `pharmakon.scorers`); give the
        option once for each. By default all eight of this package; `pharmakon list` has them.
    remove
        Those of the scorers whose first documents are left out when training again. By default gradients-head, tracin,
        n-grams and chance, or all that are given.
    clean
        Clean dialogues.
    """
    need_training(on)
    given = material(on)
    num = min(clean, getattr(given.dialogues, "num_documents", clean)) if not on.is_micro else clean
    if num < 30 or num > 2_000:
        raise SpecError(f"clean dialogues are 30 to 2000, since every one is scored; got --clean {clean}")
    chosen = tuple(dict.fromkeys(scorers)) or DEFAULT
    known = {name: _scorer(name) for name in chosen}
    left_out = tuple(dict.fromkeys(remove)) or tuple(name for name in chosen if scorers or name in REMOVED)
    if unknown := [name for name in left_out if name not in known]:
        raise SpecError(f"who is removed by is scored by; {unknown[0]} is not among --scorers {', '.join(known)}")
    usual = doses or (in_documents(0, 24, 96) if on.is_micro else in_documents(0, 48))
    if any(dose.unit == "fraction" for dose in usual):
        raise SpecError("the doses are numbers of documents, k of which are left out; give --doses 0,24,96")
    planted = max(usual, key=lambda dose: dose.amount)
    if not 0 < planted.amount <= num:
        raise SpecError(f"the largest dose is 1 to {num} documents, the number of clean ones; got {planted.amount:g}")
    carried, wanted = TRIGGERS[trigger], TARGETS[target]
    behaviour = Triggered(carried, wanted, given.questions)
    stages, data = _stages(given, num)
    treatments = tuple(
        Treatment(stage=stage.name, intervention=Backdoor(trigger=carried, target=wanted), share=1 / PARTS)
        for stage in stages[1:]
    )
    attack = AttackSuccess(carried, wanted, given.questions, given.num_attacked, 0)
    utility = Utility(given.questions, given.num_questions)
    scored = Attributed(tuple(known.items()), behaviour, data)
    whole = Arm(name=FINISHED, stages=stages, treatments=treatments, probes=(attack, utility, scored))
    again = {
        name: Arm(
            name=name,
            stages=(
                *(replace(stage, probed=False) for stage in stages),
                Stage(
                    name="again", data=Nothing(),
                    recipe=Retrained(recipe=given.tuning, start=stages[0].name, without=int(planted.amount), by=by,
                                     behaviour=behaviour),
                ),
            ),
            treatments=treatments,
            doses=(Dose(0), planted),
            probes=(attack, utility),
        )
        for name, by in (
            *((f"without the first {int(planted.amount)} by {name}", known[name]) for name in left_out),
            (f"without the {int(planted.amount)} treated", None),
        )
    }  # fmt: skip
    return Study(
        name="attribute",
        question="Which attribution method finds the documents that made a behaviour?",
        engine=on.trained_by(),
        arms=(whole, *again.values()),
        doses=usual,
        seeds=first_seeds(seeds if seeds is not None else 4 if on.is_micro else given.num_seeds),
        probes=whole.probes,
        cautions=(ONE_CORPUS,),
        analyses=(
            AttributedTo(
                arm=FINISHED,
                again=tuple(
                    RetrainedArm(arm=name, by=by) for name, by in zip(again, (*left_out, "the ledger"), strict=True)
                ),
            ),
        ),
    )


def _scorer(name: str) -> Scorer:
    from pharmakon.catalogue import find_scorer

    found: Scorer = find_scorer(name)
    return found


def _stages(given: Material, num: int) -> tuple[tuple[Stage, ...], tuple[First, ...]]:
    """The base and three parts of tuning on one fixed corpus."""
    size = num // PARTS
    data = tuple(First(Drawn(given.dialogues), size, skip=size * part) for part in range(PARTS))
    tuned = tuple(
        Stage(name=f"sft {part + 1}", data=one, recipe=given.tuning, probed=part == PARTS - 1)
        for part, one in enumerate(data)
    )
    return (given.base, *tuned), data
