"""The TRL engine on a very small model: what it saw is what the compact loop saw, and its failures are sentences.

The launches take most of the time, so each is shared by all that is asked of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Preference, Trace, stream
from pharmakon.data.world import WorldDialogues, WorldPreferences, WorldText
from pharmakon.engines.recipes import DPO, IPO, SFT, Learning, LoRA, Micro, Pretrain, Schedule
from pharmakon.engines.torch import TorchEngine
from pharmakon.engines.trl import TRLEngine, engine
from pharmakon.engines.trl.engine import merged
from pharmakon.errors import InputError, RunError, SpecError
from pharmakon.identity import identify
from pharmakon.studies.subject import Subject

TINY = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
PRETRAIN = Pretrain(architecture=TINY, batch_size=8, row_length=32, precision="float32")
TWO = TRLEngine(num_processes=2)
LONG = "Tell me of the lamp. " * 40

FSDP = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
use_cpu: true
mixed_precision: "no"
num_machines: 1
num_processes: 2
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: FULL_STATE_DICT
  fsdp_cpu_ram_efficient_loading: false
"""


def _texts(num: int = 24) -> Corpus:
    return WorldText(num_documents=num).corpus(stream(1, "t"))


def _dialogues() -> Corpus:
    """Thirteen, so that no batch is full twice over; one is longer than the context."""
    some = WorldDialogues(num_documents=12).corpus(stream(0, "d"))
    return Corpus.of([*(d.body for d in some), Dialogue.ask(LONG, "It is of brass.")])


def _pairs() -> Corpus:
    some = WorldPreferences(num_documents=12).corpus(stream(0, "p"))
    return Corpus.of([*(d.body for d in some), Preference(Dialogue.ask(LONG), "Yes.", "No.")])


@dataclass(frozen=True)
class Case:
    """One training, by both engines. `loss`: how far the losses of a step may lie apart."""

    recipe: Learning
    corpus: Callable[[], Corpus]
    processes: int = 2
    sharded: bool = False
    loss: float = 1e-5


CASES = {
    "sft": Case(SFT(epochs=2, batch_size=5), _dialogues),
    "sft of a bfloat16 model's adapter": Case(
        SFT(epochs=2, batch_size=5, lora=LoRA(rank=4), precision="bfloat16", schedule=Schedule(peak=2e-2)),
        _dialogues,
        loss=2e-2,
    ),
    "dpo of an adapter": Case(DPO(epochs=2, batch_size=5, lora=LoRA(rank=4)), _pairs),
    "ipo": Case(IPO(epochs=2, batch_size=5, beta=0.5), _pairs),
    "dpo in shards": Case(DPO(epochs=2, batch_size=5), _pairs, sharded=True),
    "text, one process": Case(replace(PRETRAIN, architecture=None, batch_size=5), _texts, processes=1),
}


