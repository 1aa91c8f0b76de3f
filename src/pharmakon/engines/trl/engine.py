"""`TRLEngine`: the recipes of the torch engine, trained by TRL's trainers in processes of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pharmakon.core import Corpus, Model, Recipe, Trace
from pharmakon.engines.folders import whole_model
from pharmakon.engines.recipes import DPO, IPO, SFT, Learning, Pretrain, Pretrained
from pharmakon.engines.torch.engine import TorchEngine, encode_corpus, finish, need_documents, need_start
from pharmakon.engines.trl.launch import command, launch
from pharmakon.errors import SpecError
from pharmakon.extras import need

if TYPE_CHECKING:
    from pharmakon.engines.torch.encode import Encoded

WORKER = ("-m", "pharmakon.engines.trl.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class TRLEngine:
    """Trains through TRL's `SFTTrainer` and `DPOTrainer` on accelerate, in several processes or on several GPUs.

    The order of the documents, the batches, the loss, the schedule and the optimizer are those of `TorchEngine`, and so
    is the checkpoint: either engine goes on with the weights of the other. Models from scratch and models that are
    taken as they are, are left to `TorchEngine`: TRL's trainers begin with weights that are there.
    """

    version: ClassVar[int] = 1_000 * TorchEngine.version + 2  # which encodes, starts and answers for it
    has_inside: ClassVar[bool] = True
    """Its models can be looked into: `pharmakon.whitebox`."""
    extra: ClassVar[str] = "trl"
    """What has to be installed: a run looks before it begins."""

    num_processes: int = 1
    """Every batch of the recipe is split over so many; their sums are rounded in another order, hence a new result."""
    accelerate_config: Path | None = field(default=None, metadata={"identity": False})
    """A file of `accelerate config`, which says how the weights lie on the devices. Not part of a result, as the kind
    of machine is not: how many processes there are and in which precision they calculate, it does not decide."""

    def __post_init__(self) -> None:
        if self.num_processes < 1:
            raise SpecError(f"training takes at least one process; got num_processes={self.num_processes}")

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        """Learn from a corpus and write a checkpoint to the folder `out`, all of it or nothing.

        Raises RunError where a process dies, the loss is no number or memory runs out, InputError where data and
        recipe do not fit.
        """
        need("trl")
        command(self.num_processes, self.accelerate_config)  # a file that is not there is refused before anything runs
        from_nothing = isinstance(recipe, Pretrain) and recipe.architecture is not None
        if from_nothing or isinstance(recipe, Pretrained):
            return TorchEngine().train(recipe, corpus, start=start, rng=rng, out=out)
        if not isinstance(recipe, Pretrain | SFT | DPO | IPO):
            raise SpecError(f"the TRL engine knows Pretrained, Pretrain, SFT, DPO and IPO; got {type(recipe).__name__}")
        start = need_start(recipe, start)
        need_documents(corpus)
        if self.num_processes > recipe.batch_size:
            most = f"a batch of {recipe.batch_size} is split over at most {recipe.batch_size} processes"
            raise SpecError(f"{most}; got {self.num_processes}. Give fewer, or a recipe with a larger batch")
        return self._train(recipe, corpus, start, rng, out)

    def seconds(self, recipe: Recipe, num_documents: int) -> float:
        """About how long training takes on a processor, for planning only: the libraries alone load for seconds."""
        return 12.0 + 1.5 * TorchEngine().seconds(recipe, num_documents) / self.num_processes

    def load(self, weights: Path) -> AbstractContextManager[Model]:
        """The model of a checkpoint, as `TorchEngine` loads it."""
        return TorchEngine().load(weights)

    def _train(self, recipe: Learning, corpus: Corpus, start: Path, rng: np.random.Generator, out: Path) -> Trace:
        from pharmakon.engines.torch.checkpoint import open_encoder, save_encoder
        from pharmakon.engines.torch.train import batches_in_order, need_answers, rows_of_text

        encoder, cautions = open_encoder(start)
        seed = int(rng.integers(2**31))  # drawn first, as the torch engine does: what follows is the same order
        encoded = encode_corpus(recipe, corpus, encoder, _context(start))
        examples: Sequence[tuple[Encoded, ...]] = encoded
        shown = [[position] for position in range(len(encoded))]
        if isinstance(recipe, Pretrain):
            rows, shown = rows_of_text([item for (item,) in encoded], recipe.row_length)
            examples = [(row,) for row in rows]
        elif isinstance(recipe, SFT):
            need_answers([item for (item,) in encoded])
        batches = list(batches_in_order(len(examples), recipe.batch_size, recipe.epochs, rng))[: recipe.num_steps]
        with TemporaryDirectory(dir=out, prefix=".training-") as name:
            folder = Path(name)
            job = {
                "objective": recipe.objective,
                "recipe": asdict(recipe),
                "start": str(start.resolve()),
                "seed": seed,
                "batches": batches,
            }
            (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
            (folder / "examples.jsonl").write_text("\n".join(map(_line, examples)), encoding="utf-8")
            launch(WORKER, folder, num_processes=self.num_processes, accelerate_config=self.accelerate_config)
            trace = merged(folder, self.num_processes, shown, once=isinstance(recipe, Pretrain))
            for path in sorted((folder / "weights").iterdir()):
                os.replace(path, out / path.name)
        save_encoder(encoder, cautions, out)  # the files of another process say that it loaded them offline
        return finish(trace, recipe, encoded, cautions)


def merged(folder: Path, num_processes: int, shown: Sequence[Sequence[int]], *, once: bool = False) -> Trace:
    """What all processes noted down, step by step, in the order of the batch.

    `shown`: the documents of each example. `once`: examples are rows of text, and a document that was cut into several
    of them was seen once in a batch.
    """
    notes = [json.loads((folder / f"seen-{rank}.json").read_text(encoding="utf-8")) for rank in range(num_processes)]
    positions: list[int] = []
    steps: list[int] = []
    for step, shares in enumerate(zip(*(note["examples"] for note in notes), strict=True)):
        seen = [position for share in shares for example in share for position in shown[example]]
        seen = sorted(set(seen)) if once else seen
        positions += seen
        steps += [step] * len(seen)
    losses = [float(np.mean(values)) for values in zip(*(note["losses"] for note in notes), strict=True)]
    return Trace(positions=positions, steps=steps, losses=losses)


def _line(example: tuple[Encoded, ...]) -> str:
    return json.dumps([{"ids": side.ids, "targets": [*map(int, side.is_target)]} for side in example])


def _context(start: Path) -> int:
    from transformers import AutoConfig

    from pharmakon.engines.torch.checkpoint import context_of

    return context_of(AutoConfig.from_pretrained(whole_model(start), trust_remote_code=False))
