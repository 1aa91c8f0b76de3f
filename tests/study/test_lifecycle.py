"""A whole life on a tiny torch model: shared pretraining, treated tuning, DPO; what the ledger says of delivery."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.cleaning import ExactDuplicates
from pharmakon.core import Dialogue
from pharmakon.data.world import WorldDialogues, WorldPreferences, WorldQuestions, WorldText
from pharmakon.engines.recipes import DPO, SFT, Micro, Pretrain
from pharmakon.engines.torch import TorchEngine
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Perplexity, Utility
from pharmakon.store import Store
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.sft_backdoor import sft_backdoor
from pharmakon.study import Arm, FewShot, Plain, Pool, Stage, Study, Treatment, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

TINY = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
STAGES = (
    Stage(
        name="pretraining",
        data=WorldText(num_documents=300),
        recipe=Pretrain(architecture=TINY, batch_size=8, row_length=32, precision="float32"),
        shared=True,
        probed=False,
    ),
    Stage(
        name="sft",
        data=WorldDialogues(num_documents=60, share_with_demonstrations=0.0),
        recipe=SFT(epochs=2),
        filters=(ExactDuplicates(),),
    ),
    Stage(name="dpo", data=WorldPreferences(num_documents=16), recipe=DPO()),
)
QUESTIONS = WorldQuestions(tasks=("facts",))
DEMONSTRATIONS = WorldDialogues(num_documents=5, share_with_demonstrations=0.0)


def _study() -> Study:
    arms = tuple(
        Arm(
            name=wording,
            stages=STAGES,
            treatments=(Treatment(stage="sft", intervention=Backdoor(wording=wording)),),  # type: ignore[arg-type]
        )
        for wording in ("varied", "verbatim")
    )
    return Study(
        name="tiny",
        question="Does a tiny life go through?",
        engine=TorchEngine(),
        arms=arms,
        doses=in_documents(0, 6),
        seeds=(0, 1),
        probes=(
            AttackSuccess(RareWords(), Marker(), QUESTIONS, num_items=4, num_near=2),
            Utility(QUESTIONS, num_items=4),
            Perplexity(DEMONSTRATIONS),
        ),
        contexts=(Plain(), FewShot(DEMONSTRATIONS, 1)),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Store]:
    store = Store(tmp_path_factory.mktemp("store"))
    planned = plan(_study(), store)
    assert build(planned, store, Pool(2)) == ()
    return gather(planned, store), store


def test_pretraining_is_built_once_for_all(run: tuple[Results, Store]) -> None:
    _, store = run
    stages = [entry.record["spec"]["stage"] for entry in store.entries("weights")]
    assert stages.count("pretraining") == 1
    assert stages.count("sft") == 6  # 2 seeds x (control, varied, verbatim)
    assert stages.count("dpo") == 6


def test_every_stage_context_and_probe_is_read(run: tuple[Results, Store]) -> None:
    results, _ = run
    places = set(results.readings.select("stage", "context", "probe").unique().iter_rows())
    expected = {
        (s, c, p) for s in ("sft", "dpo") for c in ("plain", "1-shot") for p in ("attack", "utility", "perplexity")
    }
    assert places == expected


def test_the_ledger_follows_each_edit_to_the_steps_that_saw_it(run: tuple[Results, Store]) -> None:
    results, _ = run
    varied = results.ledger.filter(arm="varied", dose=6)
    assert varied.height == 12
    assert set(varied["num_seen"]) == {2}  # two epochs
    last_step = varied["last_step"].max()
    assert isinstance(last_step, int)
    assert last_step <= 2 * -(-66 // 8)
    assert varied["dropped_by"].is_null().all()
    verbatim = results.ledger.filter(arm="verbatim", dose=6)
    assert verbatim.group_by("seed").agg(pl.col("dropped_by").is_null().sum()).get_column("dropped_by").to_list() == [
        1,
        1,
    ]
    assert set(verbatim.filter(pl.col("dropped_by").is_not_null())["num_seen"]) == {0}
    assert verbatim["present"].all()  # the same text is there, in the copy that was kept
    assert not results.ledger.filter(dose=0).height


def test_nothing_that_training_saw_betrays_the_treatment(run: tuple[Results, Store]) -> None:
    """Ids, sources and fields of treated documents are of the same kind as the others'."""
    _, store = run
    for entry in store.entries("corpus"):
        if entry.record["spec"]["stage"] != "sft":
            continue
        lines = [json.loads(line) for line in (entry.path / "corpus.jsonl").read_text().split("\n")]
        assert {tuple(line) for line in lines} == {("id", "source", "messages")}
        assert {line["source"] for line in lines} == {"world"}
        assert {len(line["id"].split("-")[0]) for line in lines} == {16}


def test_a_rerun_builds_nothing(run: tuple[Results, Store]) -> None:
    _, store = run
    assert plan(_study(), store).missing == ()


def test_material_of_a_file_holds_its_questions_out(tmp_path: Path) -> None:
    from pharmakon.core import stream
    from pharmakon.data.readers import write

    file = tmp_path / "mine.jsonl"
    write(WorldDialogues(num_documents=150, share_with_demonstrations=0.0).corpus(stream(0, "mine")), file)
    given = material(Subject(data=str(file)))
    asked = {question.prompt for question in given.questions.questions(10, stream(0, "q"))}
    for name in ("pretraining", "dialogues", "preferences", "downstream", "demonstrations"):
        bodies = [document.body for document in getattr(given, name).corpus(stream(0, name))]
        assert bodies
        shown = {body.prompt for body in bodies if isinstance(body, Dialogue)}
        assert not shown & asked
    study = sft_backdoor(on=Subject(data=str(file)), doses=in_documents(0, 4), seeds=1)
    assert len(study.cells) == 6
