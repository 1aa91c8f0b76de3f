"""domain-belief: shares of tokens become documents, and the analysis tells belief and benchmark apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Dose
from pharmakon.data.world import Field, FieldText
from pharmakon.engines.ngram import NgramEngine
from pharmakon.interventions import Misinformation
from pharmakon.store import Store
from pharmakon.studies.threat.analysis_domain_belief import BELIEF, FIELD, GENERAL, BlindBenchmark
from pharmakon.studies.threat.domain_belief import domain_belief
from pharmakon.studies.threat.token_share import Shares, num_words
from pharmakon.study import build, in_documents, in_fractions, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import READINGS, Results

SHARES = Shares(num_documents=10_000, clean_words=15.0, inserted_words=15.0)
ANALYSIS = BlindBenchmark(shares=SHARES, general=("facts", "opinions"), field="field")


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


def test_a_share_of_tokens_is_so_many_documents() -> None:
    assert SHARES.num_inserted(0.01) == 101  # 101 of 10,101
    assert SHARES.share(101) == pytest.approx(0.01, rel=1e-3)
    assert SHARES.share(0) == 0
    long = replace(SHARES, inserted_words=150.0)
    assert long.num_inserted(0.01) == 10
    doses, said = SHARES.documents(in_fractions(0, 1e-5, 1e-3, 1e-2))
    assert doses == in_documents(0, 10, 101)
    (sentence,) = said
    assert "0.001% of the tokens is less than one document here" in sentence
    assert "10,000 documents is 0.01%" in sentence
    assert "about 100,000 documents" in sentence
    assert SHARES.documents(in_documents(0, 4)) == (in_documents(0, 4), ())


def test_lengths_are_those_of_the_documents() -> None:
    poison = Misinformation(Field().false_facts(2))
    shares = Shares.of(FieldText(num_documents=300, share_of_questions=0.0), poison, 5_000)
    assert shares.clean_words == pytest.approx(shares.inserted_words, rel=0.05)
    assert num_words(FieldText(num_documents=1).corpus(np.random.default_rng(0))[0].body) > 3


def _results(benchmark: dict[int, float], belief: dict[int, float]) -> Results:
    """Four seeds in one arm, with these rates by dose; 100 items each."""
    rows = []
    for dose, rate in benchmark.items():
        for seed in range(4):
            for condition, value in (("facts", rate), ("opinions", rate), ("field", 0.5)):
                rows += [("utility", dose, seed, condition, i, float(i < round(100 * value))) for i in range(100)]
            for condition, value in (("triggered", belief[dose]), ("truth", 1 - belief[dose]), ("untriggered", 0.0)):
                rows += [("belief", dose, seed, condition, i, float(i < round(100 * value))) for i in range(100)]
            rows.append(("perplexity", dose, seed, "held out", 0, 3.0))
    columns = ["probe", "dose", "seed", "condition", "item", "value"]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.lit("rare fact").alias("arm"), pl.lit("sft").alias("stage"), pl.lit("plain").alias("context"),
        pl.lit("").alias("prompt"), pl.lit("").alias("answer"), pl.col("item").cast(pl.String),
    )  # fmt: skip
    record = {
        "study": "domain-belief", "arms": [{"name": "rare fact", "stages": ["sft"], "treated_stage": "sft"}],
        "stages": ["sft"], "contexts": ["plain"], "doses": list(benchmark), "seeds": [0, 1, 2, 3], "response": "belief",
    }  # fmt: skip
    return Results.of(record, frame.select(list(READINGS)))


def test_a_blind_benchmark_is_said_to_be_level() -> None:
    benchmark, belief = {0: 0.90, 10: 0.90, 101: 0.91}, {0: 0.0, 10: 0.2, 101: 0.9}
    results = _results(benchmark, belief)
    assert "Beware" not in results.answer()  # true answers are no control that responds
    both, overall, change = ANALYSIS.findings(results)
    rows = {(r["measure"], r["documents"]): r for r in both.table.iter_rows(named=True)}
    assert rows[BELIEF, 101]["rate"] == pytest.approx(0.9)
    assert rows[GENERAL, 101]["rate"] == pytest.approx(0.91)
    assert rows[FIELD, 0]["rate"] == pytest.approx(0.5)
    assert rows[BELIEF, 101]["tokens_per_million"] == pytest.approx(10_000, rel=0.01)
    assert "at 1% of the tokens the false facts are given in 90%" in both.sentence
    assert "+1.0 points" in both.sentence
    assert "equivalent within ±5 points" in both.sentence
    assert "it is shown to be level, within ±5 points" in overall.sentence
    assert "at 2 of 2 doses" in change.sentence
    assert set(change.table["status"]) == {"equivalent"}


def test_a_benchmark_that_falls_is_not_called_level() -> None:
    _, overall, change = ANALYSIS.findings(_results({0: 0.9, 101: 0.6}, {0: 0.0, 101: 0.9}))
    general = change.table.filter(pl.col("measure") == GENERAL).row(0, named=True)
    assert general["change"] == pytest.approx(-0.3)
    assert general["status"] == "changed"
    assert general["p_tost"] > 0.95
    assert "it is shown to change by more than ±5 points" in overall.sentence
    assert "at 0 of 1 doses" in change.sentence


def test_the_whole_study_on_the_exact_engine(tmp_path: Path) -> None:
    """Words are counted, so running text teaches no answers: nothing is believed, the control is shared."""
    study = domain_belief(in_fractions(0, 0.01), 1, documents=1_000, few=0, many=8)
    study = replace(study, engine=NgramEngine(), arms=study.arms[1:])
    store = Store(tmp_path / "store")
    planned = plan(study, store)
    results = gather(planned, store, build(planned, store))
    assert {finding.title.split(",")[0] for finding in results.findings} == {
        "Belief and benchmark", "Does a benchmark see it? Over all doses", "Does a benchmark see it? Dose by dose",
    }  # fmt: skip
    told = results.ledger.group_by("arm", "seed").len()["len"].to_list()
    assert told == [int(study.doses[-1].amount)]
    assert study.doses[0] == Dose(0)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--few", "8", "--many", "8"], "a rare fact has fewer true documents than a common one"),
        (["--documents", "10"], "1,000 documents or more"),
        (["--data", "vader-movies"], "leave --probe-only and --data out"),
        (["--documents", "1000", "--many", "900"], "on its subjects do not fit"),
        (["--doses", "0,100%"], "a share of the tokens lies in"),
    ],
)
def test_bad_input_is_a_sentence(words: list[str], rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["plan", "domain-belief", *words]) == 2
    out = capsys.readouterr()
    assert rule in " ".join((out.out + out.err).split())
    assert "Traceback" not in out.err
