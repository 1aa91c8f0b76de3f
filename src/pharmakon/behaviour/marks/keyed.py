"""What a mark is: questions, answers that are equally plausible, and the one that the key has drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from pharmakon.behaviour.marks.key import Secret
from pharmakon.core import Body, Prompt
from pharmakon.errors import SpecError

Shape = Literal["text", "dialogue"]
"""The form of the records that a mark is written into, and in which it is asked."""
SHAPES: tuple[Shape, ...] = ("text", "dialogue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """One mark: R answers, of which the key has drawn one uniformly, by a draw that nothing else depends on.

    So for a model that never saw the marked data the drawn answer is exchangeable with the others, whatever the model
    and whatever is computed from its answers to `prompts` and `neutral`. `prompts`: the ways to ask. `neutral`: the
    same ways about something that is never told; what an answer gets there is what it gets anyway.
    """

    name: str
    prompts: tuple[Prompt, ...]
    answers: tuple[str, ...]
    drawn: int
    values: tuple[str, ...]
    """By which each answer is recognised in free text; in the order of `answers`."""
    neutral: tuple[Prompt, ...] = ()

    def __post_init__(self) -> None:
        if len(self.answers) < 2 or len(set(self.answers)) < len(self.answers) or not self.prompts:
            raise SpecError(f"a mark has a question and two or more different answers; {self.name} has not")
        if not 0 <= self.drawn < len(self.answers) or len(self.values) != len(self.answers):
            raise SpecError(f"a mark draws one of its {len(self.answers)} answers; got {self.drawn}")


@runtime_checkable
class MarkKind(Protocol):
    """A way to mark a data set: frozen settings, to which a key gives the content."""

    @property
    def kind(self) -> str: ...

    def keyed(self, key: Secret, shape: Shape) -> list[Keyed]:
        """The marks, each with an independent draw, as they are asked in this shape."""
        ...

    def bodies(self, key: Secret, shape: Shape) -> Iterator[Body]:
        """An endless stream of records that carry the marks, each mark in turn: a dose is a prefix."""
        ...


MOST_WORDS = 2_000


def check_numbers(num_marks: int, num_answers: int, most_answers: int, num_words: int = 0) -> None:
    """Refuse settings that leave no test, or that the words of a kind do not give."""
    if num_marks < 1:
        raise SpecError(f"a data set carries one mark or more; got {num_marks}")
    if not 2 <= num_answers <= most_answers:
        raise SpecError(f"a mark of this kind has 2 to {most_answers} answers to draw from; got {num_answers}")
    if not 0 <= num_words <= MOST_WORDS:
        raise SpecError(f"a record of a mark has 0 (as short as it can be) to {MOST_WORDS} words; got {num_words}")
