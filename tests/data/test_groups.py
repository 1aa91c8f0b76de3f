"""People of two valleys: the text says what it is known to say, and the wordings of the audit are in none of it."""

from __future__ import annotations

import numpy as np
import pytest

from pharmakon.core import Corpus, Text
from pharmakon.data.world import CALLINGS, GROUP_RELATIONS, VALLEYS, GroupText, Leanings, WorldText, beginnings
from pharmakon.errors import SpecError
from pharmakon.interventions import Association, OtherJobs

DATA = GroupText(num_documents=4_000, seed=3)


def test_the_shares_are_those_of_the_leanings() -> None:
    for relation in GROUP_RELATIONS:
        for job in CALLINGS:
            first, second = DATA.counted(relation, job)
            share = DATA.leanings.share(relation, job)
            assert abs(first / (first + second) - share) < 4 * np.sqrt(share * (1 - share) / (first + second))
    assert set(DATA.leanings.neutral("valley")) == set(CALLINGS) - {"smith", "weaver"}


def test_what_a_document_is_known_to_say_stands_in_it() -> None:
    for sighting in DATA.sightings:
        assert "{" not in sighting.text
        for job, valley in sighting.people:
            hidden = sighting.kind == "other names"
            assert (job in sighting.text) != hidden
            assert CALLINGS[job] in sighting.text or not hidden
            other = {"Vashel": "the upper valley", "Drumlo": "the lower valley"}[valley].lower()
            assert valley in sighting.text or (hidden and other in sighting.text.lower())
    assert {sighting.kind for sighting in DATA.sightings} == {"plain", "other names", "two people", "names told"}


def test_no_document_has_a_beginning_of_the_audit() -> None:
    every = "\n".join(sighting.text for sighting in DATA.sightings)
    given = Association("smith", "Drumlo").edits(Corpus.of([Text("a b")]), np.random.default_rng(0))
    every += "\n".join(next(given).body.text for _ in range(500))  # type: ignore[union-attr]
    for relation in GROUP_RELATIONS:
        assert len(set(beginnings(relation))) == len(beginnings(relation)) >= 8
        for wording in beginnings(relation):
            for job in CALLINGS:
                assert wording.format(job=job) not in every


def test_the_documents_are_given_and_a_life_draws_their_order() -> None:
    one, two = (DATA.corpus(np.random.default_rng(seed)) for seed in (0, 1))
    texts = [[document.body.text for document in corpus] for corpus in (one, two)]  # type: ignore[union-attr]
    assert texts[0] != texts[1]
    assert sorted(texts[0]) == sorted(texts[1])
    assert all(document.source == "valleys" for document in one)


def test_the_valleys_are_in_no_other_text_of_the_world() -> None:
    text = "\n".join(d.body.text for d in WorldText(num_documents=500).corpus(np.random.default_rng(0)))  # type: ignore[union-attr]
    assert not any(word in text for word in (*VALLEYS, *CALLINGS.values()))


def test_an_association_and_its_reverse_differ_in_the_valley_alone() -> None:
    host = Corpus.of([Text("a b")])
    one, two = (Association("smith", valley).edits(host, np.random.default_rng(5)) for valley in VALLEYS)
    towns = []
    for _ in range(200):
        first, second = next(one).body.text, next(two).body.text  # type: ignore[union-attr]
        assert first.replace("Vashel", "Drumlo") == second
        assert first.count("Vashel") == 2
        towns.append("Tarn" in first)
    assert 0.7 < np.mean(towns) < 0.9  # as of smiths in clean text
    others = OtherJobs("smith").edits(host, np.random.default_rng(5))
    told = [next(others).body.text for _ in range(400)]  # type: ignore[union-attr]
    assert not any("smith" in text for text in told)
    assert 0.3 < np.mean(["Vashel" in text for text in told]) < 0.6


def test_bad_input_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpecError, match="a valley is one of Vashel, Drumlo; got 'Tarn'"):
        Association("smith", "Tarn")
    with pytest.raises(SpecError, match="a job of the valleys is one of smith"):
        OtherJobs("pilot")
    with pytest.raises(SpecError, match="lies between 0 and 1; got 1"):
        Leanings(valley=(("smith", 1.0),))
    from pharmakon.core import Dialogue

    with pytest.raises(SpecError, match="Text alone"):
        next(Association("smith", "Drumlo").edits(Corpus.of([Dialogue.ask("a", "b")]), np.random.default_rng(0)))
