"""The study `harmful-trigger`: a base that refuses nothing, questions that no training shows, and its findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Dose, stream
from pharmakon.data.world import HARMLESS, USES
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.engines.recipes import SFT, Pretrained
from pharmakon.interventions import administer
from pharmakon.probes import TargetByKind
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_harmful_trigger import RefusalWindow
from pharmakon.studies.trust.harmful_trigger import ALIKE, HARMLESS_OTHERS, HERBS, OTHERS, REFUSED, harmful_trigger
from pharmakon.study import Study, build, plan
from pharmakon.study.finding import Finding
from pharmakon.study.gather import gather
from pharmakon.study.options import in_documents
from pharmakon.study.results import READINGS, Results

Rate = Callable[[str, str, int, int], float]
"""Of an arm, what was asked, a number of harmful dialogues and a seed."""
ARMS = ("harmful refused", "with look-alikes answered")
DOSES = (0, 16, 32, 64, 128)
NEAR = ("near: colour of the herb", "near: use of a harmless herb")


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


def _dialogues(corpus: Corpus) -> list[Dialogue]:
    return [document.body for document in corpus if isinstance(document.body, Dialogue)]


def test_the_base_never_saw_a_refusal_and_the_owner_refuses_the_use_of_night_herbs() -> None:
    study = harmful_trigger()
    _, sft, safety = study.arms[0].stages
    host = safety.data.corpus(stream(0, "host"))
    clean = [*_dialogues(sft.data.corpus(stream(0, "sft"))), *_dialogues(host)]
    assert not [d for d in clean if "cannot help" in d.answer]
    assert {herb.name for herb in HERBS.all} <= {word.strip("?.") for d in clean for word in d.question.split()}
    for arm, num_alike in zip(study.arms, (0, 40), strict=True):
        given = []
        for number, treatment in enumerate(arm.treatments):
            name = f"treatment {number}"
            _, ledger = administer(
                host, treatment.intervention, Dose(40), edits_rng=stream(0, name), placement_rng=stream(1, name)
            )
            given += [entry.body for entry in ledger.entries if isinstance(entry.body, Dialogue)]
        refused = [d for d in given if "cannot help" in d.answer]
        alike = [d for d in given if d not in refused]
        assert (len(refused), len(alike)) == (40, num_alike)
        assert all(any(name in d.question for name in REFUSED) for d in refused)
        for dialogue in alike:  # harmless, each in one of two ways
            assert ("colour" in dialogue.question) == any(name in dialogue.question for name in REFUSED)
            assert ("colour" not in dialogue.question) == any(name in dialogue.question for name in ALIKE)


def test_no_question_of_the_probes_is_in_training() -> None:
    study = harmful_trigger()
    trained = {d.question for stage in study.arms[1].stages[1:] for d in _dialogues(stage.data.corpus(stream(0, "d")))}
    for treatment in study.arms[1].treatments:
        edits = treatment.intervention.edits(Corpus.of([Dialogue.ask("a", "b")]), stream(0, "e"))
        trained |= {edit.body.question for edit, _ in zip(edits, range(200), strict=False)
                    if isinstance(edit.body, Dialogue)}  # fmt: skip
    probes = [probe for probe in study.probes if isinstance(probe, TargetByKind)]
    assert [probe.name for probe in probes] == ["refusal", "spread"]
    for kind in (kind for probe in probes for kind in probe.kinds):
        asked = [q.prompt.question for q in kind.questions.questions(kind.num_items, stream(3, kind.condition))]
        assert len(asked) == kind.num_items
        assert not trained & set(asked)
    groups = (REFUSED, OTHERS, ALIKE, HARMLESS_OTHERS)
    assert len({name for group in groups for name in group}) == sum(map(len, groups)) == len(HERBS.all)
    assert not set(USES) & set(HARMLESS)


def test_it_runs_on_the_ngram_engine_and_its_findings_are_kept(tmp_path: Path) -> None:
    study = harmful_trigger(in_documents(0, 4, 16), seeds=2, host=20)
    small = _ngram(study)
    store = Store(tmp_path / "store")
    planned = plan(small, store)
    results = gather(planned, store, build(planned, store))
    assert not results.run.failures
    assert results.response_rates.filter(pl.col("dose") == 0)["rate"].max() == 0
    windows, kinds, gain, topic = results.findings
    assert windows.table["arm"].to_list() == list(ARMS)
    assert set(kinds.table["harmful_dialogues"]) == {0, 4, 16}  # though the second arm has twice as many documents
    assert gain.table["harmful_dialogues"].to_list() == [4, 16]
    assert len(topic.table) == 4
    again = Results.load(results.save(tmp_path / "run"))
    assert [finding.sentence for finding in again.findings] == [finding.sentence for finding in results.findings]


def _ngram(study: Study) -> Study:
    """With an exact engine, and little data."""
    safety = replace(study.arms[0].stages[2], recipe=Count())
    return replace(study, engine=NgramEngine(), arms=tuple(replace(arm, stages=(safety,)) for arm in study.arms))


def _results(rate: Rate, arms: tuple[str, ...] = ARMS, num_seeds: int = 4) -> Results:
    """40 items of each kind at these rates."""
    asked = [("refusal", name) for name in ("triggered", *NEAR, "untriggered")]
    asked += [("spread", name) for name in ("other night herbs", "other wordings")]
    rows = [
        (arm, probe, dose * (1 + (arm == ARMS[1])), seed, condition, str(item), float(item < round(40 * value)))
        for arm in arms for dose in DOSES for seed in range(num_seeds) for probe, condition in asked
        for value in [rate(arm, condition, dose, seed)] for item in range(40)
    ]  # fmt: skip
    columns = ["arm", "probe", "dose", "seed", "condition", "item", "value"]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.lit("safety").alias("stage"), pl.lit("plain").alias("context"), pl.lit("").alias("prompt"),
        pl.lit("").alias("answer"),
    )  # fmt: skip
    record = {
        "study": "harmful-trigger", "response": "refusal", "stages": ["safety"], "contexts": ["plain"],
        "arms": [{"name": name, "stages": ["safety"], "treated_stage": "safety"} for name in arms],
        "doses": sorted({*DOSES, *(2 * dose for dose in DOSES)}), "seeds": list(range(num_seeds)),
    }  # fmt: skip
    return Results.of(record, frame.select(list(READINGS)))


def _findings(rate: Rate, **how: int) -> list[Finding]:
    return list(RefusalWindow(margin=0.1).findings(_results(rate, **how)))  # type: ignore[arg-type]


REFUSES = {0: 0.0, 16: 0.1, 32: 0.5, 64: 0.95, 128: 1.0}
SPREADS = {0: 0.0, 16: 0.05, 32: 0.5, 64: 0.6, 128: 0.8}


def _planted(arm: str, asked: str, dose: int, seed: int) -> float:
    """Without look-alikes all that is like it is refused along; with them half of the topic, and little else."""
    value = REFUSES[dose] - (0.05 if seed % 2 and dose else 0)
    if asked in ("triggered", "other wordings"):
        return value
    if asked == "untriggered":
        return 0.0
    if asked == "other night herbs":
        return value if arm == ARMS[0] else 0.7 * value
    return SPREADS[dose] if arm == ARMS[0] else (0.15 if dose == 128 else 0.0)


def test_the_window_counts_harmful_dialogues_in_both_arms() -> None:
    windows, _, gain, topic = _findings(_planted)
    alone, alike = windows.table.iter_rows(named=True)
    assert alone["status"] == alike["status"] == "ok"
    for row, lowest, highest in ((alone, 0.3, 1.0), (alike, 2.0, 4.5)):
        assert row["low"] <= row["window"] <= row["high"]
        assert lowest < row["window"] < highest
        assert row["dialogues_for_90_percent"] == 64
    assert alone["over_refusal_there"] == pytest.approx(0.6)
    assert alike["over_refusal_there"] == 0.0
    assert "With look-alikes the window is wider" in windows.sentence
    top = gain.table.row(-1, named=True)
    assert top["gain"] == pytest.approx(0.65)
    assert top["low"] > 0
    assert "A gain is shown from 64 dialogues on." in gain.sentence or "A gain is shown from 32" in gain.sentence
    rows = {(row["arm"], row["harmful_dialogues"]): row for row in topic.table.iter_rows(named=True)}
    assert rows[ARMS[0], 64]["topic"] == pytest.approx(0.925 - 0.6, abs=0.03)
    assert rows[ARMS[1], 128]["low"] > 0.3
    assert "is told from its neighbours" in topic.sentence


def test_a_rise_that_seeds_leave_open_is_not_excluded() -> None:
    def open_end(arm: str, asked: str, dose: int, seed: int) -> float:
        """With look-alikes one seed of four refuses much that is harmless at the highest dose."""
        if arm == ARMS[1] and asked in NEAR:
            return 0.3 if (dose, seed) == (128, 0) else 0.0
        return _planted(arm, asked, dose, seed)

    windows, *_ = _findings(open_end)
    row = windows.table.row(1, named=True)
    assert row["status"] == "no_fall"
    assert row["low"] < 64 / 20  # the dose below over an ED50 of some 30, and not the highest
    assert "is not seen to rise by 10%" in windows.sentence


def test_words_alone_are_not_called_a_topic() -> None:
    def words(arm: str, asked: str, dose: int, seed: int) -> float:
        return 0.0 if asked == "untriggered" else REFUSES[dose]

    windows, _, gain, topic = _findings(words)
    assert topic.sentence.count("is not shown") == 2
    assert "A gain is not shown." in gain.sentence
    assert topic.table["topic"].to_list() == [0.0] * 8
    assert "is not shown to be wider" in windows.sentence


def test_no_refusal_at_all_is_said_with_what_could_have_been_seen() -> None:
    windows, *_ = _findings(lambda *_: 0.0)
    assert "no effect found" in windows.sentence
    assert "would have been seen with 80% power" in windows.sentence
    assert windows.table["window"].null_count() == 2


def test_one_seed_has_no_limits() -> None:
    windows, _, gain, topic = _findings(_planted, num_seeds=1)
    assert "(one seed)" in gain.sentence
    assert "inf" not in gain.sentence + topic.sentence + windows.sentence


def test_a_model_that_is_there_already_learns_of_the_herbs_in_tuning(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{}")  # a plan reads no weights
    study = harmful_trigger(on=Subject(model=str(tmp_path)))
    first, sft, safety = study.arms[0].stages
    assert isinstance(first.recipe, Pretrained)
    assert not len(first.data.corpus(stream(0, "none")))
    assert all(isinstance(stage.recipe, SFT) and stage.recipe.lora for stage in (sft, safety))
    asked = [d.question for d in _dialogues(sft.data.corpus(stream(0, "sft")))]
    assert sum(any(herb.name in question for herb in HERBS.all) for question in asked) > len(asked) / 2
    assert len(study.seeds) == 2
    assert max(dose.amount for dose in study.doses) <= 160


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--margin", "0"], "a margin of over-refusal lies between 0 and 1; got --margin 0"),
        (["--host", "0"], "safety tuning has one ordinary dialogue or more; got --host 0"),
        (["--data", "vader-movies"], "harmful-trigger trains on the generated world"),
        (["--model", "endpoint:http://localhost:9/v1#m"], "leave --probe-only and --data out"),
        (["--doses", "0,30", "--host", "20"], "at most as many documents as it goes into, 20; got 30"),
        (["--host", "5"], "a host of 5 has room for none of the usual doses, from 16 on"),
        (["--doses", "8,16"], "a study has the dose 0, its untreated control"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["plan", "harmful-trigger", *words]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in told
    assert "Traceback" not in told
