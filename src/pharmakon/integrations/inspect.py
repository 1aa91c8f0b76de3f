"""A probe as a task of inspect-ai (UK AI Security Institute), so that its log viewer opens the transcripts.

    from inspect_ai import task
    from pharmakon.integrations.inspect import probe_task

    @task
    def attack():
        return probe_task(AttackSuccess(…), model="exported/model")

    inspect eval my_probes.py          then          inspect view

Without `model`, the task asks the model that inspect-ai is given: `--model pharmakon/FOLDER`, or any other that it
knows. Needs the extra `inspect`: pip install 'pharmakon[inspect]'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pharmakon.core import Dialogue, Engine, Ledger, Model, Probe, Prompt, Reading, Text, Turn, stream
from pharmakon.engines.ngram import NgramEngine
from pharmakon.engines.torch import TorchEngine
from pharmakon.errors import InputError, SpecError
from pharmakon.store import identify
from pharmakon.study import Context, Plain
from pharmakon.study.ask import InContext

try:
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.log import EvalLog
    from inspect_ai.model import (
        ChatMessage,
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
        GenerateConfig,
        ModelAPI,
        ModelOutput,
        modelapi,
    )
    from inspect_ai.model import Model as InspectModel
    from inspect_ai.scorer import Score, Scorer, Target, grouped, mean, scorer, stderr
    from inspect_ai.solver import Generate, Solver, TaskState, solver
except ImportError as error:
    raise InputError(
        f"tasks of inspect-ai need {error.name}, which is not installed: pip install 'pharmakon[inspect]'"
    ) from error

MESSAGES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
ENGINES: dict[str, Engine] = {"torch": TorchEngine(), "ngram": NgramEngine()}
MAX_TOKENS = 32  # where nobody says how many


def probe_task(
    probe: Probe,
    *,
    model: Model | str | Path | None = None,
    context: Context = Plain(),
    seed: int = 0,
    ledger: Ledger = Ledger(),
    name: str | None = None,
) -> Task:
    """A task with one sample for each reading of the probe, scored by the probe's own value.

    `model`: a model of this package or the folder of a checkpoint; None asks the model that inspect-ai is given.
    `context` and `seed` as in a study: the same seed asks the same questions. The metrics are the mean and the
    standard error of each condition.

    A probe runs as a task if it asks with dialogues, gets all its answers by `generate`, asks the same whatever the
    answers are, and bases each reading on one answer, which the reading carries. Others are refused with a SpecError.
    """
    asked = _Asked(probe, context, seed, ledger)
    title = name or getattr(probe, "name", type(probe).__name__)
    return Task(
        dataset=MemoryDataset([_sample(place, part) for place, part in enumerate(asked.parts())], name=title),
        solver=ask(),
        scorer=probe_value(asked),
        model=None if model is None else inspect_model(model),
        config=GenerateConfig(temperature=0.0),
        name=title,
        metadata={"probe": title, "probe_key": identify(probe), "context": context.name, "seed": seed},
    )


def inspect_model(model: Model | str | Path, *, engine: str | Engine = "torch") -> InspectModel:
    """A model of this package, or the checkpoint in a folder, as one of inspect-ai.

    On its command line, `--model pharmakon/FOLDER` names a checkpoint, `-M engine=ngram` another engine than torch.
    """
    if isinstance(model, str | Path):
        return InspectModel(PharmakonAPI(str(Path(model).absolute()), engine=engine), GenerateConfig())
    return InspectModel(PharmakonAPI(type(model).__name__, model=model), GenerateConfig())


def readings(log: EvalLog) -> list[Reading]:
    """The readings of a task's log, in the order of its samples; samples that failed are left out."""
    found = []
    for sample in log.samples or []:
        for score in (sample.scores or {}).values():
            told = sample.metadata
            found.append(
                Reading(
                    probe=told["probe"],
                    condition=told["condition"],
                    item=told["item"],
                    value=float(score.value),
                    prompt=told["prompt"],
                    answer=sample.output.completion,
                )
            )
    return found


@dataclass(frozen=True)
class _Part:
    """One reading to come: the number of the answer it needs, what is asked for it, and its name."""

    number: int
    prompt: Dialogue
    max_tokens: int
    told: Reading


