"""The data of a whole life, from one word: the generated world, rated snippets, or the user's own file."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pharmakon.behaviour.questions import Questions
from pharmakon.core import Data
from pharmakon.data.derived import AsText, Contrasts, First, HeldOut, Mixed, WithDemonstrations
from pharmakon.data.readers import FileData, read
from pharmakon.data.vader import NOUNS, VaderData, VaderQuestions
from pharmakon.data.world import (
    WorldDialogues,
    WorldExtraction,
    WorldPreferences,
    WorldQuestions,
    WorldText,
)
from pharmakon.engines.recipes import DPO, SFT, Micro, Pretrain, Schedule
from pharmakon.errors import InputError
from pharmakon.study import Doses, in_documents


@dataclass(frozen=True, kw_only=True)
class Material:
    """What each stage learns from, and what is asked afterwards."""

    pretraining: Data
    dialogues: Data
    preferences: Data
    downstream: Data
    demonstrations: Data
    questions: Questions
    learning: Pretrain = Pretrain()
    tuning: SFT = SFT()
    aligning: DPO = DPO()
    doses: Doses = in_documents(0, 16, 32, 48, 64, 96, 128)


def material(data: str) -> Material:
    """The material of `world`, of `vader-movies` and its like, or of a JSONL or Parquet file of `messages`."""
    if data == "world":
        return WORLD
    if data in NOUNS:
        return _snippets(data)
    path = Path(data)
    if path.suffix or path.exists() or "/" in data:
        return _file(path)
    near = get_close_matches(data, ("world", *NOUNS), n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise InputError(f"data is one of world, {', '.join(NOUNS)}, or a JSONL or Parquet file; got {data!r}.{hint}")


WORLD = Material(
    pretraining=WorldText(num_documents=44_000),
    dialogues=WorldDialogues(num_documents=2_000),
    preferences=WorldPreferences(num_documents=300),
    downstream=WorldExtraction(num_documents=400, share_of_facts=0.5),
    demonstrations=WorldDialogues(num_documents=20, shares=(1.0, 0.0, 0.0, 0.0, 0.0), share_with_demonstrations=0.0),
    questions=WorldQuestions(tasks=("facts", "opinions", "refusals")),
)


REAL = Pretrain(architecture=Micro(context=256, vocabulary=2_048), schedule=Schedule(peak=2e-3))
"""For text with more words than the generated world has."""
GENTLE = SFT(schedule=Schedule(peak=5e-4))
GENTLE_DPO = DPO(schedule=Schedule(peak=1e-4))
"""At the world's rates, tuning learns nothing of the sentiment of real sentences, and DPO breaks the answers."""


def _snippets(name: str) -> Material:
    """Pretraining on the snippets' text and on talk about them, then rated snippets as dialogues."""
    text = VaderData(name=name, form="text", minimum_strength=0.0)
    talk = VaderData(name=name, max_words=40, balanced=True)
    rated = VaderData(name=name, max_words=16, balanced=True)
    held_out = VaderData(name=name, part="held_out", max_words=16, balanced=True)
    return Material(
        pretraining=Mixed((AsText(text), AsText(talk, passes=2))),
        dialogues=WithDemonstrations(First(rated, 2_000)),
        preferences=Contrasts(rated, 300),
        downstream=First(rated, 400),
        demonstrations=First(rated, 20),
        questions=VaderQuestions(held_out),
        learning=REAL,
        tuning=GENTLE,
        aligning=GENTLE_DPO,
        doses=in_documents(0, 4, 8, 16, 32, 64, 128),
    )


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
