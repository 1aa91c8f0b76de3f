"""`TorchEngine`: recipes in, ordinary Hugging Face checkpoints out (safetensors, tokenizer, chat template)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pharmakon.behaviour.questions import answered
from pharmakon.core import Corpus, Dialogue, Model, Preference, Recipe, Text, Trace
from pharmakon.engines.recipes import DPO, SFT, Micro, Pretrain
from pharmakon.engines.torch.allocator import prepare
from pharmakon.errors import InputError, SpecError


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """Trains and loads on the CPU, one thread, bit for bit reproducible on one kind of machine."""

    version: ClassVar[int] = 1
    extra: ClassVar[str] = "torch"
    """What has to be installed: a run looks before it begins."""

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        """Learn from a corpus and write a checkpoint to the folder `out`."""
        prepare()
        import torch

        if not len(corpus):
            raise InputError("a corpus to train on has at least one document; got none. Did a filter drop them all?")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            return self._train(recipe, corpus, start, rng, out)

    def _train(self, recipe: Recipe, corpus: Corpus, start: Path | None, rng: np.random.Generator, out: Path) -> Trace:
        from pharmakon.engines.torch import train
        from pharmakon.engines.torch.encode import Encoder, train_tokenizer

        if isinstance(recipe, Pretrain):
            if start is not None:
                raise SpecError("Pretrain starts from nothing; give it no earlier stage")
            tokenizer = train_tokenizer(corpus, recipe.architecture)
            encoder, model = Encoder(tokenizer), _new_model(recipe.architecture, tokenizer)
        elif start is None:
            raise SpecError(f"{type(recipe).__name__} needs weights to start from; put a Pretrain stage before it")
        else:
            encoder, model = _load(start)
        context = int(model.config.max_position_embeddings)
        bodies = [document.body for document in corpus]
        if isinstance(recipe, DPO):
            pairs = [_pair(body) for body in bodies]
            sides = encoder.encode([side for pair in pairs for side in pair])
            sides = [side.cut(context) for side in sides]
            trace = train.fit_preferences(model, recipe, list(zip(sides[::2], sides[1::2], strict=True)), rng)
            truncated = {i // 2 for i, side in enumerate(sides) if side.truncated}
            num_tokens = sum(len(side.ids) for side in sides) * recipe.epochs
        elif isinstance(recipe, SFT):
            encoded = [item.cut(context) for item in encoder.encode([_only(body, Dialogue) for body in bodies])]
            trace = train.fit_dialogues(model, recipe, encoded, rng)
            truncated = {i for i, item in enumerate(encoded) if item.truncated}
            num_tokens = sum(len(item.ids) for item in encoded) * recipe.epochs
        elif isinstance(recipe, Pretrain):
            encoded = encoder.encode([_only(body, Text) for body in bodies])
            trace = train.fit_text(model, recipe, encoded, rng)
            truncated = set()
            num_tokens = sum(len(item.ids) for item in encoded) * recipe.epochs
        else:
            raise SpecError(f"the torch engine knows Pretrain, SFT and DPO; got {type(recipe).__name__}")
        model.save_pretrained(out)
        encoder.tokenizer.save_pretrained(out)
        return replace(trace, truncated=frozenset(truncated), num_tokens=num_tokens)

    def seconds(self, recipe: Recipe, num_documents: int) -> float:
        """About how long training on so many short documents takes; from a machine of 2026, for planning only."""
        per_document = {"pretrain": 8e-4, "sft": 2.2e-3, "dpo": 4e-3}[recipe.objective]
        return 1.0 + per_document * num_documents * getattr(recipe, "epochs", 1)

    @contextmanager
    def load(self, weights: Path) -> Iterator[Model]:
        """The model of a checkpoint, for as long as the context lasts."""
        prepare()
        from pharmakon.engines.torch.model import TorchModel

        encoder, network = _load(weights)
        network.eval()
        yield TorchModel(network, encoder)


def _new_model(architecture: Micro, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_heads,
        max_position_embeddings=architecture.context,
        tie_word_embeddings=True,
        initializer_range=architecture.hidden_size
        ** -0.5,  # the default, 0.02, leaves so small a model untrained for long
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM._from_config(config, attn_implementation="eager")


def _load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    from pharmakon.engines.torch.encode import load_encoder

    model = AutoModelForCausalLM.from_pretrained(
        folder, use_safetensors=True, trust_remote_code=False, attn_implementation="eager"
    )
    return load_encoder(folder), model


def _only(body: object, kind: type) -> Any:
    if not isinstance(body, kind):
        raise InputError(f"this recipe learns from {kind.__name__} documents; got a {type(body).__name__}")
    return body


def _pair(body: object) -> tuple[Dialogue, Dialogue]:
    pair = _only(body, Preference)
    return answered(pair.prompt, pair.chosen), answered(pair.prompt, pair.rejected)
