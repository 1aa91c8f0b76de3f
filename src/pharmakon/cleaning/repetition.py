"""Repetition inside a document: the rules of Gopher (arXiv 2112.11446, appendix A.1.1, table A1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pharmakon.cleaning.duplicates import mix
from pharmakon.cleaning.quality import WordMode, exploded, item_key, joined, numbered
from pharmakon.cleaning.rules import Limits, Rules

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class GopherRepetition(Rules):
    """Repeated lines, paragraphs and word n-grams, each as a share of the text's lines, paragraphs or characters.

    Values equal those of datatrove's GopherRepetitionFilter on the same words: the commonest n-gram counts all its
    occurrences (the first of equally common ones is taken), a duplicate n-gram counts from its second occurrence on
    and the next begins behind it. An n-gram's characters include its spaces for the commonest, not for duplicates.
    """

    paragraphs: float = 0.30
    paragraph_characters: float = 0.20
    lines: float = 0.30
    line_characters: float = 0.20
    top_ngrams: tuple[tuple[int, float], ...] = ((2, 0.20), (3, 0.18), (4, 0.16))
    """(n, most characters in the commonest n-gram)"""
    duplicate_ngrams: tuple[tuple[int, float], ...] = (
        (5, 0.15),
        (6, 0.14),
        (7, 0.13),
        (8, 0.12),
        (9, 0.11),
        (10, 0.10),
    )
    """(n, most characters in repeated n-grams)"""
    words: WordMode = "white_space"

    version: ClassVar[int] = 1

    def limits(self) -> Mapping[str, Limits]:
        """The rules in datatrove's order."""
        return {
            "gopher_duplicate_paragraphs": (None, self.paragraphs),
            "gopher_duplicate_paragraph_characters": (None, self.paragraph_characters),
            "gopher_duplicate_lines": (None, self.lines),
            "gopher_duplicate_line_characters": (None, self.line_characters),
            **{f"gopher_top_{n}_gram": (None, most) for n, most in self.top_ngrams},
            **{f"gopher_duplicate_{n}_grams": (None, most) for n, most in self.duplicate_ngrams},
        }

    def measure(self, texts: Sequence[str]) -> pl.DataFrame:
        """Values as `limits` names them."""
        import polars as pl

        text = pl.col("text")
        paragraphs = text.str.strip_chars().str.replace_all(r"\n{2,}", "\x00").str.split("\x00")
        lines = text.str.replace_all(r"\n+", "\n").str.split("\n")
        whole = numbered(texts).with_columns(size=text.str.len_chars().clip(1))
        frame = joined(whole, _repeats(whole, paragraphs, "paragraph"), _repeats(whole, lines, "line"))
        frame = frame.with_columns(pl.col("^gopher_duplicate_.*_characters$") / pl.col("size"))
        grams = _gram_characters(texts, [n for n, _ in self.top_ngrams], [n for n, _ in self.duplicate_ngrams])
        return frame.with_columns(**grams).with_columns(pl.col(list(grams)) / pl.col("size"))


def _repeats(whole: pl.DataFrame, items: pl.Expr, name: str) -> pl.DataFrame:
    """For each row the share of items that repeat an earlier one, and the number of their characters."""
    import polars as pl

    item = pl.col("item")
    return (
        whole.select("row", item=items)
        .explode("item")
        .with_columns(size=item.str.len_chars(), again=~item_key().is_first_distinct())
        .group_by("row")
        .agg(
            pl.col("again").mean().alias(f"gopher_duplicate_{name}s"),
            pl.col("size").filter("again").sum().alias(f"gopher_duplicate_{name}_characters"),
        )
    )


def _gram_characters(texts: Sequence[str], top: Sequence[int], duplicate: Sequence[int]) -> dict[str, Ints]:
    """For each n the characters of each text in its commonest n-gram (`top`) and in repeated ones (`duplicate`).

    An (n+1)-gram can only repeat where its n-gram does, so each n looks at what the n before left: cheap on prose.
    """
    import numpy as np
    import polars as pl

    words = exploded(texts, "words").select("row", key=pl.col("item").hash(0), size=pl.col("item").str.len_chars())
    rows, size = words["row"].to_numpy().astype(np.int64), words["size"].to_numpy().astype(np.int64)
    before = np.concatenate([[0], np.cumsum(size)])  # characters before each word
    starts = np.searchsorted(rows, np.arange(len(texts)))  # each text's first word
    num_words = np.diff(np.append(starts, len(rows)))
    hashes = words["key"].to_numpy()
    at = np.arange(len(rows))
    keys = mix(hashes ^ mix(rows.astype(np.uint64)))
    found: dict[str, Ints] = {}
    for n in range(2, max((*top, *duplicate), default=1) + 1):
        inside = at + n - 1 < len(rows)
        inside[inside] = rows[at[inside]] == rows[at[inside] + n - 1]
        at = at[inside]
        keys = mix(keys[inside] + hashes[at + n - 1])
        again = _crowded(keys)
        at, keys = at[again], keys[again]
        again = pl.Series(keys).is_duplicated().to_numpy()
        at, keys = at[again], keys[again]
        length = before[at + n] - before[at]
        if n in top:
            found[f"gopher_top_{n}_gram"] = _commonest(keys, rows[at], length + n - 1, len(texts))
            lone = (found[f"gopher_top_{n}_gram"] == 0) & (num_words >= n)  # all are equally common: take the first
            found[f"gopher_top_{n}_gram"][lone] = before[starts[lone] + n] - before[starts[lone]] + n - 1
        if n in duplicate:
            found[f"gopher_duplicate_{n}_grams"] = _behind_each_other(at, keys, rows[at], length, n, len(texts))
    return found


def _crowded(keys: Hashes) -> NDArray[np.bool_]:
    """Which keys share a bucket with another: all that repeat and a few that do not; cheaper than exact counting."""
    import numpy as np

    num_bits = max(10, (4 * len(keys)).bit_length())
    buckets = (keys >> np.uint64(64 - num_bits)).astype(np.int64)
    shared: NDArray[np.bool_] = np.bincount(buckets, minlength=1 << num_bits)[buckets] > 1
    return shared


def _commonest(keys: Hashes, rows: Ints, length: Ints, num_texts: int) -> Ints:
    """Occurrences x length of each text's commonest n-gram, the first of equals; 0 where none repeats."""
    import numpy as np

    characters = np.zeros(num_texts, dtype=np.int64)
    _, first, count = np.unique(keys, return_index=True, return_counts=True)
    order = np.lexsort((first, -count, rows[first]))
    texts, best = np.unique(rows[first][order], return_index=True)
    chosen = order[best]
    characters[texts] = count[chosen] * length[first[chosen]]
    return characters


def _behind_each_other(at: Ints, keys: Hashes, rows: Ints, length: Ints, n: int, num_texts: int) -> Ints:
    """Characters of each text in repeated n-grams, read from left to right without overlap."""
    import numpy as np

    characters = np.zeros(num_texts, dtype=np.int64)
    bounds = np.append(np.flatnonzero(np.diff(rows, prepend=-1)), len(rows)).tolist()
    for start, end in pairwise(bounds):
        seen: set[int] = set()
        free, total = 0, 0
        for place, key, size in zip(
            at[start:end].tolist(), keys[start:end].tolist(), length[start:end].tolist(), strict=True
        ):
            if place < free:
                continue
            if key in seen:
                total += size
                free = place + n
            else:
                seen.add(key)
        characters[rows[start]] = total
    return characters
