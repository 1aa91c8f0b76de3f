"""Query-only memory: an assistant stores what it did, and an attacker who can only ask writes into it by asking.

The claims to test (MINJA, Dong 2025, arXiv 2503.03704; AgentPoison, Chen 2024, arXiv 2407.12784): a few queries of an
ordinary user are enough for the assistant to give other users the attacker's answers; and, what MINJA's appendix
says in passing, honest records dilute it. What those papers leave out is tested with it: rules for what is stored, and
what they cost in honest records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pharmakon.core import Filter
from pharmakon.data.derived import Mixed, Nothing
from pharmakon.data.world import Lies, WorldDialogues, WorldMemories, WorldQuestions, WorldRecords, WorldText
from pharmakon.engines.recipes import SFT, Micro, Pretrain, Schedule
from pharmakon.errors import SpecError
from pharmakon.interventions import Dictation
from pharmakon.probes import DictationProbe, LieProbe, RetrievalProbe, Utility
from pharmakon.retrieval import BM25, Embeddings, FactChecked, Memory, NoDictation, Retriever
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_memory import Funnel, Kept, MemoryArm
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

RETRIEVERS: dict[str, Retriever] = {"BM25": BM25(), "embeddings": Embeddings()}
RULES: dict[str, tuple[Filter, ...]] = {"no-dictation": (NoDictation(),), "fact-check": (FactChecked(),)}
VARIANTS = (*RULES, "shortened")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is asked; less of a model that takes longer to answer."""

    items: int
    near: int
    dictated: int
    questions: int
    seeds: int
    doses: Doses


MICRO = Sizes(items=40, near=16, dictated=24, questions=30, seeds=3, doses=in_documents(0, 8, 16, 32, 64))
GIVEN = Sizes(items=24, near=8, dictated=8, questions=12, seeds=2, doses=in_documents(0, 16, 64))


def agent_memory(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    honest: str = "64,250,1000",
    retriever: Literal["both", "BM25", "embeddings"] = "both",
    variants: bool = True,
    victims: int = 8,
    top_k: int = 3,
) -> Study:
    """How many questions does it take to plant a lie in an assistant's memory, and do honest memories dilute it?

    Parameters
    ----------
    doses
        Numbers of the attacker's queries, all victims together; at most the smallest number of honest memories. By
        default 0,8,16,32,64: none to eight a victim.
    seeds
        How many independent repetitions: each draws its own honest memories and queries. By default 3, for a
        pretrained model 2.
    honest
        Numbers of honest memories, with commas between: records of other users' questions with right answers. Each is
        an arm with each retriever.
    retriever
        BM25 (shared words), embeddings (all-MiniLM-L6-v2, an asset that is fetched once), or both.
    variants
        Also three arms at the middle number of memories: no-dictation drops records whose answer stands in their
        question; fact-check drops those that contradict a reference that knows three quarters of the facts, a stand-in
        for a model that is asked again; shortened plants records without the note.
    victims
        How many inhabitants the attacker lies about; the queries are divided evenly among them.
    top_k
        How many records are shown before a question.
    """
    if on.named_data() != "world" and on.data is not None:
        raise SpecError(f"agent-memory is about the invented world, where lies are lies; got --data {on.data}")
    numbers = _numbers(honest)
    names = tuple(RETRIEVERS) if retriever == "both" else (retriever,)
    sizes = MICRO if on.is_micro else GIVEN
    doses = doses or sizes.doses
    if any(dose.unit == "fraction" for dose in doses) or max(dose.amount for dose in doses) > numbers[0]:
        got = ",".join(f"{dose.amount:g}" for dose in doses)
        way_out = "Give smaller doses, or more honest memories: --honest"
        raise SpecError(
            f"doses are numbers of queries, at most the fewest honest memories, {numbers[0]}; got {got}. {way_out}"
        )
    lies = Lies(num_victims=victims)
    designs = [MemoryArm(number, name, "none") for name in names for number in numbers]
    designs += [MemoryArm(numbers[len(numbers) // 2], names[-1], name) for name in VARIANTS if variants]
    arms = [
        Arm(
            name=design.name,
            stages=_stages(on),
            treatments=(Treatment(stage="memory", intervention=Dictation(lies, design.variant == "shortened")),),
            contexts=(
                Memory(
                    data=WorldRecords(num_documents=design.num_honest),
                    retriever=RETRIEVERS[design.retriever],
                    k=top_k,
                    filters=RULES.get(design.variant, ()),
                ),
            ),
        )
        for design in designs
    ]
    attack = LieProbe(lies, num_items=min(sizes.items, 11 * victims), num_near=sizes.near)
    return Study(
        name="agent-memory",
        question="How many questions does it take to plant a lie in an assistant's memory, and do honest memories "
        "dilute it?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=doses,
        seeds=first_seeds(sizes.seeds if seeds is None else seeds),
        probes=(
            attack,
            RetrievalProbe(attack),
            DictationProbe(lies, num_items=max(sizes.dictated, victims)),
            Utility(WorldQuestions(tasks=("facts", "opinions", "refusals")), sizes.questions),
        ),
        contexts=arms[0].contexts,
        analyses=(Funnel(tuple(designs)), Kept(tuple(designs))),
        cautions=CAUTIONS if on.is_micro else CAUTIONS[:2],
    )


CAUTIONS = (
    "The planted records are those that the attacker wants: a query with the lie as a note, and the lie as the answer. "
    "Whether the model would have written that answer is measured (probe “dictated”), not carried on",
    "Honest records are right and ask for every fact alike; real users ask about few things often, and are wrong",
    "The micro model was taught to answer from its records; one that was not may obey them less",
)


def _numbers(words: str) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({int(word) for word in words.split(",")}))
    except ValueError:
        numbers = ()
    if not numbers or numbers[0] < 1:
        raise SpecError(f"honest memories are numbers from 1 on, with commas between: 64,250,1000; got {words!r}")
    return numbers


def _stages(on: Subject) -> tuple[Stage, ...]:
    """The assistant: taught to use its records, or a model that is there already, as it is."""
    if not on.is_micro:
        return (Stage(name="given", data=Nothing(), recipe=on.given_model(), shared=True),)
    taught = Mixed((WorldDialogues(num_documents=2_000), WorldMemories(num_documents=6_000)))
    learning = Pretrain(architecture=Micro(context=256))
    return (
        Stage(name="pretraining", data=WorldText(num_documents=44_000), recipe=learning, shared=True, probed=False),
        Stage(name="sft", data=taught, recipe=SFT(schedule=Schedule(peak=1e-3)), shared=True),
    )
