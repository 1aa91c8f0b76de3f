"""Pages that change, most of them without malice: what an integrity check has to tell apart.

Measured on images: 14% to 15% of the files of LAION-2B and DataComp-1B had another hash within about a year, while
nearly all of 5% that differed in LAION-400M looked the same (img2dataset pull requests 198 and 258, datacomp issue 67).
Of web pages from 2013 to 2023 a quarter was gone in 2023, of those of 2013 38%, about 5% a year (Pew Research Center
2024, "When online content disappears"). Pages of text change more often than images: in scholarly articles three of
four links lead to other content after some years (Jones and others 2016, PLOS ONE 11:e0167475).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pharmakon.collection.lapse import check_not_negative, check_share
from pharmakon.core import Text, stream
from pharmakon.data.world import WorldText

Near = Literal["date", "counter", "white space", "word"]
NEAR: tuple[Near, ...] = get_args(Near)
"""Changes after which a page says the same."""
PARAGRAPHS = (4, 25)
"""A page has at least the first and less than the second number of paragraphs, of about 17 words each."""
INSERTED = "The old clock in the north tower is made of quartz."
"""What an attacker wants to be learned; it is false of the world, and harmless."""
SLOTS = 128
"""Hashes of a MinHash signature: a similarity is known to about 4 points."""
NGRAM = 5
_MONTHS = ("January", "March", "May", "July", "September", "November")


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How pages change by themselves."""

    version: ClassVar[int] = 1
    change_per_year: float = 0.15
    """Share of the pages that have other bytes after a year."""
    rewritten: float = 0.1
    """Share of the changes after which the page says something else."""
    vanish_per_year: float = 0.05
    """Share of the pages that are gone after a year. They are lost with a check and without."""

    def __post_init__(self) -> None:
        check_share("the share of pages that change in a year", self.change_per_year)
        check_share("the share of changes that rewrite a page", self.rewritten)
        check_share("the share of pages that vanish in a year", self.vanish_per_year)

    def later(self, pages: Sequence[str], years: float, rng: np.random.Generator) -> list[str | None]:
        """Each page after so many years; None where it is gone."""
        check_not_negative("the years between two downloads", years)
        gone = rng.random(len(pages)) < 1 - (1 - self.vanish_per_year) ** years
        changed = rng.random(len(pages)) < 1 - (1 - self.change_per_year) ** years
        rewritten = rng.random(len(pages)) < self.rewritten
        others = written(len(pages), rng)
        kinds = rng.integers(len(NEAR), size=len(pages))
        return [
            None
            if gone[i]
            else page
            if not changed[i]
            else others[i]
            if rewritten[i]
            else near(page, NEAR[kinds[i]], rng)
            for i, page in enumerate(pages)
        ]


def written(count: int, rng: np.random.Generator) -> list[str]:
    """So many pages: a heading, the day of the last change, a number of visits, paragraphs about the world."""
    pool = _paragraphs()
    pages = []
    for number, length in enumerate(rng.integers(*PARAGRAPHS, size=count)):
        body = "\n".join(pool[index] for index in rng.integers(len(pool), size=length))
        head = f"Page {number} of the world\nLast changed on {_date(rng)}. {int(rng.integers(100_000))} visits so far."
        pages.append(f"{head}\n{body}\n")
    return pages


def near(page: str, kind: Near, rng: np.random.Generator) -> str:
    """The page after a change that leaves what it says."""
    if kind == "date":
        return _other(page, r"(?<=Last changed on ).*?(?=\.)", lambda: _date(rng))
    if kind == "counter":
        return _other(page, r"\d+(?= visits)", lambda: str(rng.integers(100_000)))
    if kind == "white space":
        return page.replace("\n", " \n", 1)
    words = page.split(" ")
    place = int(rng.integers(len(words) // 2, len(words)))
    return " ".join((*words[:place], words[place] + "s", *words[place + 1 :]))


def copied(page: str, rng: np.random.Generator) -> str:
    """What an attacker serves who has a copy of the page, from an archive: the page with a sentence of theirs."""
    lines = page.split("\n")
    place = int(rng.integers(2, len(lines)))
    return "\n".join((*lines[:place], INSERTED, *lines[place:]))


def replaced(other: str) -> str:
    """What an attacker serves who has no copy: another page, with the same sentence."""
    return f"{other}{INSERTED}\n"


def signatures(texts: Sequence[str]) -> NDArray[np.uint64]:
    """A MinHash of the 5-grams of words of each text, as a data set's owner could publish it; shape [texts, slots]."""
    from rensa import RMinHash

    grams = []
    for text in texts:
        words = re.findall(r"\w+", text.casefold())
        grams.append([" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))])
    matrix = RMinHash.digest_matrix_from_token_sets(grams, SLOTS, 1)
    return np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(texts), SLOTS)


def similarity(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.float64]:
    """An estimate of the Jaccard similarity of two texts' 5-grams, from their signatures (Broder 1997)."""
    return np.asarray((one == other).mean(axis=-1), dtype=np.float64)


@lru_cache(maxsize=1)
def _paragraphs() -> tuple[str, ...]:
    """What pages are made of, the same for all."""
    corpus = WorldText(num_documents=4_000).corpus(stream(0, "paragraphs"))
    return tuple(document.body.text for document in corpus if isinstance(document.body, Text))


def _date(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(1, 29))} {_MONTHS[int(rng.integers(len(_MONTHS)))]} {int(rng.integers(2015, 2027))}"


def _other(page: str, pattern: str, draw: Callable[[], str]) -> str:
    """The page with the first match of a pattern drawn anew, until it differs."""
    while True:
        changed = re.sub(pattern, draw(), page, count=1)
        if changed != page:
            return changed
