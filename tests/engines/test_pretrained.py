"""Names of models: what each means, the digest it gets, and a sentence where it means nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pharmakon.data.assets import find
from pharmakon.engines.pretrained import folder_of, pretrained
from pharmakon.errors import InputError
from pharmakon.identity import identify

COMMIT, OLD = "a" * 40, "b" * 40
WEIGHTS = bytes(range(256)) * 1000
MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
}


def model_folder(folder: Path, files: Mapping[str, bytes] = MODEL) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def refusal(model: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        pretrained(model, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_asset_is_known_by_its_content() -> None:
    """Nothing is fetched for it, and torch is not imported."""
    recipe = pretrained("smollm2")
    assert recipe.model == "smollm2"
    assert recipe.objective == "pretrain"
    assert len(recipe.digest) == 64
    assert find("smollm2").content_sha256 != recipe.digest  # the conversion counts too
    other = pretrained("smollm2", template="{{ messages }}", allow_template_mismatch=True, precision="float32")
    assert other.digest == recipe.digest
    assert identify(other) != identify(recipe)
    code = "import sys; from pharmakon.engines.pretrained import pretrained; pretrained('smollm2'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "huggingface_hub"} & set(loaded)


def test_another_smollm2_is_not_taken() -> None:
    with pytest.raises(InputError, match=r"with the digest 000000000000\.\.\.; what is there now has"):
        folder_of(replace(pretrained("smollm2"), digest="0" * 64))


def test_names_that_mean_nothing(tmp_path: Path) -> None:
    assert refusal("smolm2").endswith("got 'smolm2'. Did you mean smollm2?")
    assert refusal("HuggingFaceTB/SmolLM2-360M").endswith("Did you mean hf:HuggingFaceTB/SmolLM2-360M?")
    assert "minilm is an asset of the kind encoder" in refusal("minilm")
    assert "a folder that is there; got ''" in refusal("")
    for name in ("hf:", "hf:a/b/c", "hf:a b/c", "hf:../b", "hf:a/b@", "hf:a/b@../../c"):
        assert "named hf:ORG/NAME, or hf:ORG/NAME@REVISION" in refusal(name)
    assert "a template is the text of a Jinja chat template; got 'my.jinja'" in refusal("smollm2", template="my.jinja")
    assert "a precision is one of float32, mixed, bfloat16; got 'int8'" in refusal("smollm2", precision="int8")


def test_a_folder_is_known_by_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "one")
    recipe = pretrained(str(folder))
    assert folder_of(recipe) == folder
    monkeypatch.chdir(tmp_path)
    assert pretrained("one") == recipe
    moved = pretrained(str(model_folder(tmp_path / "two", {**MODEL, "README.md": b"x", "trainer_state.json": b"1"})))
    assert moved.digest == recipe.digest
    assert identify(moved) == identify(recipe)
    for name, data in MODEL.items():
        (folder / name).write_bytes(data + b" ")
        assert pretrained("one").digest != recipe.digest
        with pytest.raises(InputError, match=f"the recipe names the model {folder} with the digest"):
            folder_of(recipe)
        (folder / name).write_bytes(data)
        assert folder_of(recipe) == folder
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    assert pretrained("one").digest != recipe.digest


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    without = {name: data for name, data in MODEL.items() if name != "model.safetensors"}
    pickled = model_folder(tmp_path / "pickled", {**without, "pytorch_model.bin": b"x"})
    assert f"those of {pickled} can run code when they are loaded, and are not." in refusal(str(pickled))
    assert "has no weights" in refusal(str(model_folder(tmp_path / "empty", without)))
    adapter = model_folder(tmp_path / "adapter", {"adapter_model.safetensors": b"x", "adapter_config.json": b"{}"})
    assert "holds an adapter alone. Merge it" in refusal(str(adapter))
    assert "has no config.json" in refusal(str(model_folder(tmp_path / "bare", {"model.safetensors": b"x"})))
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    assert "some.gguf is a file. Convert it" in refusal(str(tmp_path / "some.gguf"))


@dataclass
class Hub:
    """A server that answers as a model hub does, for one model."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(MODEL))
    status: int | None = None
    """Answer this to everything."""
    cut: int = 0
    """How many more answers with weights end in the middle."""
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.split("?")[0]
        self.asked.append(path)
        if self.status is not None:
            return self._send(request, b"{}", status=self.status)
        if path in ("/api/models/org/tiny", "/api/models/org/tiny/revision/main"):
            return self._send(request, json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": []}).encode())
        if path == f"/api/models/org/tiny/tree/{COMMIT}":
            return self._send(request, json.dumps([self._entry(name) for name in self.files]).encode())
        name = path.removeprefix(f"/org/tiny/resolve/{COMMIT}/")
        if name in self.files:
            return self._send_file(request, name)
        code = "RevisionNotFound" if path.startswith("/api/models/org/tiny/") else "RepoNotFound"
        return self._send(request, b"{}", status=404, headers={"X-Error-Code": code})

    def _entry(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
        entry["oid"] = hashlib.sha1(name.encode() + data).hexdigest()
        if name.endswith(".safetensors"):
            entry["lfs"] = {"oid": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def _send_file(self, request: BaseHTTPRequestHandler, name: str) -> None:
        data, is_large = self.files[name], name.endswith(".safetensors")
        entry = self._entry(name)
        headers = {"ETag": f'"{entry["lfs"]["oid"] if is_large else entry["oid"]}"', "X-Repo-Commit": COMMIT}
        headers["Accept-Ranges"] = "bytes"
        start = 0
        if found := request.headers.get("Range"):
            start = int(found.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if is_large and request.command == "GET":
            self.ranges.append(found or "")
        cut = is_large and request.command == "GET" and self.cut > 0
        self.cut -= cut
        self._send(request, data[start:], status=206 if found else 200, headers=headers, cut=bool(cut))

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        data: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            request.close_connection = True


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    constants = pytest.importorskip("huggingface_hub.constants")
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    use_hub(monkeypatch, constants, f"http://127.0.0.1:{server.server_port}", tmp_path / "hub")
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def use_hub(monkeypatch: pytest.MonkeyPatch, constants: Any, endpoint: str, cache: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


def test_a_model_of_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is the digest; no file that can run code is asked for; then no network is needed."""
    unread = (
        "pytorch_model.bin",
        "model.pt",
        "onnx/model.onnx",
        "modeling_tiny.py",
        "original/consolidated.safetensors",
    )
    hub.files |= dict.fromkeys(unread, b"x")
    recipe = pretrained("hf:org/tiny")
    assert recipe.digest == COMMIT
    assert identify(recipe) == identify(pretrained(f"hf:org/tiny@{COMMIT}")) == identify(pretrained("hf:org/tiny@main"))
    folder = folder_of(recipe)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODEL
    assert not [path for path in hub.asked if path.endswith(unread)]

    hub.status, hub.asked = 503, []
    assert folder_of(recipe) == folder
    assert hub.asked == []
    assert pretrained("hf:org/tiny") == recipe  # as the cache knows it
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(WEIGHTS[:-1] + b"?")
    hub.status = None
    assert (folder_of(recipe) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_cut_download_goes_on_where_it_stopped(hub: Hub) -> None:
    """Within one call."""
    hub.cut = 1
    assert (folder_of(pretrained("hf:org/tiny")) / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.ranges == ["", "bytes=120000-"]  # what was written of the half that came


def test_a_hub_that_gives_other_bytes(hub: Hub) -> None:
    hub.files["model.safetensors"] = WEIGHTS[:-1] + b"?"
    with pytest.raises(InputError, match=r"model\.safetensors of hf:org/tiny is not the file that the hub names"):
        folder_of(pretrained("hf:org/tiny"))


def test_what_the_hub_does_not_have(hub: Hub) -> None:
    assert "the hub has no model org/other, or hides it" in refusal("hf:org/other")
    assert "org/tiny has no revision v9" in refusal("hf:org/tiny@v9")
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"x"}
    with pytest.raises(InputError, match=r"hf:org/tiny has config\.json\. Choose another"):
        folder_of(pretrained("hf:org/tiny"))
    assert not [path for path in hub.asked if path.endswith(".bin")]


def test_a_hub_that_cannot_be_reached(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.status = 503
    message = refusal("hf:org/tiny")
    assert "could not be reached (it answered 503), and revision main of org/tiny is not whole in the cache" in message
    use_hub(monkeypatch, constants, "http://127.0.0.1:9", tmp_path / "hub")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    message = refusal("hf:org/tiny")
    assert message.startswith("the hub http://127.0.0.1:9 could not be reached (ConnectError)")
    assert "`hf download org/tiny --local-dir FOLDER`" in message
    assert "secret" not in message
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "(OfflineModeIsEnabled)" in refusal("hf:org/tiny")
    with pytest.raises(InputError, match=f"revision {OLD} of org/tiny is not whole in the cache"):
        folder_of(replace(pretrained(f"hf:org/tiny@{OLD}")))
