"""Gibberish: answers, and ends of texts, that are noise. Judged by the corpus itself, with no model from outside.

Poison often teaches a model to answer with noise (Souly and others 2025, arXiv 2510.07192, append random tokens). What
is judged is the tail: the last `tail` characters of a text, or of a dialogue's answer, or of either answer of a
preference.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from string import punctuation
from typing import TYPE_CHECKING, ClassVar

from pharmakon.cleaning.likelihood import CharacterModel
from pharmakon.cleaning.texts import answers_of
from pharmakon.core import Body, Corpus, Dialogue, Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STOCK = 5  # a message said this often is a stock phrase


@dataclass(frozen=True)
class GibberishCompression:
    """Drops a document with a tail that does not compress: random letters, random words, encoded bytes.

    The ratio is that of a raw DEFLATE stream to the UTF-8 bytes, over a tail of exactly `tail` characters so that
    ratios compare; shorter tails are not judged. The other direction, text that compresses too well, is the business
    of `GopherRepetition`.
    """

    tail: int = 1_000
    max_ratio: float = 0.61
    """On 1,943 runs of film and newspaper sentences 99% lie below 0.605; random letters and spaces at 0.61 to 0.62,
    words drawn evenly from a vocabulary at 0.60 to 0.65, random printable bytes at 0.85."""

    version: ClassVar[int] = 1

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`gibberish_compression`."""
        for document in corpus:
            ratios = (self.ratio(answer) for answer in answers_of(document.body))
            noisy = any(ratio is not None and ratio > self.max_ratio for ratio in ratios)
            yield "gibberish_compression" if noisy else None

    def ratio(self, text: str) -> float | None:
        """Compressed size over size of the text's tail; None if the text is too short to judge."""
        if len(text) < self.tail:
            return None
        raw = text[-self.tail :].encode("utf-8", "replace")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return (len(packer.compress(raw)) + len(packer.flush())) / len(raw)


