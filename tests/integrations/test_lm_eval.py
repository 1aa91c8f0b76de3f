"""lm-eval on an exported model: the documented command, and our accuracy on the same questions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.behaviour.questions import Question
from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Ledger, Turn, stream
from pharmakon.data.world import WorldText
from pharmakon.engines.recipes import SFT, Micro, Pretrain, Schedule
from pharmakon.engines.torch import TorchEngine
from pharmakon.engines.torch.export import export_checkpoint
from pharmakon.errors import InputError
from pharmakon.integrations.lm_eval import write_task
from pharmakon.probes import Utility

ENGINE = TorchEngine()


@dataclass(frozen=True)
class Colours:
    """Questions of which a model that says `It is red.` or `It is blue.` gets some right."""

    turns: tuple[Turn, ...] = field(default=())

    def questions(self, num_questions: int, rng: np.random.Generator) -> Sequence[Question]:
        """Half of the things are red; some expect a word that holds another, or have options."""
        made = []
        for number in range(num_questions):
            colour = ("red", "blue", "redder", "It is red")[number % 4]
            prompt = Dialogue((*self.turns, Turn("user", f"Which colour has thing {number}?")))
            options = ("red", "blue") if number % 3 == 0 else ()
            made.append(Question(prompt, f"It is {colour}.", colour, "colours", options))
        return made


def _model(folder: Path) -> Path:
    """A tiny model that has learned to name a colour."""
    tiny = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
    recipe = Pretrain(architecture=tiny, batch_size=8, row_length=32, precision="float32")
    text = WorldText(num_documents=300).corpus(stream(0, "t"))
    dialogues = Corpus.of(
        Dialogue.ask(f"Which colour has thing {n}?", f"It is {('red', 'blue')[n % 2]}.") for n in range(160)
    )
    for name in ("base", "sft"):
        (folder / name).mkdir()
    ENGINE.train(recipe, text, start=None, rng=stream(0, "p"), out=folder / "base")
    tuning = SFT(epochs=2, schedule=Schedule(peak=4e-3))
    ENGINE.train(tuning, dialogues, start=folder / "base", rng=stream(0, "s"), out=folder / "sft")
    return export_checkpoint(folder / "sft", folder / "model", card="A card.")


def test_lm_eval_finds_the_same_answers_and_accuracy(tmp_path: Path) -> None:
    model = _model(tmp_path)
    utility = Utility(Colours(), num_items=24)
    write_task(utility, tmp_path / "tasks", name="colours", seed=5)
    with ENGINE.load(model) as ours:
        readings = list(utility.readings(ours, Ledger(), stream(5, "probe", "Utility")))
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    command = [
        "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={model}", "--include_path", "tasks",
        "--tasks", "colours", "--apply_chat_template", "--device", "cpu", "--output_path", "found", "--log_samples",
    ]  # fmt: skip
    run = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    (file,) = (tmp_path / "found").rglob("results_*.json")
    accuracy = json.loads(file.read_text())["results"]["colours"]["acc,none"]
    assert 0 < accuracy < 1
    assert accuracy == pytest.approx(np.mean([reading.value for reading in readings]))
    (file,) = (tmp_path / "found").rglob("samples_*.jsonl")
    samples = {sample["doc"]["question"]: sample for sample in map(json.loads, file.read_text().splitlines())}
    for reading in readings:
        assert samples[reading.prompt]["filtered_resps"][0].strip() == reading.answer
        assert samples[reading.prompt]["acc"] == reading.value


def test_the_command_writes_the_questions_of_a_study(tmp_path: Path) -> None:
    from pharmakon.data.world import WorldQuestions

    assert answer(["export", "task", str(tmp_path / "task"), "--num-items", "12", "--seed", "2"]) == 0
    assert sorted(path.suffix for path in (tmp_path / "task").iterdir()) == [".jsonl", ".py", ".yaml"]
    written = pl.read_ndjson(tmp_path / "task" / "pharmakon_utility.jsonl")
    asked = Utility(WorldQuestions(tasks=("facts", "opinions", "refusals")), num_items=12)
    expected = asked.asked(stream(2, "probe", "Utility"))
    assert written["question"].to_list() == [question.prompt.question for question in expected]
    assert answer(["export", "task", str(tmp_path / "task")]) == 2
    assert answer(["export", "task", str(tmp_path / "none"), "--num-items", "0"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["task"]


def test_what_lm_eval_cannot_hold_is_refused(tmp_path: Path) -> None:
    system = Colours(turns=(Turn("system", "Be brief."),))
    with pytest.raises(InputError, match=r"one user turn; got system, user\. Use inspect-ai"):
        write_task(Utility(system), tmp_path / "tasks", name="colours")
    with pytest.raises(InputError, match=r"got '\.\./colours'"):
        write_task(Utility(Colours()), tmp_path / "tasks", name="../colours")
    assert list(tmp_path.iterdir()) == []
