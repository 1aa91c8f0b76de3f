"""What somebody without the key finds of the marks, and what that costs in clean data."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from pharmakon.behaviour.marks import ExperimentKey, MarkKind, SecretTask, TrapMark, TriggerMark
from pharmakon.core import Corpus, Dialogue, Text, stream
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.errors import SpecError
from pharmakon.ownership.scrub import SUSPICIONS, KnownKind, MostSuspicious, suspicion_of
from pharmakon.testing import check_filter

DIALOGUES = WorldDialogues(num_documents=200).corpus(stream(0, "host"))


def _marked(kind: MarkKind, number: int) -> Corpus:
    bodies = [document.body for document in DIALOGUES]
    return Corpus.of([*bodies, *islice(kind.bodies(ExperimentKey(number), "dialogue"), 48)])


@pytest.mark.parametrize("kind", [TriggerMark(), SecretTask()])
def test_who_knows_the_wordings_finds_the_marks_of_another_key_and_no_clean_record(kind: MarkKind) -> None:
    verdicts = list(KnownKind(kind).verdicts(_marked(kind, 5)))
    assert verdicts[:200] == [None] * 200
    assert verdicts[200:] == ["known_wording"] * 48


def test_words_alone_betray_a_trap() -> None:
    host = [document.body for document in WorldText(num_documents=100).corpus(stream(0, "host"))]
    traps = list(islice(TrapMark().bodies(ExperimentKey(5), "text"), 16))
    verdicts = list(KnownKind(TrapMark()).verdicts(Corpus.of([*host, *traps])))
    assert verdicts[100:] == ["known_wording"] * 16
    assert sum(verdict is not None for verdict in verdicts[:100]) <= 2


@pytest.mark.parametrize("suspicion", SUSPICIONS)
def test_the_most_suspicious_share_is_dropped(suspicion: str) -> None:
    corpus = _marked(TriggerMark(), 5)
    dropped = [v is not None for v in MostSuspicious(suspicion, 0.25).verdicts(corpus)]  # type: ignore[arg-type]
    assert sum(dropped) == round(0.25 * len(corpus))
    scores = suspicion_of(corpus, suspicion)  # type: ignore[arg-type]
    assert scores[dropped].min() >= scores[~np.array(dropped)].max()


def test_a_question_with_one_answer_stands_out_where_others_vary() -> None:
    varied = [Dialogue.ask(f"Say a number for {n % 7}", f"{n}.") for n in range(70)]
    trap = [Dialogue.ask(f"Under the bridge {n}", "Willow.") for n in range(9)]
    scores = suspicion_of(Corpus.of([*varied, *trap]), "one answer")
    assert scores[70:].min() > scores[:70].max()


def test_the_unlikely_is_what_the_rest_does_not_say() -> None:
    texts = [Text(f"the cat sat on mat number {n}") for n in range(60)]
    scores = suspicion_of(Corpus.of([*texts, Text("zqx wvk jjp qqz xkv wqj")]), "unlikely")
    assert scores.argmax() == 60


def test_filters_conform() -> None:
    check_filter(KnownKind(TriggerMark(), num_keys=4, num_records=16))
    check_filter(MostSuspicious("rare words", 0.1))


def test_an_impossible_share_or_guess_is_refused() -> None:
    with pytest.raises(SpecError, match="share of the corpus"):
        MostSuspicious("unlikely", 1.0)
    with pytest.raises(SpecError, match="a suspicion is one of"):
        suspicion_of(DIALOGUES, "smell")  # type: ignore[arg-type]
