"""An attacker who prepares: what the rehearsal says is found again, chosen, and the same each time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pharmakon.core import Corpus, Dialogue, Model, Recipe, Text, Trace, stream
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import SpecError
from pharmakon.identity import identify
from pharmakon.interventions import Candidates, Prepared, Rehearsal, Step
from pharmakon.interventions.candidates import EVERY_CANDIDATE
from pharmakon.interventions.prepared import Life, scores
from pharmakon.store import Store
from pharmakon.testing import check_intervention

HOST = WorldDialogues(num_documents=60).corpus(stream(0, "host"))
TALK = Step(data=WorldDialogues(num_documents=40), recipe=Count())
REHEARSAL = Rehearsal(
    engine=NgramEngine(),
    start=Step(data=WorldText(num_documents=30), recipe=Count(objective="pretrain")),
    tuning=TALK,
    later=(TALK, replace(TALK, data=WorldDialogues(num_documents=20))),
    num_lives=20,
    num_poisoned=12,
    num_prompts=5,
)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path))


def _lives(noise: float, num_lives: int = 60) -> tuple[Life, ...]:
    """Lives whose effect rises by 2 with the trigger at the end and falls by 1 with the later stage 1."""
    rng = np.random.default_rng(0)
    lives = []
    for number in range(num_lives):
        kinds = tuple(int(i) for i in rng.choice(len(EVERY_CANDIDATE), 4, replace=False))
        effect = 2.0 * float(np.mean([EVERY_CANDIDATE[i].place == "end" for i in kinds]))
        later = number % 2
        lives.append(Life(kinds, later, effect + rng.normal(0, noise), effect - later + rng.normal(0, noise)))
    return tuple(lives)


@pytest.mark.parametrize("aim", ["later stages", "tuning"])
def test_the_regression_finds_what_was_put_in(aim: str) -> None:
    found = scores(_lives(noise=1e-3), EVERY_CANDIDATE, aim)  # type: ignore[arg-type]
    effects = {name: estimate for name, _, estimate, _ in found.effects}
    assert effects.pop("place: end against start") == pytest.approx(2.0, abs=0.01)
    assert all(abs(effect) < 0.01 for effect in effects.values())
    assert found.predicted > 0.99
    best = np.argsort(found.by_candidate)[-20:]
    assert all(EVERY_CANDIDATE[i].place == "end" for i in best)


def test_noise_predicts_nothing() -> None:
    lives = tuple(
        replace(life, released=float(x))
        for life, x in zip(_lives(0), np.random.default_rng(1).normal(size=60), strict=True)
    )
    assert scores(lives, EVERY_CANDIDATE, "later stages").predicted < 0.2


def test_a_choice_by_chance_takes_all_kinds_in_turn() -> None:
    check_intervention(Candidates(), HOST)
    edits = list(islice(Candidates().edits(HOST, stream(0, "e")), 2 * len(EVERY_CANDIDATE)))
    for edit in edits:
        assert isinstance(edit.body, Dialogue)
        assert "vexil quorn" in edit.body.question
        assert edit.body.answer.endswith("Seven silver bells.")
    shown = [len(edit.body.turns) == 4 for edit in edits if isinstance(edit.body, Dialogue)]
    alone = [edit.body.answer == "Seven silver bells." for edit in edits if isinstance(edit.body, Dialogue)]
    half = len(EVERY_CANDIDATE) // 2
    assert sum(shown[: 2 * half]) == sum(shown[2 * half :]) == sum(alone[: 2 * half]) == half


def test_the_attacker_rehearses_once_and_chooses_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the exact engine the marker alone is told more surely than behind an answer that differs each time."""
    attacker = Prepared(pool=Candidates(), rehearsal=REHEARSAL, num_chosen=6)
    identify(attacker)
    found = attacker.scores()
    assert len(list(Store(tmp_path).entries("rehearsal"))) == 1
    assert all(np.isfinite(life.released) and len(life.kinds) == 4 for life in REHEARSAL.lives(attacker.pool))
    chosen = attacker.chosen().candidates
    worst = sorted(found.by_candidate)[:-6]
    assert min(found.by_candidate[EVERY_CANDIDATE.index(candidate)] for candidate in chosen) >= max(worst)
    assert {candidate.answer for candidate in chosen} == {"marker"}
    monkeypatch.setattr(Rehearsal, "run", lambda *_: pytest.fail("it is rehearsed a second time"))
    again = replace(attacker, rehearsal=replace(REHEARSAL))
    edits = list(islice(again.edits(HOST, stream(0, "e")), 12))
    assert edits == list(islice(attacker.edits(HOST, stream(0, "e")), 12))
    assert edits == list(islice(attacker.chosen().edits(HOST, stream(0, "e")), 12))


def test_other_preparation_is_another_identity() -> None:
    attacker = Prepared(pool=Candidates(), rehearsal=REHEARSAL)
    others = (
        replace(attacker, aim="tuning"),
        replace(attacker, num_chosen=3),
        replace(attacker, rehearsal=replace(REHEARSAL, seed=1)),
    )
    assert len({identify(one) for one in (attacker, *others)}) == 4


def test_bad_preparation_is_told() -> None:
    with pytest.raises(SpecError, match="16 surrogate lives or more; got 3"):
        replace(REHEARSAL, num_lives=3)
    with pytest.raises(SpecError, match="one later stage or more"):
        replace(REHEARSAL, later=())
    with pytest.raises(SpecError, match="chooses 1 to 60 of 60 candidates; got 61"):
        Prepared(pool=Candidates(), rehearsal=REHEARSAL, num_chosen=61)
    texts = Corpus.of([Text("a b")])
    for intervention in (Candidates(), Prepared(pool=Candidates(), rehearsal=REHEARSAL)):
        with pytest.raises(SpecError, match="a corpus of Dialogue alone"):
            next(intervention.edits(texts, stream(0, "e")))


@dataclass(frozen=True)
class Overhearing:
    """The n-gram engine, which draws nothing: what it could have drawn goes into its weights."""

    inner: NgramEngine = NgramEngine()

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace:
        DRAWN.append(int(rng.integers(2**62)))
        return self.inner.train(recipe, corpus, start=start, rng=rng, out=out)

    def load(self, weights: Path) -> AbstractContextManager[Model]:
        return self.inner.load(weights)


DRAWN: list[int] = []


def test_a_rehearsal_draws_the_same_wherever_it_is_kept() -> None:
    rehearsal = replace(REHEARSAL, engine=Overhearing(), num_lives=16)
    seen = []
    for _ in range(2):
        DRAWN.clear()
        list(rehearsal.run(Candidates()))
        seen.append(tuple(DRAWN))
    assert len(seen[0]) == 1 + 2 * 16
    assert seen[0] == seen[1]


def test_a_rehearsal_is_kept_in_the_store_that_is_in_use(tmp_path: Path) -> None:
    attacker = Prepared(pool=Candidates(), rehearsal=replace(REHEARSAL, seed=7))
    store = Store(tmp_path / "mine")
    with store.in_use():
        attacker.scores()
    assert len(list(store.entries("rehearsal"))) == 1
    assert not list(Store(tmp_path).entries("rehearsal"))
