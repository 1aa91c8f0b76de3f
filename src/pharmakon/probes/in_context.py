"""Does a model learn from its context? The heads that look back, fresh mappings by demonstration, and poisoned ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pharmakon.core import Ledger, Model, Prompt, Reading, Text
from pharmakon.data.symbols import Symbols
from pharmakon.errors import InputError, SpecError
from pharmakon.whitebox import inside

POSITIONS = ("first", "middle", "last")
OTHER_KEYS = "near: demonstrations of other keys"


@dataclass(frozen=True)
class Induction:
    """The induction score of each head: how much it attends from the second occurrence of a token to the token that
    came after the first (prefix matching; Olsson et al. 2022, arXiv 2209.11895), on random sequences said twice.

    `layer 2 head 1`: the mean over the second half of a sequence. `layer 2 head 1, unrepeated`: attention to the same
    places where the second half holds other words: what a head gives to the distance alone.
    """

    name: ClassVar[str] = "induction"
    reads_ledger: ClassVar[bool] = False
    needs_inside: ClassVar[bool] = True

    symbols: Symbols = Symbols()
    num_items: int = 24
    length: int = 8
    """Words of a sequence, at most half of the language."""

    def __post_init__(self) -> None:
        if not 2 <= self.length <= self.symbols.num_words // 2:
            most = self.symbols.num_words // 2
            raise SpecError(f"sequences have 2 words to half of the language, {most}; got {self.length}")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Two readings for each head and sequence. Raises InputError where a repetition has other tokens."""
        drawn = [rng.permutation(self.symbols.num_words).tolist() for _ in range(self.num_items)]
        once = [numbers[: self.length] for numbers in drawn]
        others = [numbers[self.length : 2 * self.length] for numbers in drawn]
        looked = inside(model)
        for suffix, second in (("", once), (", unrepeated", others)):
            prompts = [self.symbols.text([*a, *b]) for a, b in zip(once, second, strict=True)]
            tokens, first = looked.tokens(prompts), looked.tokens([self.symbols.text(part) for part in once])
            halves = [len(whole) - len(part) for whole, part in zip(tokens, first, strict=True)]
            if not suffix and any(t[-2 * n : -n] != t[-n:] for t, n in zip(tokens, halves, strict=True)):
                raise InputError("this model writes a repeated sequence in other tokens than the first; take another")
            for number, (weights, size, prompt) in enumerate(
                zip(looked.attention(prompts), halves, prompts, strict=True)
            ):
                end = weights.shape[-1]
                looking = np.arange(end - size, end - 1)
                for layer, heads in enumerate(weights):
                    for head, matrix in enumerate(heads):
                        yield Reading(
                            probe=self.name,
                            condition=f"layer {layer + 1} head {head}{suffix}",
                            item=f"sequence {number}",
                            value=float(matrix[looking, looking - size + 1].mean()),
                            prompt=prompt.text,
                        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    condition: str
    item: int
    prompt: Text
    right: str
    wrong: str = ""
    """What a poisoned demonstration of the asked key shows, where there is one."""


@dataclass(frozen=True)
class _Mappings:
    """Mappings that no training ever showed: each item draws its own keys, values and order."""

    reads_ledger: ClassVar[bool] = False

    symbols: Symbols = Symbols()
    num_items: int = 100
    num_keys: int = 4
    mentions: int = 3
    """Of each key."""
    max_tokens: int = 1

    def __post_init__(self) -> None:
        if self.num_keys < 2 or not (2 * self.num_keys + 2 <= self.symbols.num_words):
            most = self.symbols.num_words // 2 - 1
            raise SpecError(f"a mapping has 2 keys to {most} in this language; got {self.num_keys}")
        if self.mentions < 1 or self.num_items < 1:
            raise SpecError(f"mentions and items are 1 or more; got {self.mentions} and {self.num_items}")

    def _drawn(self, rng: np.random.Generator) -> tuple[list[int], list[int], list[int]]:
        """Keys, values, and two words that the mapping does not have."""
        chosen = rng.choice(self.symbols.num_words, 2 * self.num_keys + 2, replace=False).tolist()
        return chosen[: self.num_keys], chosen[self.num_keys : -2], chosen[-2:]

    def _order(self, rng: np.random.Generator) -> list[int]:
        """Every key once, in a random order, then again."""
        return [key for _ in range(self.mentions) for key in rng.permutation(self.num_keys).tolist()]

    def _answered(self, model: Model, asked: Sequence[_Asked], rng: np.random.Generator) -> list[str]:
        prompts: list[Prompt] = [one.prompt for one in asked]
        answers = model.generate(prompts, max_tokens=self.max_tokens, rng=rng)
        return [(answer.split() or [""])[0] for answer in answers]


@dataclass(frozen=True)
class FreshMappings(_Mappings):
    """Few-shot accuracy: `key value key value … key`, and the model goes on; the value is 1 where it is the key's.

    `triggered`: after demonstrations of every key. `untriggered`: the key alone, without demonstrations. The near
    condition shows as many demonstrations, of other keys: what is right cannot be known there.
    """

    name: ClassVar[str] = "few-shot"

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Three readings for each mapping."""
        drawing, answering = rng.spawn(2)
        asked = [one for number in range(self.num_items) for one in self._asked(number, drawing)]
        for one, answer in zip(asked, self._answered(model, asked, answering), strict=True):
            yield Reading(
                probe=self.name, condition=one.condition, item=f"mapping {one.item}",
                value=float(answer == one.right), prompt=one.prompt.text, answer=answer,
            )  # fmt: skip

    def _asked(self, number: int, rng: np.random.Generator) -> Iterator[_Asked]:
        keys, values, (strange, unshown) = self._drawn(rng)
        shown = [word for key in self._order(rng) for word in (keys[key], values[key])]
        query = int(rng.integers(self.num_keys))
        text, words = self.symbols.text, self.symbols.words
        for condition, numbers, right in (
            ("triggered", [*shown, keys[query]], values[query]),
            ("untriggered", [keys[query]], values[query]),
            (OTHER_KEYS, [*shown, strange], unshown),
        ):
            yield _Asked(condition=condition, item=number, prompt=text(numbers), right=words[right])


@dataclass(frozen=True)
class PoisonedMappings(_Mappings):
    """Fresh mappings some of whose demonstrations are wrong: they show the value of another key.

    `noise 0.25`: so many of all demonstrations are wrong, at random places. `adversarial: first`: of the demonstrations
    of the asked key the first one, in the first round, is wrong, all others are right; `middle` and `last` alike;
    `adversarial: none` has all of them right. The last is never right before the question.

    The value is 1 for the right answer; in the condition with `, misled` behind it, 1 for a value that a wrong
    demonstration of the asked key shows; under `adversarial: none`, for the value that it would have shown.
    """

    name: ClassVar[str] = "poisoned"

    noise: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mentions < 3:
            raise SpecError(f"a first, a middle and a last demonstration are 3 mentions or more; got {self.mentions}")
        if wrong := [share for share in self.noise if not 0 <= share <= 1]:
            raise SpecError(f"label noise is a share of the demonstrations, 0 to 1; got {wrong[0]:g}")

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Two readings for each mapping and condition."""
        drawing, answering = rng.spawn(2)
        asked = [one for number in range(self.num_items) for one in self._asked(number, drawing)]
        for one, answer in zip(asked, self._answered(model, asked, answering), strict=True):
            for condition, hit in (
                (one.condition, answer == one.right),
                (f"{one.condition}, misled", answer in one.wrong.split()),
            ):
                yield Reading(
                    probe=self.name, condition=condition, item=f"mapping {one.item}", value=float(hit),
                    prompt=one.prompt.text, answer=answer,
                )  # fmt: skip

    def _asked(self, number: int, rng: np.random.Generator) -> Iterator[_Asked]:
        keys, values, _ = self._drawn(rng)
        query = int(rng.integers(self.num_keys))
        order, ranks = self._order(rng), rng.permutation(self.num_keys * self.mentions)
        # For each demonstration the value that it shows if it is wrong: that of another key.
        false = [values[(key + 1 + int(rng.integers(self.num_keys - 1))) % self.num_keys] for key in order]

        def put(condition: str, order: list[int], is_wrong: Sequence[bool], false: list[int], lie: int = -1) -> _Asked:
            shown = [false[i] if is_wrong[i] else values[key] for i, key in enumerate(order)]
            numbers = [number for key, value in zip(order, shown, strict=True) for number in (keys[key], value)]
            told = {self.symbols.words[shown[i]] for i, key in enumerate(order) if key == query and is_wrong[i]}
            told |= {self.symbols.words[lie]} if lie >= 0 else set()
            return _Asked(
                condition=condition, item=number, prompt=self.symbols.text([*numbers, keys[query]]),
                right=self.symbols.words[values[query]], wrong=" ".join(sorted(told)),
            )  # fmt: skip

        for share in self.noise:
            num_wrong = round(share * len(order))
            yield put(f"noise {share:g}", order, [bool(rank < num_wrong) for rank in ranks], false)
        if order[-1] == query:  # a key right behind its own demonstration would be a case of its own
            order[-1], order[-2] = order[-2], order[-1]
        shown_at = [i for i, key in enumerate(order) if key == query]
        places = dict(zip(POSITIONS, (shown_at[0], shown_at[len(shown_at) // 2], shown_at[-1]), strict=True))
        lie = values[(query + 1 + int(rng.integers(self.num_keys - 1))) % self.num_keys]
        for name in ("none", *POSITIONS):
            is_wrong = [places.get(name) == i for i in range(len(order))]
            yield put(f"adversarial: {name}", order, is_wrong, [lie] * len(order), lie)