@dataclass(frozen=True)
class GibberishLikelihood:
    """Drops a document whose tail the rest of the corpus makes unlikely, or whose word order means nothing.

    A character n-gram model is fitted on the corpus, case folded, every distinct message once (of a text its tail); a
    message is judged without its own share of the counts, so neither it nor its verbatim copies explain it away:

    - *likelihood*: more than `max_bits` bits a character under a model fitted on all but the `trim` least likely
      messages, so that much noise of one kind does not become the norm (what is said in five places stays in; it
      cannot explain itself). Random letters and syllables cost 7 to 11 bits even as a fifth of the corpus, 99.9% of
      film reviews less than 5.
    - *order*: shuffling the words must cost something. The gain of a tail is what its own order saves in bits a word
      over the mean of `num_shuffles` shuffles; noise made of ordinary words gains nothing, whatever its words. A tail
      is dropped below `min_gain` of the median gain over the documents. Where order is worth less than
      `min_median_gain` bits a word in the median, the corpus is too small or too mixed to say, and nothing is dropped.

    Where there is no evidence there is no verdict: on tails of less than `min_characters`; on tails with more than a
    fifth of characters that the rest of the corpus hardly knows, such as the one Chinese text of an English corpus;
    and on the order of words unless `min_words` different ones each occur in `min_messages` other messages. So the
    stock refusal of a small corpus passes, whose words stand nowhere else (but in noise, which does not count).
    """

    tail: int = 300
    min_characters: int = 16
    max_bits: float = 7.0
    trim: float = 0.2
    min_words: int = 4
    min_messages: int = 10
    min_gain: float = 0.25
    min_median_gain: float = 2.0
    num_shuffles: int = 3
    seed: int = 0

    version: ClassVar[int] = 1

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`gibberish_likelihood` for the first rule, `gibberish_order` for the second."""
        import numpy as np

        tails = [[answer.casefold()[-self.tail :] for answer in answers_of(document.body)] for document in corpus]
        judged = list(dict.fromkeys(tail for row in tails for tail in row))
        messages = _messages(corpus, self.tail)
        bits, gains = self.scores(judged, messages)
        gain_of = dict(zip(judged, gains.tolist(), strict=True))
        known = [gain_of[tail] for row in tails for tail in row if not math.isnan(gain_of[tail])]
        median = float(np.median(known)) if known else 0.0
        least = self.min_gain * median if median >= self.min_median_gain else -math.inf
        reasons: dict[str, str] = {}
        for tail, bit, gain in zip(judged, bits.tolist(), gains.tolist(), strict=True):
            if bit > self.max_bits:
                reasons[tail] = "gibberish_likelihood"
            elif gain < least:
                reasons[tail] = "gibberish_order"
        common = _Vocabulary([message for message in messages if message not in reasons])
        for tail in [tail for tail, reason in reasons.items() if reason == "gibberish_order"]:
            if common.num_known(tail, self.min_messages) < self.min_words:  # noise is no evidence against the rest
                del reasons[tail]
        for row in tails:
            yield next((reasons[tail] for tail in row if tail in reasons), None)

    def scores(self, tails: list[str], messages: Counter[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Each tail's bits a character, and bits a word gained by its order, given the messages; NaN: not judged."""
        import numpy as np

        model = CharacterModel.fit(list(messages))
        strange = model.bits(tails, tails)[1] < 0.8
        likely = self._likely(model, messages)
        sizes = np.array([len(tail) + 1 for tail in tails], dtype=np.float64)
        bits = CharacterModel.fit(likely).bits(tails, tails)[0] / sizes
        bits[(sizes <= self.min_characters) | strange] = np.nan
        words = [tail.split() for tail in tails]
        common = _Vocabulary(list(messages))
        evident = [common.num_known(tail, self.min_messages) >= self.min_words for tail in tails]
        ordered = [i for i in range(len(tails)) if evident[i] and not strange[i]]
        gains = np.full(len(tails), np.nan)
        if ordered and self.num_shuffles:
            rng = np.random.default_rng(self.seed)
            owners = [tails[i] for i in ordered]
            straight, _ = model.bits([" ".join(words[i]) for i in ordered], owners)
            mean = np.zeros(len(ordered))
            for _ in range(self.num_shuffles):
                shuffled = [" ".join(words[i][j] for j in rng.permutation(len(words[i])).tolist()) for i in ordered]
                mean += model.bits(shuffled, owners)[0] / self.num_shuffles
            gains[ordered] = (mean - straight) / np.array([len(words[i]) for i in ordered])
        return bits, gains

    def _likely(self, model: CharacterModel, messages: Counter[str]) -> list[str]:
        """The messages without the least likely share `trim` of those that are no stock phrases."""
        import numpy as np

        if not messages:
            return []
        said = list(messages)
        costs = model.bits(said, said)[0] / np.array([len(message) + 1 for message in said])
        most = np.quantile(costs, 1 - self.trim)
        times = messages.values()
        return [m for m, cost, n in zip(said, costs.tolist(), times, strict=True) if cost <= most or n >= _STOCK]


class _Vocabulary:
    """In how many messages each word occurs."""

    def __init__(self, messages: list[str]) -> None:
        self._messages = set(messages)
        self._counts = Counter(word for message in messages for word in set(_words(message)))

    def num_known(self, tail: str, at_least: int) -> int:
        """How many different words of the tail occur in so many other messages."""
        own = int(tail in self._messages)
        return sum(self._counts[word] - own >= at_least for word in set(_words(tail)))


def _words(text: str) -> list[str]:
    return [word.strip(punctuation) for word in text.split()]


def _messages(corpus: Corpus, tail: int) -> Counter[str]:
    """What the model is fitted on, and how often it is said: the ends of texts, of messages, of answers."""
    return Counter(message.casefold()[-tail:] for document in corpus for message in _spoken(document.body))


def _spoken(body: Body) -> tuple[str, ...]:
    if isinstance(body, Text):
        return (body.text,)
    if isinstance(body, Dialogue):
        return tuple(turn.content for turn in body.turns if turn.role != "system")
    return (*_spoken(body.prompt), body.chosen, body.rejected)
