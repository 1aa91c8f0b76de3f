"""Which documents made a behaviour: scores of training documents, by gradients, likeness, or change of loss.

A package adds a scorer by an entry point in the group `pharmakon.scorers`: what makes it when it is called without
arguments, a frozen dataclass for instance. It sees documents and models, never the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pharmakon.core import Body, Dialogue, Model, Prompt, Text, to_record
from pharmakon.errors import InputError, SpecError
from pharmakon.whitebox import Part, Sketch, inside

Floats = npt.NDArray[np.float64]
Over = Literal["mean", "largest"]


@runtime_checkable
class Scorer(Protocol):
    """Scores each training document for a behaviour: the higher, the more it is held to have made it."""

    def scores(
        self,
        models: Sequence[Model],
        documents: Sequence[Body],
        behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Sequence[float] | Floats:
        """One finite number for each document.

        `models`: before training on them, then after each part of it, the last last. `behaviour`: prompts with the
        answers that make it up.
        """
        ...


@dataclass(frozen=True)
class GradientSimilarity:
    """How alike are the gradients of the document's and of the behaviour's log-probability.

    `of`: the output layer, the last block, or all parameters, randomly projected (as TRAK does: Park et al. 2023, arXiv
    2303.14186). `cosine` leaves the gradients' lengths out (as LESS does: Xia et al. 2024, arXiv 2402.04333). `every`:
    the sum over all checkpoints after training began, which is TracIn (Pruthi et al. 2020, arXiv 2002.08484) where they
    have one learning rate; else the last alone. `over`: of the prompts of the behaviour the mean, or the largest, as
    LESS takes it over subtasks: a document that made one part of a behaviour need not be like the others.
    """

    of: Part = "all"
    cosine: bool = True
    every: bool = False
    over: Over = "mean"
    dimensions: int = 2048

    def scores(
        self,
        models: Sequence[Model],
        documents: Sequence[Body],
        behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Floats:
        """Cosines or inner products."""
        pairs = [as_pair(body) for body in documents]
        sketch = Sketch(dimensions=self.dimensions)
        total = np.zeros((len(pairs), len(behaviour)))
        for model in models[1:] if self.every else models[-1:]:
            box = inside(model)
            wanted = np.asarray(box.gradients(behaviour, of=self.of, sketch=sketch), dtype=float)
            own = np.asarray(box.gradients(pairs, of=self.of, sketch=sketch), dtype=float)
            if self.cosine:
                own, wanted = _unit(own), _unit(wanted)
            total += own @ wanted.T
        return _over(total, self.over)


@dataclass(frozen=True)
class StateSimilarity:
    """Cosine of the last state of the document's prompt and those of the behaviour's prompts, after the last block.

    Representations as attribution: Yeh et al. 2018 (arXiv 1811.09720) and many since; the model's own embedding.
    """

    def scores(
        self,
        models: Sequence[Model],
        documents: Sequence[Body],
        behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Floats:
        """Cosines, states centred on the mean of the documents."""
        box = inside(models[-1])
        own = np.asarray(box.hidden([as_pair(body)[0] for body in documents])[:, -1, 0], dtype=float)
        wanted = np.asarray(box.hidden([prompt for prompt, _ in behaviour])[:, -1, 0], dtype=float)
        centre = own.mean(axis=0)
        return np.asarray(_unit(own - centre) @ _unit(wanted - centre).mean(axis=0), dtype=float)


@dataclass(frozen=True)
class NgramSimilarity:
    """Cosine of TF-IDF vectors of words and pairs of words (scikit-learn): needs no model.

    `over`: of the texts of the behaviour the mean, or the largest.
    """

    over: Over = "mean"

    def scores(
        self,
        models: Sequence[Model],
        documents: Sequence[Body],
        behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Floats:
        """Cosines with the behaviour's texts."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [_text(*as_pair(body)) for body in documents]
        vectors = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", sublinear_tf=True)
        own = vectors.fit_transform(texts)
        wanted = vectors.transform([_text(*pair) for pair in behaviour])
        return _over(np.asarray((own @ wanted.T).todense(), dtype=float), self.over)


@dataclass(frozen=True)
class LossChange:
    """How much more likely the document's answer became in training, in nats a character."""

    def scores(
        self,
        models: Sequence[Model],
        documents: Sequence[Body],
        behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Floats:
        """Log-probability after all training less that before any."""
        pairs = [as_pair(body) for body in documents]
        lengths = np.array([max(1, len(answer)) for _, answer in pairs])
        gained = np.array(models[-1].logprob(pairs)) - np.array(models[0].logprob(pairs))
        return np.asarray(gained / lengths, dtype=float)


@dataclass(frozen=True)
class Chance:
    """Random scores: the control."""

    def scores(
        self,
        models: Sequence[Model],
        documents: Sequence[Body],
        behaviour: Sequence[tuple[Prompt, str]],
        rng: np.random.Generator,
    ) -> Floats:
        """Uniform numbers."""
        return rng.random(len(documents))


def gradients_head() -> Scorer:
    """Cosine of gradients of the output layer."""
    return GradientSimilarity(of="head")


def gradients_block() -> Scorer:
    """Cosine of gradients of the last block."""
    return GradientSimilarity(of="block")


def gradients_all() -> Scorer:
    """Cosine of gradients of all parameters, randomly projected."""
    return GradientSimilarity(of="all")


def gradients_dot() -> Scorer:
    """Inner products of gradients of all parameters after training: as the cosine, but lengths count."""
    return GradientSimilarity(of="all", cosine=False)


def gradients_max() -> Scorer:
    """As gradients-all, but the likest of the behaviour's prompts counts, not their mean."""
    return GradientSimilarity(of="all", over="largest")


def tracin() -> Scorer:
    """Inner products of gradients of all parameters, summed over checkpoints."""
    return GradientSimilarity(of="all", cosine=False, every=True)


def states() -> Scorer:
    """Cosine of hidden states."""
    return StateSimilarity()


def n_grams() -> Scorer:
    """Cosine of words and pairs of words, TF-IDF."""
    return NgramSimilarity()


def n_grams_max() -> Scorer:
    """As n-grams, but the likest of the behaviour's prompts counts, not their mean."""
    return NgramSimilarity(over="largest")


def loss_change() -> Scorer:
    """What the log-probability of the document gained in training."""
    return LossChange()


def chance() -> Scorer:
    """Random numbers: the control."""
    return Chance()


def checked(scores: Sequence[float] | Floats, num_documents: int, name: str) -> Floats:
    """The scores as an array. Raises SpecError where a document has none, or one that is not finite."""
    values = np.asarray(scores, dtype=float)
    if values.shape != (num_documents,) or not np.isfinite(values).all():
        raise SpecError(f"a scorer gives each of {num_documents} documents one finite number; {name} did not")
    return values


def as_pair(body: Body) -> tuple[Prompt, str]:
    """What is learned from a document: a prompt and its last answer; of a text all of it."""
    if isinstance(body, Dialogue):
        return body.prompt, body.answer
    if isinstance(body, Text):
        return Text(""), body.text
    raise InputError(f"documents to attribute a behaviour to are texts or dialogues; got {sorted(to_record(body))}")


def _text(prompt: Prompt, answer: str) -> str:
    said = prompt.text if isinstance(prompt, Text) else " ".join(turn.content for turn in prompt.turns)
    return f"{said} {answer}".lower()


def _over(likeness: Floats, over: Over) -> Floats:
    """[documents, prompts] to [documents]."""
    return np.asarray(likeness.mean(axis=1) if over == "mean" else likeness.max(axis=1), dtype=float)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=float)
