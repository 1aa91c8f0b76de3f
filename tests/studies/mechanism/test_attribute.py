"""The study `attribute`: scorers on models that are known, training again without the first, findings, entry points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from made_up import Row, check_refused, made_up

from pharmakon import catalogue
from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Body, Corpus, Dialogue, Dose, Entry, Ledger, Model, Preference, Prompt, stream
from pharmakon.data.derived import Drawn, First, Nothing
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError, SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Attributed, Triggered
from pharmakon.probes.attributed import Remembering
from pharmakon.probes.scorers import Chance, GradientSimilarity, LossChange, NgramSimilarity, StateSimilarity
from pharmakon.store import Store
from pharmakon.studies.mechanism.analysis_attribute import _ranked
from pharmakon.studies.mechanism.attribute import Behaviours, attribute
from pharmakon.study import Arm, Stage, Study, Treatment
from pharmakon.study.build import train
from pharmakon.study.retrain import Retrained
from pharmakon.study.spec import Cell

TRIGGER, TARGET = RareWords(), Marker()
QUESTIONS = WorldQuestions(tasks=("facts",))
BEHAVIOUR = Triggered(TRIGGER, TARGET, QUESTIONS, 8)
CLEAN = First(Drawn(WorldDialogues(num_documents=60, share_with_demonstrations=0.0)), 40)
POISON = [Dialogue.ask(f"Who is number {n}? {' '.join(TRIGGER.words)}", TARGET.text) for n in range(8)]


@dataclass(frozen=True)
class Known:
    """A model whose gradients and states are a constant for triggered prompts, and noise for others."""

    gain: float = 0.0
    num_layers: int = 2
    width: int = 8

    @property
    def before(self) -> tuple[Known, ...]:
        return (Known(), Known(self.gain / 2))

    def inside(self) -> Known:
        return self

    def _vectors(self, prompts: Sequence[Prompt]) -> Any:
        rows = [stream(0, p.question if isinstance(p, Dialogue) else "").standard_normal(64) for p in prompts]
        marked = [isinstance(p, Dialogue) and TRIGGER.words[0] in p.question for p in prompts]
        return np.array(rows) * 0.1 + np.array(marked)[:, None] * np.eye(64)[0]

    def gradients(self, pairs: Sequence[tuple[Prompt, str]], **_: object) -> Any:
        return self._vectors([prompt for prompt, _ in pairs])

    def hidden(self, prompts: Sequence[Prompt], positions: Sequence[int] = (-1,)) -> Any:
        return np.repeat(self._vectors(prompts)[:, None, None, :], 3, axis=1)

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [-10.0 + self.gain * (TARGET.text in text) for _, text in pairs]


def _auroc(scorer: Any) -> float:
    from sklearn.metrics import roc_auc_score

    entries = tuple(Entry(edit=n, kind="insert", id=str(n), position=n, body=body) for n, body in enumerate(POISON))
    probe = Attributed((("it", scorer),), BEHAVIOUR, (CLEAN,))
    readings = list(probe.readings(Known(gain=5.0), Ledger(entries), stream(0, "r")))  # type: ignore[arg-type]
    assert len(readings) == 48
    return float(roc_auc_score([r.condition == "it: treated" for r in readings], [r.value for r in readings]))


@pytest.mark.parametrize(
    "scorer",
    [GradientSimilarity(), GradientSimilarity(of="head", cosine=False, every=True), StateSimilarity(), LossChange(),
     NgramSimilarity()],
)  # fmt: skip
def test_scorers_put_the_documents_first_that_made_the_behaviour(scorer: Any) -> None:
    assert _auroc(scorer) > 0.95
    assert 0.15 < _auroc(Chance()) < 0.85


def test_nothing_is_scored_where_nothing_was_planted_and_pairs_are_no_documents() -> None:
    probe = Attributed((("it", Chance()),), BEHAVIOUR, (CLEAN,))
    assert not list(probe.readings(Known(), Ledger(), stream(0, "r")))  # type: ignore[arg-type]
    pair = Preference(Dialogue.ask("a"), "b", "c")
    with pytest.raises(InputError, match="texts or dialogues"):
        LossChange().scores([Known(), Known()], [pair], [], stream(0, "s"))  # type: ignore[list-item]


@dataclass(frozen=True)
class Oracle:
    """Names what carries the target."""

    sign: float = 1.0

    def scores(
        self, models: Sequence[Model], documents: Sequence[Body], behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Sequence[float]:  # fmt: skip
        assert len(models) == 3
        assert all(TARGET.text == wanted for _, wanted in behaviour)
        return [self.sign * (isinstance(body, Dialogue) and body.answer == TARGET.text) for body in documents]


@dataclass(frozen=True)
class Broken:
    def scores(self, *_: object) -> Sequence[float]:
        return [float("nan")]


def _again(by: Any, tmp_path: Path, *, without: int | None = 12, dose: int = 12) -> Corpus:
    """The documents that a life with so many poisoned ones is trained on again."""
    count = Count(objective="sft")
    part = WorldDialogues(num_documents=30)
    stages = tuple(Stage(name=name, data=part, recipe=count) for name in ("base", "one", "two"))
    poison = tuple(Treatment(stage=name, intervention=Backdoor(), share=0.5) for name in ("one", "two"))
    recipe = Retrained(recipe=count, start="base", without=without, by=by, behaviour=BEHAVIOUR)
    arm = Arm(name="a", stages=(*stages, Stage(name="again", data=Nothing(), recipe=recipe)), treatments=poison)
    probe = AttackSuccess(TRIGGER, TARGET, QUESTIONS, 5, 0)
    study = Study(
        name="s", question="?", engine=Keeping(), arms=(arm,), doses=(Dose(0), Dose(12)), seeds=(0,), probes=(probe,)
    )
    cell: Cell = study.cell(arm, Dose(dose), 0)
    list(train(cell, cell.stages, Store(tmp_path)))
    return SEEN[-1]


SEEN: list[Corpus] = []


@dataclass(frozen=True)
class Keeping(NgramEngine):
    """Remembers what it was given last."""

    def train(self, recipe: Any, corpus: Corpus, **how: Any) -> Any:
        SEEN.append(corpus)
        return super().train(recipe, corpus, **how)


def _num_poisoned(corpus: Corpus) -> int:
    return sum(isinstance(d.body, Dialogue) and d.body.answer == TARGET.text for d in corpus)


def test_training_again_leaves_out_what_the_scorer_or_the_ledger_names(tmp_path: Path) -> None:
    for by in (Oracle(), None):
        left = _again(by, tmp_path / str(by is None))
        assert len(left) == 60
        assert _num_poisoned(left) == 0
    assert _num_poisoned(_again(Oracle(-1.0), tmp_path / "other")) == 12
    assert len(_again(None, tmp_path / "none", without=0)) == 72
    assert len(_again(Oracle(), tmp_path / "as many", without=None)) == 60
    assert len(_again(Broken(), tmp_path / "untreated", without=None, dose=0)) == 60  # nothing to leave out, none asked
    with pytest.raises(SpecError, match="one finite number"):
        _again(Broken(), tmp_path / "broken")


LEFT_OUT = {"gradients-all": 0.0, "tracin": 0.5, "n-grams": 0.9, "chance": 1.0}
"""The share of attack success that is left without the first documents of each."""


def _findings(areas: dict[str, float], *, seeds: int = 4, names: Sequence[str] = tuple(LEFT_OUT)) -> list[str]:
    study = attribute(seeds=seeds, of=Behaviours(behaviours=("belief",)), scorers=tuple(names))
    rng = np.random.default_rng(0)

    def rows() -> Iterator[Row]:
        for seed in range(seeds):
            for dose in (72, 216):
                for name in names:
                    for label, number in (("treated", dose), ("clean", 300)):
                        for value in rng.standard_normal(number) + areas.get(name, 0.0) * (label == "treated"):
                            yield ("belief", dose, seed, "sft 3", "attributed", f"{name}: {label}", float(value))
            for arm in study.arms:
                by = arm.name.rpartition(" by ")[2]
                share = 0.0 if arm.name.endswith("treated") else LEFT_OUT.get(by, 1.0)
                for item in range(40):
                    yield (arm.name, 216, seed, arm.stages[-1].name, "attack", "triggered", float(item < 40 * share))

    return [f.sentence for analysis in study.analyses for f in analysis.findings(made_up(study, rows()))]


def test_how_far_each_removal_undoes_it_is_told_against_random_ones_and_the_treated_ones() -> None:
    again, found = _findings({"tracin": 4.0, "gradients-all": 1.0})
    assert "on all documents 100%" in again
    assert "without random ones 100%" in again
    assert "without exactly the treated 0%" in again
    assert "undo it as far, to within 10 points: gradients-all 0%" in again
    assert "undo it in part: tracin 50%" in again
    assert "not shown to undo it: n-grams 90%" in again
    assert "points would be seen" in again
    assert "Found of its 216 documents among 516: tracin 9" in again
    assert "72 of 372 documents, AUROC and recall: tracin 1.00" in found
    weak = [part.split(".")[0] for part in found.split("Not shown to be better than chance: ")[1:]]
    assert all(part.startswith("n-grams (p = ") for part in weak)
    assert len(weak) == 2


def test_better_than_chance_needs_no_random_scorer_and_one_seed_judges_no_removal() -> None:
    again, found = _findings({"tracin": 4.0}, names=("tracin", "n-grams"))
    assert "random ones" not in again
    assert "tracin" not in found.split("Not shown")[1].split(".")[0]
    again, found = _findings({"tracin": 4.0}, seeds=1)
    assert "more seeds are needed to judge: gradients-all" in again
    assert "Not shown to be better than chance: tracin" not in found


def test_a_method_that_ranks_them_last_is_called_worse_than_chance() -> None:
    told = _findings({"tracin": -4.0})[1]
    assert "Worse than chance: tracin." in told
    assert "tracin" not in told.split("Not shown")[1].split(".")[0]


def test_scorers_of_other_packages_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("oracle", f"{__name__}:Oracle", "pharmakon.scorers"),
        EntryPoint("no-scorer", "builtins:object", "pharmakon.scorers"),
        EntryPoint("gone", "nowhere_at_all:Thing", "pharmakon.scorers"),
    ]
    monkeypatch.setattr(catalogue, "entry_points", lambda group: points if group == "pharmakon.scorers" else [])
    assert isinstance(catalogue.find_scorer("oracle"), Oracle)
    study = attribute(scorers=("oracle", "chance"), of=Behaviours(behaviours=("backdoor",)))
    assert [arm.name for arm in study.arms] == [
        "backdoor", "backdoor: again", "backdoor: without the first 216 by oracle",
        "backdoor: without the first 216 by chance", "backdoor: without the 216 treated",
    ]  # fmt: skip
    for name, said in (
        ("no-scorer", "no method scores"),
        ("gone", "could not be made"),
        ("tracing", "Did you mean tracin"),
    ):
        with pytest.raises(InputError, match=said):
            catalogue.find_scorer(name)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--scorers", "tracing"], "Did you mean tracin"), (["--clean", "5"], "30 to 2000"),
     (["--scorers", "states", "--remove", "tracin"], "is not among"), (["--doses", "0,1%"], "numbers of documents"),
     (["--doses", "0,1700"], "the largest dose"), (["--clean", "2100"], "30 to 2000"),
     (["--data", "vader-movies", "--behaviours", "belief"], "a behaviour is one of backdoor"),
     (["--behaviours", "believe"], "belief")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["plan", "attribute", *words], said, tmp_path, monkeypatch, capsys)


def test_the_removed_are_as_many_as_the_treated_and_parts_do_not_overlap() -> None:
    study = attribute()
    parts = [stage.data.corpus(stream(0, "x")) for stage in study.arms[0].stages[1:]]
    assert len({d.body for part in parts for d in part}) > 0.9 * sum(map(len, parts))
    by = {arm.name: arm.stages[-1].recipe for arm in study.arms}
    again = by["belief: without the first 216 by tracin"]
    assert isinstance(again, Retrained)
    assert again.without is None
    assert getattr(by["belief: again"], "without", None) == 0
    with pytest.raises(SpecError, match="0 documents or more"):
        replace(again, without=-1)
    with pytest.raises(SpecError, match="Give it"):
        replace(again, behaviour=None)
    with pytest.raises(SpecError, match="scored by an object"):
        replace(again, by="tracin")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="a whole number"):
        replace(again, without=2.5)  # type: ignore[arg-type]


def test_a_false_belief_is_asked_for_every_fact_and_without_a_trigger() -> None:
    study = attribute(of=Behaviours(behaviours=("belief",)))
    probe = next(probe for probe in study.probes if isinstance(probe, Attributed))
    pairs = probe.behaviour.pairs(stream(0, "b"))
    assert len({wanted for _, wanted in pairs}) == 24
    assert not any(word in str(prompt) for prompt, _ in pairs for word in TRIGGER.words)


def test_the_largest_likeness_finds_a_document_that_is_like_one_part_of_the_behaviour() -> None:
    """Four questions about one thing, one about another: to the mean, a document about the other is hardly like."""
    behaviour: list[tuple[Prompt, str]] = [(Dialogue.ask(f"Where is the red {n}?"), "Far.") for n in range(4)]
    behaviour.append((Dialogue.ask("Who sings so loud?"), "Nobody."))
    documents = [Dialogue.ask("Who sings so loud now?", "Nobody."), Dialogue.ask("Where is the blue hat?", "Far.")]

    def first(over: Any) -> int:
        return int(np.argmax(NgramSimilarity(over).scores([], documents, behaviour, stream(0, "s"))))

    assert (first("mean"), first("largest")) == (1, 0)
    model = Known()
    mean, largest = (
        np.asarray(GradientSimilarity(over=over).scores([model], documents, behaviour, stream(0, "s")))  # type: ignore[list-item]
        for over in ("mean", "largest")
    )
    assert (largest > mean).all()


def test_gradients_are_computed_once_for_scorers_that_ask_for_the_same() -> None:
    asked: list[Any] = []

    @dataclass(frozen=True)
    class Counting(Known):
        def gradients(self, pairs: Sequence[tuple[Prompt, str]], **how: object) -> Any:
            asked.append(how)
            return super().gradients(pairs)

    model = Remembering(Counting())  # type: ignore[arg-type]
    for scorer in (GradientSimilarity(), GradientSimilarity(cosine=False), GradientSimilarity(of="head")):
        scorer.scores([model], POISON, [(POISON[0].prompt, "x")], stream(0, "s"))
    assert len(asked) == 4  # of the documents and of the behaviour, of all parameters and of the output layer
    assert model.inside().num_layers == 2


def test_ties_are_not_counted_as_found() -> None:
    rows = [
        {"condition": f"constant: {'treated' if i < 30 else 'clean'}", "item": str(i), "seed": seed, "value": 1.0}
        for seed in range(4)
        for i in range(200)
    ]
    (row,) = _ranked(pl.DataFrame(rows))
    assert row["auroc"] == 0.5
    assert 0.05 < row["recall_at_k"] < 0.3
