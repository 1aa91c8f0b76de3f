"""The engine of a model that somebody serves: what it is known by, and the model that it gives."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import numpy as np

from pharmakon.core import Corpus, Model, Prompt, Recipe, Text, Trace, to_record
from pharmakon.engines.endpoint.client import Request, ask, listed
from pharmakon.engines.endpoint.journal import Journal, place
from pharmakon.engines.endpoint.secrets import stands_in
from pharmakon.engines.recipes import Served
from pharmakon.errors import InputError, SpecError
from pharmakon.identity import identify

WORD = "endpoint:http://localhost:8000/v1#NAME"
FILE = "endpoint.json"


@dataclass(frozen=True, slots=True)
class EndpointEngine:
    """Asks a model behind an OpenAI-compatible server. It cannot be trained, so its only recipe is `Served`.

    A server may be non-deterministic even at temperature 0 (batching, other hardware, an update). So the first answer
    to a request is kept in the store and counts from then on, whatever the seed of the study; another `revision` asks
    again. The key comes from the environment, PHARMAKON_API_KEY or else OPENAI_API_KEY, and is no part of any value.
    """

    version: ClassVar[int] = 1
    extra: ClassVar[str] = "endpoint"
    """What has to be installed: a run looks before it begins."""

    url: str
    """The root of the API, mostly one that ends in /v1."""
    model: str
    """As the server calls it."""
    api: Literal["chat", "completions"] = "chat"
    """`chat`: dialogues go to chat completions, where the server applies its own template, texts to completions.
    `completions`: the server only goes on with texts; dialogues are refused."""
    temperature: float = 0.0
    seed: int = 0
    """Sent with every request; the server may ignore it."""
    revision: str | None = None
    """What you know of the model behind the name: a date, a commit. It is not sent."""
    concurrency: int = field(default=8, metadata={"identity": False})
    """At most so many requests at once."""
    timeout: float = field(default=120.0, metadata={"identity": False})
    """Seconds for one request."""
    retries: int = field(default=5, metadata={"identity": False})
    """After a broken connection, a timeout, or the status 408, 409, 429 or 5xx; waiting longer each time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked(self.url))
        if not self.model or not self.model.isprintable():
            raise InputError(f"an endpoint's model has a name, as in {WORD}; got {self.model!r}")
        if stands_in(self.url) or stands_in(self.model):
            raise InputError("an API key stands in the URL or the model's name; leave it in the environment alone")
        for name, right, rule in (
            ("api", self.api in ("chat", "completions"), "is chat or completions"),
            ("temperature", math.isfinite(self.temperature) and self.temperature >= 0, "is 0 or more"),
            ("concurrency", self.concurrency >= 1, "is 1 or more"),
            ("timeout", self.timeout > 0, "is more than 0 seconds"),
            ("retries", self.retries >= 0, "is 0 or more"),
        ):
            if not right:
                raise InputError(f"the {name} of an endpoint {rule}; got {getattr(self, name)!r}")

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        """Ask the server what it knows of the model and write that down. Nothing is trained, nothing drawn."""
        if not isinstance(recipe, Served) or start is not None or len(corpus):
            what = f"{type(recipe).__name__} on {len(corpus)} documents" if len(corpus) else type(recipe).__name__
            raise SpecError(
                f"an endpoint can be asked, not trained; got {what}{' after another stage' if start else ''}. "
                "Use --model with a local, hub or asset model to train"
            )
        known: dict[str, Any] = {"url": self.url, "model": self.model, "served": listed(self)}
        out.mkdir(parents=True, exist_ok=True)
        (out / FILE).write_text(json.dumps(known, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")
        return Trace(positions=(), steps=())

    def seconds(self, recipe: Recipe, num_documents: int) -> float:
        """About how long `train` takes: a request; for planning only."""
        return 1.0

    @contextmanager
    def load(self, weights: Path) -> Iterator[Model]:
        """The model of a folder that `train` wrote. Its answers are kept in the store that holds the folder."""
        try:
            known = json.loads((weights / FILE).read_bytes())
        except FileNotFoundError:
            raise InputError(f"weights of an endpoint are a folder with {FILE}; {weights} has none") from None
        if (known.get("url"), known.get("model")) != (self.url, self.model):
            raise InputError(f"{weights / FILE} is of another endpoint than {self.url}#{self.model}; train it again")
        yield EndpointModel(self, Journal(place(weights, identify(self))))


@dataclass(frozen=True)
class EndpointModel:
    """A served model. The same request is asked once."""

    engine: EndpointEngine
    journal: Journal

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """The server's answers, without white space around them; draws nothing."""
        requests = []
        for prompt in prompts:
            if isinstance(prompt, Text):
                requests.append(Request("text", {"prompt": prompt.text, "max_tokens": max_tokens}))
                continue
            if self.engine.api == "completions":
                raise InputError(
                    f"a dialogue needs a chat template, which {self.engine.url} was said not to have "
                    '(api="completions"); ask it with Text prompts, or use api="chat"'
                )
            requests.append(Request("chat", {**to_record(prompt), "max_tokens": max_tokens}))
        return [str(answer).strip() for answer in ask(self.engine, requests, self.journal)]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """The natural-log probability of each completion of a text, from a server that echoes its prompt."""
        requests = []
        for prompt, completion in pairs:
            if not isinstance(prompt, Text):
                raise InputError(
                    "a probe asked for the log-probability of an answer in a dialogue, which no API of an endpoint "
                    "gives under the server's own chat template; leave that probe out, let it ask about Text, or use "
                    "--model with a local, hub or asset model"
                )
            requests.append(Request("logprob", {"prompt": prompt.text, "completion": completion}))
        return [float(answer) for answer in ask(self.engine, requests, self.journal)]


def endpoint(word: str) -> EndpointEngine:
    """The engine of a word like `endpoint:http://localhost:8000/v1#NAME`."""
    rule = f"an endpoint is written {WORD}"
    if not word.startswith("endpoint:"):
        raise InputError(f"{rule}; the word given does not begin with endpoint:")
    url, mark, model = word.removeprefix("endpoint:").partition("#")
    url = _checked(url)
    if not mark or not model.strip():
        raise InputError(f"{rule}; {url} names no model. `curl {url}/models` lists what a server has")
    return EndpointEngine(url=url, model=model.strip())


def _checked(url: str) -> str:
    """The URL without a slash at its end. What may be a secret is refused first, and never repeated."""
    if "@" in url or "?" in url or stands_in(url):
        raise InputError(
            "an endpoint's URL has no user, password or ?query in it, for it stands in every record (so it is not "
            "repeated here); put the key into the environment variable PHARMAKON_API_KEY"
        )
    rule = f"an endpoint's URL is that of an http or https server, as in {WORD}"
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        right = False
    if not right or "#" in url or not url.isascii() or re.search(r"\s", url) or not url.isprintable():
        raise InputError(f"{rule}; got {url!r}")
    return url.rstrip("/")
