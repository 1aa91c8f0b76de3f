"""Doses that go into a host of so many documents."""

from __future__ import annotations

from pharmakon.errors import SpecError
from pharmakon.study import Doses, in_documents


def in_host(doses: Doses | None, usual: tuple[int, ...], host: int) -> Doses:
    """The doses given, or those of the usual ones that fit. Raises SpecError for one that is larger than the host."""
    if doses is None:
        return in_documents(*(dose for dose in usual if dose <= host))
    for dose in doses:
        if dose.unit == "documents" and dose.amount > host:
            rule = f"a dose is at most as many documents as it goes into, {host}"
            raise SpecError(f"{rule}; got {dose.amount:g}. Give a larger --host or a smaller dose")
    return doses
