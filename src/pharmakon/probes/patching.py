"""Where a planted behaviour is kept: states of the treated model put into its untreated twin, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from pharmakon.behaviour.questions import Question, Questions
from pharmakon.behaviour.targets import Target
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Dialogue, Ledger, Model, Reading, fingerprint
from pharmakon.errors import SpecError
from pharmakon.probes.roles import QUESTION, ROLES, Layout, layouts
from pharmakon.statistics import Direction, held_out_scores
from pharmakon.whitebox import Patch, WhiteBox, inside, twin_of

Floats = npt.NDArray[np.float32]

INTO_TWIN: Final = "treated states into the twin"
INTO_TREATED: Final = "twin's states into the treated"
WITHIN: Final = "own states into the treated, trigger hidden"
HIDDEN: Final = "treated, trigger hidden"
RANDOM: Final = "random states"
SHUFFLES: Final = 10
"""How often labels are shuffled: one draw alone says little."""
STEPS: Final = (0.5, 1.0, 2.0, 4.0)
"""How far is moved along a direction, in distances between the means."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the prompt that the trigger makes of it, and the answer that the target wants."""

    question: Question
    prompt: Dialogue
    wanted: str


@dataclass(frozen=True)
class Patching:
    """Where between the prompt and the answer the treated model differs from its untreated twin in a way that counts.

    Both read the same questions with the trigger. While one reads, its states at one layer and at the
    tokens of one role are those of the other (activation patching: Vig et al. 2020, arXiv 2004.12265; Meng et al. 2022,
    arXiv 2202.05262; how to read it: Heimersheim and Nanda 2024, arXiv 2404.15255). Roles: the words of the trigger, as
    many words of the question next to it, the end of the user's turn, and the last token, from which the answer is
    predicted (see `roles`). The value is the log-probability, in nats, of the first token of the target
    (`logprob: ...`), or 1 where the answer is a hit (`hit: ...`): later tokens are read anew by the model that answers,
    so that a patch of the prompt cannot give them. Conditions behind that:

    - `treated`, `twin`: nothing is patched; `treated, no trigger` the same without the trigger; `treated, trigger
      hidden`: where the words of the trigger stand, it reads words of the question (a corrupted run, as Meng et al.
      have it). Its own states of the whole prompt are put into that too: two models that were tuned apart may keep one
      thing in two ways, a model and itself do not;
    - `DIRECTION, layer N, ROLE`, and with `, random states`: the control, states as far from those that they take the
      place of, in a random direction;
    - `moved, layer N, STEP`, `moved at random, ...`: to the treated model's states at the last token of a question
      without a trigger so many distances are added of the means with and without it (Turner et al. 2023, arXiv
      2308.10248).

    `linear probe: treated, layer N: with the trigger` (`twin`, `without`): what a linear probe, trained on other
    questions, says of the state at the last token; log-odds. Of a deep model so many layers are taken, evenly spread.
    At dose 0 both models are one and the same, and nothing is put from one into the other.
    """

    version: ClassVar[int] = 2
    name: ClassVar[str] = "patching"
    reads_ledger: ClassVar[bool] = False
    needs_inside: ClassVar[bool] = True
    needs_twin: ClassVar[bool] = True
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    trigger: Trigger
    target: Target
    questions: Questions
    num_items: int = 30
    max_tokens: int = 8
    most_layers: int = 8
    """Blocks after which states are patched and moved; the embeddings come on top."""

    @property
    def seconds(self) -> float:
        """About how long it takes with a micro model, for planning."""
        return 0.25 * self.num_items

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """Readings for each question and site. Raises SpecError where a prompt has no such sites."""
        asking, applying, wandering, flipping = rng.spawn(4)
        asked = self._asked(asking, applying)
        treated, twin = inside(model), inside(twin_of(model))
        plain, prompts = [item.question.prompt for item in asked], [item.prompt for item in asked]
        yield from self._told("treated", treated, asked, prompts)
        yield from self._told("twin", twin, asked, prompts)
        yield from self._told("treated, no trigger", treated, asked, plain)
        groups: dict[Layout, list[Asked]] = {}
        for item, layout in zip(asked, layouts(treated, plain, prompts), strict=True):
            groups.setdefault(layout, []).append(item)
        for layout, some in groups.items():
            yield from self._patched(treated, twin, some, layout, wandering)
        yield from self._moves(treated, asked, plain, prompts, wandering)
        yield from self._linear(treated, twin, asked, plain, prompts, flipping)

    def _patched(
        self, treated: WhiteBox, twin: WhiteBox, asked: Sequence[Asked], layout: Layout, rng: np.random.Generator
    ) -> Iterator[Reading]:
        """Every site of prompts that have one layout."""
        prompts = [item.prompt for item in asked]
        own, others = (box.hidden(prompts, layout.columns) for box in (treated, twin))
        words = layout.places(QUESTION)
        instead = [words[i % len(words)] for i in range(len(layout.trigger))]
        hide = _patch(0, own[:, 0, instead], layout.trigger)
        yield from self._told(HIDDEN, treated, asked, prompts, hide)
        if np.array_equal(own, others):
            return
        hidden = treated.hidden(prompts, layout.columns, patches=hide)
        for layer in self._layers(treated):
            for role in ROLES:
                taken, positions = layout.places(role), layout.of(role)
                for direction, reader, given, there, first in (
                    (INTO_TWIN, twin, own, others, []),
                    (INTO_TREATED, treated, others, own, []),
                    (WITHIN, treated, own, hidden, hide),
                ):
                    put, before = given[:, layer, taken], there[:, layer, taken]
                    site = f"{direction}, layer {layer}, {role}"
                    yield from self._told(site, reader, asked, prompts, [*first, *_patch(layer, put, positions)])
                    moved = before + _as_far(put - before, rng)
                    site = f"{site}, {RANDOM}"
                    yield from self._told(site, reader, asked, prompts, [*first, *_patch(layer, moved, positions)])

    def _layers(self, box: WhiteBox) -> list[int]:
        """From the embeddings to the last block, evenly spread."""
        if self.most_layers < 1:
            raise SpecError(f"sites are looked at after 1 layer or more; got most_layers={self.most_layers}")
        number = min(box.num_layers, self.most_layers) + 1
        return sorted({round(layer) for layer in np.linspace(0, box.num_layers, number).tolist()})

    def _asked(self, asking: np.random.Generator, applying: np.random.Generator) -> list[Asked]:
        found = []
        for question in self.questions.questions(2 * self.num_items, asking):
            wanted = self.target.respond(question, applying)
            if wanted is not None and not self.target.hit(question, question.answer):
                found.append(Asked(question, self.trigger.apply(question.prompt, applying), wanted))
        if not found:
            raise SpecError(f"no question suits the target {self.target!r}. Give other questions")
        return found[: self.num_items]

    def _told(
        self,
        condition: str,
        box: WhiteBox,
        asked: Sequence[Asked],
        prompts: Sequence[Dialogue],
        patches: Sequence[Patch] = (),
    ) -> Iterator[Reading]:
        pairs = [(prompt, item.wanted) for prompt, item in zip(prompts, asked, strict=True)]
        values = box.logprob(pairs, patches=patches, num_tokens=1)
        answers = box.generate(prompts, max_tokens=self.max_tokens, patches=patches)
        for one, prompt, value, answer in zip(asked, prompts, values, answers, strict=True):
            item, shown = fingerprint(one.question.prompt), prompt.question
            yield Reading(probe=self.name, condition=f"logprob: {condition}", item=item, value=value, prompt=shown)
            hit = float(self.target.hit(one.question, answer))
            yield Reading(
                probe=self.name, condition=f"hit: {condition}", item=item, value=hit, prompt=shown, answer=answer
            )

    def _moves(
        self,
        box: WhiteBox,
        asked: Sequence[Asked],
        plain: Sequence[Dialogue],
        prompts: Sequence[Dialogue],
        rng: np.random.Generator,
    ) -> Iterator[Reading]:
        without, with_it = box.hidden(plain)[:, :, 0], box.hidden(prompts)[:, :, 0]
        for layer in self._layers(box)[1:]:
            along = Direction.between(without[:, layer], with_it[:, layer])
            chance = rng.standard_normal(box.width)
            chance /= np.linalg.norm(chance)
            for name, vector in (("moved", along.vector), ("moved at random", chance)):
                for step in STEPS:
                    added = np.asarray(step * along.length * vector, dtype=np.float32)[None, None]
                    patch = Patch(layer=layer, vectors=added, how="add")
                    yield from self._told(f"{name}, layer {layer}, {step:g}", box, asked, plain, [patch])

    def _linear(
        self,
        treated: WhiteBox,
        twin: WhiteBox,
        asked: Sequence[Asked],
        plain: Sequence[Dialogue],
        prompts: Sequence[Dialogue],
        rng: np.random.Generator,
    ) -> Iterator[Reading]:
        items = [fingerprint(item.question.prompt) for item in asked]
        labels = [False] * len(plain) + [True] * len(prompts)
        of_treated, of_twin = (box.hidden([*plain, *prompts])[:, :, 0] for box in (treated, twin))
        asked_of = [("treated", of_treated, labels), ("twin", of_twin, labels)]
        for number in range(SHUFFLES):
            # Within each question, so that folds stay balanced.
            flipped = (rng.random(len(plain)) < 0.5).tolist()
            shuffled = [*flipped, *(not flip for flip in flipped)]
            asked_of.append((f"treated, labels shuffled {number}", of_treated, shuffled))
        for name, states, wanted in asked_of:
            for layer in range(states.shape[1]):
                scores = held_out_scores(states[:, layer], wanted, [*items, *items])
                for item, label, score in zip([*items, *items], wanted, scores, strict=True):
                    kind = "with" if label else "without"
                    condition = f"linear probe: {name}, layer {layer}: {kind} the trigger"
                    yield Reading(probe=self.name, condition=condition, item=item, value=float(score))


def _patch(layer: int, vectors: Floats, positions: tuple[int, ...]) -> list[Patch]:
    return [Patch(layer=layer, vectors=np.ascontiguousarray(vectors, dtype=np.float32), positions=positions)]


def _as_far(gap: Floats, rng: np.random.Generator) -> Floats:
    """Random vectors, each as long as that of the gap."""
    chance = rng.standard_normal(gap.shape).astype(np.float32)
    length = np.linalg.norm(gap, axis=-1, keepdims=True)
    return np.asarray(chance * length / np.maximum(np.linalg.norm(chance, axis=-1, keepdims=True), 1e-9))
