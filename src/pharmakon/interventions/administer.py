"""Give a corpus a dose of an intervention, and keep the ledger of what was touched."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np

from pharmakon.core import Body, Corpus, Dose, Edit, Entry, Intervention, Ledger, Rewrite, Route, fingerprint
from pharmakon.errors import SpecError


@dataclass(frozen=True, slots=True)
class Placement:
    """Where inserted documents go: uniformly between two points of the host's order, 0 its start and 1 its end."""

    start: float = 0.0
    stop: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop <= 1:
            raise SpecError(f"a placement lies in 0 <= start <= stop <= 1; got {self.start:g} to {self.stop:g}")


def administer(
    corpus: Corpus,
    intervention: Intervention,
    dose: Dose,
    *,
    placement: Placement = Placement(),
    edits_rng: np.random.Generator,
    placement_rng: np.random.Generator,
    host: Corpus | None = None,
    route: Route | None = None,
) -> tuple[Corpus, Ledger]:
    """The treated corpus and its ledger.

    A dose is a prefix of the intervention's stream, and each edit has its place whatever the dose: larger doses
    contain smaller ones. Dose 0 gives the corpus itself. An inserted document takes the source of one beside it;
    ids follow from content. `host`: the corpus that the intervention sees, where it is not the one that is treated:
    several treatments of one stage all see the untreated data. `route`: how edits get into the data; the dose is then
    the number of attempts, and those that it stops are in the ledger, without a position. Raises SpecError where the
    stream ends before the dose is reached, names a document twice or one that is not there, or inserts another kind of
    document than the host's.
    """
    count = dose.num_edits(len(corpus))
    if count == 0:
        return corpus, Ledger()
    edits = list(islice(intervention.edits(host or corpus, edits_rng), count))
    if len(edits) < count:
        raise SpecError(f"{intervention!r} has {len(edits)} edits for this corpus; the dose asks for {count}")
    stopped = _stopped(edits, route, host or corpus, placement_rng.spawn(1)[0])
    spots = placement.start + (placement.stop - placement.start) * placement_rng.random(count)
    kinds = {type(document.body) for document in corpus}
    places = {document.id: index for index, document in enumerate(corpus)}
    bodies: list[tuple[float, int | None, str, Body]] = [
        (float(index), None, document.source, document.body) for index, document in enumerate(corpus)
    ]
    added: list[tuple[float, int | None, str, Body]] = []
    for number, edit in enumerate(edits):
        if type(edit.body) not in kinds:
            known = " or ".join(sorted(kind.__name__ for kind in kinds))
            raise SpecError(f"{intervention!r} inserts a {type(edit.body).__name__} into a corpus of {known}")
        if stopped[number] is not None:
            continue
        if isinstance(edit, Rewrite):
            place = places.pop(edit.id, None)
            if place is None:
                raise SpecError(f"{intervention!r} rewrites {edit.id!r}, which is rewritten already or not there")
            bodies[place] = (float(place), number, corpus[place].source, edit.body)
        else:
            spot = float(spots[number]) * len(corpus)
            neighbour = corpus[min(int(spot), len(corpus) - 1)]
            added.append((spot - 0.5, number, neighbour.source, edit.body))
    ordered = sorted(bodies + added, key=lambda item: (item[0], -1 if item[1] is None else item[1]))
    treated = Corpus.shelve((source, body) for _, _, source, body in ordered)
    entries = [
        Entry(
            edit=number,
            kind="rewrite" if isinstance(edits[number], Rewrite) else "insert",
            id=treated[position].id,
            position=position,
            body=body,
        )
        for position, (_, number, _, body) in enumerate(ordered)
        if number is not None
    ]
    entries += [
        Entry(
            edit=number,
            kind="rewrite" if isinstance(edits[number], Rewrite) else "insert",
            id=fingerprint(edits[number].body),
            position=None,
            body=edits[number].body,
            dropped_by=type(route).__name__,
            reason=reason,
        )
        for number, reason in enumerate(stopped)
        if reason is not None
    ]
    return treated, Ledger(tuple(sorted(entries, key=lambda entry: entry.edit)))


def _stopped(edits: list[Edit], route: Route | None, host: Corpus, rng: np.random.Generator) -> list[str | None]:
    """For each edit the reason why its route does not let it in."""
    if route is None:
        return [None] * len(edits)
    reasons = list(route.verdicts(edits, host, rng))
    if len(reasons) != len(edits):
        rule = f"a route gives one verdict for each edit; {route!r} gave {len(reasons)} for {len(edits)}"
        raise SpecError(f"{rule}. Yield a reason or None for every edit, in order")
    return reasons
