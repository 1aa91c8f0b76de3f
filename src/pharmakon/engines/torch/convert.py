"""A GGUF file as an ordinary folder of Hugging Face: bfloat16 weights in safetensors, tokenizer, chat template.

Made once, beside the file it is made of:

    ROOT/NAME-SHA8/transformers-VERSION/              config.json, model.safetensors, tokenizer.json, ...
    ROOT/NAME-SHA8/transformers-VERSION/digests.json  the SHA-256 of each; whatever does not agree is made again
"""

from __future__ import annotations

import importlib.util
import io
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any

from pharmakon.data.assets import Asset, OnBytes, fetch, find_cached, locked
from pharmakon.engines.folders import sha256_of
from pharmakon.errors import InputError

RECORD = "digests.json"
NEEDED = ("torch", "transformers", "gguf", "accelerate")
SINGLE_DIGITS = ("smollm",)
"""Names of the pre-tokenizers (`tokenizer.ggml.pre`) that cut digits off singly, before the pattern of GPT-2."""


def converted(
    asset: Asset,
    *,
    version: int,
    cache: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
    on_bytes: OnBytes | None = None,
) -> Path:
    """The converted folder of an asset that is a GGUF file, whole. Any number of processes may call this at once."""
    source = fetch(asset, cache=cache, on_progress=on_progress, on_bytes=on_bytes)
    folder = _folder(source, version)
    if _is_whole(folder):
        return folder
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise InputError(f"the model {asset.name} needs {', '.join(missing)}: pip install 'pharmakon[torch]'")
    try:
        with locked(asset, cache=cache):
            if _is_whole(folder):
                return folder  # another process was faster
            find_cached(asset, cache=cache)  # or has removed it
            if on_progress is not None:
                on_progress(f"{folder} is damaged and is replaced" if folder.exists() else f"converting {source.name}")
            _build(source, folder)
    except OSError as error:
        way_out = "Make room or give rights there, or set PHARMAKON_HOME to another folder"
        raise InputError(f"{asset.name} could not be converted: {error.strerror or error}. {way_out}") from None
    return folder


def find_converted(asset: Asset, *, version: int, cache: Path | None = None) -> Path:
    """The converted folder that is in the cache, whole. Nothing is fetched, nothing converted."""
    folder = _folder(find_cached(asset, cache=cache), version)
    if not _is_whole(folder):
        way_out = f"Convert it: pharmakon assets fetch {asset.name}"
        raise InputError(f"the asset {asset.name} is in the cache, but its conversion is not, or not whole. {way_out}")
    return folder


def _folder(source: Path, version: int) -> Path:
    return source.parent / f"transformers-{version}"


def _build(source: Path, folder: Path) -> None:
    """Under the lock: in a temporary folder, which takes its place in one step."""
    for left in source.parent.glob(".*.part"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
    part = source.with_name(f".{secrets.token_hex(6)}.part")
    try:
        part.mkdir()
        convert_gguf(source, part)
        files = {path.name: sha256_of(path) for path in sorted(part.iterdir())}
        (part / RECORD).write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """All files are there, as they were written."""
    with suppress(OSError, ValueError, KeyError, AttributeError):
        files = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return all(sha256_of(folder / name) == sha256 for name, sha256 in files.items())
    return False


def convert_gguf(source: Path, out: Path) -> None:
    """Write the model of a GGUF file and its tokenizer into a folder that is there."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with _quiet():
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            trust_remote_code=False,
        )
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, trust_remote_code=False)
        # A model that was quantized refuses to be saved, even after its weights are unpacked: hence another one.
        plain = model.config.to_dict()
        for name in ("quantization_config", "_name_or_path", "_model_name_or_path"):
            plain.pop(name, None)
        config = type(model.config).from_dict(plain)
        clean = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        clean.load_state_dict(model.state_dict())
        clean.save_pretrained(out)
        if _pre_tokenizer(source) in SINGLE_DIGITS:
            _cut_digits_off(tokenizer)
        tokenizer.model_max_length = config.max_position_embeddings
        tokenizer.save_pretrained(out)


def _pre_tokenizer(source: Path) -> str:
    from gguf import GGUFReader

    field = GGUFReader(source).get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())


def _cut_digits_off(tokenizer: Any) -> None:
    """transformers reads the merges of a GGUF file, but cuts text by GPT-2's pattern alone.

    The model was trained on single digits, with the white space before them a piece of its own: without this, a number
    after two spaces or a tab has other tokens than in training.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own bars and remarks. One of its bars knows no switch, hence the other standard error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
