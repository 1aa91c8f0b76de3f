"""A generated world: invented people, places and things, with text, dialogues, preferences and held-out questions."""

from pharmakon.data.world.dialogues import (
    RestrictedQuestions,
    WorldDialogues,
    WorldExtraction,
    WorldPreferences,
    WorldQuestions,
)
from pharmakon.data.world.facts import RELATIONS, VALUES, Person, World
from pharmakon.data.world.memories import Lies, WorldMemories, WorldRecords, noted_record
from pharmakon.data.world.tasks import fact_question, wordings
from pharmakon.data.world.text import WorldText, paragraph

__all__ = [
    "RELATIONS",
    "VALUES",
    "Lies",
    "Person",
    "RestrictedQuestions",
    "World",
    "WorldDialogues",
    "WorldExtraction",
    "WorldMemories",
    "WorldPreferences",
    "WorldQuestions",
    "WorldRecords",
    "WorldText",
    "fact_question",
    "noted_record",
    "paragraph",
    "wordings",
]
