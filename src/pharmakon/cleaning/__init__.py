"""Cleaning: filters that judge a corpus blinded, each verdict with its reason. Start with `clean` and `profile`."""

from pharmakon.cleaning.chain import Chain, Verdict, clean
from pharmakon.cleaning.duplicates import ExactDuplicates, NearDuplicates
from pharmakon.cleaning.gibberish import GibberishCompression, GibberishLikelihood
from pharmakon.cleaning.language import Language
from pharmakon.cleaning.length import Words
from pharmakon.cleaning.phrases import Phrases
from pharmakon.cleaning.profiles import DIALOGUES_V1, PROFILES, TEXT_V1, profile
from pharmakon.cleaning.quality import C4Quality, FineWebLines, GopherQuality
from pharmakon.cleaning.repetition import GopherRepetition
from pharmakon.cleaning.unicode import OddUnicode

__all__ = [
    "DIALOGUES_V1",
    "PROFILES",
    "TEXT_V1",
    "C4Quality",
    "Chain",
    "ExactDuplicates",
    "FineWebLines",
    "GibberishCompression",
    "GibberishLikelihood",
    "GopherQuality",
    "GopherRepetition",
    "Language",
    "NearDuplicates",
    "OddUnicode",
    "Phrases",
    "Verdict",
    "Words",
    "clean",
    "profile",
]
