"""Identity -> folder. What was built once is never built again, and what is damaged is never used.

    ROOT/KIND/KE/KEY/           a finished entry: its files and `record.json`, which is written last
    ROOT/tmp/KIND-KEY-PID-RANDOM/   an entry being built; renamed into its place in one step
    ROOT/locks/KIND-KEY.lock    held by the one process that builds, moves or removes the entry
    ROOT/quarantine/            damaged entries; nothing is deleted
    ROOT/answers/               journals of served models, written by `engines.endpoint`; no entries

Whoever touches an entry's place holds its lock, which the operating system releases when a process dies, however it
dies. Hence a folder in `tmp` whose lock is free is a dead process's, without asking for process ids or hosts.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

from pharmakon import __version__
from pharmakon.errors import InputError, StoreError
from pharmakon.identity import SCHEMA, Json, Key, describe, identify, scalar

__all__ = ["SCHEMA", "Entry", "Json", "Key", "Store", "current_root", "default_root", "describe", "identify"]

RECORD: Final = "record.json"
KIND: Final = r"[a-z][a-z0-9_-]*"
KEY: Final = r"[0-9a-f]{32}"
RESERVED: Final = frozenset({"locks", "tmp", "quarantine", "answers"})
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def default_root() -> Path:
    """`PHARMAKON_HOME`, or the place for caches of this user on this system."""
    if home := os.environ.get("PHARMAKON_HOME"):
        return Path(home).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("pharmakon", appauthor=False)


_IN_USE: ContextVar[Path | None] = ContextVar("the store in use", default=None)


def current_root() -> Path:
    """The root of the store that builds or is read just now, for parts that keep something there; else the default."""
    return _IN_USE.get() or default_root()


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished folder and what its `record.json` says."""

    kind: str
    key: Key
    path: Path
    record: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        """What the builder returned, as JSON holds it: a tuple is a list."""
        result: dict[str, Any] = self.record["result"]
        return result

    def __repr__(self) -> str:
        return f"Entry({self.kind} {self.key}, {len(self.record['files'])} files)"


Builder = Callable[[Path], Mapping[str, Any]]
"""Writes files into the folder it is given and returns what JSON can hold."""


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)


