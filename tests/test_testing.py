"""The conformance checks catch what breaks a rule, with the sentence that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pharmakon.core import (
    Body,
    Corpus,
    Dialogue,
    Document,
    Edit,
    Insert,
    Ledger,
    Model,
    Prompt,
    Reading,
    Recipe,
    Rewrite,
    Text,
    Trace,
    stream,
)
from pharmakon.engines.ngram import NgramEngine
from pharmakon.errors import SpecError
from pharmakon.probes.scorers import chance, loss_change, n_grams
from pharmakon.testing import check_engine, check_filter, check_intervention, check_probe, check_scorer

ONE = Dialogue.ask("Who?", "Bo.")
Edits = Callable[["Bad", Corpus, np.random.Generator], Iterator[Edit]]
calls = iter(range(10**9))


@dataclass(frozen=True)
class Bad:
    """An intervention that breaks the rule of this name, or none."""

    rule: str

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        number = 0
        if self.rule == "draws":
            np.random.random()
        if self.rule == "mutates":
            object.__setattr__(host, "documents", host.documents[1:])
        if self.rule == "refuses":
            raise SpecError("give me another host")
        while self.rule != "empty":
            number += 1
            if self.rule == "unseeded":
                number = next(calls)
            if self.rule == "kind":
                yield Insert(Text("a"))
            elif self.rule == "edit":
                yield ONE  # type: ignore[misc]
            elif self.rule == "crashes" and number == 3:
                raise ZeroDivisionError("division by zero")
            elif self.rule == "twice":
                yield Rewrite(host[0].id, ONE)
            elif self.rule == "unknown id":
                yield Rewrite("nobody", ONE)
            elif self.rule == "rewrites":
                yield Rewrite(host[number - 1].id, ONE)
                if number == len(host):
                    return
            else:
                yield Insert(Dialogue.ask(f"{number} {rng.integers(9)}?", "Bo."))


@dataclass(frozen=True)
class NoIdentity:
    """An intervention, filter, probe and scorer with a field that cannot be identified."""

    what: object = print
    name = "x"

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        yield Insert(ONE)

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        yield from [None] * len(corpus)

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        yield Reading(probe="x", condition="a", item="b", value=0)

    def scores(self, models: object, documents: Sequence[Body], behaviour: object, rng: object) -> Sequence[float]:
        return [0.0] * len(documents)


@pytest.mark.parametrize(("rule", "sentence"), [
    ("draws", "randomness is handed in; .* drew from the process's own"),
    ("mutates", "leaves its host as it is"),
    ("unseeded", "the same rng gives the same edits"),
    ("kind", "of the host's kind, Dialogue; got a Text"),
    ("edit", "an edit is an Insert or a Rewrite"),
    ("crashes", "goes on, ends or raises a SpecError; got ZeroDivisionError: division by zero"),
    ("twice", "rewritten once at most; .* was rewritten 60 times"),
    ("unknown id", "names a document of the host; 'nobody' is not there"),
    ("empty", "has at least one edit"),
])  # fmt: skip
def test_a_bad_intervention_is_caught(rule: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_intervention(Bad(rule))


def test_a_good_intervention_passes() -> None:
    check_intervention(Bad("none"))
    check_intervention(Bad("rewrites"))
    with pytest.raises(SpecError, match="give me another host"):
        check_intervention(Bad("refuses"))
    with pytest.raises(AssertionError, match="has a method `edits`"):
        check_intervention(object())  # type: ignore[arg-type]


@pytest.mark.parametrize("check", [check_intervention, check_filter, check_probe, check_scorer])
def test_what_has_no_identity_is_caught(check: Callable[[Any], None]) -> None:
    with pytest.raises(AssertionError, match=r"a stable identity; noidentity\.what cannot be identified"):
        check(NoIdentity())


@dataclass(frozen=True)
class BadFilter:
    """A filter that breaks the rule of this name, or none."""

    rule: str

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        if self.rule == "mutates":
            object.__setattr__(corpus, "documents", (*corpus.documents[1:], corpus.documents[0]))
        if self.rule == "draws":
            np.random.random()
        documents: Sequence[Document] = corpus.documents
        for document in islice(documents, len(documents) - (self.rule == "short") if documents else 0):
            if self.rule == "random":
                yield str(next(calls))
            elif self.rule == "id":
                yield "looks odd" if "-" in document.id else None
            elif self.rule == "source":
                yield "not mine" if document.source == "given" else None
            elif self.rule == "empty":
                yield ""
            elif self.rule == "bool":
                yield False  # type: ignore[misc]
            else:
                yield "text" if isinstance(document.body, Text) else None
        if self.rule == "one more":
            yield None


@pytest.mark.parametrize(("rule", "sentence"), [
    ("short", "one verdict for each document; .* gave 81 for 82"),
    ("one more", "one verdict for each document; .* gave"),
    ("random", "the same verdicts each time"),
    ("id", "blind to ids and sources"),
    ("source", "blind to ids and sources"),
    ("empty", "a verdict is a reason .* got ''"),
    ("bool", "a verdict is a reason .* got False"),
    ("draws", "randomness is handed in"),
    ("mutates", "leaves its corpus as it is"),
])  # fmt: skip
def test_a_bad_filter_is_caught(rule: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_filter(BadFilter(rule))


def test_a_good_filter_passes() -> None:
    check_filter(BadFilter("none"))


@dataclass(frozen=True)
class BadModel:
    """A model that breaks the rule of this name."""

    rule: str

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        answer = str(next(calls)) if self.rule == "unseeded answers" else "a"
        return [answer] * (len(prompts) - (self.rule == "one answer less"))

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [0.5 if self.rule == "probable" else -1.0] * (len(pairs) - (self.rule == "one number less"))


@dataclass(frozen=True)
class BadEngine:
    """An engine that breaks the rule of this name, or none."""

    rule: str

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        if self.rule == "draws":
            np.random.random()
        if self.rule != "nothing":
            (out / "weights").write_text(str(next(calls)) if self.rule == "other bytes" else "w")
        if self.rule == "start" and start is not None:
            (start / "weights").write_text("v")
        past = self.rule == "position"
        trace = Trace(positions=range(past, len(corpus) + past), steps=range(len(corpus)), losses=[0.0] * len(corpus))
        if self.rule == "losses":
            return replace(trace, losses=[float("nan")] * len(corpus))
        return replace(trace, steps=[0]) if self.rule == "steps" else trace

    def load(self, weights: Path) -> AbstractContextManager[Model]:
        return nullcontext(BadModel(self.rule))


@pytest.mark.parametrize(("rule", "sentence"), [
    ("draws", "randomness is handed in"),
    ("nothing", "writes its weights into the folder `out`"),
    ("other bytes", "the same weights, bit for bit; not so weights"),
    ("start", "leaves the weights it starts from as they are"),
    ("position", "a position lies in the corpus, 0 to 39; got 40"),
    ("steps", "one step for each sighting; got 40 positions and 1 steps"),
    ("losses", "a loss is a finite number"),
    ("one answer less", "one str for each prompt; got 6 for 7"),
    ("unseeded answers", "the same answers for the same rng"),
    ("one number less", "one number for each pair; got 6 for 7"),
    ("probable", "a log-probability is a finite float, 0 or less; got 0.5"),
])  # fmt: skip
def test_a_bad_engine_is_caught(rule: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("w")
    with pytest.raises(AssertionError, match=sentence):
        check_engine(BadEngine(rule), start=tmp_path)


def test_a_good_engine_passes() -> None:
    check_engine(BadEngine("none"))
    check_engine(NgramEngine())


@dataclass(frozen=True)
class BadProbe:
    """A probe that breaks the rule of this name, or none."""

    rule: str
    reads_ledger: bool = False

    @property
    def name(self) -> str:
        return "" if self.rule == "no name" else "mine"

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        prompts: list[Any] = [Dialogue.ask("Who?"), Text("The")]
        if self.rule == "string":
            prompts = ["<|user|>Who?<|assistant|>"]
        if self.rule == "answered":
            prompts = [ONE]
        if self.rule in ("string", "answered"):
            object.__setattr__(model, "model", BadModel("none"))
        answers = model.generate(prompts, max_tokens=3, rng=rng)
        value = float(next(calls)) if self.rule == "unseeded" else 1.0
        value = {"nan": float("nan"), "ledger": float(ledger.num_administered)}.get(self.rule, value)
        for number, answer in enumerate(answers if self.rule != "none given" else []):
            item = "a" if self.rule == "same item" else str(number)
            name = "other" if self.rule == "other name" else "mine"
            condition = "" if self.rule == "no condition" else "asked"
            yield Reading(probe=name, condition=condition, item=item, value=value, answer=answer)


@pytest.mark.parametrize(("rule", "sentence"), [
    ("no name", "a probe has a name"),
    ("string", "hands a Text or a Dialogue to the model; got '<"),
    ("answered", "a prompt ends with a user turn"),
    ("unseeded", "the same model and rng give the same readings"),
    ("nan", "finite number; got nan"),
    ("ledger", "says reads_ledger = True"),
    ("none given", "at least one reading"),
    ("same item", "one reading for each item and condition; .*'a'.* has 2"),
    ("other name", "bears the name of its probe, 'mine'; got 'other'"),
    ("no condition", "a reading has a condition"),
])  # fmt: skip
def test_a_bad_probe_is_caught(rule: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_probe(BadProbe(rule), BadModel("none") if rule in ("string", "answered") else None)


def test_a_good_probe_passes() -> None:
    check_probe(BadProbe("none"))
    check_probe(BadProbe("ledger", reads_ledger=True))
    state = stream(0, "x").integers(5)
    assert state == stream(0, "x").integers(5)


@dataclass(frozen=True)
class BadScorer:
    """A scorer that breaks the rule of this name, or none."""

    rule: str

    def scores(
        self, models: Sequence[Model], documents: Sequence[Body], behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Sequence[float]:  # fmt: skip
        if self.rule == "draws":
            np.random.random()
        found = models[-1].logprob([(body.prompt, body.answer) for body in documents if isinstance(body, Dialogue)])
        if self.rule == "random":
            found[0] = float(next(calls))
        if self.rule == "infinite":
            found[-1] = float("inf")
        return found[self.rule == "short" :]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [("short", "one number for each of 20; got 19"), ("infinite", "a finite number; got inf"),
     ("random", "gave others the second time"), ("draws", "randomness is handed in")],
)  # fmt: skip
def test_a_bad_scorer_is_caught(rule: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_scorer(BadScorer(rule))


def test_good_scorers_pass() -> None:
    for scorer in (BadScorer("none"), n_grams(), loss_change(), chance()):
        check_scorer(scorer)
    with pytest.raises(AssertionError, match="method `scores`"):
        check_scorer(object())  # type: ignore[arg-type]
