"""The optional parts of an install: which libraries an extra brings, and the sentence for the one that is missing.

Each extra of `pyproject.toml` has its line here; a test holds the two together. A feature says what it needs before it
begins any work: `need("torch")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

from pharmakon.errors import InputError


@dataclass(frozen=True, slots=True)
class Extra:
    """What an extra is for, and the modules that its features import."""

    feature: str
    modules: tuple[str, ...]


_TORCH = ("torch", "transformers", "tokenizers", "safetensors", "peft", "accelerate", "gguf", "jinja2")
EXTRAS: Mapping[str, Extra] = MappingProxyType(
    {
        "torch": Extra("training and loading models", _TORCH),
        "hub": Extra("models and data of the Hugging Face hub", ("huggingface_hub",)),
        "endpoint": Extra("asking models behind an API", ("openai",)),
        "trl": Extra("training on several devices", (*_TORCH, "datasets", "trl")),
        "inspect": Extra("probes as tasks of inspect-ai", ("inspect_ai",)),
        "collection": Extra("histories of wikis, annotators and retrieval", ("bm25s", "crowdkit", "mwxml")),
        "dev": Extra("work on Pharmakon itself", ("hypothesis", "importlinter", "lm_eval", "mypy", "pytest", "ruff")),
    }
)


def install(extra: str) -> str:
    """The command that brings an extra."""
    return f"pip install 'pharmakon[{extra}]'"


def missing(extra: str) -> tuple[str, ...]:
    """The modules of an extra that are not installed. Imports none of them."""
    return tuple(module for module in EXTRAS[extra].modules if not is_there(module))


def need(extra: str, feature: str | None = None) -> None:
    """Refuse, with the way out, where an extra is not installed; `feature` is what it is needed for."""
    if absent := missing(extra):
        raise InputError(_sentence(absent, feature or EXTRAS[extra].feature, extra))


def way_out(error: ImportError) -> str | None:
    """The sentence for a failed import of a library that an extra brings; None for any other."""
    name = (error.name or "").partition(".")[0]
    extra = next((extra for extra, it in EXTRAS.items() if name in it.modules and not is_there(name)), None)
    return None if extra is None else _sentence((name,), EXTRAS[extra].feature, extra)


def _sentence(absent: tuple[str, ...], feature: str, extra: str) -> str:
    names = ", ".join(absent) if len(absent) < 4 else f"{', '.join(absent[:2])} and {len(absent) - 2} others"
    verb, it, them = ("is", "it is", "it") if len(absent) == 1 else ("are", "they are", "them")
    return f"{names} {verb} not installed; {it} needed for {feature}. Install {them}: {install(extra)}"


def is_there(module: str) -> bool:
    """The module is installed. Does not import it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # an import hook that refuses it; a module set to None
        return False
