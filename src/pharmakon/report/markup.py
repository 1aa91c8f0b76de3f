"""HTML from text that is not trusted: everything is escaped unless it is `Html` already."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

NAMED: Final = {"\u200b": "zero-width space", "\u00ad": "soft hyphen", "\u202e": "right-to-left override"}
HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})


class Html(str):
    """Markup that was made here; every other string is text."""

    __slots__ = ()


def hidden(character: str) -> bool:
    """A reader would not see it, or it would move what they see."""
    return character not in "\n\t" and unicodedata.category(character) in HIDDEN


def visible(content: str) -> str:
    """Plain text in which no character is hidden: `<U+200B>`. Safe for a terminal."""
    return "".join(f"<U+{ord(c):04X}>" if hidden(c) else c for c in content)


def text(content: object) -> Html:
    """Escaped text; characters that cannot be seen are shown by their number."""
    if isinstance(content, Html):
        return content
    raw = str(content)
    if raw.isprintable():
        return Html(escape(raw))
    return Html("".join(_shown(c) if hidden(c) else escape(c) for c in raw))


def _shown(character: str) -> str:
    name = NAMED.get(character, unicodedata.name(character, "not a printed character").lower())
    return f'<span class="hidden" title="{escape(name)}">U+{ord(character):04X}</span>'


def tag(name: str, *children: object, **attributes: str | None) -> Html:
    """An element. `class_` is `class`, `data_x` is `data-x`; attributes that are None are left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """One after the other."""
    return Html("".join(text(child) for child in children))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, numeric: Sequence[int] = ()) -> Html:
    """A table that scrolls inside its box where the screen is narrow; `numeric` columns are set to the right."""

    def cells(name: str, row: Sequence[object]) -> Html:
        return join(
            tag(name, cell, class_="num" if i in numeric else None, scope="col" if name == "th" else None)
            for i, cell in enumerate(row)
        )

    body = join(tag("tr", cells("td", row)) for row in rows)
    grid = tag("table", tag("thead", tag("tr", cells("th", head))), tag("tbody", body))
    return tag("div", grid, class_="scroll", tabindex="0")


def cut(content: str, length: int = 600) -> str:
    """The beginning of a long text, and how long it is."""
    return content if len(content) <= length else f"{content[:length]} … ({len(content):,} characters)"


def note(*children: object) -> Html:
    """A paragraph in small print."""
    return tag("p", *children, class_="note")
