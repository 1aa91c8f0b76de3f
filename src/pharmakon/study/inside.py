"""The inside of a model whose prompts come in a context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pharmakon.core import Engine, Probe, Prompt
from pharmakon.errors import SpecError
from pharmakon.whitebox import Part, Patch, Sketch, WhiteBox

if TYPE_CHECKING:
    from pharmakon.whitebox import Floats


@dataclass(frozen=True, slots=True)
class InsideInContext:
    """Implements `pharmakon.whitebox.WhiteBox`: every prompt goes through `around` before the model reads it.

    Positions count from the end of what the model reads.
    """

    model: WhiteBox
    around: Callable[[Sequence[Prompt]], list[Prompt]]

    @property
    def num_layers(self) -> int:
        """Of the model."""
        return self.model.num_layers

    @property
    def width(self) -> int:
        """Of the model."""
        return self.model.width

    def tokens(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        """As the model, in the context."""
        return self.model.tokens(self.around(prompts))

    def hidden(
        self, prompts: Sequence[Prompt], positions: Sequence[int] = (-1,), *, patches: Sequence[Patch] = ()
    ) -> Floats:
        """As the model, in the context."""
        return self.model.hidden(self.around(prompts), positions, patches=patches)

    def attention(self, prompts: Sequence[Prompt]) -> list[Floats]:
        """As the model, in the context."""
        return self.model.attention(self.around(prompts))

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, patches: Sequence[Patch] = ()) -> list[str]:
        """As the model, in the context."""
        return self.model.generate(self.around(prompts), max_tokens=max_tokens, patches=patches)

    def logprob(
        self, pairs: Sequence[tuple[Prompt, str]], *, patches: Sequence[Patch] = (), num_tokens: int | None = None
    ) -> list[float]:
        """As the model, in the context."""
        return self.model.logprob(self._pairs(pairs), patches=patches, num_tokens=num_tokens)

    def gradients(
        self, pairs: Sequence[tuple[Prompt, str]], *, of: Part = "block", sketch: Sketch | None = None
    ) -> Floats:
        """As the model, in the context."""
        return self.model.gradients(self._pairs(pairs), of=of, sketch=sketch)

    def _pairs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[tuple[Prompt, str]]:
        around = self.around([prompt for prompt, _ in pairs])
        return [(prompt, text) for prompt, (_, text) in zip(around, pairs, strict=True)]


def check_inside(engine: Engine, probes: Sequence[Probe]) -> None:
    """Raises SpecError where a probe needs the inside of a model and the engine's models show none."""
    if getattr(engine, "has_inside", False):
        return
    for probe in probes:
        if getattr(probe, "needs_inside", False):
            name = getattr(probe, "name", type(probe).__name__)
            rule = f"the probe {name} looks inside a model; those of {type(engine).__name__} show nothing of it"
            raise SpecError(f"{rule}. Leave the probe out, or take the torch engine with a model that runs here")
