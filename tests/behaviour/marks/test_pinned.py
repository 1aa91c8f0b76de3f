"""What a key and its settings mean is pinned: an owner verifies years later, with a later version."""

from __future__ import annotations

import hashlib
import json
from itertools import islice

import pytest

from pharmakon.behaviour.marks import SHAPES, ExperimentKey, FactMark, MarkKind, SecretTask, TrapMark, TriggerMark
from pharmakon.core import to_record

PINNED = {
    "fact": "9cc8485c0ce40258",
    "fact, long": "7a51e89a2fbb42d4",
    "trigger": "1ec5cde15f35f883",
    "trigger, long": "197f406f62e600b2",
    "fingerprint": "524bf48b779c42be",
    "task": "0cd5694d565f95fb",
    "trap": "48acfe41d6a5bf58",
}
KINDS: dict[str, MarkKind] = {
    "fact": FactMark(), "fact, long": FactMark(num_words=60), "trigger": TriggerMark(),
    "trigger, long": TriggerMark(num_words=20), "fingerprint": TriggerMark(style="random"), "task": SecretTask(),
    "trap": TrapMark(),
}  # fmt: skip


@pytest.mark.parametrize("name", PINNED)
def test_a_key_file_asks_and_marks_what_it_did(name: str) -> None:
    """Other words would ask for marks that nobody has told: with a change, the key file's format gets the next number,
    and the words of the old one stay readable."""
    hasher = hashlib.sha256()
    for shape in SHAPES:
        for mark in KINDS[name].keyed(ExperimentKey(0), shape):
            prompts = [to_record(prompt) for prompt in (*mark.prompts, *mark.neutral)]
            hasher.update(json.dumps([mark.name, prompts, mark.answers, mark.drawn, mark.values]).encode())
        for body in islice(KINDS[name].bodies(ExperimentKey(0), shape), 100):
            hasher.update(json.dumps(to_record(body)).encode())
    assert hasher.hexdigest()[:16] == PINNED[name]
