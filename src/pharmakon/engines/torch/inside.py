"""A look inside a causal model of transformers: hidden states, attention, patched activations, gradients.

Batches of prompts are padded at the right, where no token of theirs can look: a causal model reads each as if alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pharmakon.core import Prompt
from pharmakon.engines.torch.gradients import gradients
from pharmakon.engines.torch.head import logits_of
from pharmakon.errors import InputError
from pharmakon.whitebox import Part, Patch, Sketch

if TYPE_CHECKING:
    from pharmakon.engines.torch.model import TorchModel
    from pharmakon.whitebox import Floats

    Change = Callable[[torch.Tensor], torch.Tensor | None]

BATCH = 64  # prompts


class Inside:
    """Implements `pharmakon.whitebox.WhiteBox` for a `TorchModel`; an adapter is merged by then.

    Raises InputError for an architecture whose decoder has no list of blocks (`layers`) that each attend once
    (`self_attn`): all that are built like Llama have.
    """

    def __init__(self, model: TorchModel) -> None:
        self.model = model
        self.network: Any = model.opened.network
        self.decoder: Any = self.network.get_decoder()
        layers = getattr(self.decoder, "layers", None)
        if layers is None or not all(hasattr(layer, "self_attn") for layer in layers):
            kind = type(self.network).__name__
            raise InputError(f"a look inside needs a model that is built like Llama; {kind} is not. Take another one")
        self.layers: list[Any] = list(layers)

    @property
    def num_layers(self) -> int:
        """Blocks of the network."""
        return len(self.layers)

    @property
    def width(self) -> int:
        """Numbers of a hidden state."""
        return int(self.network.config.hidden_size)

    def tokens(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        """The tokens of each prompt as the vocabulary writes them."""
        convert = self.model.opened.encoder.tokenizer.convert_ids_to_tokens
        return [list(convert(ids)) for ids in self._ids(prompts)]

    @torch.inference_mode()
    def hidden(
        self, prompts: Sequence[Prompt], positions: Sequence[int] = (-1,), *, patches: Sequence[Patch] = ()
    ) -> Floats:
        """Hidden states of prompts that are read with patches, shape [prompts, layers + 1, positions, width]."""
        ids = self._ids(prompts)
        _check_positions(positions, ids)
        self._check(patches, ids)
        found = np.zeros((len(ids), self.num_layers + 1, len(positions), self.width), dtype=np.float32)
        for chosen in _batches(ids):
            ends = [len(ids[i]) for i in chosen]
            # The patches are put in first, so that what is taken has them.
            with self._patched(patches, chosen, ends):
                taken = self._states([ids[i] for i in chosen], _columns(positions, ends))
            for layer, states in enumerate(taken):
                found[chosen, layer] = states
        return found

    @torch.inference_mode()
    def attention(self, prompts: Sequence[Prompt]) -> list[Floats]:
        """For each prompt how much each token attends to each, shape [layers, heads, tokens, tokens]."""
        if (kind := self.network.config._attn_implementation) != "eager":
            raise InputError(f"attention can be read where it is computed in full (eager); this model has {kind}")
        ids = self._ids(prompts)
        found: list[Floats] = [np.zeros(0, dtype=np.float32)] * len(ids)
        for chosen in _batches(ids):
            taken: list[torch.Tensor] = []

            def take(_: Any, __: Any, output: Any, taken: list[torch.Tensor] = taken) -> None:
                taken.append(output[1].float().cpu())

            with ExitStack() as stack:
                for layer in self.layers:
                    stack.callback(layer.self_attn.register_forward_hook(take).remove)
                self._read([ids[i] for i in chosen])
            weights = torch.stack(taken, 1).numpy()
            for row, index in enumerate(chosen):
                size = len(ids[index])
                found[index] = weights[row, :, :, :size, :size].copy()
        return found

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, patches: Sequence[Patch] = ()) -> list[str]:
        """Greedy answers to prompts that are read with patches; the model's own where there are none."""
        self._check(patches, self._ids(prompts))

        def patched(chosen: list[int], width: int) -> Any:
            return self._patched(patches, chosen, [width] * len(chosen))

        return self.model.answers(prompts, max_tokens, reading=patched if patches else None)

    @torch.inference_mode()
    def logprob(
        self, pairs: Sequence[tuple[Prompt, str]], *, patches: Sequence[Patch] = (), num_tokens: int | None = None
    ) -> list[float]:
        """The natural-log probability of each completion, its prompt read with patches; of its first tokens if told.

        Read in one way with patches and without, so that their difference is that of the patches alone.
        """
        before = self._ids([prompt for prompt, _ in pairs])
        self._check(patches, before)
        encoded = self.model.encoded(pairs)
        ids = [list(item.ids) for item in encoded]
        starts = [item.is_target.index(True) if True in item.is_target else len(item.ids) for item in encoded]
        if patches and any(start != len(prompt) for start, prompt in zip(starts, before, strict=True)):
            way_out = "Begin the completion with a space, or ask with a Dialogue"
            raise InputError(f"a patched prompt keeps its tokens when a completion is put behind it. {way_out}")
        most = max(map(len, ids), default=0) if num_tokens is None else num_tokens
        stops = [min(len(row), start + most) for row, start in zip(ids, starts, strict=True)]
        values = [0.0] * len(ids)
        for chosen in _batches(ids):
            ends = [starts[i] for i in chosen]
            with self._patched(patches, chosen, ends):
                states = self._read([ids[i] for i in chosen])
            # Nothing stands before the first token of all, so nothing predicts it.
            targets = [(r, c) for r, i in enumerate(chosen) for c in range(max(starts[i], 1), stops[i])]
            rows, columns = [r for r, _ in targets], [c for _, c in targets]
            wanted = [ids[chosen[r]][c] for r, c in targets]
            logits = logits_of(self.network, states[rows, [c - 1 for c in columns]])
            token = torch.tensor(wanted, dtype=torch.long, device=logits.device)
            given = logits.log_softmax(-1).gather(1, token[:, None])[:, 0]
            sums = torch.zeros(len(chosen), device=logits.device).index_add(
                0, torch.tensor(rows, dtype=torch.long, device=logits.device), given
            )
            for index, value in zip(chosen, sums.tolist(), strict=True):
                values[index] = value
        return values

    def gradients(
        self, pairs: Sequence[tuple[Prompt, str]], *, of: Part = "block", sketch: Sketch | None = None
    ) -> Floats:
        """Gradients of each completion's log-probability, shape [pairs, parameters] or [pairs, dimensions]."""
        return gradients(self.network, self.model.encoded(pairs), of, sketch)

    def _ids(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        ids = [self.model.opened.encoder.prompt(prompt) for prompt in prompts]
        self.model.check_length(max(map(len, ids), default=0), "a prompt")
        return ids

    def _read(self, ids: list[list[int]]) -> torch.Tensor:
        """The last hidden state, shape [rows, tokens, width]."""
        width = max(map(len, ids))
        padded = torch.tensor([row + [0] * (width - len(row)) for row in ids], device=self.network.device)
        states: torch.Tensor = self.decoder(input_ids=padded, use_cache=False).last_hidden_state
        return states

    def _states(self, ids: list[list[int]], where: tuple[torch.Tensor, torch.Tensor]) -> list[Any]:
        """The hidden states at these rows and columns, by layer."""
        taken: list[Any] = []

        def take(states: torch.Tensor) -> None:
            taken.append(states[where].float().cpu().numpy())

        with self._at([(layer, take) for layer in range(self.num_layers + 1)]):
            self._read(ids)
        return taken

    def _check(self, patches: Sequence[Patch], ids: list[list[int]]) -> None:
        for patch in patches:
            _check_positions(patch.positions, ids)
            if not 0 <= patch.layer <= self.num_layers:
                raise InputError(f"a patch is at a layer from 0 to {self.num_layers}; got {patch.layer}")
            fits = ((1, len(ids)), (1, len(patch.positions)), (self.width,))
            shape = patch.vectors.shape
            if len(shape) != 3 or any(size not in allowed for size, allowed in zip(shape, fits, strict=True)):
                wanted = f"[{len(ids)} or 1, {len(patch.positions)} or 1, {self.width}]"
                raise InputError(f"the vectors of a patch have the shape {wanted}; got {list(shape)}")

    def _patched(self, patches: Sequence[Patch], chosen: list[int], ends: list[int]) -> Any:
        """These prompts, which end at these columns, are read with patches; later readings are left alone."""
        return self._at([(patch.layer, self._change(patch, chosen, ends)) for patch in patches])

    def _change(self, patch: Patch, chosen: list[int], ends: list[int]) -> Change:
        given = patch.vectors if len(patch.vectors) == 1 else patch.vectors[chosen]
        vectors = torch.tensor(given, dtype=torch.float32, device=self.network.device)
        where = _columns(patch.positions, ends)
        is_read = False

        def change(states: torch.Tensor) -> torch.Tensor | None:
            nonlocal is_read
            if is_read:  # the tokens of the answer come one by one after the prompt
                return None
            is_read = True
            changed = states.clone()
            old = states[where].float()
            changed[where] = (vectors.expand_as(old) if patch.how == "replace" else old + vectors).to(states.dtype)
            return changed

        return change

    @contextmanager
    def _at(self, changes: Sequence[tuple[int, Change]]) -> Iterator[None]:
        """Shows the states of layers to functions, in order; what one returns takes the place of the states."""
        with ExitStack() as stack:
            for layer, change in changes:
                module = self.layers[max(layer - 1, 0)]
                hook = module.register_forward_hook(_after(change)) if layer else None
                hook = hook or module.register_forward_pre_hook(_before(change), with_kwargs=True)
                stack.callback(hook.remove)
            yield


def _after(change: Change) -> Callable[..., Any]:
    """Some families' blocks give a tuple, the states first."""

    def hook(_: Any, __: Any, output: Any) -> Any:
        changed = change(output[0] if isinstance(output, tuple) else output)
        return None if changed is None else (changed, *output[1:]) if isinstance(output, tuple) else changed

    return hook


def _before(change: Change) -> Callable[..., Any]:
    def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changed = change(args[0] if args else kwargs["hidden_states"])
        if changed is None:
            return None
        return ((changed, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": changed})

    return hook


def _batches(ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices, those of like length together."""
    order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), i))
    return (order[start : start + BATCH] for start in range(0, len(order), BATCH))


def _columns(positions: Sequence[int], ends: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """An index of rows and columns, shape [rows, positions] when it is applied."""
    columns = torch.tensor(ends)[:, None] + torch.tensor(list(positions), dtype=torch.long)[None]
    return torch.arange(len(ends))[:, None], columns


def _check_positions(positions: Sequence[int], ids: Sequence[Sequence[int]]) -> None:
    shortest = min(map(len, ids), default=1)
    if wrong := [position for position in positions if not -shortest <= position <= -1]:
        rule = f"positions count from the end of a prompt, -1 to -{shortest} for the shortest one"
        raise InputError(f"{rule}; got {wrong[0]}. `tokens` shows what a prompt has")
    if len(set(positions)) < len(positions):
        raise InputError(f"positions are all different; got {list(positions)}")
