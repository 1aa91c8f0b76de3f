"""Small MediaWiki dumps, in the schema of Special:Export."""

from __future__ import annotations

import bz2
import gzip
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

START = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
HIDDEN = "\0hidden"

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.mediawiki.org/xml/export-0.11/ http://www.mediawiki.org/xml/export-0.11.xsd" \
version="0.11" xml:lang="en">
  <siteinfo>
    <sitename>Testpedia</sitename>
    <dbname>testwiki</dbname>
    <base>https://wiki.invalid/wiki/Main_Page</base>
    <generator>MediaWiki 1.42.0</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Talk</namespace>
      <namespace key="2" case="first-letter">User</namespace>
    </namespaces>
  </siteinfo>
"""


@dataclass
class Rev:
    """A revision; `minute` after the first of January 2023. `text` may be HIDDEN, and `by` too."""

    minute: float
    text: str
    by: str = "Ann"


Shape = Literal["0.11", "no sha1", "stub", "0.3"]


def page(title: str, revisions: Iterable[Rev], *, ns: int = 0, shape: Shape = "no sha1", number: int = 1) -> str:
    space = "" if shape == "0.3" else f"<ns>{ns}</ns>"
    body = "".join(revision(rev, 100 * number + index, shape) for index, rev in enumerate(revisions))
    return f"  <page>\n    <title>{escape(title)}</title>{space}<id>{number}</id>\n{body}  </page>\n"


def revision(rev: Rev, number: int, shape: Shape) -> str:
    from pharmakon.collection.dump import base_36

    sha1 = base_36(hashlib.sha1(rev.text.encode()).digest())
    when = datetime.fromtimestamp(START + round(60 * rev.minute), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    is_address = rev.by.replace(".", "").isdigit()
    who = f"<ip>{rev.by}</ip>" if is_address else f"<username>{escape(rev.by)}</username><id>{len(rev.by)}7</id>"
    contributor = '<contributor deleted="deleted" />' if rev.by == HIDDEN else f"<contributor>{who}</contributor>"
    size = len(rev.text.encode())
    model = "" if shape == "0.3" else "<origin>7</origin><model>wikitext</model><format>text/x-wiki</format>"
    if rev.text == HIDDEN:
        text = '<text bytes="9" deleted="deleted" /><sha1 />'
    elif shape == "0.11":
        text = f'<text bytes="{size}" sha1="{sha1}" xml:space="preserve">{escape(rev.text)}</text><sha1>{sha1}</sha1>'
    elif shape == "stub":
        text = f'<text bytes="{size}" sha1="{sha1}" location="tt:{number}" id="{number}" /><sha1>{sha1}</sha1>'
    elif shape == "no sha1":
        text = f'<text bytes="{size}" xml:space="preserve">{escape(rev.text)}</text>'
    else:
        text = f'<text xml:space="preserve">{escape(rev.text)}</text>'
    return (
        f"    <revision><id>{number}</id><parentid>{number - 1}</parentid><timestamp>{when}</timestamp>{contributor}"
        f"<minor /><comment>about &lt;it&gt;</comment>{model}{text}</revision>\n"
    )


def dump(*pages: str) -> str:
    return f"{HEAD}{''.join(pages)}</mediawiki>\n"


PACKED: dict[str, Callable[[bytes], bytes]] = {"xml": bytes, "xml.gz": gzip.compress, "xml.bz2": bz2.compress}


def write(folder: Path, text: str, suffix: str = "xml") -> Path:
    path = folder / f"testwiki-pages-meta-history.{suffix}"
    path.write_bytes(PACKED[suffix](text.encode()))
    return path
