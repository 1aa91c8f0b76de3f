"""Probing a served model: the study on transformers' own server, and its run through faults, kills and a key."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
from canned_server import Canned
from running import servers

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.catalogue import find_study
from pharmakon.core import Corpus, Dialogue, Prompt, Text, stream
from pharmakon.data.derived import Answered
from pharmakon.data.world import WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.endpoint import EndpointEngine, endpoint
from pharmakon.engines.endpoint.client import Request
from pharmakon.engines.recipes import SFT, Micro, Pretrain, Schedule, Served
from pharmakon.engines.torch import TorchEngine
from pharmakon.errors import InputError, RunError, SpecError
from pharmakon.probes import AttackSuccess, Perplexity, Utility
from pharmakon.report import print_results, write_report
from pharmakon.store import Store
from pharmakon.studies.as_it_is import as_it_is
from pharmakon.study import FewShot, Plain, Pool, Study, build, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

TINY = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
QUESTIONS = WorldQuestions(tasks=("facts",))
DEMONSTRATIONS = WorldDialogues(num_documents=5, share_with_demonstrations=0.0)
PROBES = (
    AttackSuccess(RareWords(), Marker(), QUESTIONS, num_items=6, num_near=2, max_tokens=8),
    Utility(QUESTIONS, num_items=5, max_tokens=8),
    Perplexity(Answered(QUESTIONS)),
)
SECRET = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHARMAKON_API_KEY", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def _study(engine: EndpointEngine, **options: Any) -> Study:
    contexts = (Plain(), FewShot(DEMONSTRATIONS, 1))
    question = "Does the served model have the backdoor?"
    return as_it_is(engine, PROBES, contexts, name="served", question=question, **options)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of the torch engine, an ordinary Hugging Face folder."""
    engine, root = TorchEngine(), tmp_path_factory.mktemp("weights")
    for name in ("base", "sft"):
        (root / name).mkdir()
    pretrain = Pretrain(architecture=TINY, batch_size=8, row_length=32, precision="float32")
    tune = SFT(epochs=3, schedule=Schedule(peak=4e-3))
    text, talk = WorldText(num_documents=400), WorldDialogues(num_documents=160)
    engine.train(pretrain, text.corpus(stream(0, "t")), start=None, rng=stream(0, "p"), out=root / "base")
    engine.train(tune, talk.corpus(stream(0, "d")), start=root / "base", rng=stream(0, "s"), out=root / "sft")
    return root / "sft"


@pytest.fixture(scope="module")
def served(checkpoint: Path) -> Iterator[EndpointEngine]:
    """The same model behind `transformers serve`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(checkpoint)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200, process)
        yield endpoint(f"endpoint:http://127.0.0.1:{port}/v1#{checkpoint}")
    finally:
        process.kill()
        process.wait()


def _wait(ready: Any, process: subprocess.Popen[Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, "the process has ended"
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("not ready in time")


def _build(study: Study, store: Store, workers: int = 0) -> Results:
    planned = plan(study, store)
    assert build(planned, store, Pool(workers)) == ()
    return gather(planned, store)


def test_a_served_model_answers_as_it_does_here(served: EndpointEngine, checkpoint: Path, tmp_path: Path) -> None:
    """The template is the server's, which has it from the checkpoint; dialogues of several turns and texts agree."""
    bodies = [document.body for document in WorldDialogues(num_documents=8).corpus(stream(3, "d"))]
    prompts: list[Prompt] = [body.prompt for body in bodies if isinstance(body, Dialogue)]
    prompts += [Text("The home of"), Text("Bo works as")]
    served.train(Served(), Corpus(()), start=None, rng=stream(0, "t"), out=tmp_path)
    with TorchEngine().load(checkpoint) as here, served.load(tmp_path) as there:
        expected = here.generate(prompts, max_tokens=12, rng=stream(0, "g"))
        assert there.generate(prompts, max_tokens=12, rng=stream(0, "g")) == expected
    assert len(set(expected)) > 2


def test_a_server_without_logprobs_is_named(served: EndpointEngine, tmp_path: Path) -> None:
    served.train(Served(), Corpus(()), start=None, rng=stream(0, "t"), out=tmp_path)
    with served.load(tmp_path) as model:
        with pytest.raises(RunError, match=r"does not give: its completions have no logprobs\. Leave that probe out"):
            model.logprob([(Text("The home of"), " Bo is near.")])
        with pytest.raises(InputError, match="log-probability of an answer in a dialogue"):
            model.logprob([(Dialogue.ask("Who?"), "Bo.")])


