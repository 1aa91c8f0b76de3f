"""One of the processes that train: `python -m pharmakon.engines.trl.worker FOLDER`, started by a launcher.

Reads `job.json` and `examples.jsonl`; writes `seen-RANK.json`, and the first process the folder `weights`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

from pharmakon.engines.recipes import DPO, IPO, SFT, Learning, LoRA, Pretrain, Schedule
from pharmakon.engines.torch.allocator import prepare
from pharmakon.engines.trl.launch import explain
from pharmakon.errors import PharmakonError


def main(folder: Path) -> None:
    """Train, and leave the weights or the reason why there are none."""
    rank = int(os.environ.get("RANK", "0"))
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    with (folder / f"rank-{rank}.log").open("wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    prepare()
    from pharmakon.engines.torch.checkpoint import memory_told

    try:
        with memory_told():
            _train(folder, json.loads((folder / "job.json").read_text(encoding="utf-8")))
    except PharmakonError as error:
        explain(folder, rank, error)
        raise
    # All is written. Threads of the libraries may still run: one that is there when the interpreter is taken down can
    # abort the process (SIGABRT, "terminate called without an active exception").
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _end_with_launcher() -> None:
    """Whoever started the launcher holds the other end of this process's input: it closes when that one ends."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def recipe_of(job: dict[str, Any]) -> Learning:
    """The recipe that was written into a job."""
    kinds: dict[str, type[Learning]] = {"sft": SFT, "dpo": DPO, "ipo": IPO, "pretrain": Pretrain}
    fields = job["recipe"]
    lora = None if fields["lora"] is None else LoRA(**fields["lora"])
    return kinds[job["objective"]](**{**fields, "schedule": Schedule(**fields["schedule"]), "lora": lora})


def _train(folder: Path, job: dict[str, Any]) -> None:
    import torch
    from accelerate import PartialState

    from pharmakon.engines.torch.checkpoint import Checkpoint, open_checkpoint, with_adapter

    recipe, start = recipe_of(job), Path(job["start"])
    args = _arguments(recipe, folder, job)
    state = PartialState()  # knows the device of this process, once there are arguments

    def opened() -> Checkpoint:
        torch.manual_seed(job["seed"])  # a new adapter is that of the torch engine
        return with_adapter(open_checkpoint(start, precision=recipe.precision, trainable=True), recipe.lora)

    model = opened()
    # The trainers set special tokens in these, which are no part of what was learned.
    base = model.network.get_base_model() if recipe.lora else model.network
    kept = deepcopy((base.config, base.generation_config))
    trainer = _trainer(recipe, args, job, folder, opened, model)
    trainer.train()
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if recipe.lora and "ref" in model.network.peft_config:  # the reference of DPO, a copy of the adapter at the start
        model.network.delete_adapter("ref")
        weights = {name: value for name, value in weights.items() if ".ref." not in name}
    # Gathered from shards, tied weights are two copies.
    weights = {name: value for name, value in weights.items() if name not in base.all_tied_weights_keys}
    base.config, base.generation_config = kept
    seen = {"examples": trainer.seen.examples, "losses": trainer.seen.losses}
    (folder / f"seen-{state.process_index}.json").write_text(json.dumps(seen), encoding="utf-8")
    if state.is_main_process:
        model.save(folder / "weights", start, weights)
    trainer.accelerator.end_training()
    state.destroy_process_group()


def _arguments(recipe: Learning, folder: Path, job: dict[str, Any]) -> Any:
    import torch
    from trl import DPOConfig, SFTConfig

    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    has_gpu = torch.cuda.is_available()
    common = {
        "output_dir": str(folder / "trainer"),
        "per_device_train_batch_size": -(-recipe.batch_size // num_processes),
        "gradient_accumulation_steps": 1,
        "max_steps": len(job["batches"]),
        "optim": "adamw_torch_fused",
        "learning_rate": 1.0,  # times the schedule of the recipe
        "adam_beta2": 0.98,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "bf16": False,  # the trainers calculate as the compact loop does
        "gradient_checkpointing": False,
        "seed": job["seed"],
        "use_cpu": not has_gpu,
        "ddp_backend": None if has_gpu or num_processes == 1 else "gloo",
        "ddp_find_unused_parameters": False,
        "remove_unused_columns": False,
        "save_strategy": "no",
        "logging_strategy": "no",
        "eval_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "push_to_hub": False,
    }
    if isinstance(recipe, DPO | IPO):
        loss = "sigmoid" if isinstance(recipe, DPO) else "ipo"
        return DPOConfig(**common, beta=recipe.beta, loss_type=[loss], precompute_ref_log_probs=True)
    return SFTConfig(**common, dataset_kwargs={"skip_prepare_dataset": True})


def _trainer(recipe: Learning, args: Any, job: dict[str, Any], folder: Path, opened: Any, model: Any) -> Any:
    from accelerate import PartialState
    from datasets import Dataset, load_from_disk

    from pharmakon.engines.trl.trainers import Collator, FixedDPO, FixedSFT

    lines = (folder / "examples.jsonl").read_text(encoding="utf-8").split("\n")
    examples = [json.loads(line) for line in lines]
    used = sorted({example for batch in job["batches"] for example in batch})
    row_of = {example: row for row, example in enumerate(used)}
    with PartialState().main_process_first():  # on disk: all processes add the same reference to the same rows
        if PartialState().is_main_process:
            Dataset.from_dict({"example": used}).save_to_disk(folder / "rows")
    tokenizer = deepcopy(model.encoder.tokenizer)  # the trainers give it other special tokens
    pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
    parts = {
        "model": model.network,
        "args": args,
        "data_collator": Collator(examples, pad, isinstance(recipe, DPO | IPO)),
        "train_dataset": load_from_disk(str(folder / "rows")),
        "processing_class": tokenizer,
    }
    batches = [[row_of[example] for example in batch] for batch in job["batches"]]
    if isinstance(recipe, DPO | IPO):
        # Shards cannot be asked before training: there the reference is a model of its own. An adapter has a copy.
        is_sharded = os.environ.get("ACCELERATE_USE_FSDP", "false") == "true"
        trainer = FixedDPO(
            recipe, batches, **parts, ref_model=opened().network if is_sharded and not recipe.lora else None
        )
    else:
        trainer = FixedSFT(recipe, batches, **parts)
        trainer.model_accepts_loss_kwargs = True  # count the targets of the whole batch, whatever the model
    return trainer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
