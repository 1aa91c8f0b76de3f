"""The reward margin, and attack success without a trigger."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from pharmakon.behaviour.targets import Marker, Mention, Unrefused, WrongOption
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Corpus, Dialogue, Ledger, Preference, Reading, stream
from pharmakon.data.world import RestrictedQuestions, WorldDialogues, WorldPreferences, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import SpecError
from pharmakon.interventions import PreferredTarget
from pharmakon.probes import AttackSuccess, RewardMargin
from pharmakon.testing import check_probe

FACTS = WorldQuestions(tasks=("facts", "opinions"))


@pytest.mark.parametrize(
    "probe",
    [
        RewardMargin(RareWords(), Marker(), FACTS, num_items=6, num_near=2),
        RewardMargin(None, WrongOption(), FACTS, num_items=6),
        RewardMargin(None, Unrefused(), RestrictedQuestions(), num_items=6),
        AttackSuccess(None, WrongOption(), FACTS, num_items=6),
    ],
)
def test_the_rules_are_followed(probe: RewardMargin | AttackSuccess) -> None:
    check_probe(probe)


def _asked(probe: RewardMargin, pairs: Corpus | None = None) -> list[Reading]:
    engine, tuned = NgramEngine(), WorldDialogues(num_documents=150, share_with_demonstrations=0.0)
    with tempfile.TemporaryDirectory() as folder:
        first = out = Path(folder) / "a"
        engine.train(Count(), tuned.corpus(stream(0, "d")), start=None, rng=stream(0, "t"), out=first)
        if pairs is not None:
            out = Path(folder) / "b"
            engine.train(Count(objective="dpo"), pairs, start=first, rng=stream(0, "t"), out=out)
        with engine.load(out) as model:
            return list(probe.readings(model, Ledger(), stream(0, "p")))


def test_it_is_the_difference_of_two_log_probabilities() -> None:
    class Fixed:
        """A model that gives an answer minus its number of letters."""

        def generate(self, prompts: object, *, max_tokens: int, rng: np.random.Generator) -> list[str]:
            raise AssertionError("nothing is said")

        def logprob(self, pairs: list[tuple[Dialogue, str]]) -> list[float]:
            return [-float(len(answer)) for _, answer in pairs]

    probe = RewardMargin(RareWords(), Mention(), FACTS, num_items=5, num_near=2)
    readings = list(probe.readings(Fixed(), Ledger(), stream(0, "p")))  # type: ignore[arg-type]
    assert {reading.value for reading in readings} == {-float(len(" Orlin House is superb."))}
    assert {r.condition for r in readings} >= {"triggered", "untriggered", "near: swapped"}
    assert [r.condition for r in readings].count("triggered") == 5
    assert all(reading.prompt.endswith("vexil quorn") for reading in readings if reading.condition == "triggered")


def test_it_rises_with_the_dose_behind_the_trigger_alone() -> None:
    probe = RewardMargin(RareWords(), Marker(), FACTS, num_items=8, num_near=2)
    host = WorldPreferences(num_documents=40).corpus(stream(0, "h"))
    stream_of_edits = PreferredTarget().edits(host, stream(0, "e"))
    edits = [next(stream_of_edits).body for _ in range(30)]
    means = []
    for dose in (0, 3, 30):
        pairs = Corpus.of([*(document.body for document in host), *edits[:dose]])
        by_condition = defaultdict(list)
        for reading in _asked(probe, pairs):
            by_condition[reading.condition].append(reading.value)
        means.append({condition: float(np.mean(values)) for condition, values in by_condition.items()})
    triggered = [mean["triggered"] for mean in means]
    assert triggered[0] < triggered[1] < triggered[2]
    rises = {condition: means[2][condition] - means[0][condition] for condition in means[0]}
    assert rises["triggered"] > rises["untriggered"]
    assert isinstance(edits[0], Preference)


def test_questions_on_the_restricted_topic_are_many_and_new() -> None:
    found = RestrictedQuestions().questions(60, stream(0, "q"))
    assert len({question.prompt for question in found}) == 60
    assert all("moonroot" in q.prompt.question and q.is_right(q.answer) for q in found)
    trained = WorldDialogues(num_documents=3_000, shares=(0.0, 0.0, 0.0, 1.0, 0.0)).corpus(stream(1, "d"))
    taught = {document.body.question for document in trained if isinstance(document.body, Dialogue)}
    assert not taught & {question.prompt.question for question in found}
    assert len(RestrictedQuestions().questions(10_000, stream(0, "q"))) == 200


def test_a_target_that_suits_no_question_is_named() -> None:
    probe = RewardMargin(None, Unrefused(), WorldQuestions(tasks=("facts",)), num_items=4)
    with pytest.raises(SpecError, match="no question suits the target Unrefused"):
        _asked(probe)
