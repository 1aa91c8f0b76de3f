"""Conformance checks for your own interventions, filters, engines, probes and scorers: call them in your tests.

    def test_my_filter_follows_the_rules():
        check_filter(MyFilter())

Each raises an `AssertionError` whose sentence names the rule that is broken.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from pharmakon.core import (
    Body,
    Corpus,
    Data,
    Dialogue,
    Document,
    Dose,
    Edit,
    Engine,
    Entry,
    Filter,
    Insert,
    Intervention,
    Ledger,
    Model,
    Objective,
    Preference,
    Probe,
    Prompt,
    Reading,
    Recipe,
    Rewrite,
    Text,
    Trace,
    stream,
)
from pharmakon.data.world import WorldDialogues, WorldPreferences, WorldQuestions, WorldText
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import PharmakonError, SpecError
from pharmakon.identity import identify
from pharmakon.interventions.administer import administer
from pharmakon.probes.scorers import Scorer


def check_intervention(intervention: Intervention, host: Corpus | None = None) -> None:
    """An intervention is an identified, seeded, endless stream of edits that fit the host and leave it alone.

    It may end early, which `administer` answers with a SpecError. It may refuse a host with a SpecError of its own,
    which is raised here as it is. `host`: 60 dialogues if none is given.
    """
    assert isinstance(intervention, Intervention), f"an intervention has a method `edits`; {intervention!r} has none"
    _check_identity(intervention)
    host = host or WorldDialogues(num_documents=60).corpus(stream(0, "host"))
    before = host.documents
    with _untouched_randomness(intervention):
        edits = _edits(intervention, host, len(host))
        again = _edits(intervention, host, len(host))
    assert host.documents == before, f"an intervention leaves its host as it is; {intervention!r} changed it"
    assert edits, f"an intervention has at least one edit, or refuses the host with a SpecError; {intervention!r} has 0"
    assert edits == again, f"the same rng gives the same edits; {intervention!r} gave others the second time"
    kinds = {type(document.body) for document in host}
    for edit in edits:
        assert isinstance(edit, Insert | Rewrite), f"an edit is an Insert or a Rewrite; got {edit!r}"
        kind, known = type(edit.body).__name__, " or ".join(sorted(kind.__name__ for kind in kinds))
        assert type(edit.body) in kinds, f"an edit carries a body of the host's kind, {known}; got a {kind}"
    rewritten = Counter(edit.id for edit in edits if isinstance(edit, Rewrite))
    ids = {document.id for document in host}
    for id, times in rewritten.items():
        assert id in ids, f"a Rewrite names a document of the host; {id!r} is not there"
        assert times == 1, f"a document is rewritten once at most; {id!r} was rewritten {times} times"
    some = max(1, len(edits) // 3)
    prefix = _edits(intervention, host, some)
    assert prefix == edits[:some], f"a smaller dose is a prefix of a larger one; {intervention!r} has another start"
    small, large = (_treated(intervention, host, Dose(number)) for number in (some, len(edits)))
    assert [entry.body for entry in small] == [entry.body for entry in large[:some]], (
        f"doses nest: the larger one holds the edits of the smaller; those of {intervention!r} do not"
    )


def check_filter(filter: Filter, corpus: Corpus | None = None) -> None:
    """A filter is identified and gives, from the bodies alone, one reason or None for each document.

    `corpus`: texts, dialogues and preferences of the world, repetitions and odd ones, if none is given.
    """
    assert isinstance(filter, Filter), f"a filter has a method `verdicts`; {filter!r} has none"
    _check_identity(filter)
    corpus = corpus or _mixed()
    before = corpus.documents
    with _untouched_randomness(filter):
        verdicts = list(filter.verdicts(corpus))
        again = list(filter.verdicts(corpus))
    assert corpus.documents == before, f"a filter leaves its corpus as it is; {filter!r} changed it"
    assert len(verdicts) == len(corpus), (
        f"a filter gives one verdict for each document; {filter!r} gave {len(verdicts)} for {len(corpus)}"
    )
    for verdict in verdicts:
        is_reason = isinstance(verdict, str) and verdict.strip()
        assert verdict is None or is_reason, f"a verdict is a reason (a word or more) or None; got {verdict!r}"
    assert verdicts == again, f"a filter gives the same verdicts each time; {filter!r} gave others the second time"
    renamed = Corpus(tuple(_rename(document.body, number) for number, document in enumerate(corpus)))
    assert list(filter.verdicts(renamed)) == verdicts, (
        f"a filter is blind to ids and sources; {filter!r} gave other verdicts when they were other ones"
    )
    assert list(filter.verdicts(Corpus(()))) == [], f"a filter gives no verdict for an empty corpus; {filter!r} did"


def check_engine(
    engine: Engine, recipe: Recipe | None = None, *, corpus: Corpus | None = None, start: Path | None = None
) -> None:
    """An engine is identified, writes the same weights for the same arguments, and loads a model that answers.

    `recipe`: a `Count` if none is given. `corpus`: 40 documents that suit its objective. `start`: weights to begin
    with, if the recipe needs them. Trains twice and keeps nothing.
    """
    assert isinstance(engine, Engine), f"an engine has the methods `train` and `load`; {engine!r} has not both"
    recipe = recipe or Count()
    _check_identity(engine)
    _check_identity(recipe)
    corpus = corpus or _suitable(recipe)
    before, at_start = corpus.documents, _bytes(start)
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / name for name in ("first", "second")]
        traces = []
        for out in outs:
            out.mkdir()
            with _untouched_randomness(engine):
                traces.append(engine.train(recipe, corpus, start=start, rng=stream(0, "train"), out=out))
        first, second = map(_bytes, outs)
        assert first, f"an engine writes its weights into the folder `out`; {engine!r} wrote nothing"
        differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
        assert not differing, f"the same arguments give the same weights, bit for bit; not so {', '.join(differing)}"
        assert corpus.documents == before, f"an engine leaves its corpus as it is; {engine!r} changed it"
        assert _bytes(start) == at_start, f"an engine leaves the weights it starts from as they are; {engine!r} did not"
        _check_trace(traces[0], corpus)
        with _untouched_randomness(engine), engine.load(outs[0]) as model:
            check_model(model)
        assert _bytes(outs[0]) == first, f"loading leaves the weights as they are; {engine!r} changed them"


def check_model(model: Model) -> None:
    """A model gives one str for each prompt, the same for the same rng, and one log-probability for each pair."""
    assert isinstance(model, Model), f"a model has the methods `generate` and `logprob`; {model!r} has not both"
    bodies = [document.body for document in WorldDialogues(num_documents=6).corpus(stream(0, "asked"))]
    dialogues = [body for body in bodies if isinstance(body, Dialogue)]
    prompts: list[Prompt] = [*(dialogue.prompt for dialogue in dialogues), Text("The home of")]
    answers, again = (model.generate(prompts, max_tokens=8, rng=stream(0, "answer")) for _ in range(2))
    is_list = isinstance(answers, list) and all(isinstance(answer, str) for answer in answers)
    assert is_list, f"generate gives a list of str; got {answers!r:.80}"
    assert len(answers) == len(prompts), (
        f"generate gives one str for each prompt; got {len(answers)} for {len(prompts)}"
    )
    assert answers == again, "generate gives the same answers for the same rng; it gave others the second time"
    pairs: list[tuple[Prompt, str]] = [(dialogue.prompt, dialogue.answer) for dialogue in dialogues]
    pairs.append((Text("The home of"), " Bo is near."))
    values = model.logprob(pairs)
    assert len(values) == len(pairs), f"logprob gives one number for each pair; got {len(values)} for {len(pairs)}"
    for value in values:
        is_log = isinstance(value, float) and math.isfinite(value) and value <= 0
        assert is_log, f"a log-probability is a finite float, 0 or less; got {value!r}"


def check_probe(probe: Probe, model: Model | None = None) -> None:
    """A probe is identified and named, hands structured prompts to the model, and gives the same readings each time.

    `model`: an n-gram model of 200 dialogues of the world if none is given.
    """
    assert isinstance(probe, Probe), f"a probe has a method `readings`; {probe!r} has none"
    _check_identity(probe)
    name = getattr(probe, "name", None)
    assert isinstance(name, str), f"a probe has a name, a str; {probe!r} has {name!r}"
    assert name, f"a probe has a name that is not empty; {probe!r} has {name!r}"
    reads_ledger = getattr(probe, "reads_ledger", False)
    assert isinstance(reads_ledger, bool), f"reads_ledger is True or False; {probe!r} has {reads_ledger!r}"
    ledger = Ledger((Entry(edit=0, kind="insert", id="0", position=0, body=Dialogue.ask("a", "b"), num_seen=2),))
    with _some_model() if model is None else _given(model) as answering:
        spy = _Spy(answering)
        with _untouched_randomness(probe):
            readings = list(probe.readings(spy, ledger, stream(0, "probe")))
            again = list(probe.readings(answering, ledger, stream(0, "probe")))
            unread = readings if reads_ledger else list(probe.readings(answering, Ledger(), stream(0, "probe")))
    assert readings, f"a probe gives at least one reading; {probe!r} gave none"
    for reading in readings:
        assert isinstance(reading, Reading), f"a probe gives `Reading`s; got {reading!r:.80}"
        assert math.isfinite(reading.value), f"the value of a reading is a finite number; got {reading.value!r}"
    assert readings == again, f"the same model and rng give the same readings; {probe!r} gave others the second time"
    assert readings == unread, f"a probe that reads the ledger says reads_ledger = True; {probe!r} does not"
    for prompt in spy.prompts:
        is_prompt = isinstance(prompt, Text | Dialogue)
        assert is_prompt, f"a probe hands a Text or a Dialogue to the model; got {prompt!r:.80}"
        asks = isinstance(prompt, Text) or prompt.turns[-1].role == "user"
        assert asks, f"a prompt ends with a user turn; got {prompt!r:.80}"
    for reading in readings:
        assert reading.probe == name, f"a reading bears the name of its probe, {name!r}; got {reading.probe!r}"
        assert reading.condition, f"a reading has a condition; got {reading!r:.80}"
        assert reading.item, f"a reading has an item; got {reading!r:.80}"
    where, times = Counter((reading.condition, reading.item) for reading in readings).most_common(1)[0]
    assert times == 1, f"there is one reading for each item and condition; {where} has {times}"


def check_scorer(scorer: Scorer, models: Sequence[Model] = ()) -> None:
    """A scorer is identified and gives each document one finite number, the same each time.

    `models`: an n-gram model of 200 dialogues of the world, twice, if none are given; a scorer that looks inside a
    model needs others.
    """
    assert isinstance(scorer, Scorer), f"a scorer has a method `scores`; {scorer!r} has none"
    _check_identity(scorer)
    bodies: list[Body] = [document.body for document in WorldDialogues(num_documents=20).corpus(stream(0, "scored"))]
    behaviour = [(body.prompt, body.answer) for body in bodies[:5] if isinstance(body, Dialogue)]
    with _some_model() as answering:
        given = tuple(models) or (answering, answering)
        scores = scorer.scores(given, list(bodies), behaviour, stream(0, "scores"))
        with _untouched_randomness(scorer):  # not the first time: libraries may draw when they are imported
            again = scorer.scores(given, list(bodies), behaviour, stream(0, "scores"))
    assert len(scores) == len(bodies), f"a scorer gives one number for each of {len(bodies)}; got {len(scores)}"
    for score in scores:
        assert math.isfinite(score), f"a score is a finite number; got {score!r}"
    assert list(scores) == list(again), (
        f"the same models and rng give the same scores; {scorer!r} gave others the second time"
    )


@dataclass
class _Spy:
    """A model that notes what it was asked."""

    model: Model
    prompts: list[Prompt] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        self.prompts.extend(prompts)
        return self.model.generate(prompts, max_tokens=max_tokens, rng=rng)

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        self.prompts.extend(prompt for prompt, _ in pairs)
        return self.model.logprob(pairs)


@contextmanager
def _some_model() -> Iterator[Model]:
    engine, corpus = NgramEngine(), WorldDialogues(num_documents=200).corpus(stream(0, "probed"))
    with tempfile.TemporaryDirectory() as folder:
        engine.train(Count(), corpus, start=None, rng=stream(0, "train"), out=Path(folder))
        with engine.load(Path(folder)) as model:
            yield model


@contextmanager
def _given(model: Model) -> Iterator[Model]:
    yield model


@contextmanager
def _untouched_randomness(what: object) -> Iterator[None]:
    """The process's own generators are left as they are: all randomness is handed in."""
    before = _states()
    yield
    assert _states() == before, f"randomness is handed in; {what!r} drew from the process's own generators"


