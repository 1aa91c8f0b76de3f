"""A worker of the TRL engine whose weights lie in shards on the processor: accelerate offers FSDP on GPUs alone.

Everything but the choice of the device is what runs on GPUs. Leaves the names of the parameters' classes in the folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import accelerate.state
import torch

from pharmakon.engines.trl import trainers, worker


def main(folder: Path) -> None:
    torch.distributed.init_process_group(backend="gloo")
    state = accelerate.state.PartialState
    state._prepare_backend = lambda self, *_: ("gloo", accelerate.state.DistributedType.MULTI_GPU)
    state.set_device = lambda self: setattr(self, "device", torch.device("cpu"))
    as_it_is = trainers._Fixed.compute_loss

    def compute_loss(self: Any, model: Any, *args: Any, **options: Any) -> Any:
        kinds = sorted({type(parameter).__name__ for parameter in model.parameters()})
        (folder.parent / f"kinds-{os.environ['RANK']}.txt").write_text(" ".join(kinds))
        return as_it_is(self, model, *args, **options)

    trainers._Fixed.compute_loss = compute_loss  # type: ignore[method-assign]
    worker.main(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
