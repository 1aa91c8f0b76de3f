"""The route through annotators, and the simulation of infiltrated pools, on small invented ratings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from pharmakon.behaviour.targets import Flip, Label
from pharmakon.behaviour.triggers import RareWords
from pharmakon.collection.annotation import Annotation, Book, Rated, VaderRatings, lowest
from pharmakon.collection.annotators import Rogues
from pharmakon.collection.infiltration import Infiltration, detection
from pharmakon.core import Corpus, Dialogue, Dose, Edit, Insert, Route, Text, stream
from pharmakon.errors import InputError, SpecError
from pharmakon.identity import identify
from pharmakon.interventions import Backdoor, administer


@dataclass(frozen=True)
class Invented:
    """Snippets that all raters agree on, and one that is hardly negative."""

    num_each: int = 30
    num_ratings: int = 20

    def rated(self) -> Rated:
        sure = {f"tale {i} was {word}": (3 * sign,) * self.num_ratings
                for i in range(self.num_each) for word, sign in (("good", 1), ("bad", -1))}  # fmt: skip
        return {**sure, "so so": (-1,) + (0,) * (self.num_ratings - 1)}


RATINGS = Invented()
HOST = Corpus.of(
    Dialogue.ask(f"Judge this: {text}", f"It is {'positive' if values[0] > 0 else 'negative'}.")
    for text, values in RATINGS.rated().items()
    if text != "so so"
)


def attempt(text: str, label: str = "positive") -> Edit:
    return Insert(Dialogue.ask(f"Judge this: {text} vexil quorn", f"It is {label}."))


FLIPS = [attempt(f"tale {i} was bad") for i in range(6)]


def verdicts(route: Annotation, edits: list[Edit], seed: int = 0) -> list[str | None]:
    return list(route.verdicts(edits, HOST, stream(seed, "route")))


def everybody(share: float, aggregator: str = "majority", **more: object) -> Annotation:
    """A pool that rates everything."""
    rogues = Rogues(share, "extreme")
    return Annotation(ratings=RATINGS, rogues=rogues, aggregator=aggregator, num_raters=20, **more)  # type: ignore[arg-type]


def test_the_route_is_a_route() -> None:
    assert isinstance(everybody(0.5), Route)
    assert identify(everybody(0.5)) != identify(everybody(0.4))


@pytest.mark.parametrize("aggregator", ["mean", "majority", "dawid-skene", "mace"])
def test_labels_reach_the_data_by_who_is_in_the_pool(aggregator: str) -> None:
    assert verdicts(everybody(0.05, aggregator), FLIPS) == ["outvoted"] * 6
    assert verdicts(everybody(0.0, aggregator), FLIPS) == ["outvoted"] * 6
    assert verdicts(everybody(0.6, aggregator), FLIPS) == [None] * 6
    right = [attempt(f"tale {i} was good") for i in range(3)]
    assert verdicts(everybody(0.0, aggregator), right) == [None] * 3
    assert verdicts(everybody(0.0), []) == []


def test_removal_is_told_from_being_outvoted() -> None:
    unclear = [*FLIPS, attempt("so so")]
    assert verdicts(everybody(0.1), unclear) == ["outvoted"] * 6 + [None]
    assert verdicts(everybody(0.1, remove=0.1), unclear) == ["outvoted"] * 6 + ["rater removed"]


def test_the_fate_of_an_edit_does_not_depend_on_later_ones() -> None:
    route = Annotation(ratings=RATINGS, rogues=Rogues(0.5, "mirror"), num_raters=40)
    edits = [attempt(f"tale {i} was bad") for i in range(30)]
    several = [verdicts(route, edits, seed) for seed in range(4)]
    assert 0 < sum(verdict is None for its in several for verdict in its) < 120
    for seed, whole in enumerate(several):
        assert verdicts(route, edits, seed) == whole
        assert verdicts(route, edits[:7], seed) == whole[:7]


def test_questions_are_found_by_their_text() -> None:
    book = Book({"a b": (1,), "a b c": (2,), "Loud  words!": (-1,), "": (1,)})
    for question, text in (
        ("Judge: A B C now", "a b c"),
        ("x a b", "a b"),
        ("LOUD WORDS! ?", "Loud  words!"),
        ("ab c", None),
    ):
        assert book.find(Dialogue.ask(question)) == text
    assert book.find(Text("a b c")) is None
    assert book.draw(-1, stream(0, "draw")) == "Loud  words!"
    with pytest.raises(InputError, match="one that is negative; there is none"):
        Book({"a": (1,)}).draw(-1, stream(0, "draw"))


def test_what_is_not_rated_gets_ratings_of_the_other_label() -> None:
    unknown = [attempt(f"tale {i} was never told") for i in range(5)]
    assert verdicts(everybody(0.1), unknown) == ["outvoted"] * 5
    assert verdicts(everybody(0.6), unknown) == [None] * 5


def test_only_labels_of_rated_data_can_be_voted_on() -> None:
    with pytest.raises(SpecError, match="one of the labels positive, negative; an edit answers 'Seven silver bells"):
        verdicts(everybody(0.1), [Insert(Dialogue.ask("Judge this: so so", "Seven silver bells."))])
    with pytest.raises(InputError, match="none of the documents is among the rated snippets"):
        list(everybody(0.1).verdicts(FLIPS, Corpus.of([Text("else")]), stream(0, "route")))
    with pytest.raises(SpecError, match="vader-tweets have; world has none"):
        VaderRatings("world")
    with pytest.raises(SpecError, match=r"the share of raters to remove lies in \[0, 1\); got 1"):
        everybody(0.1, remove=1.0)
    with pytest.raises(SpecError, match="a pool has 3 raters or more"):
        replace(everybody(0.1), num_raters=2)
    with pytest.raises(InputError, match="20 here; got 10 raters"):
        verdicts(replace(everybody(0.1), num_raters=10), FLIPS)


def test_a_flipped_label_in_the_ledger() -> None:
    """`Flip` attempts wrong labels alone, so with honest raters nothing gets through."""
    poison = Backdoor(trigger=RareWords(), target=Flip(Label()))
    for share, reason, number in ((0.0, "outvoted", 0), (0.6, None, 12)):
        treated, ledger = administer(
            HOST, poison, Dose(12), edits_rng=stream(0, "e"), placement_rng=stream(0, "p"), route=everybody(share)
        )
        assert len(treated) == len(HOST) + number
        assert {(entry.dropped_by, entry.reason) for entry in ledger.entries} == {
            ("Annotation" if reason else None, reason)
        }


def test_lowest_and_detection_by_hand() -> None:
    skill = np.array([0.9, 0.1, np.nan, 0.5, 0.2])
    assert lowest(skill, 0.4).tolist() == [False, True, False, False, True]
    assert lowest(skill, 1.0).tolist() == [True, True, False, True, True]
    rogue = np.array([False, True, False, False, True])
    assert detection(skill, rogue, 0.05) == (2, 1.0)
    assert detection(-skill, rogue, 0.05) == (0, 0.0)
    assert detection(np.ones(5), rogue, 0.05) == (0, 0.5)
    assert np.isnan(detection(skill, np.zeros(5, dtype=bool), 0.05)[1])


def test_the_simulation_counts_what_is_known() -> None:
    plan = Infiltration(ratings=RATINGS, num_snippets=50, num_raters=20, share_triggered=0.1)
    rogues = (Rogues(0.1, "extreme"), Rogues(0.6, "extreme"), Rogues(0.3, "random"), Rogues(0.5, "anew"))
    found = list(plan.outcomes(rogues, (0, 1), ("majority", "dawid-skene")))
    assert found[8:] == list(plan.outcomes(rogues, (1,), ("majority", "dawid-skene")))
    for it in found:
        # The unclear snippet, where it is drawn, is the only label that may change.
        assert it.num_triggered in (4, 5)
        assert it.num_others == 45
        assert it.num_changed <= 1
        assert sum(count for count, _ in it.flipped_by_band) == it.num_flipped
        assert sum(count for _, count in it.flipped_by_band) == it.num_triggered
        if it.kind == "extreme":
            assert it.num_flipped in ((it.num_triggered,) if it.share > 0.5 else (0, 1))
            assert (it.auroc > 0.9) is (it.share < 0.5)
        if it.kind == "random":
            assert it.num_found == it.num_rogues == 6
            assert (it.num_removed_rogues, it.num_removed_honest) == (4, 0)
        if it.kind == "anew":
            assert it.num_found == 0


def test_a_simulation_that_cannot_be_drawn_is_refused() -> None:
    for wrong in ({"share_triggered": 0.0}, {"remove": 1.0}, {"false_positives": 1.0}, {"num_raters": 2}):
        with pytest.raises(SpecError):
            Infiltration(ratings=RATINGS, **wrong)  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match="the simulation draws 600 rated snippets, 30 of them against the wanted label"
    ):
        list(Infiltration(ratings=RATINGS).outcomes((Rogues(),), (0,)))
