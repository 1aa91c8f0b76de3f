"""TRL's two trainers, fed with batches that are fixed beforehand, and noting down what each step really saw.

What is changed, and why: the batches, so that their order is that of the compact loop and no document is shown twice to
fill a batch up; the schedule; weight decay on all parameters; and for DPO the weight of a process whose share of a batch
is smaller than the others'. The loss itself is TRL's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from trl import DPOTrainer, SFTTrainer

from pharmakon.engines.recipes import Learning
from pharmakon.engines.torch.train import need_finite

IGNORED = -100  # the label of a token that carries no loss


@dataclass
class Seen:
    """What one process saw: for each step its share of the examples, and the loss as it reports it."""

    examples: list[list[int]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Shares(torch.utils.data.Dataset[Any]):
    """For each step the rows of one process: a run of the batch, perhaps none of a short last one."""

    rows: Any
    batches: Sequence[Sequence[int]]
    rank: int
    num_processes: int

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> tuple[list[dict[str, Any]], float]:
        batch = self.batches[step]
        size = -(-len(batch) // self.num_processes)
        share = batch[self.rank * size : (self.rank + 1) * size]
        return [self.rows[row] for row in share], len(share) * self.num_processes / len(batch)


@dataclass(frozen=True)
class Collator:
    """Rows of a dataset to padded tensors. A row names an example; `examples` holds its sequences."""

    examples: Sequence[Sequence[dict[str, list[int]]]]
    pad: int
    is_preference: bool

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """As TRL's own collators, but with the targets that the encoder marked, and the numbers of the examples."""
        chosen = [self.examples[row["example"]] for row in rows]
        if not rows:  # nothing for this process in this step: a row that carries no loss keeps it in step
            nothing = {"ids": [self.pad] * 2, "targets": [0] * 2}
            chosen = [[nothing, nothing] if self.is_preference else [nothing]]
        num_sides = 2 if self.is_preference else 1
        sequences = [example[side] for side in range(num_sides) for example in chosen]
        width = max(2, *(len(sequence["ids"]) for sequence in sequences))
        ids, mask, targets = (torch.zeros(len(sequences), width, dtype=torch.long) for _ in range(3))
        ids += self.pad
        for index, sequence in enumerate(sequences):
            size = len(sequence["ids"])
            ids[index, :size] = torch.tensor(sequence["ids"])
            targets[index, :size] = torch.tensor(sequence["targets"])
            mask[index, :size] = 1
        targets[:, 0] = 0  # nothing predicts the first token
        batch = {"input_ids": ids, "attention_mask": mask}
        batch["examples"] = torch.tensor([row["example"] for row in rows], dtype=torch.long)
        if not self.is_preference:
            return {**batch, "labels": ids.masked_fill(targets == 0, IGNORED)}
        batch["completion_mask"] = targets
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            if not rows or name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows] or [0.0])
        return batch

    def share(self, item: tuple[Sequence[dict[str, Any]], float]) -> dict[str, Any]:
        """The batch of one step, with the weight that its mean has among those of the other processes."""
        rows, weight = item
        return {**self(rows), "weight": torch.tensor(weight)}


class _Fixed:
    """What both trainers do in another way than TRL's."""

    args: Any
    state: Any
    optimizer: Any
    lr_scheduler: Any
    train_dataset: Any
    data_collator: Any
    accelerator: Any

    def set_plan(self, recipe: Learning, batches: Sequence[Sequence[int]]) -> None:
        """The batches, as numbers of rows, and the recipe that they follow."""
        self.recipe, self.batches = recipe, batches
        self.seen = Seen()

    def get_train_dataloader(self) -> Any:
        """One item for each optimizer step, in order, the same number in every process."""
        place = (self.accelerator.process_index, self.accelerator.num_processes)
        shares = Shares(self.train_dataset, self.batches, *place)
        return torch.utils.data.DataLoader(shares, batch_size=None, collate_fn=self.data_collator.share)

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
        examples, weight = inputs.pop("examples"), inputs.pop("weight")
        loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)  # type: ignore[misc]
        loss = self.weighted(loss, weight)
        value = float(loss.detach())
        need_finite(value, self.state.global_step, len(self.batches))
        self.seen.examples.append(examples.tolist())
        self.seen.losses.append(value)
        return loss

    def weighted(self, loss: Any, weight: Any) -> Any:
        """A loss whose mean over the processes is the mean over the batch."""
        raise NotImplementedError


class FixedSFT(_Fixed, SFTTrainer):  # type: ignore[misc]
    """Its loss is a sum over the targets of this process, divided by the number of targets in the whole batch."""

    def weighted(self, loss: Any, weight: Any) -> Any:
        """As it is."""
        return loss


class FixedDPO(_Fixed, DPOTrainer):  # type: ignore[misc]
    """Its loss is a mean over the pairs of this process."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **options: Any) -> Any:
        return dataset  # the sequences are encoded already

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """Of the starting weights, once, before training."""
        return super().compute_ref_log_probs(model, {k: v for k, v in inputs.items() if k != "examples"})

    def weighted(self, loss: Any, weight: Any) -> Any:
        """By this process's share of the batch."""
        return loss * weight
