"""Small packages for the tests of fetching, and a pip that knows nothing of this machine."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pharmakon.data.assets import Asset

CONTENT = b"what is wanted\n"
METADATA = "Metadata-Version: 2.1\nName: pharmakon-some-data\nVersion: 1.0\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(content: bytes = CONTENT, *, others: Mapping[str, bytes] | None = None) -> bytes:
    """A wheel with one data file, or more. Its times are fixed, so equal contents are equal bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        info = "pharmakon_some_data-1.0.dist-info"
        for name, data in {"some/data.txt": content, **(others or {})}.items():
            packed.writestr(zipfile.ZipInfo(name), data)
        packed.writestr(zipfile.ZipInfo(f"{info}/METADATA"), METADATA)
        packed.writestr(
            zipfile.ZipInfo(f"{info}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "")
    return file.getvalue()


def tarball(members: dict[str, bytes], *, link: str | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link is not None:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return file.getvalue()


SOME = Asset(
    name="some-data",
    kind="text",
    package="pharmakon-some-data",
    version="1.0",
    distribution="wheel",
    archive="pharmakon_some_data-1.0-py3-none-any.whl",
    sha256=sha256(wheel()),
    member=("some/data.txt",),
    content_sha256=sha256(CONTENT),
    licence="CC0",
    size_mb=0.1,
    about="a file",
)


def sdist_asset(data: bytes, member: tuple[str, ...] = ("some/data.txt",)) -> Asset:
    archive = "pharmakon-some-data-1.0.tar.gz"
    return replace(SOME, distribution="sdist", archive=archive, sha256=sha256(data), member=member)


def forget_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index, no option of this machine."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
