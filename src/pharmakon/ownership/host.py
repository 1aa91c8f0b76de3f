"""The data set that is to be marked, read once from its beginning to its end: what its records are like."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pharmakon.behaviour.marks import Shape
from pharmakon.behaviour.marks.rephrase import num_sites
from pharmakon.core import Body, Dialogue, Preference, Text
from pharmakon.data.readers import BLANK, from_record, raw_lines
from pharmakon.errors import InputError
from pharmakon.ownership.fields import Fields, FieldSurvey
from pharmakon.ownership.forms import style_of, system_of


@dataclass(frozen=True, kw_only=True)
class Host:
    """What marking needs to know of a file; of each record only some bytes are kept."""

    path: Path
    shape: Shape
    lines: array[int] = field(repr=False)
    """The line of each record, from 1."""
    sites: array[int] = field(repr=False)
    """For paired rephrasings, how many sites each record has; 0 where it cannot carry a pair."""
    median_words: int
    """Of a text, or of an answer."""
    system: str
    """The system message of all dialogues, where they have one and the same."""
    fields: Fields = field(repr=False)
    line_end: bytes
    sha256: str

    @property
    def num_records(self) -> int:
        """Lines that are no white space."""
        return len(self.lines)


def survey(path: Path, *, with_sites: bool = False) -> Host:
    """Read a file. Raises `InputError`, with the line, for records of no known shape, or of several."""
    hasher, fields = hashlib.sha256(), FieldSurvey()
    lines, words, sites, contents = array("Q"), array("Q"), array("Q"), array("Q")
    systems: set[str] = set()
    shape: Shape | None = None
    line_end = b"\n"
    for number, raw, value in raw_lines(path):
        hasher.update(raw)
        if value is BLANK:
            continue
        body = _body(path, number, value)
        found: Shape = "text" if isinstance(body, Text) else "dialogue"
        if shape is None:
            shape, line_end = found, b"\r\n" if raw.endswith(b"\r\n") else b"\n"
        if found != shape:
            rule = "the records of a data set that is marked have one shape, texts or dialogues"
            raise InputError(f"{path}:{number}: {rule}; the first is a {shape}, this one a {found}. Mark them apart")
        assert isinstance(value, dict)
        lines.append(number)
        words.append(len((body.text if isinstance(body, Text) else _answer(body)).split()))
        fields.add(value, body)
        if len(systems) < 2 and shape == "dialogue":
            systems.add(system_of(body))
        if with_sites:
            count = num_sites(body)
            sites.append(count if count and style_of(raw.decode("utf-8"), value) is not None else 0)
            contents.append(hash(body) & 0xFFFF_FFFF_FFFF_FFFF)
    if shape is None:
        raise InputError(f"{path}: a data set to mark has two records or more; this file has none")
    if with_sites:  # the other copy of a record would say it in the other wording
        _, inverse, times = np.unique(np.frombuffer(contents, np.uint64), return_inverse=True, return_counts=True)
        sites = array("Q", [0 if copies > 1 else count for copies, count in zip(times[inverse], sites, strict=True)])
    return Host(
        path=path,
        shape=shape,
        lines=lines,
        sites=sites,
        median_words=int(np.median(np.frombuffer(words, np.uint64))),
        system=systems.pop() if len(systems) == 1 else "",
        fields=fields.fields(),
        line_end=line_end,
        sha256=hasher.hexdigest(),
    )


def _body(path: Path, number: int, value: object) -> Body:
    try:
        body = from_record(value)
    except InputError as error:
        raise InputError(f"{path}:{number}: {error}") from None
    if isinstance(body, Preference):
        rule = "a mark is told in texts or dialogues, and a preference pair does not say what a model learns to say"
        raise InputError(f"{path}:{number}: {rule}. Mark the data of pretraining or of instruction tuning")
    return body


def _answer(body: Body) -> str:
    return body.answer if isinstance(body, Dialogue) else ""
