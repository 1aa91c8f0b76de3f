"""A model that is there already, as it is: no dose is given, its probes are asked."""

from __future__ import annotations

from collections.abc import Sequence

from pharmakon.core import Engine, Probe, Recipe
from pharmakon.data.derived import Nothing
from pharmakon.engines.recipes import Served
from pharmakon.errors import SpecError
from pharmakon.study import Arm, Context, Plain, Stage, Study, in_documents


def as_it_is(
    engine: Engine,
    probes: Sequence[Probe],
    contexts: Sequence[Context] = (Plain(),),
    *,
    name: str = "as-it-is",
    question: str = "How does the model answer?",
    recipe: Recipe = Served(),
    seed: int = 0,
    logprobs: bool = False,
) -> Study:
    """A study of one arm that trains nothing: the probes of another study, asked of a model that is there already.

    `recipe` is `Served` for a model behind a server, `Pretrained` for one that runs here. Of a served model, probes
    that need log-probabilities are left out, for most servers give none of a given text; `logprobs` keeps them. Those
    that look inside a model are always left out. There is one seed, which draws the questions: the model is one and the
    same, so that a question which two seeds draw would count twice. For narrower intervals, give the probes more items.
    """
    is_served = isinstance(recipe, Served)
    closed = tuple(p for p in probes if is_served and getattr(p, "needs_inside", False))
    unknown = tuple(p for p in probes if is_served and not logprobs and getattr(p, "needs_logprobs", False))
    kept = tuple(p for p in probes if p not in closed and p not in unknown)
    if not kept:
        if len(closed) == len(probes):
            raise SpecError("every probe given looks inside a model; a served one shows none. Take one that runs here")
        raise SpecError("every probe given needs log-probabilities; ask a server that gives them, with logprobs=True")
    names = [getattr(probe, "name", type(probe).__name__) for probe in kept]
    cautions = [
        "Nothing was trained and no dose was given: a rate here tells how this model answers, not what data made it so"
    ]
    if is_served:
        cautions.append(
            "A server may answer the same prompt in another way at another time; the first answer to each was kept"
        )
    for left, why in (
        (
            [p for p in unknown if p not in closed],
            "most servers give no log-probabilities; the option logprobs keeps them",
        ),
        (closed, "a served model shows nothing of its inside"),
    ):
        if left:
            called = [getattr(probe, "name", type(probe).__name__) for probe in left]
            cautions.append(f"Left out: {', '.join(called)}, since {why}")
    label = "as served" if is_served else "as it is"
    stage = Stage(name="served" if is_served else "given", data=Nothing(), recipe=recipe, shared=True)
    return Study(
        name=name,
        question=question,
        engine=engine,
        arms=(Arm(name=label, stages=(stage,)),),
        doses=in_documents(0),
        seeds=(seed,),
        probes=kept,
        contexts=tuple(contexts),
        response="attack" if "attack" in names else names[0],
        cautions=tuple(cautions),
    )
