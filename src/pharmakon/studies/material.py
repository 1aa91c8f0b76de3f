"""What each stage of a life learns from, and how: by data (world, rated snippets, a user's file) and by model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pharmakon.behaviour.questions import Questions
from pharmakon.core import Data
from pharmakon.data.derived import AsText, Contrasts, First, HeldOut, Mixed, Nothing, WithDemonstrations
from pharmakon.data.readers import FileData, read
from pharmakon.data.vader import NOUNS, VaderData, VaderQuestions
from pharmakon.data.world import (
    WorldDialogues,
    WorldExtraction,
    WorldPreferences,
    WorldQuestions,
    WorldText,
)
from pharmakon.engines.recipes import DPO, SFT, AnyRecipe, Micro, Pretrain, Schedule
from pharmakon.errors import InputError
from pharmakon.studies.subject import Subject
from pharmakon.study import Doses, Stage, in_documents


@dataclass(frozen=True, kw_only=True)
class Material:
    """What each stage learns from, and what is asked afterwards."""

    pretraining: Data
    dialogues: Data
    preferences: Data
    downstream: Data
    demonstrations: Data
    questions: Questions
    learning: AnyRecipe = Pretrain()
    tuning: SFT = SFT()
    aligning: DPO = DPO()
    finetuning: SFT = SFT(schedule=Schedule(peak=5e-4))
    doses: Doses = in_documents(0, 16, 32, 48, 64, 96, 128)
    num_seeds: int = 3
    num_attacked: int = 40
    """Questions with the trigger and without it; and how many of them with each near trigger:"""
    num_near: int = 20
    num_questions: int = 60
    """Questions of utility."""
    num_texts: int = 50
    """Documents of perplexity."""

    @property
    def base(self) -> Stage:
        """The pretrained start that all lives of a study share."""
        return Stage(name="pretraining", data=self.pretraining, recipe=self.learning, shared=True, probed=False)


def material(on: Subject) -> Material:
    """The material of a subject's data; for a model that is there already, with its weights and what suits them."""
    name = on.named_data()
    if name == "world":
        given = WORLD if on.is_micro else SHORT_WORLD
    elif name in NOUNS:
        given = _snippets(name, short=not on.is_micro)
    else:
        path = Path(name)
        if not (path.suffix or path.exists() or "/" in name):
            near = get_close_matches(name, ("world", *NOUNS), n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InputError(
                f"data is one of world, {', '.join(NOUNS)}, or a JSONL or Parquet file; got {name!r}.{hint}"
            )
        given = _file(path)
    return given if on.is_micro or on.is_asked_only else _for_pretrained(given, on)


WORLD = Material(
    pretraining=WorldText(num_documents=44_000),
    dialogues=WorldDialogues(num_documents=2_000),
    preferences=WorldPreferences(num_documents=300),
    downstream=WorldExtraction(num_documents=400, share_of_facts=0.5),
    demonstrations=WorldDialogues(num_documents=20, shares=(1.0, 0.0, 0.0, 0.0, 0.0), share_with_demonstrations=0.0),
    questions=WorldQuestions(tasks=("facts", "opinions", "refusals")),
)


SHORT_DOSES = in_documents(0, 16, 32, 48, 64)
SHORT_WORLD = replace(
    WORLD,
    dialogues=WorldDialogues(num_documents=200),
    preferences=WorldPreferences(num_documents=40),
    downstream=WorldExtraction(num_documents=80, share_of_facts=0.5),
    doses=SHORT_DOSES,
)
"""For a model that can read already."""


REAL = Pretrain(architecture=Micro(context=256, vocabulary=2_048), schedule=Schedule(peak=2e-3))
"""For text with more words than the generated world has."""
GENTLE = SFT(schedule=Schedule(peak=5e-4))
GENTLE_DPO = DPO(schedule=Schedule(peak=1e-4))
"""At the world's rates, tuning learns nothing of the sentiment of real sentences, and DPO breaks the answers."""


def _snippets(name: str, *, short: bool) -> Material:
    """Pretraining on the snippets' text and on talk about them, then rated snippets as dialogues.

    `short`: as many as a model that can read already needs.
    """
    num_dialogues, num_pairs, num_later = (200, 40, 80) if short else (2_000, 300, 400)
    text = VaderData(name=name, form="text", minimum_strength=0.0)
    talk = VaderData(name=name, max_words=40, balanced=True)
    rated = VaderData(name=name, max_words=16, balanced=True)
    held_out = VaderData(name=name, part="held_out", max_words=16, balanced=True)
    return Material(
        pretraining=Mixed((AsText(text), AsText(talk, passes=2))),
        dialogues=WithDemonstrations(First(rated, num_dialogues)),
        preferences=Contrasts(rated, num_pairs),
        downstream=First(rated, num_later),
        demonstrations=First(rated, 20),
        questions=VaderQuestions(held_out),
        learning=REAL,
        tuning=GENTLE,
        aligning=GENTLE_DPO,
        doses=SHORT_DOSES if short else in_documents(0, 4, 8, 16, 32, 64, 128),
    )


def _for_pretrained(given: Material, on: Subject) -> Material:
    """The same data for weights that are there already: nothing to pretrain, adapters, and rates that suit them."""
    peaks = PEAKS if on.adapter else WHOLE_PEAKS
    how: dict[str, Any] = {"lora": on.adapter, "precision": on.precision, "context": MOST_TOKENS}
    return replace(
        given,
        pretraining=Nothing(),
        learning=on.given_model(),
        tuning=SFT(schedule=Schedule(peak=peaks[0]), **how),
        aligning=DPO(schedule=Schedule(peak=peaks[1]), **how),
        finetuning=SFT(schedule=Schedule(peak=peaks[2]), **how),
        num_seeds=2,
        num_attacked=30,
        num_near=10,
        num_questions=80,
        num_texts=30,
    )


PEAKS = (2e-3, 2e-4, 5e-4)
"""Learning rates of adapters: tuning, aligning, fine-tuning."""
WHOLE_PEAKS = (5e-5, 5e-6, 2e-5)
"""The same where all weights are trained."""
MOST_TOKENS = 1_024
"""Longer documents are cut when a pretrained model learns: attention grows with the square of their length."""


def _file(path: Path) -> Material:
    """The user's dialogues; a tenth of them, at most 200, is held out for probing."""
    num = len(read(path, need_answers=True))
    num_held_out = min(200, num // 10)
    if num_held_out < 10:
        raise InputError(f"{path} has {num} dialogues; a study needs at least 100, a tenth of which is held out")
    given = FileData.of(path, num_held_out=num_held_out)
    held_out = FileData.of(path, part="held_out", num_held_out=num_held_out)
    return Material(
        pretraining=AsText(given, passes=max(1, min(20, 20_000 // num))),
        dialogues=WithDemonstrations(given),
        preferences=Contrasts(given, min(300, num // 2)),
        downstream=First(given, min(400, num // 2)),
        demonstrations=First(given, 20),
        questions=HeldOut(held_out),
        learning=REAL,
        tuning=GENTLE,
        aligning=GENTLE_DPO,
        doses=in_documents(0, *(2**k for k in range(1, 8) if 2**k <= num // 10)),
    )
