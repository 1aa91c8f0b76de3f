"""A checkpoint that answers: batched greedy generation with a cache, and log-probabilities of completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pharmakon.core import Prompt
from pharmakon.engines.torch.encode import Encoded, Encoder
from pharmakon.engines.torch.train import ROW, pack, sequence_logprobs

BATCH = 128  # prompts


class TorchModel:
    """Implements `pharmakon.core.Model` on a causal model of transformers and its own tokenizer and template."""

    def __init__(self, model: Any, encoder: Encoder) -> None:
        self.network = model
        self.encoder = encoder

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """Greedy answers, without the end of turn; prompts of like length share a batch."""
        ids = [self.encoder.prompt(prompt) for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), i))
        answers = [""] * len(ids)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            for index, tokens in zip(chosen, self._greedy([ids[i] for i in chosen], max_tokens), strict=True):
                answers[index] = self.encoder.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return answers

    @torch.inference_mode()
    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """The natural-log probability of each completion, given its prompt."""
        encoded = [self._pair(prompt, completion) for prompt, completion in pairs]
        order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i].ids), i))
        values = [0.0] * len(encoded)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            sums = sequence_logprobs(self.network, pack([encoded[i] for i in chosen], ROW))
            for index, value in zip(chosen, sums.tolist(), strict=True):
                values[index] = value
        return values

    def _pair(self, prompt: Prompt, completion: str) -> Encoded:
        before, whole = self.encoder.prompt(prompt), self.encoder.completion(prompt, completion)
        shared = next((i for i, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
        return Encoded(tuple(whole), tuple(i >= shared for i in range(len(whole))))

    def _greedy(self, prompts: list[list[int]], max_tokens: int) -> list[list[int]]:
        from transformers import DynamicCache

        end = self.encoder.tokenizer.eos_token_id
        width = max(len(prompt) for prompt in prompts)
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache, answers = DynamicCache(), [[] for _ in prompts]  # type: ignore[var-annotated]
        open_ = torch.ones(len(prompts), dtype=torch.bool)
        for _ in range(max_tokens):
            out = self.network(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
                logits_to_keep=1,
            )  # fmt: skip
            token = out.logits[:, -1].argmax(-1)
            open_ &= token != end
            if not open_.any():
                break
            for row in open_.nonzero()[:, 0].tolist():
                answers[row].append(int(token[row]))
            ids, positions = token[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, torch.ones(len(prompts), 1, dtype=mask.dtype)], 1)
        return answers
