"""Gradients of log-probabilities, one for each completion, exact or as a count sketch (see `whitebox.Sketch`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pharmakon.engines.torch.encode import Encoded
from pharmakon.engines.torch.head import logits_of
from pharmakon.errors import InputError
from pharmakon.whitebox import Part, Sketch

if TYPE_CHECKING:
    from pharmakon.whitebox import Floats

MOST_EXACT = 2**30  # numbers: 4 GiB


def gradients(network: Any, encoded: Sequence[Encoded], of: Part, sketch: Sketch | None) -> Floats:
    """Float32, shape [sequences, parameters or dimensions]. The parameters, their gradients and flags are untouched.

    Raises InputError where exact gradients would take more than 4 GiB.
    """
    parameters = _parameters(network, of)
    size = sum(parameter.numel() for parameter in parameters)
    if sketch is None and size * len(encoded) > MOST_EXACT:
        way_out = "Give a sketch or fewer of them"
        raise InputError(f"exact gradients of {len(encoded)} answers, {size:,} numbers each, are too large. {way_out}")
    found = np.zeros((len(encoded), size if sketch is None else sketch.dimensions), dtype=np.float32)
    table = None if sketch is None else table_of(sketch, size, network.device)
    with _wanted(network, parameters), torch.inference_mode(False), torch.enable_grad():
        for row, item in enumerate(encoded):
            value = _logprob(network, item, of)
            if value is None:  # nothing is predicted: the gradient is 0
                continue
            parts = [part.flatten().float() for part in torch.autograd.grad(value, parameters, materialize_grads=True)]
            if sketch is None or table is None:
                found[row] = torch.cat(parts).cpu().numpy()
            else:
                found[row] = sketched(parts, table, sketch.dimensions).cpu().numpy()
    return found


def _parameters(network: Any, of: Part) -> list[torch.Tensor]:
    """In the model's order; weights that are shared stand once."""
    if of == "head":
        return list(network.get_output_embeddings().parameters())
    module = network if of == "all" else network.get_decoder().layers[-1]
    return list(module.parameters())


@contextmanager
def _wanted(network: Any, parameters: Sequence[torch.Tensor]) -> Iterator[None]:
    """Autograd follows these parameters alone, and nothing more or less afterwards than before."""
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        network.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, flag in before:
            parameter.requires_grad_(flag)


def _logprob(network: Any, item: Encoded, of: Part) -> torch.Tensor | None:
    """The summed natural-log probability of the targets of one sequence."""
    targets = [i for i, is_target in enumerate(item.is_target) if is_target and i]
    if not targets:
        return None
    ids = torch.tensor([item.ids], device=network.device)
    with torch.set_grad_enabled(of != "head"):
        states = network.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0]
    logits = logits_of(network, states[[i - 1 for i in targets]])
    return logits.log_softmax(-1).gather(1, ids[0, targets][:, None]).sum()


def table_of(sketch: Sketch, size: int, device: Any) -> torch.Tensor:
    """For each parameter the coordinate that it is added to, or `dimensions` + that which it is taken from; int32."""
    source = torch.Generator().manual_seed(sketch.seed)  # of its own: torch's stays where it is
    return torch.randint(2 * sketch.dimensions, (size,), generator=source, dtype=torch.int32).to(device)


def sketched(parts: Sequence[torch.Tensor], table: torch.Tensor, dimensions: int) -> torch.Tensor:
    """Shape [dimensions]; part by part, so that no second copy of the whole gradient is made."""
    sums = torch.zeros(2 * dimensions, device=table.device)
    start = 0
    for part in parts:
        sums.index_add_(0, table[start : start + len(part)], part)
        start += len(part)
    return sums[:dimensions] - sums[dimensions:]
