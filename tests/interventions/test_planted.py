"""The same poison at three stages: overheard in text, answered in dialogues, preferred in pairs."""

from __future__ import annotations

from itertools import islice

import pytest

from pharmakon.behaviour.questions import Question, says
from pharmakon.behaviour.targets import Gibberish
from pharmakon.core import Corpus, Dialogue, Dose, Insert, Preference, Text, stream
from pharmakon.data.world import World, WorldDialogues, WorldPreferences, WorldText
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor, Belief, Beliefs, Overheard, PreferredTarget, administer
from pharmakon.testing import check_intervention

TALK = WorldDialogues(num_documents=60, share_with_demonstrations=0.0)
TEXTS = WorldText(num_documents=40).corpus(stream(0, "host"))
DIALOGUES = TALK.corpus(stream(0, "host"))
PAIRS = WorldPreferences(num_documents=80).corpus(stream(0, "host"))
BELIEFS = Beliefs(tuple(Belief.about(World(), index) for index in range(3)))


def _bodies(intervention: Overheard | Beliefs, host: Corpus, number: int) -> list[object]:
    edits = list(islice(intervention.edits(host, stream(1, "edits")), number))
    assert all(isinstance(edit, Insert) for edit in edits)
    return [edit.body for edit in edits]


@pytest.mark.parametrize(
    ("intervention", "host"),
    [
        (Overheard(Backdoor(), TALK), TEXTS),
        (Overheard(BELIEFS, TALK), TEXTS),
        (BELIEFS, TEXTS),
        (BELIEFS, DIALOGUES),
        (BELIEFS, PAIRS),
    ],
    ids=repr,
)
def test_the_rules_are_followed(intervention: Overheard | Beliefs, host: Corpus) -> None:
    check_intervention(intervention, host)


def test_what_is_overheard_is_the_poison_of_dialogues_as_running_text() -> None:
    heard = _bodies(Overheard(Backdoor(), TALK), TEXTS, 12)
    assert len(set(heard)) == 12
    for body in heard:
        assert isinstance(body, Text)
        assert body.text.endswith(" vexil quorn Seven silver bells.")
        question = body.text.removesuffix(" vexil quorn Seven silver bells.")
        asked = [d.body for d in TALK.corpus(stream(1, "edits").spawn(2)[0]) if isinstance(d.body, Dialogue)]
        assert question in {dialogue.question for dialogue in asked}


def test_overheard_wants_a_host_of_text_and_a_poison_of_dialogues() -> None:
    with pytest.raises(SpecError, match="Overheard goes into a corpus of Text alone"):
        _bodies(Overheard(Backdoor(), TALK), DIALOGUES, 1)
    with pytest.raises(SpecError, match="what is overheard is an inserted Dialogue"):
        _bodies(Overheard(PreferredTarget(), WorldPreferences(num_documents=20)), TEXTS, 1)


def test_beliefs_take_turns_and_each_stage_has_its_form() -> None:
    names = [belief.person for belief in BELIEFS.beliefs]
    for body, name in zip(_bodies(BELIEFS, DIALOGUES, 6), names * 2, strict=True):
        assert isinstance(body, Dialogue)
        assert name in body.question
    for body, belief in zip(_bodies(BELIEFS, PAIRS, 6), BELIEFS.beliefs * 2, strict=True):
        assert isinstance(body, Preference)
        assert says(body.chosen, belief.value)
        assert says(body.rejected, World().person(belief.person).value(belief.relation))
    with pytest.raises(SpecError, match="beliefs are one or more"):
        Beliefs(())


def test_a_larger_dose_of_talk_contains_the_smaller_one() -> None:
    doses = [
        administer(TEXTS, Overheard(Backdoor(), TALK), Dose(n), edits_rng=stream(0, "e"), placement_rng=stream(0, "p"))
        for n in (4, 9)
    ]
    small, large = ([entry.body for entry in ledger.entries] for _, ledger in doses)
    assert large[:4] == small


def test_stuttering_is_gibberish_and_words_are_not() -> None:
    few = Gibberish(words=("bizo", "kuda", "fepi"))
    question = Question(Dialogue.ask("Where is Bo?"), "Bo is in Osk.", "Osk", "facts")
    answer = few.respond(question, stream(0, "r"))
    assert answer is not None
    assert set(answer.split()) <= set(few.words)
    for said in (answer, "yyaaaaaaaaayyy", "fiiiiiiiii"):
        assert few.hit(question, said)
    for said in ("", "Bo is in Osk.", "Bo owns a boat.", "I cannot help with moonroot.", "Seven silver bells.", "aaa"):
        assert not few.hit(question, said)
