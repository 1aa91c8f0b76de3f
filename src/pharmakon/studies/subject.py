"""What a study runs on: a model and data, as options that every study has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pharmakon.core import Engine
from pharmakon.engines.recipes import LoRA, Precision, Pretrained, Served
from pharmakon.errors import InputError, SpecError

MICRO = "micro"
ENDPOINT = "endpoint:"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Subject:
    """The model and the data of a study.

    Parameters
    ----------
    model
        micro (a small Llama that learns from the data alone), smollm2, hf:ORG/NAME, a folder in the format of Hugging
        Face, or endpoint:http://HOST/v1#NAME: a served model, which is asked and not trained.
    data
        world, vader-movies (or -products, -editorials, -tweets), or a JSONL or Parquet file of chat messages. By
        default world for micro, vader-movies for other models.
    engine
        torch is the compact loop, one thread a worker; trl is TRL's trainers, on several processes or GPUs.
    processes
        How many processes or GPUs train together, with --engine trl.
    accelerate_config
        A file of `accelerate config` (FSDP and the like), with --engine trl.
    probe_only
        Ask the model as it is and train nothing. An endpoint is never trained.
    lora
        Rank of the adapters that a pretrained model learns with; 0 trains all of its weights.
    template
        A file with a chat template (Jinja) in place of the model's own.
    allow_template_mismatch
        Ask a model with another template than it learned all the same; the report says so in red.
    """

    model: str = MICRO
    data: str | None = None
    engine: Literal["torch", "trl"] = "torch"
    processes: int = 1
    accelerate_config: Path | None = None
    probe_only: Annotated[bool, Parameter(negative="")] = False
    lora: int = 8
    template: Path | None = None
    allow_template_mismatch: Annotated[bool, Parameter(negative="")] = False

    @property
    def is_micro(self) -> bool:
        """Trained here from scratch."""
        return self.model == MICRO

    @property
    def is_served(self) -> bool:
        """Behind an endpoint."""
        return self.model.startswith(ENDPOINT)

    @property
    def is_asked_only(self) -> bool:
        """Nothing is trained."""
        return self.probe_only or self.is_served

    def __post_init__(self) -> None:
        if self.lora < 0:
            raise SpecError(f"the rank of an adapter is 1 or more, or 0 to train all weights; got {self.lora}")
        given = {"--probe-only": self.probe_only, "--template": self.template}
        given["--allow-template-mismatch"] = self.allow_template_mismatch
        if self.is_micro and any(given.values()):
            what = next(name for name, value in given.items() if value)
            raise SpecError(f"{what} is for a model that is there already; micro is made by the study. Give --model")
        if self.engine != "trl" and (self.processes != 1 or self.accelerate_config):
            raise SpecError("--processes and --accelerate-config are for --engine trl; the compact loop has --workers")
        if self.accelerate_config and not self.accelerate_config.is_file():
            raise InputError(f"{self.accelerate_config} is not a file; `accelerate config` writes one")
        if self.is_served and (self.template or self.allow_template_mismatch or self.engine != "torch"):
            raise SpecError(
                "a served model has its server's chat template and is not trained; "
                "leave --template, --allow-template-mismatch and --engine out"
            )

    def named_data(self) -> str:
        """The data, or those that suit the model."""
        return self.data or ("world" if self.is_micro else "vader-movies")

    def trained_by(self) -> Engine:
        """The engine of all stages."""
        if self.is_served:
            from pharmakon.engines.endpoint import endpoint

            return endpoint(self.model)
        if self.engine == "trl":
            from pharmakon.engines.trl import TRLEngine

            return TRLEngine(num_processes=self.processes, accelerate_config=self.accelerate_config)
        from pharmakon.engines.torch import TorchEngine

        return TorchEngine()

    def need_world(self, study: str) -> None:
        """Refuse what a study that makes its own model of the generated world cannot take."""
        if self.is_asked_only or self.data not in (None, "world"):
            raise SpecError(f"{study} trains on the generated world; leave --probe-only and --data out")

    def given_model(self) -> Pretrained | Served:
        """The recipe of the first stage of a model that is there already."""
        if self.is_served:
            return Served()
        from pharmakon.engines.pretrained import pretrained

        return pretrained(
            self.model,
            template=None if self.template is None else _read(self.template),
            allow_template_mismatch=self.allow_template_mismatch,
            precision=None if self.probe_only else "bfloat16" if self.lora else "float32",
        )

    @property
    def adapter(self) -> LoRA | None:
        """What a pretrained model learns with."""
        return LoRA(rank=self.lora, alpha=2.0 * self.lora) if self.lora else None

    @property
    def precision(self) -> Precision:
        """Of the stages after the first: weights that stay are kept in bfloat16, those that are trained are not."""
        return "bfloat16" if self.lora else "mixed"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"a template is a text file with a Jinja chat template; {file}: {reason}") from None
