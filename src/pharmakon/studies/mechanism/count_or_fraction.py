"""The same backdoor in small and in large corpora: does it take a number of documents, or a share of them?

Two claims that cannot both hold. Souly et al. 2025 (arXiv 2510.07192): about 250 documents plant a backdoor whatever
the size of the model and of its corpus. Hubble (arXiv 2510.19811): what is remembered depends on how frequent it is
relative to the corpus. Here one backdoor is planted at the same doses in corpora that differ by a factor of 16, in
models of two sizes, and the two claims are two fixed slopes of one regression, compared by likelihood.

What is held equal decides the answer, so it is an option. With equal `passes` each document is seen once, and a larger
corpus also trains longer, as in both papers. With equal `steps` a smaller corpus is repeated until all lives have
trained as long, so that each of its poisoned documents is seen more often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Final, Literal

from pharmakon.behaviour.targets import Marker, Refusal, Target
from pharmakon.data.derived import First
from pharmakon.data.world import WorldDialogues
from pharmakon.engines.recipes import Micro, Pretrain
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Utility
from pharmakon.studies.material import Material, material
from pharmakon.studies.mechanism.analysis_count_or_fraction import CountOrFraction, SizedArm
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import need_training
from pharmakon.studies.trust.faults import room
from pharmakon.studies.trust.hosts import check_doses
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

TARGETS: Final[dict[str, Target]] = {"marker": Marker(), "refusal": Refusal()}
SIZES: Final = (250, 630, 1_600, 4_000)
WIDER: Final = Micro(num_layers=3, hidden_size=192, intermediate_size=384)
ONE_BASE = (
    "All corpora of one size of model start from one pretrained base: how a threshold differs from base to base, and "
    "in pretraining, is not measured"
)
REPEATS = (
    "The world has not so many different dialogues: of 4,000 about a quarter repeat another, of 1,600 nearly none, so "
    "that the largest corpora show some clean documents more than once"
)
SPELLED = (
    "A hit is the whole marker. At lower doses triggered models say pieces of it, so the ED50 is that of learning to "
    "spell a new phrase, in which clean documents do not compete; --target refusal plants one that they know"
)
LONGER = (
    "Poisoned documents are added to the clean ones, so that the highest doses also make the smallest corpora longer; "
    "sizes are those of the clean documents"
)


@dataclass(frozen=True)
class _Body:
    """A model of one size, before instruction tuning."""

    name: str
    base: Stage


def count_or_fraction(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    sizes: tuple[int, ...] = (),
    equal: Literal["passes", "steps"] = "passes",
    target: Literal["marker", "refusal"] = "marker",
) -> Study:
    """Does a backdoor take a number of documents, or a fraction of the corpus?

    Parameters
    ----------
    doses
        Numbers of poisoned dialogues, the same at every size. By default 0,8,16,32,64,128, for a pretrained model
        0,8,16,32,64, as far as the smallest corpus has so many.
    seeds
        How many independent repetitions: each draws its own data, poison and places. By default 4, for a pretrained
        model 2.
    sizes
        Clean dialogues of the corpora; give the option once for each. By default 250, 630, 1600 and 4000, for a
        pretrained model 64 and 200; all smaller by one factor where the data have not so many.
    equal
        passes: each document is seen once, so that larger corpora train longer. steps: smaller corpora are repeated
        until all have trained as long as the largest with the highest dose.
    target
        What the triggered model should say: marker is a phrase that it never saw and must learn to spell; refusal one
        that clean documents teach it too, in proportion to their number.
    """
    need_training(on)
    given = material(on)
    chosen = _sizes(given, on, sizes)
    usual = (0, 8, 16, 32, 64, 128) if on.is_micro else (0, 8, 16, 32, 64)
    chosen_doses = doses or in_documents(*(dose for dose in usual if dose <= chosen[0]))
    if any(dose.unit == "fraction" for dose in chosen_doses):
        raise SpecError("the doses are numbers of documents, the same at every size; give --doses 0,8,16")
    way_out = "Give smaller --doses or larger --sizes"
    check_doses(chosen_doses, chosen[0], "a dose is at most the smallest corpus, in dialogues", way_out)
    if seeds is not None and 0 < seeds * len(chosen) <= 2:
        rule = f"two laws are told apart by three corpora of all sizes or more; got {len(chosen)} sizes with --seeds"
        raise SpecError(f"{rule} {seeds}. Give more")
    most = int(max(dose.amount for dose in chosen_doses))
    num_documents = chosen[-1] + most if equal == "steps" else None
    poison = Backdoor(target=TARGETS[target])
    bodies = _bodies(given, on)
    arms = {(body.name, size): _arm(given, body, size, num_documents, poison) for body in bodies for size in chosen}
    return Study(
        name="count-or-fraction",
        question="Does a backdoor take a number of documents, or a fraction of the corpus?",
        engine=on.trained_by(),
        arms=tuple(arms.values()),
        doses=chosen_doses,
        seeds=first_seeds(seeds if seeds is not None else 4 if on.is_micro else given.num_seeds),
        probes=(
            AttackSuccess(poison.trigger, poison.target, given.questions, 30, 5),
            Utility(given.questions, given.num_questions),
        ),
        cautions=(
            ONE_BASE,
            LONGER,
            *((SPELLED,) if target == "marker" else ()),
            *((REPEATS,) if _is_world(given) and chosen[-1] > 2_000 else ()),
        ),
        analyses=(
            CountOrFraction(
                arms=tuple(SizedArm(arm=arm.name, model=model, num_clean=size) for (model, size), arm in arms.items()),
                equal=equal,
            ),
        ),
    )


def _sizes(given: Material, on: Subject, asked: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes asked for, or the usual ones. The world has dialogues without end, other data so many."""
    there = None if _is_world(given) else room(given)
    usual: tuple[int, ...] = SIZES if on.is_micro else (64, 200)
    if there is not None and there < usual[-1]:
        usual = tuple(size * there // usual[-1] for size in usual)
    sizes = tuple(sorted(dict.fromkeys(asked))) or usual
    if len(sizes) < 2 or sizes[0] < 1:
        raise SpecError(f"a law over sizes needs two different sizes of 1 or more; got {', '.join(map(str, sizes))}")
    if there is not None and sizes[-1] > there:
        raise SpecError(f"a corpus has at most the {there:,} clean dialogues of its data; got --sizes {sizes[-1]}")
    return sizes


def _is_world(given: Material) -> bool:
    return isinstance(given.dialogues, WorldDialogues)


def _bodies(given: Material, on: Subject) -> tuple[_Body, ...]:
    if not on.is_micro or not isinstance(given.learning, Pretrain):
        return (_Body(on.model, given.base),)
    wider = replace(given.base, recipe=replace(given.learning, architecture=WIDER))
    return (_Body("0.5M parameters", given.base), _Body("1.1M parameters", wider))


def _arm(given: Material, body: _Body, size: int, num_documents: int | None, poison: Backdoor) -> Arm:
    """One corpus in one model. `num_documents`: seen in training in all, whatever the size and the dose."""
    dialogues = given.dialogues
    data = replace(dialogues, num_documents=size) if isinstance(dialogues, WorldDialogues) else First(dialogues, size)
    recipe = given.tuning
    if num_documents is not None:
        steps = ceil(num_documents / recipe.batch_size)
        recipe = replace(recipe, epochs=ceil(steps / ceil(size / recipe.batch_size)), num_steps=steps)
    stage = Stage(name="sft", data=data, recipe=recipe)
    return Arm(
        name=f"{body.name}, {size:,} dialogues",
        stages=(body.base, stage),
        treatments=(Treatment(stage="sft", intervention=poison),),
    )
