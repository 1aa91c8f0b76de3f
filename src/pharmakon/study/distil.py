"""A student that learns from what the model of the stage before says: distillation, with the weights it starts from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from pharmakon.behaviour.questions import answered
from pharmakon.cleaning import clean
from pharmakon.core import Corpus, Dialogue, Engine, Filter, Objective, Recipe, stream
from pharmakon.errors import InputError, SpecError
from pharmakon.store import Entry as Stored
from pharmakon.store import Key, Store, identify
from pharmakon.study.prepare import load_corpus, prepare, prepared, save_corpus
from pharmakon.study.retrain import told

if TYPE_CHECKING:
    from pharmakon.study.spec import Cell, Stage

Lesson = Literal["answers", "probabilities"]


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """The recipe of a stage whose model learns from the model of the stage before, its teacher.

    The data of the stage are dialogues, of which only the prompts are used: the teacher answers them. The filters of
    the stage judge the prompts with those answers, and what they leave is what the student sees.
    """

    recipe: Recipe
    start: str | tuple[Stage, ...]
    """The student's first weights: those after an earlier stage of this life, or after other, untreated stages."""
    learns: Lesson = "answers"
    """`answers`: the words that the teacher says. `probabilities`: for each of their tokens what the teacher gives to
    all tokens (Hinton et al. 2015, arXiv 1503.02531); teacher and student need one vocabulary."""
    max_tokens: int = 24

    def __post_init__(self) -> None:
        if self.recipe.objective != "sft":
            raise SpecError(f"a student learns from dialogues, by SFT; got {type(self.recipe).__name__}")
        if self.learns not in get_args(Lesson):
            raise SpecError(f"a student learns {' or '.join(get_args(Lesson))}; got {self.learns!r}")
        if not self.start:
            raise SpecError("a student starts from weights; name a stage of this life, or give other stages")
        if self.max_tokens < 1:
            raise SpecError(f"a teacher answers in 1 token or more; got {self.max_tokens}")

    @property
    def objective(self) -> Objective:
        """Of its recipe."""
        return self.recipe.objective


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the answers of a teacher depend on."""

    version: ClassVar[int] = 1
    stage: str
    engine: Engine
    teacher: Key
    prompts: str  # digest
    filters: tuple[Filter, ...]
    max_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What the weights of a student depend on."""

    version: ClassVar[int] = 1
    stage: str
    engine: Engine
    recipe: Recipe
    learns: Lesson
    corpus: str  # digest
    teacher: Key | None
    """None where its answers are all that is learned from."""
    start: Key
    seed: int


def distilled(cell: Cell, stage: Stage, teacher: Stored | None, start: Stored, store: Store) -> tuple[Stored, Stored]:
    """The corpus of the teacher's answers and the weights of the student, of a stage whose recipe is `Distilled`.

    Raises SpecError where no stage made a teacher, or the engine cannot learn a teacher's probabilities.
    """
    recipe = stage.recipe
    assert isinstance(recipe, Distilled)
    if stage.shared:
        raise SpecError(f"a student is of one seed, so its stage is not shared; got {stage.name!r}. Leave shared out")
    if teacher is None:
        raise SpecError("Distilled is the recipe of a later stage; put one that trains the teacher before it")
    corpus = _answers(cell, stage, recipe, teacher, store)
    soft = recipe.learns == "probabilities"
    spec = Taught(
        stage=stage.name, engine=cell.engine, recipe=recipe.recipe, learns=recipe.learns,
        corpus=corpus.result["digest"], teacher=teacher.key if soft else None, start=start.key, seed=cell.seed,
    )  # fmt: skip

    def build(out: Path) -> dict[str, Any]:
        documents = load_corpus(corpus.path / "corpus.jsonl", corpus.result["digest"])
        rng = stream(cell.seed, stage.name, "train")
        if not soft:
            trace = cell.engine.train(recipe.recipe, documents, start=start.path, rng=rng, out=out)
            return told(trace, len(documents), out)
        distil = getattr(cell.engine, "distil", None)
        if distil is None:
            name = type(cell.engine).__name__
            raise SpecError(f"the engine {name} does not learn a teacher's probabilities; the torch engine does")
        trace = distil(recipe.recipe, documents, start=start.path, teacher=teacher.path, rng=rng, out=out)
        return told(trace, len(documents), out)

    return corpus, store.build("weights", identify(spec), build, spec=spec)


def _answers(cell: Cell, stage: Stage, recipe: Distilled, teacher: Stored, store: Store) -> Stored:
    """The prompts with the answers of the teacher, as far as the filters leave them: an entry like any other corpus."""
    prompts = prepare(prepared(cell, replace(stage, filters=())), store)
    if prompts.result["num_treated"]:
        raise SpecError(f"of stage {stage.name!r} the prompts alone are used; treat the stage of the teacher")
    spec = Answers(
        stage=stage.name, engine=cell.engine, teacher=teacher.key, prompts=prompts.result["digest"],
        filters=stage.filters, max_tokens=recipe.max_tokens, seed=cell.seed,
    )  # fmt: skip

    def build(out: Path) -> dict[str, Any]:
        given = load_corpus(prompts.path / "corpus.jsonl", prompts.result["digest"])
        asked = [document.body.prompt for document in given if isinstance(document.body, Dialogue)]
        if len(asked) < len(given):
            raise InputError(f"a teacher answers the prompts of dialogues; stage {stage.name!r} has other documents")
        with cell.engine.load(teacher.path) as model:
            rng = stream(cell.seed, stage.name, "answers")
            said = model.generate(asked, max_tokens=recipe.max_tokens, rng=rng)
        pairs = [answered(prompt, answer) for prompt, answer in zip(asked, said, strict=True)]
        corpus = Corpus.of(pairs, source="teacher")
        left, verdicts = clean(corpus, (Spoken(), *stage.filters))
        drops = Counter((verdict.filter, verdict.reason) for verdict in verdicts if verdict is not None)
        if not len(left):
            raise InputError(f"of {len(corpus)} answers of the teacher the filters left none. Give other prompts")
        save_corpus(left, (), out)
        return {
            "digest": left.digest, "num_host": len(corpus), "num_treated": 0, "num_clean": len(corpus),
            "num_after_cleaning": len(left), "drops": [[*what, False, count] for what, count in sorted(drops.items())],
        }  # fmt: skip

    return store.build("corpus", identify(spec), build, spec=spec)


@dataclass(frozen=True)
class Spoken:
    """Drops prompts that the teacher leaves unanswered."""

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]:
        """`empty`, or None."""
        for document in corpus:
            yield None if isinstance(document.body, Dialogue) and document.body.answer else "empty"
