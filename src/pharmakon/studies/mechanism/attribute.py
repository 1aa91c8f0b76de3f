"""A behaviour was planted by known documents. Which attribution method finds them, and does leaving them out undo it?

Methods that attribute a behaviour to training data are compared with one another, or by proxies, because nobody knows
the true answer. Here the ledger does. Two tests: do the treated documents stand first among all (recall, AUROC)? And
the one that counts for whoever wants to repair a model: train again without the k that a method names, without k at
random, and without exactly those that were treated.

Two behaviours, for a method may find the one and not the other: a backdoor, whose documents share words that no other
has; and 24 false facts, each stated in a few documents in the words of clean ones, so that a document is like a few of
the behaviour's questions and not like their mean. Likeness is therefore taken in both ways: mean and largest.

The doses were chosen on seeds 100 and 101. That likeness is taken in two ways was decided after a run of the default
seeds with means alone, in which words seemed not to find the false facts.

Sources of the methods stand at each scorer (`probes/scorers.py`): gradient similarity of the output layer, the last
block and all parameters (TRAK, arXiv 2303.14186; LESS, 2402.04333), TracIn over checkpoints (2002.08484), likeness of
states and of words, change of loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from cyclopts import Parameter

from pharmakon.core import Dose, Intervention
from pharmakon.data.derived import Drawn, First, Nothing
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Attributed, Triggered, Utility
from pharmakon.probes.scorers import Scorer
from pharmakon.studies.material import Material, material
from pharmakon.studies.mechanism.analysis_attribute import (
    GOLD,
    NOTHING,
    AttributedBehaviour,
    AttributedTo,
    RetrainedArm,
)
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import need_training
from pharmakon.studies.threat.sft_backdoor import TARGETS, TRIGGERS
from pharmakon.studies.trust.faults import fault, possible_faults, room
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents
from pharmakon.study.retrain import Retrained

DEFAULT: Final = (
    "gradients-head", "gradients-block", "gradients-all", "gradients-max", "gradients-dot", "tracin", "states",
    "n-grams", "n-grams-max", "loss-change", "chance",
)  # fmt: skip
REMOVED: Final = ("gradients-all", "gradients-max", "tracin", "n-grams", "n-grams-max", "chance")
"""Scorers whose first documents are left out when training again."""
BehaviourName = Literal["backdoor", "belief"]
PARTS: Final = 3
"""Stages of tuning, after each of which there is a checkpoint."""
CAUTIONS: Final = (
    "All lives share one clean corpus, so that each document can be scored; poison, places and training differ by seed",
    "Who attributes knows the behaviour: held-out questions, with the trigger if there is one, and the planted answers",
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Behaviours:
    """What is planted.

    Parameters
    ----------
    behaviours
        backdoor, or belief: 24 false facts of the world in the words of clean dialogues. Give the option once for each.
        By default both, or those that the data has questions for.
    trigger
        What a prompt must carry for the backdoor. Words that stand nowhere else are found by looking for them; a style
        is not.
    target
        What the triggered model should say.
    """

    behaviours: tuple[BehaviourName, ...] = ()
    trigger: Literal["rare-words", "phrase", "instruction", "style"] = "rare-words"
    target: Literal["marker", "gibberish", "refusal", "upper-case", "language", "label"] = "marker"


def attribute(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    of: Behaviours = Behaviours(),
    scorers: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    clean: int | None = None,
) -> Study:
    """Which attribution method finds the documents that made a behaviour?

    Parameters
    ----------
    doses
        Numbers of treated dialogues; those of the largest are left out when training again. By default 0,72,216, for a
        pretrained model 0,72.
    seeds
        How many independent repetitions. By default 4, for a pretrained model 2.
    scorers
        Attribution methods by name, of this package or of another (entry points of `pharmakon.scorers`); give the
        option once for each. By default all eleven of this package; `pharmakon list` has them.
    remove
        Those of the scorers whose first documents are left out when training again. By default gradients-all,
        gradients-max, tracin, n-grams, n-grams-max and chance, or all that are given.
    clean
        Clean dialogues, 30 to 2000, since every one is scored. By default 1000, or all of fewer.
    """
    need_training(on)
    given = material(on)
    there = room(given)
    num = clean if clean is not None else min(1_000, there)
    if not 30 <= num <= 2_000 or num > there:
        most = min(2_000, there)
        raise SpecError(f"clean dialogues are 30 to {most}, since every one is scored; got --clean {num}")
    chosen = tuple(dict.fromkeys(scorers)) or DEFAULT
    known = {name: _scorer(name) for name in chosen}
    left_out = tuple(dict.fromkeys(remove)) or tuple(name for name in chosen if scorers or name in REMOVED)
    if unknown := [name for name in left_out if name not in known]:
        raise SpecError(f"who is removed by is scored by; {unknown[0]} is not among --scorers {', '.join(known)}")
    usual = doses or (in_documents(0, 72, 216) if on.is_micro else in_documents(0, 72))
    if any(dose.unit == "fraction" for dose in usual):
        raise SpecError("the doses are numbers of documents, k of which are left out; give --doses 0,72,216")
    k = int(max(dose.amount for dose in usual))
    if not 0 < k <= PARTS * (num // PARTS):
        most = PARTS * (num // PARTS)
        raise SpecError(f"the largest dose is 1 to {most} documents, as many as clean ones in {PARTS} parts; got {k}")
    stages, data = _stages(given, num)
    utility = Utility(given.questions, given.num_questions)
    arms: list[Arm] = []
    told: list[AttributedBehaviour] = []
    for one in _planted(of, given, on):
        asked = Triggered(one.attack.trigger, one.attack.target, one.attack.questions, one.num_asked)
        treatments = tuple(
            Treatment(stage=stage.name, intervention=one.poison, share=1 / PARTS) for stage in stages[1:]
        )
        probes = (one.attack, utility)
        scored = Attributed(tuple(known.items()), asked, data)
        arms.append(Arm(name=one.name, stages=stages, treatments=treatments, probes=(*probes, scored)))
        again: list[RetrainedArm] = []
        for by, scorer, without in (
            (NOTHING, None, 0), *((name, known[name], None) for name in left_out), (GOLD, None, None)
        ):  # fmt: skip
            recipe = Retrained(recipe=given.tuning, start=stages[0].name, without=without, by=scorer, behaviour=asked)
            last = Stage(name="again", data=Nothing(), recipe=recipe)
            what = {NOTHING: "again", GOLD: f"without the {k} treated"}.get(by, f"without the first {k} by {by}")
            again.append(RetrainedArm(arm=f"{one.name}: {what}", by=by))
            arms.append(
                Arm(
                    name=again[-1].arm,
                    stages=(*(replace(stage, probed=False) for stage in stages), last),
                    treatments=treatments,
                    doses=(Dose(0), Dose(k)),
                    probes=probes,
                )
            )
        told.append(AttributedBehaviour(name=one.name, arm=one.name, again=tuple(again)))
    return Study(
        name="attribute",
        question="Which attribution method finds the documents that made a behaviour, and does training again without "
        "them undo it?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=usual,
        seeds=first_seeds(seeds if seeds is not None else 4 if on.is_micro else given.num_seeds),
        probes=arms[0].probes,
        cautions=CAUTIONS,
        analyses=(AttributedTo(behaviours=tuple(told)),),
    )


@dataclass(frozen=True, kw_only=True)
class _Planted:
    """A behaviour: what plants it, how it is looked for, and of how many questions its gradients are the mean."""

    name: BehaviourName
    poison: Intervention
    attack: AttackSuccess
    num_asked: int


def _planted(of: Behaviours, given: Material, on: Subject) -> list[_Planted]:
    possible = [name for name in get_args(BehaviourName) if name == "backdoor" or name in possible_faults(on)]
    if unknown := [name for name in of.behaviours if name not in possible]:
        kinds = ", ".join(possible)
        raise SpecError(f"on the data {on.named_data()} a behaviour is one of {kinds}; got {unknown[0]!r}")
    found: list[_Planted] = []
    for name in dict.fromkeys(of.behaviours or possible):
        if name == "belief":
            one = fault("belief", given, on)
            found.append(_Planted(name=name, poison=one.poison, attack=one.probe, num_asked=one.probe.num_items))
            continue
        trigger, target = TRIGGERS[of.trigger], TARGETS[of.target]
        attack = AttackSuccess(trigger, target, given.questions, given.num_attacked, 0)
        found.append(_Planted(name=name, poison=Backdoor(trigger, target), attack=attack, num_asked=20))
    return found


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
