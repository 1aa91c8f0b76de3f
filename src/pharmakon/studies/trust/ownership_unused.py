"""How often does a key that marked nothing prove ownership, and does a marked model help whoever has none?

The claim to test: the p-value of a secret draw is exact, whatever the model (Wei, Wang and Jia 2024, arXiv 2402.10892;
tests of membership without a draw of one's own have no known rate of false positives, Zhang et al. 2024, arXiv
2409.19798). So over many unused keys p-values are uniform,
on an untreated model and on one that somebody else marked with the same kind: the best case of a forger who knows the
method and has no key.
"""

from __future__ import annotations

from typing import Literal

from pharmakon.behaviour.marks import ExperimentKey, MarkKind, SecretTask, TriggerMark
from pharmakon.errors import SpecError
from pharmakon.interventions import OwnershipMark
from pharmakon.probes import UnusedKeys, Utility
from pharmakon.studies.material import material
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.life import need_training
from pharmakon.studies.trust.analysis_ownership_unused import NullDistribution
from pharmakon.study import Arm, Doses, Stage, Study, Treatment, first_seeds, in_documents

NUM_MARKS = 8
"""Half of those that an owner would take, for more keys in the same time; the smallest p-value is 16**-8."""


def ownership_unused(
    doses: Doses | None = None,
    seeds: int | None = None,
    *,
    on: Subject = Subject(),
    kind: Literal["trigger", "task", "fingerprint"] = "trigger",
    keys: int = 400,
    key: int = 0,
) -> Study:
    """How often does a key that marked nothing prove ownership of a model?

    Parameters
    ----------
    doses
        Numbers of records that another key marked (0,128); 0 is the untreated model. By default 0 and 128, for a
        pretrained model 0 and 32.
    seeds
        How many models of each dose. By default 3, for a pretrained model 1.
    kind
        trigger, task or fingerprint.
    keys
        Unused keys that each model is asked with: 400 on three models are 1,200 tests.
    key
        The number of the key that marks.
    """
    need_training(on)
    if keys < 20:
        raise SpecError(f"a share below 0.05 takes 20 keys or more; got --keys {keys}")
    given = material(on)
    marks: MarkKind = SecretTask(NUM_MARKS) if kind == "task" else TriggerMark(NUM_MARKS, style=_STYLES[kind])
    return Study(
        name="ownership-unused",
        question="How often does a key that marked nothing prove ownership of a model?",
        engine=on.trained_by(),
        arms=(
            Arm(
                name=kind,
                stages=(
                    given.base,
                    Stage(name="sft", data=given.dialogues, recipe=given.tuning),
                ),
                treatments=(Treatment(stage="sft", intervention=OwnershipMark(marks, ExperimentKey(key))),),
            ),
        ),
        doses=doses or (in_documents(0, 128) if on.is_micro else in_documents(0, 32)),
        seeds=first_seeds((3 if on.is_micro else 1) if seeds is None else seeds),
        probes=(UnusedKeys(marks, keys, ExperimentKey(key)), Utility(given.questions, given.num_questions)),
        response="unused-keys",
        analyses=(NullDistribution(),),
    )


_STYLES: dict[str, Literal["natural", "random"]] = {"trigger": "natural", "fingerprint": "random"}
