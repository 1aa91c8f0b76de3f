"""Fetching: only the named bytes are used, whatever the index gives; a cache is enough; what fails is a sentence."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest
from packages import CONTENT, METADATA, SOME, forget_pip, sdist_asset, sha256, tarball, wheel

from pharmakon.data.assets import ASSETS, Asset, assets_root, fetch, find
from pharmakon.errors import InputError, SpecError


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the packages pip can see."""
    folder = tmp_path / "index"
    folder.mkdir()
    forget_pip(monkeypatch)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index at a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    forget_pip(monkeypatch)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")


def refusal(asset: Asset, cache: Path) -> str:
    with pytest.raises(InputError) as caught:
        fetch(asset, cache=cache)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def test_the_real_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the package index; then every other file of the same distribution without it."""
    said: list[str] = []
    try:
        path = fetch("vader-products", cache=tmp_path, on_progress=said.append)
    except InputError as error:
        if "could not be reached" in str(error):
            pytest.skip("the package index cannot be reached")
        raise
    assert said == ["fetching vaderSentiment==3.3.2 (2.5 MB) with pip"]
    assert path == tmp_path / "vader-products-11a9807a" / "amazonReviewSnippets_GroundTruth.txt"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    from_the_same = [asset for asset in ASSETS.values() if asset.package == "vaderSentiment"]
    assert len(from_the_same) == 8
    for asset in from_the_same:
        assert sha256(fetch(asset.name, cache=tmp_path).read_bytes()) == asset.content_sha256
    assert sorted(item.name for item in (tmp_path / "downloads").iterdir()) == ["vaderSentiment-3.3.2.tar.gz"]
    assert not list(tmp_path.rglob("*.py"))


def test_fetched_once_then_from_the_cache(index: Path, tmp_path: Path) -> None:
    (index / SOME.archive).write_bytes(wheel())
    said: list[str] = []
    path = fetch(SOME, cache=tmp_path / "cache", on_progress=said.append)
    assert path.read_bytes() == CONTENT
    (index / SOME.archive).unlink()
    assert fetch(SOME, cache=tmp_path / "cache", on_progress=said.append) == path
    assert len(said) == 1


def test_damage_in_the_cache_is_repaired(index: Path, tmp_path: Path) -> None:
    (index / SOME.archive).write_bytes(wheel())
    path = fetch(SOME, cache=tmp_path)
    path.write_bytes(CONTENT[:5])
    archive = tmp_path / "downloads" / SOME.archive
    archive.write_bytes(archive.read_bytes()[:100])
    said: list[str] = []
    assert fetch(SOME, cache=tmp_path, on_progress=said.append).read_bytes() == CONTENT
    assert [sentence.split()[0] for sentence in said] == [str(path), "fetching"]


def test_a_cut_download_is_refused_then_fetched_again(index: Path, tmp_path: Path) -> None:
    (index / SOME.archive).write_bytes(wheel()[:-30])
    message = refusal(SOME, tmp_path)
    assert "another file than the named one" in message
    assert not (tmp_path / "downloads" / SOME.archive).exists()
    (index / SOME.archive).write_bytes(wheel())
    assert fetch(SOME, cache=tmp_path).read_bytes() == CONTENT


def test_no_code_of_a_package_runs(index: Path, tmp_path: Path) -> None:
    """Neither with the wrong checksum nor with the right one; and no setuptools is needed, of whatever version."""
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='pharmakon-some-data')\n"
    top = "pharmakon-some-data-1.0"
    members = {f"{top}/setup.py": setup.encode(), f"{top}/PKG-INFO": METADATA.encode(), f"{top}/data.txt": CONTENT}
    data = tarball(members)
    asset = sdist_asset(data, (f"{top}/data.txt",))
    (index / asset.archive).write_bytes(data)
    message = refusal(replace(asset, sha256="0" * 64), tmp_path / "cache")
    assert f"(SHA-256 {asset.sha256[:12]}...), which was not used" in message
    assert fetch(asset, cache=tmp_path / "cache").read_bytes() == CONTENT
    assert not ran.exists()


def test_what_the_index_does_not_have(index: Path, tmp_path: Path) -> None:
    message = refusal(SOME, tmp_path)
    assert "pip says: No matching distribution found for pharmakon-some-data==1.0" in message


def test_offline_the_cache_is_enough(offline: None, tmp_path: Path) -> None:
    message = refusal(SOME, tmp_path)
    place = tmp_path / "downloads" / SOME.archive
    assert message == (
        "the asset some-data is not in the cache and could not be fetched: the package index could not be reached "
        f"(Connection refused). Where there is a network, get {SOME.archive} (`pip download --no-deps --only-binary "
        f"pharmakon-some-data pharmakon-some-data==1.0`), then put it at {place}"
    )
    place.write_bytes(wheel(b"something else"))
    assert f"(Connection refused); the file at {place} has another SHA-256. Where" in refusal(SOME, tmp_path)
    place.write_bytes(wheel())
    assert fetch(SOME, cache=tmp_path).read_bytes() == CONTENT


def test_an_environment_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    python = next(path for path in (tmp_path / "bare").rglob("python*") if path.stem == "python" and path.is_file())
    monkeypatch.setattr(sys, "executable", str(python))
    assert f"{python} has no pip (`python -m ensurepip`" in refusal(SOME, tmp_path / "cache")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    assert "pip could not be started" in refusal(SOME, tmp_path / "cache")


def test_processes_at_once_fetch_once(index: Path, tmp_path: Path) -> None:
    (index / SOME.archive).write_bytes(wheel())
    code = (
        "import sys; from pathlib import Path; from pharmakon.data.assets import Asset, fetch; "
        f"print(fetch({SOME!r}, cache=Path(sys.argv[1]), on_progress=print).read_bytes())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert [lines[-1] for lines in outputs] == [repr(CONTENT)] * 3
    assert sum(line.startswith("fetching") for lines in outputs for line in lines) == 1


@pytest.mark.parametrize("path", ["../evil", "a/../../evil", "/etc/passwd", "a\\..\\evil", "C:/evil", "a//b", ".", ""])
def test_a_member_stays_in_its_archive(path: str) -> None:
    with pytest.raises(SpecError, match="stays inside it"):
        replace(SOME, member=(path,))
    with pytest.raises(SpecError):
        replace(SOME, archive=path)
    with pytest.raises(SpecError):
        replace(SOME, name=path)


def by_hand(data: bytes, asset: Asset, cache: Path) -> Path:
    (cache / "downloads").mkdir(parents=True, exist_ok=True)
    (cache / "downloads" / asset.archive).write_bytes(data)
    return fetch(asset, cache=cache)


def test_only_the_named_member_is_taken(tmp_path: Path) -> None:
    inner = tarball({"in/data.txt": CONTENT, "../../outside.txt": b"evil"})
    data = tarball({"out/inner.tar.gz": inner, "../outside.txt": b"evil", "/tmp/outside.txt": b"evil"})
    asset = sdist_asset(data, ("out/inner.tar.gz", "in/data.txt"))
    assert by_hand(data, asset, tmp_path / "cache").read_bytes() == CONTENT
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if "outside" in path.name]


def test_an_archive_that_is_not_what_the_table_says(tmp_path: Path) -> None:
    linked = tarball({"a": b""}, link="some/data.txt")
    for data, why in (
        (linked, "some/data.txt is not a regular file"),
        (tarball({"a": b""}), "filename 'some/data.txt' not found"),
        (b"no archive", "file could not be opened"),
        (linked[:40], "does not hold"),
    ):
        with pytest.raises(InputError, match=r"does not hold some/data\.txt: ") as caught:
            by_hand(data, sdist_asset(data), tmp_path / "cache")
        assert why in str(caught.value)
    data = tarball({"some/data.txt": b"other"})
    with pytest.raises(InputError, match="is not what the asset some-data names"):
        by_hand(data, sdist_asset(data), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("some-data-*/*"))


def test_a_cache_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refusal(SOME, tmp_path / "file")
    assert re.search(r"the cache .* cannot be used: .* set PHARMAKON_HOME", message)


def test_names_and_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find("vader-movies").package == "vaderSentiment"
    with pytest.raises(InputError, match="an asset is one of vader-movies, vader-products"):
        fetch("vader-novels")
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path))
    assert assets_root() == tmp_path / "assets"
    monkeypatch.delenv("PHARMAKON_HOME")
    assert assets_root().parts[-2:] == ("pharmakon", "assets")
