"""The history of a MediaWiki site: an XML export with all revisions, read as a stream.

Plain, gzipped or bzip2ed, also without the texts ("stub-meta-history"). Of each revision its time, its contributor and
the digest of its content are kept, and no text; of a page no more than these. The export schema:
https://www.mediawiki.org/wiki/Help:Export. Read by `mwxml`.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn
from xml.etree.ElementTree import ParseError

from pharmakon.data.whole import file_sha256
from pharmakon.errors import InputError
from pharmakon.extras import need

if TYPE_CHECKING:
    from mwxml import Page, Revision

MAGIC: Mapping[bytes, Callable[[IO[bytes]], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
OTHERS = {b"7z\xbc\xaf": "7-Zip", b"\x28\xb5\x2f\xfd": "Zstandard", b"\xfd7zXZ": "xz", b"PK\x03\x04": "ZIP"}
"""Compressions that are not read, by their first bytes."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A revision: seconds since 1970 UTC, who made it, and what the page was then."""

    time: int
    user: str | None
    """`#` and the number of an account, or a name or network address; None if it is hidden."""
    digest: str | None
    """SHA-1 of the content in MediaWiki's base 36; None if the dump gives neither it nor the text."""


@dataclass(frozen=True, slots=True)
class History:
    """A page's revisions in the order of time."""

    title: str
    namespace: int
    revisions: tuple[Edited, ...]


@dataclass(frozen=True)
class Dump:
    """A dump as it is now. Its identity is its content and its name, not the place where it lies."""

    sha256: str
    name: str
    path: Path = field(compare=False, metadata={"identity": False})

    @staticmethod
    def of(path: str | Path) -> Dump:
        """The dump of this file; its content is read when it is asked for."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; a dump is a file")
        return Dump(file_sha256(path), path.name, path.resolve())

    def histories(self) -> Iterator[History]:
        """Its pages in their order. Raises `InputError` where the file is broken or no dump."""
        return histories(self.path)


def histories(path: Path) -> Iterator[History]:
    """The pages of a dump in their order, each as soon as it has been read."""
    need("collection", "reading a MediaWiki dump")
    from mwxml import Dump as Reader
    from mwxml.element_iterator import ElementIterator, EventPointer
    from mwxml.errors import MalformedXML

    broken = (ParseError, MalformedXML, ValueError, TypeError, AttributeError, KeyError, AssertionError)
    page: Page | None = None
    with path.open("rb") as raw:
        counted = _Counted(raw, path)
        try:
            pointer = EventPointer.from_file(counted)
            root = ElementIterator(next(pointer)[1], pointer)
            if root.tag != "mediawiki":
                raise InputError(f"{path} is no MediaWiki dump: its root is <{root.tag[:40]}>, not <mediawiki>")
            num = 0
            for page in Reader.from_element(root).pages:
                yield _history(page)
                root.element.clear()  # otherwise the emptied elements of all pages stay until the end
                num += 1
        except InputError:
            raise
        except (EOFError, zlib.error, OSError) as error:
            _broken_compression(path, raw, counted, error)
        except broken as error:
            after = "" if page is None else f", at or after page {str(page.title)[:80]!r}"
            _broken_xml(path, counted, error, after)
        if not num:
            raise InputError(f"{path} has no page. A dump is made with all revisions of one page or more")


def _history(page: Page) -> History:
    numbered = [(revision.id or 0, _edited(revision)) for revision in page]
    numbered.sort(key=lambda one: (one[1].time, one[0]))  # imported revisions stand where they were imported
    return History(str(page.title), int(page.namespace), tuple(edited for _, edited in numbered))


def _edited(revision: Revision) -> Edited:
    if revision.timestamp is None:
        raise ValueError(f"revision {revision.id} has no timestamp")
    user = revision.user
    name = None if user is None else f"#{user.id}" if user.id else user.text
    return Edited(int(revision.timestamp.unix()), name, _digest(revision))


def _digest(revision: Revision) -> str | None:
    """The revision's digest; from the text where an old export or a tool gives none."""
    if revision.slots.sha1:
        return str(revision.slots.sha1)
    contents = list((revision.slots.contents or {}).values())
    if len(contents) != 1:
        return None
    only = contents[0]
    if only.sha1:
        return str(only.sha1)
    if revision.deleted.text:
        return None
    if only.text is None and (only.bytes or only.id or only.location) and str(only.bytes) != "0":
        return None  # there is a text, and this dump has it not
    return base_36(hashlib.sha1((only.text or "").encode("utf-8", "surrogatepass"), usedforsecurity=False).digest())


def base_36(digest: bytes) -> str:
    """As MediaWiki writes a SHA-1: 31 digits."""
    number, digits = int.from_bytes(digest), ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits.rjust(31, "0")


class _Counted:
    """The uncompressed text, and how much of it was read."""

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        start = raw.read(8)
        raw.seek(0)
        for magic, name in OTHERS.items():
            if start.startswith(magic):
                raise InputError(f"{path} is compressed by {name}; .xml, .xml.gz and .xml.bz2 are read. Unpack it")
        if not start:
            raise InputError(f"{path} is empty; a MediaWiki dump is an XML file")
        unpacked = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
        self.is_compressed = unpacked is not None
        self.file: Any = unpacked(raw) if unpacked else raw
        self.num_bytes = 0
        self.path = path

    def read(self, size: int) -> bytes:
        block: bytes = self.file.read(size)
        if not self.num_bytes and not block.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
            raise InputError(f"{self.path} is no MediaWiki dump: it does not begin with <. A dump is an XML file")
        self.num_bytes += len(block)
        return block


def _broken_compression(path: Path, raw: IO[bytes], counted: _Counted, error: Exception) -> NoReturn:
    if isinstance(error, OSError) and error.errno:  # of the disk, not of the content
        raise error
    if isinstance(error, EOFError):
        what = f"its compressed data end too early, at byte {raw.seek(0, 2):,} of the file"
    else:
        what = f"its compressed data are damaged before byte {raw.tell():,} of the file"
    raise InputError(f"{path}: {what} ({counted.num_bytes:,} bytes unpacked). Fetch it again") from error


def _broken_xml(path: Path, counted: _Counted, error: Exception, after: str) -> NoReturn:
    position = getattr(error, "position", None)
    at = f"line {position[0]:,}" if position else f"before byte {counted.num_bytes:,}"
    text = " of the unpacked text" if counted.is_compressed else ""
    why = str(error).split(": line")[0].splitlines()[0][:200] if str(error) else type(error).__name__
    if "no element found" in why or "unclosed" in why:
        why = "the file ends before the dump does"
    what = "not a whole MediaWiki dump" if isinstance(error, ParseError) else "not the export schema that mwxml reads"
    raise InputError(f"{path}, {at}{text}{after}: {what}: {why}") from error


def as_date(text: str) -> int:
    """Seconds since 1970 of a date, 2023-02-20 or 2023-02-20T10:30, in UTC where it names no zone."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"a date is written 2023-02-20 or 2023-02-20T10:30; got {text[:40]!r}") from None
    return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
