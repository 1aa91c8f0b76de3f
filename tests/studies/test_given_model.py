"""The same study on a model that is there already: adapters, templates, failures; through the command line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.cli import answer
from pharmakon.core import stream
from pharmakon.data.derived import Nothing
from pharmakon.data.world import WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.pretrained import pretrained
from pharmakon.engines.recipes import DPO, SFT, LoRA, Micro, Pretrain, Pretrained, Schedule, Served
from pharmakon.engines.torch import TorchEngine
from pharmakon.errors import PharmakonError, SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess
from pharmakon.store import Store
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.sft_backdoor import sft_backdoor
from pharmakon.study import Arm, Stage, Study, Treatment, build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

OTHER_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}<|end|>{% endfor %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model, as somebody else would give it."""
    out = tmp_path_factory.mktemp("given")
    tiny = Micro(num_layers=1, hidden_size=48, intermediate_size=96, num_heads=2, context=256, vocabulary=400)
    text = WorldText(num_documents=400).corpus(stream(0, "t"))
    recipe = Pretrain(architecture=tiny, batch_size=8, row_length=64)
    TorchEngine().train(recipe, text, start=None, rng=stream(0, "p"), out=out)
    (out / "pharmakon.json").unlink()
    return out


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def _run(*words: object) -> tuple[int, Path | None]:
    code = answer(["run", "sft-backdoor", *map(str, words), "--workers", "0", "--out", "runs"])
    return code, next(iter(Path("runs").glob("*")), None)


def test_the_study_trains_adapters_on_a_given_model(model: Path) -> None:
    code, folder = _run("--model", model, "--data", "world", "--doses", "0,6", "--seeds", 1, "--lora", 4)
    assert code == 0
    assert folder is not None
    results = Results.load(folder)
    assert results.run.stages == ("sft", "dpo", "finetune")
    assert set(results.readings["probe"]) == {"attack", "utility", "perplexity"}
    assert not any("template" in warning for warning in results.run.warnings)
    weights = {e.record["spec"]["stage"]: e.path for e in Store(Path("home")).entries("weights")}
    base = weights["pretraining"] / "model.safetensors"
    for stage in ("sft", "dpo", "finetune"):
        assert (weights[stage] / "base" / "model.safetensors").samefile(base)  # one copy for all lives
        assert (weights[stage] / "adapter_model.safetensors").is_file()
    # The same files elsewhere are the same model: nothing is built anew.
    shutil.copytree(model, "elsewhere")
    planned = plan(
        sft_backdoor(in_documents(0, 6), 1, on=Subject(model="./elsewhere", data="world", lora=4)), Store(Path("home"))
    )
    assert planned.missing == ()


def test_a_model_is_asked_as_it_is(model: Path) -> None:
    code, folder = _run("--model", model, "--data", "world", "--probe-only")
    assert code == 0
    assert folder is not None
    results = Results.load(folder)
    assert results.is_untreated
    assert set(results.readings["stage"]) == {"given"}
    assert set(results.readings["probe"]) == {"attack", "utility", "perplexity"}
    assert results.answer().startswith("As it is: the trigger brings the target forth in ")


