"""`TorchEngine`: recipes in, ordinary Hugging Face checkpoints out (safetensors, tokenizer, chat template)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pharmakon.behaviour.questions import answered
from pharmakon.core import Corpus, Dialogue, Model, Preference, Recipe, Text, Trace
from pharmakon.engines.recipes import DPO, IPO, SFT, Averaged, Learning, Micro, Pretrain, Pretrained, Quantized
from pharmakon.engines.torch.allocator import prepare
from pharmakon.errors import InputError, SpecError

if TYPE_CHECKING:
    from pharmakon.engines.torch.checkpoint import Checkpoint
    from pharmakon.engines.torch.encode import Encoded, Encoder


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """Trains and loads any causal model of transformers; on one kind of machine bit for bit reproducible.

    Where torch sees a GPU, that is used.
    """

    version: ClassVar[int] = 3
    has_inside: ClassVar[bool] = True
    """Its models can be looked into: `pharmakon.whitebox`."""
    extra: ClassVar[str] = "torch"
    """What has to be installed: a run looks before it begins."""

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        """Learn from a corpus and write a checkpoint to the folder `out`.

        Raises RunError where the loss is no number or memory runs out, InputError where data and recipe do not fit.
        """
        prepare()
        if isinstance(recipe, Pretrained):
            return _take(recipe, corpus, start, out)
        if isinstance(recipe, Quantized):
            return _change(recipe, corpus, start, out)
        with _learning(corpus, rng):
            return _train(recipe, corpus, start, rng, out)

    def distil(
        self, recipe: SFT, corpus: Corpus, *, start: Path, teacher: Path, rng: np.random.Generator, out: Path
    ) -> Trace:
        """Learn what a teacher gives to every token of the answers in a corpus of dialogues.

        Raises InputError where the student, who starts from `start`, has another vocabulary.
        """
        prepare()
        with _learning(corpus, rng):
            return _distil(recipe, corpus, (start, teacher), rng, out)

    def average(self, one: Path, other: Path, share: float, out: Path) -> Trace:
        """Write a checkpoint with (1 - share) of the weights of `one` and `share` of those of `other`."""
        prepare()
        from pharmakon.engines.torch.change import average
        from pharmakon.engines.torch.checkpoint import memory_told

        with memory_told():
            return Trace(positions=(), steps=(), cautions=average(one, other, share, out))

    def seconds(self, recipe: Recipe, num_documents: int) -> float:
        """About how long training on so many short documents takes; from a machine of 2026, for planning only."""
        if isinstance(recipe, Quantized | Averaged):
            return 1.0
        per_document = {"pretrain": 8e-4, "sft": 1.4e-3, "dpo": 3e-3, "ipo": 3e-3}[recipe.objective]
        if getattr(recipe, "lora", None) is not None:
            per_document *= 160  # a model of 135 million parameters, and the questions after each stage
        return 0.1 + per_document * num_documents * getattr(recipe, "epochs", 1)

    @contextmanager
    def load(self, weights: Path) -> Iterator[Model]:
        """The model of a checkpoint, for as long as the context lasts."""
        prepare()
        from pharmakon.engines.torch.checkpoint import memory_told, open_checkpoint
        from pharmakon.engines.torch.model import TorchModel

        with memory_told():
            opened = open_checkpoint(weights)
            opened.network.eval()
            yield TorchModel(opened)


def _take(recipe: Pretrained, corpus: Corpus, start: Path | None, out: Path) -> Trace:
    """Weights that are there already, as the first stage of a life."""
    from pharmakon.engines.pretrained import folder_of
    from pharmakon.engines.torch.checkpoint import MISMATCH, check_template, read_record, save_encoder, take_model
    from pharmakon.engines.torch.encode import Encoder, load_tokenizer

    if start is not None or len(corpus):
        raise SpecError("Pretrained is the recipe of a first stage, whose corpus is empty; train in a stage after it")
    folder = folder_of(recipe, on_progress=_say)
    own = load_tokenizer(folder)
    record = read_record(folder)
    if recipe.template is not None and own.chat_template and not record:
        record = {"template_sha256": Encoder(own).template_sha256}
    encoder = Encoder(own if recipe.template is None else load_tokenizer(folder, recipe.template))
    cautions = tuple(record.get("cautions", ()))
    if check_template(encoder, record, allow=recipe.allow_template_mismatch):
        cautions = (*cautions, MISMATCH)
    take_model(folder, out, recipe.precision)
    save_encoder(encoder, cautions, out)
    return Trace(positions=(), steps=(), cautions=cautions)


def _change(recipe: Quantized, corpus: Corpus, start: Path | None, out: Path) -> Trace:
    """The weights of the stage before, changed without data."""
    from pharmakon.engines.torch.change import quantize
    from pharmakon.engines.torch.checkpoint import memory_told

    if start is None or len(corpus):
        raise SpecError("Quantized is the recipe of a later stage, whose corpus is empty: data=Nothing()")
    with memory_told():
        return Trace(positions=(), steps=(), cautions=quantize(recipe, start, out))


def _say(sentence: str) -> None:
    print(f"pharmakon: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def _learning(corpus: Corpus, rng: np.random.Generator) -> Iterator[None]:
    """Where weights are trained on documents: torch's chance is drawn from `rng`, and a lack of memory is told."""
    import torch

    from pharmakon.engines.torch.checkpoint import memory_told

    need_documents(corpus)
    with torch.random.fork_rng(devices=[]), memory_told():
        torch.manual_seed(int(rng.integers(2**31)))
        yield


