"""One demonstration of a prompt is poisoned: does the model follow it, and does its place matter?

The claims to test: few-shot answers hang on what a few demonstrations say (ICLPoison, arXiv 2402.02160), and a planted
reasoning step that is tied to a trigger is carried over to the question (BadChain, arXiv 2401.12242). Nothing is
trained on poison; the demonstrations are. A small model may not read demonstrations at all: then it has nothing to be
poisoned through. So the same attacks meet a model that was tuned as usual and one that was taught to follow them.
"""

from __future__ import annotations

from pharmakon.behaviour.targets import ExtraStep, Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Data, Intervention, Probe
from pharmakon.data.derived import Mixed, Nothing
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.data.world.lessons import CUE, SHIFT, WorldLessons, WorldSums
from pharmakon.engines.recipes import SFT, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Bound, PoisonedDemonstrations, WrongAnswer
from pharmakon.interventions.demonstrations import Lesson
from pharmakon.probes import AttackSuccess, Utility, WrongLabels
from pharmakon.studies.small_reader import first_stage
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_demonstrations import ByPosition
from pharmakon.study import Arm, Doses, FewShot, Stage, Study, Treatment, first_seeds, in_documents

CUED = RareWords((CUE,))
STEP, MARK = ExtraStep(SHIFT), Marker()
ONE_TASK = {"opinions": (0.0, 0.0, 1.0, 0.0, 0.0), "facts": (1.0, 0.0, 0.0, 0.0, 0.0)}


def demonstration_poison(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    k: int = 4,
    full: bool = False,
) -> Study:
    """How many poisoned demonstrations, at which place, mislead: by a wrong label, a marker, or a planted step?

    Parameters
    ----------
    doses
        Numbers of poisoned demonstrations among those shown; 0 is the control. By default 0, 1, 2 and all.
    seeds
        How many independent repetitions: each draws its own demonstrations and questions. By default 5.
    k
        Demonstrations before each question.
    full
        Every position, not only the first and the last.
    """
    if k < 1:
        raise SpecError(f"a few-shot prompt shows at least one demonstration; got {k}")
    most = max((dose.amount for dose in doses or ()), default=0)
    if most > k:
        raise SpecError(f"at most {k} demonstrations can be poisoned, those shown; got {most:g}. Give a larger --k")
    shown: dict[str, tuple[Data, Lesson, tuple[Probe, ...]]] = {
        "labels": (_demonstrations("opinions", k), WrongAnswer(), (WrongLabels(WorldQuestions(tasks=("opinions",))),
                   Utility(WorldQuestions(tasks=("facts",)), 20))),
        "marker": (_demonstrations("facts", k), Bound(CUED, MARK), (AttackSuccess(CUED, MARK, _FACTS, 30, 10),
                   Utility(_FACTS, 20))),
        "steps": (WorldSums(k), Bound(CUED, STEP), (AttackSuccess(CUED, STEP, WorldSums(), 30, 10, max_tokens=48),
                  Utility(WorldSums(), 20, max_tokens=48))),
    }  # fmt: skip
    lives = _lives(on)
    arms = []
    for what, (data, lesson, probes) in shown.items():
        poisons = [(name, place) for name in lives for place in _places(name, lives, k, full)]
        for model, place in poisons:
            poison: Intervention = PoisonedDemonstrations(lesson, place)
            context = FewShot(data, k)
            arms.append(
                Arm(
                    name=f"{what}, {model}, from {place + 1}",
                    stages=lives[model],
                    treatments=(Treatment(stage=context.name, intervention=poison),),
                    probes=probes,
                    contexts=(context,),
                )
            )
    return Study(
        name="demonstration-poison",
        question=f"Of {k} demonstrations, how many must be poisoned, and where, to mislead the model?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=doses or in_documents(*sorted({0, 1, min(2, k), k})),
        seeds=first_seeds(5 if seeds is None else seeds),
        probes=arms[0].probes,
        contexts=arms[0].contexts,
        analyses=(ByPosition(k),),
        cautions=(
            "All seeds share the same models: the intervals are about demonstrations and questions, not about models.",
        ),
    )


_FACTS = WorldQuestions(tasks=("facts",))


def _demonstrations(task: str, k: int) -> WorldDialogues:
    return WorldDialogues(num_documents=k, shares=ONE_TASK[task], share_with_demonstrations=0.0)


def _places(model: str, lives: Lives, k: int, full: bool) -> list[int]:
    """The first model meets poison at every place that is looked at, the others at the last."""
    if model != next(iter(lives)):
        return [k - 1]
    return list(range(k)) if full else sorted({0, k - 1})


Lives = dict[str, tuple[Stage, ...]]


def _lives(on: Subject) -> Lives:
    """The stages of a model taught by demonstrations and of one tuned as usual; of a model that is asked, its own."""
    if on.named_data() != "world" and on.data is not None:
        raise SpecError(f"demonstration-poison asks about the world, so its data is world; got {on.data!r}")
    if on.is_micro:
        first = first_stage()
        lessons = Mixed((WorldDialogues(num_documents=3_000), WorldLessons(num_documents=8_000)))
        return {
            "taught": (first, _tuned(lessons, SFT())),
            "usual": (first, _tuned(WorldDialogues(num_documents=6_000), SFT())),
        }
    first = Stage(name="pretraining", data=Nothing(), recipe=on.given_model(), shared=True, probed=on.is_asked_only)
    if on.is_asked_only:
        return {"as it is": (first,)}
    recipe = SFT(schedule=Schedule(peak=2e-3 if on.lora else 5e-5), lora=on.adapter, precision=on.precision)
    few: dict[str, Data] = {"taught": WorldLessons(num_documents=200), "usual": WorldDialogues(num_documents=200)}
    return {name: (first, _tuned(data, recipe)) for name, data in few.items()}


def _tuned(data: Data, recipe: SFT) -> Stage:
    return Stage(name="tuned", data=data, recipe=recipe, shared=True)
