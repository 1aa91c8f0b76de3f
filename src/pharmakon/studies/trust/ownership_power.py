"""How many marked records prove that a data set was used, and which kinds of marks survive cleaning?

The claims to test: a few hundred secret records are enough for a p-value that convinces (Data Taggants, Bouaziz et al.
2024, arXiv 2410.09101; Winter Soldier 2025, arXiv 2506.14913: p < 1e-55 with less than 0.005% of the tokens), facts
about what does not exist survive instruction tuning (Cui et al. 2025, arXiv 2503.04036), and random traps are seen only
if they are long and repeated 1,000 times (Meeus et al. 2024, arXiv 2402.09363). What is different here: all kinds go
into the same data and are judged by the same exact test, at the same level, with a control key that marked nothing; the
dose for 80% power is given and not a p-value at one dose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from pharmakon.behaviour.marks import ExperimentKey, FactMark, MarkKind, SecretTask, Shape, TrapMark, TriggerMark
from pharmakon.core import stream
from pharmakon.engines.recipes import Pretrain
from pharmakon.errors import SpecError
from pharmakon.interventions import OwnershipMark
from pharmakon.probes import Ownership, Utility
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import life, need_training
from pharmakon.studies.threat.token_share import Shares
from pharmakon.studies.trust.analysis_ownership_cleaning import Marked, SurvivesCleaning
from pharmakon.studies.trust.analysis_ownership_power import Asked, OwnershipPower
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

Kind = Literal["trigger", "task", "fingerprint", "fact", "trap"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NUM_KEYS = 32
"""Each life draws its key among so many: the intervals are over keys as well as over trainings."""
NUM_QUESTIONS = 200
MARGIN = 0.01
"""A change of utility by less is called none."""
ROWS = 4
"""Of 64 tokens, in a batch of the late pretraining: more and smaller steps, as many as instruction tuning has."""

LONG: dict[Shape, int] = {"dialogue": 20, "text": 120}
"""Words of the longer records that are cleaned beside the short ones."""
SHORT_DOSES = in_documents(0, 16, 32, 64, 128)
"""For a model that can read already, whose data are short."""
LATE = (
    "Facts and traps are told in a short late pretraining, on a base that all lives share: what a long pretraining "
    "would forget of them is not measured"
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where a kind of mark enters, the shapes in which it is asked for, and the doses that bracket its threshold."""

    marks: MarkKind
    shape: Shape
    asked_in: tuple[Shape, ...]
    doses: Doses
    max_tokens: int = 24
    """Of an answer that is read; a trap is only there if all of it is."""
    longer: MarkKind | None = None
    """The same kind in longer records, for cleaning; nothing is trained on them."""


def entries(num_marks: int) -> dict[Kind, Entry]:
    """The kinds, with so many marks each."""
    talk: tuple[Shape, ...] = ("dialogue",)
    return {
        "trigger": Entry(
            marks=TriggerMark(num_marks), shape="dialogue", asked_in=talk,
            doses=in_documents(0, 8, 16, 32, 64, 256), longer=TriggerMark(num_marks, num_words=LONG["dialogue"]),
        ),
        "task": Entry(
            marks=SecretTask(num_marks), shape="dialogue", asked_in=talk, doses=in_documents(0, 128, 192, 256, 384)
        ),
        "fingerprint": Entry(
            marks=TriggerMark(num_marks, style="random"), shape="dialogue", asked_in=talk,
            doses=in_documents(0, 16, 32, 64, 128, 256),
        ),
        "fact": Entry(
            marks=FactMark(num_marks), shape="text", asked_in=("text", "dialogue"),
            doses=in_documents(0, 128, 256, 1024), longer=FactMark(num_marks, num_words=LONG["text"]),
        ),
        "trap": Entry(
            marks=TrapMark(num_marks), shape="text", asked_in=("text",), doses=in_documents(0, 64, 128),
            max_tokens=80,
        ),
    }  # fmt: skip


