"""Fetching from registries that are slow, that break off, or that are npm's; folders; removing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest
from packages import CONTENT, SOME, forget_pip, sha256, tarball, wheel

from pharmakon.data.assets import Asset, cache, fetch, find_cached, is_cached, place, remove
from pharmakon.errors import InputError

LARGE = bytes(range(256)) * 1000
FILES = {"a.txt": b"one", "deep/b.txt": b"two"}


def folder_digest(files: Mapping[str, bytes]) -> str:
    return sha256("".join(f"{sha256(data)}  {name}\n" for name, data in sorted(files.items())).encode())


def folder_asset(files: Mapping[str, bytes] = FILES) -> tuple[Asset, bytes]:
    data = wheel(others={f"some/folder/{name}": data for name, data in files.items()})
    digest = folder_digest(files)
    return replace(SOME, sha256=sha256(data), member=("some/folder/",), content_sha256=digest), data


def by_hand(asset: Asset, data: bytes, root: Path) -> Path:
    (root / "downloads").mkdir(parents=True, exist_ok=True)
    (root / "downloads" / asset.archive).write_bytes(data)
    return fetch(asset, cache=root)


def test_a_folder(tmp_path: Path) -> None:
    asset, data = folder_asset()
    path = by_hand(asset, data, tmp_path)
    assert path == tmp_path / f"some-data-{asset.content_sha256[:8]}" / "folder"

    def found() -> dict[str, bytes]:
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}

    assert found() == FILES
    said: list[str] = []
    assert fetch(asset, cache=tmp_path, on_progress=said.append) == path
    assert said == []
    (path / "a.txt").write_bytes(b"One")
    assert fetch(asset, cache=tmp_path, on_progress=said.append) == path
    assert (path / "a.txt").read_bytes() == b"one"
    (path / "more.txt").write_bytes(b"")
    with pytest.raises(InputError, match="the asset some-data is damaged in the cache"):
        find_cached(asset, cache=tmp_path)
    fetch(asset, cache=tmp_path, on_progress=said.append)
    assert said == [f"{path} is damaged and is replaced"] * 2
    assert found() == FILES
    assert os.listdir(path.parent) == ["folder"]


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/out.txt", "a\\..\\out.txt", "C:out.txt"])
def test_a_folder_whose_files_lead_out_of_it(name: str, tmp_path: Path) -> None:
    """Even if its SHA-256 is the named one."""
    asset, data = folder_asset({"a.txt": b"one", name: b"evil"})
    with pytest.raises(InputError, match="has a name that leads out of some/folder/, so none of it is used"):
        by_hand(asset, data, tmp_path / "cache")
    assert not is_cached(asset, cache=tmp_path / "cache")
    assert not [path for path in tmp_path.rglob("*") if "out.txt" in path.name]


def test_a_folder_that_is_not_there_or_another(tmp_path: Path) -> None:
    asset, data = folder_asset()
    with pytest.raises(InputError, match="does not hold some/other/: the folder is not there"):
        by_hand(replace(asset, member=("some/other/",)), data, tmp_path)
    with pytest.raises(InputError, match="is not what the asset some-data names"):
        by_hand(replace(asset, content_sha256="0" * 64), data, tmp_path)


def test_removing_takes_the_archive_with_the_last_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wheel(others={"some/other.txt": b"other"})
    one = replace(SOME, sha256=sha256(data))
    two = replace(one, name="other", member=("some/other.txt",), content_sha256=sha256(b"other"))
    monkeypatch.setattr(cache, "ASSETS", MappingProxyType({asset.name: asset for asset in (one, two)}))
    archive = tmp_path / "downloads" / SOME.archive
    by_hand(one, data, tmp_path)
    made_of_it = place(two, cache=tmp_path).parent / "converted" / "file"
    fetch(two, cache=tmp_path)
    made_of_it.parent.mkdir()
    made_of_it.write_bytes(b"1234")
    assert remove(two, cache=tmp_path) == len(b"other1234")
    assert archive.exists()
    assert is_cached(one, cache=tmp_path)
    assert remove(one, cache=tmp_path) == len(CONTENT) + len(data)
    assert not archive.exists()
    assert remove(one, cache=tmp_path) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


@dataclass
class Registry:
    """A package index of pip, and a registry of npm, with one package."""

    data: bytes
    name: str = SOME.archive
    url: str = ""
    mode: str = "whole"
    """`cut`: ends in the middle. `stall`: waits in the middle until it may go on."""
    half_sent: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.path.endswith(self.name):
            return self._send(request, self.data, "application/octet-stream")
        if request.path.startswith("/simple/"):
            return self._send(request, f'<a href="/files/{self.name}">{self.name}</a>'.encode(), "text/html")
        integrity = base64.b64encode(hashlib.sha512(self.data).digest()).decode()
        dist = {"tarball": f"{self.url}/files/{self.name}", "integrity": f"sha512-{integrity}"}
        versions = {"1.0.0": {"name": "@some/data", "version": "1.0.0", "dist": dist}}
        package = {"name": "@some/data", "dist-tags": {"latest": "1.0.0"}, "versions": versions}
        return self._send(request, json.dumps(package).encode(), "application/json")

    def _send(self, request: BaseHTTPRequestHandler, data: bytes, kind: str) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        half = len(data) // 2 if data is self.data and self.mode != "whole" else len(data)
        request.wfile.write(data[:half])
        if self.mode == "stall" and half < len(data):
            request.wfile.flush()
            self.half_sent.set()
            self.go_on.wait(30)
            request.wfile.write(data[half:])


LARGE_WHEEL = wheel(LARGE)
LARGE_ASSET = replace(SOME, sha256=sha256(LARGE_WHEEL), content_sha256=sha256(LARGE), size_mb=0.3)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(LARGE_WHEEL)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # whoever asked was ended
                registry.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    registry.url = f"http://127.0.0.1:{server.server_port}"
    forget_pip(monkeypatch)
    for name, value in {
        "PIP_INDEX_URL": f"{registry.url}/simple",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "PIP_RESUME_RETRIES": "0",
        "npm_config_registry": registry.url,
        "npm_config_cache": str(tmp_path / "npm"),
        "npm_config_fetch_retries": "0",
        "npm_config_update_notifier": "false",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        yield registry
    finally:
        registry.go_on.set()
        server.shutdown()
        server.server_close()


def test_a_growing_download_is_seen(registry: Registry, tmp_path: Path) -> None:
    registry.mode = "stall"
    seen: list[int] = []

    def watch(done: int, total: int) -> None:
        assert total == 300_000
        seen.append(done)
        if done > 100_000:
            registry.go_on.set()  # never, if the file is not seen to grow

    assert fetch(LARGE_ASSET, cache=tmp_path, on_bytes=watch).read_bytes() == LARGE
    assert max(seen[:-1]) > 100_000
    assert seen[-1] == 300_000


@pytest.mark.skipif(os.name == "nt", reason="ends a group of processes")
def test_a_fetch_that_is_killed(registry: Registry, tmp_path: Path) -> None:
    """Nothing stands in the asset's place, and the next fetch completes and clears up."""
    registry.mode = "stall"
    code = (
        "import sys; from pathlib import Path; from pharmakon.data.assets import Asset, fetch; "
        f"fetch({LARGE_ASSET!r}, cache=Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True)
    assert registry.half_sent.wait(30)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    downloads = tmp_path / "downloads"
    assert [name.startswith(f".{SOME.archive}-") for name in os.listdir(downloads)] == [True]
    assert not is_cached(LARGE_ASSET, cache=tmp_path)
    registry.mode = "whole"
    assert fetch(LARGE_ASSET, cache=tmp_path).read_bytes() == LARGE
    assert os.listdir(downloads) == [SOME.archive]


def test_a_connection_that_breaks(registry: Registry, tmp_path: Path) -> None:
    registry.mode = "cut"
    with pytest.raises(
        InputError, match=r"the asset some-data is not in the cache and could not be fetched: "
    ) as caught:
        fetch(LARGE_ASSET, cache=tmp_path)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    registry.mode = "whole"
    assert fetch(LARGE_ASSET, cache=tmp_path).read_bytes() == LARGE


@pytest.fixture
def npm_asset(registry: Registry, tmp_path: Path) -> Asset:
    script = f"node -e \"require('fs').writeFileSync('{(tmp_path / 'ran').as_posix()}', '')\""
    scripts = dict.fromkeys(("prepack", "prepare", "postpack", "preinstall", "install", "postinstall"), script)
    package = json.dumps({"name": "@some/data", "version": "1.0.0", "scripts": scripts}).encode()
    registry.data = tarball({"package/package.json": package, "package/data/a.txt": b"one"})
    registry.name = "some-data-1.0.0.tgz"
    return replace(
        SOME,
        package="@some/data",
        version="1.0.0",
        distribution="npm",
        archive=registry.name,
        sha256=sha256(registry.data),
        member=("package/data/",),
        content_sha256=folder_digest({"a.txt": b"one"}),
    )


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_a_package_of_npm(
    registry: Registry, npm_asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=r"the file that npm gave has not the SHA-256 000000000000\.\.\."):
        fetch(replace(npm_asset, sha256="0" * 64), cache=tmp_path)
    path = fetch(npm_asset, cache=tmp_path, on_progress=said.append)
    assert said == ["fetching @some/data@1.0.0 (0.1 MB) with npm"]
    assert (path / "a.txt").read_bytes() == b"one"
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    assert fetch(npm_asset, cache=tmp_path) == path
    with pytest.raises(InputError, match=r"the registry of npm could not be reached \(ECONNREFUSED\)\. Where there is"):
        fetch(npm_asset, cache=tmp_path / "other")


def test_a_machine_without_npm(npm_asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"npm, which comes with Node\.js, is not installed\. Where") as caught:
        fetch(npm_asset, cache=tmp_path)
    assert "get some-data-1.0.0.tgz (`npm pack @some/data@1.0.0`), then put it at" in str(caught.value)
