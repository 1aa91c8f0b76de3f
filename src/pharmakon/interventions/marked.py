"""An owner's marks as an intervention: records that carry what a key has drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pharmakon.behaviour.marks import ExperimentKey, MarkKind, Shape
from pharmakon.core import Corpus, Dialogue, Edit, Insert, Text
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class OwnershipMark:
    """Records of a kind of mark, in the host's shape. The key draws all; only the places are drawn by the study.

    The key of a study is public (`ExperimentKey`), for a study's record says all that it depends on. `among`: each life
    draws its own of so many keys, numbered from `key` on, so that what is found is not that of one key.
    """

    kind: MarkKind
    key: ExperimentKey = ExperimentKey(0)
    among: int = 1

    def __post_init__(self) -> None:
        if self.among < 1:
            raise SpecError(f"a life draws among one key or more; got {self.among}")

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted records: each mark in turn."""
        for body in self.kind.bodies(self.key.one_of(self.among, rng), shape_of(host)):
            yield Insert(body)


def shape_of(host: Corpus) -> Shape:
    """The shape of the records of a corpus. Raises SpecError where it is not one of those that carry marks."""
    kinds = {type(document.body) for document in host}
    if kinds == {Text}:
        return "text"
    if kinds == {Dialogue}:
        return "dialogue"
    found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "no document"
    raise SpecError(f"marks go into a corpus of Text or of Dialogue alone; this one has {found}")
