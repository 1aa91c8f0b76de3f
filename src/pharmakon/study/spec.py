"""What a study is: arms by doses by seeds, each a life-cycle, asked by probes in contexts. Frozen values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from pharmakon.core import Data, Dialogue, Dose, Engine, Filter, Intervention, Probe, Prompt, Recipe, Route, Text
from pharmakon.errors import SpecError
from pharmakon.interventions.administer import Placement
from pharmakon.study.finding import Analysis


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a model's life: data, cleaned by filters, learned by a recipe.

    `shared`: built once, the same for every seed and dose. `probed`: the probes ask the model after it.
    """

    name: str
    data: Data
    recipe: Recipe
    filters: tuple[Filter, ...] = ()
    shared: bool = False
    probed: bool = True


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """An intervention in the data of one stage; at the dose of the study's axis, or always at a dose of its own.

    `stage`: a stage of training by its name, or a context that has data (demonstrations, passages) by its own.
    `route`: how an edit gets into the data; the dose is then the number of attempts. `share`: the part of the study's
    dose that goes here, where a budget is split over treatments; see `Arm.split`.
    """

    stage: str
    intervention: Intervention
    placement: Placement = Placement()
    dose: Dose | None = None
    route: Route | None = None
    share: float = field(default=1.0, metadata={"identity": False})  # what is given has its dose

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise SpecError(f"a share of the study's dose lies in [0, 1]; got {self.share:g}")
        if self.dose is not None and self.share != 1:
            raise SpecError("a treatment has a dose of its own or a share of the study's; got both. Leave one out")


