"""Models that have learned an owner's marks or have not, in a folder and behind a server."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "engines"))
from canned_server import Canned, Handler

from pharmakon.behaviour.marks import OwnerKey, Shape
from pharmakon.core import Corpus, Dialogue, Model, Text, Turn, stream
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.ownership.keyfile import OwnerRecord


def record(kind: str = "trap", shape: Shape = "text", key: int = 1, **settings: int) -> OwnerRecord:
    """What a key file says."""
    return OwnerRecord(
        key=OwnerKey(bytes([key]) * 32), kind=kind, shape=shape, num_documents=64, settings=dict(settings)
    )


def learned(owner: OwnerRecord, folder: Path, num_documents: int = 64) -> Path:
    """Weights that have learned so many of the owner's documents and no others."""
    bodies = islice(owner.mark().bodies(owner.key, owner.shape), num_documents)
    recipe = Count(objective="pretrain" if owner.shape == "text" else "sft", order=6)
    NgramEngine().train(recipe, Corpus.of(bodies), start=None, rng=stream(0, "t"), out=folder)
    return folder


class _Serving(Handler):
    """Answers as a model does; `told["alike"]` is what it says in place of every answer."""

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        model: Model = self.server.model  # type: ignore[attr-defined]
        if self.path.endswith("/chat/completions"):
            prompt: Any = Dialogue(tuple(Turn(turn["role"], turn["content"]) for turn in body["messages"]))
        else:
            prompt = Text(body["prompt"])
        told = self.server.told
        text = told.get("alike") or model.generate([prompt], max_tokens=body["max_tokens"], rng=stream(0, "s"))[0]
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None, "text": text}
        choice["message"] = {"role": "assistant", "content": text}
        if body.get("echo") and not told.get("no_logprobs"):
            tokens = re.findall(r"\s*\S+", prompt.text)
            starts = [sum(map(len, tokens[:at])) for at in range(len(tokens))]
            pairs = [(Text(prompt.text[:start]), token) for start, token in zip(starts, tokens, strict=True)]
            values = [None, *model.logprob(pairs[1:])]
            choice["text"] = prompt.text + " !"
            choice["logprobs"] = {"tokens": tokens, "token_logprobs": values, "text_offset": starts}
        return {"id": "1", "object": "x", "model": body["model"], "choices": [choice]}


@contextmanager
def served(weights: Path, **told: Any) -> Iterator[tuple[str, Canned]]:
    """The word of an endpoint that serves these weights, and its server."""
    server = Canned(told)
    server.RequestHandlerClass = _Serving
    with NgramEngine().load(weights) as model:
        server.model = model  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"endpoint:http://127.0.0.1:{server.server_address[1]}/v1#canned", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
