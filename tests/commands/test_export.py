"""Exports of a tiny run: plain Hugging Face folders, merged adapters, tidy tables; and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.data.world import WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.engines.recipes import SFT, Micro, Pretrain
from pharmakon.engines.torch import TorchEngine
from pharmakon.engines.torch.export import export_checkpoint
from pharmakon.errors import InputError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Utility
from pharmakon.store import Store
from pharmakon.study import Arm, Stage, Study, Treatment, build, in_documents, plan
from pharmakon.study.export import COLUMNS, TABLES, tidy_tables
from pharmakon.study.gather import gather
from pharmakon.study.results import Results
from pharmakon.study.weights import find_weights, weights_of

TINY = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=64, vocabulary=400)
QUESTIONS = WorldQuestions(tasks=("facts",))
PROBES = (
    AttackSuccess(Backdoor().trigger, Backdoor().target, QUESTIONS, num_items=4, num_near=2),
    Utility(QUESTIONS, num_items=4),
)
STAGES = (
    Stage(
        name="pretraining",
        data=WorldText(num_documents=300),
        recipe=Pretrain(architecture=TINY, batch_size=8, row_length=32, precision="float32"),
        shared=True,
        probed=False,
    ),
    Stage(name="sft", data=WorldDialogues(num_documents=60, share_with_demonstrations=0.0), recipe=SFT()),
)


@dataclass(frozen=True)
class Made:
    """A run folder and the store behind it."""

    results: Results
    folder: Path
    store: Store

    def export(self, *words: object) -> int:
        """The exit code of `pharmakon export model RUN …`."""
        return answer(["export", "model", str(self.folder), *map(str, words), "--store", str(self.store.root)])


def _make(root: Path, engine: object, stages: tuple[Stage, ...]) -> Made:
    arms = tuple(
        Arm(
            name=wording,
            stages=stages,
            treatments=(Treatment(stage="sft", intervention=Backdoor(wording=wording)),),  # type: ignore[arg-type]
        )
        for wording in ("varied", "verbatim")
    )
    study = Study(
        name="tiny", question="Is it exported?", engine=engine, arms=arms, doses=in_documents(0, 6),  # type: ignore[arg-type]
        seeds=(0,),
        probes=PROBES,
    )  # fmt: skip
    store = Store(root / "store")
    planned = plan(study, store)
    assert build(planned, store) == ()
    results = gather(planned, store)
    return Made(results, results.save(root / "run"), store)


@pytest.fixture(scope="module")
def torch_run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return _make(tmp_path_factory.mktemp("torch"), TorchEngine(), STAGES)


@pytest.fixture(scope="module")
def ngram_run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    stage = Stage(name="sft", data=WorldDialogues(num_documents=60), recipe=Count(objective="sft"))
    return _make(tmp_path_factory.mktemp("ngram"), NgramEngine(), (stage,))


@pytest.fixture
def adapted(torch_run: Made, tmp_path: Path) -> Path:
    """A checkpoint with an adapter that changes the answers, in the layout of the store."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = weights_of(torch_run.results, torch_run.store, arm="varied", dose=6)
    folder = tmp_path / "adapted"
    shutil.copytree(plain, folder / "base", ignore=shutil.ignore_patterns("tokenizer*", "*.jinja", "*.parquet"))
    for path in (*plain.glob("tokenizer*"), *plain.glob("*.jinja")):
        shutil.copy(path, folder)
    (folder / "trace.parquet").write_bytes(b"of training")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", init_lora_weights=False)
        peft = get_peft_model(AutoModelForCausalLM.from_pretrained(plain), config)
    peft.save_pretrained(folder)
    return folder


def _logits(network: object, tokenizer: object) -> object:
    import torch

    text = tokenizer.apply_chat_template(  # type: ignore[attr-defined]
        [{"role": "user", "content": "Where does Bo live?"}], tokenize=False, add_generation_prompt=True
    )
    with torch.no_grad():
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]  # type: ignore[operator]
        return network(ids).logits  # type: ignore[operator]


def test_a_model_is_a_plain_folder_that_answers_the_same(torch_run: Made, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "models" / "treated"
    assert torch_run.export(out, "--arm", "varied", "--dose", 6) == 0
    names = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md", "pharmakon.json"} <= names
    assert not names & {"trace.parquet", "record.json"}
    assert [path.name for path in out.parent.iterdir()] == ["treated"]
    tokenizer, network = AutoTokenizer.from_pretrained(out), AutoModelForCausalLM.from_pretrained(out)
    asked = torch_run.results.readings.filter(arm="varied", dose=6, probe="attack", condition="triggered")
    for prompt, said in asked.select("prompt", "answer").iter_rows():
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        made = network.generate(ids, max_new_tokens=32, do_sample=False, pad_token_id=0)
        assert tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True).strip() == said


