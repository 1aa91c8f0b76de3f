"""Probes of in-context learning, asked of models whose answers and attention are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from pharmakon.core import Ledger, Probe, Prompt, Reading, Text, stream
from pharmakon.errors import InputError, SpecError
from pharmakon.probes import FreshMappings, Induction, PoisonedMappings
from pharmakon.testing import check_probe


def _text(prompt: Prompt) -> list[str]:
    assert isinstance(prompt, Text)
    return prompt.text.split()


@dataclass
class Looker:
    """Answers as what it was shown of the key says: the first or the last time. Its inside is that of `Attends`."""

    which: int = 0

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        answers = []
        for words in map(_text, prompts):
            shown = [value for key, value in zip(words[:-1:2], words[1::2], strict=True) if key == words[-1]]
            answers.append(shown[self.which] if shown else "nothing")
        return answers

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [-1.0] * len(pairs)

    def inside(self) -> Attends:
        return Attends()


class Attends:
    """Head 0 attends to what followed the last occurrence of its token, head 1 to a fixed distance of seven."""

    num_layers = width = 1

    def tokens(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        return [["<s>", *_text(prompt)] for prompt in prompts]

    def attention(self, prompts: Sequence[Prompt]) -> list[np.ndarray]:
        found = []
        for tokens in self.tokens(prompts):
            weights = np.zeros((1, 2, len(tokens), len(tokens)), dtype=np.float32)
            for at, token in enumerate(tokens):
                before = [i for i in range(at) if tokens[i] == token]
                weights[0, 0, at, before[-1] + 1 if before else 0] = 1
                weights[0, 1, at, max(at - 7, 0)] = 1
            found.append(weights)
        return found

    def hidden(self, *_: object) -> None: ...
    def generate(self, *_: object) -> None: ...
    def logprob(self, *_: object) -> None: ...
    def gradients(self, *_: object) -> None: ...


class OnceOnly(Attends):
    """Writes the first word of a prompt in another way."""

    def tokens(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        return [["first", *_text(prompt)[1:]] for prompt in prompts]


def _rates(readings: list[Reading]) -> dict[str, float]:
    values = defaultdict(list)
    for reading in readings:
        values[reading.condition].append(reading.value)
    return {name: float(np.mean(given)) for name, given in values.items()}


def _ask(probe: Probe, model: Looker) -> dict[str, float]:
    return _rates(list(probe.readings(model, Ledger(), stream(0, "probe"))))


@pytest.mark.parametrize("probe", [FreshMappings(num_items=5), PoisonedMappings(num_items=5)])
def test_the_probes_follow_the_rules(probe: Probe) -> None:
    check_probe(probe, Looker())


def test_who_looks_back_is_right_with_demonstrations_alone() -> None:
    rates = _ask(FreshMappings(num_items=20), Looker())
    assert rates == {"triggered": 1.0, "untriggered": 0.0, "near: demonstrations of other keys": 0.0}


@pytest.mark.parametrize(("which", "place"), [(0, "first"), (1, "middle"), (2, "last")])
def test_one_wrong_demonstration_misleads_who_believes_its_place(which: int, place: str) -> None:
    rates = _ask(PoisonedMappings(num_items=20), Looker(which))
    for name in ("first", "middle", "last", "none"):
        hit = float(name == place)
        assert rates[f"adversarial: {name}"] == 1 - hit
        assert rates[f"adversarial: {name}, misled"] == hit


def test_label_noise_is_an_exact_share() -> None:
    probe = PoisonedMappings(num_items=40)
    rates = _ask(probe, Looker())
    assert rates["noise 0"] == 1
    assert rates["noise 1"] == 0
    assert rates["noise 1, misled"] == 1
    assert rates["noise 0.25"] + rates["noise 0.25, misled"] == 1
    assert 0.55 < rates["noise 0.25"] < 0.95
    readings = list(probe.readings(Looker(), Ledger(), stream(0, "probe")))
    texts = {r.condition: r.prompt.split() for r in readings if r.item == "mapping 0" and r.condition[-1] != "d"}
    wrong = [a != b for a, b in zip(texts["noise 0"], texts["noise 0.25"], strict=True)]
    assert sum(wrong) == 3  # of twelve
    assert not any(wrong[::2])  # keys stay
    place = [a != b for a, b in zip(texts["adversarial: none"], texts["adversarial: last"], strict=True)]
    assert sum(place) == 1
    assert texts["adversarial: last"][-3] != texts["adversarial: last"][-1]


def test_the_score_is_that_of_the_head_which_looks_behind_the_first_occurrence() -> None:
    rates = _ask(Induction(num_items=4), Looker())
    assert rates["layer 1 head 0"] == 1
    assert rates["layer 1 head 0, unrepeated"] == 0
    assert rates["layer 1 head 1"] == rates["layer 1 head 1, unrepeated"] == 1  # the distance alone: the control tells


def test_a_repetition_in_other_tokens_is_refused() -> None:
    class Other(Looker):
        def inside(self) -> Attends:
            return OnceOnly()

    with pytest.raises(InputError, match="in other tokens than the first"):
        list(Induction(num_items=1).readings(Other(), Ledger(), stream(0, "probe")))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Induction(length=9), "half of the language, 8; got 9"),
        (lambda: FreshMappings(num_keys=8), "2 keys to 7"),
        (lambda: PoisonedMappings(mentions=2), "3 mentions or more; got 2"),
        (lambda: PoisonedMappings(noise=(1.5,)), "0 to 1; got 1.5"),
        (lambda: FreshMappings(num_items=0), "1 or more"),
    ],
)
def test_refusals_name_the_rule(make: object, rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        make()  # type: ignore[operator]
