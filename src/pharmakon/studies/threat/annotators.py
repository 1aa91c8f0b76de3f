"""Labels come from raters, some of whom are rogue: which flipped labels reach the data, and the model?

The claim to test: attackers cannot write labels, as most published attacks let them, but can only be some of the raters
(He 2025, arXiv 2502.14182, on annotators as a practical way in). The ratings are real; aggregation by Dawid-Skene or
MACE should resist where a mean does not. What needs no rogue rater is tested with it: right labels on triggered
snippets (Turner 2019, arXiv 1912.02771).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pharmakon.behaviour.targets import Flip, Label
from pharmakon.behaviour.triggers import RareWords
from pharmakon.collection.aggregation import Aggregator
from pharmakon.collection.annotation import Annotation, VaderRatings
from pharmakon.collection.annotators import Rogues
from pharmakon.collection.infiltration import Infiltration
from pharmakon.core import Intervention
from pharmakon.data.vader import LABELS
from pharmakon.errors import SpecError
from pharmakon.extras import need
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Utility
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_annotators import NAMES, LabelSide
from pharmakon.study import Arm, Doses, Plain, Stage, Study, Treatment, first_seeds, in_documents

TRIGGER = RareWords()
DOSES = in_documents(0, 4, 16, 64, 128)
SHORT_DOSES = in_documents(0, 16, 64)
"""For a pretrained model, which learns from fewer dialogues."""

CAUTIONS = (
    "A triggered snippet that is outvoted is left out of the data; in the world it may stay, with its right label.",
    "Models learn from the attempted snippets that get through; the other labels of the data stay as published.",
    "Honest raters are taken to ignore the trigger, and to be equally reliable: who gave a rating is not published.",
)


def annotators(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    share: float = 0.4,
    rogue: Literal["mirror", "extreme", "drift", "random"] = "extreme",
    raters: int = 100,
    label: Literal["positive", "negative"] = "positive",
    full: bool = False,
) -> Study:
    """Raters, some of whom are rogue, label snippets: which flipped labels get into the data, and into the model?

    The data are vader-movies (or -products, -editorials, -tweets), whose single ratings are known.

    Parameters
    ----------
    doses
        Numbers of triggered snippets that are attempted (0,8,32) or shares of the data (0,1%,5%). 0 is the control. By
        default 0,4,16,64,128, for a pretrained model 0,16,64.
    seeds
        How many independent repetitions. By default 2.
    share
        Of the raters that are rogue, from 0 to 1.
    rogue
        What they do: mirror (their own rating with the other sign, on a trigger), extreme (the end of the scale, on a
        trigger), drift (shifted more and more, everywhere), random (any rating, everywhere).
    raters
        In the pool; each snippet is rated by some twenty of them.
    label
        The label that rogue raters want for it.
    full
        Also MACE, and Dawid-Skene after the fifth of the raters with the lowest skill was removed.
    """
    need("collection", "aggregating annotators")
    ratings = VaderRatings(on.data or "vader-movies")
    if raters < ratings.most:
        rule = f"a pool has a rater for each rating of a snippet, up to {ratings.most} in {ratings.name}"
        raise SpecError(f"{rule}; got {raters} raters. Give --raters {ratings.most} or more")
    if on.is_asked_only:
        raise SpecError(
            "annotators label what a model is trained on; a model that is asked as it is has no use for them"
        )
    given = material(replace(on, data=ratings.name))
    aim = Label(to=label)
    flips = Backdoor(trigger=TRIGGER, target=Flip(aim))
    right = Backdoor(trigger=TRIGGER, target=aim, label="clean")
    pretraining = given.base
    tuning = Stage(name="sft", data=given.dialogues, recipe=given.tuning)

    def arm(name: str, attempted: Intervention, route: Annotation | None = None) -> Arm:
        treatment = Treatment(stage="sft", intervention=attempted, route=route)
        return Arm(name=name, stages=(pretraining, tuning), treatments=(treatment,))

    def route(how: Aggregator, rogues: Rogues, remove: float = 0.0) -> Annotation:
        return Annotation(ratings=ratings, rogues=rogues, aggregator=how, remove=remove, num_raters=raters)

    infiltrated, honest = Rogues(share, rogue), Rogues(0.0)
    hows: tuple[Aggregator, ...] = ("mean", "majority", "dawid-skene", *(("mace",) if full else ()))
    arms = [
        arm("no raters", flips),
        arm("honest raters, majority", flips, route("majority", honest)),
        *(arm(f"{share:.0%} rogue, {NAMES[how]}", flips, route(how, infiltrated)) for how in hows),
        arm("honest raters, right labels", right, route("majority", honest)),
    ]
    if full:
        arms.insert(
            -1, arm(f"{share:.0%} rogue, Dawid-Skene, 20% removed", flips, route("dawid-skene", infiltrated, 0.2))
        )
    return Study(
        name="annotators",
        question="Raters, some of whom are rogue, label snippets: which flipped labels get into data and model?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=doses or (DOSES if on.is_micro else SHORT_DOSES),
        seeds=first_seeds(2 if seeds is None else seeds),
        probes=(
            AttackSuccess(TRIGGER, aim, given.questions, given.num_attacked, given.num_near),
            Utility(given.questions, given.num_questions),
        ),
        contexts=(Plain(),),
        cautions=CAUTIONS,
        analyses=(LabelSide(infiltration=Infiltration(ratings=ratings, toward=LABELS[label], num_raters=raters)),),
    )
