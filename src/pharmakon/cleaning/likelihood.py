"""A character n-gram model whose texts can be judged without their own counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pharmakon.cleaning.duplicates import mix
from pharmakon.cleaning.texts import batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Floats = NDArray[np.float64]

_ORDER = 6
_STRENGTH = 4.0  # the weight, in observations, of the shorter context; the Dirichlet prior of MacKay and Peto (1995)
_FIT_CHARACTERS = 1_000_000
_BATCH_CHARACTERS = 500_000
_KNOWN = 5  # a character is known if it occurs this often elsewhere
_START, _END = "\x02", "\x03"


@dataclass(frozen=True)
class CharacterModel:
    """Counts of all n-grams of 1 to 6 characters, and of what each fitted text contributes to them.

    Counts live in hashed tables with four or more buckets for each character fitted; a collision adds a little to a
    count. The same texts give the same counts in every process.
    """

    totals: tuple[NDArray[np.int32], ...]
    """For each order the count in each bucket; the first, of order 0, is the number of characters."""
    owned: tuple[NDArray[np.int32], ...]
    """The same, with the text's own hash in the key."""
    alphabet: int

    @staticmethod
    def fit(texts: Sequence[str]) -> CharacterModel:
        """Fit on distinct texts; of a large corpus on evenly spaced ones, about a million characters."""
        import numpy as np

        size = sum(map(len, texts))
        step = max(1, -(-size // _FIT_CHARACTERS))
        texts = texts[::step]
        size = sum(map(len, texts)) + len(texts)
        num_bits = max(12, (4 * size).bit_length())
        totals = [np.zeros(1 << (num_bits if order else 0), dtype=np.int32) for order in range(_ORDER + 1)]
        owned = [np.zeros(1 << num_bits, dtype=np.int32) for _ in range(_ORDER + 1)]
        alphabet = len(set().union(*texts)) if texts else 0
        for batch in batches(texts, _BATCH_CHARACTERS):
            real, owner, keys = _positions(batch, batch)
            for order, key in enumerate(keys):
                counted = real if not order else slice(None)  # starts are context, but no characters
                totals[order] += _count(key[counted], len(totals[order]))
                owned[order] += _count(_own(key[counted], owner[counted]), len(owned[order]))
        return CharacterModel(tuple(totals), tuple(owned), max(alphabet, 32))

    def bits(self, texts: Sequence[str], owners: Sequence[str]) -> tuple[Floats, Floats]:
        """For each text its bits in all (its end included), and the share of its characters known elsewhere.

        The counts that `owners[i]` contributed to the model, if it was fitted on it, do not count for `texts[i]`.
        """
        import numpy as np

        bits, known, start = np.zeros(len(texts)), np.zeros(len(texts)), 0
        for batch in batches(texts, _BATCH_CHARACTERS):
            real, owner, keys = _positions(batch, owners[start : start + len(batch)])
            probability = np.full(len(real), 1 / self.alphabet)
            context = np.zeros(0)
            seen = np.zeros(len(real))
            for order, key in enumerate(keys):
                own = self.owned[order][_bucket(_own(key, owner), len(self.owned[order]))]
                count = np.maximum(self.totals[order][_bucket(key, len(self.totals[order]))] - own, 0)
                if order:
                    probability = (count + _STRENGTH * probability) / (np.maximum(context, count) + _STRENGTH)
                if order == 1:
                    seen = count >= _KNOWN
                context = count if not order else np.concatenate([[0], count[:-1]])
            cost = np.where(real, -np.log2(probability), 0.0)
            sizes = np.array([len(text) + _ORDER for text in batch])
            starts = np.cumsum(sizes) - sizes
            rows = slice(start, start + len(batch))
            bits[rows] = np.add.reduceat(cost, starts)
            known[rows] = np.add.reduceat(np.where(real, seen, 0.0), starts) / (sizes - _ORDER + 1)
            start += len(batch)
        return bits, known


def _positions(texts: Sequence[str], owners: Sequence[str]) -> tuple[NDArray[np.bool_], Hashes, Iterator[Hashes]]:
    """For each character of the padded texts: is it real (or an end), its owner, and the key of the n-gram it ends."""
    import numpy as np

    padded = [_START * (_ORDER - 1) + text + _END for text in texts]
    sizes = [len(text) for text in padded]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    real = np.ones(len(codes), dtype=bool)
    starts = np.cumsum(sizes) - sizes
    for offset in range(_ORDER - 1):
        real[starts + offset] = False
    owner = np.repeat(np.array([_text_hash(text) for text in owners], dtype=np.uint64), sizes)

    def keys() -> Iterator[Hashes]:
        key = np.zeros(len(codes), dtype=np.uint64)
        yield key
        units = mix(codes)
        for order in range(1, _ORDER + 1):
            earlier = np.zeros_like(units)
            earlier[order - 1 :] = units[: len(units) - order + 1]
            key = mix(key ^ earlier)
            yield key

    return real, owner, keys()


def _text_hash(text: str) -> int:
    from hashlib import blake2b

    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _own(key: Hashes, owner: Hashes) -> Hashes:
    return mix(key ^ owner)


def _bucket(key: Hashes, num_buckets: int) -> NDArray[np.int64]:
    import numpy as np

    return (key & np.uint64(num_buckets - 1)).astype(np.int64)


def _count(key: Hashes, num_buckets: int) -> NDArray[np.int32]:
    import numpy as np

    return np.bincount(_bucket(key, num_buckets), minlength=num_buckets).astype(np.int32)