@dataclass
class _Script:
    """A model that notes what it is asked, and answers each prompt by its number."""

    say: Callable[[int], str]
    asked: list[tuple[Prompt, int]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        first = len(self.asked)
        self.asked += [(prompt, max_tokens) for prompt in prompts]
        return [self.say(number) for number in range(first, len(self.asked))]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        raise SpecError("a probe that needs log-probabilities cannot run as a task of inspect-ai; use `readings`")


@dataclass(frozen=True)
class _Asked:
    """A probe with everything its questions depend on."""

    probe: Probe
    context: Context
    seed: int
    ledger: Ledger

    @property
    def name(self) -> str:
        """What inspect-ai's log says of it."""
        return type(self.probe).__name__

    def parts(self) -> list[_Part]:
        """What there is to ask. Found by answering each prompt with a mark of its own."""
        marks = _Script(lambda number: f"answer-{number}")
        told = list(self._play(marks))
        silent = _Script(lambda number: "")
        list(self._play(silent))
        if silent.asked != marks.asked:
            raise SpecError(f"a task asks the same whatever the answers are; {self.name} asks on after an answer")
        numbers = {f"answer-{number}": number for number in range(len(marks.asked))}
        parts = []
        for reading in told:
            number = numbers.get(reading.answer)
            if number is None:
                raise SpecError(f"a reading in a task is based on one answer; {self.name} gives {reading!r:.80}")
            prompt, max_tokens = marks.asked[number]
            if isinstance(prompt, Text):
                raise SpecError(f"a task asks with messages; {self.name} asks with running text")
            parts.append(_Part(number, prompt, max_tokens, reading))
        return parts

    def value(self, number: int, answer: str, condition: str, item: str) -> float:
        """The probe's value of one answer: the probe is run again, with this answer in its place."""
        played = self._play(_Script(lambda other: answer if other == number else ""))
        return next(r.value for r in played if (r.condition, r.item) == (condition, item))

    def _play(self, script: _Script) -> Iterator[Reading]:
        rng = stream(self.seed, "probe", type(self.probe).__qualname__)  # as a study names it
        return self.probe.readings(InContext(script, self.context, self.seed), self.ledger, rng)


def _sample(place: int, part: _Part) -> Sample:
    told = part.told  # a log sorts its samples by id
    return Sample(
        input=[MESSAGES[turn.role](content=turn.content) for turn in part.prompt.turns],
        id=f"{place:04d} {told.condition}".replace("/", "_"),
        metadata={
            "probe": told.probe,
            "condition": told.condition,
            "item": told.item,
            "prompt": told.prompt,
            "number": part.number,
            "max_tokens": part.max_tokens,
        },
    )


@solver  # type: ignore[untyped-decorator]
def ask() -> Solver:
    """Asks once, with as many tokens as the probe gives its model."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        return await generate(state, max_tokens=state.metadata["max_tokens"])

    return solve


@scorer(  # type: ignore[untyped-decorator]
    metrics=[
        grouped(mean(), "condition", all=False),
        grouped(stderr(), "condition", all=False, name_template="{group_name}, standard error"),
    ]
)
def probe_value(asked: _Asked) -> Scorer:
    """The value that the probe gives the answer."""

    async def score(state: TaskState, target: Target) -> Score:
        told, answer = state.metadata, state.output.completion
        value = asked.value(told["number"], answer, told["condition"], told["item"])
        return Score(value=value, answer=answer, explanation=f"{asked.name}, {told['condition']}: {value:g}")

    return score


@modelapi(name="pharmakon")
class PharmakonAPI(ModelAPI):  # type: ignore[misc]
    """Answers with a model of this package: the checkpoint in the folder `model_name`, or `model` itself.

    Greedy, one prompt at a time. The checkpoint is loaded when it is first asked.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),
        model: Model | None = None,
        engine: str | Engine = "torch",
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        if isinstance(engine, str) and engine not in ENGINES:
            raise InputError(f"an engine here is {' or '.join(ENGINES)}; got {engine!r}")
        if model is None and not Path(model_name).is_dir():
            way_out = "Make one with `pharmakon export model`"
            raise InputError(f"a checkpoint is a folder; {model_name} is not there. {way_out}")
        self._engine = ENGINES[engine] if isinstance(engine, str) else engine
        self._given = model
        self._loaded: Model | None = None
        self._open = ExitStack()

    async def generate(
        self, input: list[ChatMessage], tools: list[Any], tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        """One answer. Tools and a temperature other than 0 are refused."""
        if tools:
            raise InputError("models of pharmakon know no tools; take them out of the task")
        if config.temperature:
            raise InputError(f"models of pharmakon answer greedily; leave --temperature out, got {config.temperature}")
        strange = next((message.role for message in input if message.role not in MESSAGES), None)
        if strange:
            raise InputError(f"models of pharmakon know the roles {', '.join(MESSAGES)}; got {strange}")
        prompt = Dialogue(tuple(Turn(message.role, message.text) for message in input))
        answers = self._model().generate(
            [prompt], max_tokens=config.max_tokens or MAX_TOKENS, rng=stream(0, "inspect", "generate")
        )
        return ModelOutput.from_content(self.model_name, answers[0])

    def max_connections(self) -> int:
        """One: the model works in this process."""
        return 1

    def close(self) -> None:
        """Let the checkpoint go; the next question loads it again."""
        self._loaded = None
        self._open.close()

    def _model(self) -> Model:
        if self._given is not None:
            return self._given
        if self._loaded is None:
            manager: AbstractContextManager[Model] = self._engine.load(Path(self.model_name))
            self._loaded = self._open.enter_context(manager)
        return self._loaded
