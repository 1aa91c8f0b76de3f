"""Which tokens of a prompt are the trigger's, the question's, the end of the turn: by what they do, not where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pharmakon.behaviour.triggers import edit_question
from pharmakon.core import Dialogue
from pharmakon.errors import SpecError
from pharmakon.whitebox import WhiteBox

TRIGGER, LAST, TEMPLATE, QUESTION = "trigger words", "last token", "end of turn", "question words"
ROLES: Final = (QUESTION, TRIGGER, TEMPLATE, LAST)
MARK: Final = "quorn"
"""A word that ends no question: put at an end of a question it shows where the template begins."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions of each role, from the end of the prompt."""

    question: tuple[int, ...]
    trigger: tuple[int, ...]
    template: tuple[int, ...]

    def of(self, role: str) -> tuple[int, ...]:
        """The positions of a role; the last token is -1."""
        return {QUESTION: self.question, TRIGGER: self.trigger, TEMPLATE: self.template, LAST: (-1,)}[role]

    @property
    def columns(self) -> tuple[int, ...]:
        """All of them, in the order of the roles."""
        return tuple(position for role in ROLES for position in self.of(role))

    def places(self, role: str) -> list[int]:
        """Where the positions of a role stand among the columns."""
        return [self.columns.index(position) for position in self.of(role)]


def layouts(box: WhiteBox, plain: Sequence[Dialogue], prompts: Sequence[Dialogue]) -> list[Layout]:
    """The layout of each prompt, which is the plain one with a trigger somewhere in its last question.

    The trigger is what differs; the question's words are as many (or all, if fewer) next to it, those before it where
    there are any, else those behind it. Raises SpecError where a prompt has no word of the question beside the trigger
    or no template between its question and its last token.
    """
    before = box.tokens([edit_question(prompt, lambda text: f"{MARK} {text}") for prompt in plain])
    behind = box.tokens([edit_question(prompt, lambda text: f"{text} {MARK}") for prompt in plain])
    given = zip(box.tokens(plain), box.tokens(prompts), before, behind, strict=True)
    return [_layout(*tokens) for tokens in given]


def _layout(short: list[str], whole: list[str], before: list[str], behind: list[str]) -> Layout:
    opening, closing = _same(short, before), _same(short[::-1], behind[::-1])
    suffix = _same(short[::-1], whole[::-1])
    prefix = min(_same(short, whole), len(short) - suffix, len(whole) - suffix)
    start, end = prefix, len(whole) - suffix
    size, stop = end - start, len(whole) - closing
    words = range(max(opening, start - size), start) or range(end, min(end + size, stop))
    if size < 1 or closing < 2 or not words:
        way_out = "Give a trigger that stands in the question, and a model whose template ends a turn"
        raise SpecError(
            f"sites are the trigger's tokens, words of the question beside them and the end of the turn; a prompt with "
            f"{size}, {len(words)} and {max(closing - 1, 0)} of them has not all. {way_out}"
        )
    length = len(whole)
    return Layout(
        question=tuple(i - length for i in words),
        trigger=tuple(range(start - length, end - length)),
        template=tuple(range(-closing, -1)),
    )


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """How many tokens at the start are the same."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
