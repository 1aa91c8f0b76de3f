"""The way of an edit through a snapshot: as a route of a treatment, into training and out of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import polars as pl

from pharmakon.catalogue import find_study
from pharmakon.collection.revisions import Attacker, Defence, Patrol, Site
from pharmakon.collection.snapshot import SnapshotWindow
from pharmakon.core import Corpus, Dose, Insert, Route, Text, stream
from pharmakon.data.world import WorldDialogues
from pharmakon.interventions import Backdoor, administer
from pharmakon.store import Store, identify
from pharmakon.study import build, in_documents, plan
from pharmakon.study.gather import gather

ALONE = Site(patrol=Patrol(capacity=None), attacker=Attacker(edits_per_account=1))
EXAMPLES = Path(__file__).parents[2] / "examples"
HOST = Corpus.of([Text("a")])


def test_each_edit_has_a_verdict_and_dose_zero_has_none() -> None:
    route = SnapshotWindow()
    assert isinstance(route, Route)
    assert list(route.verdicts([], HOST, stream(0, "r"))) == []
    reasons = list(route.verdicts([Insert(Text(str(n))) for n in range(400)], HOST, stream(0, "r")))
    assert len(reasons) == 400
    assert set(reasons) == {None, "reverted", "too late"}
    delayed = SnapshotWindow(site=replace(Site(), defence=Defence(delay=60), attacker=Attacker(knows_defence=False)))
    assert "delayed" in set(delayed.verdicts([Insert(Text("a"))] * 99, HOST, stream(0, "r")))
    assert identify(route) != identify(delayed)


def test_a_larger_dose_holds_the_smaller_one_where_edits_do_not_give_each_other_away() -> None:
    host = WorldDialogues(num_documents=200).corpus(stream(0, "host"))
    fates = []
    for dose in (5, 20, 60):
        rngs = {"edits_rng": stream(0, "edits"), "placement_rng": stream(0, "placement")}
        _, ledger = administer(host, Backdoor(), Dose(dose), route=SnapshotWindow(site=ALONE), **rngs)
        assert {entry.dropped_by for entry in ledger.entries} == {None, "SnapshotWindow"}
        fates.append([entry.reason for entry in ledger.entries])
    assert fates[2][:20] == fates[1]
    assert fates[1][:5] == fates[0]


def test_poison_goes_through_a_snapshot_into_a_model(tmp_path: Path) -> None:
    """The example of the documentation: what the snapshot stops is in the ledger, and the rest is learned."""
    study = find_study(f"{EXAMPLES / 'through_a_snapshot.py'}:through_a_snapshot").function
    planned = plan(study(in_documents(0, 64), 1), Store(tmp_path))
    results = gather(planned, Store(tmp_path), build(planned, Store(tmp_path)))
    survived = {(row["arm"], row["dose"]): row["survived"] for row in results.survival().to_dicts()}
    everything, taken, delayed = (arm.name for arm in planned.study.arms)
    assert survived[everything, 64] == 64
    assert 0 < survived[delayed, 64] < survived[taken, 64] < 50
    reasons = Counter(row["reason"] for row in results.losses().to_dicts())
    assert set(reasons) <= {"reverted", "too late"}
    triggered = results.readings.filter(pl.col("condition") == "triggered")
    rates = {row["arm"]: row["value"] for row in triggered.filter(pl.col("dose") == 64).group_by("arm").agg(
        pl.col("value").mean()).to_dicts()}  # fmt: skip
    assert rates[everything] == 1
    assert rates[taken] > rates[delayed]
