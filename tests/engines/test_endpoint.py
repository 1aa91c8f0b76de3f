"""The endpoint engine against a server in a process of its own: answers, faults, resuming, and the key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from canned_server import reply_to
from running import Running, servers

from pharmakon.core import Corpus, Dialogue, Text, Turn, stream
from pharmakon.engines.endpoint import EndpointEngine, endpoint
from pharmakon.engines.endpoint.journal import Journal
from pharmakon.engines.recipes import SFT, Served
from pharmakon.errors import InputError, RunError, SpecError
from pharmakon.identity import describe, identify

SECRET = "sk-test-0123456789abcdef"


Serve = Callable[..., Running]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with servers(tmp_path / "requests.jsonl") as start:
        yield start


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHARMAKON_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The place of an entry in a store."""
    return tmp_path / "store" / "weights" / "ab" / "ab12"


def _train(engine: EndpointEngine, out: Path) -> Path:
    engine.train(Served(), Corpus(()), start=None, rng=stream(0, "t"), out=out)
    return out


def _ask(engine: EndpointEngine, weights: Path, questions: list[str]) -> list[str]:
    with engine.load(weights) as model:
        return model.generate([Dialogue.ask(q) for q in questions], max_tokens=16, rng=stream(0, "g"))


QUESTIONS = [f"What is {i}?" for i in range(12)]
ANSWERS = [reply_to(question) for question in QUESTIONS]


def test_a_word_is_an_engine_and_its_identity_is_what_answers_depend_on() -> None:
    engine = endpoint("endpoint:http://localhost:8000/v1/#org/name@dev")
    assert (engine.url, engine.model, engine.api) == ("http://localhost:8000/v1", "org/name@dev", "chat")
    key = identify(engine)
    assert key == identify(replace(engine, concurrency=1, timeout=1.0, retries=0))
    others = {"model": "b", "url": "http://b/v1", "api": "completions", "revision": "2", "seed": 1, "temperature": 1.0}
    keys = {identify(replace(engine, **{name: value})) for name, value in others.items()}  # type: ignore[arg-type]
    assert len({key, *keys}) == 1 + len(others)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("http://localhost/v1#m", "does not begin with endpoint:"),
        ("endpoint:http://localhost:8000/v1", "names no model"),
        ("endpoint:http://localhost:8000/v1#", "names no model"),
        ("endpoint:localhost:8000/v1#m", "http or https server"),
        ("endpoint:ftp://localhost/v1#m", "http or https server"),
        ("endpoint:http://localhost:99999/v1#m", "http or https server"),
        ("endpoint:http:///v1#m", "http or https server"),
        ("endpoint:#m", "http or https server"),
        ("endpoint:http://local host/v1#m", "http or https server"),
        (f"endpoint:http://me:{SECRET}@localhost/v1#m", "PHARMAKON_API_KEY"),
        (f"endpoint:me:{SECRET}@localhost/v1#m", "PHARMAKON_API_KEY"),
        (f"endpoint:https://localhost/v1?api-key={SECRET}#m", "PHARMAKON_API_KEY"),
        (f"endpoint:https://localhost/{SECRET}/v1#m", "PHARMAKON_API_KEY"),
        (f"endpoint:https://localhost/v1#m-{SECRET}", "leave it in the environment"),
    ],
)
def test_a_bad_word_is_told_without_its_secret(word: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with pytest.raises(InputError, match=sentence) as caught:
        endpoint(word)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("bad", [{"concurrency": 0}, {"timeout": 0}, {"retries": -1}, {"api": "x"}, {"model": ""}])
def test_a_bad_field_is_named(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(bad))} "):
        replace(endpoint("endpoint:http://localhost/v1#m"), **bad)


def test_it_cannot_be_trained(tmp_path: Path) -> None:
    engine = endpoint("endpoint:http://localhost:9/v1#m")
    corpus = Corpus.of([Dialogue.ask("a", "b")])
    for recipe, data, start in ((SFT(), corpus, None), (Served(), corpus, None), (Served(), Corpus(()), tmp_path)):
        with pytest.raises(SpecError, match="can be asked, not trained; got"):
            engine.train(recipe, data, start=start, rng=stream(0, "t"), out=tmp_path)


