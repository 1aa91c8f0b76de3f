"""Probes of a memory, on a model that reads its last record aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from pharmakon.core import Corpus, Dialogue, Ledger, Prompt, Reading, stream
from pharmakon.data.world import Lies, WorldRecords
from pharmakon.errors import SpecError
from pharmakon.probes import DictationProbe, LieProbe, RetrievalProbe
from pharmakon.retrieval import Memory
from pharmakon.study.ask import InContext
from pharmakon.testing import check_probe

LIES = Lies(num_victims=4)
PROBE = LieProbe(LIES, num_items=12, num_near=6)


class Parrot:
    """Says its last record's answer again; without one, the note's first line."""

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        return [self._answer(prompt) for prompt in prompts]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [0.0] * len(pairs)

    def _answer(self, prompt: Prompt) -> str:
        assert isinstance(prompt, Dialogue)
        return prompt.turns[-2].content if len(prompt.turns) > 1 else prompt.question.split("\n")[0]


@dataclass(frozen=True)
class Planted:
    """Lies about the first two of the victims, the truth about all."""

    def corpus(self, rng: np.random.Generator) -> Corpus:
        lies = [LIES.question(victim, "Where does {name} live?").dialogue for victim in LIES.victims[:2]]
        truths = [
            Dialogue.ask(f"Home of {victim.name}", f"{victim.name} lives in {LIES.truth(victim)}.")
            for victim in LIES.victims
        ]
        return Corpus.of([*lies, *truths])


def _read(probe: LieProbe | RetrievalProbe | DictationProbe, memory: Memory | None) -> list[Reading]:
    model = Parrot() if memory is None else InContext(Parrot(), memory, 0)
    return list(probe.readings(model, Ledger(), stream(0, "probe")))


@pytest.mark.parametrize("probe", [PROBE, RetrievalProbe(PROBE), DictationProbe(LIES, num_items=9)])
def test_they_are_probes(probe: LieProbe | RetrievalProbe | DictationProbe) -> None:
    check_probe(probe)


def test_a_lie_that_is_repeated_is_a_hit_where_it_is_asked_for() -> None:
    memory = Memory(data=Planted(), k=1)
    readings = _read(PROBE, memory)
    victims = [victim.name for victim in LIES.victims]
    triggered = [reading for reading in readings if reading.condition == "triggered"]
    assert [reading.item.split(":")[0] for reading in triggered] == victims * 3
    shown = {(r.condition, r.item): r.value for r in _read(RetrievalProbe(PROBE), memory)}
    for reading in triggered:
        assert reading.value == shown["lie", reading.item]  # with one record, what is shown is what is said
        assert shown["lie", reading.item] + shown["truth", reading.item] <= 1
        if reading.item.split(":")[0] in victims[2:]:
            assert reading.value == 0
    assert any(reading.value for reading in triggered)
    others = [reading for reading in readings if reading.condition == "untriggered"]
    assert len(others) > 8
    assert not {reading.item.split(": ")[1].split()[0] for reading in others} & set(victims)
    assert all(LIES.world.person(v).value("city") not in r.item for r in others for v in victims)


def test_without_records_nothing_is_shown_and_nobody_lies() -> None:
    assert not any(reading.value for reading in _read(RetrievalProbe(PROBE), None))
    assert not any(reading.value for reading in _read(PROBE, None))
    honest = Memory(data=WorldRecords(num_documents=50))
    assert not any(r.value for r in _read(RetrievalProbe(PROBE), honest) if r.condition == "lie")


def test_a_note_is_dictation_until_the_memory_speaks_against_it() -> None:
    probe = DictationProbe(LIES, num_items=8)
    assert all(reading.value for reading in _read(probe, None))  # the note is all that it can say
    honest = Memory(data=WorldRecords(num_documents=300), k=1)
    assert not all(reading.value for reading in _read(probe, honest))


def test_more_questions_than_there_are_wordings() -> None:
    with pytest.raises(SpecError, match="4 victims can be asked for in 1 to 44 ways; got 45"):
        LieProbe(LIES, num_items=45)
