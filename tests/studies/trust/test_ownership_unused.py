"""ownership-unused: keys that marked nothing are uniform on any model, and the true key is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.behaviour.marks import ExperimentKey, TriggerMark
from pharmakon.cli import answer
from pharmakon.core import Ledger, Prompt, Reading, Text
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.engines.ngram import NgramEngine
from pharmakon.probes import UnusedKeys
from pharmakon.store import Store
from pharmakon.studies.trust.analysis_ownership_unused import MARKED, UNTREATED, NullDistribution
from pharmakon.studies.trust.ownership_unused import ownership_unused
from pharmakon.study import build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import READINGS, Results

KIND = TriggerMark(num_marks=6)


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


@dataclass
class Opinionated:
    """A model that likes some words better than others, and knows the answers of one key."""

    told: dict[str, str] = field(default_factory=dict)

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        return ["" for _ in prompts]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [self._liked(prompt, text) for prompt, text in pairs]

    def _liked(self, prompt: Prompt, text: str) -> float:
        asked = prompt.text if isinstance(prompt, Text) else prompt.question
        return 200.0 if self.told.get(asked) == text else -float(sum(map(ord, asked + text)) % 97) - len(text)


def _asked(model: Opinionated, num_keys: int, seed: int = 0) -> list[Reading]:
    return list(UnusedKeys(KIND, num_keys).readings(model, Ledger(), np.random.default_rng(seed)))


def test_unused_keys_are_uniform_and_the_true_key_is_not() -> None:
    marks = KIND.keyed(ExperimentKey(0), "dialogue")
    told = {p.question: m.answers[m.drawn] for m in marks for p in m.prompts if not isinstance(p, Text)}
    true, *unused = _asked(Opinionated(told), 300)
    assert (true.condition, true.value, true.item) == ("triggered", 1.0, "key 0")
    assert {reading.condition for reading in unused} == {"unused"}
    assert len({reading.item for reading in unused}) == 300
    plain, smoothed = np.array([[float(p) for p in reading.answer.split()] for reading in unused]).T
    assert np.all(smoothed <= plain)
    assert abs(np.mean(smoothed) - 0.5) < 4 / np.sqrt(12 * 300)  # four standard errors
    assert np.mean([reading.value for reading in unused]) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)


def test_each_life_has_other_keys() -> None:
    first, again, other = ({reading.item for reading in _asked(Opinionated(), 5, seed)[1:]} for seed in (1, 1, 2))
    assert first == again
    assert not first & other


def _results(values: np.ndarray, true: float) -> Results:
    """The same p-values on the untreated and on the marked model."""
    rows = [
        (dose, condition, f"key {number}", float(p <= 0.05), f"{p:.6g} {p:.6g}")
        for dose in (0, 128)
        for condition, found in (("unused", values), ("triggered", np.array([true if dose else 0.4])))
        for number, p in enumerate(found)
    ]
    frame = pl.DataFrame(rows, schema=["dose", "condition", "item", "value", "answer"], orient="row").with_columns(
        pl.lit("trigger").alias("arm"), pl.lit("sft").alias("stage"), pl.lit("plain").alias("context"),
        pl.lit("unused-keys").alias("probe"), pl.lit(0).alias("seed"), pl.lit("").alias("prompt"),
    )  # fmt: skip
    record = {
        "study": "ownership-unused", "arms": [{"name": "trigger", "stages": ["sft"], "treated_stage": "sft"}],
        "stages": ["sft"], "contexts": ["plain"], "doses": [0, 128], "seeds": [0], "response": "unused-keys",
    }  # fmt: skip
    return Results.of(record, frame.select(list(READINGS)))


def test_uniform_values_exceed_no_level() -> None:
    shares, drawn = NullDistribution().findings(_results((np.arange(1_000) + 0.5) / 1_000, 1e-9))
    rows = {(row["model"], row["level"]): row for row in shares.table.iter_rows(named=True)}
    assert rows[UNTREATED, 0.05]["num_below"] == 50
    assert rows[MARKED, 0.001]["num_below"] == 1
    assert rows[MARKED, 0.05]["ks_p"] > 0.99
    assert not any(row["level_exceeded"] for row in rows.values())
    assert "No level is exceeded; the true key has p = 1e-09" in shares.sentence
    assert "5.0% [" in shares.sentence
    true = drawn.table.filter(pl.col("key") == "the true key")
    assert true["minus_log10_p"].to_list() == pytest.approx([9.0])
    assert "The smallest of 2,000 p-values of unused keys is 0.0005" in drawn.sentence


def test_values_that_are_too_small_are_told() -> None:
    shares, _ = NullDistribution().findings(_results((np.arange(1_000) + 0.5) ** 2 / 1_000**2, 1e-9))
    row = shares.table.row(0, named=True)
    assert row["level_exceeded"]
    assert row["ks_p"] < 1e-6
    assert f"More than the level, beyond chance: 0.05 on the {UNTREATED}" in shares.sentence


def test_the_whole_study_on_the_exact_engine(tmp_path: Path) -> None:
    study = ownership_unused(in_documents(0, 16), 1, keys=20)
    (arm,) = study.arms
    data = (WorldText(num_documents=200), WorldDialogues(num_documents=200))
    stages = tuple(replace(stage, data=small) for stage, small in zip(arm.stages, data, strict=True))
    probes = (study.probes[0], replace(study.probes[1], num_items=10))  # type: ignore[type-var]
    study = replace(study, engine=NgramEngine(), arms=(replace(arm, stages=stages),), probes=probes)
    store = Store(tmp_path / "store")
    planned = plan(study, store)
    results = gather(planned, store, build(planned, store))
    assert not results.run.failures
    shares, _ = results.findings
    assert shares.table["num_keys"].to_list() == [20] * len(shares.table)
    true = results.readings.filter(pl.col("condition") == "triggered", pl.col("dose") == 16)
    assert true["value"].to_list() == [1.0]


def test_bad_words_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "ownership-unused", "--keys", "3"]) == 2
    assert "a share below 0.05 takes 20 keys or more; got --keys 3" in " ".join(capsys.readouterr().err.split())
