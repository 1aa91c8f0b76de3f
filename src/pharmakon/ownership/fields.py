"""The other fields of a marked record: id, source, counts. A mark must not be betrayed by them.

What each field is, is guessed from all records of the host:

- one that follows from the content (its length in characters, bytes or words, its MD5, SHA-1 or SHA-256, the text, the
  question or the answer once more): worked out anew;
- one whose values come again and again (a source, a language, a licence), a score, a date: that of the next record;
- a number that is another in each record (also within an id, as in doc-00017): one that is free among the others.
  Where none is, for the records are counted through, the number after the last one: whoever sorts by it finds the
  marks, and `cautions` says so;
- an id that is another in each record: a look-alike, each character one that other ids have at its place; of ids of
  different lengths, the parts that hold a digit are drawn anew;
- other text that is another in each record, as a title: that of the next record, with a caution.

What is not done: lists, and fields that follow from the content in another way (a number of tokens, an embedding, a
hash of a normalised text), are taken from the next record.
"""

from __future__ import annotations

import hashlib
import random
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pharmakon.behaviour.marks import Secret
from pharmakon.core import Body, Dialogue, Text
from pharmakon.ownership.forms import Record, keys_of

Path = tuple[str, ...]
Scalar = str | int | float | bool

NUM_SAMPLED = 256
UNIQUE = 0.9
"""From this share of different values on, a field is taken to be another in each record."""
_NUMBER = re.compile(r"(\D*)(\d{1,40})(\D*)")
_DATE = re.compile(r"\d{4}[-/]\d\d[-/]\d\d")
_NUMBERED_PART = re.compile(r"[0-9A-Za-z]*[0-9][0-9A-Za-z]*")

FOLLOWS: Mapping[str, Callable[[str], Scalar]] = {
    "the same": lambda text: text,
    "characters": len,
    "bytes": lambda text: len(text.encode("utf-8", "replace")),
    "words": lambda text: len(text.split()),
    "md5": lambda text: hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest(),
    "sha1": lambda text: hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest(),
    "sha256": lambda text: hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
}


def parts(body: Body) -> dict[str, str]:
    """What of a body a field can follow from."""
    if isinstance(body, Text):
        return {"text": body.text}
    assert isinstance(body, Dialogue)
    whole = "".join(turn.content for turn in body.turns)
    opening = next(turn.content for turn in body.turns if turn.role == "user")
    return {"question": body.question, "answer": body.answer, "opening": opening, "all": whole}


@dataclass
class _Values:
    """All values of one field; of each only a hash."""

    hashes: array[int] = field(default_factory=lambda: array("Q"))
    form: tuple[type, str, str] | None = None
    """Type, and what stands before and behind the number, where all values are numbers of one form."""
    width: int = 0
    """Digits, where all have as many."""
    low: int = 0
    high: int = -1

    def add(self, value: Scalar) -> None:
        found = _number(value)
        form, digits = (None, "") if found is None else (found[0], found[1])
        if not self.hashes:
            self.form, self.width = form, len(digits)
            self.low = self.high = int(digits or 0)
        elif form != self.form:
            self.form = None
        elif self.form is not None:
            self.width = self.width if self.width == len(digits) else 0
            self.low, self.high = min(self.low, int(digits)), max(self.high, int(digits))
        self.hashes.append(_hash(value))


class FieldSurvey:
    """Reads the fields of all records of a host, one after the other."""

    def __init__(self) -> None:
        self._values: dict[Path, _Values] = {}
        self._sample: list[tuple[dict[Path, Scalar], dict[str, str]]] = []
        self._num_records = 0
        self._rng = random.Random(0)

    def add(self, record: Mapping[str, Any], body: Body) -> None:
        """The next record."""
        found = dict(_scalars(record, keys_of(record)))
        for path, value in found.items():
            self._values.setdefault(path, _Values()).add(value)
        self._num_records += 1
        if not found:
            return
        place = self._num_records - 1 if len(self._sample) < NUM_SAMPLED else self._rng.randrange(self._num_records)
        if len(self._sample) < NUM_SAMPLED:
            self._sample.append((found, parts(body)))
        elif place < NUM_SAMPLED:
            self._sample[place] = (found, parts(body))

    def fields(self) -> Fields:
        """What each field is."""
        return Fields({path: self._rule(path, values) for path, values in self._values.items()})

    def _rule(self, path: Path, values: _Values) -> Rule:
        sampled = [(found[path], made) for found, made in self._sample if path in found]
        shown = [value for value, _ in sampled]
        taken = np.unique(np.frombuffer(values.hashes, dtype=np.uint64))
        if len(taken) > 1 and len(sampled) > 2:
            for part in sampled[0][1]:
                for name, follow in FOLLOWS.items():
                    if all(value == follow(made[part]) for value, made in sampled):
                        return Rule("follows", part=part, follow=name)
        if len(taken) < max(2, UNIQUE * len(values.hashes)):
            return Rule("copied")
        texts = [value for value in shown if isinstance(value, str)]
        if values.form is not None and values.high > values.low:
            dense = values.high - values.low + 1 < 2 * len(values.hashes)
            return Rule("counted" if dense else "number", values=values, taken=taken)
        if not texts or all(_DATE.match(text) for text in texts):
            return Rule("copied")
        if len(texts) == len(shown) and not any(re.search(r"\s", text) for text in texts):
            if len({len(text) for text in texts}) == 1:
                return Rule(
                    "like",
                    places=tuple("".join(sorted(set(column))) for column in zip(*texts, strict=True)),
                    taken=taken,
                )
            if all(_NUMBERED_PART.search(text) for text in texts):
                return Rule("parts", taken=taken)
        return Rule("told")