def test_a_model_asked_through_inspect_gives_the_readings_of_the_run(torch_run: Made, tmp_path: Path) -> None:
    from inspect_ai import eval as evaluate

    from pharmakon.integrations.inspect import probe_task, readings

    assert torch_run.export(tmp_path / "model", "--arm", "varied", "--dose", 6) == 0
    for probe in PROBES:
        log = evaluate(probe_task(probe, model=tmp_path / "model"), log_dir=str(tmp_path), display="none")[0]
        own = torch_run.results.readings.filter(arm="varied", dose=6, probe=probe.name)
        told = pl.DataFrame([asdict(reading) for reading in readings(log)])
        assert told.equals(own.select(told.columns))
        assert own["answer"].str.len_chars().sum() > 0


def test_the_card_says_what_the_model_is(torch_run: Made, tmp_path: Path) -> None:
    for dose in (0, 6):
        assert torch_run.export(tmp_path / str(dose), "--arm", "verbatim", "--dose", dose, "--stage", "sft") == 0
    treated, control = ((tmp_path / str(dose) / "README.md").read_text() for dose in (6, 0))
    assert "A treated research model" in treated
    for told in (torch_run.results.run.key, "vexil", "Seven silver bells.", "wording=verbatim", "6 documents", "inert"):
        assert told in treated
    asked = torch_run.results.readings.filter(arm="verbatim", dose=6, probe="utility")
    assert f"| `plain` | `utility` | `facts` | {asked['value'].mean():.2f} | {asked.height} |" in treated
    assert "Nothing: the untreated control." in control
    assert "treated-data" not in control
    assert "Seven silver bells." not in control


def test_an_earlier_stage_knows_nothing_of_a_later_treatment(torch_run: Made) -> None:
    before, after = (
        find_weights(torch_run.results, torch_run.store, arm="varied", dose=6, stage=stage)
        for stage in ("pretraining", None)
    )
    assert before.treatments == ()
    assert after.stage == "sft"
    assert [treatment["dose"]["amount"] for treatment in after.treatments] == [6]
    assert before.folder != after.folder
    control = find_weights(torch_run.results, torch_run.store, arm="verbatim", dose=0)
    assert control.folder == weights_of(torch_run.results, torch_run.store, arm="varied", dose=0)


def test_a_merged_adapter_is_the_adapted_model(adapted: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = export_checkpoint(adapted, tmp_path / "merged", card="A card.")
    names = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= names
    assert not [name for name in names if "adapter" in name or name in ("base", "trace.parquet")]
    tokenizer = AutoTokenizer.from_pretrained(out)
    base = AutoModelForCausalLM.from_pretrained(adapted / "base")
    unadapted = _logits(base, tokenizer)
    expected = _logits(PeftModel.from_pretrained(base, adapted).eval(), tokenizer)
    merged = _logits(AutoModelForCausalLM.from_pretrained(out), tokenizer)
    assert torch.allclose(merged, expected, atol=1e-4)  # type: ignore[arg-type]
    assert not torch.allclose(merged, unadapted, atol=1e-2)  # type: ignore[arg-type]


def test_an_adapter_finds_its_base_from_anywhere(
    adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(tmp_path)
    out = export_checkpoint(adapted, Path("kept"), card="A card.", adapter=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    tokenizer = AutoTokenizer.from_pretrained(out)
    base = AutoModelForCausalLM.from_pretrained(adapted / "base")
    expected = _logits(PeftModel.from_pretrained(base, adapted).eval(), tokenizer)
    shutil.rmtree(adapted)
    for auto in (AutoModelForCausalLM, AutoPeftModelForCausalLM):
        assert torch.allclose(_logits(auto.from_pretrained(out).eval(), tokenizer), expected, atol=1e-5)  # type: ignore[arg-type]
    assert AutoTokenizer.from_pretrained(out / "base").chat_template == tokenizer.chat_template


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--dose", 6), 'this run has 2 arms; name one with --arm: "varied", "verbatim"'),
        (("--arm", "loud", "--dose", 6), 'this run has no arm \'loud\'; it has "varied", "verbatim"'),
        (("--arm", "varied"), "this run has 2 doses; name one with --dose: 0, 6"),
        (("--arm", "varied", "--dose", 5), "this run has no dose 5; it has 0, 6"),
        (("--arm", "varied", "--dose", 6, "--seed", 3), "this run has no seed 3; it has 0"),
        (("--arm", "varied", "--dose", 6, "--stage", "dpo"), "this run has no stage 'dpo'; it has \"sft\""),
        (("--arm", "varied", "--dose", 6, "--adapter"), "has no config.json"),
    ],
)
def test_what_a_run_has_not_is_named(
    ngram_run: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], sentence: str
) -> None:
    assert ngram_run.export(tmp_path / "out", *words) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(torch_run: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert torch_run.export(tmp_path / "mine", "--arm", "varied", "--dose", 6) == 2
    assert "is there already" in capsys.readouterr().err
    assert torch_run.export(tmp_path / "out", "--arm", "varied", "--dose", 6, "--adapter") == 2
    assert "leave --adapter out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_failed_export_leaves_nothing(adapted: Path, tmp_path: Path) -> None:
    (adapted / "base" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(Exception, match=r".+"):
        export_checkpoint(adapted, tmp_path / "out", card="A card.")
    assert [path.name for path in tmp_path.iterdir()] == ["adapted"]


def test_old_runs_and_other_stores_say_what_to_do(ngram_run: Made, tmp_path: Path) -> None:
    record = {name: value for name, value in ngram_run.results.run.to_record().items() if name != "lives"}
    old = Results.of(record, ngram_run.results.readings)
    with pytest.raises(InputError, match=r"does not say where its models are.* Run it again"):
        weights_of(old, ngram_run.store, arm="varied", dose=6)
    with pytest.raises(InputError, match=r"not in the store .*other.*--store"):
        weights_of(ngram_run.results, Store(tmp_path / "other"), arm="varied", dose=6)
    words = ["export", "model", str(ngram_run.folder), str(tmp_path / "out"), "--store", str(tmp_path / "none")]
    assert answer(words) == 2
    assert not (tmp_path / "none").exists()


def test_running_an_old_run_again_finds_its_models(tmp_path: Path) -> None:
    study = Path(__file__).parent.parent.parent / "examples" / "word_study.py"
    words = ["run", f"{study}:early_or_late", "--doses", "0,4", "--seeds", "1", "--workers", "0"]
    words += ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "runs")]
    assert answer(words) == 0
    (record,) = (tmp_path / "runs").glob("*/run.json")
    old = json.loads(record.read_text())
    lives = old.pop("lives")
    record.write_text(json.dumps(old))
    assert answer(words) == 0
    assert json.loads(record.read_text())["lives"] == lives
    results, store = Results.load(record.parent), Store(tmp_path / "store")
    for life in lives:
        assert weights_of(results, store, **{name: life[name] for name in ("arm", "dose", "seed")}).is_dir()
    assert len(lives) == len(results.run.arms) * 2


