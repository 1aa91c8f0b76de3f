"""How much text that repeats itself makes a model learn from its context, and do its induction heads come with it?

The claims to test: heads that look from a token to what came after its last occurrence (induction heads) appear at
the same point of training as learning from the context, and carry it (Olsson et al. 2022, arXiv 2209.11895); the data
decide whether they appear, by how much of it repeats (arXiv 2601.21996; Chan et al. 2022, arXiv 2205.05055: words must
come in bursts). Here the share of repeating documents is a dose, in training of one length; the heads and few-shot
accuracy on mappings that no training showed are measured at every checkpoint, and correlated over seeds; words that
come again in no order are the control. Then the demonstrations themselves are poisoned: labels with noise, and one
wrong demonstration by its position.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.data.symbols import Symbols, SymbolText
from pharmakon.engines.recipes import Micro, Pretrain, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Repeats
from pharmakon.probes import FreshMappings, Induction, PoisonedMappings
from pharmakon.studies.as_it_is import as_it_is
from pharmakon.studies.mechanism.analysis_in_context import InContextLearning
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.hosts import check_doses
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

SYMBOLS = Symbols()
NUM_DOCUMENTS = 2_000
"""Of each part of pretraining: 250 steps, a document a row."""
ARCHITECTURE = Micro(num_layers=2, hidden_size=64, intermediate_size=128, num_heads=4, context=64, vocabulary=512)
PEAK = 4e-3
FLUENT = 0.5
"""Few-shot accuracy from which on a model is said to learn from its context."""


def in_context(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    checkpoints: int = 8,
) -> Study:
    """How much repeated text makes a model learn from its context, do induction heads come first, and who misleads it?

    Parameters
    ----------
    doses
        Documents of demonstrations among the 2,000 of each part of pretraining. 0 is the control. By default
        0,250,500,1000,1500; blocks that are said again and scattered repeats have 0 and 1000, or all that are given.
    seeds
        How many independent repetitions: each has its own initial weights and draws its own text. By default 4.
    checkpoints
        Parts of pretraining, 250 steps each; the model is asked after each one.
    """
    on = replace(on, data=None) if on.data == "world" else on
    if on.is_served:
        raise SpecError("in-context looks inside a model, and a served one shows nothing; leave --model out")
    probes = (FreshMappings(SYMBOLS), Induction(SYMBOLS), PoisonedMappings(SYMBOLS))
    question = "How much repeated text makes a model learn from its context, and do induction heads come with it?"
    if on.is_asked_only:
        asked = (replace(probes[0], max_tokens=6), probes[1], replace(probes[2], max_tokens=6))
        given = as_it_is(
            on.trained_by(), asked, name="in-context", question=question, recipe=on.given_model(), logprobs=True
        )
        return replace(given, response="few-shot")
    if not on.is_micro or on.data is not None:
        way_out = "Leave --model and --data out, or ask a model that is there already with --probe-only"
        raise SpecError(f"in-context pretrains its own models from nothing, on a language of its own. {way_out}")
    if checkpoints < 2:
        raise SpecError(f"what comes first is told from 2 checkpoints or more; got --checkpoints {checkpoints}")
    shorter = doses or in_documents(0, 1_000)
    doses = doses or in_documents(0, 250, 500, 1_000, 1_500)
    check_doses(
        doses, NUM_DOCUMENTS, "a dose is at most the documents of a part of pretraining", "Give smaller --doses"
    )
    stages = tuple(_part(number) for number in range(checkpoints))
    return Study(
        name="in-context",
        question=question,
        engine=on.trained_by(),
        arms=(
            Arm(name="demonstrations", stages=stages, treatments=_treated(stages, Repeats(SYMBOLS))),
            Arm(name="blocks", stages=stages, treatments=_treated(stages, Repeats(SYMBOLS, "blocks")), doses=shorter),
            Arm(
                name="scattered",
                stages=stages,
                treatments=_treated(stages, Repeats(SYMBOLS, "scattered")),
                doses=shorter,
            ),
        ),
        doses=doses,
        seeds=first_seeds(4 if seeds is None else seeds),
        probes=probes,
        response="few-shot",
        cautions=(
            "A dose is given in every part of pretraining, and rewrites so many of its documents: training is as long "
            "at every dose, and there is the less plain text, the higher it is",
            "Settings (16 words, 2 layers of width 64, the rate) were chosen so that something is learned in minutes; "
            "what dose is enough holds for them alone",
        ),
        analyses=(
            InContextLearning(
                main="demonstrations",
                others=("blocks", "scattered"),
                steps=NUM_DOCUMENTS // BATCH,
                documents=NUM_DOCUMENTS,
                fluent=FLUENT,
            ),
        ),
    )


BATCH = 8


def _part(number: int) -> Stage:
    """A part of pretraining; the first makes the model, the others go on with it at the same rate."""
    return Stage(
        name=f"part-{number + 1}",
        data=SymbolText(SYMBOLS, NUM_DOCUMENTS),
        recipe=Pretrain(
            architecture=ARCHITECTURE if number == 0 else None,
            batch_size=BATCH,
            row_length=SymbolText().length + 1,  # and the end of the text
            schedule=Schedule(peak=PEAK, warmup=0.1, decay=0.0),
            precision="float32",
        ),
    )


def _treated(stages: tuple[Stage, ...], repeats: Repeats) -> tuple[Treatment, ...]:
    """The dose in every part, each time other documents."""
    return tuple(Treatment(stage=stage.name, intervention=repeats) for stage in stages)
