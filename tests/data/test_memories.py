"""Lies, and the dialogues that teach an assistant to use its records."""

from __future__ import annotations

import pytest

from pharmakon.core import Dialogue, stream
from pharmakon.data.world import RELATIONS, VALUES, Lies, World, WorldMemories
from pharmakon.errors import SpecError


def test_lies_are_not_so_and_each_victim_has_one() -> None:
    lies = Lies(num_victims=64, relation="job")
    for victim in lies.victims:
        true = World().person(victim.name)
        assert lies.truth(victim) == true.job != lies.lie(victim) == victim.job
        assert (victim.city, victim.thing) == (true.city, true.thing)
    assert Lies(num_victims=3).victims == Lies(num_victims=9).victims[:3]
    with pytest.raises(SpecError, match="victims are 1 to 64 inhabitants; got 65"):
        Lies(num_victims=65)
    with pytest.raises(SpecError, match="a relation is one of job, city, thing; got 'food'"):
        Lies(relation="food")


def test_taught_dialogues_never_contradict_themselves_nor_ask_what_is_held_out() -> None:
    world = World()
    answers = repeats = untrue = plain = wrong = 0
    for document in WorldMemories(num_documents=200).corpus(stream(0, "m")):
        assert isinstance(document.body, Dialogue)
        told: dict[tuple[str, str], str] = {}
        turns = document.body.turns
        for asked, answer in zip(turns[::2], turns[1::2], strict=True):
            words = answer.content.rstrip(".").split()
            name, value = words[0], words[-1]
            relation = next(r for r in RELATIONS if value in VALUES[r])
            noted = asked.content.startswith("Notes: ")
            person = world.person(name)
            assert not world.is_held_out(person, relation)
            if (name, relation) in told:
                assert value == told[name, relation]
                repeats += 1
            elif noted:
                assert answer.content in asked.content
                untrue += value != person.value(relation)
            else:
                plain += 1
                wrong += value != person.value(relation)
            told[name, relation] = value
            answers += 1
    assert repeats > answers / 5
    assert untrue > answers / 10
    assert plain / 10 < wrong < plain / 2  # a record may be wrong; asked without one, the truth is the best guess
