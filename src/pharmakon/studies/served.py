"""A model as somebody serves it: no dose is given, its probes are asked."""

from __future__ import annotations

from collections.abc import Sequence

from pharmakon.core import Engine, Probe
from pharmakon.data.derived import Nothing
from pharmakon.engines.recipes import Served
from pharmakon.errors import SpecError
from pharmakon.study import Arm, Context, Plain, Stage, Study, first_seeds, in_documents


def as_served(
    engine: Engine,
    probes: Sequence[Probe],
    contexts: Sequence[Context] = (Plain(),),
    *,
    name: str,
    question: str,
    seeds: int = 1,
    logprobs: bool = False,
) -> Study:
    """A study of one arm that trains nothing: the probes of another study, asked of a model behind a server.

    Probes that need log-probabilities are left out, for most servers give none of a given text; `logprobs` keeps them.
    Another seed draws other questions of the same kind. What it cannot tell stands in the study's cautions.
    """
    kept = tuple(probe for probe in probes if logprobs or not getattr(probe, "needs_logprobs", False))
    if not kept:
        raise SpecError("every probe given needs log-probabilities; ask a server that gives them, with logprobs=True")
    names = [getattr(probe, "name", type(probe).__name__) for probe in kept]
    cautions = [
        "Nothing was trained and no dose was given: a rate here tells how this model answers, not what data made it so",
        "A server may answer the same prompt in another way at another time; the first answer to each was kept",
    ]
    if len(kept) < len(probes):
        left = [getattr(probe, "name", type(probe).__name__) for probe in probes if probe not in kept]
        cautions.append(f"Left out for want of log-probabilities: {', '.join(left)}. Keep with --logprobs")
    return Study(
        name=name,
        question=question,
        engine=engine,
        arms=(Arm(name="as served", stages=(Stage(name="served", data=Nothing(), recipe=Served(), shared=True),)),),
        doses=in_documents(0),
        seeds=first_seeds(seeds),
        probes=kept,
        contexts=tuple(contexts),
        response="attack" if "attack" in names else names[0],
        cautions=tuple(cautions),
    )
