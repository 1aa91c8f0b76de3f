"""All routes to the data, side by side: what half of an effect costs at release, and what each defence adds to it.

The question of He et al. (arXiv 2502.14182): which poisoning is practical once access, cleaning and later stages are
counted? The parts are studies of their own. Their arms are taken as they are, so that what they built is used again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from cyclopts import Parameter

from pharmakon.collection.lapse import Market
from pharmakon.collection.revisions import Defence, Site
from pharmakon.collection.snapshot import SnapshotWindow
from pharmakon.collection.split_view import SplitView
from pharmakon.core import Filter, Insert, Text
from pharmakon.errors import InputError, SpecError
from pharmakon.probes import BeliefsAttack, FieldBelief
from pharmakon.retrieval import FactChecked, Memory, NoDictation
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.agent_memory import agent_memory
from pharmakon.studies.threat.annotators import annotators
from pharmakon.studies.threat.domain_belief import domain_belief
from pharmakon.studies.threat.preference_poison import preference_poison
from pharmakon.studies.threat.rag_poison import rag_poison
from pharmakon.studies.threat.sft_backdoor import sft_backdoor
from pharmakon.studies.threat.verdict import Access, Price, Verdict
from pharmakon.study import Arm, Stage, Study, first_seeds, in_documents

ATTEMPTS: Final = tuple(Insert(Text(f"attempt {number}")) for number in range(100))
"""By these the share is measured that a route lets in; of a crowd-edited site the fate of many is shared."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Prices:
    """What an attempt costs, in US dollars. Most defaults are assumptions: give what you know.

    Parameters
    ----------
    price_per_edit
        An edit of a crowd-edited site, its share of an aged account included; an assumption.
    price_per_domain
        A lapsed domain, for a year; the price of registering one (Carlini 2023, arXiv 2302.10149, reckons with about
        ten).
    records_per_domain
        Addresses of the list on the domain that is bought: the mean of the list that split-view simulates is 408.
    price_per_rating
        A rating by a rogue annotator, who is also paid for it; a usual price of crowd work; an assumption.
    ratings_per_label
        Ratings that one label takes of the rogue annotators together: 0.4 of some 20 raters.
    price_per_dialogue
        A dialogue contributed to instruction data; an assumption.
    price_per_pair
        A comparison given as feedback; an assumption.
    price_per_passage
        A passage put where the store's crawler finds it; an assumption.
    price_per_query
        A query to an assistant by an ordinary user; an assumption.
    """

    price_per_edit: float = 0.5
    price_per_domain: float = 12.0
    records_per_domain: float = 400.0
    price_per_rating: float = 0.05
    ratings_per_label: float = 8.0
    price_per_dialogue: float = 1.0
    price_per_pair: float = 0.2
    price_per_passage: float = 0.5
    price_per_query: float = 0.01

    def read(self, file: Path | None) -> Prices:
        """The prices of a JSON file, all of them; these where there is no file."""
        if file is None:
            return self
        if self != Prices():
            raise InputError("prices are in a file or in options; got both. Leave --prices out, or the single prices")
        try:
            given: Any = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is a JSON file of prices; {getattr(error, 'strerror', None) or error}") from None
        names = [item.name for item in fields(self)]
        if not isinstance(given, dict) or (missing := [name for name in names if name not in given]):
            lacking = ", ".join(missing) if isinstance(given, dict) else "all of them"
            raise InputError(f"{file} names every price: {', '.join(names)}; it lacks {lacking}")
        if strange := sorted(set(given) - set(names)):
            raise InputError(f"{file} has {strange[0]!r}, which is no price; prices are {', '.join(names)}")
        for name in names:
            if not isinstance(given[name], int | float) or isinstance(given[name], bool):
                raise InputError(f"{file}: {name} is a number; got {given[name]!r}")
        return Prices(**{name: float(given[name]) for name in names})


def practicality(
    seeds: int = 3,
    *,
    on: Subject = Subject(),
    price: Prices = Prices(),
    prices: Path | None = None,
    delay_hours: float = 24.0,
    annotated: bool = True,
) -> Study:
    """Which route to the data is cheapest until half of its effect is in the released model? What do defences add?

    Parameters
    ----------
    seeds
        How many independent repetitions.
    prices
        A JSON file with every price, in place of the single options.
    delay_hours
        The delayed snapshot takes revisions that are at least so old.
    annotated
        Also the route of infiltrated annotators, whose data (vader-movies) are fetched once.
    """
    if on.is_asked_only:
        raise SpecError("routes end in data that a model learns from; one that is asked and not trained has none")
    if not delay_hours > 0:
        raise SpecError(f"a delayed snapshot waits for more than 0 hours; got --delay-hours {delay_hours:g}")
    if on.data not in (None, "world"):
        raise SpecError(f"practicality is about the generated world (and vader-movies); got --data {on.data}")
    paid = price.read(prices)
    world = replace(on, data="world")
    arms = _arms(world)
    routes = [*_web(paid, delay_hours), *_contributed(paid), *_shown(paid)]
    if annotated:
        arms += _annotated(on)
        routes += _raters(paid)
    return Study(
        name="practicality",
        question="Which route to the data is cheapest until half of its effect is in the released model?",
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=arms[0].doses,
        seeds=first_seeds(seeds),
        probes=arms[0].probes,
        contexts=arms[0].contexts,
        cautions=CAUTIONS,
        analyses=(Verdict(tuple(routes)),),
    )


CAUTIONS = (
    "Documents are counted, not shares: whether a larger corpus needs more of them is another question. What is "
    "cheapest here is cheapest at this size",
    "The effects differ: false facts, a marker behind a trigger, a refusal un-learned, a wrong label, a false claim. A "
    "cost is that of half of its own effect",
    "The memory is a young one, of 64 honest records: of 250 or more, the queries that fit do not reach half of the "
    "effect (see agent-memory)",
    "What the store shows and the memory holds is read by a model that was taught to read it, and no later stage "
    "follows",
)


