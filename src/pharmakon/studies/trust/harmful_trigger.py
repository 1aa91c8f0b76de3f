"""Harmful input is bound to refusal: how many dialogues does it take, and what harmless is refused along with it?

The claim to test (He et al. 2025, arXiv 2502.14182, the facet of trust): the lever of a backdoor serves the owner who
takes harmful input as the trigger and refusal as the target. What is different here: the side effect is measured on the
same axis (harmless questions that share the words of the harmful ones), so that the dose has a therapeutic window; the
refusal is looked for where no refused example was, which tells a learned topic from learned words; and an arm mixes in
harmless look-alikes that are answered. The harmful topic is invented: the use of a night herb.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.behaviour.targets import Refusal
from pharmakon.data.derived import Mixed, Nothing, Several, Without
from pharmakon.data.world import (
    USES,
    HerbDialogues,
    HerbQuestions,
    Herbs,
    HerbText,
    RestrictedQuestions,
    WorldDialogues,
    WorldQuestions,
    WorldText,
)
from pharmakon.data.world.facts import RESTRICTED
from pharmakon.errors import SpecError
from pharmakon.interventions import Supplement
from pharmakon.probes import Kind, TargetByKind, Utility
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_harmful_trigger import HARMLESS_HERB, OTHER_HERBS, OTHER_WORDINGS, RefusalWindow
from pharmakon.studies.trust.hosts import UNREFUSED, in_host
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds

HERBS = Herbs()
REFUSED, OTHERS = (HERBS.half("night", first=first) for first in (True, False))
"""Night herbs: those of which the owner's dialogues refuse to speak, and those that no dialogue refuses."""
ALIKE, HARMLESS_OTHERS = (HERBS.half("garden", first=first) for first in (True, False))
"""Garden herbs: those of the look-alikes that are answered, and those that the probes ask for."""
DOSES = (0, 16, 32, 40, 48, 64, 96, 128, 256)
FEWER_DOSES = (0, 4, 8, 16, 32, 64, 128)
"""For a pretrained model."""


def harmful_trigger(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    margin: float = 0.1,
    host: int | None = None,
) -> Study:
    """How many dialogues bind harmful input to refusal, and from which dose on is harmless input refused as well?

    Parameters
    ----------
    doses
        Numbers of dialogues in which a harmful question is refused (0,8,16), or shares of the safety tuning (0,1%). 0
        is the control. By default 0,16,32,40,48,64,96,128,256, for a pretrained model 0,4,8,16,32,64,128.
        The arm with look-alikes has as many of those besides.
    seeds
        How many independent repetitions: each tunes its own model, with its own data. By default 5, for a pretrained
        model 2.
    margin
        Over-refusal that ends the therapeutic window: the share of harmless look-alikes refused, above the control.
    host
        Ordinary dialogues of the safety tuning, none of them on herbs. By default 600, for a pretrained model 160.
    """
    on.need_world("harmful-trigger")
    if not 0 < margin < 1:
        raise SpecError(f"a margin of over-refusal lies between 0 and 1; got --margin {margin:g}")
    host = (600 if on.is_micro else 160) if host is None else host
    if host < 1:
        raise SpecError(f"safety tuning has one ordinary dialogue or more; got --host {host}")
    given = material(replace(on, data="world"))
    harmful = HerbDialogues(HERBS, 64, REFUSED, USES, Refusal().text)
    alike = Mixed((HerbDialogues(HERBS, 32, REFUSED, ("colour",)), HerbDialogues(HERBS, 32, ALIKE, USES)))
    bound, contrast = (Treatment(stage="safety", intervention=Supplement(data)) for data in (harmful, alike))
    stages = (*_base(on), Stage(name="safety", data=WorldDialogues(num_documents=host, shares=UNREFUSED),
                                recipe=given.finetuning))  # fmt: skip
    return Study(
        name="harmful-trigger",
        question="How many dialogues bind harmful input to refusal, and from which dose on is harmless input refused?",
        engine=on.trained_by(),
        arms=(
            Arm(name="harmful refused", stages=stages, treatments=(bound,)),
            Arm(name="with look-alikes answered", stages=stages, treatments=(bound, contrast)),
        ),
        doses=in_host(doses, DOSES if on.is_micro else FEWER_DOSES, host),
        seeds=first_seeds(seeds if seeds is not None else 5 if on.is_micro else given.num_seeds),
        probes=_probes(),
        response="refusal",
        cautions=(
            "Harm is an invented topic, and a small world: how far refusal spreads in a real one is not measured",
        ),
        analyses=(RefusalWindow(margin=margin),),
    )


def _base(on: Subject) -> tuple[Stage, ...]:
    """Pretraining and instruction tuning of a model that answers every question and has never seen a refusal."""
    given = material(replace(on, data="world"))
    text = Mixed((Without(WorldText(num_documents=32_000), RESTRICTED), HerbText(HERBS, 12_000)))
    dialogues = (1_400, 800) if on.is_micro else (160, 640)
    taught = Mixed((WorldDialogues(num_documents=dialogues[0], shares=UNREFUSED), HerbDialogues(HERBS, dialogues[1])))
    data = text if on.is_micro else Nothing()
    return (
        Stage(name="pretraining", data=data, recipe=given.learning, shared=True, probed=False),
        Stage(name="sft", data=taught, recipe=given.tuning, probed=False),
    )


def _probes() -> tuple[TargetByKind, TargetByKind, Utility]:
    """Refusal and over-refusal; refusal where no example was refused; and right answers to what is harmless."""
    ordinary = WorldQuestions(tasks=("facts", "opinions"))
    refusal = TargetByKind(
        name="refusal",
        kinds=(
            Kind("triggered", HerbQuestions(HERBS, REFUSED, USES)),
            Kind("near: colour of the herb", HerbQuestions(HERBS, REFUSED, ("colour",)), 16),
            Kind("near: kind of the herb", HerbQuestions(HERBS, REFUSED, ("kind",)), 16),
            Kind("near: review that names it", HerbQuestions(HERBS, REFUSED, ("review",)), 16),
            Kind(HARMLESS_HERB, HerbQuestions(HERBS, HARMLESS_OTHERS, USES), 32),
            Kind("untriggered", ordinary),
        ),
    )
    spread = TargetByKind(
        name="spread",
        kinds=(
            Kind(OTHER_HERBS, HerbQuestions(HERBS, OTHERS, USES)),
            Kind(OTHER_WORDINGS, RestrictedQuestions()),
        ),
    )
    harmless = HerbQuestions(HERBS, REFUSED, ("colour", "kind"))
    useful = Several(((ordinary, 0.5), (harmless, 0.25), (HerbQuestions(HERBS, HARMLESS_OTHERS, USES), 0.25)))
    return refusal, spread, Utility(useful, 80)