def test_another_template_is_refused_and_where_it_is_allowed_told_in_red(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.jinja").write_text(OTHER_TEMPLATE)
    asked = ("--model", model, "--data", "world", "--probe-only", "--template", "other.jinja")
    code, folder = _run(*asked)
    assert (code, folder) == (2, None)
    assert "a model is asked with the chat template that it learned" in capsys.readouterr().err
    code, folder = _run(*asked, "--allow-template-mismatch")
    assert code == 0
    assert folder is not None
    page = (folder / "report.html").read_text()
    box = page[page.index('<div class="trouble-box"') :].split("</div>")[0]
    assert "given: asked with another chat template than the model was tuned with (--allow-template-mismatch)" in box
    assert "another chat template" in capsys.readouterr().out


def test_a_model_without_a_template_says_what_to_do(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(model, "bare", ignore=shutil.ignore_patterns("chat_template.jinja"))
    assert _run("--model", "./bare", "--data", "world", "--probe-only") == (2, None)
    assert "Give one with --template FILE" in capsys.readouterr().err


def _study(model: Path, recipes: dict[str, SFT]) -> Study:
    base = Stage(name="given", data=Nothing(), recipe=pretrained(str(model)), shared=True, probed=False)
    data = WorldDialogues(num_documents=60, share_with_demonstrations=0.0)
    treatment = Treatment(stage="sft", intervention=Backdoor())
    arms = (
        Arm(name=name, stages=(base, Stage(name="sft", data=data, recipe=recipe)), treatments=(treatment,))
        for name, recipe in recipes.items()
    )
    questions = WorldQuestions(tasks=("facts",))
    return Study(
        name="given",
        question="?",
        engine=TorchEngine(),
        arms=tuple(arms),
        doses=in_documents(0, 8),
        seeds=(0,),
        probes=(AttackSuccess(RareWords(), Marker(), questions, num_items=4, num_near=2),),
    )


def _built(study: Study) -> tuple[Results, Any]:
    store = Store(Path("store"))
    planned = plan(study, store)
    failures = build(planned, store)
    return gather(planned, store, failures), failures


def test_a_loss_that_is_no_number_ends_its_cells_and_no_others(model: Path) -> None:
    recipe = SFT(lora=LoRA(rank=4), precision="bfloat16")
    wild = replace(recipe, schedule=Schedule(peak=1e38, warmup=0.0))
    results, failures = _built(_study(model, {"calm": recipe, "wild": wild}))
    assert {failure.arm for failure in failures} == {"wild"}
    assert all("the loss was nan at step" in failure.reason for failure in failures)
    assert set(results.readings["arm"]) == {"calm"}
    assert {failure["arm"] for failure in results.run.failures} == {"wild"}


def test_an_edit_whose_end_training_never_saw_is_truncated_in_the_ledger(model: Path) -> None:
    """The trigger stands at the end of the prompt: where the context ends before it, it was not delivered."""
    results, failures = _built(_study(model, {"short": SFT(context=24), "whole": SFT()}))
    assert not failures
    cut = results.ledger.filter(dose=8).group_by("arm").agg(pl.col("truncated").sum())
    assert dict(cut.iter_rows()) == {"short": 8, "whole": 0}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"probe_only": True}, "--probe-only is for a model that is there already"),
        ({"template": Path("x")}, "--template is for a model that is there already"),
        ({"model": "smollm2", "lora": -1}, "the rank of an adapter is 1 or more, or 0 to train all weights; got -1"),
        ({"allow_template_mismatch": True}, "--allow-template-mismatch is for a model that is there already"),
        ({"processes": 2}, "--processes and --accelerate-config are for --engine trl"),
        ({"model": "endpoint:http://h/v1#m", "template": Path("x")}, "a served model has its server's chat template"),
        ({"model": "endpoint:http://h/v1#m", "engine": "trl"}, "and is not trained"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Subject(**options)


def test_a_template_file_that_is_not_there(model: Path) -> None:
    with pytest.raises(PharmakonError, match="a template is a text file with a Jinja chat template; lost"):
        Subject(model=str(model), template=Path("lost")).given_model()


def test_doses_are_not_for_a_model_that_is_only_asked() -> None:
    on = Subject(model="endpoint:http://localhost:9/v1#m", data="world")
    with pytest.raises(SpecError, match="has one dose, 0, and one seed"):
        sft_backdoor(in_documents(0, 4), on=on)
    with pytest.raises(SpecError, match="--full, --label and --cleaning say what is trained on"):
        sft_backdoor(on=on, full=True)
    study = sft_backdoor(on=on)
    assert study.arms[0].stages[0].recipe == Served()
    assert [probe.name for probe in study.probes] == ["attack", "utility"]  # type: ignore[attr-defined]


def test_material_of_a_given_model_learns_with_what_was_asked_for(model: Path) -> None:
    adapted = material(Subject(model=str(model), data="world", lora=4))
    whole = material(Subject(model=str(model), data="world", lora=0))
    assert isinstance(adapted.learning, Pretrained)
    assert adapted.pretraining == Nothing()
    for recipe in (adapted.tuning, adapted.aligning, adapted.finetuning):
        assert isinstance(recipe, SFT | DPO)
        assert recipe.lora == LoRA(rank=4, alpha=8.0)
    assert whole.tuning.lora is None
    assert (whole.learning.precision, whole.tuning.precision) == ("float32", "mixed")
    assert whole.tuning.schedule.peak < adapted.tuning.schedule.peak
