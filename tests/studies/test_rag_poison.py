"""rag-poison on a reader that copies exactly: what retrieval lets through is what is answered."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from reading_engine import CopyingEngine

from pharmakon.cli import answer
from pharmakon.core import Text, stream
from pharmakon.data.world import World, WorldPassages, first_claims
from pharmakon.engines.ngram import Count
from pharmakon.errors import SpecError
from pharmakon.interventions import PlantedPassage
from pharmakon.retrieval import BM25, Retrieval
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.rag_poison import rag_poison
from pharmakon.study import Arm, Context, Stage, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

ARMS = ("as it is", "store 20", "top 1", "cites", "question guessed", "copies out", "questions in store")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    study = rag_poison(in_documents(0, 4, 20), 1, passages=200, claims=4)
    stages = (Stage(name="reading", data=WorldPassages(num_documents=1), recipe=Count(), shared=True),)
    kept = tuple(replace(arm, stages=stages, contexts=_by_words(arm)) for arm in study.arms if arm.name in ARMS)
    study = replace(study, arms=kept, engine=CopyingEngine())
    store = Store(tmp_path_factory.mktemp("store"))
    planned = plan(study, store)
    assert build(planned, store) == ()
    return gather(planned, store)


def _by_words(arm: Arm) -> tuple[Context, ...]:
    """BM25 in place of sentence embeddings, which would have to be fetched."""
    return tuple(replace(c, retriever=BM25()) if isinstance(c, Retrieval) else c for c in arm.contexts)


def rate(results: Results, arm: str, condition: str, dose: int) -> float:
    rows = results.response_rates.filter(
        pl.col("arm") == arm, pl.col("condition") == condition, pl.col("dose") == dose, pl.col("stage") == "reading"
    )
    return float(rows["rate"][0])


def test_without_planted_passages_the_truth_is_read(results: Results) -> None:
    assert all(rate(results, arm, "triggered", 0) == 0 for arm in ARMS)
    assert all(rate(results, arm, "truth", 0) == 1 for arm in ("as it is", "top 1", "cites"))


def test_passages_that_begin_with_the_question_are_found_first_and_followed(results: Results) -> None:
    assert rate(results, "as it is", "triggered", 20) == 1
    assert rate(results, "top 1", "triggered", 20) == 1
    assert rate(results, "as it is", "truth", 20) == 0


def test_other_peoples_questions_are_untouched(results: Results) -> None:
    for arm in ARMS:
        assert rate(results, arm, "untriggered", 20) == 0  # the reader looks for the name


def test_what_was_shown_is_counted(results: Results) -> None:
    shown = results.survival().filter(pl.col("arm") == "as it is", pl.col("dose") == 20)
    assert shown["seen_share"][0] == 1
    only_one = results.survival().filter(pl.col("arm") == "top 1", pl.col("dose") == 20)
    assert 0 < only_one["seen_share"][0] < 1


def test_copies_of_planted_passages_are_dropped_and_a_few_suffice(results: Results) -> None:
    left = results.survival().filter(pl.col("arm") == "copies out", pl.col("dose") == 20)["survived_share"][0]
    assert left < 1
    assert rate(results, "copies out", "triggered", 20) == 1


def test_the_findings_say_what_the_tables_hold(results: Results) -> None:
    study = rag_poison(in_documents(0, 4, 20), 1, passages=200, claims=4)
    followed, shown, cited = (finding for analysis in study.analyses for finding in analysis.findings(results))
    rows = followed.table.filter(pl.col("arm") == "as it is")
    assert rows["passages_per_question"].to_list() == [0, 1, 5]
    assert rows["planted"].to_list()[-1] == 1
    assert "5 planted passages a question" in followed.sentence
    assert "1.00 of" in cited.sentence  # the copying reader always cites where it is asked to
    assert set(shown.table["arm"]) == set(ARMS)


def test_the_stream_goes_round_the_claims_and_states_them() -> None:
    claims = first_claims(World(), 3)
    host = WorldPassages(num_documents=10).corpus(stream(0, "host"))
    for wording in ("asked", "guessed", "none"):
        edits = PlantedPassage(claims, wording).edits(host, stream(0, "edits"))
        texts = [edit.body.text for _, edit in zip(range(6), edits, strict=False) if isinstance(edit.body, Text)]
        for number, text in enumerate(texts):
            claim = claims[number % 3]
            assert claim.person in text
            assert re.search(rf"\b{claim.value}\b", text)
            assert claim.world.person(claim.person).value(claim.relation) not in text.split("?")[-1].split()


def test_a_planted_passage_with_the_question_wins_over_the_truth() -> None:
    (claim,) = first_claims(World(), 1)
    host = WorldPassages(num_documents=640).corpus(stream(0, "host"))
    planted = next(PlantedPassage((claim,)).edits(host, stream(0, "edits"))).body
    assert isinstance(planted, Text)
    passages = [document.body.text for document in host if isinstance(document.body, Text)] + [planted.text]
    question = planted.text.split("?")[0] + "?"
    assert BM25().top([question], passages, 1) == [[640]]


def test_a_store_tells_of_everybody_in_turn() -> None:
    passages = [
        d.body.text
        for d in WorldPassages(num_documents=130, share_asked=0.3).corpus(stream(1, "a"))
        if isinstance(d.body, Text)
    ]
    asked = [text for text in passages if "?" in text or text.startswith(("Tell", "Give"))]
    assert 20 < len(asked) < 60
    for person in World().people:
        about = [text for text in passages if person.name in text]
        assert len(about) in (2, 3)
        told = {relation: person.value(relation) for relation in ("job", "city", "thing")}
        assert all(any(value in text for value in told.values()) for text in about)
        assert all(f"{person.name} lives in {person.city}." in text for text in about if text not in asked)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"k": 200}, "at most the smallest store"),
        ({"k": 0}, "at least 1"),
        ({"passages": 5}, "at least 10 passages"),
        ({"claims": 60}, "half of the world"),
        ({"on": Subject(data="vader-movies")}, "its data is world"),
    ],
)
def test_bad_input_is_refused_before_anything_is_built(given: dict[str, object], rule: str) -> None:
    with pytest.raises(SpecError, match=re.escape(rule)):
        rag_poison(**given)  # type: ignore[arg-type]


def test_the_command_line_refuses_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "rag-poison", "--k", "500", "--store", str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
