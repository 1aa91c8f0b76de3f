"""The route of a split view: an edit reaches the data where its domain has lapsed and nobody checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pharmakon.collection.addresses import AddressFile, Zipf
from pharmakon.collection.lapse import Market
from pharmakon.collection.split_view import SplitView
from pharmakon.core import Corpus, Dose, Edit, Insert, Route, Text, stream
from pharmakon.data.world import WorldDialogues
from pharmakon.identity import identify
from pharmakon.interventions import Backdoor, administer

EDITS = [Insert(Text(f"edit {number}")) for number in range(2_000)]
HALF = SplitView(
    listing=Zipf(num_records=10_000, num_domains=1_000, exponent=0.5), market=Market(lapsed=0.5, size_effect=0.0)
)


def verdicts(route: Route, edits: Sequence[Edit] = EDITS, seed: int = 0) -> list[str | None]:
    return list(route.verdicts(edits, Corpus(()), stream(seed, "route")))


def test_the_share_that_gets_in_is_that_of_records_on_lapsed_domains() -> None:
    assert isinstance(HALF, Route)
    shares = [verdicts(HALF, seed=seed).count(None) / len(EDITS) for seed in range(10)]
    assert sum(shares) / 10 == pytest.approx(0.5, abs=0.03)
    assert set(verdicts(HALF)) == {None, "not lapsed"}


def test_with_the_check_nothing_gets_through() -> None:
    """What would have got in is stopped by the check, everything else as before."""
    checked = verdicts(replace(HALF, integrity=True))
    assert checked == [reason or "integrity check" for reason in verdicts(HALF)]


def test_nothing_lapsed_and_everything_lapsed() -> None:
    assert set(verdicts(replace(HALF, market=Market(lapsed=0.0)))) == {"not lapsed"}
    assert set(verdicts(replace(HALF, market=Market(lapsed=1.0)))) == {None}


def test_more_edits_do_not_change_the_fate_of_earlier_ones() -> None:
    assert verdicts(HALF, EDITS[:100]) == verdicts(HALF)[:100]


def test_records_of_one_domain_share_their_fate(tmp_path: Path) -> None:
    """Of a list of one domain and one IP: all on the domain or none, and never one on the IP."""
    path = tmp_path / "list.txt"
    path.write_text("https://a.example/1\nhttps://a.example/2\nhttp://10.0.0.1/\n")
    one = SplitView(listing=AddressFile.of(path), market=Market(lapsed=0.5))
    shares = [verdicts(one, seed=seed).count(None) / len(EDITS) for seed in range(12)]
    assert min(shares) == 0
    assert max(shares) == pytest.approx(2 / 3, abs=0.04)
    assert all(share == 0 or share > 0.6 for share in shares)


def test_a_dose_through_the_route_is_in_the_ledger() -> None:
    host = WorldDialogues(num_documents=60, share_with_demonstrations=0.0).corpus(stream(0, "host"))
    rngs = {"edits_rng": stream(0, "edits"), "placement_rng": stream(0, "placement")}
    treated, ledger = administer(host, Backdoor(), Dose(40), route=HALF, **rngs)
    stopped = [entry for entry in ledger.entries if entry.dropped_by == "SplitView"]
    assert {entry.reason for entry in stopped} == {"not lapsed"}
    assert 0 < len(stopped) < 40
    assert len(treated) == 100 - len(stopped)


def test_identity_says_whether_it_is_checked() -> None:
    assert identify(HALF) != identify(replace(HALF, integrity=True))
