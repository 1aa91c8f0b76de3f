"""The compact training loop: packed rows, logits only where the loss is, and a trace of what was seen when."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pharmakon.core import Trace
from pharmakon.engines.recipes import IPO, SFT, Learning, Preferring, Pretrain
from pharmakon.engines.torch.encode import Encoded
from pharmakon.engines.torch.head import logits_of
from pharmakon.errors import InputError, RunError

if TYPE_CHECKING:
    from pharmakon.engines.torch.checkpoint import Checkpoint

SHARED = 8  # tokens: a shorter common start of sequences is not worth sharing


@dataclass(frozen=True, slots=True)
class Rows:
    """Sequences packed side by side into rows of equal length, each attending to itself alone.

    Where all sequences begin alike (a system message, demonstrations), each row holds that start once and all of its
    sequences attend to it: for a causal model their losses and gradients are those of sequences that stand alone.

    ids_RT, positions_RT: int64. mask_R1TT: additive, float32; one for all rows where every row is one sequence.
    Targets are the tokens that carry loss: `where_N` is the flat index of the position that predicts each,
    `token_N` the token, `sequence_N` the sequence it belongs to.
    """

    ids_RT: torch.Tensor
    positions_RT: torch.Tensor
    mask_R1TT: torch.Tensor
    where_N: torch.Tensor
    token_N: torch.Tensor
    sequence_N: torch.Tensor
    num_sequences: int


def pack(sequences: Sequence[Encoded], row_length: int) -> Rows:
    """Pack sequences, longest first, each into the first row that has room for it."""
    shared = common_start(sequences)
    rows: list[list[int]] = []
    room: list[int] = []
    length = max(row_length, *(len(sequence.ids) for sequence in sequences))
    for index in sorted(range(len(sequences)), key=lambda i: (-len(sequences[i].ids), i)):
        size = len(sequences[index].ids) - shared
        row = next((r for r, free in enumerate(room) if free >= size), None)
        if row is None:
            rows.append([])
            room.append(length - shared)
            row = len(rows) - 1
        rows[row].append(index)
        room[row] -= size
    width = length - min(room)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    positions = np.zeros((len(rows), width), dtype=np.int64)
    segment = np.full((len(rows), width), NOTHING, dtype=np.int64)
    ids[:, :shared] = sequences[0].ids[:shared]
    positions[:, :shared] = np.arange(shared)
    segment[:, :shared] = EVERYBODY
    where, token, owner = [], [], []
    for r, members in enumerate(rows):
        at = shared
        for index in members:
            sequence = sequences[index]
            size = len(sequence.ids) - shared
            ids[r, at : at + size] = sequence.ids[shared:]
            positions[r, at : at + size] = np.arange(shared, shared + size)
            segment[r, at : at + size] = index
            targets = np.flatnonzero(sequence.is_target)
            targets = targets[targets > 0]
            before = targets - 1  # the position that predicts each
            where.append(r * width + np.where(before < shared, before, before + at - shared))
            token.append(np.asarray(sequence.ids, dtype=np.int64)[targets])
            owner.append(np.full(len(targets), index))
            at += size
    mask = causal_mask(width)
    if any(len(members) > 1 for members in rows):
        same = (segment[:, :, None] == segment[:, None, :]) | (segment[:, None, :] == EVERYBODY)
        mask = torch.where(torch.from_numpy(same)[:, None], mask, torch.finfo(torch.float32).min)
    return Rows(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        mask,
        torch.from_numpy(np.concatenate(where)),
        torch.from_numpy(np.concatenate(token)),
        torch.from_numpy(np.concatenate(owner)),
        len(sequences),
    )


NOTHING, EVERYBODY = -1, -2  # the owners of padding and of a shared start


def common_start(sequences: Sequence[Encoded]) -> int:
    """How many first tokens all sequences have in common, none of which carries loss; 0 for few or for one sequence."""
    if len(sequences) < 2:
        return 0
    shortest = min(sequences, key=lambda sequence: len(sequence.ids))
    shared = len(shortest.ids)
    for sequence in sequences:
        differs = (i for i in range(shared) if sequence.is_target[i] or sequence.ids[i] != shortest.ids[i])
        shared = next(differs, shared)
    return shared if shared >= SHARED else 0


@lru_cache(maxsize=256)
def causal_mask(width: int) -> torch.Tensor:
    """Zero where a position may look, the least float where it may not; shape [1, 1, width, width]."""
    least = torch.full((width, width), torch.finfo(torch.float32).min)
    return torch.triu(least, diagonal=1)[None, None]


def attention_masks(config: Any, rows: Rows, device: Any, kind: torch.dtype) -> torch.Tensor | dict[str, torch.Tensor]:
    """The mask of packed rows; for a model some of whose layers look back through a window, one for each kind of layer.

    transformers takes a mask of four dimensions as it is and puts no window on it. Raises InputError for layers of
    another kind (chunked or linear attention), which packed rows would mislead.
    """
    full = rows.mask_R1TT.to(device, kind)
    window, kinds = window_of(config), set(getattr(config, "layer_types", None) or ())
    if unknown := sorted(kinds - {"full_attention", "sliding_attention"}):
        rule = "the torch engine trains and reads layers of full and of sliding attention"
        raise InputError(f"{rule}; this model has {unknown[0]}. Serve the model and ask it as endpoint:URL#NAME")
    if window is None:
        return full
    positions = rows.positions_RT.to(device)
    is_far = positions[:, None, :, None] - positions[:, None, None, :] >= window
    sliding = full.masked_fill(is_far, torch.finfo(kind).min)
    return {"full_attention": full, "sliding_attention": sliding} if kinds else sliding


def window_of(config: Any) -> int | None:
    """How many tokens some layers of a model look back, themselves included; None where all look back to the start."""
    kinds = getattr(config, "layer_types", None)
    window: int | None = getattr(config, "sliding_window", None)
    return None if kinds and "sliding_attention" not in kinds else window


def target_logprobs(model: Any, rows: Rows) -> torch.Tensor:
    """The natural-log probability of every target token; shape [N]. Logits are made for these alone."""
    logits = target_logits(model, rows)
    return -torch.nn.functional.cross_entropy(logits, rows.token_N.to(logits.device), reduction="none")


def target_logits(model: Any, rows: Rows) -> torch.Tensor:
    """What the model gives to every token where a target is predicted; shape [N, vocabulary]."""
    decoder = model.get_decoder()
    device, kind = model.device, model.dtype
    hidden = decoder(
        input_ids=rows.ids_RT.to(device),
        position_ids=rows.positions_RT.to(device),
        attention_mask=attention_masks(model.config, rows, device, kind),
        use_cache=False,
    ).last_hidden_state
    chosen = hidden.reshape(-1, hidden.shape[-1])[rows.where_N.to(device)]
    return logits_of(model, chosen)


def sequence_logprobs(model: Any, rows: Rows) -> torch.Tensor:
    """The summed log probability of the targets of each sequence; shape [num_sequences]."""
    values = target_logprobs(model, rows)
    sums = torch.zeros(rows.num_sequences, device=values.device)
    return sums.index_add(0, rows.sequence_N.to(values.device), values)


def optimise(
    model: Any, recipe: Learning, batches: Sequence[Sequence[int]], loss_of: Any, *, positions: Sequence[Sequence[int]]
) -> Trace:
    """Run the optimizer over the batches; `loss_of(batch)` gives the mean loss, `positions` what each batch shows."""
    batches = batches[: recipe.num_steps]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    losses: list[float] = []
    seen: list[int] = []
    steps: list[int] = []
    model.train()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.schedule.rate(step, len(batches))
        with calculating(model, recipe):
            loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        need_finite(losses[-1], step, len(batches))
        seen.extend(positions[step])
        steps.extend([step] * len(positions[step]))
    model.eval()
    return Trace(positions=seen, steps=steps, losses=losses)


def need_finite(loss: float, step: int, num_steps: int) -> None:
    """Stop where the loss is no number any more."""
    if not math.isfinite(loss):
        raise RunError(f"the loss was {loss} at step {step} of {num_steps}; lower the learning rate")


def batches_in_order(num_items: int, batch_size: int, epochs: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Batches of indices: the first epoch in the order of the corpus, later ones shuffled."""
    for epoch in range(epochs):
        order = np.arange(num_items) if epoch == 0 else rng.permutation(num_items)
        for start in range(0, num_items, batch_size):
            yield order[start : start + batch_size].tolist()


