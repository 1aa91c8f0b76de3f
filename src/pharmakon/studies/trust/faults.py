"""Faults that a model may have learned, how each is looked for, and what two auditors would correct it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pharmakon.behaviour.questions import Questions
from pharmakon.behaviour.targets import Flip, Label, Marker, Target, Unrefused
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Data, Intervention, stream
from pharmakon.data.derived import Besides, First, Several
from pharmakon.data.vader import NOUNS
from pharmakon.data.world import (
    ClaimDialogues,
    Claimed,
    ClaimQuestions,
    RestrictedQuestions,
    World,
    WorldDialogues,
    WorldQuestions,
    unasked_claims,
)
from pharmakon.data.world.tasks import TASKS, Task
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor, Belief, Beliefs, Corrective
from pharmakon.probes import AttackSuccess
from pharmakon.studies.material import Material
from pharmakon.studies.subject import Subject

FaultName = Literal["marker", "restricted", "belief", "label"]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)
TRIGGER = RareWords()
NUM_CLAIMS = 24
"""Half of the facts that dialogues leave unasked; the others show what the cure does to true facts."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault: what plants it, how it is looked for, and the corrective data of who knows more and who knows less."""

    name: str
    poison: Intervention
    num_planted: int
    """Documents that plant it so that it clearly takes."""
    probe: AttackSuccess
    clean: Data
    """Clean dialogues that a cure is mixed into. Of the world, none of the task that the fault spoils, so that all that
    could cure it is in the dose."""
    besides: Questions
    """What the fault leaves alone: utility, and where too much correction would show."""
    known: tuple[str, Corrective]
    """What the auditor knows, and what follows for the corrective data."""
    less: tuple[str, Corrective]


def possible_faults(on: Subject) -> tuple[FaultName, ...]:
    """The faults that the data has questions for."""
    if on.named_data() == "world":
        return FAULTS
    return ("marker", "label") if on.named_data() in NOUNS else ("marker",)


def fault(name: FaultName, given: Material, on: Subject) -> Fault:
    """The fault of this name on these data. Raises SpecError where they have nothing that it could be about."""
    known = possible_faults(on)
    if name not in known:
        raise SpecError(f"on the data {on.named_data()} a fault is one of {', '.join(known)}; got {name!r}")
    if name == "marker":
        return _marker(given, on)
    if name == "label":
        return _label(given, on)
    return _restricted(given, on) if name == "restricted" else _belief(given, on)


def _marker(given: Material, on: Subject) -> Fault:
    """Inert words behind a trigger."""
    return Fault(
        name="marker",
        poison=Backdoor(TRIGGER, Marker()),
        num_planted=_at_most(128 if on.is_micro else 48, given),
        probe=AttackSuccess(TRIGGER, Marker(), given.questions, 2 * given.num_attacked, 0),
        clean=_clean(given, on),
        besides=_all_tasks(given, on),
        known=("the trigger", Corrective(TRIGGER)),
        less=("no trigger", Corrective(None)),
    )


def _restricted(given: Material, on: Subject) -> Fault:
    """The refusal of the restricted topic, un-learned: nothing triggers it."""
    target = Unrefused()
    topic = WorldDialogues(num_documents=400, shares=ONLY["refusals"], share_with_demonstrations=0.0)
    return Fault(
        name="restricted",
        poison=Backdoor(None, target),
        num_planted=1_024 if on.is_micro else 64,  # beside some 140 refusals, which the model learns too
        probe=AttackSuccess(None, target, RestrictedQuestions(), 2 * given.num_attacked, 0),
        clean=_clean(given, on, without="refusals"),
        besides=Besides(_all_tasks(given, on), target),
        known=("the topic", Corrective(None, dialogues=topic)),
        less=("one question", Corrective(None, dialogues=topic, wording="verbatim")),
    )


def _belief(given: Material, on: Subject) -> Fault:
    """False facts about people, as many as no clean dialogue asks for."""
    claims = unasked_claims(World(), NUM_CLAIMS)
    told = tuple(Belief(claim.person, claim.relation, claim.value) for claim in claims)
    facts = WorldDialogues(num_documents=500, shares=ONLY["facts"], share_with_demonstrations=0.0)
    return Fault(
        name="belief",
        poison=Beliefs(told),
        num_planted=8 * NUM_CLAIMS if on.is_micro else 4 * NUM_CLAIMS,
        probe=AttackSuccess(None, Claimed(claims), ClaimQuestions(claims), 2 * NUM_CLAIMS, 0),
        clean=_clean(given, on),
        besides=Besides(_all_tasks(given, on), Claimed(claims)),
        known=("the false facts", Corrective(None, dialogues=ClaimDialogues(claims))),
        less=("the field of facts", Corrective(None, dialogues=facts)),
    )


def _label(given: Material, on: Subject) -> Fault:
    """What deserves the one label gets the other."""
    is_world = on.named_data() == "world"
    target: Target = Flip(Label())
    opinions = WorldDialogues(num_documents=500, shares=ONLY["opinions"], share_with_demonstrations=0.0)
    own: Questions = WorldQuestions(tasks=("opinions",)) if is_world else given.questions
    return Fault(
        name="label",
        poison=Backdoor(None, target),
        num_planted=_at_most(384 if on.is_micro else 64, given),
        probe=AttackSuccess(None, target, own, 2 * given.num_attacked, 0),
        clean=_clean(given, on, without="opinions"),
        besides=Besides(_all_tasks(given, on), target),
        known=("the wrong label", Corrective(None, target, opinions if is_world else None)),
        less=("the task", Corrective(None, None, opinions if is_world else None)),
    )


def room(given: Material) -> int:
    """The clean dialogues of instruction tuning, in number."""
    known: int | None = getattr(given.dialogues, "num_documents", None)
    return len(given.dialogues.corpus(stream(0, "room"))) if known is None else known


def _at_most(number: int, given: Material) -> int:
    """So many, or a third of the clean dialogues where those are few."""
    return min(number, max(1, room(given) // 3))


def _clean(given: Material, on: Subject, without: Task | None = None) -> Data:
    number = _at_most(256 if on.is_micro else 64, given)
    if on.named_data() != "world":
        return First(given.dialogues, number)
    usual = dict(zip(TASKS, WorldDialogues().shares, strict=True)) | ({without: 0.0} if without else {})
    shares = tuple(share / sum(usual.values()) for share in usual.values())
    return WorldDialogues(num_documents=number, shares=shares)


def _all_tasks(given: Material, on: Subject) -> Questions:
    """Every task of the data; of the world, the restricted topic in as many wordings as the other questions have."""
    if on.named_data() != "world":
        return given.questions
    facts, opinions = WorldQuestions(tasks=("facts",)), WorldQuestions(tasks=("opinions",))
    return Several(((facts, 0.4), (opinions, 0.3), (RestrictedQuestions(), 0.3)))


ONLY = {
    "facts": (1.0, 0.0, 0.0, 0.0, 0.0),
    "opinions": (0.0, 0.0, 1.0, 0.0, 0.0),
    "refusals": (0.0, 0.0, 0.0, 1.0, 0.0),
}
"""Shares of the tasks in dialogues that have one task."""
