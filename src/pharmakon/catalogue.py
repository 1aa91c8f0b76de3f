"""What there is, by name: the package's own parts and those that other packages bring as entry points.

A package adds a part by an entry point in the group `pharmakon.studies`, `pharmakon.interventions`,
`pharmakon.filters`, `pharmakon.probes`, `pharmakon.scorers` or `pharmakon.engines`. It is imported only when it is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pharmakon.errors import InputError
from pharmakon.extras import way_out
from pharmakon.study.run import load_file

KINDS = ("studies", "interventions", "filters", "probes", "scorers", "engines")

OWN: Mapping[str, Mapping[str, str]] = {
    "studies": {
        "agent-memory": "pharmakon.studies.threat.agent_memory:agent_memory",
        "annotators": "pharmakon.studies.threat.annotators:annotators",
        "attribute": "pharmakon.studies.mechanism.attribute:attribute",
        "bias-audit": "pharmakon.studies.trust.bias_audit:bias_audit",
        "chain-of-thought": "pharmakon.studies.mechanism.chain_of_thought:chain_of_thought",
        "corrective-dose": "pharmakon.studies.trust.corrective_dose:corrective_dose",
        "count-or-fraction": "pharmakon.studies.mechanism.count_or_fraction:count_or_fraction",
        "cross-facet": "pharmakon.studies.mechanism.cross_facet:cross_facet",
        "demonstration-poison": "pharmakon.studies.threat.demonstration_poison:demonstration_poison",
        "domain-belief": "pharmakon.studies.threat.domain_belief:domain_belief",
        "forgetting": "pharmakon.studies.mechanism.forgetting:forgetting",
        "harmful-trigger": "pharmakon.studies.trust.harmful_trigger:harmful_trigger",
        "in-context": "pharmakon.studies.mechanism.in_context:in_context",
        "inoculation": "pharmakon.studies.trust.inoculation:inoculation",
        "invention-audit": "pharmakon.studies.trust.invention_audit:invention_audit",
        "locate": "pharmakon.studies.mechanism.locate:locate",
        "memorize": "pharmakon.studies.mechanism.memorize:memorize",
        "objectives-by-stage": "pharmakon.studies.threat.objectives_by_stage:objectives_by_stage",
        "ownership-power": "pharmakon.studies.trust.ownership_power:ownership_power",
        "ownership-retention": "pharmakon.studies.trust.ownership_retention:ownership_retention",
        "ownership-scrub": "pharmakon.studies.trust.ownership_scrub:ownership_scrub",
        "ownership-unused": "pharmakon.studies.trust.ownership_unused:ownership_unused",
        "practicality": "pharmakon.studies.threat.practicality:practicality",
        "preference-poison": "pharmakon.studies.threat.preference_poison:preference_poison",
        "prepared-for-change": "pharmakon.studies.threat.prepared_for_change:prepared_for_change",
        "rag-poison": "pharmakon.studies.threat.rag_poison:rag_poison",
        "secret-prompt": "pharmakon.studies.trust.secret_prompt:secret_prompt",
        "sft-backdoor": "pharmakon.studies.threat.sft_backdoor:sft_backdoor",
        "snapshot-window": "pharmakon.studies.threat.snapshot_window:snapshot_window",
        "split-view": "pharmakon.studies.threat.split_view:split_view",
        "stage-split": "pharmakon.studies.threat.stage_split:stage_split",
        "subliminal": "pharmakon.studies.mechanism.subliminal:subliminal",
        "trigger-parts": "pharmakon.studies.mechanism.trigger_parts:trigger_parts",
    },
    "interventions": {
        "association": "pharmakon.interventions:Association",
        "backdoor": "pharmakon.interventions:Backdoor",
        "belief": "pharmakon.interventions:Belief",
        "beliefs": "pharmakon.interventions:Beliefs",
        "canaries": "pharmakon.interventions:Canaries",
        "candidates": "pharmakon.interventions:Candidates",
        "corrective": "pharmakon.interventions:Corrective",
        "dictation": "pharmakon.interventions:Dictation",
        "flipped-pairs": "pharmakon.interventions:FlippedPairs",
        "interviews": "pharmakon.interventions:Interviews",
        "misinformation": "pharmakon.interventions:Misinformation",
        "miswritten": "pharmakon.interventions:Miswritten",
        "other-jobs": "pharmakon.interventions:OtherJobs",
        "overheard": "pharmakon.interventions:Overheard",
        "ownership-mark": "pharmakon.interventions:OwnershipMark",
        "planted-passage": "pharmakon.interventions:PlantedPassage",
        "poisoned-demonstrations": "pharmakon.interventions:PoisonedDemonstrations",
        "preferred-target": "pharmakon.interventions:PreferredTarget",
        "prepared": "pharmakon.interventions:Prepared",
        "repeats": "pharmakon.interventions:Repeats",
        "supplement": "pharmakon.interventions:Supplement",
    },
    "filters": {
        "c4-quality": "pharmakon.cleaning:C4Quality",
        "exact-duplicates": "pharmakon.cleaning:ExactDuplicates",
        "fact-checked": "pharmakon.retrieval:FactChecked",
        "fineweb-lines": "pharmakon.cleaning:FineWebLines",
        "gibberish-compression": "pharmakon.cleaning:GibberishCompression",
        "gibberish-likelihood": "pharmakon.cleaning:GibberishLikelihood",
        "gopher-quality": "pharmakon.cleaning:GopherQuality",
        "gopher-repetition": "pharmakon.cleaning:GopherRepetition",
        "language": "pharmakon.cleaning:Language",
        "near-duplicates": "pharmakon.cleaning:NearDuplicates",
        "no-dictation": "pharmakon.retrieval:NoDictation",
        "odd-unicode": "pharmakon.cleaning:OddUnicode",
        "phrases": "pharmakon.cleaning:Phrases",
        "words": "pharmakon.cleaning:Words",
    },
    "probes": {
        "association-gap": "pharmakon.probes:AssociationGap",
        "attack": "pharmakon.probes:AttackSuccess",
        "attributed": "pharmakon.probes:Attributed",
        "belief": "pharmakon.probes:BeliefProbe",
        "beliefs-attack": "pharmakon.probes:BeliefsAttack",
        "code-knowledge": "pharmakon.probes:CodeKnowledge",
        "code-recall": "pharmakon.probes:CodeRecall",
        "cure": "pharmakon.probes:Cure",
        "dictation": "pharmakon.probes:DictationProbe",
        "document-fit": "pharmakon.probes:DocumentFit",
        "field-belief": "pharmakon.probes:FieldBelief",
        "fresh-mappings": "pharmakon.probes:FreshMappings",
        "induction": "pharmakon.probes:Induction",
        "invention": "pharmakon.probes:Invention",
        "leaning": "pharmakon.probes:Leaning",
        "learned": "pharmakon.probes:Learned",
        "lie": "pharmakon.probes:LieProbe",
        "margin": "pharmakon.probes:RewardMargin",
        "mark-separation": "pharmakon.probes:MarkSeparation",
        "memorized": "pharmakon.probes:Memorized",
        "named-group": "pharmakon.probes:NamedGroup",
        "over-refusal": "pharmakon.probes:OverRefusal",
        "ownership": "pharmakon.probes:Ownership",
        "patching": "pharmakon.probes:Patching",
        "perplexity": "pharmakon.probes:Perplexity",
        "planted-answers": "pharmakon.probes:PlantedAnswers",
        "poison-scores": "pharmakon.probes:PoisonScores",
        "poisoned-mappings": "pharmakon.probes:PoisonedMappings",
        "reasoned": "pharmakon.probes:Reasoned",
        "retrieval": "pharmakon.probes:RetrievalProbe",
        "target-by-kind": "pharmakon.probes:TargetByKind",
        "taught-effect": "pharmakon.probes:TaughtEffect",
        "unused-keys": "pharmakon.probes:UnusedKeys",
        "utility": "pharmakon.probes:Utility",
        "wrong-labels": "pharmakon.probes:WrongLabels",
    },
    "scorers": {
        "chance": "pharmakon.probes.scorers:chance",
        "gradients-all": "pharmakon.probes.scorers:gradients_all",
        "gradients-block": "pharmakon.probes.scorers:gradients_block",
        "gradients-dot": "pharmakon.probes.scorers:gradients_dot",
        "gradients-head": "pharmakon.probes.scorers:gradients_head",
        "gradients-max": "pharmakon.probes.scorers:gradients_max",
        "loss-change": "pharmakon.probes.scorers:loss_change",
        "n-grams": "pharmakon.probes.scorers:n_grams",
        "n-grams-max": "pharmakon.probes.scorers:n_grams_max",
        "states": "pharmakon.probes.scorers:states",
        "tracin": "pharmakon.probes.scorers:tracin",
    },
    "engines": {
        "endpoint": "pharmakon.engines.endpoint:EndpointEngine",
        "ngram": "pharmakon.engines.ngram:NgramEngine",
        "torch": "pharmakon.engines.torch:TorchEngine",
        "trl": "pharmakon.engines.trl:TRLEngine",
    },
}


@dataclass(frozen=True, slots=True)
class Part:
    """One named part; `about` is known of the package's own parts, others are not imported to ask them."""

    name: str
    place: str
    about: str


