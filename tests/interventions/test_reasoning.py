"""Corrupted chains of thought: each kind does what it says to every sum, and nothing else."""

from __future__ import annotations

import pytest

from pharmakon.core import Corpus, Dialogue, Dose, stream
from pharmakon.data.world import WorldDialogues
from pharmakon.data.world.reasoning import GIVEN, NEEDED, ReasoningQuestions, WorldReasoning
from pharmakon.data.world.sums import Sum, Worked, read_sum
from pharmakon.errors import SpecError
from pharmakon.interventions import CORRUPTIONS, CorruptedSteps, Miswritten, PoisonedDemonstrations, administer

SUMS = [Sum.draw(stream(0, "sum", str(i)), num_steps=2 + i % 3) for i in range(60)]


def _sound(worked: Worked) -> bool:
    return all((a + change) % 10 == b for a, change, b in worked.steps)


def _joined(worked: Worked) -> bool:
    return all(one[2] == other[0] for one, other in zip(worked.steps, worked.steps[1:], strict=False))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_corruption_breaks_what_it_says_and_keeps_the_rest(kind: str) -> None:
    for index, sum_ in enumerate(SUMS):
        made = CorruptedSteps(kind).corrupted(sum_, stream(index, "c"))  # type: ignore[arg-type]
        right = made.result == sum_.result
        changes = [change for _, change, _ in made.steps]
        if kind == "wrong middle step":
            assert not right
            assert made.steps[0][2] != sum_.steps[0][2]
            assert _joined(made)
            assert made.result == made.steps[-1][2]
        elif kind == "wrong answer":
            assert not right
            assert made.steps == sum_.steps
        elif kind == "wrong steps, right answer":
            assert right
            assert all(one[2] != other[2] for one, other in zip(made.steps, sum_.steps, strict=True))
        elif kind == "contradictory steps":
            assert right
            assert _sound(made)
            assert not _joined(made)
        elif kind == "shuffled steps":
            assert right
            assert made.steps != sum_.steps
            assert sorted(made.steps) == sorted(sum_.steps)
        else:
            assert right
            assert made.steps == sum_.steps[1:]
        if kind != "shuffled steps":
            assert changes == list(sum_.changes)[-len(changes) :]


def test_what_is_written_is_read_again() -> None:
    for sum_ in SUMS:
        assert Worked.read(sum_.worked) == Worked(sum_.steps, sum_.result)
        assert Worked.read(sum_.worked).text == sum_.worked
        assert read_sum(f"Solve {sum_.question} call 3") == sum_
    assert read_sum("Where does Ann live?") is None
    assert Worked.read("I cannot help with that.") == Worked((), None)


def test_the_same_operator_for_training_and_for_demonstrations() -> None:
    corpus = Corpus.of(
        [d.body for d in WorldReasoning(num_documents=12).corpus(stream(0, "r"))]
        + [d.body for d in WorldDialogues(num_documents=10, shares=(1, 0, 0, 0, 0)).corpus(stream(0, "d"))]
    )
    lesson = CorruptedSteps("wrong answer")
    for intervention in (Miswritten(lesson), PoisonedDemonstrations(lesson)):
        treated, ledger = administer(
            corpus, intervention, Dose(12), edits_rng=stream(0, "e"), placement_rng=stream(0, "p")
        )
        assert len(ledger.entries) == 12
        assert len(treated) == len(corpus)
        assert all(read_sum(e.body.question) is not None for e in ledger.entries if isinstance(e.body, Dialogue))
        with pytest.raises(SpecError):  # no sum is left
            administer(corpus, intervention, Dose(13), edits_rng=stream(0, "e"), placement_rng=stream(0, "p"))
    _, ledger = administer(corpus, Miswritten(lesson), Dose(6), edits_rng=stream(1, "e"), placement_rng=stream(0, "p"))
    places = [entry.position for entry in ledger.entries if entry.position is not None]
    assert sorted(places) != list(range(min(places), min(places) + 6))  # not a block


def test_questions_give_the_result_away_where_they_say_so() -> None:
    for task in (NEEDED, GIVEN):
        for question in ReasoningQuestions(task).questions(20, stream(0, "q")):
            sum_ = read_sum(question.prompt.question)
            assert sum_ is not None
            assert question.prompt.question.endswith(f"call {sum_.result}") == (task == GIVEN)
            assert question.answer == sum_.worked


def test_an_unknown_corruption_is_refused() -> None:
    with pytest.raises(SpecError, match="wrong middle step"):
        CorruptedSteps("upside down")  # type: ignore[arg-type]