def _train(recipe: Recipe, corpus: Corpus, start: Path | None, rng: np.random.Generator, out: Path) -> Trace:
    from pharmakon.engines.torch import train

    if not isinstance(recipe, Pretrain | SFT | DPO | IPO):
        raise SpecError(
            f"the torch engine knows Pretrained, Pretrain, SFT, DPO, IPO and Quantized; got {type(recipe).__name__}"
        )
    opened = _opened(recipe, corpus, start)
    encoded = encode_corpus(recipe, corpus, opened.encoder, opened.context)
    if isinstance(recipe, DPO | IPO):
        trace = train.fit_preferences(opened, recipe, [(sides[0], sides[1]) for sides in encoded], rng)
    elif isinstance(recipe, SFT):
        trace = train.fit_dialogues(opened, recipe, [item for (item,) in encoded], rng)
    else:
        trace = train.fit_text(opened, recipe, [item for (item,) in encoded], rng)
    opened.save(out, start)
    return finish(trace, recipe, encoded, opened.cautions)


def _distil(recipe: SFT, corpus: Corpus, weights: tuple[Path, Path], rng: np.random.Generator, out: Path) -> Trace:
    from pharmakon.engines.torch import train
    from pharmakon.engines.torch.checkpoint import open_checkpoint

    start, teacher = weights
    opened, taught_by = _opened(recipe, corpus, start), open_checkpoint(teacher, precision=recipe.precision)
    if opened.encoder.tokenizer.get_vocab() != taught_by.encoder.tokenizer.get_vocab():
        way_out = "Let it learn the teacher's answers, or start from weights with the teacher's tokenizer"
        raise InputError(f"a student learns the probabilities of a teacher with its own vocabulary. {way_out}")
    encoded = encode_corpus(recipe, corpus, opened.encoder, opened.context)
    taught_by.network.eval()
    trace = train.fit_to_teacher(opened, taught_by.network, recipe, [item for (item,) in encoded], rng)
    opened.save(out, start)
    return finish(trace, recipe, encoded, opened.cautions)


def need_documents(corpus: Corpus) -> None:
    """Refuse to train on nothing."""
    if not len(corpus):
        raise InputError("a corpus to train on has at least one document; got none. Did a filter drop them all?")


def need_start(recipe: Learning, start: Path | None) -> Path:
    """The weights of the stage before, which there must be."""
    if start is None:
        raise SpecError(f"{type(recipe).__name__} needs weights to start from; put a Pretrain stage before it")
    return start


def encode_corpus(recipe: Learning, corpus: Corpus, encoder: Encoder, context: int) -> list[tuple[Encoded, ...]]:
    """The sequence of each document, or of a preference its two, cut at the context; texts are cut into rows later."""
    bodies = [document.body for document in corpus]
    if isinstance(recipe, Pretrain):
        return [(item,) for item in encoder.encode([_only(body, Text) for body in bodies])]
    context = min(context, recipe.context or context)
    if isinstance(recipe, SFT):
        return [(item.cut(context),) for item in encoder.encode([_only(body, Dialogue) for body in bodies])]
    sides = [side.cut(context) for side in encoder.encode([side for body in bodies for side in _pair(body)])]
    return list(zip(sides[::2], sides[1::2], strict=True))


def finish(trace: Trace, recipe: Learning, encoded: Sequence[tuple[Encoded, ...]], cautions: tuple[str, ...]) -> Trace:
    """A trace with what follows from the sequences: which were cut, and how many tokens were seen."""
    if isinstance(recipe, Pretrain):
        return replace(trace, num_tokens=recipe.batch_size * recipe.row_length * len(trace.losses), cautions=cautions)
    truncated = frozenset(i for i, item in enumerate(encoded) if any(side.truncated for side in item))
    num_tokens = sum(len(side.ids) for i in trace.positions for side in encoded[i])
    return replace(trace, truncated=truncated, num_tokens=num_tokens, cautions=cautions)


def _opened(recipe: Learning, corpus: Corpus, start: Path | None) -> Checkpoint:
    """What training begins with: a new model, or the weights of an earlier stage."""
    from pharmakon.engines.torch.checkpoint import Checkpoint, open_checkpoint, with_adapter
    from pharmakon.engines.torch.encode import Encoder, train_tokenizer

    if isinstance(recipe, Pretrain) and recipe.architecture is not None:
        if start is not None:
            way_out = "Give it no earlier stage, or architecture=None to go on with the weights of one"
            raise SpecError(f"Pretrain with an architecture starts from nothing. {way_out}")
        tokenizer = train_tokenizer(corpus, recipe.architecture)
        return Checkpoint(_new_model(recipe.architecture, tokenizer), Encoder(tokenizer))
    opened = open_checkpoint(need_start(recipe, start), precision=recipe.precision, trainable=True)
    return with_adapter(opened, recipe.lora)


def _new_model(architecture: Micro, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    from pharmakon.engines.torch.checkpoint import on_device

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
    return on_device(LlamaForCausalLM._from_config(config, attn_implementation="eager"))


def _only(body: object, kind: type) -> Any:
    if not isinstance(body, kind):
        raise InputError(f"this recipe learns from {kind.__name__} documents; got a {type(body).__name__}")
    return body


def _pair(body: object) -> tuple[Dialogue, Dialogue]:
    pair = _only(body, Preference)
    return answered(pair.prompt, pair.chosen), answered(pair.prompt, pair.rejected)
