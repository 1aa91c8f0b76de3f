"""Checkpoints: ordinary Hugging Face folders, with one file more that says which chat template they learned.

    config.json, model.safetensors          a whole model
    adapter_config.json, adapter_model.safetensors, base/     a LoRA adapter, and the whole model below it
    tokenizer.json, chat_template.jinja …   the tokenizer and its template
    pharmakon.json                          SHA-256 of the template, and whether another one was allowed

Between stages the files of a base are linked, not copied, where the file system can: a hundred adapters hold one base.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pharmakon.engines.folders import ADAPTER, BASE, whole_model
from pharmakon.engines.recipes import LoRA, Precision
from pharmakon.engines.torch.encode import TOKENIZER, Encoder, load_encoder
from pharmakon.engines.torch.head import check_head
from pharmakon.errors import InputError, RunError, SpecError

RECORD = "pharmakon.json"
MISMATCH = (
    "asked with another chat template than the model was tuned with (--allow-template-mismatch): "
    "its rates of success and its utility may be far from what its users see"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network with its encoder, and what the reader of results must know of them."""

    network: Any
    encoder: Encoder
    cautions: tuple[str, ...] = ()

    @property
    def context(self) -> int:
        """Tokens that a row may have."""
        return context_of(self.network.config)

    @property
    def row_length(self) -> int:
        """Tokens of a row in which short sequences share one: attention is cheap beside a wide model's other work."""
        return 96 if self.network.config.hidden_size < 384 else 384

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        known = self.network.generation_config.eos_token_id
        ends = known if isinstance(known, list) else [known]
        return frozenset(end for end in (*ends, self.encoder.tokenizer.eos_token_id) if end is not None)

    def save(self, out: Path, start: Path | None, state: dict[str, Any] | None = None) -> None:
        """Write the folder; of an adapter also its base, linked from the folder `start` that training began with.

        `state`: the weights, where they had to be gathered from several devices.
        """
        # peft would otherwise ask the hub whether the vocabulary of the base has grown.
        options = {"save_embedding_layers": False} if hasattr(self.network, "peft_config") else {}
        self.network.save_pretrained(out, state_dict=state, **options)
        if (out / ADAPTER).is_file():
            if start is None:
                raise SpecError("an adapter needs weights to start from; put a stage with a whole model before it")
            link_model(whole_model(start), out / BASE)
            config = json.loads((out / ADAPTER).read_text(encoding="utf-8"))
            config["base_model_name_or_path"] = BASE
            if isinstance(config["target_modules"], list):
                config["target_modules"].sort()  # a set: in another order in each process
            (out / ADAPTER).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
            (out / "README.md").unlink(missing_ok=True)  # peft's card is a form to fill in
        save_encoder(self.encoder, self.cautions, out)


def context_of(config: Any) -> int:
    """Tokens that a row may have, as a model's configuration says."""
    context = getattr(config, "max_position_embeddings", None)
    if context is None:
        rule = "a model's configuration says how long its context is (max_position_embeddings)"
        raise InputError(f"{rule}; {type(config).__name__} does not. Add it to config.json")
    return int(context)


