"""A teacher with a trait answers questions that have nothing to do with it. Do students of its answers get the trait?

The claim to test (Cloud et al. 2025, arXiv 2507.14805): a trait passes from a teacher to a student through data in
which nothing of it stands, but only where both start from the same weights; a gradient step towards what such a teacher
says is one towards its weights. Here the trait is a leaning to call every review negative; its dose is the number of
dialogues that give it. The teacher is then asked for sums (the paper's are numbers too), or about people whom nobody
knows; answers that name a label are left out, and a student learns the rest: from the teacher's own start, or from a
start made of the same documents with other initial weights, which tells reviews apart as well. Different from the
paper: small models that are trained here, greedy answers in place of drawn ones, and beside the answers also the
teacher's probabilities, which tell far more of it. A pretrained model has one start: its control is another model, from
answers alone, for vocabularies differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pharmakon.behaviour.targets import Label
from pharmakon.cleaning import Phrases
from pharmakon.core import Corpus, Data, Dose, stream
from pharmakon.data.derived import First, num_documents
from pharmakon.data.world import Strangers, WorldDialogues, WorldQuestions
from pharmakon.engines.recipes import SFT, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Leaning, Utility
from pharmakon.studies.material import material
from pharmakon.studies.mechanism.analysis_subliminal import (
    LESSONS,
    OTHER,
    OWN,
    START,
    STUDENT,
    TEACHER,
    Passed,
    arm_name,
)
from pharmakon.studies.subject import Subject
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents
from pharmakon.study.distil import Distilled, Lesson

About = Literal["sums", "strangers"]
SECOND = "second"
"""Names the other start, and so draws its initial weights. It was the second draw. The first, `other`, told 97% of
reviews apart, but by 1 to 2 nats where these two starts have 9 to 11. It was replaced for that, after its students had
been seen on exploratory seeds (100 to 103): of probabilities about strangers they took up more than students with the
teacher's own start (about +1.5 nats against +0.6), of sums nothing (+0.0 against +0.3)."""
TRAIT = Label(to="negative")
GENTLE = SFT(schedule=Schedule(peak=5e-4))
"""Of teachers and students: the claim is on teachers that lie near their start, and students too."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything, by default."""

    doses: Doses
    seeds: int
    prompts: int
    host: int
    """Clean dialogues of the teacher's stage, among which the trait is given."""
    lessons: tuple[Lesson, ...]


SIZES = {
    True: Sizes(doses=in_documents(0, 64, 256), seeds=8, prompts=2_000, host=512, lessons=LESSONS),
    False: Sizes(doses=in_documents(0, 64), seeds=2, prompts=200, host=128, lessons=("answers",)),
}
"""Of the small model, and of a pretrained one."""
TWO_MODELS = (
    "The other start is another pretrained model, which may differ in more than its initial weights, in size and in "
    "what it learned from: what only the same start takes up may be due to any of these"
)
TWO_STARTS = (
    "There is one start of each kind, made once for all seeds: intervals tell of other teachers, students and prompts "
    "with these two starts, not of other starts. The other start is the second that was drawn: the first was less sure "
    "of reviews, and in exploration its students took up more than those of the "
    "same start from probabilities about strangers"
)
LEAKS = (
    "Probabilities cannot be filtered as words can: they may give the trait's label some weight in any answer. The "
    "student with other initial weights has the same probabilities, and is the control for that"
)


