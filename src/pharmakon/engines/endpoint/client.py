"""Requests to an OpenAI-compatible server: how many at once, tried how often, and in words what goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pharmakon.engines.endpoint.journal import Answer, Journal
from pharmakon.engines.endpoint.logprobs import NotGiven, completion_logprob
from pharmakon.engines.endpoint.secrets import VARIABLES, key, scrub, variable
from pharmakon.errors import RunError
from pharmakon.extras import need

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pharmakon.engines.endpoint.engine import EndpointEngine

T = TypeVar("T")
QUOTED = 300
"""So many characters of a server's own words are repeated."""
KEPT = "The answers that have arrived are kept; run again to go on"


@dataclass(frozen=True)
class Request:
    """What a server is asked; with the engine's identity it says all that the answer depends on."""

    kind: Literal["chat", "text", "logprob"]
    payload: dict[str, Any]
    key: str = field(init=False)

    def __post_init__(self) -> None:
        text = json.dumps([self.kind, self.payload], sort_keys=True)
        object.__setattr__(self, "key", hashlib.blake2b(text.encode(), digest_size=16).hexdigest())


class NoLogprobs(RunError):
    """The server gives no log-probabilities of a given text; `reason` says what is missing."""

    def __init__(self, sentence: str, reason: str = "") -> None:
        super().__init__(sentence)
        self.reason = reason


class NoAnswer(Exception):
    """All tokens were spent before an answer began."""


class _Malformed(Exception):
    """The server answered, but not as the API says."""


def ask(engine: EndpointEngine, requests: Sequence[Request], journal: Journal) -> list[Answer]:
    """The answer to each request; those in the journal are not asked again.

    Answers are written to the journal as they arrive. If a request fails for good, no new ones are sent, those under
    way are waited for, and a `RunError` says why.
    """
    pending = {request.key: request for request in requests if journal.get(request.key) is None}
    if pending:
        _run(_ask(engine, deque(pending.values()), journal))
    return [_found(journal, request) for request in requests]


def _found(journal: Journal, request: Request) -> Answer:
    answer = journal.get(request.key)
    assert answer is not None, "every request was answered, or an error was raised"
    return answer


def listed(engine: EndpointEngine) -> dict[str, Any] | None:
    """What the server says of the model, as far as it does not change with time; None if it lists no such model."""
    return _run(_listed(engine))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end, in a thread of its own where a notebook's event loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


@asynccontextmanager
async def _client(engine: EndpointEngine, retries: int) -> AsyncIterator[Any]:
    need("endpoint")
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=engine.url, api_key=key(), timeout=engine.timeout, max_retries=retries)
    client.organization = client.project = None  # of another account than this server's, if the environment has them
    async with client:
        yield client


async def _ask(engine: EndpointEngine, pending: deque[Request], journal: Journal) -> None:
    failures: list[Exception] = []

    async def work(client: Any) -> None:
        while pending and not failures:
            request = pending.popleft()
            try:
                if journal.get(request.key) is None:  # no other process was faster
                    answer = await _one(engine, client, request)
                    journal.keep(request.key, scrub(answer) if isinstance(answer, str) else answer)
            except Exception as failure:
                failures.append(failure)

    async with _client(engine, engine.retries) as client:
        await asyncio.gather(*(work(client) for _ in range(min(engine.concurrency, len(pending)))))
    if failures:
        raise failures[0] from None


async def _one(engine: EndpointEngine, client: Any, request: Request) -> Answer:
    fixed = {"model": engine.model, "temperature": engine.temperature, "seed": engine.seed}
    payload = request.payload
    try:
        if request.kind == "chat":
            return _content(await client.chat.completions.create(**fixed, **payload))
        if request.kind == "text":
            return _text(await client.completions.create(**fixed, **payload))
        # One token more is asked for, and left out again: many servers refuse to generate none.
        whole = payload["prompt"] + payload["completion"]
        given = await client.completions.create(**fixed, prompt=whole, max_tokens=1, echo=True, logprobs=1)
        return completion_logprob(_choice(given), payload["prompt"], payload["completion"])
    except NoAnswer:
        spent = f"{_place(engine)} spent all {payload.get('max_tokens')} tokens before an answer began"
        raise RunError(f"{spent}: it reasons first? Give the probes a larger max_tokens") from None
    except NotGiven as reason:
        raise NoLogprobs(
            f"a probe needs the log-probabilities of a given text, which {_place(engine)} does not give: {reason}. "
            "Leave that probe out, use a server that does (completions with echo and logprobs, as vLLM has), or "
            "--model with a local, hub or asset model",
            str(reason),
        ) from None
    except Exception as error:
        raise await _explained(engine, client, error, engine.retries) from None


def _choice(given: Any) -> Any:
    try:
        return given.choices[0]
    except (AttributeError, IndexError, TypeError, KeyError):
        said = getattr(given, "error", None) or given
        raise _Malformed(f"there are no choices in {_words(said)!r}") from None


def _content(given: Any) -> str:
    choice = _choice(given)
    message = getattr(choice, "message", None)
    if message is None:
        raise _Malformed("a choice has no message")
    content = getattr(message, "content", None) or ""
    if not content and getattr(choice, "finish_reason", None) == "length":
        raise NoAnswer
    return _is_text(content)


