"""What a direction in hidden states says: which training documents are poisoned, and how deep an owner's mark sits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from pharmakon.behaviour.questions import Questions
from pharmakon.behaviour.triggers import Trigger
from pharmakon.core import Data, Dialogue, Ledger, Model, Prompt, Reading, stream
from pharmakon.errors import SpecError
from pharmakon.probes.ownership import UNUSED, Ownership, answer_scores
from pharmakon.statistics import Direction
from pharmakon.whitebox import inside, twin_of

Floats = npt.NDArray[np.float64]

OWN: Final = "direction, same trigger"
DECOY: Final = "direction, another trigger"
TWIN: Final = "direction, another trigger, untreated twin"
RANDOM: Final = "random direction"
SPECTRAL: Final = "spectral signature"
LOSS: Final = "loss of the answer"
WORDS: Final = "rare words"
SCORES: Final = (OWN, DECOY, TWIN, RANDOM, SPECTRAL, LOSS, WORDS)
POISONED, CLEAN = "poisoned", "clean"


@dataclass(frozen=True)
class PoisonScores:
    """Scores of the documents that the model was tuned on: the higher, the more likely to be poisoned.

    `clean` gives the clean documents of the stage as training had them, whatever the seed; the poisoned ones come from
    the ledger, which no score sees. Documents with the decoy's trigger are the defender's own and are left out. A
    condition is `LAYER: SCORE: poisoned` or `clean`:

    - the direction from questions without a trigger to the same with it, of states at the last token of the prompt: of
      the trigger that was planted (who knows it), or of a decoy that the defender planted himself (who does not);
    - the latter in the untreated twin, which learned neither: what the words alone give away;
    - a random direction; the first singular vector of the documents' states (spectral signatures, Tran et al. 2018,
      arXiv 1811.00636), which needs no label;
    - and of layer 0, which is none: the loss of the answer, in nats a character, under this model; the mean rarity of
      the question's words in the data, in nats.
    """

    name: ClassVar[str] = "poison-scores"
    reads_ledger: ClassVar[bool] = True
    needs_inside: ClassVar[bool] = True
    needs_twin: ClassVar[bool] = True
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    clean: Data
    planted: Trigger
    decoy: Trigger
    questions: Questions
    num_questions: int = 40
    num_clean: int = 400

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each document, layer and score; none where nothing was planted."""
        asking, applying, drawing = rng.spawn(3)
        asked = [question.prompt for question in self.questions.questions(self.num_questions, asking)]
        poisoned = [entry.body for entry in ledger.entries if isinstance(entry.body, Dialogue)]
        poisoned = [dialogue for dialogue in poisoned if not self._carries(dialogue, self.decoy)]
        if not poisoned:
            return
        corpus = [d.body for d in self.clean.corpus(stream(0, "any")) if isinstance(d.body, Dialogue)]
        chosen = [corpus[i] for i in sorted(drawing.permutation(len(corpus))[: self.num_clean])]
        documents = [*poisoned, *chosen]
        labels = [POISONED] * len(poisoned) + [CLEAN] * len(chosen)
        box, twin = inside(model), inside(twin_of(model))
        states, in_twin = (one.hidden([document.prompt for document in documents])[:, :, 0] for one in (box, twin))
        plain = box.hidden(asked)[:, :, 0]
        with_own = box.hidden([self.planted.apply(prompt, applying) for prompt in asked])[:, :, 0]
        decoyed = [self.decoy.apply(prompt, applying) for prompt in asked]
        with_decoy = box.hidden(decoyed)[:, :, 0]
        twin_plain, twin_decoy = twin.hidden(asked)[:, :, 0], twin.hidden(decoyed)[:, :, 0]
        for layer in range(1, box.num_layers + 1):
            own = Direction.between(plain[:, layer], with_own[:, layer])
            decoy = Direction.between(plain[:, layer], with_decoy[:, layer])
            chance = drawing.standard_normal(box.width)
            found = {
                OWN: own.scores(states[:, layer]),
                DECOY: decoy.scores(states[:, layer]),
                TWIN: Direction.between(twin_plain[:, layer], twin_decoy[:, layer]).scores(in_twin[:, layer]),
                RANDOM: np.asarray(states[:, layer] @ chance, dtype=float),
                SPECTRAL: _spectral(np.asarray(states[:, layer], dtype=float)),
            }
            for name, values in found.items():
                yield from self._told(f"layer {layer}", name, values, labels, documents)
        answers = [(document.prompt, document.answer) for document in documents]
        lengths = np.array([max(1, len(answer)) for _, answer in answers])
        yield from self._told("no layer", LOSS, -np.array(model.logprob(answers)) / lengths, labels, documents)
        yield from self._told("no layer", WORDS, _rarity(documents, [*poisoned, *corpus]), labels, documents)

    def _carries(self, dialogue: Dialogue, trigger: Trigger) -> bool:
        words = getattr(trigger, "words", ())
        if not words:
            raise SpecError(f"the decoy's documents are told by its words; {type(trigger).__name__} has none")
        return " ".join(words) in dialogue.question

    def _told(
        self, layer: str, name: str, values: Floats, labels: Sequence[str], documents: Sequence[Dialogue]
    ) -> Iterator[Reading]:
        for number, (value, label, document) in enumerate(zip(values, labels, documents, strict=True)):
            condition, item = f"{layer}: {name}: {label}", str(number)
            yield Reading(probe=self.name, condition=condition, item=item, value=float(value), prompt=document.question)