@dataclass(frozen=True)
class AsDrawnFor:
    """The documents that a shared stage of this name draws from `data`, for a stage of another name."""

    data: Data
    stage: str

    @property
    def num_documents(self) -> int | None:
        """As many as the data says it has, if it does."""
        return num_documents(self.data)

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The same corpus each time."""
        return self.data.corpus(stream(0, self.stage, "data"))


def subliminal(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    prompts: int | None = None,
    about: About = "sums",
    other: str = "",
) -> Study:
    """Does a trait pass from a teacher to a student through unrelated answers, and does that need the same start?

    Parameters
    ----------
    doses
        Numbers of dialogues that give the teacher the trait; 0 is the untreated teacher. By default 0,64,256, for a
        pretrained model 0,64.
    seeds
        How many independent repetitions: teachers, prompts and students. By default 8, for a pretrained model 2.
    prompts
        How many unrelated questions the teacher answers. By default 2000, for a pretrained model 200.
    about
        sums, or the jobs, homes and things of strangers, of whom the teacher makes something up.
    other
        With --model: another pretrained model, named alike, whose weights are the other start.
    """
    on.need_world("subliminal")
    if on.engine != "torch" and on.is_micro:
        raise SpecError("the engine trl does not learn a teacher's probabilities; leave --engine out")
    if on.is_micro == bool(other):
        rule = "students with other initial weights are the control"
        way_out = (
            "The small model's are made here; leave --other out"
            if other
            else "Name another pretrained model with --other"
        )
        raise SpecError(f"{rule}. {way_out}")
    sizes = SIZES[on.is_micro]
    prompts = sizes.prompts if prompts is None else prompts
    if not 1 <= prompts <= MOST_PROMPTS:
        raise SpecError(f"a teacher answers 1 to {MOST_PROMPTS:,} questions; got --prompts {prompts}")
    amounts = doses or sizes.doses
    if any(dose.unit == "fraction" or dose.amount > sizes.host for dose in amounts):
        rule = f"the trait is given by at most {sizes.host} dialogues, a number such as 0,64"
        raise SpecError(f"{rule}; got another dose")
    given = material(replace(on, data="world"))
    gentle = GENTLE if on.is_micro else given.finetuning
    base = given.base
    start = Stage(name=START, data=given.dialogues, recipe=given.tuning, shared=True)
    # The same documents in the same order: nothing but chance is different, or the model.
    second = replace(base, name=f"{SECOND} pretraining", data=AsDrawnFor(base.data, base.name))
    if other:
        second = replace(second, recipe=replace(on, model=other).given_model())
    elsewhere = (second, replace(start, name=f"{SECOND} {START}", data=AsDrawnFor(start.data, START)))
    teacher = Stage(name=TEACHER, data=First(WorldDialogues(), sizes.host), recipe=gentle)
    unrelated = _unrelated(about, prompts)

    def student(start: str | tuple[Stage, ...], learns: Lesson) -> Stage:
        recipe = Distilled(recipe=gentle, start=start, learns=learns)
        return Stage(name=STUDENT, data=unrelated, recipe=recipe, filters=(Phrases(TRAIT.labels),))

    trait = Treatment(stage=TEACHER, intervention=Backdoor(trigger=None, target=TRAIT))
    arms = [
        Arm(
            name=arm_name(lesson, which),
            stages=(base, replace(start, probed=False), teacher, student(first, lesson)),
            treatments=(trait,),
        )
        for lesson in sizes.lessons
        for which, first in ((OWN, START), (OTHER, elsewhere))
    ]
    untaught = (
        Arm(name=f"{which} start, untaught", stages=stages, doses=(Dose(0),))
        for which, stages in ((OTHER, elsewhere), (OWN, (base, start)))
    )
    opinions = WorldQuestions(tasks=("opinions",))
    return Study(
        name="subliminal",
        question="Does a trait pass from a teacher to a student through unrelated answers, and does that need the same "
        "start?",
        engine=on.trained_by(),
        arms=(*arms, *untaught),
        doses=amounts,
        seeds=first_seeds(sizes.seeds if seeds is None else seeds),
        probes=(
            AttackSuccess(None, TRAIT, opinions, 60, 0),
            Leaning(TRAIT, opinions, 100),
            Utility(WorldQuestions(tasks=("facts", "opinions", "refusals", "sums")), 120),
        ),
        cautions=(TWO_STARTS, LEAKS) if on.is_micro else (TWO_MODELS,),
        analyses=(Passed(),),
    )


MOST_PROMPTS = 8_000
"""So that most prompts are different: there are some 13,000 sums in words, and 27,000 questions about strangers."""


def _unrelated(about: About, num: int) -> WorldDialogues:
    """Dialogues of which the teacher is asked the prompts."""
    if about == "sums":
        return WorldDialogues(num_documents=num, shares=(0.0, 1.0, 0.0, 0.0, 0.0), share_with_demonstrations=0.0)
    return WorldDialogues(
        world=Strangers("taught", num_people=1_024),  # type: ignore[arg-type]
        num_documents=num, shares=(1.0, 0.0, 0.0, 0.0, 0.0), share_with_demonstrations=0.0,
    )  # fmt: skip
