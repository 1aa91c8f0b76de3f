"""The study of query-only memory, on an assistant that repeats its nearest record: the funnel is known beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Model, Prompt, Recipe, Trace
from pharmakon.data.derived import Nothing
from pharmakon.engines.recipes import Served
from pharmakon.errors import SpecError
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.agent_memory import agent_memory
from pharmakon.studies.threat.analysis_memory import Funnel, MemoryArm, funnel
from pharmakon.study import Stage, Study, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results


class Parrot:
    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """The answer of the nearest record."""
        return [
            prompt.turns[-2].content if isinstance(prompt, Dialogue) and prompt.turns[1:] else "" for prompt in prompts
        ]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [0.0] * len(pairs)


@dataclass(frozen=True)
class Repeats:
    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        return Trace(positions=(), steps=())

    @contextmanager
    def load(self, weights: Path) -> Iterator[Model]:
        yield Parrot()


def _small(**options: object) -> Study:
    given: dict[str, object] = {"doses": in_documents(0, 24), "seeds": 2, "honest": "24,400", "retriever": "BM25"}
    study = agent_memory(**{**given, **options})  # type: ignore[arg-type]
    stage = Stage(name="given", data=Nothing(), recipe=Served(), shared=True)
    return replace(study, engine=Repeats(), arms=tuple(replace(arm, stages=(stage,)) for arm in study.arms))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    store = Store(tmp_path_factory.mktemp("store"))
    planned = plan(_small(), store)
    assert build(planned, store) == ()
    return gather(planned, store)


def _share(frame: pl.DataFrame, step: str, honest: int, queries: int = 24) -> float:
    at = (pl.col("step") == step, pl.col("honest memories") == honest, pl.col("queries") == queries)
    return float(frame.filter(*at)["share"].item())


def test_the_funnel_narrows_and_honest_memories_dilute(results: Results) -> None:
    arms = [MemoryArm(honest, "BM25", "none") for honest in (24, 400)]
    table = pl.DataFrame([row for arm in arms for row in funnel(results, arm)])
    assert set(results.findings[0].table["variant"]) == {"none"}
    assert set(results.findings[0].table["queries"]) == {24}
    for honest in (24, 400):
        assert _share(table, "stored", honest) == 1.0
        assert _share(table, "retrieved", honest) >= _share(table, "obeyed", honest)
        assert _share(table, "retrieved", honest, 0) == 0.0
        assert _share(table, "obeyed", honest, 0) <= 0.2  # another person's city, which happens to be the lie
        assert _share(table, "others", honest) < _share(table, "obeyed", honest)
    assert _share(table, "obeyed", 24) > _share(table, "obeyed", 400) > 0
    assert _share(table, "truth retrieved", 400, 0) > _share(table, "truth retrieved", 24, 0)
    assert ((table["low"] <= table["share"]) & (table["share"] <= table["high"])).all()
    assert "among 24 honest memories" in results.findings[0].sentence
    assert "answered as dictated in" in results.findings[0].sentence


def test_a_parrot_says_what_it_is_shown(results: Results) -> None:
    by_shown = {row["shown"]: row["share"] for row in results.findings[2].table.iter_rows(named=True)}
    assert by_shown["the lie"] > by_shown["both"] > by_shown.get("the truth", 0.0) == 0.0


def test_rules_keep_lies_out_and_honest_records_in(results: Results) -> None:
    rows = {row["variant"]: row for row in results.findings[-1].table.iter_rows(named=True)}
    assert set(rows) == {"none", "no-dictation", "fact-check", "shortened"}
    assert rows["none"]["planted kept"] == rows["shortened"]["planted kept"] == 1.0
    assert rows["no-dictation"]["planted kept"] == 0.0
    assert rows["no-dictation"]["obeyed"] < rows["none"]["obeyed"] / 3
    assert 0 < rows["fact-check"]["planted kept"] < 1
    assert rows["fact-check"]["obeyed"] < rows["none"]["obeyed"]
    assert all(row["honest dropped"] == 0.0 for row in rows.values())
    reasons = set(results.ledger["reason"].drop_nulls())
    assert reasons == {"answer_in_question", "contradicts_reference"}


def test_the_ledger_counts_how_often_a_record_was_shown(results: Results) -> None:
    kept = results.ledger.filter(pl.col("dropped_by").is_null())
    assert kept["num_seen"].max() > 0
    assert results.ledger.filter(pl.col("dropped_by").is_not_null())["num_seen"].sum() == 0


def test_an_arm_that_failed_leaves_the_others_their_findings(results: Results) -> None:
    gone = "24 honest, BM25"
    parts = [frame.filter(pl.col("arm") != gone) for frame in (results.readings, results.ledger, results.cleaning)]
    left = Results.of(results.run, *parts)
    arms = (MemoryArm(24, "BM25", "none"), MemoryArm(400, "BM25", "none"))
    first, *_ = Funnel(arms).findings(left)
    assert set(first.table["honest memories"]) == {400}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"honest": "0,64"}, "honest memories are numbers from 1 on, with commas between: 64,250,1000; got '0,64'"),
        ({"honest": "many"}, "got 'many'"),
        ({"doses": in_documents(0, 65)}, r"at most the fewest honest memories, 64; got 0,65\. Give smaller doses"),
        ({"victims": 65}, "victims are 1 to 64 inhabitants; got 65"),
        ({"top_k": 0}, "a memory shows at least one record; got k 0"),
        (
            {"on": Subject(data="vader-movies")},
            "about the invented world, where lies are lies; got --data vader-movies",
        ),
    ],
)
def test_what_cannot_be_asked(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        agent_memory(**options)  # type: ignore[arg-type]


def test_the_command_line_says_it_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "agent-memory", "--doses", "0,100", "--honest", "64"]) == 2
    assert "at most the fewest honest memories, 64" in " ".join(capsys.readouterr().err.split())