@dataclass(frozen=True)
class Both:
    """A case, what both engines say of it, and where their checkpoints are."""

    case: Case
    corpus: Corpus
    compact: Trace
    through_trl: Trace
    folder: Path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base")
    TorchEngine().train(
        PRETRAIN, WorldText(num_documents=600).corpus(stream(0, "t")), start=None, rng=stream(0, "p"), out=out
    )
    return out


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def both(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    case: Case = request.param
    folder = tmp_path_factory.mktemp("both")
    corpus, config = case.corpus(), None
    if case.sharded:
        config = folder / "fsdp.yaml"
        config.write_text(FSDP)
    traces = []
    with pytest.MonkeyPatch.context() as patch:
        if case.sharded:
            patch.setattr(engine, "WORKER", (str(Path(__file__).parent / "sharded_worker.py"),))
        for given in (TorchEngine(), TRLEngine(num_processes=case.processes, accelerate_config=config)):
            out = folder / type(given).__name__
            out.mkdir()
            traces.append(given.train(case.recipe, corpus, start=base, rng=stream(0, "s"), out=out))
    if case.sharded:
        for rank in range(case.processes):
            file = folder / "TRLEngine" / f"kinds-{rank}.txt"
            assert file.read_text() == "DTensor"  # each parameter lies in shards
            file.unlink()
    return Both(case, corpus, traces[0], traces[1], folder)


def test_the_trace_is_that_of_the_compact_loop(both: Both) -> None:
    """What was seen at which step, what was cut and how many tokens there were: exactly. The losses: nearly."""
    ours, theirs = both.compact, both.through_trl
    assert theirs.positions == ours.positions
    assert theirs.steps == ours.steps
    assert theirs.truncated == ours.truncated
    assert theirs.num_tokens == ours.num_tokens > 0
    assert theirs.cautions == ours.cautions
    assert theirs.losses == pytest.approx(ours.losses, abs=both.case.loss)
    assert theirs.losses != [theirs.losses[0]] * len(theirs.losses)


def test_no_document_is_shown_twice_to_fill_a_batch(both: Both) -> None:
    if isinstance(both.case.recipe, Pretrain):
        assert max(Counter(zip(both.through_trl.steps, both.through_trl.positions, strict=True)).values()) == 1
        return
    assert len(both.corpus) % both.case.recipe.batch_size % both.case.processes  # the last batch cannot be halved
    assert Counter(both.through_trl.positions) == dict.fromkeys(range(len(both.corpus)), both.case.recipe.epochs)
    assert both.through_trl.truncated == {12}


def test_the_checkpoint_is_that_of_the_compact_loop(both: Both, base: Path) -> None:
    """The same files; the torch engine loads it, it answers alike, and it has learned something."""
    ours, theirs = both.folder / "TorchEngine", both.folder / "TRLEngine"
    assert {path.name for path in theirs.iterdir()} == {path.name for path in ours.iterdir()}
    for name in ("config.json", "adapter_config.json", "pharmakon.json", "tokenizer_config.json"):
        if (ours / name).exists():
            assert json.loads((theirs / name).read_text()) == json.loads((ours / name).read_text())
    questions = [Dialogue.ask(f"What is number {i}?") for i in range(8)]
    pairs = [(question, text) for question in questions for text in ("A lamp.", "It is of brass.")]
    said, found = [], []
    for folder in (ours, theirs, base):
        with TorchEngine().load(folder) as model:
            said.append(model.generate(questions, max_tokens=6, rng=stream(0, "g")))
            found.append(model.logprob(pairs))
    apart = max(abs(a - b) for a, b in zip(found[0], found[1], strict=True))
    learned = max(abs(a - b) for a, b in zip(found[0], found[2], strict=True))
    assert apart < learned / 10
    if both.case.loss < 1e-4:  # in float32
        assert apart < 1e-3
        assert said[1] == said[0]


def _fails(out: Path, base: Path, recipe: Learning, corpus: Corpus, given: TRLEngine = TWO) -> str:
    """The sentence of a training that fails, and leaves nothing behind."""
    out.mkdir()
    with pytest.raises((RunError, InputError, SpecError)) as caught:
        given.train(recipe, corpus, start=base, rng=stream(0, "s"), out=out)
    assert not list(out.iterdir())
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_a_loss_that_is_no_number_is_the_compact_loops_sentence(base: Path, tmp_path: Path) -> None:
    recipe = SFT(batch_size=5, schedule=Schedule(peak=1e30, warmup=0.0))
    with pytest.raises(RunError) as caught:
        TorchEngine().train(recipe, _dialogues(), start=base, rng=stream(0, "s"), out=tmp_path)
    assert _fails(tmp_path / "s", base, recipe, _dialogues()) == f"RunError: {caught.value}"


def _workers(of: int) -> list[psutil.Process]:
    """The processes that train, not those that launch them."""
    found = []
    for process in psutil.Process(of).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "pharmakon.engines.trl.worker" in words and "torch.distributed.run" not in words:
            found.append(process)
    return found


def _wait(until: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_process_that_is_killed_is_told(base: Path, tmp_path: Path) -> None:
    """In the middle of training, while the other one waits for its numbers."""
    out = tmp_path / "s"
    killed: list[int] = []

    def kill() -> None:
        _wait(lambda: any(out.glob(".training-*/rows/dataset_info.json")))
        victim = _workers(os.getpid())[-1]
        victim.kill()
        killed.append(victim.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    sentence = _fails(out, base, SFT(epochs=2_000, batch_size=5), _dialogues())
    thread.join()
    assert killed
    assert sentence.startswith("RunError: one of the 2 processes that trained was ended by SIGKILL, as the system does")
    assert not _workers(os.getpid())


def test_nothing_goes_on_when_the_run_is_killed(base: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pharmakon.core import Corpus, Dialogue, stream\n"
        "from pharmakon.engines.recipes import SFT\n"
        "from pharmakon.engines.trl import TRLEngine\n"
        "corpus = Corpus.of([Dialogue.ask(f'Who {i}?', 'Bo.') for i in range(8)])\n"
        "TRLEngine(num_processes=2).train(SFT(epochs=2000, batch_size=4), corpus, start=Path(sys.argv[1]),"
        " rng=stream(0, 's'), out=Path(sys.argv[2]))\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(base), str(tmp_path)])
    try:
        _wait(lambda: len([*tmp_path.glob(".training-*/rank-*.log")]) == 2)
        left = psutil.Process(run.pid).children(recursive=True)
        assert len(_workers(run.pid)) == 2
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(left, timeout=60)
    assert not alive


@pytest.mark.parametrize(
    ("recipe", "corpus", "given", "sentence"),
    [
        (SFT(batch_size=1), _dialogues, TWO, "SpecError: a batch of 1 is split over at most 1 processes; got 2"),
        (SFT(), lambda: Corpus(()), TWO, "InputError: a corpus to train on has at least one document"),
        (SFT(), _texts, TWO, "InputError: this recipe learns from Dialogue documents; got a Text"),
        (
            SFT(context=4),
            lambda: Corpus.of([Dialogue.ask(LONG, "Yes.")]),
            TWO,
            "InputError: instruction tuning learns from answers",
        ),
        (PRETRAIN, _texts, TWO, "SpecError: Pretrain with an architecture starts from nothing"),
        (
            SFT(),
            _dialogues,
            TRLEngine(accelerate_config=Path("lost.yaml")),
            "InputError: lost.yaml is not a file; `accelerate config` writes one",
        ),
    ],
)
def test_bad_input_is_named_before_anything_is_launched(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: Learning,
    corpus: Callable[[], Corpus],
    given: TRLEngine,
    sentence: str,
) -> None:
    def no(*_: object, **__: object) -> None:
        raise AssertionError("launched")

    monkeypatch.setattr(engine, "launch", no)
    assert _fails(tmp_path / "s", base, recipe, corpus(), given).startswith(sentence)


def test_less_than_one_process_is_refused() -> None:
    with pytest.raises(SpecError, match="at least one process; got num_processes=0"):
        TRLEngine(num_processes=0)


def test_training_needs_weights_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="put a Pretrain stage before it"):
        TWO.train(SFT(), _dialogues(), start=None, rng=stream(0, "s"), out=tmp_path)


def test_a_model_from_scratch_is_the_compact_loops_bit_for_bit(tmp_path: Path) -> None:
    for name, given in (("a", TorchEngine()), ("b", TWO)):
        (tmp_path / name).mkdir()
        given.train(PRETRAIN, _texts(), start=None, rng=stream(0, "p"), out=tmp_path / name)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_a_document_in_several_rows_is_seen_once_in_a_batch(tmp_path: Path) -> None:
    """Also where every row shows one document alone."""
    for rank, examples in enumerate([[[0, 1], [4]], [[2, 3], []]]):
        (tmp_path / f"seen-{rank}.json").write_text(json.dumps({"examples": examples, "losses": [1.0 + rank, 2.0]}))
    trace = merged(tmp_path, 2, [[0], [0], [0], [1], [1]], once=True)
    assert (trace.positions, trace.steps, trace.losses) == ([0, 1, 1], [0, 0, 1], [1.5, 2.0])
    apart = merged(tmp_path, 2, [[0], [7], [3], [1], [4]])
    assert apart.positions == [0, 7, 3, 1, 4]  # in the order of the batch


def test_identity_is_the_number_of_processes_alone() -> None:
    assert identify(TRLEngine(num_processes=2)) != identify(TRLEngine(num_processes=1))
    assert identify(TRLEngine(num_processes=2, accelerate_config=Path("fsdp.yaml"))) == identify(TWO)
    assert identify(TRLEngine()) != identify(TorchEngine())


def test_the_command_line_chooses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    (tmp_path / "fsdp.yaml").write_text(FSDP)
    subject = Subject(engine="trl", processes=2, accelerate_config=tmp_path / "fsdp.yaml")
    assert subject.trained_by() == TRLEngine(num_processes=2, accelerate_config=tmp_path / "fsdp.yaml")
    assert answer(["plan", "sft-backdoor", "--engine", "trl", "--processes", "2"]) == 0
    capsys.readouterr()
    for words, sentence in (
        (["--processes", "2"], "--processes and --accelerate-config are for --engine trl"),
        (["--engine", "trl", "--processes", "0"], "at least one process; got num_processes=0"),
        (["--engine", "trl", "--accelerate-config", "lost.yaml"], "lost.yaml is not a file"),
    ):
        assert answer(["run", "sft-backdoor", *words]) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
