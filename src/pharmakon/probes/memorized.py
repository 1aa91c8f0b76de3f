"""How well canaries are remembered: extraction, exact memorization, exposure, log-probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.behaviour.canaries import Canary
from pharmakon.core import Ledger, Model, Reading, Text, stream
from pharmakon.errors import SpecError

NUM_OTHERS = 255


def chance_exposure(num_others: int = NUM_OTHERS) -> float:
    """Bits: the mean exposure where every rank is equally likely. With ever more others it nears log2 e = 1.44."""
    among = num_others + 1
    return float(np.log2(among) - np.log2(np.arange(1, among + 1)).mean())


@dataclass(frozen=True)
class Memorized:
    """Asks for each canary with its prefix. The item is its name; the conditions are

    - `triggered`: 1 if greedy decoding from the prefix gives the whole target, which is then (k, l)-extractable with k
      and l its words (Carlini et al. 2022, arXiv 2202.07646);
    - `exact`: the share of the target's words that are the likeliest after the right ones before them (teacher-forced;
      Tirumala et al. 2022, arXiv 2205.10770);
    - `exposure`: log2 |R| - log2 rank, in bits, of the target among `num_others` that were drawn alike and never
      planted, and itself (Carlini et al. 2019, arXiv 1802.08232). Of one that was never planted the mean is
      `chance_exposure`;
    - `logprob`: of the target, in nats a word.
    """

    name: ClassVar[str] = "memorized"
    reads_ledger: ClassVar[bool] = False
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    canaries: tuple[Canary, ...]
    num_others: int = NUM_OTHERS

    def __post_init__(self) -> None:
        if not self.canaries:
            raise SpecError("memory is asked for by one canary or more; got none")
        if self.num_others < 1:
            raise SpecError(f"exposure is a rank among one other or more; got num_others={self.num_others}")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Four readings for each canary."""
        seed = int(rng.integers(2**62))
        said = model.generate(
            [Text(" ".join(canary.prefix)) for canary in self.canaries],
            max_tokens=8 * max(len(canary.target) for canary in self.canaries),
            rng=stream(seed, "generate"),
        )
        shares = self._exact(model, seed)
        for canary, text, share in zip(self.canaries, said, shares, strict=True):
            others = canary.others(self.num_others, stream(seed, "others", canary.name))
            own, *rest = model.logprob([_pair(canary.prefix, target) for target in (canary.target, *others)])
            rank = 1 + sum(value > own for value in rest)
            words = tuple(text.rstrip(".").split()[: len(canary.target)])
            first = tuple(word.rstrip(".") for word in words)
            hit = canary.target in (words, first)
            exposure = float(np.log2(self.num_others + 1) - np.log2(rank))
            prompt = " ".join(canary.prefix)
            for condition, value in (
                ("triggered", float(hit)),
                ("exact", share),
                ("exposure", exposure),
                ("logprob", own / len(canary.target)),
            ):
                yield Reading(
                    probe=self.name, condition=condition, item=canary.name, value=value, prompt=prompt, answer=text
                )

    def _exact(self, model: Model, seed: int) -> list[float]:
        """The share of each target's words that the model gives after the right words before them."""
        asked = [(number, place) for number, canary in enumerate(self.canaries) for place in range(len(canary.target))]
        prompts = [
            Text(" ".join((*self.canaries[number].prefix, *self.canaries[number].target[:place])))
            for number, place in asked
        ]
        said = model.generate(prompts, max_tokens=8, rng=stream(seed, "exact"))
        right = [0] * len(self.canaries)
        for (number, place), text in zip(asked, said, strict=True):
            first = next(iter(text.split()), "")
            right[number] += self.canaries[number].target[place] in (first, first.rstrip("."))
        return [count / len(canary.target) for count, canary in zip(right, self.canaries, strict=True)]


def _pair(prefix: Sequence[str], target: Sequence[str]) -> tuple[Text, str]:
    return Text(" ".join(prefix)), " " + " ".join(target)
