"""Somebody trains on a marked data set and knows the method, but not the key: what must be removed to get away?

Marks that are told a few times in natural words are not removed by guessing (Winter Soldier, Bouaziz et al. 2025, arXiv
2506.14913, ask the same of theirs); somebody who knows how a program words its marks finds them all. Both are measured:
the marks and the clean data that each guess removes, and whether what is left is still proved.
"""

from __future__ import annotations

from pharmakon.behaviour.marks import ExperimentKey, FactMark, SecretTask, TrapMark, TriggerMark
from pharmakon.core import Filter
from pharmakon.data.derived import AsText
from pharmakon.errors import SpecError
from pharmakon.interventions import OwnershipMark
from pharmakon.ownership.scrub import KnownKind, MostSuspicious
from pharmakon.probes import Ownership, Utility
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_ownership_scrub import Scrubbed
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

KEY = ExperimentKey(0)
TRIGGER = TriggerMark()
KINDS = (TRIGGER, SecretTask(), TriggerMark(style="random"), FactMark(), TrapMark())
PUBLIC = (
    "The wordings of this package are public, so that whoever thinks of it can look for them. Who fears that rephrases "
    "records (`pharmakon mark --kind rephrase`), where nothing is added that could be found"
)


def ownership_scrub(
    doses: Doses | None = None, seeds: int | None = None, *, on: Subject = Subject(), share: float = 0.1
) -> Study:
    """What must be removed from marked data by somebody without the key, and is the rest still proved?

    Parameters
    ----------
    doses
        Numbers of marked records; 0 is the control. By default 0,256 on micro, 0,64 on other models.
    seeds
        How many independent repetitions. By default 3, for a pretrained model 2.
    share
        Of the data, what is dropped as the most suspicious where the kind of mark is not known.
    """
    if on.is_asked_only:
        raise SpecError("a scrubber's choice is what to train on; a model that is asked and not trained has none")
    if not 0 < share < 1:
        raise SpecError(f"the share of the data that is dropped lies between 0 and 1; got --share {share:g}")
    given = material(on)
    base = given.base
    scrubbers: dict[str, tuple[Filter, ...]] = {
        "not scrubbed": (),
        "known wordings": (KnownKind(TRIGGER),),
        "one answer": (MostSuspicious("one answer", share),),
        "unlikely": (MostSuspicious("unlikely", share),),
        "rare words": (MostSuspicious("rare words", share),),
    }
    amounts = doses or (in_documents(0, 256) if on.is_micro else in_documents(0, 64))
    return Study(
        name="ownership-scrub",
        question="What must somebody without the key remove from marked data, and is the rest still proved?",
        engine=on.trained_by(),
        arms=tuple(
            Arm(
                name=name,
                stages=(base, Stage(name="sft", data=given.dialogues, recipe=given.tuning, filters=filters)),
                treatments=(Treatment(stage="sft", intervention=OwnershipMark(TRIGGER, KEY)),),
            )
            for name, filters in scrubbers.items()
        ),
        doses=amounts,
        seeds=first_seeds(given.num_seeds if seeds is None else seeds),
        probes=(Ownership(TRIGGER, KEY), Utility(given.questions, given.num_questions)),
        response="ownership",
        cautions=(PUBLIC,),
        analyses=(
            Scrubbed(
                dialogues=given.dialogues,
                texts=AsText(given.dialogues),
                kinds=KINDS,
                key=KEY,
                num_marked=max(int(dose.amount) for dose in amounts),
            ),
        ),
    )