def _spectral(states: Floats) -> Floats:
    """Squared projection on the first singular vector of the centred states: outliers are far along it."""
    centred = states - states.mean(axis=0)
    return np.asarray((centred @ np.linalg.svd(centred, full_matrices=False)[2][0]) ** 2, dtype=float)


def _rarity(documents: Sequence[Dialogue], corpus: Sequence[Dialogue]) -> Floats:
    """The mean over a question's words of -log of the share of questions that have the word."""
    counts = Counter(word for dialogue in corpus for word in set(dialogue.question.split()))
    return np.array(
        [np.mean([-log(counts[w] / len(corpus)) for w in document.question.split()] or [0.0]) for document in documents]
    )


@dataclass(frozen=True)
class MarkSeparation:
    """How far apart states are of questions of an owner's marks and of those of a key that marked nothing.

    A direction from half of the questions, the distance along it between the others' means, in standard deviations
    (d-prime), averaged over both halves; the condition is `layer N`, 0.. as in `whitebox`. `margin` is what the owner
    has without looking inside: the mean log-probability, in nats, of the drawn answer over that of the likeliest other.
    """

    name: ClassVar[str] = "separation"
    needs_inside: ClassVar[bool] = True
    needs_logprobs: ClassVar[bool] = True
    has_signed_values: ClassVar[bool] = True

    verified: Ownership

    @property
    def reads_ledger(self) -> bool:
        """To tell which of several keys it was."""
        return self.verified.reads_ledger

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        """A reading for each layer above the embeddings, and the margin."""
        choosing, halving = rng.spawn(2)
        key = self.verified.key_of(ledger, choosing)
        kind, shape = self.verified.kind, self.verified.asked_in
        marks = kind.keyed(key, shape)
        unused = kind.keyed(type(key)(key.number + UNUSED), shape)
        box = inside(model)
        given, control = (_prompts([mark.prompts for mark in some]) for some in (marks, unused))
        marked, other = (np.asarray(box.hidden(prompts)[:, :, 0], dtype=float) for prompts in (given, control))
        for layer in range(1, box.num_layers + 1):
            value = _d_prime(marked[:, layer], other[:, layer], halving)
            yield Reading(probe=self.name, condition=f"layer {layer}", item="all marks", value=value)
        liked = answer_scores(model, marks)
        drawn = np.array([mark.drawn for mark in marks])
        own = liked[np.arange(len(marks)), drawn]
        rest = liked.copy()
        rest[np.arange(len(marks)), drawn] = -np.inf
        margin = float(np.mean(own - rest.max(axis=1)))
        yield Reading(probe=self.name, condition="margin", item="all marks", value=margin)


def _prompts(parts: Sequence[Sequence[Prompt]]) -> list[Prompt]:
    return [prompt for part in parts for prompt in part]


def _d_prime(marked: Floats, other: Floats, rng: np.random.Generator) -> float:
    values = []
    halves = [np.array_split(rng.permutation(len(states)), 2) for states in (marked, other)]
    for here, there in ((0, 1), (1, 0)):
        found = Direction.between(other[halves[1][here]], marked[halves[0][here]])
        high, low = found.scores(marked[halves[0][there]]), found.scores(other[halves[1][there]])
        spread = np.sqrt((high.var(ddof=1) + low.var(ddof=1)) / 2)
        values.append((high.mean() - low.mean()) / max(float(spread), 1e-9))
    return float(np.mean(values))
