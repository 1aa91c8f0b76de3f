"""TRL's two trainers, fed with batches that are fixed beforehand, and noting down what each step really saw.

What is changed, and why: the batches, so that their order is that of the compact loop and no document is shown twice
to fill a batch up; the schedule; weight decay on all parameters; and for DPO the weight of a process whose share of a
batch is smaller than the others'. The loss itself is TRL's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from trl import DPOTrainer, SFTTrainer

from pharmakon.engines.recipes import IPO, Learning
from pharmakon.engines.torch.train import calculating, need_finite

IGNORED = -100  # the label of a token that carries no loss


@dataclass
class Seen:
    """What one process saw: for each step its share of the examples, and the loss as it reports it."""

    examples: list[list[int]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Shares(torch.utils.data.Dataset[Any]):
    """For each step the rows of one process, a run of the batch; None for each row that a short batch does not fill.

    All processes have as many rows, for the trainers gather their numbers.
    """

    rows: Any
    batches: Sequence[Sequence[int]]
    rank: int
    num_processes: int

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> list[dict[str, Any] | None]:
        batch = self.batches[step]
        size = -(-len(batch) // self.num_processes)
        share = batch[self.rank * size : (self.rank + 1) * size]
        return [*(self.rows[row] for row in share), *[None] * (size - len(share))]


@dataclass(frozen=True)
class Collator:
    """Rows of a dataset to padded tensors. A row names an example; `examples` holds its sequences."""

    examples: Sequence[Sequence[dict[str, list[int]]]]
    pad: int
    is_preference: bool

    def __call__(self, rows: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
        """As TRL's own collators, but with the targets that the encoder marked, and the numbers of the examples.

        A row that is None carries no loss: its example is -1.
        """
        nothing = [{"ids": [self.pad], "targets": [0]}] * 2
        chosen = [nothing if row is None else self.examples[row["example"]] for row in rows]
        sequences = [example[side] for side in range(2 if self.is_preference else 1) for example in chosen]
        width = max(2, *(len(sequence["ids"]) for sequence in sequences))
        mask, targets = (torch.zeros(len(sequences), width, dtype=torch.long) for _ in range(2))
        ids = torch.full_like(mask, self.pad)
        for index, sequence in enumerate(sequences):
            size = len(sequence["ids"])
            ids[index, :size] = torch.tensor(sequence["ids"])
            targets[index, :size] = torch.tensor(sequence["targets"])
            mask[index, :size] = 1
        targets[:, 0] = 0  # nothing predicts the first token
        numbers = torch.tensor([-1 if row is None else row["example"] for row in rows])
        batch = {"input_ids": ids, "attention_mask": mask, "examples": numbers}
        if not self.is_preference:
            return {**batch, "labels": ids.masked_fill(targets == 0, IGNORED)}
        batch["completion_mask"] = targets
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            if any(row is None or name in row for row in rows):
                batch[name] = torch.tensor([0.0 if row is None else row[name] for row in rows])
        return batch


class _Fixed:
    """What both trainers do in another way than TRL's."""

    args: Any
    state: Any
    optimizer: Any
    lr_scheduler: Any
    train_dataset: Any
    data_collator: Any
    accelerator: Any

    def __init__(self, recipe: Learning, batches: Sequence[Sequence[int]], **parts: Any) -> None:
        """`batches` are numbers of rows of the dataset; `parts` are TRL's own."""
        self.recipe, self.batches = recipe, batches
        self.seen = Seen()
        super().__init__(**parts)

    def get_train_dataloader(self) -> Any:
        """One item for each optimizer step, in order, the same number in every process."""
        place = (self.accelerator.process_index, self.accelerator.num_processes)
        shares = Shares(self.train_dataset, self.batches, *place)
        return torch.utils.data.DataLoader(shares, batch_size=None, collate_fn=self.data_collator)

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """All of them, as in the compact loop."""
        return [name for name, _ in model.named_parameters()]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of the recipe; the optimizer's own rate is 1."""
        if self.lr_scheduler is None:
            rate = self.recipe.schedule.rate
            # Called once more after the last step, for a rate that is not used.
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                self.optimizer if optimizer is None else optimizer, lambda step: rate(step, len(self.batches))
            )
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss, and a note of what it was computed on."""
        examples = inputs.pop("examples").tolist()
        with self.calculating(model):
            loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)  # type: ignore[misc]
        loss = self.share_of_mean(loss, examples)
        value = float(loss.detach())
        need_finite(value, self.state.global_step, len(self.batches))
        self.seen.examples.append([example for example in examples if example >= 0])
        self.seen.losses.append(value)
        return loss

    def calculating(self, model: Any) -> Any:
        """In the precision of the recipe, as the compact loop does."""
        return calculating(self.accelerator.unwrap_model(model), self.recipe)

    def share_of_mean(self, loss: Any, examples: Sequence[int]) -> Any:
        """From TRL's loss one whose mean over the processes is the mean over the batch; here TRL's, as it is."""
        return loss


class FixedSFT(_Fixed, SFTTrainer):  # type: ignore[misc]
    """Its loss is the sum over the targets of this process, divided by the number of targets of the whole batch."""


class FixedDPO(_Fixed, DPOTrainer):  # type: ignore[misc]
    """Its loss is the mean over the pairs of this process."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **options: Any) -> Any:
        return dataset  # the sequences are encoded already

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """Of the starting weights, once, before training."""
        with self.calculating(model):
            return super().compute_ref_log_probs(model, {k: v for k, v in inputs.items() if k != "examples"})

    def share_of_mean(self, loss: Any, examples: Sequence[int]) -> Any:
        """Without the rows that stand for nothing: each adds the loss of no gain to the sum, and no gradient."""
        num_empty = sum(example < 0 for example in examples)
        num_pairs = len(self.batches[self.state.global_step])
        of_nothing = (1 / (2 * self.recipe.beta)) ** 2 if isinstance(self.recipe, IPO) else math.log(2)
        total = loss * len(examples) - num_empty * of_nothing
        return total * (self.accelerator.num_processes / num_pairs)
