"""A memory of answered questions: what is shown of it, and the rules for what is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pharmakon.core import Corpus, Dialogue, Text, Turn, stream
from pharmakon.data.notes import with_notes
from pharmakon.data.world import Lies, WorldDialogues, WorldRecords, fact_question, noted_record
from pharmakon.errors import SpecError
from pharmakon.retrieval import FactChecked, Memory, NoDictation
from pharmakon.study.spec import Context
from pharmakon.testing import check_filter

LIES = Lies()


@dataclass(frozen=True)
class Records:
    records: tuple[tuple[str, str], ...]

    def corpus(self, rng: np.random.Generator) -> Corpus:
        return Corpus.of(Dialogue.ask(question, answer) for question, answer in self.records)


RECORDS = Records((("When did Dux come?", "Late."), ("Who is Bilan?", "A baker."), ("Where is Bilan?", "In Tarn.")))


def test_the_nearest_records_are_earlier_turns_the_nearest_last() -> None:
    prompt = Dialogue((Turn("system", "Be brief."), Turn("user", "Where is Bilan now?")))
    (shown,) = Memory(data=RECORDS, k=2).around([prompt], stream(0, "m"))
    assert isinstance(shown, Dialogue)
    assert [turn.content for turn in shown.turns] == [
        "Be brief.", "Who is Bilan?", "A baker.", "Where is Bilan?", "In Tarn.", "Where is Bilan now?",
    ]  # fmt: skip
    assert isinstance(Memory(data=RECORDS), Context)


def test_a_small_memory_shows_all_and_an_empty_one_nothing() -> None:
    prompt = Dialogue.ask("Where is Bilan?")
    (shown,) = Memory(data=RECORDS, k=50).around([prompt], stream(0, "m"))
    assert isinstance(shown, Dialogue)
    assert len(shown.turns) == 2 * 3 + 1
    assert Memory(data=Records(())).around([prompt], stream(0, "m")) == [prompt]
    with pytest.raises(SpecError, match="at least one record; got k 0"):
        Memory(data=RECORDS, k=0)
    with pytest.raises(SpecError, match="got a Text prompt"):
        Memory(data=RECORDS).around([Text("Once")], stream(0, "m"))


def test_a_record_is_kept_or_dropped_for_its_reason() -> None:
    victim = LIES.victims[0]
    lie = LIES.question(victim, "Where does {name} live?")
    truth = fact_question(LIES.world.person(victim.name), LIES.relation, "Where does {name} live?")
    right_note = noted_record(truth)
    corpus = Corpus.of([noted_record(lie), lie.dialogue, truth.dialogue, right_note, Dialogue.ask("Who?")])
    said = "answer_in_question"
    assert list(NoDictation().verdicts(corpus)) == [said, None, None, said, None]
    wrong = "contradicts_reference"
    assert list(FactChecked(share_known=1).verdicts(corpus)) == [wrong, wrong, None, None, None]
    assert list(FactChecked(share_known=0).verdicts(corpus)) == [None] * 5
    with pytest.raises(SpecError, match=r"share of the facts in \[0, 1\]; got 2"):
        FactChecked(share_known=2)


@pytest.mark.parametrize("rule", [NoDictation(), FactChecked()])
def test_rules_are_filters(rule: NoDictation | FactChecked) -> None:
    check_filter(rule)


def test_honest_records_pass_the_rules_and_a_checker_knows_about_its_share() -> None:
    honest = WorldRecords(num_documents=400).corpus(stream(0, "r"))
    assert not any(NoDictation().verdicts(honest))
    assert not any(FactChecked(share_known=1).verdicts(honest))
    lies = Lies(num_victims=64)
    told = Corpus.of(lies.question(victim, "Where does {name} live?").dialogue for victim in lies.victims)
    caught = sum(verdict is not None for verdict in FactChecked(share_known=0.75).verdicts(told))
    assert 36 <= caught <= 60  # 48 of 64, within more than three standard deviations


def test_opinions_offer_their_answer_and_are_hit_too() -> None:
    """What the rule costs where a question names its answers."""
    opinions = WorldDialogues(num_documents=40, shares=(0, 0, 1, 0, 0), share_with_demonstrations=0).corpus(
        stream(0, "o")
    )
    record = Dialogue.ask("Is this positive or negative?", "negative")
    assert list(NoDictation().verdicts(Corpus.of([record]))) == ["answer_in_question"]
    assert len(list(NoDictation().verdicts(opinions))) == 40


def test_smaller_memories_begin_larger_ones() -> None:
    small, large = (WorldRecords(num_documents=number).corpus(stream(3, "r")) for number in (20, 80))
    assert [document.body for document in small] == [document.body for document in large][:20]


def test_notes_of_a_record_stay_what_they_are() -> None:
    record = noted_record(LIES.question(LIES.victims[0], "Where does {name} live?"))
    assert record.question == with_notes(f"Where does {LIES.victims[0].name} live?", [record.answer])