def _text(given: Any) -> str:
    return _is_text(getattr(_choice(given), "text", None))


def _is_text(content: object) -> str:
    if not isinstance(content, str):
        raise _Malformed(f"an answer is text; got {type(content).__name__}")
    return content.encode("utf-8", "replace").decode()  # half of a surrogate pair could not be written to a table


async def _listed(engine: EndpointEngine) -> dict[str, Any] | None:
    retries = min(1, engine.retries)  # a server that is not there is told of at once
    async with _client(engine, retries) as client:
        try:
            models = await _models(client)
        except Exception as error:
            if _status(error) in (404, 405, 501) or not hasattr(error, "request"):
                return None  # some servers list nothing
            raise await _explained(engine, client, error, retries) from None
    found = next((model for model in models if model.get("id") == engine.model), None)
    plain = {name: value for name, value in (found or {}).items() if isinstance(value, str | int | float | None)}
    return {k: scrub(v) if isinstance(v, str) else v for k, v in plain.items() if k != "created"} if found else None


async def _models(client: Any) -> list[dict[str, Any]]:
    page = await client.models.list()
    return [model.model_dump(exclude_unset=True) for model in page.data]


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _place(engine: EndpointEngine) -> str:
    return f"the server at {engine.url}"


def _words(said: object) -> str:
    """A server's own words, one line of them, without the key."""
    text = scrub(" ".join(str(said).split()), shortest=1)
    return text if len(text) <= QUOTED else f"{text[:QUOTED]} …"


def _told(error: Any) -> str:
    """What the server says in an error's body, as one of several kinds of server writes it."""
    body = getattr(error, "body", None)
    while isinstance(body, dict):
        body = next((body[name] for name in ("message", "detail", "error") if body.get(name)), json.dumps(body))
    return _words(body or "no reason given").rstrip(".")


async def _explained(engine: EndpointEngine, client: Any, error: Exception, retries: int) -> RunError:
    """The sentence for what went wrong. It quotes no request and no header."""
    import openai

    place, tries = _place(engine), f"after {retries + 1} tries" if retries else "at the only try"
    if isinstance(error, openai.APITimeoutError):
        way_out = "Look at its load, or give a longer timeout or a lower concurrency"
        return RunError(f"{place} gave no answer within {engine.timeout:g} s, {tries}. {way_out}. {KEPT}")
    if isinstance(error, openai.APIConnectionError):
        cause = _words(error.__cause__ or "connection error").rstrip(".")
        return RunError(f"{place} cannot be reached, {tries}: {cause}. Is it running, and is the URL right? {KEPT}")
    if isinstance(error, UnicodeEncodeError):
        return RunError("a prompt has half of a surrogate pair, which UTF-8 cannot carry; clean the questions")
    status = _status(error)
    if isinstance(error, openai.APIResponseValidationError | _Malformed | ValueError | TypeError | AttributeError):
        reason = _words(error) if isinstance(error, _Malformed) else f"it is no JSON of that kind ({_words(error)})"
        way_out = "Is the URL the root of the API? It mostly ends in /v1"
        return RunError(f"{place} does not answer as the OpenAI API does: {reason.rstrip('.')}. {way_out}. {KEPT}")
    if status in (401, 403):
        name = variable()
        had = f"the key in {name} is not accepted" if name else "no key is set"
        way_out = f"Set {VARIABLES[0]}" if name != VARIABLES[0] else f"Give {VARIABLES[0]} another value"
        return RunError(f"{place} refuses access (status {status}): {had}. {way_out}. {KEPT}")
    if status == 404:
        return RunError(await _not_found(engine, client, error))
    if status == 429:
        way_out = "Give a lower concurrency, or wait"
        return RunError(f"{place} asks for fewer requests (status 429), {tries}: {_told(error)}. {way_out}. {KEPT}")
    if status is not None and status >= 500:
        return RunError(f"{place} fails (status {status}), {tries}: {_told(error)}. Look at its log. {KEPT}")
    if status is not None:
        others = await _other_names(engine, client)
        way_out = f"The models that it lists are {others}" if others else "Look at the server's limits"
        return RunError(f"{place} does not take a request (status {status}): {_told(error)}. {way_out}. {KEPT}")
    return RunError(f"{place} could not be asked ({type(error).__name__}: {_words(error).rstrip('.')}). {KEPT}")


async def _not_found(engine: EndpointEngine, client: Any, error: Exception) -> str:
    place = _place(engine)
    if others := await _other_names(engine, client):
        return f"{place} has no model {engine.model!r} (status 404); it has {others}"
    way_out = "The URL is the root of the API, which mostly ends in /v1; texts need /completions, dialogues chat"
    return f"{place} does not have what was asked for (status 404): {_told(error)}. {way_out}"


async def _other_names(engine: EndpointEngine, client: Any) -> str:
    """The models that the server lists, if the one that is asked is not among them."""
    names: list[str] = []
    with suppress(Exception):
        names = [_words(model.get("id")) for model in await _models(client)]
    return "" if engine.model in names else ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
