"""Canaries cross their factors evenly, stand where they are meant to, and are measured as defined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice
from zlib import crc32

import numpy as np
import pytest

from pharmakon.behaviour.canaries import LENGTHS, PLACES, PREFIX, RARITIES, REPEATS, TIMES, Canary, drawn, grid, one_at
from pharmakon.core import Corpus, Dialogue, Dose, Insert, Ledger, Prompt, Text, stream
from pharmakon.data.world import WorldText
from pharmakon.errors import SpecError
from pharmakon.interventions import Canaries, administer
from pharmakon.interventions.canaries import carried
from pharmakon.probes import Memorized

HOST = Corpus.of([Text(f"One is {n}. Two is {n}. Three is {n}.") for n in range(50)])


def _factors(canary: Canary) -> dict[str, object]:
    return {
        "rarity": canary.rarity, "words": len(canary.target), "place": canary.place, "time": canary.time,
        "repeats": canary.repeats,
    }  # fmt: skip


def _cell(canary: Canary) -> tuple[object, ...]:
    return canary.rarity, len(canary.target), canary.place, canary.time


def test_nine_draws_cross_every_cell_with_every_number_of_repeats() -> None:
    every = [canary for draw in range(9) for canary in grid(draw)]
    assert len(every) == 9 * len(RARITIES) * len(LENGTHS) * len(PLACES) * len(TIMES)
    assert set(Counter((*_cell(canary), canary.repeats) for canary in every).values()) == {1}
    for draw in range(9):
        own = grid(draw)
        for level in (lambda c: c.rarity, lambda c: len(c.target), lambda c: c.place, lambda c: c.time):
            for value in {level(canary) for canary in own}:
                assert {canary.repeats for canary in own if level(canary) == value} == set(REPEATS)
        assert len({sum(c.repeats for c in own if c.time == time) for time in TIMES}) == 1
    assert not {canary.text for canary in grid(0)} & {canary.text for canary in grid(1)}
    assert grid(3) == grid(3)


def test_documents_carry_each_canary_as_often_as_it_says_and_where() -> None:
    host = WorldText(num_documents=200).corpus(stream(0, "h"))
    poison = Canaries(grid(0))
    _, ledger = administer(
        host, Canaries(grid(0)[:6]), Dose(Canaries(grid(0)[:6]).num_documents),
        edits_rng=stream(0, "e"), placement_rng=stream(0, "p"),
    )  # fmt: skip
    texts = [entry.body.text for entry in ledger.entries if isinstance(entry.body, Text)]
    for canary in grid(0)[:6]:
        assert sum(canary.text in text for text in texts) == canary.repeats
    assert poison.num_documents == 6 * sum(REPEATS)
    for canary in grid(0)[:9]:
        text = carried(canary, "Ann is a baker. Ann lives in Pell. Ann has a kite.")
        assert text.startswith(canary.text) == (canary.place == "start")
        assert text.endswith(canary.text + ".") == (canary.place == "end")
        assert all(part in text for part in ("Ann is a baker", "Ann has a kite"))
    with pytest.raises(SpecError, match="Text alone"):
        next(iter(poison.edits(Corpus.of([Dialogue.ask("a", "b")]), stream(0, "e"))))
    with pytest.raises(SpecError, match="one or more"):
        Canaries(())


@dataclass(frozen=True)
class Remembers:
    """Knows some texts by heart; all else is as likely as it is long."""

    known: tuple[str, ...]

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        said = []
        for prompt in prompts:
            assert isinstance(prompt, Text)
            text = next((text for text in self.known if text.startswith(prompt.text)), "")
            said.append(text[len(prompt.text) :].strip() + ". And so on")
        return said

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        whole = [prompt.text + text for prompt, text in pairs if isinstance(prompt, Text)]
        return [-1.0 if text in self.known else -50.0 - (crc32(text.encode()) % 100_003) / 10_000 for text in whole]


def test_what_is_known_by_heart_is_extracted_exact_and_exposed_and_what_is_not_is_not() -> None:
    canaries = grid(0)[:20]
    known = Remembers(tuple(canary.text for canary in canaries[:10]))
    readings = list(Memorized(canaries, num_others=63).readings(known, Ledger(), stream(0, "r")))
    for number, canary in enumerate(canaries):
        own = {r.condition: r.value for r in readings if r.item == canary.name}
        if number < 10:
            assert own["triggered"] == own["exact"] == 1
            assert own["exposure"] == 6
            assert own["logprob"] == pytest.approx(-1 / len(canary.target))
        else:
            assert own["triggered"] == own["exact"] == 0
            assert 0 <= own["exposure"] <= 6
    assert all(len(canary.prefix) == PREFIX for canary in canaries)


def test_what_was_never_planted_has_the_exposure_of_chance() -> None:
    canaries = tuple(canary for draw in range(9) for canary in grid(draw))
    readings = Memorized(canaries, num_others=255).readings(Remembers(()), Ledger(), stream(0, "r"))
    mean = float(np.mean([r.value for r in readings if r.condition == "exposure"]))
    assert mean == pytest.approx(1.44, abs=0.25)


@pytest.mark.parametrize("draw", [0, 1, 5, 107])
def test_within_a_draw_no_factor_is_mixed_with_another_or_with_repeats(draw: int) -> None:
    rows = [_factors(canary) for canary in grid(draw)]
    assert len(rows) == 54
    for one, other in combinations(rows[0], 2):
        meetings = Counter((row[one], row[other]) for row in rows)
        assert len(set(meetings.values())) == 1, (one, other)
        assert len(meetings) == len({row[one] for row in rows}) * len({row[other] for row in rows})


def test_others_are_drawn_alike_and_are_never_the_target() -> None:
    canary = replace(grid(0)[0], target=("is",))
    others = canary.others(300, stream(0, "others"))  # 49 words: the target would be among them
    assert len(others) == 300
    assert ("is",) not in others
    assert {len(target) for target in others} == {1}


def test_only_common_words_are_in_the_text_of_the_world() -> None:
    text = {word.strip(".,?") for d in WorldText(num_documents=3_000).corpus(stream(0, "t")) for word in _words(d.body)}
    rng = stream(0, "words")
    assert set(drawn("common words", 200, rng)) <= text
    assert not set(drawn("random characters", 200, rng)) & text
    assert len(set(drawn("rare words", 200, rng)) & text) == 0


def _words(body: object) -> list[str]:
    assert isinstance(body, Text)
    return body.text.split()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("start", "a b. One is 1. Two is 2."),
        ("middle", "One is 1. a b. Two is 2."),
        ("end", "One is 1. Two is 2. a b."),
    ],
)
def test_a_canary_stands_where_it_is_meant_to_and_the_carrier_stays_whole(place: str, said: str) -> None:
    canary = Canary(prefix=("a",), target=("b",), rarity="rare words", place=place, time="early", repeats=1)  # type: ignore[arg-type]
    assert carried(canary, "One is 1. Two is 2.") == said


def test_a_life_with_one_canary_differs_in_nothing_but_the_others() -> None:
    canaries = tuple(canary for canary in grid(0) if canary.repeats <= 8)
    one = next(canary for canary in canaries if canary.repeats == 8)
    number = Canaries(canaries).num_documents
    crowd, alone = _texts(Canaries(canaries), number), _texts(Canaries(canaries, one), number)
    assert [text for text in crowd if one.text in text] == [text for text in alone if one.text in text]
    hosts = {document.body.text for document in HOST if isinstance(document.body, Text)}
    assert sum(text in hosts for text in alone) == number - 8
    assert not any(other.text in text for other in canaries for text in alone if other != one)


def _texts(planted: Canaries, number: int) -> list[str]:
    edits = list(islice(planted.edits(HOST, stream(0, "edits")), number))
    return [edit.body.text for edit in edits if isinstance(edit, Insert) and isinstance(edit.body, Text)]


def test_over_nine_draws_those_that_are_alone_too_have_every_rarity_length_and_place() -> None:
    chosen = [one_at(draw, repeats) for draw in range(9) for repeats in (16, 32, 64)]
    assert all(canary in grid(number // 3) for number, canary in enumerate(chosen))
    assert [canary.repeats for canary in chosen] == 9 * [16, 32, 64]
    assert {canary.time for canary in chosen} == {"uniform"}
    assert set(Counter((canary.rarity, canary.repeats) for canary in chosen).values()) == {3}
    assert len({(canary.rarity, len(canary.target)) for canary in chosen}) == 6
    assert {canary.place for canary in chosen} == set(PLACES)
