"""The log-probability of a given text from a completion that echoes its prompt, as OpenAI's legacy API defined it."""

from __future__ import annotations

import math
from typing import Any


class NotGiven(Exception):
    """The server's answer does not hold what is needed; the message says what is missing."""


def completion_logprob(choice: Any, prompt: str, completion: str) -> float:
    """The sum over the tokens of which any character lies in the completion.

    A token on the boundary counts, as it does for a local model. What was generated behind the completion does not.
    """
    given = getattr(choice, "logprobs", None)
    if given is None:
        raise NotGiven("its completions have no logprobs")
    whole = prompt + completion
    if not (getattr(choice, "text", None) or "").startswith(whole):
        raise NotGiven("it does not echo the prompt")
    tokens, values = (list(getattr(given, name, None) or ()) for name in ("tokens", "token_logprobs"))
    if not tokens or len(tokens) != len(values):
        raise NotGiven("its logprobs have no tokens and token_logprobs")
    starts = _starts(tokens, list(getattr(given, "text_offset", None) or ()), whole)
    total = 0.0
    for start, end, value in zip(starts, [*starts[1:], len(whole) + 1], values, strict=True):
        if end <= len(prompt) or start >= len(whole):
            continue
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise NotGiven("a token of the completion has no log-probability; is there a prompt before it?")
        total += float(value)
    return total


def _starts(tokens: list[Any], offsets: list[Any], whole: str) -> list[int]:
    """Where each token begins in the text; below 0 for what stands before it, such as a beginning-of-text token."""
    spelled = "".join(map(str, tokens))
    at = spelled.find(whole)
    if at >= 0:
        starts, place = [], -at
        for token in tokens:
            starts.append(place)
            place += len(str(token))
        return starts
    # Parts of a character are not spelled as text: then the server's own offsets, unless they count a token before it.
    if len(offsets) == len(tokens) and whole.startswith(str(tokens[0])) and offsets == sorted(offsets):
        return [int(offset) - int(offsets[0]) for offset in offsets]
    raise NotGiven("its tokens do not add up to the text")
