"""Canaries cross their factors evenly, stand where they are meant to, and are measured as defined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pytest

from pharmakon.behaviour.canaries import LENGTHS, PLACES, PREFIX, RARITIES, REPEATS, TIMES, Canary, grid
from pharmakon.core import Corpus, Dialogue, Dose, Ledger, Prompt, Text, stream
from pharmakon.data.world import WorldText
from pharmakon.errors import SpecError
from pharmakon.interventions import Canaries, administer
from pharmakon.interventions.canaries import carried
from pharmakon.probes import Memorized


def _cell(canary: Canary) -> tuple[object, ...]:
    return canary.rarity, len(canary.target), canary.place, canary.time


def test_nine_draws_cross_every_cell_with_every_number_of_repeats() -> None:
    every = [canary for draw in range(9) for canary in grid(draw)]
    assert len(every) == 9 * len(RARITIES) * len(LENGTHS) * len(PLACES) * len(TIMES)
    assert set(Counter((*_cell(canary), canary.repeats) for canary in every).values()) == {1}
    for draw in range(9):
        own = grid(draw)
        for level in (lambda c: c.rarity, lambda c: len(c.target), lambda c: c.place, lambda c: c.time):
            for value in {level(canary) for canary in own}:
                assert {canary.repeats for canary in own if level(canary) == value} == set(REPEATS)
        assert len({sum(c.repeats for c in own if c.time == time) for time in TIMES}) == 1
    assert not {canary.text for canary in grid(0)} & {canary.text for canary in grid(1)}
    assert grid(3) == grid(3)


def test_documents_carry_each_canary_as_often_as_it_says_and_where() -> None:
    host = WorldText(num_documents=200).corpus(stream(0, "h"))
    poison = Canaries(grid(0))
    _, ledger = administer(
        host, Canaries(grid(0)[:6]), Dose(Canaries(grid(0)[:6]).num_documents),
        edits_rng=stream(0, "e"), placement_rng=stream(0, "p"),
    )  # fmt: skip
    texts = [entry.body.text for entry in ledger.entries if isinstance(entry.body, Text)]
    for canary in grid(0)[:6]:
        assert sum(canary.text in text for text in texts) == canary.repeats
    assert poison.num_documents == 6 * sum(REPEATS)
    for canary in grid(0)[:9]:
        text = carried(canary, "Ann is a baker. Ann lives in Pell. Ann has a kite.")
        assert text.startswith(canary.text) == (canary.place == "start")
        assert text.endswith(canary.text + ".") == (canary.place == "end")
        assert all(part in text for part in ("Ann is a baker", "Ann has a kite"))
    with pytest.raises(SpecError, match="Text alone"):
        next(iter(poison.edits(Corpus.of([Dialogue.ask("a", "b")]), stream(0, "e"))))
    with pytest.raises(SpecError, match="one or more"):
        Canaries(())


@dataclass(frozen=True)
class Remembers:
    """Knows some texts by heart; all else is as likely as it is long."""

    known: tuple[str, ...]

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        said = []
        for prompt in prompts:
            assert isinstance(prompt, Text)
            text = next((text for text in self.known if text.startswith(prompt.text)), "")
            said.append(text[len(prompt.text) :].strip() + ". And so on")
        return said

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        whole = [prompt.text + text for prompt, text in pairs if isinstance(prompt, Text)]
        return [-1.0 if text in self.known else -50.0 - (crc32(text.encode()) % 100_003) / 10_000 for text in whole]


def test_what_is_known_by_heart_is_extracted_exact_and_exposed_and_what_is_not_is_not() -> None:
    canaries = grid(0)[:20]
    known = Remembers(tuple(canary.text for canary in canaries[:10]))
    readings = list(Memorized(canaries, num_others=63).readings(known, Ledger(), stream(0, "r")))
    for number, canary in enumerate(canaries):
        own = {r.condition: r.value for r in readings if r.item == canary.name}
        if number < 10:
            assert own["triggered"] == own["exact"] == 1
            assert own["exposure"] == 6
            assert own["logprob"] == pytest.approx(-1 / len(canary.target))
        else:
            assert own["triggered"] == own["exact"] == 0
            assert 0 <= own["exposure"] <= 6
    assert all(len(canary.prefix) == PREFIX for canary in canaries)


def test_what_was_never_planted_has_the_exposure_of_chance() -> None:
    canaries = tuple(canary for draw in range(9) for canary in grid(draw))
    readings = Memorized(canaries, num_others=255).readings(Remembers(()), Ledger(), stream(0, "r"))
    mean = float(np.mean([r.value for r in readings if r.condition == "exposure"]))
    assert mean == pytest.approx(1.44, abs=0.25)
