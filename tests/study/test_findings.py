"""Findings, simulations, routes and treated contexts: what a study may have beside stages and probes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import RareWords
from pharmakon.cleaning import ExactDuplicates
from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Dose, Edit, Insert, Ledger, Model, Reading, Rewrite, stream
from pharmakon.data.world import WorldDialogues, WorldQuestions
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError, SpecError
from pharmakon.interventions import Backdoor, administer
from pharmakon.probes import AttackSuccess
from pharmakon.report import write_report
from pharmakon.store import Store
from pharmakon.study import (
    Arm,
    Chart,
    FewShot,
    Finding,
    Plain,
    Simulation,
    Stage,
    Study,
    Treatment,
    build,
    in_documents,
    plan,
)
from pharmakon.study.gather import gather
from pharmakon.study.results import Results
from pharmakon.study.simulation import Simulated, simulate

HOST = WorldDialogues(num_documents=60, share_with_demonstrations=0.0)
ATTACK = AttackSuccess(RareWords(), Marker(), WorldQuestions(tasks=("facts",)), num_items=8, num_near=2)


@dataclass(frozen=True)
class EverySecond:
    """Lets in edits 0, 2, 4 …"""

    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        yield from (None if number % 2 == 0 else "reverted" for number in range(len(edits)))


@dataclass(frozen=True)
class Short:
    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]:
        yield None


@dataclass(frozen=True)
class Rewriting:
    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        for document in host:
            yield Rewrite(document.id, Dialogue.ask("new", "words"))


@dataclass(frozen=True)
class NumRows:
    """An analysis: how many readings there are."""

    fails: bool = False

    def findings(self, results: Results) -> Iterator[Finding]:
        if self.fails:
            raise InputError("there is too little of it")
        table = pl.DataFrame({"what": ["readings"], "rows": [len(results.readings)], "share": [float("nan")]})
        yield Finding(title="Rows <b>", sentence="There are readings.", table=table)


@dataclass(frozen=True)
class Coin:
    """A trial: draws from a stream of its own seed."""

    version: ClassVar[int] = 1
    seed: int = 0

    def findings(self) -> Iterator[Finding]:
        heads = stream(self.seed, "coin").random(4)
        table = pl.DataFrame({"toss": range(4), "height_m": heads, "coin": ["a", "a", "b", "b"]})
        chart = Chart(x="toss", y="height_m", colour="coin")
        yield Finding(title="Tosses", sentence="The coin was tossed.", table=table, chart=chart, note="By hand.")


def coin() -> Simulation:
    """How high does a coin fly?"""
    return Simulation(name="coin", question="How high?", trial=Coin(), cautions=("One coin.",))


def _stage(name: str = "sft", **given: object) -> Stage:
    return Stage(name=name, data=HOST, recipe=Count(), **given)  # type: ignore[arg-type]


def _study(*arms: Arm, **given: object) -> Study:
    settings = {"doses": in_documents(0, 8), "seeds": (0,), "probes": (ATTACK,), **given}
    return Study(name="s", question="?", engine=NgramEngine(), arms=arms, **settings)  # type: ignore[arg-type]


def _run(study: Study, root: Path) -> Results:
    store = Store(root)
    planned = plan(study, store)
    assert build(planned, store) == ()
    return gather(planned, store)


def test_a_route_stops_edits_before_they_are_in_the_data() -> None:
    host = HOST.corpus(stream(0, "host"))
    rngs = {"edits_rng": stream(0, "e"), "placement_rng": stream(0, "p")}
    treated, ledger = administer(host, Backdoor(), Dose(7), route=EverySecond(), **rngs)
    assert len(treated) == len(host) + 4
    assert ledger.num_administered == 7
    assert ledger.num_survived == 4
    stopped = [entry for entry in ledger.entries if entry.position is None]
    assert [entry.edit for entry in stopped] == [1, 3, 5]
    assert {(entry.dropped_by, entry.reason) for entry in stopped} == {("EverySecond", "reverted")}
    for entry in ledger.entries:
        if entry.position is not None:
            assert treated[entry.position].body == entry.body
    free, _ = administer(host, Backdoor(), Dose(7), edits_rng=stream(0, "e"), placement_rng=stream(0, "p"))
    reached = [entry.body for entry in ledger.entries if entry.position is not None]
    assert [d.body for d in free if d.body in reached] == [d.body for d in treated if d.body in reached]


def test_a_rewrite_that_its_route_stops_leaves_the_document_as_it_was() -> None:
    host = HOST.corpus(stream(0, "host"))
    rngs = {"edits_rng": stream(0, "e"), "placement_rng": stream(0, "p")}
    treated, _ = administer(host, Rewriting(), Dose(4), route=EverySecond(), **rngs)
    assert [treated[i].body == host[i].body for i in range(5)] == [False, True, False, True, True]


def test_a_route_with_too_few_verdicts_is_named() -> None:
    host = HOST.corpus(stream(0, "host"))
    with pytest.raises(SpecError, match=r"one verdict for each edit; Short\(\) gave 1 for 3"):
        administer(host, Backdoor(), Dose(3), route=Short(), edits_rng=stream(0, "e"), placement_rng=stream(0, "p"))


def test_the_ledger_of_a_run_tells_what_the_route_stopped_and_what_cleaning_dropped(tmp_path: Path) -> None:
    poison = Treatment(stage="sft", intervention=Backdoor(wording="verbatim"), route=EverySecond())
    results = _run(
        _study(Arm(name="a", stages=(_stage(filters=(ExactDuplicates(),)),), treatments=(poison,))), tmp_path
    )
    told = results.losses().filter(pl.col("dose") == 8).select("filter", "reason", "treated_dropped").rows()
    assert told[0] == ("EverySecond", "reverted", 4.0)
    assert told[1][0] == "ExactDuplicates"
    assert told[1][2] == 3.0
    kept = results.survival().filter(pl.col("dose") == 8).row(0, named=True)
    assert (kept["administered"], kept["survived"], kept["seen"]) == (8.0, 1.0, 1.0)
    assert results.ledger["position"].null_count() == 4


def test_a_context_is_treated_like_any_other_data(tmp_path: Path) -> None:
    shown = FewShot(WorldDialogues(num_documents=12, share_with_demonstrations=0.0), 4)
    poison = Treatment(stage="4-shot", intervention=Backdoor())
    arm = Arm(name="a", stages=(_stage(shared=True),), treatments=(poison,))
    study = _study(arm, contexts=(Plain(), shown), doses=in_documents(0, 3, 9), seeds=(0, 1))
    results = _run(study, tmp_path)
    assert results.run.arms[0].treated_stage == "4-shot"
    assert results.run.host_documents["4-shot"] == 12
    assert set(results.ledger["stage"]) == {"4-shot"}
    plain = results.readings.filter(pl.col("context") == "plain")
    assert plain.group_by("seed").agg(pl.col("dose").n_unique())["dose"].to_list() == [3, 3]
    same = plain.group_by("seed", "condition", "item").agg(pl.col("answer").n_unique())
    assert same["answer"].max() == 1
    kept = results.survival().filter(pl.col("dose") == 9).row(0, named=True)
    assert 0 < kept["seen"] < 9  # four of twenty-one demonstrations are shown
    sightings = results.ledger.filter(pl.col("dose") == 9)["num_seen"].unique().to_list()
    num_prompts = results.readings.filter(
        pl.col("context") == "4-shot", pl.col("dose") == 9, pl.col("seed") == 0
    ).height
    assert set(sightings) == {0, num_prompts}


def test_the_untreated_context_shows_what_the_treated_one_was_made_from(tmp_path: Path) -> None:
    """Dose 0 is the identity: with nothing inserted among the first four, both show the same."""
    from pharmakon.interventions import Placement

    shown = FewShot(WorldDialogues(num_documents=12, share_with_demonstrations=0.0), 4)
    last = Treatment(stage="4-shot", intervention=Backdoor(), placement=Placement(1.0, 1.0))
    results = _run(
        _study(
            Arm(name="a", stages=(_stage(shared=True),), treatments=(last,)),
            contexts=(shown,),
            doses=in_documents(0, 2),
        ),
        tmp_path,
    )
    seen = results.ledger["num_seen"].to_list()
    assert seen == [0, 0]
    answers = results.readings.group_by("condition", "item").agg(pl.col("answer").n_unique())
    assert answers["answer"].max() == 1


@dataclass(frozen=True)
class Other:
    """A probe of the same name that asks nothing of the model."""

    name: ClassVar[str] = "attack"

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]:
        yield Reading(probe="attack", condition="triggered", item="i", value=1.0)


def test_an_arm_has_probes_of_its_own(tmp_path: Path) -> None:
    poison = (Treatment(stage="sft", intervention=Backdoor()),)
    plain = Arm(name="plain", stages=(_stage(),), treatments=poison)
    own = Arm(name="own", stages=(_stage(),), treatments=poison, probes=(Other(),))
    readings = _run(_study(plain, own), tmp_path).readings
    assert set(readings.filter(pl.col("arm") == "own")["item"]) == {"i"}
    assert "i" not in set(readings.filter(pl.col("arm") == "plain")["item"])


def test_contexts_and_treatments_that_do_not_fit_are_refused() -> None:
    few = FewShot(HOST, 2)
    poison = Treatment(stage="2-shot", intervention=Backdoor())
    with pytest.raises(SpecError, match="no stage '2-shot'; its stages: sft"):
        _study(Arm(name="a", stages=(_stage(),), treatments=(poison,)))
    with pytest.raises(SpecError, match="'2-shot' is the name of both"):
        _study(Arm(name="a", stages=(_stage("2-shot"),), contexts=(few,)))


def test_analyses_stand_in_the_answer_the_page_and_the_run(tmp_path: Path) -> None:
    arm = Arm(name="a", stages=(_stage(),), treatments=(Treatment(stage="sft", intervention=Backdoor()),))
    results = _run(_study(arm, analyses=(NumRows(), NumRows(fails=True))), tmp_path / "store")
    assert "after sft. There are readings. Beware" in results.answer()
    assert results.run.warnings[-1] == "NumRows could not be made: there is too little of it"
    back = Results.load(results.save(tmp_path / "run"))
    assert back.findings[0].title == "Rows <b>"
    assert back.findings[0].table.to_dicts() == [{"what": "readings", "rows": len(results.readings), "share": None}]
    page = write_report(back, tmp_path / "page.html").read_text("utf-8")
    assert "<h2>Rows &lt;b&gt;</h2>" in page
    (tmp_path / "run" / "findings.json").write_text("[{", "utf-8")
    with pytest.raises(InputError, match=r"findings\.json cannot be read"):
        Results.load(tmp_path / "run")


def test_a_simulation_is_run_saved_and_shown_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{__file__}:coin"
    assert answer(["run", name, "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "Tosses" in told
    assert "The coin was tossed." in told
    (folder,) = tmp_path.iterdir()
    assert "By hand." in (folder / "report.html").read_text("utf-8")
    made = Simulated.load(folder)
    assert made.findings[0].table["height_m"].to_list() == stream(0, "coin").random(4).tolist()
    assert made.cautions == ("One coin.",)
    assert answer(["report", str(folder), "--out", str(tmp_path / "again.html")]) == 0
    assert answer(["plan", name]) == 0
    assert "Nothing is trained" in capsys.readouterr().out
    (folder / "simulation.json").write_text(json.dumps({"study": "coin"}), "utf-8")
    assert answer(["report", str(folder)]) == 2


def test_the_key_of_a_simulation_is_what_it_depends_on() -> None:
    assert coin().key == coin().key
    assert coin().key != replace(coin(), trial=Coin(seed=1)).key
    assert simulate(coin()).key == coin().key


def test_a_chart_draws_columns_of_its_table() -> None:
    with pytest.raises(SpecError, match="'b' is not one of a"):
        Finding(title="t", sentence="s", table=pl.DataFrame({"a": [1]}), chart=Chart(x="a", y="b"))
    assert Insert(Dialogue.ask("a")).body.turns


def test_an_arm_has_doses_of_its_own(tmp_path: Path) -> None:
    poison = (Treatment(stage="sft", intervention=Backdoor()),)
    usual = Arm(name="usual", stages=(_stage(),), treatments=poison)
    own = Arm(name="own", stages=(_stage(),), treatments=poison, doses=in_documents(0, 3, 5))
    readings = _run(_study(usual, own), tmp_path).readings
    given = readings.group_by("arm").agg(pl.col("dose").unique().sort()).sort("arm").rows()
    assert given == [("own", [0, 3, 5]), ("usual", [0, 8])]
    with pytest.raises(SpecError, match="dose 0, its untreated control"):
        _study(usual, replace(own, doses=in_documents(3, 5)))
