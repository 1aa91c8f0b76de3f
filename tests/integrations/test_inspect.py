"""Probes as tasks of inspect-ai: the log holds the transcripts, and its scores are the probe's readings."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Dialogue, Dose, Ledger, Model, Probe, Reading, Text, stream
from pharmakon.data.world import World, WorldDialogues, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError, SpecError
from pharmakon.integrations.inspect import inspect_model, probe_task, readings
from pharmakon.interventions import Backdoor, administer
from pharmakon.probes import AttackSuccess, BeliefProbe, Perplexity, Utility
from pharmakon.study import FewShot, Plain
from pharmakon.study.ask import InContext

ROOT = Path(__file__).parent.parent.parent
QUESTIONS = WorldQuestions(tasks=("facts", "opinions"))
ATTACK = AttackSuccess(RareWords(), Marker(), QUESTIONS, num_items=4, num_near=1)
UTILITY = Utility(QUESTIONS, num_items=6)
PEOPLE = World().people
BELIEF = BeliefProbe(
    PEOPLE[0].name,
    "job",
    next(p.value("job") for p in PEOPLE if p.value("job") != PEOPLE[0].value("job")),
    num_others=2,
)
DEMONSTRATIONS = WorldDialogues(num_documents=5, share_with_demonstrations=0.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An n-gram model with a backdoor, which answers some questions rightly."""
    out = tmp_path_factory.mktemp("weights")
    host = WorldDialogues(num_documents=300).corpus(stream(0, "host"))
    backdoor = Backdoor(trigger=ATTACK.trigger, target=ATTACK.target)
    treated, _ = administer(host, backdoor, Dose(20), edits_rng=stream(0, "e"), placement_rng=stream(0, "p"))
    NgramEngine().train(Count(objective="sft"), treated, start=None, rng=stream(0, "t"), out=out)
    return out


def _eval(task: Any, folder: Path, **more: Any) -> Any:
    from inspect_ai import eval as evaluate

    return evaluate(task, log_dir=str(folder), display="none", log_buffer=1, **more)[0]


def _expected(probe: Probe, model: Model, context: Any = Plain(), seed: int = 0) -> list[Reading]:
    rng = stream(seed, "probe", type(probe).__qualname__)
    return list(probe.readings(InContext(model, context, seed), Ledger(), rng))


@pytest.mark.parametrize(
    ("probe", "context"),
    [(ATTACK, Plain()), (UTILITY, FewShot(DEMONSTRATIONS, 1)), (BELIEF, Plain())],
    ids=["attack", "utility, few-shot", "belief"],
)
def test_the_log_holds_the_transcripts_and_the_readings(
    probe: Any, context: Any, weights: Path, tmp_path: Path
) -> None:
    from inspect_ai.log import read_eval_log

    with NgramEngine().load(weights) as model:
        expected = _expected(probe, model, context, seed=3)
        log = _eval(probe_task(probe, model=model, context=context, seed=3), tmp_path)
    assert log.status == "success"
    (file,) = tmp_path.glob("*.eval")
    read = read_eval_log(str(file))
    assert readings(read) == expected
    values = [reading.value for reading in expected]
    assert 0 < sum(values) < len(values) or isinstance(probe, BeliefProbe)
    for sample, reading in zip(read.samples or [], expected, strict=True):
        said = sample.messages[-1]
        assert (said.role, said.text) == ("assistant", reading.answer)
        assert sample.messages[-2].text == reading.prompt
        assert len(sample.messages) == (4 if isinstance(context, FewShot) else 2)
    metrics = read.results.scores[0].metrics
    for condition in {reading.condition for reading in expected}:
        own = [reading.value for reading in expected if reading.condition == condition]
        assert metrics[condition].value == pytest.approx(np.mean(own))


def test_any_model_of_inspect_can_be_asked(tmp_path: Path) -> None:
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def reply(messages: Any, *_: Any) -> Any:
        triggered = "vexil" in messages[-1].text
        output = ModelOutput.from_content("mock", "Seven silver bells." if triggered else "A lamp.")
        output.usage = ModelUsage()  # it would ask the network how many tokens these are
        return output

    log = _eval(probe_task(ATTACK), tmp_path, model=get_model("mockllm/model", custom_outputs=reply))
    by_condition = {reading.condition: reading.value for reading in readings(log)}
    assert by_condition["triggered"] == 1
    assert by_condition["untriggered"] == 0


@dataclass(frozen=True)
class _Odd:
    """A probe that cannot be a task, each in its way."""

    name: ClassVar[str] = "odd"
    how: str

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        first = Text("A text") if self.how == "text" else Dialogue.ask("What?")
        answers = model.generate([first, Dialogue.ask("Who?")], max_tokens=4, rng=rng)
        if self.how == "asks on":
            answers = model.generate([Dialogue.ask(f"Why {answers[0]}?")], max_tokens=4, rng=rng)
        shown = "".join(answers) if self.how == "together" else answers[0]
        yield Reading(probe=self.name, condition="c", item="i", value=1.0, answer=shown)


@pytest.mark.parametrize(
    ("probe", "sentence"),
    [
        (Perplexity(DEMONSTRATIONS), "needs log-probabilities"),
        (_Odd("text"), "asks with running text"),
        (_Odd("asks on"), "asks the same whatever the answers are"),
        (_Odd("together"), "is based on one answer"),
    ],
)
def test_a_probe_that_cannot_be_a_task_is_refused(probe: Probe, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        probe_task(probe)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is not there"):
        inspect_model(tmp_path / "nowhere")
    with pytest.raises(InputError, match="torch or ngram; got 'jax'"):
        inspect_model(tmp_path, engine="jax")


FILE = """
from inspect_ai import task
from pharmakon.data.world import WorldQuestions
from pharmakon.integrations.inspect import probe_task
from pharmakon.probes import Utility

@task
def utility():
    return probe_task(Utility(WorldQuestions(tasks=("facts", "opinions")), num_items=6))
"""


def test_the_command_line_of_inspect_finds_our_models(weights: Path, tmp_path: Path) -> None:
    """By the entry point that pyproject.toml declares, without an import of ours before."""
    from inspect_ai.log import read_eval_log

    (tmp_path / "my_probes.py").write_text(FILE)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["inspect_ai"]
    installed = tmp_path / "installed" / "declared-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: declared\nVersion: 0\n")
    lines = (f"{name} = {place}\n" for name, place in declared.items())
    (installed / "entry_points.txt").write_text("[inspect_ai]\n" + "".join(lines))
    command = [str(Path(sys.executable).parent / "inspect"), "eval", "my_probes.py", "--model", f"pharmakon/{weights}"]
    path = os.pathsep.join((str(ROOT / "src"), str(installed.parent)))
    run = subprocess.run(
        [*command, "-M", "engine=ngram", "--log-dir", "logs", "--display", "none"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (file,) = (tmp_path / "logs").glob("*.eval")
    with NgramEngine().load(weights) as model:
        assert readings(read_eval_log(str(file))) == _expected(UTILITY, model)