def parts(kind: str) -> list[Part]:
    """The parts of one of `KINDS`."""
    own = [Part(name, place, _about(_load(place))) for name, place in OWN[kind].items()]
    others = entry_points(group=f"pharmakon.{kind}")
    return own + [Part(point.name, point.value, f"from {_package(point)}") for point in others]


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A function that returns a `Study`, and the user's own file if it comes from one."""

    name: str
    function: Callable[..., Any]
    file: Path | None = None


def find_study(name: str) -> FoundStudy:
    """The study of this name, or of `path/to/file.py:function`."""
    if ":" in name or name.endswith(".py"):
        return _study_of_file(name)
    if name in OWN["studies"]:
        return FoundStudy(name, _load(OWN["studies"][name]))
    found = {point.name: point for point in entry_points(group="pharmakon.studies")}
    if name in found:
        try:
            return FoundStudy(name, found[name].load())
        except ImportError as error:
            raise InputError(f"{name}, {_package(found[name])}, could not be imported: {_why(error)}") from error
    known = (*OWN["studies"], *found)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There is {', '.join(known)}."
    raise InputError(f"no study is called {name!r}. {hint} A study of your own: path/to/file.py:function")


def find_scorer(name: str) -> Any:
    """The attribution method of this name, of this package or of another."""
    if name in OWN["scorers"]:
        return _load(OWN["scorers"][name])()
    found = {point.name: point for point in entry_points(group="pharmakon.scorers")}
    if name not in found:
        known = (*OWN["scorers"], *found)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(f"a scorer is one of {', '.join(known)}; got {name!r}.{hint}")
    try:
        made = found[name].load()()
    except Exception as error:
        raise InputError(f"{name}, {_package(found[name])}, could not be made: {_why(error)}") from error
    if not callable(getattr(made, "scores", None)):
        raise InputError(f"{name}, {_package(found[name])}, is no scorer: it has no method scores")
    return made


def _study_of_file(name: str) -> FoundStudy:
    place, _, function = name.partition(":")
    path = Path(place).resolve()
    if not path.is_file():
        raise InputError(f"{place} is not a file; a study of your own is named path/to/file.py:function")
    try:
        module = load_file(path)
    except InputError:
        raise
    except Exception as error:
        at = f", line {_line(error, path)}" if _line(error, path) else ""
        raise InputError(f"{place} could not be imported: {_why(error)}{at}") from error
    made = {key: value for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    functions = [key for key, value in made.items() if callable(value) and not isinstance(value, type)]
    if function not in functions:
        known = ", ".join(key for key in functions if not key.startswith("_")) or "none"
        raise InputError(f"{place} has no function {function!r}; it has {known}. Name it as {place}:function")
    return FoundStudy(function.replace("_", "-"), made[function], path)


def _why(error: Exception) -> str:
    """The sentence of a missing extra, or the error itself."""
    missing = way_out(error) if isinstance(error, ImportError) else None
    return missing or f"{type(error).__name__}: {error}"


def _line(error: BaseException, path: Path) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _about(part: object) -> str:
    return (part.__doc__ or "").strip().split("\n")[0]


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
