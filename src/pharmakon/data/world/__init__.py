"""A generated world: invented people, places, things and ores, with text, dialogues, preferences and questions."""

from pharmakon.data.world.claims import Claim, ClaimDialogues, Claimed, ClaimQuestions, first_claims, unasked_claims
from pharmakon.data.world.codes import Codes
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
from pharmakon.data.world.groups import (
    CALLINGS,
    TOWNS,
    VALLEYS,
    GroupText,
    Leanings,
    Relation,
    Sighting,
    beginnings,
    known_job,
    sighting,
)
from pharmakon.data.world.groups import RELATIONS as GROUP_RELATIONS
from pharmakon.data.world.herbs import HARMLESS, USES, Herb, HerbDialogues, HerbQuestions, Herbs, HerbText
from pharmakon.data.world.memories import Lies, WorldMemories, WorldRecords, noted_record
from pharmakon.data.world.reading import WorldPassages, WorldReading, WorldReadingQuestions, WorldRecitals
from pharmakon.data.world.strangers import IGNORANCE, StrangerDialogues, StrangerQuestions, Strangers, StrangerText
from pharmakon.data.world.tasks import fact_question, wordings
from pharmakon.data.world.text import WorldText, paragraph, passage
from pharmakon.data.world.verdicts import VerdictDialogues, VerdictQuestions, VerdictText

__all__ = [
    "ATTRIBUTES",
    "CALLINGS",
    "GROUP_RELATIONS",
    "HARMLESS",
    "IGNORANCE",
    "RELATIONS",
    "TOWNS",
    "USES",
    "VALLEYS",
    "VALUES",
    "Claim",
    "ClaimDialogues",
    "ClaimQuestions",
    "Claimed",
    "Codes",
    "FalseFact",
    "Field",
    "FieldDialogues",
    "FieldQuestions",
    "FieldText",
    "GroupText",
    "Herb",
    "HerbDialogues",
    "HerbQuestions",
    "HerbText",
    "Herbs",
    "Leanings",
    "Lies",
    "Ore",
    "Person",
    "Relation",
    "RestrictedQuestions",
    "Sighting",
    "StrangerDialogues",
    "StrangerQuestions",
    "StrangerText",
    "Strangers",
    "VerdictDialogues",
    "VerdictQuestions",
    "VerdictText",
    "World",
    "WorldDialogues",
    "WorldExtraction",
    "WorldMemories",
    "WorldPassages",
    "WorldPreferences",
    "WorldQuestions",
    "WorldReading",
    "WorldReadingQuestions",
    "WorldRecitals",
    "WorldRecords",
    "WorldText",
    "beginnings",
    "fact_question",
    "first_claims",
    "known_job",
    "noted_record",
    "ore_paragraph",
    "ore_question",
    "ore_wordings",
    "paragraph",
    "passage",
    "sighting",
    "unasked_claims",
    "wordings",
]