def rows_of_text(encoded: Sequence[Encoded], row_length: int) -> tuple[list[Encoded], list[list[int]]]:
    """Documents laid end to end and cut into rows; for each row, the positions of the documents it shows."""
    ids = np.concatenate([np.asarray(item.ids, dtype=np.int64) for item in encoded])
    owner = np.repeat(np.arange(len(encoded)), [len(item.ids) for item in encoded])
    rows, shown = [], []
    for start in range(0, len(ids), row_length):
        row = ids[start : start + row_length]
        if len(row) > 1:
            rows.append(Encoded(tuple(row.tolist()), (True,) * len(row)))
            shown.append(np.unique(owner[start : start + row_length]).tolist())
    return rows, shown


@contextmanager
def calculating(model: Any, recipe: Learning) -> Iterator[None]:
    """In the precision of the recipe. Beside weights in bfloat16, an adapter in float32 calculates in bfloat16 too."""
    with ExitStack() as stack:
        is_adapted = hasattr(model, "peft_config")
        if is_adapted and recipe.precision != "float32":
            from peft.helpers import disable_input_dtype_casting

            stack.enter_context(disable_input_dtype_casting(model))
        if recipe.precision == "mixed" or (is_adapted and recipe.precision == "bfloat16"):
            stack.enter_context(torch.autocast(model.device.type, torch.bfloat16))
        yield


