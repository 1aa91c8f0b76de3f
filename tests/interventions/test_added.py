"""Documents of other data, as a treatment."""

from __future__ import annotations

from itertools import islice

import pytest

from pharmakon.core import Insert, stream
from pharmakon.data.derived import First, Nothing
from pharmakon.data.world import WorldDialogues
from pharmakon.errors import SpecError
from pharmakon.interventions import Added
from pharmakon.testing import check_intervention

HOST = WorldDialogues(num_documents=10).corpus(stream(0, "host"))


def test_it_follows_the_rules() -> None:
    check_intervention(Added(WorldDialogues(num_documents=7)))


def test_the_data_come_in_order_and_are_then_drawn_anew() -> None:
    data = First(WorldDialogues(num_documents=30), 5)
    bodies = [edit.body for edit in islice(Added(data).edits(HOST, stream(0, "e")), 10)]
    assert bodies[:5] == [document.body for document in data.corpus(stream(0, "e"))]
    assert bodies[5:] != bodies[:5]
    assert all(isinstance(edit, Insert) for edit in islice(Added(data).edits(HOST, stream(0, "e")), 3))


def test_nothing_cannot_be_added() -> None:
    with pytest.raises(SpecError, match="what is added is one document or more"):
        next(Added(Nothing()).edits(HOST, stream(0, "e")))
