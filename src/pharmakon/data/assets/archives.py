"""The named bytes of an archive. Members are read by name; a folder's are refused if one leads out of it."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO

from pharmakon.data.assets.table import Asset
from pharmakon.errors import InputError

ZIP = (".whl", ".zip")
Reader = Callable[[str], bytes]


def read_member(asset: Asset, archive: Path) -> Mapping[str, bytes]:
    """Path -> bytes: of the one file, under its own name, or of every file below a folder, relative to it."""
    try:
        source: IO[bytes] = archive.open("rb")
        for outer, name in pairwise((archive.name, *asset.member[:-1])):
            with source, _opened(source, outer) as (_, read):
                source = io.BytesIO(read(name))
        last = asset.member[-1]
        with source, _opened(source, (archive.name, *asset.member)[-2]) as (names, read):
            if not asset.is_folder:
                return {PurePosixPath(last).name: read(last)}
            found = {name.removeprefix(last): read(name) for name in names if name.startswith(last)}
    except (tarfile.TarError, zipfile.BadZipFile, KeyError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{archive} does not hold {' / '.join(asset.member)}: {error}") from None
    if any(part in ("", ".", "..") or "\\" in part or ":" in part for name in found for part in name.split("/")):
        raise InputError(f"a file in {archive} has a name that leads out of {last}, so none of it is used")
    if not found:
        raise InputError(f"{archive} does not hold {' / '.join(asset.member)}: the folder is not there")
    return found


@contextmanager
def _opened(file: IO[bytes], name: str) -> Iterator[tuple[list[str], Reader]]:
    """The names of an archive's regular files, and how to read one."""
    if name.endswith(ZIP):
        with zipfile.ZipFile(file) as packed:
            yield [info.filename for info in packed.infolist() if not info.is_dir()], packed.read
        return
    with tarfile.open(fileobj=file) as tar:

        def read(name: str) -> bytes:
            info = tar.getmember(name)
            found = tar.extractfile(info) if info.isreg() else None  # links point elsewhere
            if found is None:
                raise ValueError(f"{name} is not a regular file")
            return found.read()

        yield [info.name for info in tar if info.isreg()], read
