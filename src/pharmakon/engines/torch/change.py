"""What is done to weights without any data: rounding them to integers, averaging them with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pharmakon.engines.recipes import Quantized
from pharmakon.engines.torch.checkpoint import open_checkpoint
from pharmakon.errors import SpecError


def quantize(recipe: Quantized, start: Path, out: Path) -> tuple[str, ...]:
    """Write the checkpoint with its weight matrices rounded; gives what a reader of results must know."""
    import torch

    opened = open_checkpoint(start)
    largest = 2 ** (recipe.bits - 1) - 1
    with torch.no_grad():
        for weight in opened.network.parameters():
            if weight.ndim == 2:
                scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny) / largest
                weight.copy_((weight / scale).round() * scale)
    opened.save(out, start)
    return opened.cautions


def average(one: Path, other: Path, share: float, out: Path) -> tuple[str, ...]:
    """Write a checkpoint whose weights are (1 - share) of `one` and `share` of `other`, of the same architecture."""
    import torch

    kept, added = open_checkpoint(one), open_checkpoint(other)
    mine: dict[str, Any] = dict(kept.network.named_parameters())
    theirs: dict[str, Any] = dict(added.network.named_parameters())
    if {name: value.shape for name, value in mine.items()} != {name: value.shape for name, value in theirs.items()}:
        raise SpecError("weights are averaged with those of the same architecture; these two models differ in it")
    with torch.no_grad():
        for name, value in mine.items():
            value.lerp_(theirs[name], share)
    kept.save(out, one)
    return tuple(dict.fromkeys((*kept.cautions, *added.cautions)))