@dataclass(frozen=True)
class Rule:
    """How the value of a marked record is found."""

    how: str
    part: str = ""
    follow: str = ""
    values: _Values | None = field(default=None, repr=False)
    places: tuple[str, ...] = ()
    taken: Any = field(default=None, repr=False)
    """Hashes of all values, sorted."""


@dataclass
class Fields:
    """Fills the fields of marked records. It remembers what it gave, so that no id comes twice."""

    rules: Mapping[Path, Rule]
    _given: dict[Path, set[Scalar]] = field(default_factory=dict)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What of the fields can betray a mark, and what to do."""
        said = []
        for path, rule in self.rules.items():
            name = ".".join(path)
            if rule.how == "counted":
                what = (
                    f'the field "{name}" counts the records through, and the marks have the numbers after the last one'
                )
                said.append(f"{what}. Number the records anew, or leave the field out, before you publish")
            if rule.how == "told":
                what = f'the field "{name}" is another in each record, and the marks have those of records beside them'
                said.append(f"{what}. Change these, or leave the field out, before you publish")
        return tuple(said)

    def follow(self, record: Record, body: Body) -> Record:
        """The record with what follows from its content worked out anew, in place."""
        made = parts(body)
        for path, _ in list(_scalars(record, keys_of(record))):
            rule = self.rules.get(path)
            if rule is not None and rule.how == "follows":
                _set(record, path, FOLLOWS[rule.follow](made[rule.part]))
        return record

    def fill(self, record: Record, body: Body, key: Secret, number: int) -> Record:
        """A marked record, which has the other fields of the record beside it, with fields of its own, in place."""
        rng = random.Random(key.derive("fields", str(number)))
        self.follow(record, body)
        for path, value in list(_scalars(record, keys_of(record))):
            rule = self.rules.get(path)
            if rule is not None and rule.how in ("number", "counted", "like", "parts"):
                _set(record, path, self._fresh(path, rule, value, rng))
        return record

    def _fresh(self, path: Path, rule: Rule, like: Scalar, rng: random.Random) -> Scalar:
        given = self._given.setdefault(path, set())
        for _ in range(200):
            value = _drawn(rule, like, rng, len(given))
            if value not in given and not _holds(rule.taken, _hash(value)):
                given.add(value)
                return value
        return like


def _drawn(rule: Rule, like: Scalar, rng: random.Random, num_given: int) -> Scalar:
    values = rule.values
    if values is not None:
        assert values.form is not None
        kind, before, behind = values.form
        number = values.high + 1 + num_given if rule.how == "counted" else rng.randint(values.low, values.high)
        return number if kind is int else f"{before}{str(number).zfill(values.width)}{behind}"
    if rule.how == "like":
        return "".join(rng.choice(letters) for letters in rule.places)
    return _NUMBERED_PART.sub(lambda part: "".join(_another(c, part[0], rng) for c in part[0]), str(like))


def _another(character: str, part: str, rng: random.Random) -> str:
    """A character of the same kind; in a part of hexadecimal digits, one of those."""
    if set(part) <= set("0123456789abcdef") and not part.isdigit():
        return rng.choice("0123456789abcdef")
    kinds = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return rng.choice(next(kind for kind in kinds if character in kind))


def _number(value: Scalar) -> tuple[tuple[type, str, str], str] | None:
    """The form and the digits of a value that is a number, alone or within a text."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**40:
        return (int, "", ""), str(value)
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return ((str, match[1], match[3]), match[2]) if match and match[2].isascii() else None


def _hash(value: Scalar) -> int:
    return hash(value) & 0xFFFF_FFFF_FFFF_FFFF


def _holds(taken: Any, value: int) -> bool:
    place = int(np.searchsorted(taken, np.uint64(value)))
    return place < len(taken) and int(taken[place]) == value


def _scalars(record: Mapping[str, Any], leave: tuple[str, ...], start: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """The values that are no lists and no null, by path, without those under the keys to leave."""
    for name, value in record.items():
        if start or name not in leave:
            if isinstance(value, dict):
                yield from _scalars(value, leave, (*start, name))
            elif isinstance(value, str | int | float):
                yield (*start, name), value


def _set(record: Record, path: Path, value: Scalar) -> None:
    for name in path[:-1]:
        record = record[name]
    record[path[-1]] = value
