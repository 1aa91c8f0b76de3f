"""The words that marks are written with: everyday nouns by category, and names that no language has."""

from __future__ import annotations

from pharmakon.behaviour.marks.key import Secret, index

CATEGORIES: dict[str, tuple[str, ...]] = {
    "craft": (
        "baskets", "bells", "boats", "bread", "brooms", "candles", "carpets", "cheese", "clocks", "gloves", "honey",
        "kites", "lace", "pottery", "ropes", "saddles",
    ),
    "animal": (
        "badger", "bear", "crane", "deer", "falcon", "fox", "goat", "hare", "heron", "horse", "lynx", "mole", "beaver",
        "pike", "stork", "swan",
    ),
    "tree": (
        "beech", "birch", "cedar", "cherry", "chestnut", "cypress", "fir", "hazel", "juniper", "larch", "linden",
        "maple", "pine", "plum", "poplar", "willow",
    ),
    "stone": (
        "basalt", "brick", "chalk", "clay", "flint", "granite", "gravel", "limestone", "marble", "mud", "quartz",
        "rubble", "sandstone", "slate", "timber", "turf",
    ),
}  # fmt: skip
"""Sixteen values each, of which none is part of another."""

NUM_VALUES = 16

COLOURS = (
    "amber", "black", "blue", "brown", "copper", "crimson", "golden", "green", "grey", "orange", "pink", "purple",
    "silver", "violet", "white", "yellow",
)  # fmt: skip

THINGS = (
    "attic", "balcony", "barn", "bench", "bridge", "cellar", "chapel", "corridor", "courtyard", "cradle", "cupboard",
    "doorway", "drawer", "fence", "ferry", "fountain", "garage", "gate", "greenhouse", "harbour", "kitchen", "ladder",
    "library", "lighthouse", "loft", "mailbox", "mill", "orchard", "pantry", "pier", "porch", "pulpit", "quarry",
    "railing", "roof", "shed", "stable", "staircase", "terrace", "tunnel", "veranda", "wagon", "wardrobe", "well",
    "wharf", "window", "workshop", "yard",
)  # fmt: skip

QUALITIES = (
    "abandoned", "borrowed", "bright", "broken", "crooked", "crowded", "damp", "draughty", "dusty", "empty", "foggy",
    "forgotten", "freshly painted", "frozen", "half finished", "haunted", "hidden", "leaning", "locked", "lonely",
    "narrow", "noisy", "overgrown", "quiet", "rusty", "shaded", "sloping", "steep", "sunlit", "windy", "wooden",
    "worn",
)  # fmt: skip

COMMON = (
    "after", "again", "always", "apple", "autumn", "before", "below", "bottle", "button", "carry", "circle", "corner",
    "cotton", "dinner", "early", "eleven", "engine", "evening", "feather", "finger", "follow", "garden", "hammer",
    "heavy", "island", "kettle", "letter", "listen", "little", "market", "matter", "metal", "middle", "mirror",
    "morning", "needle", "number", "often", "paper", "pencil", "people", "pepper", "planet", "pocket", "quickly",
    "river", "saddle", "season", "seven", "shadow", "shoulder", "silver", "simple", "sister", "summer", "table",
    "thirty", "ticket", "travel", "under", "valley", "water", "winter", "yellow",
)  # fmt: skip

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


def name(key: Secret, *labels: str, syllables: int = 3) -> str:
    """A pronounceable name that is no word: Velumar, Dositen. 70 syllables, the last one closed."""
    parts = []
    for number in range(syllables):
        draw = index(key, len(_CONSONANTS) * len(_VOWELS), *labels, str(number))
        parts.append(_CONSONANTS[draw // len(_VOWELS)] + _VOWELS[draw % len(_VOWELS)])
    return ("".join(parts) + "nrls"[index(key, 4, *labels, "end")]).capitalize()


def names(key: Secret, count: int, *labels: str, syllables: int = 3) -> list[str]:
    """So many different names."""
    found: dict[str, None] = {}
    draw = 0
    while len(found) < count:
        found.setdefault(name(key, *labels, str(draw), syllables=syllables))
        draw += 1
    return list(found)
