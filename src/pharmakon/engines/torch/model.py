"""A checkpoint that answers: batched greedy generation with a cache, and log-probabilities of completions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pharmakon.core import Prompt
from pharmakon.engines.torch.checkpoint import Checkpoint
from pharmakon.engines.torch.encode import Encoded
from pharmakon.engines.torch.train import common_start, pack, sequence_logprobs, window_of
from pharmakon.errors import InputError

if TYPE_CHECKING:
    from pharmakon.engines.torch.inside import Inside

BATCH = 128  # prompts


class TorchModel:
    """Implements `pharmakon.core.Model` on a causal model of transformers and its own tokenizer and template."""

    def __init__(self, opened: Checkpoint) -> None:
        self.opened = opened

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """Greedy answers, without the end of turn; prompts of like length share a batch."""
        return self.answers(prompts, max_tokens)

    @torch.inference_mode()
    def answers(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int,
        *,
        reading: Callable[[list[int], int], AbstractContextManager[None]] | None = None,
    ) -> list[str]:
        """Greedy answers. `reading`: what surrounds a batch, given the indices of its prompts and its width in tokens.

        With it each prompt is read as a whole, in the first pass of its batch, and ends with the last column.
        """
        encoder = self.opened.encoder
        ids = [encoder.prompt(prompt) for prompt in prompts]
        longest = max(map(len, ids), default=0)
        self.check_length(longest + 1, "a prompt and the first token of its answer")
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), i))
        answers = [""] * len(ids)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            batch = [ids[i] for i in chosen]
            with nullcontext() if reading is None else reading(chosen, max(map(len, batch))):
                found = self._greedy(batch, max_tokens, share=reading is None)
            for index, tokens in zip(chosen, found, strict=True):
                answers[index] = encoder.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return answers

    @torch.inference_mode()
    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """The natural-log probability of each completion, given its prompt."""
        encoded = self.encoded(pairs)
        order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i].ids), i))
        values = [0.0] * len(encoded)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            rows = pack([encoded[i] for i in chosen], self.opened.row_length)
            sums = sequence_logprobs(self.opened.network, rows)
            for index, value in zip(chosen, sums.tolist(), strict=True):
                values[index] = value
        return values

    def inside(self) -> Inside:
        """What `pharmakon.whitebox` asks."""
        from pharmakon.engines.torch.inside import Inside

        return Inside(self)

    def encoded(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Encoded]:
        """The tokens of each prompt with its completion, whose own are the targets. Raises InputError if too long."""
        encoded = [self._pair(prompt, completion) for prompt, completion in pairs]
        self.check_length(max((len(item.ids) for item in encoded), default=0), "a prompt with its completion")
        return encoded

    def check_length(self, num_tokens: int, what: str) -> None:
        """Raises InputError where so many tokens are more than the model's context."""
        context = self.opened.context
        if num_tokens > context:
            way_out = "Give shorter documents or fewer demonstrations, or a model with a longer context"
            raise InputError(f"{what} take at most the model's context, {context} tokens; got {num_tokens}. {way_out}")

    def _pair(self, prompt: Prompt, completion: str) -> Encoded:
        before = self.opened.encoder.prompt(prompt)
        whole = self.opened.encoder.completion(prompt, completion)
        shared = next((i for i, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
        return Encoded(tuple(whole), tuple(i >= shared for i in range(len(whole))))

    def _greedy(self, prompts: list[list[int]], max_tokens: int, *, share: bool = True) -> list[list[int]]:
        """The most probable token again and again. What all prompts begin with is computed once, for one row."""
        network, ends = self.opened.network, torch.tensor(sorted(self.opened.ends))
        # A window counts places, the padding between a shared start and a shorter rest among them.
        share = share and window_of(network.config) is None
        common = common_start([_unmarked(prompt) for prompt in prompts]) if share else 0
        shared = min(common, min(map(len, prompts)) - 1)
        cache = self._read(prompts[0][:shared], len(prompts))
        rest = [prompt[shared:] for prompt in prompts]
        width = max(map(len, rest))
        ids = torch.tensor([[0] * (width - len(tail)) + tail for tail in rest])
        mask = torch.tensor([[1] * shared + [0] * (width - len(tail)) + [1] * len(tail) for tail in rest])
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
        answers: list[list[int]] = [[] for _ in prompts]
        open_ = list(range(len(prompts)))
        for _ in range(min(max_tokens, self.opened.context - shared - width)):
            hidden = network.get_decoder()(
                input_ids=ids.to(network.device), attention_mask=mask.to(network.device),
                position_ids=positions.to(network.device), cache=cache, use_cache=True,
            ).last_hidden_state  # fmt: skip
            # Of the last position alone, as a matrix: the output layer is most of a small model.
            logits = network.get_output_embeddings()(hidden[:, -1].contiguous())
            token = logits.argmax(-1).cpu()
            going = (~torch.isin(token, ends)).nonzero()[:, 0]
            for row in going.tolist():
                answers[open_[row]].append(int(token[row]))
            if not len(going):
                break
            if len(going) < len(open_):  # whoever has ended leaves the batch
                cache.batch_select_indices(going.to(network.device))
                open_ = [open_[row] for row in going.tolist()]
            ids, positions = token[going, None], positions[going, -1:] + 1
            mask = torch.cat([mask[going], torch.ones(len(going), 1, dtype=mask.dtype)], 1)
        return answers

    def _read(self, start: list[int], num_rows: int) -> Any:
        """A cache that holds these tokens, for so many rows."""
        from transformers import DynamicCache

        cache = DynamicCache()
        if start:
            ids = torch.tensor([start], device=self.opened.network.device)
            self.opened.network.get_decoder()(input_ids=ids, cache=cache, use_cache=True)
            cache.batch_repeat_interleave(num_rows)
        return cache


def _unmarked(ids: list[int]) -> Encoded:
    return Encoded(tuple(ids), (False,) * len(ids))
