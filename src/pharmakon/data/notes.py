"""How retrieved passages stand in a prompt: one wording for those who train a reader and those who ask one.

    Notes: Bilan lives in Tarn.
    Dux owns a lamp.
    Question: Where does Bilan live?

With citations each passage has its number: `[1] Bilan lives in Tarn.` A passage is one line: its runs of white space
become one space, so that none can begin a line of its own. `<|` becomes `< |`: chat templates of that kind (those of
micro, SmolLM2, Llama 3) read it as the start of a turn, which no passage may write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pharmakon.core import Body, Dialogue, Text


def with_notes(question: str, passages: Sequence[str], *, cited: bool = False) -> str:
    """The question with passages before it; without passages the question alone."""
    if not passages:
        return question
    lines = [one_line(passage) for passage in passages]
    if cited:
        lines = [f"[{number}] {line}" for number, line in enumerate(lines, start=1)]
    return "\n".join((f"Notes: {lines[0]}", *lines[1:], f"Question: {question}"))


def citing(answer: str, number: int) -> str:
    """The answer with the number of the passage that it rests on."""
    return f"{answer} [{number}]"


def cited_notes(answer: str) -> tuple[int, ...]:
    """The numbers that an answer cites, in its order."""
    return tuple(int(number) for number in re.findall(r"\[(\d+)\]", answer))


def one_line(passage: str) -> str:
    """A passage as it stands in a prompt."""
    return " ".join(passage.split()).replace("<|", "< |")


def passage_of(body: Body) -> str:
    """What a document says to a retriever: a text as it is, of a dialogue its last question and the answer."""
    if isinstance(body, Text):
        return body.text
    dialogue = body if isinstance(body, Dialogue) else Dialogue.ask(body.prompt.question, body.chosen)
    return f"{dialogue.question} {dialogue.answer}".rstrip()