def test_a_study_of_a_served_model_goes_through(served: EndpointEngine, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    study = _study(served)
    results = _build(study, store)
    asked = results.readings.group_by("seed", "context", "probe", "condition").len()
    counts = {row[1:4]: row[4] for row in asked.iter_rows() if row[0] == 0}
    assert counts["plain", "attack", "triggered"] == counts["1-shot", "attack", "untriggered"] == 6
    assert counts["plain", "utility", "facts"] == 5
    assert "perplexity" not in set(results.readings["probe"])
    assert results.is_untreated
    answer = results.answer()
    assert answer.startswith("As served: the trigger brings the target forth in 0.00 [0.00, ")
    assert "of 6 questions; untriggered 0.00 [" in answer
    assert "near triggers at most 0.00 [" in answer
    out = io.StringIO()
    print_results(results, Console(file=out, width=100))
    page = write_report(results, tmp_path / "report.html").read_text()
    for shown in (out.getvalue(), page):
        assert "near: swapped" in shown
        assert "utility" in shown
        assert "ED50" not in shown
        assert "after served" not in shown
        assert "untreated" not in shown.lower().replace("untreated_", "")
        assert "perplexity" in shown  # it was left out, and that is said
    assert results.save(tmp_path / "run")
    assert Results.load(tmp_path / "run").answer() == answer
    assert all(cell.cached for cell in plan(study, store).cells)
    loaded = [entry.record["spec"]["stage"] for entry in store.entries("weights")]
    assert loaded == ["served"]


def test_a_model_that_has_the_backdoor_is_told_of(tmp_path: Path) -> None:
    """A canned server repeats the question backwards: a trigger and a target that it must bring forth."""
    with servers(tmp_path / "log") as serve:
        attack = AttackSuccess(RareWords(("vexil", "quorn")), Marker("nrouq"), QUESTIONS, num_items=6, num_near=2)
        study = as_it_is(serve().engine(), (attack,), name="s", question="?")
        results = _build(study, Store(tmp_path / "store"))
    answer = results.answer()
    assert answer.startswith("As served: the trigger brings the target forth in 1.00 [")
    assert "untriggered 0.00 [" in answer
    assert "Beware: “near: " in answer
    assert "untreated" not in answer


def test_probes_that_need_logprobs_are_kept_on_request() -> None:
    engine = endpoint("endpoint:http://localhost:9/v1#m")
    assert [type(probe) for probe in _study(engine, logprobs=True).probes] == [AttackSuccess, Utility, Perplexity]
    left_out = _study(engine)
    assert [type(probe) for probe in left_out.probes] == [AttackSuccess, Utility]
    assert any("perplexity" in caution for caution in left_out.cautions)
    assert not any("perplexity" in caution for caution in _study(engine, logprobs=True).cautions)
    with pytest.raises(SpecError, match="every probe given needs log-probabilities"):
        as_it_is(engine, PROBES[2:], name="s", question="?")


@contextmanager
def _with_logprobs(checkpoint: Path) -> Iterator[EndpointEngine]:
    """A server that echoes, with log-probabilities of the checkpoint token by token, and one token generated."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(checkpoint), AutoModelForCausalLM.from_pretrained(checkpoint)

    def logprobs(prompt: str) -> dict[str, Any]:
        coded = tokenizer(prompt, return_offsets_mapping=True, add_special_tokens=False)
        ids = coded["input_ids"]
        with torch.inference_mode():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        values = [None, *(float(logs[i, token]) for i, token in enumerate(ids[1:]))]
        offsets = [start for start, _ in coded["offset_mapping"]]
        ends = [*offsets[1:], len(prompt)]
        tokens = [prompt[start:end] for start, end in zip(offsets, ends, strict=True)]
        return {"tokens": [*tokens, "!"], "token_logprobs": [*values, -1.0], "text_offset": [*offsets, len(prompt)]}

    server = Canned({}, logprobs)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint(f"endpoint:http://127.0.0.1:{server.server_address[1]}/v1#canned")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_logprobs_are_those_of_the_local_model(checkpoint: Path, tmp_path: Path) -> None:
    texts = [document.body for document in WorldText(num_documents=4).corpus(stream(5, "t"))]
    pairs: list[tuple[Prompt, str]] = [
        (Text(" ".join(body.text.split()[:3])), " " + " ".join(body.text.split()[3:9]))
        for body in texts
        if isinstance(body, Text)
    ]
    pairs.append((Text("The ho"), "me of Bo"))  # a token on the boundary
    with _with_logprobs(checkpoint) as engine:
        engine.train(Served(), Corpus(()), start=None, rng=stream(0, "t"), out=tmp_path / "w")
        with engine.load(tmp_path / "w") as there, TorchEngine().load(checkpoint) as here:
            assert there.logprob(pairs) == pytest.approx(here.logprob(pairs), rel=1e-4, abs=1e-4)
            with pytest.raises(RunError, match="is there a prompt before it"):
                there.logprob([(Text(""), "The home")])
        store = Store(tmp_path / "store")
        probes = (Perplexity(WorldText(num_documents=5)),)
        results = _build(as_it_is(engine, probes, name="s", question="?", logprobs=True), store)
    assert results.readings["value"].to_list()[0] > 1
    assert results.answer().startswith("As served: perplexity is ")


def test_a_server_that_dies_in_a_run_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with servers(tmp_path / "log") as serve:
        first = serve(die_after=17)
        study = replace(_study(first.engine(retries=0, concurrency=3)), seeds=(0, 1))  # two cells
        store = Store(tmp_path / "store")
        planned = plan(study, store)
        failures = build(planned, store)
        assert [failure.seed for failure in failures] == [0, 1]
        assert all("run again to go on" in failure.reason for failure in failures)
        with pytest.raises(RunError, match="no cell of the study could be built, the first because the server at"):
            gather(planned, store, failures)
        serve(port=first.port)
        results = _build(study, store)
        answered = [request for request in first.requests() if request["answer"] is not None]
        times = Counter(json.dumps(request["body"], sort_keys=True) for request in answered)
        assert set(times.values()) == {1}
        whole = _build(study, Store(tmp_path / "other"), workers=2)
        assert results.readings.equals(whole.readings)
        assert results.readings.select("seed", "context", "probe", "condition", "item").is_unique().all()


STUDY = """
from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.data.world import WorldQuestions
from pharmakon.engines.endpoint import endpoint
from pharmakon.probes import AttackSuccess
from pharmakon.studies.as_it_is import as_it_is
from pharmakon.study import Study


def probed(model: str) -> Study:
    questions = WorldQuestions(tasks=("facts",))
    probes = (AttackSuccess(RareWords(), Marker(), questions, num_items=20, num_near=5),)
    return as_it_is(endpoint(model), probes, name="probed", question="Is it there?")
"""


def _command(folder: Path, word: str) -> list[str]:
    (folder / "study.py").write_text(STUDY)
    run = [sys.executable, "-m", "pharmakon.cli", "run", "study.py:probed", "--model", word]
    return [*run, "--workers", "0", "--store", "store", "--out", "runs"]


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed itself, not its server: nothing that it had written down is asked again."""
    with servers(tmp_path / "log") as serve:
        server = serve(delay=0.05)
        process = subprocess.Popen(
            _command(tmp_path, server.word), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait(lambda: len(server.requests()) >= 12, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        journal = next((tmp_path / "store" / "answers").glob("*.jsonl"))
        known = {json.loads(line)["request"] for line in journal.read_text().splitlines() if line.endswith("}")}
        assert known
        monkeypatch.setenv("PHARMAKON_API_KEY", "second")  # tells the two runs apart in the server's log
        found = find_study(f"{tmp_path / 'study.py'}:probed")
        results = _build(found.function(server.word), Store(tmp_path / "store"))
        later = [request for request in server.requests() if request["headers"]["authorization"] == "Bearer second"]
        bodies = [{name: request["body"][name] for name in ("messages", "max_tokens")} for request in later]
        keys = [Request("chat", body).key for body in bodies]
        assert keys
        assert not known & set(keys)
        assert len(set(keys)) == len(keys)
        assert results.readings.select("condition", "item").is_unique().all()
        assert results.readings.filter(condition="triggered").height == 20


def test_the_key_stands_nowhere(tmp_path: Path) -> None:
    """Not in a file that a run writes, and not on the terminal, though the server repeats it and the client logs."""
    told = {"error": {"message": f"Bearer {SECRET} is over its limit"}}
    with servers(tmp_path / "log") as serve:
        server = serve(key=SECRET, faults=[{"status": 400, "body": told}])
        folder = tmp_path / "work"
        folder.mkdir()
        shown, codes = "", []
        for _ in range(2):
            run = subprocess.run(
                _command(folder, server.word),
                cwd=folder,
                env={**os.environ, "PHARMAKON_API_KEY": SECRET, "OPENAI_LOG": "debug"},
                capture_output=True,
                text=True,
                check=False,
            )
            shown += run.stdout + run.stderr
            codes.append(run.returncode)
    assert codes == [2, 0]
    assert "Traceback" not in shown
    assert "Bearer [key] is over its limit" in " ".join(shown.split())
    assert "openai._base_client" in shown  # the client's log was on
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "report.html" for path in files)
    assert SECRET not in shown
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
