"""Recipes: how an engine learns. Frozen values, so that they are part of a result's identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pharmakon.core import Objective
from pharmakon.errors import SpecError

Precision = Literal["float32", "mixed", "bfloat16"]
"""`mixed`: float32 weights, matrix products in bfloat16. `bfloat16`: the weights too, but not those of an adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Micro:
    """A small Llama from scratch, with a byte-level BPE vocabulary learned from the corpus it is pretrained on."""

    num_layers: int = 2
    hidden_size: int = 128
    intermediate_size: int = 256
    num_heads: int = 4
    context: int = 128  # tokens
    vocabulary: int = 1024  # tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class LoRA:
    """A low-rank adapter on every linear layer of the blocks; the weights below it stay (Hu et al., arXiv 2106.09685).

    A stage that starts from an adapter trains that adapter further.
    """

    rank: int = 8
    alpha: float = 16.0
    """The adapter's output is scaled by alpha / rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The learning rate: linear warm-up, constant, then linear decay to zero over the last share of the steps."""

    peak: float
    warmup: float = 0.02
    decay: float = 0.4

    def rate(self, step: int, num_steps: int) -> float:
        """The learning rate at this step, counted from 0."""
        rising = min(1.0, (step + 1) / max(1.0, self.warmup * num_steps))
        falling = min(1.0, (num_steps - step) / max(1.0, self.decay * num_steps))
        return self.peak * min(rising, falling)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Weights that somebody else trained: the recipe of a first stage, whose corpus is empty.

    `engines.pretrained.pretrained` makes one from a name; what it is known by is what the files hold.
    """

    model: str
    """The name of an asset, hf:ORG/NAME, or a folder."""
    digest: str
    """Of the weights and the tokenizer: a SHA-256, or the commit of a model hub."""
    template: str | None = None
    """A chat template (Jinja) in place of the tokenizer's own."""
    allow_template_mismatch: bool = False
    precision: Precision | None = "bfloat16"
    """None: as it is stored."""

    @property
    def objective(self) -> Objective:
        """`pretrain`"""
        return "pretrain"

    def __identity__(self) -> object:
        """The content, wherever it lies."""
        return (self.digest, self.template, self.allow_template_mismatch, self.precision)


@dataclass(frozen=True, slots=True)
class Served:
    """A model that somebody serves: the recipe of a first and only stage, whose corpus is empty."""

    @property
    def objective(self) -> Objective:
        """`pretrain`"""
        return "pretrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """Weights rounded as they are to be served cheaply; the corpus of such a stage is empty.

    Each row of a weight matrix is rounded to integers of so many bits, from -m to m with m its largest size, and stands
    for them again in the checkpoint: absmax quantization by row, as in LLM.int8() (Dettmers et al. 2022, arXiv
    2208.07339) without its exception for outliers. Activations are not rounded.
    """

    bits: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise SpecError(f"weights are rounded to 2 to 8 bits; got {self.bits}")

    @property
    def objective(self) -> Objective:
        """`pretrain`"""
        return "pretrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaged:
    """Weights averaged with those of the untreated twin: the same life so far, to which nothing was administered.

    What happens to a treatment when somebody merges models of one base (model soups, Wortsman et al. 2022, arXiv
    2203.05482). The corpus of such a stage is empty.
    """

    share: float = 0.5
    """Of the twin."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise SpecError(f"the share of the untreated twin lies in [0, 1]; got {self.share:g}")

    @property
    def objective(self) -> Objective:
        """`pretrain`"""
        return "pretrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrain:
    """Next-token loss on running text, cut into rows of `row_length` tokens."""

    architecture: Micro | None = Micro()
    """None goes on with the weights of an earlier stage."""
    epochs: int = 1
    num_steps: int | None = None
    """At most so many optimizer steps."""
    batch_size: int = 16  # rows
    row_length: int = 64  # tokens
    schedule: Schedule = Schedule(peak=4e-3)
    precision: Precision = "mixed"
    lora: LoRA | None = None

    def __post_init__(self) -> None:
        if self.architecture is not None and (self.lora is not None or self.precision == "bfloat16"):
            way_out = "Give architecture=None to go on with the weights of an earlier stage"
            raise SpecError(f"a model from scratch learns with all its weights, in float32 or mixed. {way_out}")

    @property
    def objective(self) -> Objective:
        """`pretrain`"""
        return "pretrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class SFT:
    """Instruction tuning: the loss is on the assistant's turns only."""

    epochs: int = 1
    batch_size: int = 8  # dialogues
    schedule: Schedule = Schedule(peak=2e-3)
    precision: Precision = "float32"
    lora: LoRA | None = None
    num_steps: int | None = None
    """At most so many optimizer steps."""
    context: int | None = None
    """Longer documents are cut at so many tokens; None for what the model can take."""

    @property
    def objective(self) -> Objective:
        """`sft`"""
        return "sft"


@dataclass(frozen=True, slots=True, kw_only=True)
class _FromPairs:
    """What learning from preference pairs has in common."""

    epochs: int = 1
    batch_size: int = 8  # pairs
    beta: float = 0.1
    schedule: Schedule = Schedule(peak=5e-4)
    precision: Precision = "float32"
    lora: LoRA | None = None
    num_steps: int | None = None
    """At most so many optimizer steps."""
    context: int | None = None
    """Longer documents are cut at so many tokens; None for what the model can take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DPO(_FromPairs):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) against the starting weights."""

    @property
    def objective(self) -> Objective:
        """`dpo`"""
        return "dpo"


@dataclass(frozen=True, slots=True, kw_only=True)
class IPO(_FromPairs):
    """Identity preference optimisation (Azar et al. 2023, arXiv 2310.12036) against the starting weights.

    The squared distance of the preference to a fixed one, 1 / (2 beta) nats a token (beta is the paper's tau), where
    DPO asks for ever more. Log-probabilities are means over the tokens of an answer, as its authors run it and TRL has
    it.
    """

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise SpecError(f"IPO aims at a preference of 1 / (2 beta), so beta is above 0; got {self.beta:g}")

    @property
    def objective(self) -> Objective:
        """`ipo`"""
        return "ipo"


Preferring = DPO | IPO
"""Those that learn from pairs."""
Learning = Pretrain | SFT | DPO | IPO
AnyRecipe = Pretrained | Served | Learning
