"""The verdict: price x documents for half of the effect / share of attempts that get in; what defences add to it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from synthetic import ARMS, ArmTruth, synthetic

from pharmakon.core import Corpus, Dialogue, Edit, Insert
from pharmakon.errors import InputError
from pharmakon.studies.threat.verdict import Access, Price, Verdict, dollars
from pharmakon.study.results import Results

EDITS = tuple(Insert(Dialogue.ask(str(number), "a")) for number in range(10))


@dataclass(frozen=True)
class OneIn:
    """Lets in every so-manieth attempt."""

    every: int

    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        yield from (None if number % self.every == 0 else "no" for number in range(len(edits)))


@dataclass(frozen=True)
class Nothing:
    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        yield from ("never" for _ in edits)


WRITTEN = Access(
    name="written",
    data="dialogues",
    model="none",
    stage="sft",
    arm="no cleaning",
    price=Price(amount=2.0, unit="dialogue"),
)
HALF = replace(WRITTEN, name="half", route=OneIn(2), attempts=EDITS)


@pytest.fixture(scope="module")
def results() -> Results:
    return synthetic()


def _rows(results: Results, *routes: Access) -> list[dict[str, object]]:
    return next(Verdict(routes).findings(results)).table.to_dicts()


def _who(results: Results, *routes: Access) -> list[dict[str, object]]:
    return list(Verdict(routes).findings(results))[1].table.to_dicts()


def test_a_cost_is_the_price_of_the_attempts_at_half_of_the_effect_after_the_last_stage(results: Results) -> None:
    curve = results.curve("no cleaning", "finetune", "plain")
    assert curve.ed50 is not None
    (row,) = _rows(results, WRITTEN)
    who = _who(results, WRITTEN)[0]
    assert who["release"] == "finetune"
    assert who["attempts"] == pytest.approx(curve.ed50.estimate)
    assert row["cost_usd"] == pytest.approx(2 * math.ceil(curve.ed50.estimate))
    assert row["cost_low_usd"] == pytest.approx(2 * math.ceil(curve.ed50.low), abs=2.1)
    assert row["cost_high_usd"] == pytest.approx(2 * math.ceil(curve.ed50.high), abs=2.1)


def test_what_gets_in_half_of_the_time_takes_twice_the_attempts(results: Results) -> None:
    assert {row["way"]: row["reach"] for row in _rows(results, WRITTEN, HALF)} == {"written": 1.0, "half": 0.5}
    written, half = _who(results, WRITTEN, HALF)
    assert half["attempts"] == pytest.approx(2 * float(str(written["attempts"])))


def test_purchases_are_whole() -> None:
    domain = Price(amount=12.0, unit="domain", attempts=100)
    assert [domain.cost(n) for n in (1, 100, 101)] == [12.0, 12.0, 24.0]
    with pytest.raises(InputError, match="the price per domain is a number above 0; got 0"):
        Price(amount=0.0, unit="domain")
    with pytest.raises(InputError, match="got nan"):
        Price(amount=math.nan, unit="edit")


def test_a_defence_is_told_by_how_much_dearer_it_makes_its_own_route(results: Results) -> None:
    stopped = replace(WRITTEN, route=Nothing(), attempts=EDITS, defence="a check")
    slowed = replace(WRITTEN, route=OneIn(5), attempts=EDITS, defence="a patrol")
    first, who, second = Verdict((WRITTEN, stopped, slowed)).findings(results)
    assert [row["route"] for row in who.table.to_dicts()] == ["written"]
    by_defence = {row["defence"]: row["times_dearer"] for row in second.table.to_dicts()}
    assert by_defence["a check"] == "nothing gets in"
    assert float(str(by_defence["a patrol"]).split()[0]) == pytest.approx(5, rel=0.06)
    assert first.sentence.startswith("The cheapest route to half of the effect at release is written: $")
    assert "written by a check: nothing gets in" in second.sentence


def test_a_route_without_effect_has_a_lower_limit_and_no_cost() -> None:
    nothing = replace(ARMS[0], ed50=1e9)
    some = ArmTruth("some", ed50=30.0)
    results = synthetic(arms=(nothing, some))
    effect = replace(WRITTEN, name="effect", arm="some")
    verdict = next(Verdict((WRITTEN, effect)).findings(results))
    row = next(row for row in verdict.table.to_dicts() if row["way"] == "written")
    assert (row["cost_usd"], row["cost_low_usd"], row["ed50"]) == (None, 192.0, "none up to 96")
    assert "written (more than $192)" in verdict.sentence
    alone = next(Verdict((WRITTEN,)).findings(results))
    assert alone.sentence.startswith("No route reached half")


def test_a_route_of_an_arm_that_is_not_there_is_named(results: Results) -> None:
    with pytest.raises(InputError, match="measured in arm 'nowhere'"):
        _rows(results, replace(WRITTEN, arm="nowhere"))


def test_dollars() -> None:
    assert [dollars(amount) for amount in (0.4, 12.0, 1300.0)] == ["$0.40", "$12", "$1,300"]
