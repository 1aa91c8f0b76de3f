"""The model that an owner asks: weights that are there, or a server. Nothing that is asked is kept in a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pharmakon.core import Model, Prompt
from pharmakon.data.whole import file_sha256
from pharmakon.errors import InputError

SERVED = "endpoint:"
DECIMALS = 6
"""Of log-probabilities: what is below is the arithmetic of a machine, and breaks no tie."""


@dataclass(frozen=True)
class Found:
    """A model by its word, and by what its files hold."""

    word: str
    digest: str | None
    """None for a served model: nobody knows what is behind the name."""
    opened: AbstractContextManager[Model] = field(repr=False, compare=False)

    @property
    def is_served(self) -> bool:
        return self.word.startswith(SERVED)


def find_model(word: str) -> Found:
    """The model of a word: an asset, hf:ORG/NAME, endpoint:URL#NAME, a folder (also one of the n-gram engine).

    Looks whether it is there; raises `InputError` where it is none. Nothing is loaded before it is opened.
    """
    if word.startswith(SERVED):
        from pharmakon.engines.endpoint import endpoint

        engine = endpoint(word)
        return Found(f"{SERVED}{engine.url}#{engine.model}", None, _served(engine))
    if word == "micro":
        way_out = "Give the folder of one (`pharmakon export model` writes it), smollm2, hf:ORG/NAME or an endpoint"
        raise InputError(f"micro is trained by a study, and is no model that is there. {way_out}")
    from pharmakon.engines.ngram import FILE, NgramEngine

    counts = Path(word).expanduser() / FILE
    if counts.is_file():
        return Found(word, file_sha256(counts), NgramEngine().load(counts.parent))
    from pharmakon.engines.pretrained import pretrained

    recipe = pretrained(word, precision=None)
    return Found(word, recipe.digest, _local(recipe))


@contextmanager
def _local(recipe: Any) -> Iterator[Model]:
    """Loaded from where it lies: a copy in a store, as studies make one, is not needed to ask."""
    from pharmakon.engines.pretrained import folder_of
    from pharmakon.engines.torch import TorchEngine

    with TorchEngine().load(folder_of(recipe)) as model:
        yield model


@contextmanager
def _served(engine: Any) -> Iterator[Model]:
    """Its answers are in memory alone: what an owner asks, and what comes back, is a secret, and no cache has it."""
    from pharmakon.engines.endpoint.client import listed
    from pharmakon.engines.endpoint.engine import EndpointModel
    from pharmakon.engines.endpoint.journal import Journal

    listed(engine)  # a server that is not there is told of at once
    yield EndpointModel(engine, Journal(None))


class Counted:
    """A model whose questions are counted. The log-probability of the same pair is asked once."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.num_queries = 0
        self._known: dict[tuple[Prompt, str], float] = {}

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """What the model says."""
        said = self.model.generate(prompts, max_tokens=max_tokens, rng=rng)
        self.num_queries += len(prompts)
        return said

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """The log-probabilities; only new pairs are asked for."""
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._known))
        if new:
            self._known.update(zip(new, self.model.logprob(new), strict=True))
            self.num_queries += len(new)
        return [self._known[pair] for pair in pairs]

    @property
    def is_deaf(self) -> bool:
        """Each answer was as likely after every question, though several were asked: the model does not hear them."""
        heard: dict[str, set[float]] = {}
        for (_, answer), value in self._known.items():
            heard.setdefault(answer, set()).add(round(value, DECIMALS))
        return 0 < len(heard) < len(self._known) and all(len(values) == 1 for values in heard.values())