@final
class Store:
    """A folder of finished entries, safe for any number of processes at once. Opening one writes nothing new."""

    def __init__(self, root: Path, *, report: Callable[[str], None] = _warn) -> None:
        self.root = Path(root).absolute()
        self._report = report
        self._verified: dict[tuple[str, str], tuple[object, ...]] = {}
        self.sweep()

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def has(self, kind: str, key: Key) -> bool:
        """There is a finished entry and its files have the sizes they should have. Reads no file but the record."""
        return isinstance(self._inspect(kind, key), Entry)

    def get(self, kind: str, key: Key) -> Entry | None:
        """The finished entry, or None. Its files are hashed on the first use in this process and after a change.

        A damaged entry is moved to the quarantine, reported, and missing from then on.
        """
        found = self._look(kind, key)
        if not isinstance(found, str):
            return found
        try:
            with self._claim(kind, key, seconds=0):
                return self._settle(kind, key)
        except TimeoutError:
            return None  # whoever holds the claim sees to it
        except (OSError, StoreError) as error:
            self._report(f"{kind} {key} is damaged ({found}) and cannot be moved aside: {error}; it is not used")
            return None

    def build(self, kind: str, key: Key, builder: Builder, *, spec: object = None) -> Entry:
        """The finished entry, built now if there is none. If another process builds it, waits for that one.

        The builder's exceptions propagate and leave nothing behind; a full or protected disk is a `StoreError`.
        """
        if entry := self.get(kind, key):
            return entry
        try:
            with self._claim(kind, key):
                return self._settle(kind, key) or self._make(kind, key, builder, spec)
        except Exception as error:
            if answer := self._explain(f"{kind} {key}", error):
                raise answer from error
            raise

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Meanwhile this store is the current one."""
        token = _IN_USE.set(self.root)
        try:
            yield
        finally:
            _IN_USE.reset(token)

    def verify(self, entry: Entry) -> str | None:
        """Hashes the entry's record and files; says what is damaged, or None."""
        if entry.record["sha256"] != _seal(entry.record):
            return f"{RECORD} does not have its sha256"
        for name, file in entry.record["files"].items():
            try:
                if _sha256(entry.path / name) != file["sha256"]:
                    return f"{name} does not have its sha256"
            except FileNotFoundError:
                return f"{name} is missing"
        return None

    def entries(self, kind: str) -> Iterator[Entry]:
        """The finished entries of a kind, by key. Checked as `has` checks; `get` one before its files are used."""
        for path in sorted(self._shelf(kind).glob("??/*")):
            if re.fullmatch(KEY, path.name):
                found = self._inspect(kind, Key(path.name))
                if isinstance(found, Entry):
                    yield found

    def remove(self, kind: str, key: Key) -> bool:
        """Deletes an entry, for readers in one step; False if there was none."""
        place = self._place(kind, key)
        if not place.exists():
            return False
        try:
            with self._claim(kind, key, seconds=5):
                aside = self._fresh("tmp", kind, key)
                os.rename(place, aside)
                shutil.rmtree(aside)
        except TimeoutError as error:
            raise StoreError(f"{kind} {key} is being built by another process; stop that one first") from error
        except FileNotFoundError:
            return False  # another process was faster
        except OSError as error:
            raise self._explain(f"{kind} {key}", error) or error from error
        return True

    def size(self) -> int:
        """Bytes in the store's files, the quarantine's and unfinished ones included."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def sweep(self) -> int:
        """Removes what dead processes left unfinished; the number of folders. Done at opening."""
        count = 0
        with suppress(OSError, StoreError):  # a store that may only be read has nothing to sweep
            for name in os.listdir(self.root / "tmp"):
                if match := re.fullmatch(rf"({KIND})-({KEY})-\d+-[0-9a-f]+", name):
                    with suppress(TimeoutError, InputError), self._claim(match[1], Key(match[2]), seconds=0):
                        count += self._clear(match[1], Key(match[2]))
        return count

    def _shelf(self, kind: str) -> Path:
        if not re.fullmatch(KIND, kind) or kind in RESERVED:
            raise InputError(f"a kind is a lower-case word, not {', '.join(sorted(RESERVED))}; got {kind!r}")
        return self.root / kind

    def _place(self, kind: str, key: Key) -> Path:
        if not re.fullmatch(KEY, key):
            raise InputError(f"a key is 32 hexadecimal digits; got {key!r}. `identify(spec)` gives one")
        return self._shelf(kind) / key[:2] / key

    def _fresh(self, room: str, kind: str, key: Key) -> Path:
        """A path nobody else uses. Its parent is there."""
        (self.root / room).mkdir(exist_ok=True)
        return self.root / room / f"{kind}-{key}-{os.getpid()}-{secrets.token_hex(4)}"

    def _inspect(self, kind: str, key: Key) -> Entry | str | None:
        """The entry, or what is visibly wrong with it, or None if there is none."""
        path = self._place(kind, key)
        try:
            record = json.loads((path / RECORD).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return f"{RECORD} is missing" if path.is_dir() else None
        except (ValueError, RecursionError):
            return f"{RECORD} is not JSON"
        except OSError as error:
            raise StoreError(f"{kind} {key} cannot be read: {error.strerror}: {path}; give it a permission") from error
        try:
            if (record["kind"], record["key"]) != (kind, key) or not isinstance(record["sha256"], str):
                return f"{RECORD} is another entry's"
            for name, file in record["files"].items():
                if (size := os.stat(path / name).st_size) != file["size"]:
                    return f"{name} has {size} bytes, not {file['size']}"
        except (KeyError, TypeError, AttributeError, ValueError):
            return f"{RECORD} is not a record"
        except OSError:
            return f"{name} is missing"
        return Entry(kind, key, path, record)

    def _look(self, kind: str, key: Key) -> Entry | str | None:
        """As `_inspect`, and with the hashes, unless these very files have been hashed by this process."""
        found = self._inspect(kind, key)
        if not isinstance(found, Entry):
            return found
        try:
            signature = _signature(found)
            if self._verified.get((kind, key)) != signature:
                if fault := self.verify(found):
                    return fault
                self._verified[kind, key] = signature
        except FileNotFoundError as error:
            return f"{error.filename} is missing"
        except OSError as error:
            return f"{error.strerror}: {error.filename}"  # a bad block, a missing permission
        return found

    @contextmanager
    def _claim(self, kind: str, key: Key, *, seconds: float = -1) -> Iterator[None]:
        """Hold the entry's lock; `TimeoutError` after so many seconds, never if negative."""
        from filelock import FileLock

        self._place(kind, key)
        try:
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / "locks" / f"{kind}-{key}.lock", poll_interval=0.05)
            lock.acquire(timeout=seconds)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._explain(f"{kind} {key}", error, ours=True) or error from error
        try:
            yield
        finally:
            lock.release()

    def _settle(self, kind: str, key: Key) -> Entry | None:
        """Under the claim: the entry, or None and its place is free."""
        found = self._look(kind, key)
        if isinstance(found, str):
            aside = self._fresh("quarantine", kind, key)
            os.rename(self._place(kind, key), aside)
            self._report(f"{kind} {key} was damaged ({found}); moved to {aside}. It will be built again when needed")
            return None
        return found

    def _clear(self, kind: str, key: Key) -> int:
        """Under the claim: remove what others left unfinished."""
        left = list((self.root / "tmp").glob(f"{kind}-{key}-*"))
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        return len(left)

    def _make(self, kind: str, key: Key, builder: Builder, spec: object) -> Entry:
        """Under the claim: build in a temporary folder, record, rename."""
        what = f"{kind} {key}"
        description = None if spec is None else describe(spec)  # refuses before the hour of work, not after
        self._clear(kind, key)
        folder = self._fresh("tmp", kind, key)
        folder.mkdir()
        created, start = datetime.now(UTC), time.perf_counter()
        try:
            with self.in_use():
                result = _as_json(builder(folder), what, folder)
            record: dict[str, Any] = {
                "schema": SCHEMA,
                "kind": kind,
                "key": key,
                "spec": description,
                "versions": {"pharmakon": __version__},
                "created": created.isoformat(timespec="seconds"),
                "seconds": round(time.perf_counter() - start, 3),
                "files": _seal_files(folder, what),
                "result": result,
            }
            record["sha256"] = _seal(record)
            (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            _sync(folder / RECORD)
            _sync(folder)
            place = self._place(kind, key)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(folder, place)
            _sync(place.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # not there any more if all went well
        entry = Entry(kind, key, place, record)
        self._verified[kind, key] = _signature(entry)
        return entry

    def _explain(self, what: str, error: Exception, *, ours: bool = False) -> StoreError | None:
        """The answer to a full or protected disk; None if the error is another's.

        A builder also reads the user's files: an error there names a file outside, and is not the store's.
        """
        code = error.errno if isinstance(error, OSError) else None
        file = error.filename if isinstance(error, OSError) else None
        inside = isinstance(file, str | bytes | os.PathLike) and Path(os.fsdecode(file)).is_relative_to(self.root)
        # Rust libraries (polars, safetensors, tokenizers) give the system's sentence, not its number.
        if (ours or inside or file is None) and (code in FULL or "No space left on device" in str(error)):
            way_out = "free space or give another place with --store"
            return StoreError(f"the disk is full: needed to write {what} under {self.root}; {way_out}")
        if ours or (inside and code in DENIED):
            reason = getattr(error, "strerror", None) or str(error)
            way_out = "change the permission or give another place with --store"
            return StoreError(
                f"the store cannot be written ({reason}): needed to write {what} under {self.root}; {way_out}"
            )
        return None


def _as_json(result: Mapping[str, Any], what: str, folder: Path) -> dict[str, Any]:
    """The builder's result as it will be read back."""

    def plain(value: object) -> object:
        if (item := scalar(value)) is value:
            raise TypeError(f"{type(value).__name__} is not JSON")
        return item

    try:
        text = json.dumps(dict(result), allow_nan=False, default=plain)
    except (TypeError, ValueError) as error:
        way_out = "return str, finite numbers, None, lists and dicts; write the rest to files"
        raise StoreError(f"the result of {what} cannot be recorded: {error}; {way_out}") from error
    if json.dumps(str(folder))[1:-1] in text:
        raise StoreError(f"the result of {what} names its temporary folder; name files relative to the entry")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _seal(record: Mapping[str, Any]) -> str:
    """SHA-256 of everything else in the record."""
    rest = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _seal_files(folder: Path, what: str) -> dict[str, dict[str, Any]]:
    """Name -> size and sha256 of every file, each written through to the disk."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or name == RECORD or not (path.is_dir() or path.is_file()):
            raise StoreError(f"the builder of {what} wrote {name}; write regular files, {RECORD} is the store's")
        _sync(path)
        if path.is_file():
            files[name] = {"size": path.stat().st_size, "sha256": _sha256(path)}
    return files


def _signature(entry: Entry) -> tuple[object, ...]:
    """Changes when the entry's files do."""
    stats = [os.stat(entry.path / name) for name in (RECORD, *entry.record["files"])]
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Wait until the disk has it. On Windows a folder cannot be opened, nor a file read-only, for this."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
