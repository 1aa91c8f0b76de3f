"""The API key: read from the environment when a request is made, and struck out of everything that comes back."""

from __future__ import annotations

import os

from pharmakon.errors import InputError

VARIABLES = ("PHARMAKON_API_KEY", "OPENAI_API_KEY")
NO_KEY = "none"
"""What is sent where no variable is set: most local servers ask for no key."""
STRUCK = "[key]"
LONG = 8
"""A shorter value is a placeholder such as EMPTY; striking it out of a model's answers would falsify them."""


def variable() -> str | None:
    """The name of the variable that holds the key."""
    return next((name for name in VARIABLES if os.environ.get(name, "").strip()), None)


def key() -> str:
    """The key to send."""
    name = variable()
    value = os.environ[name].strip() if name else NO_KEY
    if not value.isascii() or not value.isprintable():
        raise InputError(f"the key in {name} has characters that no header can carry; set it again")
    return value


def _known() -> list[str]:
    return [value for name in VARIABLES if (value := os.environ.get(name, "").strip())]


def stands_in(text: str) -> bool:
    """A key stands in this text."""
    return any(value in text for value in _known() if len(value) >= LONG)


def scrub(text: str, *, shortest: int = LONG) -> str:
    """The text without any key of so many characters or more."""
    for value in _known():
        if len(value) >= shortest:
            text = text.replace(value, STRUCK)
    return text
