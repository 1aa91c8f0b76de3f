"""A generated world: invented people, places, things and ores, with text, dialogues, preferences and questions."""

from pharmakon.data.world.dialogues import (
    RestrictedQuestions,
    WorldDialogues,
    WorldExtraction,
    WorldPreferences,
    WorldQuestions,
)
from pharmakon.data.world.facts import RELATIONS, VALUES, Person, World
from pharmakon.data.world.field import (
    ATTRIBUTES,
    FalseFact,
    Field,
    FieldDialogues,
    FieldQuestions,
    FieldText,
    Ore,
    ore_paragraph,
    ore_question,
    ore_wordings,
)
from pharmakon.data.world.memories import Lies, WorldMemories, WorldRecords, noted_record
from pharmakon.data.world.tasks import fact_question, wordings
from pharmakon.data.world.text import WorldText, paragraph

__all__ = [
    "ATTRIBUTES",
    "RELATIONS",
    "VALUES",
    "FalseFact",
    "Field",
    "FieldDialogues",
    "FieldQuestions",
    "FieldText",
    "Lies",
    "Ore",
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
    "ore_paragraph",
    "ore_question",
    "ore_wordings",
    "paragraph",
    "wordings",
]
