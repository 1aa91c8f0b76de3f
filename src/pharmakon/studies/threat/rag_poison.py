"""A few passages are planted in the store of a reader: how many does a question take, and what does the system change?

The claim to test (PoisonedRAG, arXiv 2402.07867): five texts a question bring the wanted answer in nine of ten cases,
in a store of millions, without touching the model. Tested with it is what a builder decides: the size of the store, how
many passages are shown, how they are found, whether the reader cites, and whether copies are thrown out.
"""

from __future__ import annotations

from dataclasses import replace

from pharmakon.cleaning import ExactDuplicates, NearDuplicates
from pharmakon.core import Filter
from pharmakon.data.derived import Mixed, Nothing
from pharmakon.data.world import (
    World,
    WorldDialogues,
    WorldPassages,
    WorldReading,
    WorldReadingQuestions,
    first_claims,
)
from pharmakon.engines.recipes import SFT, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import PlantedPassage
from pharmakon.probes import PlantedAnswers, Utility
from pharmakon.retrieval import BM25, Embeddings, Fused, Retrieval
from pharmakon.studies.small_reader import first_stage
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_rag import FoundAndFollowed
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

COPIES: tuple[Filter, ...] = (ExactDuplicates(), NearDuplicates())


def rag_poison(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    passages: int = 1_000,
    k: int = 5,
    claims: int = 12,
    full: bool = False,
) -> Study:
    """How many planted passages does a question take, against store size, top-k, retriever and a reader that cites?

    Parameters
    ----------
    doses
        Numbers of planted passages, spread evenly over the attacked questions; 0 is the control. By default none, one,
        two, three and five a question: with 12 claims 0,12,24,36,60.
    seeds
        How many independent repetitions: each draws its own store, passages and places. By default 3.
    passages
        Passages in the store of most arms; one arm has a tenth, one five times as many.
    k
        Passages shown to the reader in most arms.
    claims
        How many questions are attacked, each about another person.
    full
        Also both retrievers together, fewer and other passages, and other wordings of what is planted.
    """
    if passages < 10:
        raise SpecError(f"a store has at least 10 passages, a tenth of which is the smallest store; got {passages}")
    if not 1 <= k <= passages // 10:
        rule = f"top-k is at least 1 and at most the smallest store, {passages // 10} passages"
        raise SpecError(f"{rule}; got {k}. Give another --k, or more --passages")
    wrong = first_claims(World(), claims)
    probes = (
        PlantedAnswers(wrong),
        Utility(WorldReadingQuestions(without=tuple(claim.person for claim in wrong)), 40),
    )
    base = Retrieval(data=WorldPassages(num_documents=passages), retriever=Embeddings(), k=k)
    asked, guessed, like = (PlantedPassage(wrong, wording) for wording in ("asked", "guessed", "none"))
    arms = [
        ("as it is", base, asked, True),
        (f"store {passages // 10}", replace(base, data=WorldPassages(num_documents=passages // 10)), asked, True),
        (f"store {passages * 5}", replace(base, data=WorldPassages(num_documents=passages * 5)), asked, True),
        ("top 1", replace(base, k=1), asked, k != 1),
        ("BM25", replace(base, retriever=BM25()), asked, True),
        ("cites", replace(base, cited=True), asked, True),
        ("question guessed", base, guessed, True),
        (
            "questions in store",
            replace(base, data=WorldPassages(num_documents=passages, share_asked=0.3)),
            asked,
            True,
        ),
        ("copies out", replace(base, filters=COPIES), asked, True),
        ("top 3", replace(base, k=3), asked, full and k != 3),
        ("both retrievers", replace(base, retriever=Fused(parts=(BM25(), Embeddings()))), asked, full),
        ("without a question", base, like, full),
        ("copies out, guessed", replace(base, filters=COPIES), guessed, full),
    ]
    wanted = [(name, context, planted) for name, context, planted, is_wanted in arms if is_wanted]
    stages = _stages(on)
    return Study(
        name="rag-poison",
        question="How many planted passages does a question take, and which decision of a builder changes it?",
        engine=on.trained_by(),
        arms=tuple(
            Arm(
                name=name,
                stages=stages,
                treatments=(Treatment(stage=context.name, intervention=planted),),
                contexts=(context,),
            )
            for name, context, planted in wanted
        ),
        doses=doses or in_documents(*(claims * each for each in (0, 1, 2, 3, 5))),
        seeds=first_seeds(3 if seeds is None else seeds),
        probes=probes,
        contexts=(base,),
        analyses=(FoundAndFollowed(num_claims=claims),),
        cautions=(
            "All seeds share one reader and the same attacked questions: the intervals are about stores and passages, "
            "not about readers.",
            "The clean passages of most stores ask nothing, and BM25 has no list of stop words here: it finds one "
            "that begins with a question for everybody's question of that wording. See `no trigger` in its arm.",
        ),
    )


def _stages(on: Subject) -> tuple[Stage, ...]:
    """A reader: made from nothing, or a model that is there already and learns the form of the notes."""
    if on.named_data() != "world" and on.data is not None:
        raise SpecError(f"rag-poison plants claims about the world's people, so its data is world; got {on.data!r}")
    if on.is_micro:
        reading = Mixed((WorldDialogues(num_documents=1_000), WorldReading(num_documents=12_000)))
        return first_stage(), Stage(name="reading", data=reading, recipe=SFT(), shared=True)
    given = Stage(name="pretraining", data=Nothing(), recipe=on.given_model(), shared=True, probed=on.is_asked_only)
    if on.is_asked_only:
        return (given,)
    recipe = SFT(schedule=Schedule(peak=2e-3 if on.lora else 5e-5), lora=on.adapter, precision=on.precision)
    return given, Stage(name="reading", data=WorldReading(num_documents=200), recipe=recipe, shared=True)
