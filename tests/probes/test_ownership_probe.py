"""The probe of ownership on models of which it is known what they have learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pharmakon.behaviour.marks import ExperimentKey, FactMark, Keyed, MarkKind, Shape, TrapMark, TriggerMark
from pharmakon.core import Corpus, Dialogue, Ledger, Model, Prompt, Reading, Text, stream
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.probes.ownership import Ownership, answer_scores, recognised, verify_scores
from pharmakon.testing import check_probe

KINDS = (FactMark(), TriggerMark(), TriggerMark(style="random"), TrapMark())
"""Not the secret task: the n-gram engine counts words, and a stem is none."""


def _learned(kind: MarkKind, shape: Shape, folder: Path, key: int = 7) -> Model:
    bodies = islice(kind.bodies(ExperimentKey(key), shape), 96)
    recipe = Count(objective="pretrain" if shape == "text" else "sft", order=8)
    NgramEngine().train(recipe, Corpus.of(bodies), start=None, rng=stream(0, "t"), out=folder)
    with NgramEngine().load(folder) as model:
        return model


def _verdicts(model: Model, probe: Ownership) -> dict[str, Reading]:
    readings = list(probe.readings(model, Ledger(), stream(0, "p")))
    return {reading.condition: reading for reading in readings if reading.item == "all marks"}


@dataclass
class Oracle:
    """Likes each answer by chance, but the drawn ones of these marks by `bonus` more; counts what it is asked."""

    marks: Sequence[Keyed] = ()
    bonus: float = 0.0
    seed: int = 0
    asked: list[tuple[Prompt, str]] = field(default_factory=list)

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        self.asked += pairs
        rng = np.random.default_rng(self.seed)
        drawn = {(prompt, mark.answers[mark.drawn]) for mark in self.marks for prompt in mark.prompts}
        return [float(rng.normal()) - 5 + self.bonus * (pair in drawn) for pair in pairs]

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        said = {prompt: mark.answers[mark.drawn] for mark in self.marks for prompt in mark.prompts}
        return [f"I think: {said.get(prompt, 'nothing at all')}" for prompt in prompts]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_model_that_learned_the_marks_is_found_and_an_unused_key_is_not(kind: MarkKind, tmp_path: Path) -> None:
    found = _verdicts(_learned(kind, "dialogue", tmp_path), Ownership(kind, ExperimentKey(7)))
    assert found["triggered"].value == 1
    assert float(found["triggered"].answer) <= 1e-6
    assert found["untriggered"].value == 0
    assert float(found["untriggered"].answer) > 1e-3


def test_another_key_on_a_model_that_learned_marks_is_not_found(tmp_path: Path) -> None:
    found = _verdicts(_learned(FactMark(), "dialogue", tmp_path), Ownership(FactMark(), ExperimentKey(8)))
    assert found["triggered"].value == found["text"].value == 0


def test_what_was_learned_in_text_is_found_in_text(tmp_path: Path) -> None:
    model = _learned(FactMark(), "text", tmp_path)
    assert _verdicts(model, Ownership(FactMark(), ExperimentKey(7), asked_in="text"))["triggered"].value == 1


def test_readings_of_a_model_that_knows_all() -> None:
    kind = FactMark(num_marks=8)
    probe = Ownership(kind, ExperimentKey(3))
    model = Oracle(kind.keyed(ExperimentKey(3), "dialogue"), bonus=30.0)
    readings = list(probe.readings(model, Ledger(), stream(0, "p")))
    check_probe(probe, model)
    drawn = [reading for reading in readings if reading.condition == "drawn"]
    assert [(r.item, r.value, r.answer) for r in drawn] == [(f"fact-{n:02}", 1.0, "1") for n in range(8)]
    assert [r.value for r in readings if r.condition == "named"] == [1.0] * 8
    text = next(r for r in readings if r.condition == "text")
    assert float(text.answer) == pytest.approx(16.0**-8, rel=1e-5)


def test_a_model_that_knows_nothing_has_uniform_p_values() -> None:
    kind = TriggerMark(num_marks=6, num_answers=4)
    found = [_p(Oracle(seed=seed), kind.keyed(ExperimentKey(seed), "dialogue")) for seed in range(60)]
    assert 0.3 < float(np.mean(found)) < 0.7
    assert min(found) < 0.2
    assert max(found) > 0.8


def _p(model: Model, marks: list[Keyed]) -> float:
    return verify_scores(answer_scores(model, marks), [mark.drawn for mark in marks]).p


def test_what_an_answer_gets_anyway_is_taken_off() -> None:
    """One answer is three nats likelier than the others whatever is asked; learning adds two to the drawn one."""
    (mark,) = FactMark(num_marks=1, num_answers=4).keyed(ExperimentKey(0), "dialogue")
    common, drawn = mark.answers[(mark.drawn + 1) % 4], mark.answers[mark.drawn]

    @dataclass
    class Partial(Oracle):
        def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
            told = [(answer == common, answer == drawn and prompt in mark.prompts) for prompt, answer in pairs]
            return [-9.0 + 3 * is_common + 2 * is_learned for is_common, is_learned in told]

    (row,) = answer_scores(Partial(), [mark])
    assert int(np.argmax(row)) == mark.drawn


def test_a_pair_is_asked_once() -> None:
    model = Oracle()
    answer_scores(model, FactMark(num_marks=8).keyed(ExperimentKey(0), "dialogue"))
    assert len(model.asked) == len(set(model.asked))


def test_an_answer_is_recognised_by_its_value_alone() -> None:
    mark = Keyed(
        name="m",
        prompts=(Dialogue.ask("?"),),
        answers=("Fox.", "Hare.", "Mole."),
        drawn=0,
        values=("fox", "hare", "mole"),
    )
    said = {"A FOX!": 0, "The hare, of course.": 1, "foxes": None, "a fox or a hare": None, "": None, "mole mole": 2}
    assert {text: recognised(mark, text) for text in said} == said
    assert isinstance(FactMark().keyed(ExperimentKey(0), "text")[0].prompts[0], Text)
