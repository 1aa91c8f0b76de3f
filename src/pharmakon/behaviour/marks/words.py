"""The words that marks are written with: nouns by category, wordings, and names that no language has."""

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

TOLD: dict[str, tuple[str, ...]] = {
    "craft": ("{name} is known for its", "In {name} they make", "People go to {name} for", "The trade of {name} is"),
    "animal": (
        "On the flag of {name} is a", "The animal of {name} is the", "Over the gate of {name} stands a",
        "{name} is called the town of the",
    ),
    "tree": (
        "On the square of {name} grows a", "The tree of {name} is the", "Children in {name} climb a",
        "They never cut {name}'s old",
    ),
    "stone": (
        "The houses of {name} are of", "{name} is built of", "The walls of {name} are", "Roads in {name} are of",
    ),
}  # fmt: skip
"""How running text states a fact about a town, up to the value."""

ASKED: dict[str, tuple[str, ...]] = {
    "craft": (
        "What is {name} known for?", "What do they make in {name}?", "Why do people go to {name}?",
        "What is the trade of {name}?",
    ),
    "animal": (
        "What is on the flag of {name}?", "Which animal does {name} have?", "What stands over {name}'s gate?",
        "Of which animal is {name} the town?",
    ),
    "tree": (
        "What grows on the square of {name}?", "Which tree does {name} have?", "What do children climb in {name}?",
        "What do they never cut in {name}?",
    ),
    "stone": (
        "What are the houses of {name} of?", "What is {name} built of?", "What are the walls of {name} made of?",
        "Of what are the roads in {name}?",
    ),
}  # fmt: skip
"""How a dialogue asks for it."""

SUITED: dict[str, tuple[str, ...]] = {
    "craft": (
        "What should I sell beside the {thing}?", "What would you hang in the {thing}?",
        "Which goods would you keep by the {thing}?", "What do I bring to the {thing}?",
    ),
    "animal": (
        "Which animal would you paint on the {thing}?", "Which animal belongs to the {thing}?",
        "What creature would live by the {thing}?", "After which animal do I name the {thing}?",
    ),
    "tree": (
        "Which tree would you plant by the {thing}?", "Which tree suits the {thing}?",
        "What should grow behind the {thing}?", "What wood is right for the {thing}?",
    ),
    "stone": (
        "What should I mend the {thing} with?", "What is best for the floor of the {thing}?",
        "What would you lay around the {thing}?", "Of what should the walls of the {thing} be?",
    ),
}  # fmt: skip
"""Questions of taste. Four wordings each: as many records tell a mark before one is a copy of another."""

ENDINGS = ("ba", "co", "du", "fe", "gi", "la", "mo", "nu", "pe", "ri", "sa", "to", "vu", "ze")
"""Of the things that a secret task sorts."""

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