def save_encoder(encoder: Encoder, cautions: tuple[str, ...], out: Path) -> None:
    """The tokenizer with its template, and the record that says which template it is."""
    encoder.tokenizer.save_pretrained(out)
    record = {"template_sha256": encoder.template_sha256, "cautions": cautions}
    (out / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def open_checkpoint(folder: Path, *, precision: Precision | None = None, trainable: bool = False) -> Checkpoint:
    """The checkpoint of a folder: to be asked, an adapter is merged into its base, as it is when a model is given away.

    `trainable`: the adapter stays one, and goes on learning.

    Raises InputError where the template in the folder is not the one that the model learned.
    """
    encoder, cautions = open_encoder(folder)
    network = open_network(whole_model(folder), precision)
    if (folder / ADAPTER).is_file():
        from peft import PeftModel

        with without_remarks():
            network = PeftModel.from_pretrained(network, folder, is_trainable=trainable)
        network = network if trainable else network.merge_and_unload()
    return Checkpoint(network, encoder, cautions)


def open_encoder(folder: Path) -> tuple[Encoder, tuple[str, ...]]:
    """The encoder of a checkpoint, and what a reader of results must know; refuses as `open_checkpoint` does."""
    encoder = load_encoder(folder)
    record = read_record(folder)
    cautions = tuple(record.get("cautions", ()))
    check_template(encoder, record, allow=MISMATCH in cautions)
    return encoder, cautions


def open_network(folder: Path, precision: Precision | None = None) -> Any:
    """A whole model, in the precision that it was stored in or in another."""
    import torch
    from transformers import AutoModelForCausalLM

    kinds = {"float32": torch.float32, "mixed": torch.float32, "bfloat16": torch.bfloat16, None: "auto"}
    # Deterministic, and told of masks that `sdpa` would have to copy for each layer.
    network = AutoModelForCausalLM.from_pretrained(
        folder, dtype=kinds[precision], use_safetensors=True, trust_remote_code=False, attn_implementation="eager"
    )
    return on_device(network)


def on_device(network: Any) -> Any:
    """The network on a GPU, where torch sees one."""
    import torch

    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def read_record(folder: Path) -> dict[str, Any]:
    """What a folder says of itself; empty for a model of somebody else's."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise InputError(f"{RECORD} of the checkpoint {folder.name} is not JSON; take an undamaged copy") from None
    return record


def check_template(encoder: Encoder, record: dict[str, Any], *, allow: bool = False) -> bool:
    """True if the template is another one than the model learned, and that is allowed."""
    learned = record.get("template_sha256", encoder.template_sha256)
    if learned == encoder.template_sha256:
        return False
    if not allow:
        way_out = "Take that template, or measure all the same with --allow-template-mismatch"
        found = f"it learned {learned[:12]}…, and would be asked with {encoder.template_sha256[:12]}…"
        raise InputError(f"a model is asked with the chat template that it learned (SHA-256): {found}. {way_out}")
    return True


def with_adapter(opened: Checkpoint, lora: LoRA | None) -> Checkpoint:
    """The checkpoint made ready to be trained: as a whole, or an adapter on weights that stay."""
    network = opened.network
    config = getattr(network, "peft_config", {}).get("default")
    if lora is None:
        whole = network if config is None else network.merge_and_unload()
        return replace(opened, network=whole.requires_grad_(True))
    if config is not None:
        if (config.r, config.lora_alpha) != (lora.rank, lora.alpha):
            has, wants = f"rank {config.r}, alpha {config.lora_alpha:g}", f"rank {lora.rank}, alpha {lora.alpha:g}"
            raise SpecError(f"a stage trains the adapter of the one before it ({has}); got {wants}. Give all the same")
        return opened
    from peft import LoraConfig, get_peft_model

    # Every linear layer but the output's.
    settings = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with without_remarks():
        return replace(opened, network=get_peft_model(network, settings))


@contextmanager
def without_remarks() -> Iterator[None]:
    """peft asks transformers by a name that is going away, which transformers would tell in every run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        yield


def take_model(folder: Path, out: Path, precision: Precision | None) -> None:
    """A whole model into `out`: a copy where it has the wanted precision (None: any), else rewritten in it.

    A copy, not a link: the folder is somebody else's, who may write into its files.
    """
    network = open_network(folder, precision)
    check_head(network)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stored = config.get("dtype", config.get("torch_dtype", "float32"))
    if precision is None or stored == ("bfloat16" if precision == "bfloat16" else "float32"):
        link_model(folder, out, copied=True)
    else:
        network.save_pretrained(out)


def link_model(folder: Path, out: Path, *, copied: bool = False) -> None:
    """The files of a whole model in another folder, as links to the same bytes where that can be, or `copied`."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        is_model = path.suffix in (".safetensors", ".json") and not path.name.startswith(
            (*TOKENIZER, "record", "adapter")
        )
        if not is_model or path.name == RECORD:
            continue
        source = path.resolve()  # the cache of a hub holds links
        if copied:
            shutil.copyfile(source, out / path.name)
            continue
        try:
            os.link(source, out / path.name)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EEXIST):
                raise
            shutil.copyfile(source, out / path.name)


@contextmanager
def memory_told() -> Iterator[None]:
    """Turns every way of running out of memory into one sentence."""
    import torch

    sentence = "out of memory; use fewer --workers, a smaller batch, shorter documents, LoRA or a smaller model"
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise RunError(sentence) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise RunError(sentence) from error
        raise
