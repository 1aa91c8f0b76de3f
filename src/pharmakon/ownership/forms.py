"""Records as they stand in a user's file: in which keys and lists the body is, and how the line is written."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pharmakon.core import Body, Dialogue, Text

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Style:
    """How a line of JSON is written: with spaces or without, other scripts as they are or escaped."""

    spaced: bool = True
    escaped: bool = True  # what any text survives

    def dump(self, record: Mapping[str, Any]) -> str:
        """The record as one line, without its end."""
        separators = (", ", ": ") if self.spaced else (",", ":")
        return json.dumps(record, ensure_ascii=self.escaped, separators=separators)


STYLES = tuple(Style(spaced, escaped) for escaped in (False, True) for spaced in (True, False))


def style_of(line: str, record: object) -> Style | None:
    """The style in which this record is this line, to the letter; None where it is in none."""
    line = line.strip().removeprefix("\ufeff")
    return next((style for style in STYLES if isinstance(record, dict) and style.dump(record) == line), None)


def keys_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys in which the body of a record is, as `data.readers` finds it."""
    given = [key for key, value in record.items() if value is not None]
    if "messages" in given:
        return ("messages",)
    if "prompt" in given:
        return ("prompt", next((key for key in ("completion", "response") if key in given), "completion"))
    return ("text",)


def told_like(record: Mapping[str, Any], body: Body) -> Record:
    """A record of another body in the form of this one: the same keys, lists where it has lists, its system message.

    What else the record has is kept, also in each message.
    """
    new = copy.deepcopy(dict(record))
    if isinstance(body, Text):
        new["text"] = body.text
        return new
    assert isinstance(body, Dialogue)
    keys = keys_of(record)
    if keys == ("messages",):
        new["messages"] = _messages(record["messages"], body)
        return new
    prompt, name = keys
    asked = _messages(record[prompt], body.prompt) if isinstance(record[prompt], list) else body.question
    new[prompt] = asked
    if isinstance(record[name], list):
        answer = _like(record[name], "assistant", body.answer)
        new[name] = [*(asked if len(record[name]) > 1 and isinstance(asked, list) else ()), answer]
    else:
        new[name] = body.answer
    return new


def with_answer(record: Mapping[str, Any], text: str) -> Record:
    """The record with this as its text, or as the answer that ends its dialogue."""
    new = copy.deepcopy(dict(record))
    name = keys_of(record)[-1]
    if isinstance(new[name], list):
        new[name][-1]["content"] = text
    else:
        new[name] = text
    return new


def system_of(body: Body) -> str:
    """The system message with which a dialogue begins, or nothing."""
    return body.turns[0].content if isinstance(body, Dialogue) and body.turns[0].role == "system" else ""


def _messages(given: Sequence[Mapping[str, Any]], body: Dialogue) -> list[Record]:
    system = [copy.deepcopy(dict(message)) for message in given[:1] if message["role"] == "system"]
    return system + [_like(given, turn.role, turn.content) for turn in body.turns]


def _like(given: Sequence[Mapping[str, Any]], role: str, content: str) -> Record:
    """A message with the keys that those of this role have."""
    found = next((message for message in given if message["role"] == role), {"role": role})
    return {**copy.deepcopy(dict(found)), "content": content}
