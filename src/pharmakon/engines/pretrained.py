"""Models that somebody else trained, by name: an asset, a model of a hub, or a folder.

The recipe holds what the files hold, not where they lie: `pretrained` asks for the digest, `folder_of` for the files
of that digest, and refuses any others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pharmakon.data.assets import ASSETS, Asset, OnBytes, find
from pharmakon.engines.folders import ADAPTER, ADAPTER_WEIGHTS, PICKLES, digest_of, listing
from pharmakon.engines.hub import HubName, commit_of, snapshot
from pharmakon.engines.recipes import Precision, Pretrained
from pharmakon.errors import InputError

CONVERSION = 1
"""The version of `engines.torch.convert`: another one gives other weights or another tokenizer."""


def pretrained(
    model: str,
    *,
    template: str | None = None,
    allow_template_mismatch: bool = False,
    precision: Precision | None = "bfloat16",
) -> Pretrained:
    """The recipe of a first stage whose weights are there already.

    `model` is the name of an asset (`smollm2`), hf:ORG/NAME or hf:ORG/NAME@REVISION, or a folder with a config.json
    and weights in safetensors. `template` is the text of a chat template (Jinja) in place of the tokenizer's own.
    `precision` None keeps the stored one. Nothing is fetched; a hub is asked which commit its name means.
    """
    if template is not None and "{" not in template:
        raise InputError(f"a template is the text of a Jinja chat template; got {template[:60]!r}. Read the file first")
    if precision not in (None, *get_args(Precision)):
        raise InputError(f"a precision is one of {', '.join(get_args(Precision))}; got {precision!r}")
    source = _source(model)
    if isinstance(source, Asset):
        digest = _asset_digest(source)
    elif isinstance(source, HubName):
        digest = commit_of(source)
    else:
        _check_folder(source)
        model, digest = str(source), digest_of(source)
    return Pretrained(
        model=model,
        digest=digest,
        template=template,
        allow_template_mismatch=allow_template_mismatch,
        precision=precision,
    )


def folder_of(
    recipe: Pretrained, *, on_progress: Callable[[str], None] | None = None, on_bytes: OnBytes | None = None
) -> Path:
    """The folder with the configuration, weights and tokenizer of a recipe, checked; fetched and converted if need be.

    Nothing is to be written into it: it belongs to a cache, or to the user.
    """
    source = _source(recipe.model)
    if isinstance(source, HubName):
        return snapshot(source, recipe.digest)
    if isinstance(source, Asset):
        if _asset_digest(source) != recipe.digest:
            raise _changed(recipe, _asset_digest(source))
        from pharmakon.engines.torch.convert import converted

        return converted(source, version=CONVERSION, on_progress=on_progress, on_bytes=on_bytes)
    _check_folder(source)
    if (digest := digest_of(source)) != recipe.digest:
        raise _changed(recipe, digest)
    return source


def find_folder(recipe: Pretrained) -> Path:
    """The same for an asset, if it is in the cache. Nothing is fetched, nothing converted."""
    from pharmakon.engines.torch.convert import find_converted

    return find_converted(find(recipe.model), version=CONVERSION)


def _source(model: str) -> Asset | HubName | Path:
    """What a name means: assets first, so a folder of the same name is ./NAME."""
    if model.startswith("hf:"):
        return HubName.parse(model)
    if model in ASSETS:
        asset = find(model)
        if asset.kind != "model":
            rule = f"a model is one of {', '.join(_models())}, hf:ORG/NAME, or a folder"
            raise InputError(f"{rule}; {model} is an asset of the kind {asset.kind}")
        return asset
    path = Path(model).expanduser()
    if model and path.exists():
        return path.resolve()
    close = get_close_matches(model.lower(), _models(), n=1)
    guess = f" Did you mean {close[0]}?" if close else ""
    if not guess and model.count("/") == 1 and not model.startswith((".", "~", "/")):
        guess = f" Did you mean hf:{model}?"
    rule = f"a model is one of {', '.join(_models())}, hf:ORG/NAME, or a folder that is there"
    raise InputError(f"{rule}; got {model!r}.{guess}")


def _models() -> list[str]:
    return [asset.name for asset in ASSETS.values() if asset.kind == "model"]


def _asset_digest(asset: Asset) -> str:
    return hashlib.sha256(f"{asset.content_sha256} conversion {CONVERSION}".encode()).hexdigest()


def _check_folder(folder: Path) -> None:
    rule = "a folder of a model has a config.json and weights in safetensors"
    if not folder.is_dir():
        extra = ""
        if folder.suffix == ".gguf":
            extra = ". Convert it: transformers reads it with from_pretrained(FOLDER, gguf_file=NAME)"
        raise InputError(f"{rule}; {folder} is a file{extra}")
    names = list(listing(folder))
    if not any(name.endswith(".safetensors") for name in names):
        if (folder / ADAPTER_WEIGHTS).exists():
            raise InputError(f"{rule}; {folder} holds an adapter alone. Merge it with its model first")
        if any(any(folder.glob(pattern)) for pattern in PICKLES):
            way_out = "Save it again with save_pretrained, which writes safetensors"
            raise InputError(f"{rule}; those of {folder} can run code when they are loaded, and are not. {way_out}")
        raise InputError(f"{rule}; {folder} has no weights")
    if (folder / ADAPTER).exists():
        raise InputError(f"{rule}; {folder} holds an adapter beside them. Merge it with its model first")
    if "config.json" not in names:
        raise InputError(f"{rule}; {folder} has no config.json")


def _changed(recipe: Pretrained, digest: str) -> InputError:
    return InputError(
        f"the recipe names the model {recipe.model} with the digest {recipe.digest[:12]}...; what is there now has "
        f"{digest[:12]}.... Make the recipe again, or bring the files back"
    )