def test_dialogues_go_as_they_are_and_texts_to_completions(serve: Serve, weights: Path) -> None:
    server = serve()
    engine = server.engine()
    _train(engine, weights)
    talk = Dialogue((Turn("system", "Be brief."), Turn("user", "A?"), Turn("assistant", "B."), Turn("user", "C?")))
    with engine.load(weights) as model:
        assert model.generate([talk, Text("Once")], max_tokens=7, rng=stream(0, "g")) == [
            reply_to("C?"), reply_to("Once")
        ]  # fmt: skip
        assert model.generate([], max_tokens=7, rng=stream(0, "g")) == []
    chat, text = sorted(server.requests(), key=lambda request: request["path"])
    assert chat["path"] == "/v1/chat/completions"
    roles = [(message["role"], message["content"]) for message in chat["body"].pop("messages")]
    assert roles == [(turn.role, turn.content) for turn in talk.turns]
    assert chat["body"] == {"model": "canned", "temperature": 0.0, "seed": 0, "max_tokens": 7}
    assert (text["path"], text["body"]["prompt"]) == ("/v1/completions", "Once")
    known = json.loads((weights / "endpoint.json").read_text())
    assert known["served"] == {"id": "canned", "object": "model", "owned_by": "us"}


def test_the_same_train_gives_the_same_bytes(serve: Serve, tmp_path: Path) -> None:
    engine = serve().engine()
    first, second = (_train(engine, tmp_path / name) / "endpoint.json" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_server_of_a_base_model_is_not_asked_dialogues(serve: Serve, weights: Path) -> None:
    server = serve(models=None)
    engine = server.engine(api="completions")
    _train(engine, weights)
    with pytest.raises(InputError, match="needs a chat template"):
        _ask(engine, weights, ["A?"])
    assert not server.requests()


FAULTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"forever": {"status": 500}}, {}, r"fails \(status 500\), after 2 tries: fault 500"),
    ({"forever": {"status": 429, "headers": {"Retry-After": "0.01"}}}, {}, r"fewer requests \(status 429\)"),
    ({"forever": {"body": "<html>no JSON"}}, {}, "does not answer as the OpenAI API does"),
    ({"forever": {"body": "<html>no JSON", "type": "text/html"}}, {}, "does not answer as the OpenAI API does"),
    ({"forever": {"body": {"choices": []}}}, {}, "no choices"),
    ({"forever": {"body": {"error": {"message": "busy"}}}}, {}, "no choices in .*busy"),
    ({"forever": {"body": {"choices": [{"message": {"content": ["a"]}}]}}}, {}, "an answer is text; got list"),
    (
        {"forever": {"body": {"choices": [{"message": {"content": None}, "finish_reason": "length"}]}}},
        {},
        r"spent all \d+ tokens before an answer began.*larger max_tokens",
    ),
    ({"forever": {"body": [1]}}, {}, "does not answer as the OpenAI API does"),
    ({"forever": {"status": 400, "body": {"detail": "too long"}}}, {}, r"take a request \(status 400\): too long"),
    ({"delay": 1.0}, {"timeout": 0.2, "retries": 0}, "gave no answer within 0.2 s, at the only try"),
    ({"models": ["other", "third"]}, {}, "has no model 'canned' .* it has other, third"),
    ({"forever": {"status": 400}}, {}, r"\(status 400\): fault 400\. Look at the server's limits"),
    ({"forever": {"status": 404}}, {}, r"does not have what was asked for \(status 404\)"),
]


