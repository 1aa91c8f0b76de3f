"""A data set that is a list of addresses: what was served then, and what is served now, over real HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pharmakon.cli import answer
from pharmakon.collection import check, write_manifest


class Site(ThreadingHTTPServer):
    """Serves `pages`, by path; what is not in it is 404."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def download(self, paths: list[str], out: Path) -> Path:
        """What a collector does: fetch each address, keep what is there, one JSON object a line."""
        with out.open("w") as file:
            for path in paths:
                try:
                    with urllib.request.urlopen(self.url + path) as response:
                        record = {"url": self.url + path, "text": response.read().decode()}
                except urllib.error.HTTPError:
                    continue
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        return out


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        text = self.server.pages.get(self.path)
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_two_downloads_of_a_site_that_changed_hands(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pages that have other content now are found, and those that are gone, and no other; by the published root."""
    paths = [f"/{i}" for i in range(40)]
    site.pages = {path: f"The page {path}, ünchanged\n since" for path in paths}
    first = site.download(paths, tmp_path / "first.jsonl")
    manifest = write_manifest(first, tmp_path / "data.manifest", address="url")

    again = site.download(paths, tmp_path / "again.jsonl")
    assert answer(["manifest", "check", str(again), str(manifest.path), "--root", manifest.root]) == 0

    taken, gone, new = ["/3", "/17", "/39"], ["/8"], ["/40"]
    site.pages |= dict.fromkeys(taken, "Buy here") | {"/40": "a new page"}
    del site.pages["/8"]
    later = site.download(paths + new, tmp_path / "later.jsonl")
    found = check(later, manifest, root=manifest.root)
    places = {what: [one.address.removeprefix(site.url) for one in found.first if one.what == what] for what in
              ("changed", "vanished", "appeared", "reordered")}  # fmt: skip
    assert places == {"changed": taken, "vanished": gone, "appeared": new, "reordered": []}

    capsys.readouterr()
    assert answer(["manifest", "check", str(later), str(manifest.path)]) == 1
    said = capsys.readouterr().out
    assert "3 changed\n" in said
    assert f"{site.url}/17 (" in said
    assert "1 vanished\n" in said
    assert "reordered" not in said


def test_who_changes_data_and_manifest_is_found_by_the_root(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mirror that serves poisoned data with a manifest of its own: only the root that its owner published tells."""
    site.pages = {"/a": "clean"}
    published = write_manifest(site.download(["/a"], tmp_path / "own.jsonl"), tmp_path / "own.manifest", address="url")
    site.pages = {"/a": "poisoned"}
    mirror = write_manifest(site.download(["/a"], tmp_path / "got.jsonl"), tmp_path / "got.manifest", address="url")
    words = ["manifest", "check", str(tmp_path / "got.jsonl"), str(mirror.path)]
    assert answer(words) == 0
    assert answer([*words, "--root", published.root]) == 2
    assert "not the published manifest" in capsys.readouterr().err
