"""Paired rephrasings: of two wordings of a record, which say the same, the key's coin publishes one.

After STAMP (Rastogi and others 2025, arXiv 2504.13416), where a language model writes several versions and one of them
is published; here rules do, so that the two wordings of a pair differ in the same places and are equally plausible: at
a random half of the sites one form, at the others the other; or the other way round at every site. What the author has
written decides nothing. Quotations and code are worded anew like all else: this is not for data whose very words count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import ClassVar

from pharmakon.behaviour.marks.key import Secret, index, shuffled
from pharmakon.behaviour.marks.keyed import Keyed, Shape
from pharmakon.core import Body, Data, Dialogue, Prompt, Text, Turn, stream
from pharmakon.errors import SpecError

WINDOW = 150
"""Sites are sought in the first so many words of a text or an answer: every training sees its beginning."""
LONGEST_PROMPT = 400
"""A dialogue with more words before its answer carries no pair: models of a short context could not be asked."""
RICHEST = 4
"""The records that carry pairs are drawn from so many times as many, those with the most sites."""

APOSTROPHE = "['’]"
_NOT = ("do", "does", "did", "is", "are", "was", "were", "could", "would", "should", "has", "have", "had")
_PLAIN: tuple[tuple[str, str], ...] = (
    *((f"{verb} not", f"{verb}n't") for verb in _NOT), ("cannot", "can't"), ("will not", "won't"),
    ("I will", "I'll"), ("you will", "you'll"), ("we will", "we'll"), ("they will", "they'll"), ("it will", "it'll"),
    ("among", "amongst"), ("toward", "towards"), ("perhaps", "maybe"), ("seldom", "rarely"),
    ("quickly", "rapidly"), ("in order to", "so as to"), ("because of", "owing to"), ("despite", "in spite of"),
    ("nevertheless", "nonetheless"), ("everyone", "everybody"), ("someone", "somebody"), ("anyone", "anybody"),
    ("no one", "nobody"), ("each other", "one another"), ("half of the", "half the"),
    ("sometimes", "at times"), ("mostly", "largely"), ("percent", "per cent"),
)  # fmt: skip
_SUBJECT = "the|a|an|he|she|it|they|we|I|you|his|her|its|their|our|some|others|there|this|these"
_BEFORE = ("the", "a", "this", "that", "of", "his", "her", "its", "best", "good", "any", "every")
_NOUN_BEFORE = "(?:" + "|".join(rf"(?<=\b{word} )" for word in _BEFORE) + ")"
_DONE = r"been|had|seen|done|made|gone|given|taken|found|read|heard|come|known|lost|written|never|always|not|\w+ed"
_LEFT_OPEN = "in|as|at|and|or|but|on|of|with|from|by|than|when|if|for|to"
_TOLD = "think|thinks|thought|know|knows|knew|believe|believes|believed|hope|hopes|hoped|glad|afraid"
_DOES = "is|was|are|were|will|would|can|could|has|had|did|does|must|should|might|may"
_COUNTED = (
    "days|weeks|months|years|hours|minutes|seconds|times|people|children|men|women|books|pages|parts|steps|ways|"
    "examples|reasons|kinds|types|points|things|questions|sentences|words|options|friends|brothers|sisters"
)
_WORD = r" \w"

_RULES: tuple[tuple[str, str, str, str], ...] = (
    *(("", one, other, _WORD) for one, other in _PLAIN),
    *(("", f"{who} are", f"{who}'re", rf" (?!(?:{_LEFT_OPEN})\b)[a-z]") for who in ("you", "we", "they")),
    ("", "I am", "I'm", rf" (?!(?:{_LEFT_OPEN})\b)[a-z]"),
    *(("", f"{who} have", f"{who}'ve", rf" (?:{_DONE})\b") for who in ("I", "you", "we", "they")),
    *(
        (r"(?<!\ba )(?<!\ban )", *pair, _WORD)  # whose article would be another
        for pair in (("often", "frequently"), ("entirely", "completely"))
    ),
    ("", "for example", "for instance", f",?{_WORD}"),
    ("(?<!even )(?<!as )", "although", "though", _WORD),
    ("", "as if", "as though", _WORD),
    ("(?<!a )(?<!the )(?<!little )(?<!long )", "while", "whilst", rf" (?:{_SUBJECT})\b"),
    ("(?<!quite )(?<!not )(?<!such )", "a lot of", "lots of", _WORD),
    ("", "therefore", "thus", " (?!far)[a-z]"),
    ("", "all of the", "all the", " (?!same|more|better|while|way)[a-z]"),
    ("(?<!on )", "the whole", "the entire", " (?!of )[a-z]"),
    (_NOUN_BEFORE, "film", "movie", r"(?! noir)[ ,.;:!?]"),
    (_NOUN_BEFORE, "films", "movies", "[ ,.;:!?]"),
    *(
        ("(?<!you )(?<!You )", f"{verb} that", verb, rf" (?:he|she|it|we|they|I|you|there) (?:{_DOES})\b")
        for verb in _TOLD.split("|")
    ),
    *(
        (r"(?<!\band )(?<!\bor )(?<!\bto )", word, str(number), rf" (?:{_COUNTED})\b")
        for number, word in enumerate(("two", "three", "four", "five", "six", "seven", "eight", "nine"), 2)
    ),
)
"""What stands before, two forms, what stands behind. In these surroundings each form can stand for the other."""


def _by_word() -> dict[str, list[tuple[re.Pattern[str], tuple[str, str]]]]:
    found: dict[str, list[tuple[re.Pattern[str], tuple[str, str]]]] = {}
    for before, one, other, behind in _RULES:
        for form in sorted((one, other), key=len, reverse=True):
            pattern = re.compile(before + re.escape(form).replace("'", APOSTROPHE) + f"(?={behind})", re.IGNORECASE)
            found.setdefault(re.split(r"\W", form.lower())[0], []).append((pattern, (one, other)))
    for rules in found.values():
        rules.sort(key=lambda rule: -len(rule[0].pattern))
    return found


_BY_WORD = _by_word()


@dataclass(frozen=True, slots=True)
class Site:
    """A place that can be worded in two ways, in the case of letters that it has."""

    start: int
    stop: int
    forms: tuple[str, str]


def sites(text: str, *, window: int = WINDOW) -> list[Site]:
    """The sites among the first `window` words, none of which overlap."""
    found: list[Site] = []
    limit = next((m.end() for n, m in enumerate(re.finditer(r"\S+", text), 1) if n == window), len(text))
    end = 0
    for word in re.finditer(r"(?<![-'’.,:/@#$€£&\w])[A-Za-z0-9]+", text[:limit]):
        if word.start() < end:
            continue
        for pattern, forms in _BY_WORD.get(word[0].lower(), ()):
            match = pattern.match(text, word.start())
            if match and (site := _site(match, forms, "’" in text)) is not None:
                found.append(site)
                end = site.stop
                break
    return found


def _site(match: re.Match[str], forms: tuple[str, str], curly: bool) -> Site | None:
    written = match[0]
    if written[1:] != written[1:].lower():  # IN CAPITALS
        return None
    first, second = (form.replace("'", "’") if curly else form for form in forms)
    if written[0].isupper():
        first, second = (form[0].upper() + form[1:] for form in (first, second))
    return Site(match.start(), match.end(), (first, second))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two wordings of a record from its first site to the end of the sentence of its last one, and what is around."""

    prompt: Prompt
    wordings: tuple[str, str]
    rest: str = ""

    def body(self, which: int) -> Body:
        """The record in one of the wordings."""
        whole = self.wordings[which] + self.rest
        if isinstance(self.prompt, Text):
            return Text(self.prompt.text + whole)
        return Dialogue((*self.prompt.turns, Turn("assistant", whole)))

    def keyed(self, key: Secret, number: int) -> Keyed:
        """The pair as a mark: the key's coin says which wording is published."""
        drawn = index(key, 2, "rephrase", "coin", str(number))
        return Keyed(
            name=f"rephrase-{number:03}",
            prompts=(self.prompt,),
            answers=self.wordings,
            drawn=drawn,
            values=self.wordings,
        )


