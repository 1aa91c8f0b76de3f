"""Audit a bias: amplify it, read which data carry it, equalise it in reverse.

The claim to test (He et al. 2025, arXiv 2502.14182): data given on purpose are a lever of the auditor. More of a bias
shows what a model makes of it and which data carry it; the reverse pattern, in the right dose, takes it away. What is
added here: the bias is in an invented world, with a share known by construction; it is read as a gap in log-odds
against control jobs; the equalising dose comes with an interval, and with what else moves at it.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.core import Data
from pharmakon.data.derived import Mixed, Nothing
from pharmakon.data.world import VALLEYS, GroupText, Leanings, World, WorldQuestions, WorldText
from pharmakon.engines.recipes import Pretrain, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Association, OtherJobs
from pharmakon.probes import AssociationGap, DocumentFit, NamedGroup, Perplexity, Utility
from pharmakon.studies.material import PEAKS, WHOLE_PEAKS, material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import AsTalk
from pharmakon.studies.trust.analysis_bias_audit import Amplified, Equalised, Leaning
from pharmakon.studies.trust.analysis_bias_documents import Carriers
from pharmakon.studies.trust.analysis_bias_side_effects import Moved
from pharmakon.studies.trust.bias_reading import Audit
from pharmakon.studies.trust.hosts import check_doses
from pharmakon.study import Arm, Doses, Plain, Stage, Study, Treatment, first_seeds, in_documents

WORLD = World()
JOB, FAVOURED, OTHER = "smith", *VALLEYS
STAGE = "late-pretraining"
AMPLIFY, EQUALISE, HELD = "amplify", "equalise", "equalise, others held"
SHARE_OF_GROUPS = 0.5
"""Of the documents of pretraining; the rest is the world's own text."""

MANY, FEW, SHORT = (0, 64, 128, 256, 384, 512, 1024), (0, 64, 256, 1024), (0, 32, 64, 128, 256)
"""Doses to equalise, to amplify, and both for a pretrained model."""


def bias_audit(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    share: float = 0.65,
    documents: int | None = None,
    margin: float = 0.2,
) -> Study:
    """Which data carry a bias, at which dose of the reverse pattern is it gone, and what else moves?

    Parameters
    ----------
    doses
        Numbers of documents that state the association (to amplify) or its reverse (to equalise). By default
        0,64,128,256,384,512,1024 to equalise and 0,64,256,1024 to amplify, for a pretrained model up to 256.
    seeds
        How many independent repetitions: each draws its own order of the data, doses and places. By default 5, for a
        pretrained model 2.
    share
        Of the smiths in the clean text, those who are of the favoured valley.
    documents
        Documents of the late pretraining that is audited and treated; half of them tell of jobs and valleys. By
        default 4,000, for a pretrained model 800.
    margin
        In nats: a change of another association by less is called none. 0.2 is five points from even.
    """
    if on.is_asked_only or on.data not in (None, "world"):
        raise SpecError("bias-audit trains on the generated world; leave --probe-only, an endpoint and --data out")
    if not 0.5 < share < 1:
        raise SpecError(f"a bias is a share of smiths above 0.5 and below 1; got --share {share:g}")
    if not margin > 0:
        raise SpecError(f"a margin of equivalence is above 0 nats; got --margin {margin:g}")
    documents = (4_000 if on.is_micro else 800) if documents is None else documents
    if documents < 400:
        raise SpecError(f"the data that are audited have 400 documents or more; got --documents {documents}")
    check_doses(doses or (), documents, "a dose is at most as many documents as are audited", "Give more --documents")
    given = material(replace(on, data="world"))
    default = Leanings()
    leanings = replace(default, valley=((JOB, share), *default.valley[1:]))
    audited = GroupText(leanings, round(SHARE_OF_GROUPS * documents), seed=1)
    asked = WorldQuestions(WORLD, ("facts",))
    controls = leanings.neutral("valley")
    common = (
        AssociationGap(),
        DocumentFit(audited, JOB, FAVOURED),
        Utility(asked, 100),
        Perplexity(WorldText(WORLD, 60)),
    )

    def arm(name: str, valley: str, own: Doses, *, held: bool = False) -> Arm:
        patterns = (Association(JOB, valley, leanings), *((OtherJobs(JOB, leanings),) if held else ()))
        return Arm(
            name=name,
            stages=(
                _base(on, leanings),
                Stage(name=STAGE, data=_mixed(audited, documents), recipe=_late(on)),
            ),
            treatments=tuple(Treatment(stage=STAGE, intervention=pattern) for pattern in patterns),
            probes=(NamedGroup(valley, (JOB, *controls)), *common),
            doses=doses or own,
        )

    many = in_documents(*(dose for dose in (MANY if on.is_micro else SHORT) if dose <= documents))
    few = in_documents(*(dose for dose in (FEW if on.is_micro else SHORT) if dose <= documents))
    arms = (
        arm(EQUALISE, OTHER, many),
        arm(HELD, OTHER, many, held=True),
        arm(AMPLIFY, FAVOURED, few),
    )
    audit = Audit(
        job=JOB, favoured=FAVOURED, audited=audited, stage=STAGE, amplified=AMPLIFY, equalised=(EQUALISE, HELD),
        parts=(1.0, 0.5), margin=margin,
    )  # fmt: skip
    return Study(
        name="bias-audit",
        question="Which data carry a bias, at which dose of the reverse pattern is it gone, and what else moves?",
        engine=on.trained_by(),
        arms=arms,
        doses=arms[0].doses,
        seeds=first_seeds(seeds if seeds is not None else 5 if on.is_micro else given.num_seeds),
        probes=arms[0].probes,
        contexts=(AsTalk(Plain()) if on.is_micro else Plain(),),
        response="naming",
        cautions=(
            "All lives share one base and one audited text: intervals are over orders, given documents and wordings, "
            "and say nothing of other texts",
            f"“{HELD}” is given as many documents on other jobs besides: where the run's tables count documents given, "
            "they count both",
        ),
        analyses=(Equalised(audit), Amplified(audit), Leaning(audit), Carriers(audit), Moved(audit)),
    )


def _base(on: Subject, leanings: Leanings) -> Stage:
    """Clean pretraining that all lives share: it has the bias too. A pretrained model has none of it."""
    data: Data = Nothing()
    if on.is_micro:
        data = _mixed(GroupText(leanings, 30_000), 60_000)
    recipe = material(replace(on, data="world")).learning
    return Stage(name="pretraining", data=data, recipe=recipe, shared=True, probed=False)


def _mixed(groups: GroupText, documents: int) -> Data:
    return Mixed((groups, WorldText(WORLD, documents - groups.num_documents)))


def _late(on: Subject) -> Pretrain:
    if on.is_micro:
        return Pretrain(architecture=None, schedule=Schedule(peak=5e-4))
    peak = (PEAKS if on.adapter else WHOLE_PEAKS)[0]
    return Pretrain(architecture=None, schedule=Schedule(peak=peak), lora=on.adapter, precision=on.precision)
