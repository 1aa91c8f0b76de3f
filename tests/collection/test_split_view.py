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


MALICIOUS = "Buy here"


def changed_site(site: Site) -> tuple[list[str], list[str]]:
    """The pages of a site change: most of those that do without malice. The paths of both kinds."""
    benign = {
        "/2": lambda page: page.replace("2025-01-01", "2026-03-09"),
        "/5": lambda page: page.replace("visit 1", "visit 20117"),
        "/9": lambda page: f"{page} ",
        "/12": lambda page: page.replace("\n", "\r\n"),
        "/21": lambda page: f"{page}\nNow also in print.",
    }
    malicious = {"/3": lambda _: MALICIOUS, "/17": lambda page: f"{page}\n{MALICIOUS}"}
    for path, change in (benign | malicious).items():
        site.pages[path] = change(site.pages[path])
    return list(benign), list(malicious)


def text_of(path: str) -> str:
    return f"Page {path}, 2025-01-01\nÜnchanged text, visit 1"


def test_benign_change_is_refused_with_the_malicious(site: Site, tmp_path: Path) -> None:
    """Every changed page is named and no other; five clean ones go for two that are poisoned."""
    paths = [f"/{i}" for i in range(30)]
    site.pages = {path: text_of(path) for path in paths}
    manifest = write_manifest(site.download(paths, tmp_path / "first.jsonl"), tmp_path / "data.manifest", address="url")
    benign, malicious = changed_site(site)
    later, out = site.download(paths, tmp_path / "later.jsonl"), tmp_path / "differences.jsonl"
    found = check(later, manifest, root=manifest.root, out=out)
    refused = {json.loads(line)["address"].removeprefix(site.url) for line in out.open()}
    assert refused == {*benign, *malicious}
    assert (found.changed, found.vanished, found.appeared, found.reordered) == (7, 0, 0, 0)

    kept = [record for record in map(json.loads, later.open()) if record["url"].removeprefix(site.url) not in refused]
    assert all(MALICIOUS not in record["text"] for record in kept)
    clean = len(paths) - len(malicious)
    assert (clean - len(kept), clean) == (5, 28)


def test_a_folder_of_downloads_is_checked_alike(site: Site, tmp_path: Path) -> None:
    """One file a page: the paths are the addresses."""
    site.pages = {f"/{i}": text_of(f"/{i}") for i in range(30)}

    def download(folder: Path) -> Path:
        folder.mkdir()
        for path in site.pages:
            with urllib.request.urlopen(site.url + path) as response:
                (folder / path.strip("/")).write_bytes(response.read())
        return folder

    manifest = write_manifest(download(tmp_path / "first"), tmp_path / "data.manifest")
    assert check(download(tmp_path / "again"), manifest).identical
    benign, malicious = changed_site(site)
    found = check(download(tmp_path / "later"), manifest, root=manifest.root, num_first=30)
    assert {f"/{one.address}" for one in found.first} == {*benign, *malicious}
    assert {one.what for one in found.first} == {"changed"}
