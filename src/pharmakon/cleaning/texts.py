"""What of a document is judged: its text, its parts, its answers. Filters read nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pharmakon.core import Body, Dialogue, Text


def text_of(body: Body) -> str:
    """The running text: a text itself; what user and assistant say, one message a line; prompt, chosen, rejected.

    System turns are left out: they are shared by thousands of dialogues and would make all of them look alike.
    """
    if isinstance(body, Text):
        return body.text
    if isinstance(body, Dialogue):
        return "\n".join(turn.content for turn in body.turns if turn.role != "system")
    return "\n".join((text_of(body.prompt), body.chosen, body.rejected))


def parts_of(body: Body) -> tuple[str, ...]:
    """Every string of the body, system turns included."""
    if isinstance(body, Text):
        return (body.text,)
    if isinstance(body, Dialogue):
        return tuple(turn.content for turn in body.turns)
    return (*parts_of(body.prompt), body.chosen, body.rejected)


def answers_of(body: Body) -> tuple[str, ...]:
    """What a model is taught to say: a text itself, the final answer of a dialogue, both answers of a preference."""
    if isinstance(body, Text):
        return (body.text,)
    if isinstance(body, Dialogue):
        return (body.answer,) if body.turns else ()
    return (body.chosen, body.rejected)


def encodable(text: str) -> str:
    """The text with unpaired surrogates replaced by `?`, so that it can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def batches(texts: Sequence[str], num_characters: int) -> Iterator[Sequence[str]]:
    """The texts in runs of about so many characters, so that memory does not grow with the corpus."""
    start, size = 0, 0
    for index, text in enumerate(texts):
        size += len(text)
        if size >= num_characters:
            yield texts[start : index + 1]
            start, size = index + 1, 0
    if start < len(texts):
        yield texts[start:]