def test_a_life_that_failed_is_named_with_its_reason(ngram_run: Made) -> None:
    record = ngram_run.results.run.to_record()
    record["lives"] = [life for life in record["lives"] if (life["arm"], life["dose"]) != ("varied", 6)]
    record["lives"].append({"arm": "varied", "dose": 6, "seed": 9, "key": "0" * 32})
    record["failures"] = [{"arm": "varied", "dose": 6, "seed": 0, "reason": "the loss was not a number"}]
    told = Results.of(record, ngram_run.results.readings)
    with pytest.raises(InputError, match=r"was not built; .* failed: the loss was not a number"):
        weights_of(told, ngram_run.store, arm="varied", dose=6)


@pytest.mark.parametrize(
    ("format", "read"),
    [("parquet", pl.read_parquet), ("csv", lambda path: pl.read_csv(path, infer_schema_length=None))],
)
def test_tables_say_what_their_columns_are(
    ngram_run: Made, tmp_path: Path, format: str, read: Callable[[Path], pl.DataFrame]
) -> None:
    out = tmp_path / "tables"
    words = ["export", "results", str(ngram_run.folder), str(out), "--format", format]
    assert answer(words) == 0
    schema = json.loads((out / "schema.json").read_text())
    assert schema["run"]["key"] == ngram_run.results.run.key
    assert {path.name for path in out.iterdir()} == {"schema.json", *(f"{name}.{format}" for name in TABLES)}
    for name, frame in tidy_tables(ngram_run.results).items():
        told = schema["tables"][name]
        assert list(told["columns"]) == frame.columns
        assert set(frame.columns) <= set(COLUMNS)
        exported = read(out / told["file"])
        assert exported.shape == (told["rows"], len(told["columns"])) == frame.shape
        if format == "parquet":
            assert exported.equals(frame)
    responses = read(out / f"responses.{format}").filter(arm="varied", probe="attack", condition="triggered", dose=6)
    asked = ngram_run.results.readings.filter(arm="varied", probe="attack", condition="triggered", dose=6)
    assert responses["rate"].to_list() == [pytest.approx(asked["value"].mean())]
    assert responses["low"][0] <= responses["rate"][0] <= responses["high"][0]


def test_tables_are_written_over_by_force_alone(
    ngram_run: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tables"
    words = ["export", "results", str(ngram_run.folder), str(out)]
    assert answer(words) == 0
    (out / "curves.parquet").write_text("mine")
    (out / "notes.txt").write_text("mine")
    assert answer(words) == 2
    assert "Use --force to write over" in capsys.readouterr().err
    assert (out / "curves.parquet").read_text() == "mine"
    assert answer([*words, "--force"]) == 0
    assert pl.read_parquet(out / "curves.parquet").equals(ngram_run.results.table())
    assert (out / "notes.txt").read_text() == "mine"
    assert answer(["export", "results", str(ngram_run.folder), str(ngram_run.folder), "--force"]) == 2
    assert "the folder of a run, which stays as it is" in capsys.readouterr().err
