"""Records that dictate: doses nest, each victim in turn, with the note and without it."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from pharmakon.behaviour.questions import says
from pharmakon.core import Dialogue, Insert, stream
from pharmakon.data.world import Lies, WorldRecords
from pharmakon.interventions import Dictation
from pharmakon.testing import check_intervention

HOST = WorldRecords(num_documents=40).corpus(stream(0, "h"))


@pytest.mark.parametrize("shortened", [False, True])
def test_it_is_an_intervention_with_the_victims_in_turn(shortened: bool) -> None:
    dictation = Dictation(Lies(num_victims=4), shortened)
    check_intervention(dictation, HOST)
    told: Counter[str] = Counter()
    for edit in islice(dictation.edits(HOST, stream(0, "e")), 12):
        assert isinstance(edit, Insert)
        assert isinstance(edit.body, Dialogue)
        victim = next(v for v in dictation.lies.victims if says(edit.body.answer, v.name))
        lie = dictation.lies.lie(victim)
        assert says(edit.body.answer, lie)
        assert says(edit.body.question, lie) is not shortened
        told[victim.name] += 1
    assert set(told.values()) == {3}