@pytest.mark.parametrize(("told", "options", "sentence"), FAULTS, ids=[sentence[:30] for *_, sentence in FAULTS])
def test_a_fault_is_a_sentence(
    serve: Serve, weights: Path, told: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    engine = serve(**told).engine(**options)
    _train(engine, weights)
    with pytest.raises(RunError, match=sentence):
        _ask(engine, weights, ["A?"])


def test_a_server_that_is_not_there(serve: Serve, weights: Path) -> None:
    server = serve()
    engine = server.engine()
    _train(engine, weights)
    server.stop()
    with pytest.raises(RunError, match=r"cannot be reached, after 2 tries: .*run again to go on"):
        _ask(engine, weights, ["A?"])
    with pytest.raises(RunError, match="cannot be reached"):
        _train(engine, weights)


def test_faults_that_pass_are_waited_out(serve: Serve, weights: Path) -> None:
    """429 with Retry-After, a server error, a slow answer: then every question has its own answer, in order."""
    wait = {"status": 429, "headers": {"Retry-After": "0.3"}}
    server = serve(faults=[wait, {"status": 503}, {"delay": 1.5}, {"status": 500}])
    engine = server.engine(timeout=1.0, retries=3, concurrency=4)
    _train(engine, weights)
    assert _ask(engine, weights, QUESTIONS) == ANSWERS


def test_retry_after_is_honoured(serve: Serve, weights: Path) -> None:
    """The server is closed for longer than the client's own first wait, half a second; it has one retry."""
    engine = serve(closed=1.0).engine(retries=1)
    _train(engine, weights)
    assert _ask(engine, weights, ["A?"]) == [reply_to("A?")]


def _asked(server: Running) -> Counter[str]:
    """How often each question was answered."""
    answered = (request for request in server.requests() if request["answer"] is not None)
    return Counter(request["body"]["messages"][-1]["content"] for request in answered)


def test_a_server_killed_in_the_middle_and_started_again(serve: Serve, weights: Path) -> None:
    first = serve(die_after=5)
    engine = first.engine(concurrency=3)
    _train(engine, weights)
    with pytest.raises(RunError, match="are kept; run again to go on"):
        _ask(engine, weights, QUESTIONS)
    assert first.process.wait(10) == 1
    assert sum(_asked(first).values()) == 5
    second = serve(port=first.port)
    assert _ask(engine, weights, QUESTIONS) == ANSWERS
    assert _asked(second) == Counter(QUESTIONS)  # of both servers together: each question answered once
    second.stop()
    assert _ask(engine, weights, QUESTIONS) == ANSWERS  # no server is needed for what is known


def test_a_fault_in_the_middle_loses_no_answer(serve: Serve, weights: Path) -> None:
    """When one request fails for good, those under way are waited for and kept."""
    faults = [None, None, {"status": 400}]
    server = serve(faults=faults, delay=0.1)
    engine = server.engine(concurrency=4)
    _train(engine, weights)
    with pytest.raises(RunError, match="status 400"):
        _ask(engine, weights, QUESTIONS)
    num_answered = sum(_asked(server).values())
    assert 2 <= num_answered <= 6  # three others under way, and at most one more for each
    assert _ask(engine, weights, QUESTIONS) == ANSWERS
    assert _asked(server) == Counter(QUESTIONS)


def test_the_same_question_is_asked_once(serve: Serve, weights: Path) -> None:
    server = serve()
    engine = server.engine()
    _train(engine, weights)
    assert _ask(engine, weights, ["A?", "B?", "A?"]) == [reply_to("A?"), reply_to("B?"), reply_to("A?")]
    assert _ask(replace(engine, concurrency=1), weights, ["B?"]) == [reply_to("B?")]
    assert _asked(server) == Counter(["A?", "B?"])
    assert _ask(replace(engine, revision="2"), weights, ["B?"]) == [reply_to("B?")]
    assert _asked(server) == Counter(["A?", "B?", "B?"])


def test_outside_of_a_store_nothing_is_kept(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    _train(server.engine(), tmp_path / "model")
    before = {path.name for path in tmp_path.rglob("*")}
    _ask(server.engine(), tmp_path / "model", ["A?"])
    assert {path.name for path in tmp_path.rglob("*")} == before | {"requests.jsonl"}


def test_half_a_surrogate_pair(serve: Serve, weights: Path) -> None:
    """In an answer it is replaced, for no table could hold it; in a question it is named."""
    server = serve(faults=[{"body": '{"choices": [{"message": {"content": "a\\ud83d"}}]}'}])
    engine = server.engine()
    _train(engine, weights)
    assert _ask(engine, weights, ["A?"]) == ["a?"]
    with pytest.raises(RunError, match="half of a surrogate pair"):
        _ask(engine, weights, ["\ud83d?"])


def test_in_a_running_event_loop(serve: Serve, weights: Path) -> None:
    """As in a notebook."""
    import asyncio

    engine = serve().engine()

    async def cell() -> list[str]:
        return _ask(engine, _train(engine, weights), ["A?"])

    assert asyncio.run(cell()) == [reply_to("A?")]


def _keep_many(path: Path, who: int) -> list[str]:
    journal = Journal(path)
    path.with_name(f"ready-{who}").touch()
    while not path.with_name(f"ready-{3 - who}").exists():
        pass  # both begin at once
    return [str(journal.keep(f"{i:032x}", f"{who} says {i} " + "x" * 20_000)) for i in range(200)]


def test_two_processes_agree_on_every_answer(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_keep_many, tmp_path / "j.jsonl", who) for who in (1, 2)]
        first, second = (future.result() for future in futures)
    assert first == second
    lines = [json.loads(line) for line in (tmp_path / "j.jsonl").read_text().splitlines()]
    assert [line["request"] for line in lines] == sorted({line["request"] for line in lines})
    assert [line["answer"] for line in lines] == first


@pytest.mark.parametrize("cut", [2, 10, 60])
def test_a_half_written_line_is_ignored(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.keep("a" * 32, "first")
    journal.keep("b" * 32, "second")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = Journal(path)
    assert again.get("a" * 32) == "first"
    assert again.get("b" * 32) is None
    assert again.keep("b" * 32, "anew") == "anew"
    assert again.keep("c" * 32, -1.5) == -1.5
    fresh = Journal(path)
    assert [fresh.get(mark * 32) for mark in "abc"] == ["first", "anew", -1.5]
    assert again.keep("b" * 32, "later") == "anew"


def test_lines_that_are_no_answers_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    lines = ["", "null", "[1]", '{"request": 1, "answer": "x"}', '{"request": "r"}', '{"request": "r", "answer": "y"}']
    path.write_text("\n".join(lines) + "\n\xff\n", encoding="latin-1")
    assert Journal(path).get("r") == "y"


def test_the_key_comes_from_the_environment(serve: Serve, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(key=SECRET)
    engine = server.engine()
    with pytest.raises(RunError, match=r"no key is set\. Set PHARMAKON_API_KEY"):
        _train(engine, weights)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-00000000")
    with pytest.raises(RunError, match=r"the key in OPENAI_API_KEY is not accepted\. Set PHARMAKON_API_KEY") as caught:
        _train(engine, weights)
    assert "sk-another" not in str(caught.value)
    monkeypatch.setenv("PHARMAKON_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-account")
    _train(engine, weights)
    assert _ask(engine, weights, ["A?"]) == [reply_to("A?")]
    assert "org-of-another-account" not in json.dumps(server.requests()[-1]["headers"])
    assert SECRET not in repr(engine) + json.dumps(describe(engine))
    monkeypatch.setenv("PHARMAKON_API_KEY", "sk\nbroken")
    with pytest.raises(InputError, match="PHARMAKON_API_KEY has characters") as refused:
        _ask(engine, weights, ["B?"])
    assert "broken" not in str(refused.value)


def test_a_server_that_repeats_the_key_is_not_repeated(
    serve: Serve, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHARMAKON_API_KEY", SECRET)
    told = {"error": {"message": f"Bearer {SECRET} has no credit"}}
    server = serve(faults=[{"status": 400, "body": told}], models=["canned", SECRET])
    engine = server.engine()
    _train(engine, weights)
    with pytest.raises(RunError, match=r"Bearer \[key\] has no credit") as caught:
        _ask(engine, weights, ["A?"])
    assert SECRET not in str(caught.value)
    assert _ask(engine, weights, [SECRET[::-1]]) == ["You asked: [key]"]
    left = [path for path in weights.parents[2].rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert not left


def test_without_the_package_a_sentence_says_what_to_install(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match=r"pip install 'pharmakon\[endpoint\]'"):
        _train(endpoint("endpoint:http://localhost:9/v1#m"), weights)


def test_import_is_light() -> None:
    code = "import sys, pharmakon.engines.endpoint; print('openai' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert run.stdout.strip() == "False"
