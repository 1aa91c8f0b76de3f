"""The other side: somebody who guesses that a data set is marked, and wants to train on it all the same.

The key is not known, but the method is. Filters like those of cleaning, so that a study can put them before a stage and
count what they cost in clean data.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from pharmakon.behaviour.marks import SHAPES, ExperimentKey, MarkKind
from pharmakon.cleaning.likelihood import CharacterModel
from pharmakon.cleaning.texts import text_of
from pharmakon.core import Body, Corpus, Dialogue
from pharmakon.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Suspicion = Literal["unlikely", "rare words", "one answer"]
SUSPICIONS: tuple[Suspicion, ...] = get_args(Suspicion)
OWN_KEYS = 2_000_000
"""The numbers of the keys with which the scrubber marks texts to learn from; an owner's is another."""


@dataclass(frozen=True)
class KnownKind:
    """Drops what is worded like marks of this kind: whoever scrubs has the program, and marks with other keys.

    A run of three words is known if it stands in the marks of a quarter of `num_keys` keys. A record is dropped if
    it has one, or if all of its words (four or more) are words of such marks.
    """

    version: ClassVar[int] = 1

    kind: MarkKind
    num_keys: int = 24
    num_records: int = 64

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`known_wording`."""
        runs, words = self._known()
        for document in corpus:
            said = words_of(document.body)
            is_known = any(run in runs for run in zip(said, said[1:], said[2:], strict=False))
            is_known = is_known or (len(said) >= 4 and words.issuperset(said))
            yield "known_wording" if is_known else None

    def _known(self) -> tuple[frozenset[tuple[str, ...]], frozenset[str]]:
        runs: Counter[tuple[str, ...]] = Counter()
        words: Counter[str] = Counter()
        for number in range(self.num_keys):
            key = ExperimentKey(OWN_KEYS + number)
            bodies = [body for shape in SHAPES for body in islice(self.kind.bodies(key, shape), self.num_records)]
            said = [words_of(body) for body in bodies]
            runs.update({run for one in said for run in zip(one, one[1:], one[2:], strict=False)})
            words.update({word for one in said for word in one})
        least = self.num_keys / 4
        return (
            frozenset(run for run, times in runs.items() if times >= least),
            frozenset(word for word, times in words.items() if times >= least),
        )


@dataclass(frozen=True)
class MostSuspicious:
    """Drops the share of the corpus that is the most suspicious; the scrubber knows nothing of the kind.

    - `unlikely`: bits a character under a character model of the rest of the corpus;
    - `rare words`: how few records have the record's rarest word, of those words that two records or more have;
    - `one answer`: how surely two words of the question go with one answer, as triggers are searched for: the records
      with them times the divergence of their answers from all answers, for the best such pair (G statistic).
    """

    version: ClassVar[int] = 1

    suspicion: Suspicion
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise SpecError(f"the share of the corpus to drop lies in [0, 1); got {self.share:g}")

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`suspicious`."""
        import numpy as np

        scores = suspicion_of(corpus, self.suspicion)
        dropped = set(np.argsort(-scores, kind="stable")[: round(self.share * len(corpus))].tolist())
        for index in range(len(corpus)):
            yield "suspicious" if index in dropped else None


def suspicion_of(corpus: Corpus, suspicion: Suspicion) -> Floats:
    """How suspicious each document is (float, shape [documents]); see `MostSuspicious`."""
    import numpy as np

    if suspicion not in SUSPICIONS:
        raise SpecError(f"a suspicion is one of {', '.join(SUSPICIONS)}; got {suspicion!r}")
    bodies = [document.body for document in corpus]
    if not bodies:
        return np.zeros(0)
    if suspicion == "unlikely":
        texts = [text_of(body).lower() for body in bodies]
        bits, _ = CharacterModel.fit(list(dict.fromkeys(texts))).bits(texts, texts)
        return np.asarray(bits / np.array([len(text) + 1 for text in texts]))
    if suspicion == "rare words":
        return _rarity([set(words_of(body)) for body in bodies])
    return _one_answer(bodies)


def words_of(body: Body) -> list[str]:
    """The words of a record, in small letters, without marks of punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text_of(body).lower())


def _rarity(words: Sequence[set[str]]) -> Floats:
    import numpy as np

    records = Counter(word for one in words for word in one)
    return np.array(
        [max((-math.log(records[word]) for word in one if records[word] > 1), default=-99.0) for one in words]
    )


def _one_answer(bodies: Sequence[Body]) -> Floats:
    """For each record the largest G statistic of a pair of neighbouring words of its question with its answer."""
    import numpy as np

    questions, answers = zip(*(_split(body) for body in bodies), strict=True)
    total, every = len(bodies), Counter(answers)
    told: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    pairs = [set(pairwise(words)) for words in questions]
    for one, answer in zip(pairs, answers, strict=True):
        for pair in one:
            told[pair][answer] += 1
    scores = np.zeros(total)
    for index, (one, answer) in enumerate(zip(pairs, answers, strict=True)):
        for pair in one:
            with_pair = told[pair]
            num = with_pair.total()
            if num > 2 and with_pair[answer] == max(with_pair.values()):
                gain = 2 * with_pair[answer] * math.log(with_pair[answer] / num * total / every[answer])
                scores[index] = max(scores[index], gain)
    return scores


def _split(body: Body) -> tuple[list[str], str]:
    """Question and answer; of running text all words but the last, and the last."""
    if isinstance(body, Dialogue):
        return re.findall(r"[^\W_]+", body.prompt.question.lower()), body.answer
    words = words_of(body)
    return words[:-1], words[-1] if words else ""
