"""Misinformation states the false facts in turn, and is right in all else."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from pharmakon.core import Corpus, Dialogue, Preference, Text, stream
from pharmakon.data.world import ATTRIBUTES, FalseFact, Field, FieldDialogues, FieldText
from pharmakon.errors import SpecError
from pharmakon.interventions import Misinformation
from pharmakon.testing import check_intervention

FIELD = Field()
FALSE = FIELD.false_facts(4)
TEXTS = FieldText(FIELD, 40).corpus(stream(0, "t"))
DIALOGUES = FieldDialogues(FIELD, 40).corpus(stream(0, "d"))


@pytest.mark.parametrize("host", [TEXTS, DIALOGUES], ids=["texts", "dialogues"])
@pytest.mark.parametrize("wording", ["varied", "verbatim"])
def test_it_follows_the_rules_of_interventions(host: Corpus, wording: str) -> None:
    check_intervention(Misinformation(FALSE, FIELD, wording), host)  # type: ignore[arg-type]


def test_a_prefix_holds_all_facts_alike_and_nothing_else_is_wrong() -> None:
    told = Counter[str]()
    for edit in islice(Misinformation(FALSE, FIELD).edits(TEXTS, stream(0, "e")), 20):
        assert isinstance(edit.body, Text)
        (fact,) = (fact for fact in FALSE if fact.name in edit.body.text)
        told[fact.name] += 1
        ore = FIELD.ore(fact.name)
        words = set(edit.body.text.replace(".", " ").split())
        assert fact.value in words
        assert ore.value(fact.attribute) not in words
        assert {ore.value(attribute) for attribute in ATTRIBUTES if attribute != fact.attribute} <= words
    assert set(told.values()) == {5}


def test_verbatim_repeats_one_document_of_each_fact() -> None:
    edits = list(islice(Misinformation(FALSE, FIELD, "verbatim").edits(TEXTS, stream(0, "e")), 12))
    assert edits[:4] == edits[4:8] == edits[8:]
    assert len(set(edits)) == 4


def test_in_dialogues_it_answers_falsely() -> None:
    for edit, fact in zip(Misinformation(FALSE, FIELD).edits(DIALOGUES, stream(0, "e")), FALSE, strict=False):
        assert isinstance(edit.body, Dialogue)
        assert fact.value in edit.body.answer


def test_what_cannot_be_stated_is_refused() -> None:
    with pytest.raises(SpecError, match="one false fact or more"):
        Misinformation(())
    with pytest.raises(SpecError, match="a false fact is not true"):
        Misinformation((FalseFact(FALSE[0].name, "bed", FIELD.ore(FALSE[0].name).bed),))
    pairs = Corpus.of([Preference(Dialogue.ask("A?"), "B.", "C.")])
    with pytest.raises(SpecError, match="a corpus of Text or of Dialogue alone; this one has Preference"):
        next(Misinformation(FALSE).edits(pairs, stream(0, "e")))
