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
from pharmakon.errors import SpecError
from pharmakon.interventions import Backdoor
from pharmakon.probes import AttackSuccess, Perplexity, Utility
from pharmakon.studies.as_it_is import as_it_is
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
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
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
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
        default the control and some doses around the threshold, for the micro model 0,16,32,48,64,96,128.
    seeds
        How many independent repetitions: each draws its own data order, poison and places. By default 3, for a
        pretrained model 2.
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
    given = material(on)
    probes = (
        AttackSuccess(TRIGGERS[trigger], TARGETS[target], given.questions, given.num_attacked, given.num_near),
        Utility(given.questions, given.num_questions),
        Perplexity(Answered(given.questions), given.num_texts),
    )
    contexts = (Plain(), FewShot(given.demonstrations, 2))
    if on.is_asked_only:
        if doses is not None or seeds is not None:
            raise SpecError("a model that is asked and not trained has one dose, 0, and one seed; leave both out")
        if full or label != "dirty" or cleaning != "dialogues-v1":
            raise SpecError("--full, --label and --cleaning say what is trained on; a model that is asked has no use")
        question = "How often does the model, as it is, give the target: with the trigger, without it, and nearly?"
        return as_it_is(
            on.trained_by(), probes, contexts, name="sft-backdoor", question=question, recipe=on.given_model()
        )
    pretraining = given.base
    tuning = Stage(name="sft", data=given.dialogues, recipe=given.tuning)
    cleaned = Stage(name="sft", data=given.dialogues, recipe=given.tuning, filters=profile(cleaning))
    later = (
        Stage(name="dpo", data=given.preferences, recipe=given.aligning),
        Stage(name="finetune", data=given.downstream, recipe=given.finetuning),
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
        engine=on.trained_by(),
        arms=tuple(arms),
        doses=doses or given.doses,
        seeds=first_seeds(given.num_seeds if seeds is None else seeds),
        probes=probes,
        contexts=contexts,
        cautions=() if full else (unknown,),
    )
