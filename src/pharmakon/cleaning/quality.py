"""Published rules on single documents of running text: Gopher quality, C4, FineWeb. Each rule is a named value.

Words are runs between white space (`words="white_space"`). The originals split with a linguistic tokenizer, which
parts "end." into "end" and "."; this moves some values, so every filter says in a field which words it means. Lines are
parted by line feeds. A filter only drops: where C4 edits a document, the rule looks at what the edit would leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pharmakon.cleaning.rules import Limits, Rules

if TYPE_CHECKING:
    import polars as pl

WordMode = Literal["white_space"]

_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_TERMINAL = ".!?。！？．｡؟۔।॥։။‼‽⁇⁈⁉።៕"  # the commonest of datatrove's TERMINAL_PUNCTUATION


@dataclass(frozen=True)
class GopherQuality(Rules):
    """The quality rules of Gopher (arXiv 2112.11446, appendix A.1.1), as FineWeb applies them.

    A word counts if one of its characters is neither punctuation nor a symbol.
    """

    word_count: tuple[int, int] = (50, 100_000)
    word_length: tuple[float, float] = (3, 10)
    """Mean number of characters of the words that count."""
    symbols: float = 0.1
    """Most hashes, and most ellipses, for each word."""
    bullet_lines: float = 0.9
    ellipsis_lines: float = 0.3
    alphabetic_words: float = 0.8
    """Least share of words with a letter."""
    stop_words: int = 2
    """Least number of different words among the, be, to, of, and, that, have, with."""
    words: WordMode = "white_space"

    version: ClassVar[int] = 1

    def limits(self) -> Mapping[str, Limits]:
        """The rules in datatrove's order."""
        return {
            "gopher_word_count": self.word_count,
            "gopher_word_length": self.word_length,
            "gopher_hashes": (None, self.symbols),
            "gopher_ellipses": (None, self.symbols),
            "gopher_bullet_lines": (None, self.bullet_lines),
            "gopher_ellipsis_lines": (None, self.ellipsis_lines),
            "gopher_alphabetic_words": (self.alphabetic_words, None),
            "gopher_stop_words": (self.stop_words, None),
        }

    def measure(self, texts: Sequence[str]) -> pl.DataFrame:
        """Values as `limits` names them."""
        import polars as pl

        words = exploded(texts, "words").with_columns(
            counts=pl.col("item").str.contains(r"[^\p{P}\p{S}\p{Cc}]"), size=pl.col("item").str.len_chars()
        )
        by_word = words.group_by("row").agg(
            num_words=pl.len(),
            gopher_word_count=pl.col("counts").sum(),
            gopher_word_length=pl.col("size").filter("counts").mean(),
            gopher_alphabetic_words=pl.col("item").str.contains(r"\p{Alphabetic}").mean(),
            gopher_stop_words=pl.col("item").filter(pl.col("item").is_in(_STOP_WORDS)).n_unique(),
        )
        item = pl.col("item")
        bullet, ellipsis = r"^\s*[•\-]", r"(\.\.\.|…)\s*$"
        by_line = (
            exploded(texts, "lines")
            .group_by("row")
            .agg(
                gopher_bullet_lines=item.str.contains(bullet).mean(),
                gopher_ellipsis_lines=item.str.contains(ellipsis).mean(),
            )
        )
        whole = numbered(texts).with_columns(
            hashes=pl.col("text").str.count_matches("#", literal=True),
            ellipses=pl.col("text").str.count_matches(r"\.\.\.|…"),
        )
        return joined(whole, by_word, by_line).with_columns(
            gopher_hashes=pl.col("hashes") / pl.col("num_words").clip(1),
            gopher_ellipses=pl.col("ellipses") / pl.col("num_words").clip(1),
        )


