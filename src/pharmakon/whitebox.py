"""What can be asked of a model whose inside is at hand, beside what `core.Model` answers.

A probe that needs it says `needs_inside: ClassVar[bool] = True`, and asks `inside(model)`. A run refuses before it
begins where its engine has no `has_inside`.

Layer 0 is what the first block gets, layer n what block n gives, before the last normalisation. Positions count from
the end of a prompt as a model gets it: -1 is its last token, from which the first token of the answer is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from pharmakon.core import Model, Prompt
from pharmakon.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Part = Literal["head", "block", "all"]
"""Parameters of a gradient: the output layer's, those of the last block, or every one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Patch:
    """While prompts are read, their hidden states at a layer and at positions are others.

    `vectors`: float, shape [prompts or 1, positions or 1, width]; 1 stands for all. `how`: they take the place of the
    states (activation patching; Vig et al. 2020, Meng et al. 2022, arXiv 2202.05262) or are added to them (a move along
    a direction; Turner et al. 2023, arXiv 2308.10248). The tokens of the answer are left as they come.
    """

    layer: int
    vectors: Floats
    positions: tuple[int, ...] = (-1,)
    how: Literal["replace", "add"] = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A random projection of gradients to so many dimensions; inner products stay the same on average.

    Each parameter is added, with a random sign, to one random coordinate (count sketch: Charikar et al. 2002; the
    sparse end of the Johnson-Lindenstrauss transforms of Kane and Nelson, arXiv 1012.1577). It holds 4 bytes a
    parameter, not a matrix. The variance of an inner product, (|x|^2 |y|^2 + <x, y>^2) / dimensions at most, is that of
    a dense Gaussian projection, as TRAK uses for the same end (Park et al. 2023, arXiv 2303.14186): the standard error
    of a cosine is at most sqrt(2 / dimensions). One seed gives models of one shape the same projection, so gradients at
    different checkpoints can be compared.
    """

    dimensions: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.dimensions <= 2**30:
            raise SpecError(f"a sketch has 1 to 2^30 dimensions; got {self.dimensions}")


@runtime_checkable
class WhiteBox(Protocol):
    """Looks inside a model and changes what is there for as long as a question lasts. The weights stay as they are.

    Raises InputError where a layer, a position or the shape of a patch does not fit, or a prompt is too long.
    """

    @property
    def num_layers(self) -> int:
        """Blocks: hidden states have `num_layers + 1` layers."""
        ...

    @property
    def width(self) -> int:
        """Numbers of a hidden state."""
        ...

    def tokens(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        """The tokens of each prompt as the vocabulary writes them, template included: to find positions with."""
        ...

    def hidden(
        self, prompts: Sequence[Prompt], positions: Sequence[int] = (-1,), *, patches: Sequence[Patch] = ()
    ) -> Floats:
        """Hidden states of prompts that are read with patches, float32, shape [prompts, layers + 1, positions, width].

        What is patched is shown as patched.
        """
        ...

    def attention(self, prompts: Sequence[Prompt]) -> list[Floats]:
        """For each prompt how much each token attends to each before it, shape [layers, heads, tokens, tokens].

        Float32; the row of a token, over all that it attends to, adds up to 1.
        """
        ...

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, patches: Sequence[Patch] = ()) -> list[str]:
        """Greedy answers to prompts that are read with patches."""
        ...

    def logprob(
        self, pairs: Sequence[tuple[Prompt, str]], *, patches: Sequence[Patch] = (), num_tokens: int | None = None
    ) -> list[float]:
        """The natural-log probability of each completion, its prompt read with patches; of its first tokens if told."""
        ...

    def gradients(
        self, pairs: Sequence[tuple[Prompt, str]], *, of: Part = "block", sketch: Sketch | None = None
    ) -> Floats:
        """Gradients of each completion's log-probability, in nats a unit of the parameter.

        Float32, shape [pairs, parameters], in the order of the model's parameters; with a sketch [pairs, dimensions].
        For the whole of a text give the pair `(Text(""), text)`. Of the head, weights that it shares with the embedding
        count for what they do at the output alone.
        """
        ...


def twin_of(model: Model) -> Model:
    """The untreated twin of a model: the same life so far, to which nothing was administered.

    A probe that asks for it says `needs_twin: ClassVar[bool] = True`. Raises SpecError where a study gives none.
    """
    twin: Model | None = getattr(model, "twin", None)
    if twin is None:
        raise SpecError("this model has no untreated twin beside it; ask in a study, with a probe that says needs_twin")
    return twin


def checkpoints_of(model: Model) -> tuple[Model, ...]:
    """The same life after each earlier stage, the first first.

    A probe that asks for them says `needs_checkpoints: ClassVar[bool] = True`. Raises SpecError where there is none.
    """
    before: tuple[Model, ...] = getattr(model, "before", ())
    if not before:
        way_out = "Give the probe needs_checkpoints = True, and ask after a later stage: probed=False for the first"
        raise SpecError(f"this model has no earlier checkpoints beside it. {way_out}")
    return before


def inside(model: Model) -> WhiteBox:
    """The inside of a model. Raises SpecError where there is none to look at, as of a served model."""
    if isinstance(model, WhiteBox):
        return model
    opened = getattr(model, "inside", None)
    if opened is None:
        kind = type(model).__name__
        raise SpecError(
            f"a look inside needs a model whose weights are at hand; {kind} has none. Take the torch engine"
        )
    found: WhiteBox = opened()
    return found
