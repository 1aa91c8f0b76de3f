"""The questions of `Utility` as a task folder of lm-eval (EleutherAI's lm-evaluation-harness).

    lm_eval --model hf --model_args pretrained=MODEL --include_path FOLDER --tasks NAME --apply_chat_template

The folder holds NAME.yaml, the questions in NAME.jsonl, and NAME.py with the rule by which an answer is right. It needs
neither this package nor a network, and can be moved.
"""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from pathlib import Path
from string import Template

from pharmakon import __version__
from pharmakon.behaviour.questions import Question, says
from pharmakon.core import stream
from pharmakon.errors import InputError
from pharmakon.probes import Utility

CONFIG = Template('''# The questions of a study's utility, written by pharmakon $version.
task: $name
custom_dataset: !function $name.load
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
process_results: !function $name.score
generation_kwargs:
  do_sample: false
  until: []
  max_gen_toks: $max_tokens
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1
''')  # fmt: skip

CODE = Template('''"""Reads and scores the questions of $name.jsonl. Written by pharmakon $version."""

import json
import re
from pathlib import Path

from datasets import Dataset


def load(**_):
    text = Path(__file__).with_suffix(".jsonl").read_text(encoding="utf-8")
    return {"test": Dataset.from_list([json.loads(line) for line in text.split("\\n") if line])}


$says

def score(doc, results):
    """Right: the expected phrase is said, and no other option that is not part of it."""
    answer, expected = results[0].strip(), doc["expected"]
    others = [option for option in doc["options"] if not says(expected, option)]
    right = says(answer, expected) and not any(says(answer, option) for option in others)
    return {"acc": float(right)}
''')  # fmt: skip


def write_task(utility: Utility, folder: Path, *, name: str, seed: int = 0) -> Path:
    """Write the task to a new folder: the questions that a study's cell of this seed asks.

    `InputError` if a question is more than one user turn, which a task of lm-eval cannot hold.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"the name of a task is a word of a-z, 0-9 and _, which begins with a letter; got {name!r}")
    if folder.exists() or folder.is_symlink():
        raise InputError(f"a task is written to a new folder; {folder} is there already")
    questions = utility.asked(stream(seed, "probe", type(utility).__qualname__))
    lines = [json.dumps(_record(question), ensure_ascii=False) for question in questions]
    told = {"name": name, "version": __version__, "max_tokens": utility.max_tokens, "says": inspect.getsource(says)}
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
        made = Path(aside) / "task"
        made.mkdir()
        (made / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (made / f"{name}.py").write_text(CODE.substitute(told), encoding="utf-8")
        (made / f"{name}.yaml").write_text(CONFIG.substitute(told), encoding="utf-8")
        made.rename(folder)
    return folder


def _record(question: Question) -> dict[str, object]:
    turns = question.prompt.turns
    if [turn.role for turn in turns] != ["user"]:
        roles = ", ".join(turn.role for turn in turns)
        raise InputError(f"a question of lm-eval is one user turn; got {roles}. Use inspect-ai, which takes dialogues")
    return {
        "question": turns[0].content,
        "answer": question.answer,
        "expected": question.expected,
        "options": list(question.options),
        "task": question.task,
    }
