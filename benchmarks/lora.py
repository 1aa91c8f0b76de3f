"""Instruction tuning of SmolLM2 with LoRA: the torch engine against TRL's `SFTTrainer`, and the speed of the machine.

Same weights (bfloat16), adapter (rank 8 on all linear layers), documents, order, batch and number of threads. Tokens
are those of the documents, whatever a loop pads, packs or shares.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

BATCH, RANK = 8, 8
WARM, TIMED = 16, 64  # documents
ROUNDS = 3
LOOPS = ("engine", "trl", "trl, no checkpointing")
THREADS = (1, 2)


def measure() -> dict[str, Any]:
    """Tokens per second for each number of threads and loop, and GF/s of plain bfloat16 products; medians of rounds.

    Each loop runs in a process of its own, in turn. With one thread the time is that of the process, else the clock's.
    `two workers` is the sum of two processes of the engine at once, one thread each, as a run with two workers has.
    """
    found: dict[int, dict[str, list[float]]] = {count: {} for count in THREADS}
    for _ in range(ROUNDS):
        for count in THREADS:
            for loop in LOOPS:
                _note(found[count], loop, _told([_started(loop, count)]))
        if 1 in THREADS:
            _note(found[1], "two workers", _told([_started("engine", 1) for _ in range(2)]))
    return {
        str(count): {name: float(np.median(values)) for name, values in values_of.items()}
        for count, values_of in found.items()
    }


def _started(loop: str, num_threads: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.lora", loop, str(num_threads)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _told(processes: list[subprocess.Popen[str]]) -> dict[str, float]:
    answers = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    rate = sum(answer["tokens_per_second"] for answer in answers)
    return {"tokens_per_second": rate, "bfloat16": min(answer["bfloat16"] for answer in answers)}


def _note(values: dict[str, list[float]], loop: str, told: dict[str, float]) -> None:
    print(loop, told, file=sys.stderr, flush=True)
    values.setdefault(loop, []).append(told["tokens_per_second"])
    values.setdefault("bfloat16", []).append(told["bfloat16"])


def _documents() -> Any:
    from pharmakon.core import stream
    from pharmakon.data.derived import First, WithDemonstrations
    from pharmakon.data.vader import VaderData

    data = WithDemonstrations(First(VaderData(max_words=16, balanced=True), 240))
    return data.corpus(stream(0, "benchmark", "lora"))[: WARM + TIMED]


def _once(loop: str, num_threads: int) -> dict[str, float]:
    from pharmakon.engines.torch.allocator import prepare

    if loop == "engine":
        prepare()
    import torch

    from pharmakon.engines.pretrained import folder_of, pretrained
    from pharmakon.engines.torch.encode import load_encoder
    from pharmakon.engines.torch.machine import _speed

    torch.set_num_threads(num_threads)
    corpus = _documents()
    folder = folder_of(pretrained("smollm2"))
    encoded = load_encoder(folder).encode([document.body for document in corpus])
    tokens = sum(len(item.ids) for item in encoded[WARM:])
    clock = time.process_time if num_threads == 1 else time.perf_counter
    if loop == "engine":
        seconds = _engine(folder, encoded, clock)
    else:
        seconds, num_tokens = _trl(folder, corpus, clock, loop == "trl")
        assert num_tokens == sum(len(item.ids) for item in encoded)  # they learn from the same tokens
    torch.set_num_threads(num_threads)
    return {"tokens_per_second": tokens / seconds, "bfloat16": _speed(torch.bfloat16, 1.0)}


def _engine(folder: Path, encoded: Any, clock: Any) -> float:
    from pharmakon.engines.recipes import SFT, LoRA
    from pharmakon.engines.torch.checkpoint import open_checkpoint, with_adapter
    from pharmakon.engines.torch.train import fit_dialogues

    recipe = SFT(batch_size=BATCH, precision="bfloat16", lora=LoRA(rank=RANK, alpha=2.0 * RANK))
    opened = with_adapter(open_checkpoint(folder, precision="bfloat16", trainable=True), recipe.lora)
    fit_dialogues(opened, recipe, encoded[:WARM], np.random.default_rng(0))
    begun = clock()
    fit_dialogues(opened, recipe, encoded[WARM:], np.random.default_rng(0))
    return float(clock() - begun)


def _trl(folder: Path, corpus: Any, clock: Any, gradient_checkpointing: bool) -> tuple[float, int]:
    """As a user would write it: prompts and completions, TRL's own template handling, collation and defaults."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    messages = [[{"role": turn.role, "content": turn.content} for turn in document.body.turns] for document in corpus]
    rows = [{"prompt": turns[:-1], "completion": turns[-1:]} for turns in messages]
    times = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(clock())

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

    with TemporaryDirectory() as out:
        trainer = InOrder(
            model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16),
            args=SFTConfig(
                out,
                per_device_train_batch_size=BATCH,
                num_train_epochs=1,
                gradient_checkpointing=gradient_checkpointing,
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(folder),
            peft_config=LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[Clock()],
        )
        trainer.train()
    assert len(times) == (WARM + TIMED) // BATCH
    return float(times[-1] - times[WARM // BATCH - 1]), int(trainer._total_train_tokens)


if __name__ == "__main__":
    print(json.dumps(_once(sys.argv[1], int(sys.argv[2]))), flush=True)