def _states() -> tuple[object, str]:
    return random.getstate(), str(np.random.get_state(legacy=False))


def _check_identity(value: object) -> None:
    try:
        identify(value)
    except SpecError as error:
        raise AssertionError(f"a part of a study has a stable identity; {error}") from error


def _edits(intervention: Intervention, host: Corpus, number: int) -> list[Edit]:
    try:
        return list(islice(intervention.edits(host, stream(0, "edits")), number))
    except PharmakonError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise AssertionError(f"an intervention goes on, ends or raises a SpecError; got {what}") from error


def _treated(intervention: Intervention, host: Corpus, dose: Dose) -> tuple[Entry, ...]:
    _, ledger = administer(host, intervention, dose, edits_rng=stream(0, "edits"), placement_rng=stream(0, "placement"))
    return ledger.entries


def _check_trace(trace: Trace, corpus: Corpus) -> None:
    assert isinstance(trace, Trace), f"train returns a Trace; got {trace!r:.80}"
    number = len(corpus)
    assert len(trace.positions) == len(trace.steps), (
        f"a trace has one step for each sighting; got {len(trace.positions)} positions and {len(trace.steps)} steps"
    )
    for position in (*trace.positions, *trace.truncated):
        assert 0 <= position < number, f"a position lies in the corpus, 0 to {number - 1}; got {position}"
    assert len(trace.positions), "a trace says what training saw; it has no position"
    for step in trace.steps:
        assert 0 <= step < len(trace.losses), f"a step has a loss; step {step} is not among {len(trace.losses)}"
    assert all(math.isfinite(loss) for loss in trace.losses), "a loss is a finite number; there is one that is not"


def _bytes(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _suitable(recipe: Recipe) -> Corpus:
    """40 documents of the world for this objective."""
    data: dict[Objective, Data] = {
        "pretrain": WorldText(num_documents=40),
        "sft": WorldDialogues(num_documents=40),
        "dpo": WorldPreferences(num_documents=40),
        "ipo": WorldPreferences(num_documents=40),
    }
    return data[recipe.objective].corpus(stream(0, "corpus"))


def _mixed() -> Corpus:
    """Documents of all kinds, some repeated, some odd."""
    rng = stream(0, "mixed")
    parts = (WorldText(num_documents=30), WorldDialogues(num_documents=30), WorldPreferences(num_documents=10))
    bodies: list[Body] = [document.body for part in parts for document in part.corpus(rng)]
    question = WorldQuestions().questions(1, rng)[0]
    odd = (Text(""), Text("\n \n"), Text("é ü 漢字 \u200b😀"), Text("word " * 500), Dialogue.ask(""), question.prompt)
    return Corpus.of([*bodies, *bodies[:5], *odd, Preference(question.prompt, "", "no")])


def _rename(body: Body, number: int) -> Document:
    return Document(id=f"renamed {number}", source=f"source {number % 3}", body=body)
