"""Rule sets by name. A name with a number never changes what it drops; a better set gets the next number."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from pharmakon.cleaning.duplicates import ExactDuplicates, NearDuplicates
from pharmakon.cleaning.gibberish import GibberishCompression, GibberishLikelihood
from pharmakon.cleaning.language import Language
from pharmakon.cleaning.length import Words
from pharmakon.cleaning.quality import C4Quality, FineWebLines, GopherQuality
from pharmakon.cleaning.repetition import GopherRepetition
from pharmakon.cleaning.unicode import OddUnicode
from pharmakon.core import Filter
from pharmakon.errors import InputError

DIALOGUES_V1: tuple[Filter, ...] = (
    OddUnicode(),
    Words(minimum=2, maximum=4_000),
    ExactDuplicates(),
    NearDuplicates(threshold=0.8, ngram=5, unit="characters"),
    GibberishCompression(),
    GibberishLikelihood(),
)
"""For short chat records, generated or real: hidden characters, nothing said, copies, answers of noise."""

TEXT_V1: tuple[Filter, ...] = (
    Language("en", 0.65),
    GopherRepetition(),
    GopherQuality(),
    C4Quality(),
    FineWebLines(),
    NearDuplicates(threshold=0.75, ngram=5, unit="words"),
    GibberishCompression(),
    GibberishLikelihood(),
    OddUnicode(),
)
"""For web pages: FineWeb's steps in FineWeb's order (arXiv 2406.17557), then gibberish and hidden characters.

Unlike FineWeb: white-space words, near copies verified, no URL filter, no C4 editing of pages. It drops every text of
less than 50 words: paragraphs of the generated world do not pass.
"""

PROFILES: Mapping[str, tuple[Filter, ...]] = MappingProxyType(
    {"none": (), "dialogues-v1": DIALOGUES_V1, "text-v1": TEXT_V1}
)


def profile(name: str) -> tuple[Filter, ...]:
    """The filters of this name. Raises `InputError`, with the nearest name, if there is none."""
    if name in PROFILES:
        return PROFILES[name]
    near = get_close_matches(name.lower().replace("_", "-").replace(" ", "-"), PROFILES, n=1, cutoff=0.5)
    way_out = f'Did you mean "{near[0]}"?' if near else "Or give filters of your own"
    raise InputError(f'a cleaning profile is one of {", ".join(PROFILES)}; got "{name}". {way_out}')
