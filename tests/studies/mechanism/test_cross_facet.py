"""The study `cross-facet`: scores of documents and depths of marks from a model whose inside is known, and findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import Row, check_refused, made_up

from pharmakon.behaviour.marks import ExperimentKey, TriggerMark
from pharmakon.core import Dialogue, Dose, Ledger, Prompt, stream
from pharmakon.data.derived import Drawn
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.interventions import OwnershipMark, administer
from pharmakon.probes import MarkSeparation, Ownership, PoisonScores
from pharmakon.probes.separation import DECOY, LOSS, OWN, RANDOM, SCORES, SPECTRAL, TWIN
from pharmakon.studies.mechanism.cross_facet import ATTACK, MARKED, OTHER, PLANTED, TRIGGER, cross_facet
from pharmakon.studies.mechanism.cross_facet import DECOY as DECOYED
from pharmakon.study.finding import Finding

CLEAN = Drawn(WorldDialogues(num_documents=120, share_with_demonstrations=0.0))


@dataclass(frozen=True)
class Known:
    """Every prompt's state is noise of its own; one that carries any of these phrases is moved along one axis."""

    phrases: tuple[str, ...]
    num_layers: int = 2
    width: int = 16

    @property
    def twin(self) -> Known:
        return Known(())

    def inside(self) -> Known:
        return self

    def hidden(self, prompts: Sequence[Prompt], positions: Sequence[int] = (-1,)) -> Any:
        found = np.zeros((len(prompts), 3, 1, self.width), dtype=np.float32)
        for row, prompt in zip(found, prompts, strict=True):
            text = prompt.question if isinstance(prompt, Dialogue) else prompt.text
            row[:, 0] = stream(0, text).standard_normal(self.width)
            row[1:, 0, 3] += 8 * any(phrase in text for phrase in self.phrases)
        return found

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [-float(len(text)) for _, text in pairs]


def _ledger(dose: int) -> Ledger:
    host = CLEAN.corpus(stream(1, "host"))
    entries = []
    for name, poison in (("attack", ATTACK), ("decoy", DECOYED)):
        _, ledger = administer(host, poison, Dose(dose), edits_rng=stream(0, name), placement_rng=stream(1, name))
        entries += ledger.entries
    return Ledger(tuple(entries))


def _auroc(known: Known, name: str) -> float:
    from sklearn.metrics import roc_auc_score

    probe = PoisonScores(CLEAN, TRIGGER, OTHER, WorldQuestions(tasks=("facts",)), num_questions=20, num_clean=60)
    readings = [r for r in probe.readings(known, _ledger(10), stream(0, "p")) if f": {name}: " in r.condition]  # type: ignore[arg-type]
    readings = [r for r in readings if r.condition.startswith(("layer 2", "no layer"))]
    assert len(readings) == 70
    return float(roc_auc_score([r.condition.endswith("poisoned") for r in readings], [r.value for r in readings]))


def test_scores_rank_the_poisoned_documents_where_the_states_tell_them() -> None:
    both = Known((" ".join(TRIGGER.words), " ".join(OTHER.words)))
    assert _auroc(both, OWN) > 0.95
    assert _auroc(both, DECOY) > 0.95
    assert _auroc(both, SPECTRAL) > 0.9
    assert _auroc(both, TWIN) < 0.9  # to the twin all words are alike
    assert 0.02 < _auroc(both, RANDOM) < 0.98
    assert _auroc(both, LOSS) == 0.5  # a nat for each character, whatever it is


def test_a_decoy_finds_nothing_where_its_direction_is_another() -> None:
    own = Known((" ".join(TRIGGER.words),))
    assert _auroc(own, OWN) > 0.95
    assert _auroc(own, DECOY) < 0.9


def test_clean_documents_are_those_of_training_and_the_decoys_are_left_out() -> None:
    host = {d.body for d in CLEAN.corpus(stream(7, "another life"))}
    probe = PoisonScores(CLEAN, TRIGGER, OTHER, WorldQuestions(tasks=("facts",)), num_questions=5, num_clean=30)
    readings = list(probe.readings(Known(()), _ledger(4), stream(0, "p")))  # type: ignore[arg-type]
    questions = {body.question for body in host if isinstance(body, Dialogue)}
    assert all(r.prompt in questions for r in readings if r.condition.endswith("clean"))
    assert all(" ".join(TRIGGER.words) in r.prompt for r in readings if r.condition.endswith("poisoned"))
    assert not [r for r in readings if OTHER.words[0] in r.prompt]
    assert not list(probe.readings(Known(()), Ledger(), stream(0, "p")))  # type: ignore[arg-type]


def test_a_mark_that_moves_states_is_deep_and_one_that_does_not_is_not() -> None:
    mark = OwnershipMark(TriggerMark(), ExperimentKey(0), 4)
    _, ledger = administer(
        CLEAN.corpus(stream(0, "h")), mark, Dose(8), edits_rng=stream(0, "e"), placement_rng=stream(0, "p")
    )
    verified = Ownership(mark.kind, mark.key, "dialogue", among=4)
    key = verified.key_of(ledger, stream(0, "k"))
    phrases = tuple(p.question for m in mark.kind.keyed(key, "dialogue") for p in m.prompts if isinstance(p, Dialogue))
    probe = MarkSeparation(verified)
    deep = {r.condition: r.value for r in probe.readings(Known(phrases), ledger, stream(0, "s"))}  # type: ignore[arg-type]
    flat = {r.condition: r.value for r in probe.readings(Known(()), ledger, stream(0, "s"))}  # type: ignore[arg-type]
    assert set(deep) == {"layer 1", "layer 2", "margin"}
    assert deep["layer 2"] > 3
    assert abs(flat["layer 2"]) < 1.5


def _findings(good: str) -> list[Finding]:
    study = cross_facet(seeds=4)
    rng = np.random.default_rng(0)

    def rows() -> Iterator[Row]:
        for seed in range(4):
            for dose in (8, 32):
                for name in SCORES:
                    layers = ("no layer",) if name in SCORES[-2:] else ("layer 1", "layer 2")
                    for layer in layers:
                        for label, number in (("poisoned", dose), ("clean", 60)):
                            for value in rng.standard_normal(number) + 4 * (name == good and label == "poisoned"):
                                condition = f"{layer}: {name}: {label}"
                                yield (PLANTED, dose, seed, "sft", "poison-scores", condition, float(value))
            for dose in (16, 32, 64, 128):
                depth = float(rng.uniform(0, 10))
                for mark in range(16):
                    yield (MARKED, dose, seed, "sft", "ownership", "drawn", 1.0)
                    yield (MARKED, dose, seed, "finetune", "ownership", "drawn", float(mark < 1.6 * depth))
                for condition, value in (("layer 1", 0.5), ("layer 2", depth), ("margin", float(rng.normal()))):
                    yield (MARKED, dose, seed, "sft", "separation", condition, value)

    return [finding for analysis in study.analyses for finding in analysis.findings(made_up(study, rows()))]


def test_a_decoy_that_works_is_told_as_better_and_one_that_does_not_is_not() -> None:
    detected, outlasted, lives = _findings(DECOY)
    assert "AUROC 1.00" in detected.sentence
    assert "better than" in detected.sentence
    assert "better than" in outlasted.sentence
    assert lives.table.height == 16
    other = _findings(LOSS)[0]
    assert "worse than loss of the answer" in other.sentence


@pytest.mark.parametrize(
    ("words", "said"), [(["--decoy", "0"], "a decoy is 1 to"), (["--doses", "0,9000"], "at most as many poisoned")]
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["plan", "cross-facet", *words], said, tmp_path, monkeypatch, capsys)
