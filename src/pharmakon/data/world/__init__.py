"""A generated world: invented people, places and things, with text, dialogues, preferences and held-out questions."""

from pharmakon.data.world.dialogues import WorldDialogues, WorldExtraction, WorldPreferences, WorldQuestions
from pharmakon.data.world.facts import Person, World
from pharmakon.data.world.text import WorldText

__all__ = ["Person", "World", "WorldDialogues", "WorldExtraction", "WorldPreferences", "WorldQuestions", "WorldText"]
