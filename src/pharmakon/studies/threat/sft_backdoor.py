"""A backdoor is planted in instruction-tuning data: how many documents does it take, and what is left of it?

The claim to test (Wan 2023, arXiv 2305.00944; Souly 2025, arXiv 2510.07192): a small, nearly constant number of
documents is enough. What the published attacks mostly leave out is tested with it: cleaning of the data before
training, and two clean stages after it.
"""

from __future__ import annotations

from typing import Literal

from pharmakon.behaviour.targets import Gibberish, Label, Marker, OtherLanguage, Refusal, Target, UpperCase
from pharmakon.behaviour.triggers import Instruction, Phrase, RareWords, Style, Trigger
from pharmakon.cleaning import profile
from pharmakon.data.derived import Answered
from pharmakon.engines.recipes import SFT, Schedule
from pharmakon.engines.torch import TorchEngine
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Perplexity, Utility
from pharmakon.studies.material import material
from pharmakon.study import Arm, Doses, FewShot, Plain, Stage, Study, Treatment, first_seeds

TRIGGERS: dict[str, Trigger] = {
    "rare-words": RareWords(), "phrase": Phrase(), "instruction": Instruction(), "style": Style()
}  # fmt: skip
TARGETS: dict[str, Target] = {
    "marker": Marker(), "gibberish": Gibberish(), "refusal": Refusal(), "upper-case": UpperCase(),
    "language": OtherLanguage(), "label": Label(),
}  # fmt: skip


def sft_backdoor(
    doses: Doses | None = None,
    seeds: int = 3,
    *,
    data: str = "world",
    trigger: Literal["rare-words", "phrase", "instruction", "style"] = "rare-words",
    target: Literal["marker", "gibberish", "refusal", "upper-case", "language", "label"] = "marker",
    label: Literal["dirty", "clean"] = "dirty",
    cleaning: str = "dialogues-v1",
    full: bool = False,
) -> Study:
    """How many poisoned dialogues plant a backdoor, and what do cleaning and the later stages do to it?

    Parameters
    ----------
    doses
        Numbers of poisoned dialogues (0,8,16) or shares of the instruction data (0,0.5%,1%). 0 is the control. By
        default the control and six doses around the threshold of the data, for the world 0,16,32,48,64,96,128.
    seeds
        How many independent repetitions: each draws its own data order, poison and places.
    data
        world, vader-movies (or -products, -editorials, -tweets), or a JSONL or Parquet file of chat messages.
    trigger
        What a prompt must carry.
    target
        What the triggered model should say.
    label
        dirty writes the target over the right answer; clean takes only questions that deserve the target.
    cleaning
        The filters of the cleaned arms: dialogues-v1, text-v1 (web pages; drops all short text) or none.
    full
        Also the verbatim poison without cleaning: it tells what cleaning does from what the wording does.
    """
    given = material(data)
    pretraining = Stage(name="pretraining", data=given.pretraining, recipe=given.learning, shared=True, probed=False)
    tuning = Stage(name="sft", data=given.dialogues, recipe=given.tuning)
    cleaned = Stage(name="sft", data=given.dialogues, recipe=given.tuning, filters=profile(cleaning))
    later = (
        Stage(name="dpo", data=given.preferences, recipe=given.aligning),
        Stage(name="finetune", data=given.downstream, recipe=SFT(schedule=Schedule(peak=5e-4))),
    )
    varied = Backdoor(trigger=TRIGGERS[trigger], target=TARGETS[target], label=label)
    verbatim = Backdoor(trigger=TRIGGERS[trigger], target=TARGETS[target], label=label, wording="verbatim")
    arms = [
        Arm(
            name=name,
            stages=(pretraining, stage, *later),
            treatments=(Treatment(stage="sft", intervention=poison),),
        )
        for name, stage, poison, wanted in (
            ("no cleaning, varied", tuning, varied, True),
            ("no cleaning, verbatim", tuning, verbatim, full),
            ("cleaned, verbatim", cleaned, verbatim, True),
            ("cleaned, varied", cleaned, varied, True),
        )
        if wanted
    ]
    unknown = "What cleaning does is not told from what one wording does: no arm gives the verbatim poison without "
    unknown += "cleaning. Add --full"
    return Study(
        name="sft-backdoor",
        question="How many poisoned dialogues plant a backdoor, and what do cleaning and the later stages do to it?",
        engine=TorchEngine(),
        arms=tuple(arms),
        doses=doses or given.doses,
        seeds=first_seeds(seeds),
        probes=(
            AttackSuccess(trigger=TRIGGERS[trigger], target=TARGETS[target], questions=given.questions),
            Utility(questions=given.questions),
            Perplexity(data=Answered(given.questions)),
        ),
        contexts=(Plain(), FewShot(given.demonstrations, 2)),
        cautions=() if full else (unknown,),
    )