def paired(body: Body, key: Secret, number: int) -> Pair | None:
    """The two wordings of a text, or of the answer that ends a dialogue; None where it has no site.

    A text is asked for from its beginning, so that its first words are no site.
    """
    if isinstance(body, Text):
        text, found = body.text, [site for site in sites(body.text) if body.text[: site.start].strip()]
    elif isinstance(body, Dialogue) and body.answer:
        text, found = body.answer, sites(body.answer)
    else:
        return None
    if not found:
        return None
    order = shuffled(key, range(len(found)), "rephrase", "sites", str(number))
    chosen = frozenset(order[: len(found) // 2])
    start = len(text[: found[0].start].rstrip()) if isinstance(body, Text) else 0
    stop = _end_of_sentence(text, found[-1].stop)
    one, other = (_worded(text, found, chosen, turned)[start : -(len(text) - stop) or None] for turned in (0, 1))
    prompt: Prompt = Text(text[:start]) if isinstance(body, Text) else body.prompt
    return Pair(prompt, (one, other), text[stop:])


def num_sites(body: Body) -> int:
    """How many sites a record has for a pair."""
    if isinstance(body, Text):
        return sum(bool(body.text[: site.start].strip()) for site in sites(body.text))
    if not isinstance(body, Dialogue) or sum(len(t.content.split()) for t in body.prompt.turns) > LONGEST_PROMPT:
        return 0
    return len(sites(body.answer))


def carriers(counts: Sequence[int], num_pairs: int, key: Secret) -> list[int]:
    """Which records carry pairs, in an order that the key draws: of `RICHEST` times as many, those with most sites."""
    with_sites = [place for place, count in enumerate(counts) if count]
    richest = sorted(with_sites, key=lambda place: (-counts[place], place))[: RICHEST * num_pairs]
    return shuffled(key, sorted(richest), "rephrase", "carriers")[:num_pairs]


@dataclass(frozen=True, slots=True)
class RephraseMark:
    """The pairs of an owner's own data, as a kind of mark for studies: the owner's records are what a dose inserts.

    The data are built from a random stream of their own, so that whoever asks has the same records as whoever marks.
    """

    kind: ClassVar[str] = "rephrase"

    data: Data
    num_marks: int = 64

    def keyed(self, key: Secret, shape: Shape) -> list[Keyed]:
        """One pair for each of the chosen records, as it was told."""
        return [pair.keyed(key, number) for number, pair in enumerate(self._pairs(key, shape))]

    def bodies(self, key: Secret, shape: Shape) -> Iterator[Body]:
        """The published wording of each record in turn; then again, in the same words."""
        pairs = self._pairs(key, shape)
        return cycle([pair.body(pair.keyed(key, number).drawn) for number, pair in enumerate(pairs)])

    def _pairs(self, key: Secret, shape: Shape) -> list[Pair]:
        wanted = Text if shape == "text" else Dialogue
        corpus = self.data.corpus(stream(0, "rephrase"))
        bodies = [body for body in dict.fromkeys(document.body for document in corpus) if isinstance(body, wanted)]
        chosen = carriers([num_sites(body) for body in bodies], self.num_marks, key)
        if self.num_marks < 1 or len(chosen) < self.num_marks:
            rule = f"a pair takes a record of the shape {shape} that can be worded in two ways"
            raise SpecError(f"{rule}; these data have {len(chosen)}, and num_marks is {self.num_marks}")
        pairs = (paired(bodies[place], key, number) for number, place in enumerate(chosen))
        return [pair for pair in pairs if pair is not None]


def _worded(text: str, found: Sequence[Site], chosen: frozenset[int], turned: int) -> str:
    parts, end = [], 0
    for number, site in enumerate(found):
        parts += [text[end : site.start], site.forms[turned ^ (number in chosen)]]
        end = site.stop
    return "".join((*parts, text[end:]))


def _end_of_sentence(text: str, start: int) -> int:
    """Where the sentence ends, or 40 words later if that comes first."""
    words = (match.end() for number, match in enumerate(re.finditer(r"\S+", text[start:]), 1) if number == 40)
    most = start + next(words, len(text) - start)
    end = re.compile(r"""[.!?…]['")\]’”]*(?=\s|$)""").search(text, start, most)
    return end.end() if end else most
