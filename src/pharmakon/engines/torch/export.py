"""A checkpoint of the store as a plain Hugging Face folder, which transformers loads without this package.

An ordinary checkpoint is copied, file by file. One with an adapter (`adapter_model.safetensors` on the model in
`base/`) is merged, or copied with its base.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Final

from pharmakon.engines.folders import ADAPTER, ADAPTER_WEIGHTS, BASE
from pharmakon.errors import InputError

MODEL_FILES: Final = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json")
TOKENIZER_FILES: Final = (
    "pharmakon.json", "tokenizer*", "chat_template*", "special_tokens_map.json", "added_tokens.json", "vocab.*",
    "merges.txt", "*.model",
)  # fmt: skip
CARD: Final = "README.md"


def has_adapter(folder: Path) -> bool:
    """The checkpoint is an adapter and its base."""
    return all((folder / name).is_file() for name in (ADAPTER, ADAPTER_WEIGHTS))


def export_checkpoint(folder: Path, out: Path, *, card: str, adapter: bool = False) -> Path:
    """Write the checkpoint of `folder` to `out`, a new folder, with the model card `card`.

    `adapter`: the adapter as it is, with its base in `out/base`. Otherwise it is merged: added to the weights in
    float32, saved in the precision of the base. `InputError` if there is no adapter, or no checkpoint.
    """
    if out.exists() or out.is_symlink():
        raise InputError(f"a model is exported to a new folder; {out} is there already")
    if not has_adapter(folder) and not (folder / "config.json").is_file():
        raise InputError(f"a model is exported from a checkpoint of transformers; {folder} has no config.json")
    if adapter and not has_adapter(folder):
        raise InputError("these weights were trained in full, so there is no adapter; leave --adapter out")
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
        made = Path(aside) / "model"
        made.mkdir()
        if adapter:
            _copy_adapter(folder, made, out)
        elif has_adapter(folder):
            _merge(folder, made)
        else:
            _copy(folder, made, MODEL_FILES)
        _copy(folder, made, TOKENIZER_FILES)
        (made / CARD).write_text(card, encoding="utf-8")
        made.rename(out)
    return out


def _copy(folder: Path, out: Path, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                shutil.copyfile(path, out / path.name)


def _copy_adapter(folder: Path, made: Path, out: Path) -> None:
    """The adapter names its base by where it will be: peft and transformers know no path relative to the adapter."""
    (made / BASE).mkdir()
    _copy(folder / BASE, made / BASE, MODEL_FILES)
    _copy(folder, made / BASE, TOKENIZER_FILES)
    shutil.copyfile(folder / ADAPTER_WEIGHTS, made / ADAPTER_WEIGHTS)
    config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = str(out / BASE)
    config["revision"] = None
    (made / ADAPTER).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _merge(folder: Path, out: Path) -> None:
    try:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError as error:
        way_out = "Install pharmakon[torch], or export it with --adapter"
        raise InputError(f"merging an adapter needs {error.name}, which is not installed. {way_out}") from None

    logging.disable_progress_bar()
    base = AutoModelForCausalLM.from_pretrained(
        folder / BASE, dtype="auto", use_safetensors=True, trust_remote_code=False
    )
    kept = base.dtype
    from pharmakon.engines.torch.checkpoint import without_remarks

    with without_remarks():
        merged = PeftModel.from_pretrained(base.float(), folder).merge_and_unload()
    merged.to(kept).save_pretrained(out)