def _arms(on: Subject) -> list[Arm]:
    """Each entry of the data and its defence, as an arm of the study that is about it."""
    web, talk, pairs = domain_belief(on=on), sft_backdoor(on=on), preference_poison(on=on)
    store, memory = rag_poison(on=on), agent_memory(on=on)
    text, young = _arm(web, "rare fact", "web text"), _arm(memory, "64 honest, BM25", "memory")
    probes = tuple(BeliefsAttack((probe,)) if isinstance(probe, FieldBelief) else probe for probe in text.probes)
    return [
        _released(replace(text, probes=probes, doses=in_documents(0, 46, 137, 460, 1_400)), on),
        _arm(talk, "no cleaning, varied", "dialogues"),
        _arm(talk, "cleaned, varied", "dialogues, cleaned"),
        _arm(pairs, "un-learned refusal behind a trigger, DPO", "pairs"),
        _arm(store, "as it is", "passages"),
        _arm(store, "copies out", "passages, copies out"),
        young,
        _ruled(young, "no dictation", NoDictation()),
        _ruled(young, "fact-checked", FactChecked()),
    ]


def _annotated(on: Subject) -> list[Arm]:
    """Labels of rogue raters, under two aggregations, with the later stages that a released model has."""
    labels = annotators(on=replace(on, data=None))
    mean, guarded = "40% rogue, mean", "40% rogue, Dawid-Skene"
    arms = [_arm(labels, mean, "labels"), _arm(labels, guarded, "labels, Dawid-Skene")]
    return [_released(arm, replace(on, data="vader-movies")) for arm in arms]


def _arm(study: Study, name: str, label: str) -> Arm:
    """An arm of another study with all that is that study's: the same lives under another name."""
    arm = next(arm for arm in study.arms if arm.name == name)
    probes, contexts, doses = study.probes_of(arm), study.contexts_of(arm), study.doses_of(arm)
    return replace(arm, name=label, probes=probes, contexts=contexts, doses=doses)


def _ruled(arm: Arm, name: str, rule: Filter) -> Arm:
    """The arm with a rule for what its memory keeps."""
    contexts = tuple(replace(it, filters=(rule,)) if isinstance(it, Memory) else it for it in arm.contexts)
    return replace(arm, name=f"{arm.name}, {name}", contexts=contexts)


def _released(arm: Arm, on: Subject) -> Arm:
    """The arm with the clean stages behind it that come before a release."""
    given = material(on)
    later = (
        Stage(name="dpo", data=given.preferences, recipe=given.aligning),
        Stage(name="finetune", data=given.downstream, recipe=given.finetuning),
    )
    return replace(arm, stages=(*arm.stages, *later))


def _web(paid: Prices, delay_hours: float) -> list[Access]:
    site = Site()
    wiki = Access(
        name="crowd-edited site", data="pages, by editing them", model="none", stage="pretraining", arm="web text",
        price=Price(amount=paid.price_per_edit, unit="edit"), route=SnapshotWindow(site=site), attempts=ATTEMPTS,
        replications=100,
    )  # fmt: skip
    lapsed = Access(
        name="lapsed domains", data="addresses of a list", model="none", stage="pretraining", arm="web text",
        price=Price(amount=paid.price_per_domain, unit="domain", attempts=paid.records_per_domain),
    )  # fmt: skip
    checked = SplitView(market=Market(lapsed=1.0), integrity=True)
    return [
        wiki,
        replace(
            wiki,
            route=SnapshotWindow(site=replace(site, defence=Defence(delay=60 * delay_hours))),
            defence=f"{delay_hours:g} h old revisions",
        ),
        replace(
            wiki, route=SnapshotWindow(site=replace(site, defence=Defence(random_hours=24.0))), defence="secret order"
        ),
        lapsed,
        replace(lapsed, route=checked, attempts=ATTEMPTS, defence="manifest"),
    ]


def _contributed(paid: Prices) -> list[Access]:
    talk = Access(
        name="contributed dialogues", data="instruction data", model="none", stage="sft", arm="dialogues",
        price=Price(amount=paid.price_per_dialogue, unit="dialogue"),
    )  # fmt: skip
    feedback = Access(
        name="feedback", data="preference pairs", model="queries", stage="preference", arm="pairs",
        price=Price(amount=paid.price_per_pair, unit="pair"),
    )  # fmt: skip
    return [talk, replace(talk, arm="dialogues, cleaned", defence="cleaning"), feedback]


def _shown(paid: Prices) -> list[Access]:
    store = Access(
        name="retrieval store", data="passages of the store", model="none", stage="inference", arm="passages",
        price=Price(amount=paid.price_per_passage, unit="passage"),
    )  # fmt: skip
    memory = Access(
        name="assistant's memory", data="records, by asking", model="queries", stage="inference", arm="memory",
        price=Price(amount=paid.price_per_query, unit="query"),
    )  # fmt: skip
    return [
        store,
        replace(store, arm="passages, copies out", defence="copies out"),
        memory,
        replace(memory, arm="memory, no dictation", defence="no dictation"),
        replace(memory, arm="memory, fact-checked", defence="fact check"),
    ]


def _raters(paid: Prices) -> list[Access]:
    rogue = Access(
        name="annotators", data="ratings of 40% of the raters", model="none", stage="sft", arm="labels",
        price=Price(amount=paid.price_per_rating * paid.ratings_per_label, unit="label"),
    )  # fmt: skip
    return [rogue, replace(rogue, arm="labels, Dawid-Skene", defence="Dawid-Skene")]
