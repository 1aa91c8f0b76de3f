"""Paired rephrasings: two wordings that say the same, of which the key's coin publishes one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

from pharmakon.behaviour.marks import ExperimentKey, RephraseMark
from pharmakon.behaviour.marks.rephrase import carriers, num_sites, paired, sites
from pharmakon.core import Body, Corpus, Dialogue, Dose, Text, Turn, stream
from pharmakon.data.world import WorldDialogues
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import SpecError
from pharmakon.interventions import OwnershipMark, administer
from pharmakon.probes.ownership import answer_scores, verify_scores
from pharmakon.testing import check_intervention

KEY = ExperimentKey(3)


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("We do not know.", [("do not", "don't")]),
        ("We don’t know.", [("do not", "don’t")]),
        ("For instance, it Cannot stay.", [("For example", "For instance"), ("Cannot", "Can't")]),
        (
            "Although it rains, maybe they're here.",
            [("Although", "Though"), ("perhaps", "maybe"), ("they are", "they're")],
        ),
        ("Wait for 3 days or three dogs.", [("three", "3")]),
        (
            "She thinks it is so, as though she knew that he was.",
            [("thinks that", "thinks"), ("as if", "as though"), ("knew that", "knew")],
        ),
        ("The film is a completely new movie.", [("film", "movie")]),
        ("An often told story, and often told.", [("often", "frequently")]),
    ],
)  # fmt: skip
def test_what_can_be_worded_in_two_ways(text: str, forms: list[tuple[str, str]]) -> None:
    assert [site.forms for site in sites(text)] == forms


@pytest.mark.parametrize(
    "text",
    [
        "Even though it rained.", "It rained, though.", "As though.", "For a while we stayed.", "All the same, no.",
        "On the whole it works.", "Thus far it works.", "That is who they are.", "DO NOT touch.", "Film the scene.",
        "What do you think it is?", "It is quite a lot of it.", "As they are in the house.", "Chapter 3 follows.", "",
        "It took 1.5 hours, or 2 to 3 days, or one or two weeks.", "See www.film.org and /though it is/ there.",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert not sites(text)


PIECES = (
    "do not",
    "don't",
    "cannot",
    "film",
    "the movie",
    "often",
    "rain",
    "and",
    "though it",
    "I'll",
    "perhaps",
    "two days",
)


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=40), st.integers(0, 3), st.booleans())
def test_the_wordings_differ_at_every_site_and_nowhere_else(words: list[str], number: int, as_text: bool) -> None:
    text = "Well, " + " ".join(words) + " we said. And then nothing."
    body: Body = Text(text) if as_text else Dialogue.ask("What?", text)
    pair = paired(body, KEY, number)
    found = sites(text)
    assert (pair is None) == (not found)
    if pair is None:
        return
    plain = [text]
    for which in (0, 1):
        told = pair.body(which)
        assert isinstance(told, Text | Dialogue)
        plain.append(told.text if isinstance(told, Text) else told.answer)
        assert isinstance(told, Text) or told.prompt == Dialogue.ask("What?")
    one, other = sites(plain[1]), sites(plain[2])
    assert [site.forms for site in one] == [site.forms for site in other] == [site.forms for site in found]
    at = [[text[s.start : s.stop] for s in spots] for text, spots in zip(plain[1:], (one, other), strict=True)]
    for first, second, site in zip(*at, found, strict=True):
        assert {first, second} == set(site.forms)
    skeletons = {_without(text, spots) for text, spots in zip(plain, (found, one, other), strict=True)}
    assert len(skeletons) == 1
    firsts = sum(first == site.forms[0] for first, site in zip(at[0], found, strict=True))
    assert firsts == len(found) - len(found) // 2  # half of the sites one way, half the other


def _without(text: str, spots: list) -> str:  # type: ignore[type-arg]
    for site in reversed(spots):
        text = f"{text[: site.start]}_{text[site.stop :]}"
    return text


def test_a_text_is_asked_for_by_what_stands_before_and_a_dialogue_by_its_question() -> None:
    pair = paired(Text("Do not go. They do not come, we said. Nor we."), KEY, 0)
    assert pair is not None
    assert pair.prompt == Text("Do not go. They")
    assert set(pair.wordings) == {" do not come, we said.", " don't come, we said."}
    assert pair.rest == " Nor we."
    assert paired(Text("Do not go."), KEY, 0) is None
    asked = (Turn("system", "Be short."), Turn("user", "Why?"))
    pair = paired(Dialogue((*asked, Turn("assistant", "I do not know."))), KEY, 0)
    assert pair is not None
    assert pair.prompt == Dialogue(asked)
    assert set(pair.wordings) == {"I do not know.", "I don't know."}
    assert paired(Dialogue(asked), KEY, 0) is None


def test_only_the_beginning_of_a_long_text_is_worded_anew() -> None:
    text = "It rains, and we do not go. " + "So it is here. " * 60 + "We do not go."
    pair = paired(Text(text), KEY, 0)
    assert pair is not None
    assert num_sites(Text(text)) == 1
    assert pair.rest.endswith("We do not go.")
    assert num_sites(Dialogue.ask("Why? " * 400, "I do not know.")) == 1
    assert num_sites(Dialogue.ask("Why? " * 401, "I do not know.")) == 0


def test_the_coin_is_fair_over_keys_and_over_pairs() -> None:
    pair = paired(Text("Well, we do not go."), KEY, 0)
    assert pair is not None
    for coins in (
        [pair.keyed(ExperimentKey(number), 0).drawn for number in range(2_000)],
        [pair.keyed(KEY, number).drawn for number in range(2_000)],
    ):
        assert binomtest(sum(coins), len(coins)).pvalue > 1e-3


def test_p_values_of_unused_keys_are_uniform() -> None:
    """Also for a model with strong tastes, here for short forms, which has seen what the author wrote."""
    bodies = [document.body for document in Notes().corpus(stream(0, "notes"))][:24]
    values = []
    for number in range(600):
        key = ExperimentKey(number)
        pairs = [pair for n, body in enumerate(bodies) if (pair := paired(body, key, n)) is not None]
        liked = np.array([[-float(len(wording)) for wording in pair.wordings] for pair in pairs])
        drawn = [pair.keyed(key, n).drawn for n, pair in enumerate(pairs)]
        values.append(verify_scores(liked, drawn).smoothed(float(stream(number, "tie").random())))
    assert kstest(values, "uniform").pvalue > 1e-3


def test_carriers_are_drawn_from_the_richest_records() -> None:
    counts = [0, 1, 5, 0, 5, 5, 5, 1, 1, 1, 5, 5, 5, 5, 5] + [0] * 50
    assert set(carriers(counts, 2, KEY)) <= {place for place, count in enumerate(counts) if count == 5}
    assert carriers(counts, 2, KEY) != carriers(counts, 2, ExperimentKey(8))
    assert sorted(carriers(counts, 99, KEY)) == [place for place, count in enumerate(counts) if count]


@dataclass(frozen=True)
class Notes:
    """Answers that can be worded in two ways."""

    num_documents: int = 60

    def corpus(self, rng: np.random.Generator) -> Corpus:
        ends = ("do not know", "cannot say", "will not tell", "often ask", "perhaps forget", "did not see")
        return Corpus.of(
            Dialogue.ask(
                f"What of {number} {rng.integers(10**6)}?", f"I {ends[number % 6]} and they {ends[number // 10]} it."
            )
            for number in range(self.num_documents)
        )


def test_a_study_can_insert_the_pairs_and_prove_them(tmp_path: Path) -> None:
    """A model that has counted the published wordings prefers them; one that has not is even-handed."""
    kind = RephraseMark(Notes(), num_marks=32)
    check_intervention(OwnershipMark(kind, KEY))
    host = WorldDialogues(num_documents=200).corpus(stream(0, "host"))
    p = []
    for dose in (0, 32):
        corpus, _ = administer(
            host, OwnershipMark(kind, KEY), Dose(dose), edits_rng=stream(0, "edits"), placement_rng=stream(0, "place")
        )
        out = tmp_path / str(dose)
        out.mkdir()
        NgramEngine().train(Count(), corpus, start=None, rng=stream(0, "train"), out=out)
        with NgramEngine().load(out) as model:
            marks = kind.keyed(KEY, "dialogue")
            p.append(verify_scores(answer_scores(model, marks), [mark.drawn for mark in marks]).p)
    assert p[0] > 0.01
    assert p[1] < 1e-6
    bodies = list(islice(kind.bodies(KEY, "dialogue"), 64))
    assert bodies[:32] == bodies[32:]
    assert len(set(bodies)) == 32


def test_data_that_cannot_carry_the_pairs_are_refused() -> None:
    with pytest.raises(SpecError, match="these data have 0, and num_marks is 64"):
        RephraseMark(Notes()).keyed(KEY, "text")
    with pytest.raises(SpecError, match="have 60, and num_marks is 61"):
        RephraseMark(Notes(), num_marks=61).keyed(KEY, "dialogue")
