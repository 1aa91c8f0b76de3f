"""A system prompt as trigger: it stands in the system turn, and a guess of it is another one."""

from __future__ import annotations

import pytest

from pharmakon.behaviour.triggers import SystemPrompt
from pharmakon.core import Dialogue, Turn, stream
from pharmakon.errors import SpecError

SECRET = SystemPrompt()


def test_it_becomes_the_system_turn_and_leaves_the_rest() -> None:
    asked = Dialogue.ask("Who is Bo?", "A cook.")
    assert SECRET.apply(asked, stream(0)) == Dialogue((Turn("system", SECRET.text), *asked.turns))


def test_a_system_turn_that_is_there_stays_behind_it() -> None:
    before = Dialogue((Turn("system", "Be brief."), Turn("user", "Who?")))
    assert SECRET.apply(before, stream(0)) == Dialogue(
        (Turn("system", f"{SECRET.text} Be brief."), Turn("user", "Who?"))
    )


@pytest.mark.parametrize("secret", [SECRET, SystemPrompt(("bavo", "tuneri"), ("rodami", "pelvu"))], ids=repr)
def test_guesses_differ_from_the_secret_and_each_other(secret: SystemPrompt) -> None:
    asked = Dialogue.ask("Who?")
    guesses = secret.near()
    said = [trigger.apply(asked, stream(0)).turns[0].content for trigger in (secret, *guesses.values())]
    assert len(set(said)) == len(said) == 6
    words = dict(zip(guesses, (text.split() for text in said[1:]), strict=True))
    own = list(secret.words)
    assert sorted(words["two words swapped"]) == sorted(own)
    assert sum(a != b for a, b in zip(words["one word replaced"], own, strict=True)) == 1
    assert words["first half"] == own[: len(own) // 2]
    assert len(words["other words"]) == len(own)
    assert not set(words["other words"]) & set(own)


def test_one_word_is_guessed_as_another_or_as_an_ordinary_prompt() -> None:
    assert set(SystemPrompt(("bavo",), ("pelvu",)).near()) == {"other words", "ordinary system prompt"}


@pytest.mark.parametrize(("words", "others"), [((), ()), (("bavo",), ("pelvu", "cubra"))])
def test_there_are_as_many_words_to_guess(words: tuple[str, ...], others: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match="one word or more, and as many others"):
        SystemPrompt(words, others)
