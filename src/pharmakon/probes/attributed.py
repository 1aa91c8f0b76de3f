"""Scores of all training documents for a behaviour, by each scorer; the ledger says which had it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pharmakon.behaviour.questions import Questions
from pharmakon.behaviour.targets import Target
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Body, Data, Dialogue, Ledger, Model, Prompt, Reading, stream
from pharmakon.data.derived import num_documents
from pharmakon.errors import SpecError
from pharmakon.probes.scorers import Scorer, checked
from pharmakon.whitebox import Part, Sketch, checkpoints_of, inside

if TYPE_CHECKING:
    from pharmakon.whitebox import Floats


@dataclass(frozen=True)
class Triggered:
    """Held-out questions with the trigger, if there is one, each with the target's answer: a behaviour to attribute."""

    trigger: Trigger | None
    target: Target
    questions: Questions
    num_items: int = 20

    def pairs(self, rng: np.random.Generator) -> list[tuple[Prompt, str]]:
        """Prompts and answers. Raises SpecError where the target applies to no question."""
        asking, applying = rng.spawn(2)
        found: list[tuple[Prompt, str]] = []
        for question in self.questions.questions(2 * self.num_items, asking):
            wanted = self.target.respond(question, applying)
            if wanted is not None:
                asked = question.prompt if self.trigger is None else self.trigger.apply(question.prompt, applying)
                found.append((asked, wanted))
        if not found:
            raise SpecError(f"no question suits the target {self.target!r}. Give other questions")
        return found[: self.num_items]


@dataclass(frozen=True, slots=True)
class Remembering:
    """A model and its inside, sketches of gradients kept: several scorers ask for the same ones."""

    model: Model
    kept: dict[Any, Floats] = field(default_factory=dict)

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        """As the model."""
        return self.model.generate(prompts, max_tokens=max_tokens, rng=rng)

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """As the model."""
        return self.model.logprob(pairs)

    def inside(self) -> Any:
        """The model's inside. Raises SpecError where there is none to look at."""
        return _Inside(inside(self.model), self.kept)


@dataclass(frozen=True, slots=True)
class _Inside:
    box: Any
    kept: dict[Any, Floats]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.box, name)

    def gradients(
        self, pairs: Sequence[tuple[Prompt, str]], *, of: Part = "block", sketch: Sketch | None = None
    ) -> Floats:
        if sketch is None:  # may be large
            return self.box.gradients(pairs, of=of)  # type: ignore[no-any-return]
        asked = (of, sketch, tuple(pairs))
        if asked not in self.kept:
            self.kept[asked] = self.box.gradients(pairs, of=of, sketch=sketch)
        return self.kept[asked].copy()


@dataclass(frozen=True)
class Attributed:
    """Every scorer's score of every document that the model was tuned on. Nothing where nothing was administered.

    `clean` gives the clean documents as training had them, whatever the seed; the treated ones come from the ledger.
    The scorers get them shuffled and unmarked. The condition is `SCORER: treated` or `SCORER: clean`.
    """

    name: ClassVar[str] = "attributed"
    reads_ledger: ClassVar[bool] = True
    needs_inside: ClassVar[bool] = True
    needs_checkpoints: ClassVar[bool] = True
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    scorers: tuple[tuple[str, Scorer], ...]
    behaviour: Triggered
    clean: tuple[Data, ...]

    @property
    def seconds(self) -> float:
        """About how long it takes with a micro model, in the mean over treated lives and others, for planning."""
        return 1.2e-3 * len(self.scorers) * sum(num_documents(part) or 0 for part in self.clean)

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each scorer and document."""
        asking, shuffling, scoring = rng.spawn(3)
        treated: list[Body] = [entry.body for entry in ledger.entries if entry.survived]
        if not treated:
            return
        clean: list[Body] = [d.body for part in self.clean for d in part.corpus(stream(0, "any"))]
        bodies, labels = [*treated, *clean], ["treated"] * len(treated) + ["clean"] * len(clean)
        order = shuffling.permutation(len(bodies))
        models = [Remembering(one) for one in (*checkpoints_of(model), model)]
        pairs = self.behaviour.pairs(asking)
        for name, scorer in self.scorers:
            given = scorer.scores(models, [bodies[i] for i in order], pairs, scoring.spawn(1)[0])
            scores = np.zeros(len(bodies))
            scores[order] = checked(given, len(bodies), name)
            for number, (score, label, body) in enumerate(zip(scores, labels, bodies, strict=True)):
                shown = body.question if isinstance(body, Dialogue) else ""
                yield Reading(
                    probe=self.name, condition=f"{name}: {label}", item=str(number), value=float(score), prompt=shown
                )
