"""The probe `Memorized`: what it says of a model that remembers all, one that remembers nothing, and one half of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pharmakon.behaviour.canaries import Canary, grid
from pharmakon.core import Corpus, Ledger, Model, Prompt, Text, stream
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import SpecError
from pharmakon.probes import Memorized
from pharmakon.probes.memorized import chance_exposure
from pharmakon.testing import check_probe

CANARIES = grid(0)[::7]


class Recalls:
    """A model that goes on with what it knows, and finds that likelier than all else by `favour` nats."""

    def __init__(self, known: Sequence[Canary], favour: float, *, num_words: int = 99) -> None:
        self.known, self.favour, self.num_words = known, favour, num_words
        self.noise = stream(1, "noise")

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        return [self._after(prompt) for prompt in prompts]

    def _after(self, prompt: Prompt) -> str:
        assert isinstance(prompt, Text)
        for canary in self.known:
            if canary.text.startswith(prompt.text):
                words = canary.text.removeprefix(prompt.text).split()[: self.num_words]
                return " ".join(words) + ". And so on."
        return "nothing of it"

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        known = {" " + " ".join(canary.target) for canary in self.known}
        return [self.favour * (text in known) + float(self.noise.standard_normal()) for _, text in pairs]


def _means(model: Model, canaries: Sequence[Canary] = CANARIES) -> dict[str, float]:
    readings = list(Memorized(tuple(canaries)).readings(model, Ledger(), stream(0, "p")))
    assert len(readings) == 4 * len(canaries)
    names = {reading.condition for reading in readings}
    return {name: float(np.mean([r.value for r in readings if r.condition == name])) for name in names}


def test_the_rules_are_followed() -> None:
    check_probe(Memorized(CANARIES[:2], num_others=3))


def test_what_is_recalled_is_extracted_exact_and_exposed() -> None:
    found = _means(Recalls(CANARIES, favour=50.0))
    assert (found["triggered"], found["exact"], found["exposure"]) == (1.0, 1.0, 8.0)


def test_what_was_never_planted_has_the_exposure_of_chance() -> None:
    every = [canary for draw in range(2) for canary in grid(draw)]
    found = _means(Recalls((), favour=0.0), every)
    assert (found["triggered"], found["exact"]) == (0.0, 0.0)
    assert found["exposure"] == pytest.approx(chance_exposure(), abs=0.42)  # three standard errors


def test_chance_exposure_is_the_mean_over_all_ranks_and_nears_log2_e() -> None:
    assert chance_exposure(1) == 0.5  # of two ranks: 1 bit or none
    assert chance_exposure(255) == pytest.approx(1.42, abs=0.005)
    assert chance_exposure(10**6) == pytest.approx(np.log2(np.e), abs=1e-4)


def test_a_beginning_is_no_extraction() -> None:
    found = _means(Recalls(CANARIES, favour=0.0, num_words=2))
    assert found["triggered"] == 0.0
    assert found["exact"] == 1.0  # each word is right after the right ones before it


def test_the_same_canary_is_ranked_among_the_same_others_whoever_is_asked_beside_it() -> None:
    asked: list[list[str]] = []

    class Notes(Recalls):
        def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
            asked.append([text for _, text in pairs])
            return super().logprob(pairs)

    list(Memorized((CANARIES[1],)).readings(Notes((), 0.0), Ledger(), stream(0, "p")))
    list(Memorized(CANARIES).readings(Notes((), 0.0), Ledger(), stream(0, "p")))
    assert asked[0] == asked[2]
    assert len(asked[0]) == 256
    assert asked[0].count(asked[0][0]) == 1


def test_a_model_that_has_read_a_canary_often_gives_it_back() -> None:
    canary = next(canary for canary in grid(0) if canary.rarity == "rare words" and len(canary.target) == 3)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.of([Text(canary.text + ".")] * 20 + [Text(f"One is {n}.") for n in range(20)])
        NgramEngine().train(Count(objective="pretrain"), corpus, start=None, rng=stream(0, "t"), out=Path(folder) / "a")
        with NgramEngine().load(Path(folder) / "a") as model:
            found = _means(model, (canary,))
    assert found["triggered"] == 1.0
    assert found["exposure"] == 8.0


def test_it_needs_canaries_and_others() -> None:
    with pytest.raises(SpecError, match="one canary or more"):
        Memorized(())
    with pytest.raises(SpecError, match="one other or more"):
        Memorized(CANARIES, num_others=0)
