"""Training speed of the torch engine against transformers' `Trainer`: same model, data, batch, precision, optimizer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

NUM_ROWS, ROW, BATCH = 1_280, 64, 16
ROUNDS = 3


def measure() -> dict[str, Any]:
    """Tokens per second of process time, each loop in processes of its own, in turn; the median of three rounds."""
    rates: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for loop in ("engine", "trainer"):
            for task in ("text", "dialogues"):
                out = subprocess.run(
                    [sys.executable, "-m", "benchmarks.trainer", loop, task], capture_output=True, text=True, check=True
                ).stdout
                rates.setdefault(f"{task} {loop}", []).append(json.loads(out.splitlines()[-1])["tokens_per_second"])
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    ratios = {task: medians[f"{task} engine"] / medians[f"{task} trainer"] for task in ("text", "dialogues")}
    return {"tokens_per_second": medians, "ratio": ratios}


def _corpora() -> tuple[Any, Any]:
    from pharmakon.core import stream
    from pharmakon.data.world import WorldDialogues, WorldText

    return (
        WorldText(num_documents=4_500).corpus(stream(0, "benchmark", "text")),
        WorldDialogues(num_documents=1_000).corpus(stream(0, "benchmark", "dialogues")),
    )


def _once(loop: str, task: str) -> float:
    if loop == "engine":
        from pharmakon.engines.torch.allocator import prepare

        prepare()
    import torch

    torch.set_num_threads(1)
    from pharmakon.engines.recipes import SFT, Micro, Pretrain
    from pharmakon.engines.torch.checkpoint import Checkpoint
    from pharmakon.engines.torch.encode import Encoder, train_tokenizer
    from pharmakon.engines.torch.engine import _new_model
    from pharmakon.engines.torch.train import fit_dialogues, fit_text, rows_of_text

    text, dialogues = _corpora()
    tokenizer = train_tokenizer(text, Micro())
    encoder = Encoder(tokenizer)
    torch.manual_seed(0)
    model = _new_model(Micro(), tokenizer)
    encoded = encoder.encode([document.body for document in (text if task == "text" else dialogues)])
    if task == "text":
        rows = rows_of_text(encoded, ROW)[0][:NUM_ROWS]
        tokens = sum(len(row.ids) for row in rows)
    else:
        rows, tokens = encoded, sum(len(item.ids) for item in encoded)
    if loop == "engine":
        begun = time.process_time()
        if task == "text":
            recipe = Pretrain(batch_size=BATCH, row_length=ROW)
            fit_text(Checkpoint(model, encoder), recipe, rows, np.random.default_rng(0))
        else:
            fit_dialogues(Checkpoint(model, encoder), SFT(epochs=1), rows, np.random.default_rng(0))
        return tokens / (time.process_time() - begun)
    return tokens / _trainer(model, rows, tokenizer.pad_token_id, task)


def _trainer(model: Any, rows: Any, pad: int, task: str) -> float:
    import torch
    from transformers import Trainer, TrainingArguments

    class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, index: int) -> Any:
            return rows[index]

    def collate(batch: Any) -> dict[str, Any]:
        width = max(len(row.ids) for row in batch)
        ids = torch.tensor([list(row.ids) + [pad] * (width - len(row.ids)) for row in batch])
        mask = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in batch])
        marks = torch.tensor([list(row.is_target) + [False] * (width - len(row.ids)) for row in batch])
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(~marks, -100)}

    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH if task == "text" else 8,
            num_train_epochs=1,
            learning_rate=1e-3,
            bf16=task == "text",
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_num_workers=0,
        )
        trainer = Trainer(model, arguments, data_collator=collate, train_dataset=Rows())
        begun = time.process_time()
        trainer.train()
        return time.process_time() - begun


if __name__ == "__main__":
    print(json.dumps({"tokens_per_second": _once(sys.argv[1], sys.argv[2])}), flush=True)
