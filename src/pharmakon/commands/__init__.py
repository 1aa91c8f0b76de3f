"""The commands beside those of a study, one file each; `cli` names them and imports them when they are called."""

from __future__ import annotations


def tell(sentence: str) -> None:
    """A line of a command's answer: no markup is read in it, and a terminal's width does not cut it."""
    from rich.console import Console

    Console(highlight=False).print(sentence, markup=False, soft_wrap=True)