def fit_text(start: Checkpoint, recipe: Pretrain, encoded: Sequence[Encoded], rng: np.random.Generator) -> Trace:
    """Next-token training on rows of text."""
    rows, shown = rows_of_text(encoded, recipe.row_length)
    batches = list(batches_in_order(len(rows), recipe.batch_size, recipe.epochs, rng))
    positions = [sorted({p for row in batch for p in shown[row]}) for batch in batches]

    def loss(batch: Sequence[int]) -> torch.Tensor:
        return -target_logprobs(start.network, pack([rows[i] for i in batch], recipe.row_length)).mean()

    return optimise(start.network, recipe, batches, loss, positions=positions)


def need_answers(encoded: Sequence[Encoded]) -> None:
    """Refuse dialogues of which none has a token that carries loss."""
    if not any(any(item.is_target) for item in encoded):
        raise InputError("instruction tuning learns from answers; none of these begins within the model's context")


def fit_dialogues(start: Checkpoint, recipe: SFT, encoded: Sequence[Encoded], rng: np.random.Generator) -> Trace:
    """Training on the assistant's turns; the mean is over the target tokens of a batch."""

    def loss(rows: Rows) -> torch.Tensor:
        values = target_logprobs(start.network, rows)
        return -(values.mean() if len(values) else values.sum())  # no answer of this batch begins within the context

    return _fit_answers(start, recipe, encoded, rng, loss)


def fit_to_teacher(
    start: Checkpoint, teacher: Any, recipe: SFT, encoded: Sequence[Encoded], rng: np.random.Generator
) -> Trace:
    """As `fit_dialogues`, but the loss is the divergence of what the student gives to all tokens from the teacher's."""

    def loss(rows: Rows) -> torch.Tensor:
        with torch.no_grad():
            wanted_NV = torch.log_softmax(target_logits(teacher, rows), -1)
        given_NV = torch.log_softmax(target_logits(start.network, rows), -1)
        sums = torch.nn.functional.kl_div(given_NV, wanted_NV, reduction="sum", log_target=True)
        return sums / max(1, len(wanted_NV))

    return _fit_answers(start, recipe, encoded, rng, loss)


def _fit_answers(
    start: Checkpoint, recipe: SFT, encoded: Sequence[Encoded], rng: np.random.Generator,
    loss: Callable[[Rows], torch.Tensor],
) -> Trace:  # fmt: skip
    need_answers(encoded)
    batches = list(batches_in_order(len(encoded), recipe.batch_size, recipe.epochs, rng))

    def of_batch(batch: Sequence[int]) -> torch.Tensor:
        return loss(pack([encoded[i] for i in batch], start.row_length))

    return optimise(start.network, recipe, batches, of_batch, positions=batches)


def fit_preferences(
    start: Checkpoint, recipe: Preferring, pairs: Sequence[tuple[Encoded, Encoded]], rng: np.random.Generator
) -> Trace:
    """DPO or IPO: raise the chosen over the rejected answer, relative to the weights at the start."""
    model = start.network
    batches = list(batches_in_order(len(pairs), recipe.batch_size, recipe.epochs, rng))[: recipe.num_steps]
    packed = {tuple(batch): pack([side for i in batch for side in pairs[i]], start.row_length) for batch in batches}
    with torch.no_grad(), calculating(model, recipe):
        reference = {batch: sequence_logprobs(model, rows) for batch, rows in packed.items()}

    def loss(batch: Sequence[int]) -> torch.Tensor:
        rows = packed[tuple(batch)]
        gain = sequence_logprobs(model, rows) - reference[tuple(batch)]
        num_tokens = torch.bincount(rows.sequence_N, minlength=rows.num_sequences).to(gain.device)
        return preference_loss(recipe, gain.reshape(-1, 2), num_tokens.reshape(-1, 2))

    return optimise(model, recipe, batches, loss, positions=batches)


def preference_loss(recipe: Preferring, gain_P2: torch.Tensor, num_tokens_P2: torch.Tensor) -> torch.Tensor:
    """The mean over pairs (chosen, rejected), of the log-probabilities gained since the start and of answers' lengths.

    DPO: -log sigmoid(beta x difference of gains). IPO: (difference of gains a token - 1 / (2 beta))^2.
    """
    if isinstance(recipe, IPO):
        gain_P2 = gain_P2 / num_tokens_P2.clamp(min=1)
        return ((gain_P2[:, 0] - gain_P2[:, 1] - 1 / (2 * recipe.beta)) ** 2).mean()
    return -torch.nn.functional.logsigmoid(recipe.beta * (gain_P2[:, 0] - gain_P2[:, 1])).mean()
