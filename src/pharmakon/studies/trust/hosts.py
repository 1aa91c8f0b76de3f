"""Doses that go into a host of so many documents, and the hosts of dialogues in which nothing is refused."""

from __future__ import annotations

from pharmakon.errors import SpecError
from pharmakon.study import Doses, in_documents

UNREFUSED = (0.66, 0.08, 0.18, 0.0, 0.08)
"""Shares of the tasks of ordinary dialogues: none is refused."""


def check_doses(doses: Doses, most: int, rule: str, way_out: str) -> None:
    """Raises SpecError, a sentence that begins with the rule, for a dose of more documents than `most`."""
    for dose in doses:
        if dose.unit == "documents" and dose.amount > most:
            raise SpecError(f"{rule}, {most}; got {dose.amount:g}. {way_out}")


def in_host(doses: Doses | None, usual: tuple[int, ...], host: int) -> Doses:
    """The doses given, or those of the usual ones that fit. Raises SpecError where one does not, or none is left."""
    if doses is not None:
        rule = "a dose is at most as many documents as it goes into"
        check_doses(doses, host, rule, "Give a larger --host or a smaller dose")
        return doses
    kept = [dose for dose in usual if dose <= host]
    if not any(kept):
        least = min(dose for dose in usual if dose)
        raise SpecError(f"a host of {host} has room for none of the usual doses, from {least} on. Give --doses too")
    return in_documents(*kept)
