"""From hidden states to logits, for the positions that are asked for alone."""

from __future__ import annotations

from typing import Any

import torch

from pharmakon.errors import InputError


def logits_of(network: Any, hidden_NC: torch.Tensor) -> torch.Tensor:
    """Logits in float32, shape [N, vocabulary], as the model's own forward makes them.

    Some families scale or cap what their output layer gives: Granite, Cohere, Gemma 2.
    """
    logits: torch.Tensor = network.get_output_embeddings()(hidden_NC).float()
    config = network.config
    if divisor := getattr(config, "logits_scaling", None):
        logits = logits / divisor
    if factor := getattr(config, "logit_scale", None):
        logits = logits * factor
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = cap * torch.tanh(logits / cap)
    return logits


@torch.inference_mode()
def check_head(network: Any) -> None:
    """Refuse a model whose logits are made in a way that `logits_of` does not know."""
    ids = torch.arange(1, 9, device=network.device)[None] % network.config.vocab_size
    own = network(input_ids=ids, use_cache=False).logits[0].float()
    ours = logits_of(network, network.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0])
    if not torch.allclose(own, ours, rtol=2e-2, atol=2e-2 * float(own.std())):
        kind = type(network).__name__
        raise InputError(
            f"the torch engine makes logits for the positions that carry loss alone; {kind} makes its own in a way "
            "that it does not know. Serve the model and ask it as endpoint:URL#NAME"
        )