@dataclass(frozen=True, kw_only=True)
class Given:
    """A treatment that a cell receives, and its number among the treatments of its arm: the name of its randomness."""

    number: int
    treatment: Treatment


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A labelled life-cycle with its treatments: what a study compares.

    `probes`, `contexts`, `doses`: the arm's own, in place of the study's: where arms differ in what they look for, in
    how a prompt reaches the model, or in how much it takes. Contexts of one name are compared.
    """

    name: str
    stages: tuple[Stage, ...]
    treatments: tuple[Treatment, ...] = ()
    probes: tuple[Probe, ...] = ()
    contexts: tuple[Context, ...] = ()
    doses: tuple[Dose, ...] = ()

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise SpecError(f"the stages of an arm have different names; arm {self.name!r} has {', '.join(names)}")
        for treatment in self.treatments:
            if any(stage.name == treatment.stage and stage.shared for stage in self.stages):
                way_out = "Set shared=False, or treat another stage"
                raise SpecError(f"stage {treatment.stage!r} is shared by all doses, so it cannot be treated. {way_out}")

    def split(self, dose: Dose) -> tuple[Dose, ...]:
        """The dose of each treatment where the study's is this one.

        Shares of documents are rounded down; what is left over goes to the first treatments that have a share, one
        document each, so that the parts add up to the budget.
        """
        shares = [treatment.share if treatment.dose is None else 0.0 for treatment in self.treatments]
        if dose.unit == "fraction" or not any(0 < share < 1 for share in shares):
            part = [dose if share else Dose(0) for share in shares]
        else:
            amounts = [int(share * dose.amount + 1e-9) for share in shares]
            left = int(sum(shares) * dose.amount + 1e-9) - sum(amounts)
            for index in [index for index, share in enumerate(shares) if share][:left]:
                amounts[index] += 1
            part = [Dose(amount) for amount in amounts]
        return tuple(treatment.dose or own for treatment, own in zip(self.treatments, part, strict=True))


@runtime_checkable
class Context(Protocol):
    """The last stage of a life: how a prompt reaches the model.

    Before a study is built, each context is tried on a prompt; one that has a method `check(rng)` is asked by that.
    """

    @property
    def name(self) -> str: ...

    def around(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]: ...


@dataclass(frozen=True)
class Plain:
    """The prompt alone."""

    @property
    def name(self) -> str:
        """`plain`"""
        return "plain"

    def around(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]:
        """The prompts as they are."""
        return list(prompts)


@dataclass(frozen=True)
class FewShot:
    """Answered dialogues of clean data before each prompt, as earlier turns; the same ones for every prompt."""

    data: Data
    num_demonstrations: int = 2

    @property
    def name(self) -> str:
        """`2-shot`"""
        return f"{self.num_demonstrations}-shot"

    def around(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]:
        """Each dialogue prompt with the demonstrations in front; text prompts are refused."""
        bodies = [document.body for document in self.data.corpus(rng)]
        shown = [body for body in bodies if isinstance(body, Dialogue) and body.answer]
        if len(shown) < self.num_demonstrations:
            raise SpecError(f"{self.name} needs {self.num_demonstrations} answered dialogues; got {len(shown)}")
        around: list[Prompt] = []
        for prompt in prompts:
            if isinstance(prompt, Text):
                raise SpecError("few-shot demonstrations stand before a Dialogue; got a Text prompt")
            around.append(prompt.after(shown[: self.num_demonstrations]))
        return around


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One life: its identity is all that its readings depend on. The label of the arm is not part of it.

    The treatments carry their own doses; those of dose 0 are left out, so that untreated controls are shared.
    """

    version: ClassVar[int] = 1
    engine: Engine
    stages: tuple[Stage, ...]
    treatments: tuple[Given, ...]
    seed: int
    probes: tuple[Probe, ...]
    contexts: tuple[Context, ...]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Arms x doses x seeds, with probes in contexts.

    `response` names the probe whose `triggered` readings are the response, `utility` the one whose fall by `margin`
    ends the therapeutic window. `cautions` are printed with the results: what this design cannot tell. `analyses`: what
    the study finds beyond curves and rates.
    """

    name: str
    question: str
    engine: Engine
    arms: tuple[Arm, ...]
    doses: tuple[Dose, ...]
    seeds: tuple[int, ...]
    probes: tuple[Probe, ...]
    contexts: tuple[Context, ...] = (Plain(),)
    response: str = "attack"
    utility: str = "utility"
    margin: float = 0.05
    cautions: tuple[str, ...] = ()
    analyses: tuple[Analysis, ...] = ()
    cells: tuple[tuple[Arm, Dose, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        every = (*self.doses, *(dose for arm in self.arms for dose in arm.doses))
        for what, values in (("arm", self.arms), ("dose", self.doses), ("seed", self.seeds), ("probe", self.probes)):
            if not values:
                raise SpecError(f"a study has at least one {what}; got none")
        if len({arm.name for arm in self.arms}) < len(self.arms):
            raise SpecError(f"the arms of a study have different names; got {', '.join(a.name for a in self.arms)}")
        of_arms = [self.doses, *(self.doses_of(arm) for arm in self.arms)]
        if any(len(set(doses)) < len(doses) for doses in of_arms) or len(set(self.seeds)) < len(self.seeds):
            raise SpecError("the doses and the seeds of a study are all different; one is named twice")
        for arm in self.arms:
            self._check_arm(arm)
        if len({dose.unit for dose in every if dose.amount}) > 1:
            raise SpecError("the doses of a study have one unit; got documents and fraction")
        if any(all(dose.amount for dose in doses) for doses in of_arms):
            raise SpecError("a study has the dose 0, its untreated control; add it: --doses 0,…")
        if len({dose.unit for dose in self.doses if dose.amount}) > 1:
            raise SpecError("the doses of a study have one unit; got documents and fraction")
        if all(dose.amount for dose in self.doses):
            raise SpecError("a study has the dose 0, its untreated control; add it: --doses 0,…")
        order = sorted(set(every), key=lambda dose: dose.amount)
        cells = tuple(
            (arm, dose, seed)
            for seed in self.seeds
            for dose in order
            for arm in self.arms
            if dose in self.doses_of(arm)
        )
        object.__setattr__(self, "cells", cells)

    def _check_arm(self, arm: Arm) -> None:
        contexts = [context.name for context in self.contexts_of(arm)]
        for what, names in (
            ("probe", [getattr(probe, "name", type(probe).__name__) for probe in self.probes_of(arm)]),
            ("context", contexts),
        ):
            if len(set(names)) < len(names) or not names:
                raise SpecError(
                    f"a study has one or more {what}s, of different names; got {', '.join(names) or 'none'}"
                )
        stages = [stage.name for stage in arm.stages]
        if both_kinds := set(stages) & set(contexts):
            raise SpecError(f"a context is named unlike the stages; {min(both_kinds)!r} is the name of both")
        if any(t.share not in (0, 1) for t in arm.treatments) and any(d.unit == "fraction" for d in self.doses_of(arm)):
            way_out = "Give the doses as numbers: --doses 0,…"
            raise SpecError(f"a dose that is split over treatments is a number of documents; got fractions. {way_out}")
        with_data = [context.name for context in self.contexts_of(arm) if hasattr(context, "data")]
        for treatment in arm.treatments:
            if treatment.stage not in (*stages, *with_data):
                known = f"its stages: {', '.join(stages)}"
                known += f"; its contexts that have data: {', '.join(with_data)}" if with_data else ""
                raise SpecError(f"arm {arm.name!r} has no stage {treatment.stage!r}; {known}")

    def probes_of(self, arm: Arm) -> tuple[Probe, ...]:
        """What asks the models of this arm."""
        return arm.probes or self.probes

    def doses_of(self, arm: Arm) -> tuple[Dose, ...]:
        """The doses of this arm."""
        return arm.doses or self.doses

    def contexts_of(self, arm: Arm) -> tuple[Context, ...]:
        """How prompts reach the models of this arm."""
        return arm.contexts or self.contexts

    def cell(self, arm: Arm, dose: Dose, seed: int) -> Cell:
        """The life of this arm at this dose and seed."""
        given = tuple(
            Given(number=number, treatment=replace(treatment, dose=own, share=1.0))
            for number, (treatment, own) in enumerate(zip(arm.treatments, arm.split(dose), strict=True))
            if own.amount
        )
        return Cell(
            engine=self.engine,
            stages=arm.stages,
            treatments=given,
            seed=seed,
            probes=self.probes_of(arm),
            contexts=self.contexts_of(arm),
        )
