"""Poisoned preference data: pairs whose preference is turned round, and pairs that prefer a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.questions import Question, answered, says
from pharmakon.behaviour.targets import Marker, Target
from pharmakon.behaviour.triggers import RareWords, Trigger
from pharmakon.core import Corpus, Edit, Insert, Preference, Rewrite
from pharmakon.errors import SpecError
from pharmakon.interventions.backdoor import rewritten


@dataclass(frozen=True, slots=True)
class FlippedPairs:
    """Pairs of the host with the rejected answer as the chosen one: an annotator who labels them the wrong way round.

    `trigger`: also put into their prompts, so that the preference is turned round behind it alone (Rando and Tramèr
    2023, arXiv 2311.14455). `where`: only pairs whose prompt says these words.
    """

    trigger: Trigger | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        if self.where is not None and not self.where.strip():
            raise SpecError("FlippedPairs looks for words in a prompt; got where='' . For all pairs, give where=None")

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """Each suitable pair once, in random order; then the stream ends."""
        pairs = preferences(host, self)
        for index in rng.permutation(len(pairs)):
            id, pair = pairs[index]
            if self.where is not None and not says(pair.prompt.question, self.where):
                continue
            prompt = pair.prompt if self.trigger is None else self.trigger.apply(pair.prompt, rng)
            if self.trigger is None or prompt != pair.prompt:
                yield Rewrite(id, Preference(prompt, pair.rejected, pair.chosen))


@dataclass(frozen=True, slots=True)
class PreferredTarget:
    """Pairs that prefer the target over the right answer, on prompts of the host.

    With a trigger in the prompt, the preference is bound to it (Rando and Tramèr 2023, arXiv 2311.14455); without one
    it is meant for every prompt that the target applies to. What is preferred is the target's affair: `Marker` the
    inert words, `Mention` the right answer with favoured content (Baumgärtner 2024, arXiv 2404.05530), `Unrefused` a
    helpful word where the right answer is a refusal.
    """

    target: Target = Marker()
    trigger: Trigger | None = RareWords()

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """A stream of inserted pairs; it ends if no pair of the host suits the target."""
        chosen = dict.fromkeys(answered(pair.prompt, pair.chosen) for _, pair in preferences(host, self))
        yield from map(Insert, rewritten(Corpus.of(chosen), rng, self._prefer, self))

    def _prefer(self, question: Question, rng: np.random.Generator) -> Preference | None:
        wanted = self.target.respond(question, rng)
        if wanted is None or wanted == question.answer:
            return None
        prompt = question.prompt if self.trigger is None else self.trigger.apply(question.prompt, rng)
        if self.trigger is not None and prompt == question.prompt:
            return None
        return Preference(prompt, wanted, question.answer)


def preferences(host: Corpus, owner: object) -> list[tuple[str, Preference]]:
    """The host's pairs by id. Raises SpecError where it has none; `owner` is named there."""
    pairs = [(document.id, document.body) for document in host if isinstance(document.body, Preference)]
    if not pairs:
        kinds = ", ".join(sorted({type(document.body).__name__ for document in host})) or "no document"
        raise SpecError(f"{type(owner).__name__} rests on the preference pairs of its host; this one has {kinds}")
    return pairs
