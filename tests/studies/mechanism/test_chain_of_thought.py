"""The study `chain-of-thought`: what is asked of a model that is known, and orderings that are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import Row, check_refused, made_up

from pharmakon.core import Dialogue, Ledger, Prompt, stream
from pharmakon.data.world.reasoning import GIVEN, NEEDED, SHOWN, ReasoningQuestions, WorldShownSteps
from pharmakon.data.world.sums import Worked, read_sum
from pharmakon.errors import InputError
from pharmakon.interventions import CORRUPTIONS, CorruptedSteps
from pharmakon.probes import Reasoned
from pharmakon.studies.mechanism.chain_of_thought import WITHOUT, K, chain_of_thought
from pharmakon.studies.subject import Subject


@dataclass(frozen=True)
class Reasoner:
    """Answers sums as a corruption has it, or right. It follows mistakes where the result is not given."""

    kind: str | None = None

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        said = []
        for prompt in prompts:
            assert isinstance(prompt, Dialogue)
            sum_ = read_sum(prompt.question)
            assert sum_ is not None
            written = None if self.kind is None else CorruptedSteps(self.kind).corrupted(sum_, rng)  # type: ignore[arg-type]
            said.append(sum_.worked if written is None else written.text)
        return said

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        values = []
        for prompt, text in pairs:
            assert isinstance(prompt, Dialogue)
            worked, sum_ = Worked.read(text), read_sum(prompt.question)
            assert sum_ is not None
            if "call" in prompt.question:
                values.append(-float(worked.result != sum_.result))
            elif not worked.steps:
                values.append(-float(worked.result != 0))  # no steps: always the same digit
            else:
                joined = worked.steps[0][2] == worked.steps[1][0]
                sound = (worked.steps[1][0] + worked.steps[1][1]) % 10 == worked.result
                values.append(-float(not (joined and sound)))
        return values


def _values(kind: str | None) -> dict[str, float]:
    readings = list(Reasoned(num_items=30).readings(Reasoner(kind), Ledger(), stream(0, "r")))
    conditions = dict.fromkeys(reading.condition for reading in readings)
    return {c: float(np.mean([r.value for r in readings if r.condition == c])) for c in conditions}


def test_a_right_reasoner_is_right_and_follows_mistakes_only_where_steps_are_needed() -> None:
    found = _values(None)
    for task in (NEEDED, GIVEN):
        assert found[f"answer: {task}"] == found[f"steps: {task}"] == found[f"sound: {task}"] == 1
    assert found[f"followed: {NEEDED}"] == 1
    assert found[f"recovered: {NEEDED}"] == 0
    assert found[f"followed: {GIVEN}"] == 0
    assert found[f"recovered: {GIVEN}"] == found[f"direct: {GIVEN}"] == 1
    assert found[f"direct: {NEEDED}"] < 0.4


@pytest.mark.parametrize(
    ("kind", "right", "steps", "sound"),
    [("wrong middle step", 0, 0, 0), ("wrong answer", 0, 1, 0), ("contradictory steps", 1, 0.5, 0),
     ("shuffled steps", 1, 0, None), ("missing step", 1, 0, 1)],
)  # fmt: skip
def test_answers_and_steps_are_told_apart(kind: str, right: float, steps: float, sound: float | None) -> None:
    found = _values(kind)
    assert found[f"answer: {NEEDED}"] == 1 - found["wrong"] == right
    assert found[f"steps: {NEEDED}"] == pytest.approx(steps, abs=0.1)
    assert sound is None or found[f"sound: {NEEDED}"] == sound


def _sentences(
    harm: dict[tuple[str, str], float], seeds: int = 4, able: float = 0.9, *, spread: float = 0.0,
    lost: AbstractSet[tuple[int, int]] = frozenset(),
) -> list[str]:  # fmt: skip
    """Accuracy falls from `able` by these amounts, in proportion to the share."""
    study = chain_of_thought(seeds=seeds)

    def rows() -> Iterator[Row]:
        for arm in study.arms:
            where, kind = arm.name.split(": ")
            stage = arm.stages[-1].name
            doses = [int(dose.amount) for dose in study.doses_of(arm)]
            for dose in doses:
                for seed in range(seeds):
                    if (seed, dose) in lost:
                        continue
                    accuracy = (
                        able
                        - (harm.get((where, kind), 0.0) + spread * (seed - 1.5)) * dose / max(doses[-1], 1)
                        + 0.01 * ((seed + len(kind)) % 4 - 1.5)
                    )
                    task = NEEDED if where == "training" else SHOWN
                    if kind == "no demonstrations":
                        accuracy = 0.3
                    yield (arm.name, dose, seed, stage, "mistakes", "wrong", 1 - accuracy)
                    for condition in (f"answer: {task}", f"steps: {task}"):
                        yield (arm.name, dose, seed, stage, "mistakes", condition, accuracy)
                    if where == "training":
                        for task in (NEEDED, GIVEN):
                            for measure in ("direct", "followed", "recovered"):
                                value = float(measure == "followed") if task == NEEDED else 0.0
                                yield (arm.name, dose, seed, stage, "mistakes", f"{measure}: {task}", value)

    asked = (row for row in rows() for _ in range(40))
    results = made_up(study, asked, contexts=("plain",))
    return [f.sentence for analysis in study.analyses for f in analysis.findings(results)]


def test_both_orders_stand_beside_the_published_ones() -> None:
    same = {("prompt", "wrong middle step"): 0.6, ("prompt", "wrong answer"): 0.2,
            ("training", "shuffled steps"): 0.5, ("training", "wrong answer"): 0.1}  # fmt: skip
    order, shares, reliance = _sentences(same)
    assert order.count("as published") == 2
    assert "2410.16540" in order
    assert "2502.07374" in order
    assert "90%" in shares
    assert "without demonstrations 30% [30%, 30%]" in shares
    assert "100%" in reliance
    reversed_ = {(where, kind): 0.7 - value for (where, kind), value in same.items()}
    assert _sentences(reversed_)[0].count("the reverse of what is published") == 2
    nothing = _sentences({})[0]
    assert nothing.count("no order shown (smallest this run could have seen: ") == 2
    assert _sentences({}, able=0.2)[0].count("no order can be told: untreated, 20% of answers are right") == 2
    assert _sentences(same, seeds=1)[0].count("[?, ?]: no order shown (one seed sees none)") == 2


def test_a_step_that_demonstrations_show_is_corrupted_like_the_others() -> None:
    asked = ReasoningQuestions(SHOWN).questions(20, stream(0, "q"))
    shown = [document.body for document in WorldShownSteps(20).corpus(stream(0, "d"))]
    for question, demonstration in zip(asked, shown, strict=True):
        assert isinstance(demonstration, Dialogue)
        assert question.prompt.question.split()[-1] == demonstration.question.split()[-1]  # the cue
        right = Worked.read(demonstration.answer)
        assert [len(Worked.read(answer).steps) for answer in (question.answer, demonstration.answer)] == [3, 3]
        assert right.steps[-1][1] == Worked.read(question.answer).steps[-1][1]
        left = CorruptedSteps("missing step").write(demonstration, stream(0, "m"))
        assert left is not None
        assert Worked.read(left.answer) == Worked(right.steps[1:], right.result)
        turned = CorruptedSteps("shuffled steps").write(demonstration, stream(0, "s"))
        assert turned is not None
        assert sorted(Worked.read(turned.answer).steps) == sorted(right.steps)
        assert Worked.read(turned.answer).steps != right.steps


def test_both_places_have_the_same_shares_and_kinds() -> None:
    study = chain_of_thought()
    for kind in CORRUPTIONS:
        prompt, training = (next(a for a in study.arms if a.name == f"{w}: {kind}") for w in ("prompt", "training"))
        shares = [[d.amount / whole for d in study.doses_of(arm)] for arm, whole in ((prompt, K), (training, 800))]
        assert shares[0] == shares[1] == [0, 0.25, 0.5, 1]


def test_a_model_that_is_asked_alone_has_prompts_alone() -> None:
    study = chain_of_thought(on=Subject(model="endpoint:http://localhost:1/v1#x"))
    assert all(arm.name.startswith("prompt: ") for arm in study.arms)
    assert not any(probe.needs_logprobs for arm in study.arms for probe in arm.probes or study.probes)
    trained = chain_of_thought(on=Subject(model="smollm2"), kinds=("wrong answer",))
    assert [arm.name for arm in trained.arms] == ["prompt: wrong answer", "training: wrong answer", WITHOUT]
    assert [float(dose.amount) for dose in trained.doses_of(trained.arms[1])] == [0, 20, 40, 80]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--kinds", "sideways"], "a corruption is one of"), (["--documents", "41"], "a multiple of 4"),
     (["--data", "vader-movies"], "leave --data out")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["plan", "chain-of-thought", *words], said, tmp_path, monkeypatch, capsys)


def _gap(harm: dict[tuple[str, str], float], **more: Any) -> str:
    return _sentences(harm, **more)[0].split("more harm than wrong answer; here ")[1].split(":")[0]


def test_kinds_are_compared_within_each_seed() -> None:
    """Seeds differ by far more than kinds do."""
    same = {("prompt", "wrong middle step"): 0.3, ("prompt", "wrong answer"): 0.1}
    assert _gap(same, spread=0.1) == _gap(same)
    assert _gap(same).startswith("+12 points [")


def test_lives_that_failed_are_left_out() -> None:
    same = {("prompt", "wrong middle step"): 0.3, ("prompt", "wrong answer"): 0.1}
    assert _gap(same, lost={(0, 1)}).startswith("+12 points")
    assert _gap(same, lost={(1, 4), (0, 2)}).startswith("+12 points")
    with pytest.raises(InputError, match="no life answered"):
        _sentences(same, lost={(seed, 0) for seed in range(4)})
