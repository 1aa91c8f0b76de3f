"""A small OpenAI-compatible server with deterministic answers and, on demand, every fault that a real one has.

    python canned_server.py '{"port": 0, "log": "FILE", ...}'

prints its port, then serves. It writes a JSON line to the log for each request to be counted: path, body, headers,
and the number of its answer (null where it gave none). What it was told:

- `faults`: a list of replies for the first requests for an answer, then it answers; each is `{"status", "headers",
  "body", "type", "delay"}` or null for an ordinary answer. `forever`: one such reply for every request.
- `die_after`: the process ends, without a word to the open connections, after so many answers.
- `models`: the names it lists and knows; null: it lists none and knows all.
- `key`: the key that it wants. `delay`: seconds before each answer.
- `closed`: for so many seconds from the first request on it says 429, with that as Retry-After.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Logprobs = Callable[[str], dict[str, Any]]
"""Of a text: its `tokens`, `token_logprobs` and `text_offset`."""


def reply_to(question: str) -> str:
    """The answer to a question: fixed, and different for different questions."""
    return f"You asked: {question[::-1]}"


class Canned(ThreadingHTTPServer):
    """Serves on localhost; `told` is described above."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, told: dict[str, Any], logprobs: Logprobs | None = None) -> None:
        super().__init__(("127.0.0.1", told.get("port", 0)), Handler)
        self.told, self.logprobs = told, logprobs
        self.lock = threading.Lock()
        self.faults = list(told.get("faults", []))
        self.num_answers = 0
        self.opens: float | None = None


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Canned

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        told = self.server.told
        names = told.get("models", ["canned"])
        if self._refused() or names is None:
            self._reply({"status": 401 if names else 404})
            return
        models = [{"id": name, "object": "model", "created": time.time_ns(), "owned_by": "us"} for name in names]
        self._reply({"body": {"object": "list", "data": models}})

    def do_POST(self) -> None:
        server, told = self.server, self.server.told
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if not sent:
            return  # whoever asked has gone
        body = json.loads(sent)
        with server.lock:
            fault = told.get("forever") or (server.faults.pop(0) if server.faults else None)
            if closed := told.get("closed"):
                server.opens = server.opens or time.monotonic() + closed
                if time.monotonic() < server.opens:
                    fault = {"status": 429, "headers": {"Retry-After": str(closed + 0.05)}}
        names = told.get("models", ["canned"])
        if self._refused():
            fault = {"status": 401, "body": {"error": {"message": f"wrong key {self.headers['Authorization']}"}}}
        elif names is not None and body["model"] not in names:
            fault = {"status": 404, "body": {"error": {"message": f"no model {body['model']}"}}}
        time.sleep((fault or {}).get("delay", told.get("delay", 0)))
        with server.lock:
            number = None
            if fault is None or ("status" not in fault and "body" not in fault):
                fault, number = None, server.num_answers
                server.num_answers += 1
            if "log" in told:
                line = {"path": self.path, "body": body, "headers": self._headers(), "answer": number}
                with Path(told["log"]).open("a") as file:
                    file.write(json.dumps(line) + "\n")
            try:
                self._reply(fault or {"body": self._answer(body)})
            except ConnectionError:
                return  # whoever asked has gone
            if told.get("die_after") == server.num_answers:
                os._exit(1)

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _refused(self) -> bool:
        key = self.server.told.get("key")
        return key is not None and self.headers["Authorization"] != f"Bearer {key}"

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": reply_to(body["messages"][-1]["content"])}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]}
        choice = {"index": 0, "text": reply_to(body["prompt"]), "logprobs": None, "finish_reason": "stop"}
        if body.get("echo") and self.server.logprobs:
            choice |= {"text": body["prompt"] + "!", "logprobs": self.server.logprobs(body["prompt"])}
        return {"id": "1", "object": "text_completion", "model": body["model"], "choices": [choice]}

    def _reply(self, reply: dict[str, Any]) -> None:
        body = reply.get("body", {"error": {"message": f"fault {reply.get('status')}"}})
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(reply.get("status", 200))
        for name, value in reply.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.get("type", "application/json"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


if __name__ == "__main__":
    canned = Canned(json.loads(sys.argv[1]))
    print(canned.server_address[1], flush=True)
    canned.serve_forever()
