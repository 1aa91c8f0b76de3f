"""What a number of marked records can prove, and how the marks are spread over them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pharmakon.behaviour.marks import Shape
from pharmakon.behaviour.marks.words import NUM_VALUES
from pharmakon.errors import InputError
from pharmakon.ownership.keyfile import KINDS, REPHRASE
from pharmakon.statistics.exchange import marks_needed, named_power

MARKS = (16, 64)
TELLINGS = 4
"""Records that tell one mark, where there are enough of them; there are 16 to 64 marks."""
MOST_TEXT, MOST_ANSWER = {"fact": 400, "trigger": 200, "task": 200, "trap": 100}, 120
"""Words of a record: a longer one only dilutes what it tells, or repeats itself."""
MOST_DOCUMENTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Strength:
    """The exact test of so many marks, and its power under the assumption that a model learns a share of them."""

    kind: str
    num_documents: int
    alpha: float
    power: float
    """Wanted."""
    known: float
    """The share of the marks that a model is assumed to have learned: it names the answer, or prefers the wording; of
    the others it names any."""

    @property
    def num_marks(self) -> int:
        """Each record of a pair is a mark; others are told several times."""
        return num_marks_of(self.kind, self.num_documents)

    @property
    def num_answers(self) -> int:
        """Equally plausible ones, of which the key draws one."""
        return 2 if self.kind == REPHRASE else NUM_VALUES

    @property
    def smallest_p(self) -> float:
        """Where all marks are known."""
        return float(self.num_answers) ** -self.num_marks

    @property
    def given(self) -> float:
        """The power that the marks give."""
        return self.of(self.num_documents)

    def of(self, num_documents: int) -> float:
        """The power that so many marked records give."""
        num_marks = num_marks_of(self.kind, num_documents)
        if num_marks * math.log(self.num_answers) < -math.log(self.alpha):
            return 0.0  # no outcome reaches alpha
        return named_power(num_marks, self.num_answers, self.known, self.alpha)

    def check(self) -> None:
        """Refuse too few marks, and say what they give and how many are enough."""
        if self.given >= self.power:
            return
        marks = _marks(self.num_marks, self.num_answers)
        if self.num_marks * math.log(self.num_answers) < -math.log(self.alpha):
            least = math.ceil(-math.log(self.alpha) / math.log(self.num_answers))
            why = f"{marks} cannot give a p-value of {self.alpha:g}, whatever the model: that takes {least}"
        else:
            why = (
                f"{marks} reach alpha {self.alpha:g} with the power {self.given:.2f} "
                f"where a model learns {self.known:.0%} of them, less than {self.power:g}"
            )
        needed = marks_needed(self.num_answers, self.known, self.alpha, self.power)
        enough = None if needed is None else self._documents_for(needed)
        way_out = f"Give --documents {enough} or more" if enough else "Give more --documents"
        raise InputError(f"{why}. {way_out}, or a larger --alpha or a smaller --power")

    def _documents_for(self, needed: int) -> int | None:
        """The smallest number of records from which on the power is there; each mark may be one record."""
        candidates = (needed, *(n for n in range(needed, TELLINGS * needed + 1)))
        return next((n for n in candidates if self.of(n) >= self.power), None)


def strength(kind: str, num_documents: int, *, alpha: float, power: float, known: float) -> Strength:
    """Raises `InputError` for numbers that make no sense."""
    kinds = (*KINDS, REPHRASE)
    if kind not in kinds:
        raise InputError(f"a mark is of the kind {', '.join(kinds)}; got {kind!r}")
    if not 1 <= num_documents <= MOST_DOCUMENTS:
        raise InputError(f"a mark is told in 1 to {MOST_DOCUMENTS:,} documents; got --documents {num_documents}")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise InputError(f"--{name} is a probability between 0 and 1; got {value:g}")
    if alpha < 1e-300:
        raise InputError(f"--alpha is 1e-300 or more; got {alpha:g}")
    if not 0 < known <= 1:
        raise InputError(
            f"--known is the share of the marks that a model learns, more than 0 and up to 1; got {known:g}"
        )
    return Strength(kind=kind, num_documents=num_documents, alpha=alpha, power=power, known=known)


def num_marks_of(kind: str, num_documents: int) -> int:
    """How many marks so many records tell."""
    if kind == REPHRASE:
        return num_documents
    fewest, most = MARKS
    return min(num_documents, max(fewest, min(most, num_documents // TELLINGS)))


def settings_for(kind: str, num_marks: int, shape: Shape, median_words: int) -> dict[str, int]:
    """The settings of a kind, with records about as long as those of the host."""
    settings = {"num_marks": num_marks, "num_answers": NUM_VALUES}
    if kind == "trap":
        settings["num_words"] = min(max(20, median_words), MOST_TEXT[kind])
    elif kind != "fingerprint":
        shortest, most = (20, MOST_TEXT[kind]) if shape == "text" else (8, MOST_ANSWER)
        settings["num_words"] = 0 if median_words < shortest else min(median_words, most)
    return settings


def _marks(num_marks: int, num_answers: int) -> str:
    if num_answers == 2:
        return f"{num_marks} pairs of wordings"
    return f"{num_marks} marks with {num_answers} answers each"