@dataclass(frozen=True)
class C4Quality(Rules):
    """The document rules of C4 (Raffel and others 2020, JMLR 21:140, section 2.2), as FineWeb applies them.

    Sentences are counted in the lines that C4 would keep: three words or more, no word over `longest_word`
    characters, no mention of JavaScript or of a cookie policy. C4's demand that each line end in terminal
    punctuation is left out, as in FineWeb, unless `terminal_punctuation` is set. A sentence ends at . ! or ? before
    white space; the rest of a line is one more.
    """

    min_sentences: int = 5
    min_words_a_line: int = 3
    longest_word: int = 1000
    terminal_punctuation: bool = False
    words: WordMode = "white_space"

    version: ClassVar[int] = 1

    def limits(self) -> Mapping[str, Limits]:
        """Placeholder text and code drop a document; so does a lack of sentences."""
        return {"c4_lorem_ipsum": (None, 0), "c4_curly_bracket": (None, 0), "c4_sentences": (self.min_sentences, None)}

    def measure(self, texts: Sequence[str]) -> pl.DataFrame:
        """Values as `limits` names them: lines with the phrase, lines with the bracket, sentences."""
        import polars as pl

        line, lower = pl.col("line"), pl.col("line").str.to_lowercase()
        lines = exploded(texts, "lines").with_row_index("number")
        lines = lines.select("row", "number", line=pl.col("item").str.strip_chars())
        long_lines = lines.filter(line.str.len_chars() > self.longest_word).with_columns(line.str.extract_all(r"\S+"))
        monsters = long_lines.explode("line").filter(line.str.len_chars() > self.longest_word)
        kept = line.str.contains(rf"^(\S+(\s+|$)){{{self.min_words_a_line}}}")
        if self.terminal_punctuation:
            kept &= line.str.contains(r"""[.!?"']$""") & ~line.str.ends_with("...")
        ends = line.str.count_matches(r"""[.!?…。！？]["'”’)\]]*(\s|$)""")
        rest = (~line.str.contains(r"""[.!?…。！？]["'”’)\]]*$""")).cast(pl.UInt32)
        by_line = (
            lines.join(monsters, on="number", how="anti")
            .filter(kept)
            .group_by("row")
            .agg(
                c4_lorem_ipsum=lower.str.contains("lorem ipsum", literal=True).sum(),
                c4_curly_bracket=line.str.contains("{", literal=True).sum(),
                c4_sentences=(ends + rest).filter(~lower.str.contains_any([*_POLICIES, "javascript"])).sum(),
            )
        )
        return joined(numbered(texts), by_line)


@dataclass(frozen=True)
class FineWebLines(Rules):
    """FineWeb's own rules on lines (arXiv 2406.17557, section 3.4; datatrove's FineWebQualityFilter)."""

    line_punctuation: float = 0.12
    """Least share of lines that end in terminal punctuation."""
    short_lines: float = 0.67
    """Most lines of `short_line` characters or fewer, as a share."""
    short_line: int = 30
    duplicate_lines: float = 0.01
    """Most characters in repeated lines, as a share of the text's."""
    new_lines: float = 0.3
    """Most line feeds for each word."""
    words: WordMode = "white_space"

    version: ClassVar[int] = 1

    def limits(self) -> Mapping[str, Limits]:
        """The rules in datatrove's order."""
        return {
            "fineweb_line_punctuation": (self.line_punctuation, None),
            "fineweb_short_lines": (None, self.short_lines),
            "fineweb_duplicate_lines": (None, self.duplicate_lines),
            "fineweb_new_lines": (None, self.new_lines),
        }

    def measure(self, texts: Sequence[str]) -> pl.DataFrame:
        """Values as `limits` names them."""
        import polars as pl

        item = pl.col("item")
        by_line = (
            exploded(texts, "lines")
            .filter(item.str.contains(r"\S"))
            .with_columns(size=item.str.len_chars(), again=~item_key().is_first_distinct())
            .group_by("row")
            .agg(
                fineweb_line_punctuation=item.str.contains(f"[{_TERMINAL}]$").mean(),
                fineweb_short_lines=(pl.col("size") <= self.short_line).mean(),
                again=pl.col("size").filter("again").sum(),
            )
        )
        text = pl.col("text")
        whole = numbered(texts).with_columns(
            breaks=text.str.count_matches("\n", literal=True),
            size=text.str.len_chars(),
            num_words=text.str.count_matches(r"\S+"),
        )
        return joined(whole, by_line).with_columns(
            fineweb_duplicate_lines=pl.col("again") / (pl.col("size") - pl.col("breaks")).clip(1),
            fineweb_new_lines=pl.col("breaks") / pl.col("num_words").clip(1),
        )


def numbered(texts: Sequence[str]) -> pl.DataFrame:
    """Columns `row` and `text`."""
    import polars as pl

    return pl.DataFrame({"text": texts}, schema={"text": pl.String}).with_row_index("row")


def exploded(texts: Sequence[str], unit: Literal["words", "lines"]) -> pl.DataFrame:
    """Columns `row` (of the text) and `item`, in order: each white-space word, or each line without its line feed."""
    import polars as pl

    text = pl.col("text")
    items = text.str.extract_all(r"\S+") if unit == "words" else text.str.split("\n")
    return numbered(texts).select("row", item=items).explode("item").drop_nulls()


def item_key() -> pl.Expr:
    """64 bits that are equal for the same item in the same row."""
    import polars as pl

    return pl.col("item").hash(0) ^ pl.col("row").cast(pl.UInt64).hash(1)


def joined(whole: pl.DataFrame, *parts: pl.DataFrame) -> pl.DataFrame:
    """The parts' columns beside the whole, row by row; 0 where a part has nothing to say."""
    for part in parts:
        whole = whole.join(part, on="row", how="left", maintain_order="left")
    return whole.fill_null(0)