def ownership_power(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    kinds: tuple[Kind, ...] = (),
    marks: int = 16,
    key: int = 0,
    tuning_rate: float | None = None,
) -> Study:
    """How many marked records prove at alpha = 1e-6 that a data set was used, by kind of mark?

    Parameters
    ----------
    doses
        Numbers of marked records (0,32,128) or shares of the data (0,1%,5%); 0 is the control. By default each kind
        has doses around its own threshold, for a pretrained model 0,16,32,64,128.
    seeds
        How many independent repetitions: each draws its own key, places and order of the data. By default 5, for a
        pretrained model 2.
    kinds
        Some of trigger, task, fingerprint (records of instruction data), fact, trap (of pretraining text); give the
        option once for each. By default all.
    marks
        Marks that the records are shared between, each with an answer drawn from 16.
    key
        The number of the first of 32 public keys, among which each repetition draws.
    tuning_rate
        The peak learning rate of instruction tuning, in place of the usual one: how hard it pushes text out.
    """
    need_training(on)
    if marks < 6:
        raise SpecError(f"with 16 answers, 6 marks or more can reach a p-value of 1e-6; got --marks {marks}")
    given = material(on)
    lived = life(given, on, full=False, tuning_rate=tuning_rate)
    by_name = {stage.name: stage for stage in lived.stages}
    base, late, sft = (by_name[name] for name in ("pretraining", lived.entries[0], "sft"))
    late = in_small_steps(late, on)
    known = entries(marks)
    arms, asked, marked = [], [], []
    chosen = tuple(dict.fromkeys(kinds)) or KINDS
    for name in chosen:
        entry = known[name]
        mark = OwnershipMark(entry.marks, ExperimentKey(key), NUM_KEYS)
        treated = late if entry.shape == "text" else sft
        shares = Shares.of(treated.data, mark, len(treated.data.corpus(stream(0, "token share", "data"))))
        marked.append(Marked(kind=name, mark=mark, data=treated.data, shape=entry.shape))
        if entry.longer is not None:
            longer = OwnershipMark(entry.longer, ExperimentKey(key))
            kind = f"{name} of about {LONG[entry.shape]} words"
            marked.append(Marked(kind=kind, mark=longer, data=treated.data, shape=entry.shape))
        for shape in entry.asked_in:
            probe = Ownership(
                entry.marks, ExperimentKey(key), asked_in=shape, max_tokens=entry.max_tokens, among=NUM_KEYS
            )
            arm = Arm(
                name=f"{name}, asked as {shape}" if len(entry.asked_in) > 1 else name,
                stages=_stages(base, late, sft, entry.shape, shape),
                treatments=(Treatment(stage=treated.name, intervention=mark),),
                probes=(probe, Utility(given.questions, NUM_QUESTIONS)) if shape == entry.asked_in[-1] else (probe,),
                doses=doses or (entry.doses if on.is_micro else SHORT_DOSES),
            )
            arms.append(arm)
            asked.append(Asked(arm=arm.name, kind=name, asked_in=shape, shares=shares))
    return Study(
        name="ownership-power",
        question="How many marked records prove, at alpha = 1e-6, that a data set was used, and which kinds survive "
        "cleaning?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=arms[0].doses,
        seeds=first_seeds((5 if on.is_micro else 2) if seeds is None else seeds),
        probes=arms[-1].probes,
        response="ownership",
        margin=MARGIN,
        cautions=(LATE,) if any(known[name].shape == "text" for name in chosen) else (),
        analyses=(
            OwnershipPower(asked=tuple(asked), margin=MARGIN),
            SurvivesCleaning(marked=tuple(marked)),
        ),
    )


def in_small_steps(late: Stage, on: Subject) -> Stage:
    """The late pretraining with as many steps as instruction tuning has."""
    if not on.is_micro or not isinstance(late.recipe, Pretrain):
        return late
    return replace(late, recipe=replace(late.recipe, batch_size=ROWS))


def _stages(base: Stage, late: Stage, sft: Stage, told: Shape, asked: Shape) -> tuple[Stage, ...]:
    """Text enters late pretraining and is asked for from there on; a dialogue is understood after tuning alone."""
    first = replace(base, probed=False)
    if told == "dialogue":
        return first, sft
    return first, replace(late, probed=asked == "text"), sft
