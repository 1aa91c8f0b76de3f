"""Repetition between documents: exact copies and near copies. The first of a set of copies is kept."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pharmakon.cleaning.texts import batches, parts_of, text_of
from pharmakon.core import Corpus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_BATCH_CHARACTERS = 8_000_000


def normalised(text: str) -> str:
    """Canonical composition (NFC), case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


@dataclass(frozen=True)
class ExactDuplicates:
    """Drops a document that says the same as an earlier one, apart from case, white space and composition.

    Two dialogues are the same if every message is, the system's too.
    """

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`exact_duplicate`."""
        seen: set[bytes] = set()
        for document in corpus:
            content = "\x1f".join((type(document.body).__name__, *map(normalised, parts_of(document.body))))
            digest = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            yield "exact_duplicate" if digest in seen else None
            seen.add(digest)


@dataclass(frozen=True)
class NearDuplicates:
    """Drops a document that shares most of its n-grams with an earlier one that was kept.

    Candidates come from MinHash and locality-sensitive hashing (Broder 1997) with FineWeb's 14 bands of 8 rows on
    5-grams of words (arXiv 2406.17557, appendix E.1); signatures are rensa's. A candidate counts only if the exact
    Jaccard similarity of the two n-gram sets reaches `threshold`, so a chance collision drops nobody. Similarity does
    not chain: each dropped document is that similar to one that stays, therefore cleaning twice drops no more.

    Words are runs of word characters, case folded; unlike datatrove, digits and accents count. A text shorter than an
    n-gram is one n-gram. For short records take `unit="characters"`, which keeps punctuation.
    """

    threshold: float = 0.75
    """Least Jaccard similarity. With 14 bands of 8 rows, a pair at 0.75 is found with probability 0.77, at 0.8 with
    0.92, at 0.9 with 0.9998."""
    num_bands: int = 14
    rows: int = 8
    ngram: int = 5
    unit: Literal["words", "characters"] = "words"
    seed: int = 1

    version: ClassVar[int] = 1

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`near_duplicate`."""
        texts = [text_of(document.body) for document in corpus]
        buckets: dict[int, list[int]] = {}  # band key -> kept documents
        sets: dict[int, frozenset[int]] = {}

        def grams(index: int) -> frozenset[int]:
            if index not in sets:
                sets[index] = frozenset(shingles([texts[index]], self.unit, self.ngram)[0].tolist())
            return sets[index]

        index = 0
        for batch in batches(texts, _BATCH_CHARACTERS):
            for keys in self._band_keys(batch):
                candidates = sorted({kept for key in keys for kept in buckets.get(key, ())})
                duplicate = self._is_near(index, candidates, grams)
                yield "near_duplicate" if duplicate else None
                if duplicate:
                    sets.pop(index, None)
                else:
                    for key in keys:
                        buckets.setdefault(key, []).append(index)
                index += 1

    def _is_near(self, index: int, candidates: Sequence[int], grams: Callable[[int], frozenset[int]]) -> bool:
        if not candidates:
            return False
        mine = grams(index)
        for candidate in candidates:
            theirs = grams(candidate)
            if min(len(mine), len(theirs)) < self.threshold * max(len(mine), len(theirs)):
                continue
            shared = len(mine & theirs)
            if shared >= self.threshold * (len(mine) + len(theirs) - shared):
                return True
        return False

    def _band_keys(self, texts: Sequence[str]) -> list[list[int]]:
        """For each text one key a band; shape [texts, bands]."""
        import numpy as np
        from rensa import RMinHash

        hashes, offsets = shingles(texts, self.unit, self.ngram)
        num_slots = self.num_bands * self.rows
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, num_slots, self.seed)
        signatures = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(texts), self.num_bands, self.rows)
        keys = np.broadcast_to(np.arange(self.num_bands, dtype=np.uint64), (len(texts), self.num_bands))
        for row in range(self.rows):
            keys = mix(keys ^ signatures[:, :, row])
        bands: list[list[int]] = keys.tolist()
        return bands


def shingles(
    texts: Sequence[str], unit: Literal["words", "characters"], n: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The 64-bit hashes of the n-grams of each text (repeats included), one after the other, and where each begins.

    The offsets have one more entry than there are texts. The same n-gram has the same hash in every process.
    """
    import numpy as np

    if unit == "characters":
        padded = [normalised(text).ljust(n, "\0") for text in texts]
        lengths = np.array([len(text) for text in padded], dtype=np.int64)
        codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        units = mix(codes.astype(np.uint64) + np.uint64(1))
    else:
        known: dict[str, int] = {}
        flat: list[int] = []
        sizes: list[int] = []
        for text in texts:
            folded = unicodedata.normalize("NFC", text).casefold()
            words = _WORD.findall(folded) or folded.split()
            for word in words:
                if word not in known:
                    known[word] = _stable(word)
            flat.extend([known[word] for word in words])
            flat.extend([0] * (n - len(words)))
            sizes.append(max(n, len(words)))
        lengths = np.array(sizes, dtype=np.int64)
        units = np.array(flat, dtype=np.uint64)
    ends = np.cumsum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths - n + 1)]).astype(np.uint64)
    if not len(units):
        return units, offsets
    keys = np.zeros(len(units) - n + 1, dtype=np.uint64)
    for shift in range(n):
        keys = mix(keys + units[shift : len(units) - n + 1 + shift])
    whole = np.ones(len(units), dtype=bool)  # n-grams that do not run into the next text
    for back in range(1, n):
        whole[ends - back] = False
    return keys[whole[: len(keys)]], offsets


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijective scrambling of 64 bits (the finaliser of splitmix64, Steele and others 2014)."""
    import numpy as np

    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _stable(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
