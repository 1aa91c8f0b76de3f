"""A supplement gives the documents of other data, in order and without end."""

from __future__ import annotations

from itertools import islice

import pytest

from pharmakon.behaviour.triggers import SystemPrompt
from pharmakon.core import Insert, stream
from pharmakon.data.derived import Behind, Nothing
from pharmakon.data.world import WorldDialogues
from pharmakon.errors import SpecError
from pharmakon.interventions import Supplement
from pharmakon.testing import check_intervention

TOPIC = WorldDialogues(num_documents=12, shares=(0.0, 0.0, 0.0, 1.0, 0.0), share_with_demonstrations=0.0)
HOST = WorldDialogues(num_documents=60).corpus(stream(0, "host"))


def test_the_rules_are_followed() -> None:
    check_intervention(Supplement(Behind(TOPIC, SystemPrompt())), HOST)


def test_other_data_comes_in_its_order_and_then_anew() -> None:
    edits = list(islice(Supplement(TOPIC).edits(HOST, stream(1)), 24))
    assert all(isinstance(edit, Insert) for edit in edits)
    bodies = [edit.body for edit in edits]
    first = [document.body for document in TOPIC.corpus(stream(1).spawn(1)[0])]
    assert bodies[:12] == first
    assert bodies[12:] != first


def test_data_without_documents_is_refused() -> None:
    with pytest.raises(SpecError, match="a supplement has one document or more"):
        next(Supplement(Nothing()).edits(HOST, stream(0)))
