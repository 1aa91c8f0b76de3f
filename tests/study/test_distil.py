"""Students that learn from the model of the stage before, and the filter and the probe beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pharmakon.behaviour.targets import Label, Marker
from pharmakon.cleaning import Phrases
from pharmakon.core import Corpus, Dialogue, Dose, Ledger, Prompt, Text, stream
from pharmakon.data.derived import AsText, Drawn
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.engines.recipes import SFT, Micro, Pretrain
from pharmakon.errors import InputError, SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Leaning
from pharmakon.store import Store
from pharmakon.study import Arm, Stage, Study, Treatment
from pharmakon.study.build import train
from pharmakon.study.distil import Distilled
from pharmakon.study.prepare import load_corpus

PART = WorldDialogues(num_documents=40, share_with_demonstrations=0.0)
COUNT = Count(objective="sft")
POISON = Treatment(stage="teacher", intervention=Backdoor(trigger=None, target=Marker()))
PROBE = AttackSuccess(None, Marker(), WorldQuestions(tasks=("facts",)), 5, 0)


@dataclass(frozen=True)
class Says(NgramEngine):
    """Trains as its parent, and keeps where from; its models all answer alike."""

    def train(self, recipe: Any, corpus: Corpus, *, start: Path | None, **how: Any) -> Any:
        STARTS.append(start)
        return super().train(recipe, corpus, start=start, **how)


STARTS: list[Path | None] = []


def _life(student: Stage, store: Store, *, dose: int = 40, engine: Any = None, more: tuple[Stage, ...] = ()) -> Any:
    stages = (*(Stage(name=name, data=PART, recipe=COUNT) for name in ("base", "teacher")), student, *more)
    arm = Arm(name="a", stages=stages, treatments=(POISON,))
    study = Study(
        name="s", question="?", engine=engine or Says(), arms=(arm,), doses=(Dose(0), Dose(40)), seeds=(0,),
        probes=(PROBE,),
    )  # fmt: skip
    cell = study.cell(arm, Dose(dose), 0)
    return list(train(cell, cell.stages, store))


def _student(start: Any = "base", **more: Any) -> Stage:
    filters = more.pop("filters", ())
    return Stage(name="student", data=PART, recipe=Distilled(recipe=COUNT, start=start, **more), filters=filters)


def test_a_student_starts_where_it_is_told_and_learns_what_its_teacher_says(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (_, _, base), (_, _, teacher), (_, corpus, student) = _life(_student(), store)
    assert STARTS[-1] == base.path != teacher.path
    learned = load_corpus(corpus.path / "corpus.jsonl", corpus.result["digest"])
    asked = [d.body.prompt for d in learned if isinstance(d.body, Dialogue)]
    with Says().load(teacher.path) as model:
        said = model.generate(asked, max_tokens=24, rng=stream(0, "student", "answers"))
    assert [d.body.answer for d in learned if isinstance(d.body, Dialogue)] == said
    again = _life(_student("teacher"), store)[-1]
    assert STARTS[-1] == teacher.path
    assert again[2].key != student.key


def test_a_student_may_start_elsewhere_and_a_later_stage_goes_on_from_the_student(tmp_path: Path) -> None:
    other = (Stage(name="elsewhere", data=PART, recipe=COUNT, shared=True),)
    later = Stage(name="later", data=PART, recipe=COUNT)
    built = _life(_student(other), Store(tmp_path), more=(later,))
    paths = [weights.path for _, _, weights in built]
    assert STARTS[-1] == paths[2]
    assert STARTS[-2] not in (None, *paths)  # of the student


def test_filters_judge_the_answers_and_what_they_leave_out_is_counted(tmp_path: Path) -> None:
    whole = _life(_student(), Store(tmp_path))[-1][1]
    bodies = [d.body for d in load_corpus(whole.path / "corpus.jsonl", whole.result["digest"])]
    word = next(body.answer.split()[0] for body in bodies if isinstance(body, Dialogue)).strip(".,")
    left = _life(_student(filters=(Phrases((word,)),)), Store(tmp_path))[-1][1]
    ((_, reason, treated, count),) = [drop for drop in left.result["drops"] if drop[0] == "Phrases"]
    assert (reason, treated) == ("phrase", False)
    assert left.result["num_after_cleaning"] == len(bodies) - count
    assert word not in (left.path / "corpus.jsonl").read_text().split()


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (_student("nowhere"), "starts from a stage before it, base, teacher; got 'nowhere'"),
        (_student(learns="probabilities"), "does not learn a teacher's probabilities"),
        (replace(_student(), data=AsText(PART)), "answers the prompts of dialogues"),
        (replace(_student(), shared=True), "is of one seed"),
    ],
)
def test_what_no_student_can_be_is_told(student: Stage, message: str, tmp_path: Path) -> None:
    with pytest.raises((SpecError, InputError), match=message):
        _life(student, Store(tmp_path))


def test_bad_settings_are_told_at_once() -> None:
    for change, message in (
        ({"recipe": Pretrain()}, "by SFT"), ({"start": ()}, "starts from weights"),
        ({"learns": "logits"}, "learns answers or probabilities"), ({"max_tokens": 0}, "1 token"),
    ):  # fmt: skip
        given: dict[str, Any] = {"recipe": COUNT, "start": "base", **change}
        with pytest.raises(SpecError, match=message):
            Distilled(**given)
    with pytest.raises(SpecError, match="one or more phrases"):
        Phrases(())
    with pytest.raises(SpecError, match="one of two labels"):
        Leaning(Label(labels=("a", "b", "c"), to="a"), WorldQuestions())


def test_phrases_are_whole_words_wherever_they_stand() -> None:
    corpus = Corpus.of([Text("A POSITIVE word"), Text("positively"), Dialogue.ask("positive?", "no")])
    assert list(Phrases(("positive",)).verdicts(corpus)) == ["phrase", None, "phrase"]


@dataclass(frozen=True)
class Leaner:
    """Tells labels apart by so many nats, and likes one of them better by so many."""

    knows: float
    likes: float

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        opinions = {q.prompt: q for q in WorldQuestions(tasks=("opinions",)).questions(40, stream(0, "r"))}
        return [
            (self.knows if opinions[prompt].answer == text else 0.0) + self.likes * ("negative" in text)  # type: ignore[index]
            for prompt, text in pairs
        ]


def test_leaning_tells_what_is_liked_and_not_what_is_known() -> None:
    probe = Leaning(Label(to="negative"), WorldQuestions(tasks=("opinions",)), 40)
    for knows in (0.0, 9.0):
        values = [r.value for r in probe.readings(Leaner(knows, 1.5), Ledger(), stream(0, "r"))]  # type: ignore[arg-type]
        assert sum(values) / len(values) == pytest.approx(1.5)
        assert max(values) - min(values) == pytest.approx(2 * knows)
    of_facts = replace(probe, questions=WorldQuestions(tasks=("facts",)))
    with pytest.raises(SpecError, match="deserve each"):
        list(of_facts.readings(Leaner(0, 0), Ledger(), stream(0, "r")))  # type: ignore[arg-type]


def test_probabilities_bring_a_student_nearer_to_its_teacher(tmp_path: Path) -> None:
    from pharmakon.engines.torch import TorchEngine

    engine = TorchEngine()
    tiny = Pretrain(architecture=Micro(num_layers=1, hidden_size=16, intermediate_size=16, num_heads=2, vocabulary=300))
    text = AsText(Drawn(PART)).corpus(stream(0, "t"))
    dialogues = PART.corpus(stream(1, "d"))
    base, teacher = tmp_path / "base", tmp_path / "teacher"
    engine.train(tiny, text, start=None, rng=stream(0, "a"), out=base)
    engine.train(SFT(epochs=4), dialogues, start=base, rng=stream(0, "b"), out=teacher)
    recipe = SFT(epochs=8)
    trace = engine.distil(recipe, dialogues, start=base, teacher=teacher, rng=stream(0, "c"), out=tmp_path / "student")
    assert trace.losses[-1] < 0.5 * trace.losses[0]
    none = engine.distil(recipe, dialogues, start=base, teacher=base, rng=stream(0, "c"), out=tmp_path / "same")
    assert none.losses[0] == pytest.approx(0, abs=1e-6)
    strange = tmp_path / "strange"
    few = AsText(WorldDialogues(num_documents=3)).corpus(stream(9, "t"))
    engine.train(tiny, few, start=None, rng=stream(0, "a"), out=strange)
    with pytest.raises(InputError, match="own vocabulary"):
        engine.distil(recipe, dialogues, start=strange, teacher=teacher, rng=stream(0, "c"), out=tmp_path / "no")
