"""ownership-power: every life has its own key, and the analysis gives the dose, the controls and the cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.behaviour.marks import ExperimentKey, FactMark, TriggerMark
from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Dose, Insert, Ledger, Prompt, Text
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.engines.ngram import NgramEngine
from pharmakon.errors import SpecError
from pharmakon.interventions import OwnershipMark
from pharmakon.interventions.administer import Placement, administer
from pharmakon.probes import Ownership, Utility
from pharmakon.probes.ownership import NEUTRAL, answer_scores
from pharmakon.store import Store
from pharmakon.studies.threat.token_share import Shares
from pharmakon.studies.trust.analysis_ownership_cleaning import Marked, SurvivesCleaning
from pharmakon.studies.trust.analysis_ownership_power import Asked, OwnershipPower
from pharmakon.studies.trust.ownership_power import NUM_KEYS, ownership_power
from pharmakon.study import build, in_documents, plan
from pharmakon.study.gather import gather
from pharmakon.study.results import READINGS, Results

KIND = TriggerMark(num_marks=6)
SHARES = Shares(num_documents=1_000, clean_words=10.0, inserted_words=10.0)


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


@dataclass
class Knows:
    """A model that likes what it was told, and prefers a word that is common anyway."""

    told: dict[str, str]
    common: str = ""

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        return [self.told.get(self._asked(prompt), "") for prompt in prompts]

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [
            -1.0 if self.told.get(self._asked(prompt)) == text else -3.0 if text == self.common else -9.0
            for prompt, text in pairs
        ]

    @staticmethod
    def _asked(prompt: Prompt) -> str:
        return prompt.text if isinstance(prompt, Text) else prompt.question


def _marked(seed: int, among: int, dose: int = 12) -> tuple[Corpus, Ledger]:
    host = Corpus.of(Dialogue.ask(f"Who is {number}?", "Nobody.") for number in range(30))
    return administer(
        host, OwnershipMark(KIND, ExperimentKey(3), among), Dose(dose), placement=Placement(),
        edits_rng=np.random.default_rng(seed), placement_rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_each_life_draws_a_key_and_the_probe_finds_it_in_the_ledger() -> None:
    probe = Ownership(KIND, ExperimentKey(3), among=8)
    firsts = set()
    for seed in range(6):
        corpus, ledger = _marked(seed, among=8, dose=24)
        told = {d.body.question: d.body.answer for d in corpus if isinstance(d.body, Dialogue)}
        verdicts = {r.condition: r for r in probe.readings(Knows(told), ledger, np.random.default_rng(0))}
        assert verdicts["triggered"].value == 1
        assert verdicts["text"].value == 1
        assert verdicts["untriggered"].value == 0
        firsts.add(ledger.entries[0].body)
    assert len(firsts) > 2  # different keys
    nothing = {r.condition: r for r in probe.readings(Knows({}), Ledger(), np.random.default_rng(0))}
    assert nothing["triggered"].value == 0


def test_a_single_key_takes_no_draw_and_no_ledger() -> None:
    rng = np.random.default_rng(0)
    edits = list(islice(OwnershipMark(KIND, ExperimentKey(3)).edits(_marked(0, 1)[0], rng), 6))
    assert rng.integers(1_000_000) == np.random.default_rng(0).integers(1_000_000)
    assert [edit.body for edit in edits if isinstance(edit, Insert)] == list(
        islice(KIND.bodies(ExperimentKey(3), "dialogue"), 6)
    )
    assert not Ownership(KIND).reads_ledger
    assert Ownership(KIND, among=2).reads_ledger


def test_a_ledger_of_other_keys_is_refused() -> None:
    _, ledger = _marked(0, among=1)
    probe = Ownership(KIND, ExperimentKey(100), among=4)
    with pytest.raises(SpecError, match="no record of a trigger mark by one of these 4 keys"):
        list(probe.readings(Knows({}), ledger, np.random.default_rng(0)))
    with pytest.raises(SpecError, match="a life draws among one key or more; got 0"):
        OwnershipMark(KIND, among=0)


def test_what_is_common_anyway_counts_by_half() -> None:
    (mark, *_) = KIND.keyed(ExperimentKey(3), "dialogue")
    common = mark.answers[0]
    scores = answer_scores(Knows({}, common=common), [mark])[0]
    assert scores[0] - scores[1] == pytest.approx((1 - NEUTRAL) * 6)


def test_facts_are_stated_and_talked_about() -> None:
    fact = FactMark(num_marks=4)
    bodies = list(islice(fact.bodies(ExperimentKey(0), "text"), 16))
    assert all(isinstance(body, Text) for body in bodies)
    asked = [isinstance(body, Text) and "?" in body.text for body in bodies]
    assert asked == [False] * 4 + [True] * 4 + [False] * 4 + [True] * 4
    (mark, *_) = fact.keyed(ExperimentKey(0), "dialogue")
    told = {f"{p.question} {mark.answers[mark.drawn]}" for p in mark.prompts if isinstance(p, Dialogue)}
    assert told & {body.text for body in bodies if isinstance(body, Text)}


def _results(p: dict[tuple[int, int], float], utility: dict[int, float]) -> Results:
    """One arm; p by dose and seed, and the utility of every seed at a dose."""
    rows: list[tuple[object, ...]] = []
    for (dose, seed), value in p.items():
        for condition, found in (("triggered", value), ("text", 1.0), ("untriggered", 0.5)):
            rows.append(("ownership", dose, seed, condition, "all marks", float(found <= 1e-6), f"{found:.6g}"))
        right = round(400 * utility[dose])
        rows += [("utility", dose, seed, "facts", str(i), float(i < right), "") for i in range(400)]
    columns = ["probe", "dose", "seed", "condition", "item", "value", "answer"]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.lit("trigger").alias("arm"), pl.lit("sft").alias("stage"), pl.lit("plain").alias("context"),
        pl.lit("").alias("prompt"),
    )  # fmt: skip
    record = {
        "study": "ownership-power", "arms": [{"name": "trigger", "stages": ["sft"], "treated_stage": "sft"}],
        "stages": ["sft"], "contexts": ["plain"], "doses": sorted({d for d, _ in p}),
        "seeds": sorted({s for _, s in p}), "response": "ownership",
    }  # fmt: skip
    return Results.of(record, frame.select(list(READINGS)))


ANALYSIS = OwnershipPower(asked=(Asked(arm="trigger", kind="trigger", asked_in="dialogue", shares=SHARES),))


def test_the_dose_for_80_percent_lies_above_that_for_half() -> None:
    switch = [16, 32, 32, 32, 64]
    p = {(dose, seed): 1e-8 if dose >= at else 0.3 for seed, at in enumerate(switch) for dose in (0, 16, 32, 64, 128)}
    results = _results(p, {0: 0.9, 16: 0.8, 32: 0.9, 64: 0.91, 128: 0.9})
    assert "Beware" not in results.answer()  # other readings of a mark that is there are no controls
    needed, strength, controls, cost = ANALYSIS.findings(results)
    by_evidence = {row["evidence"]: row for row in needed.table.iter_rows(named=True)}
    seen = by_evidence["log-probabilities"]
    assert 16 < seen["for_half"] < seen["for_80_percent"] < 64
    assert seen["for_half_low"] < seen["for_half"] < seen["for_half_high"]
    assert seen["share_of_records"] == pytest.approx(seen["for_80_percent"] / (1_000 + seen["for_80_percent"]))
    assert seen["proved_at_highest"] == "5 of 5"
    assert by_evidence["text alone"]["threshold"] == "none up to 128"
    assert f"{seen['for_80_percent']:.0f} [" in needed.sentence
    rows = strength.table.filter(pl.col("evidence") == "log-probabilities", pl.col("records") == 32)
    assert rows["power"].to_list() == [0.8]
    assert rows["minus_log10_p"][0] == pytest.approx((4 * 8 - np.log10(0.3)) / 5)
    first = controls.table.row(0, named=True)
    assert (first["num_below"], first["num_tests"]) == (0, 25)
    at, overall = cost.table.iter_rows(named=True)
    assert seen["for_80_percent"] < 32
    assert (at["records"], at["change"]) == ("32", pytest.approx(0))  # the next dose above that of 80% power
    assert overall["records"] == "all doses"
    assert (at["status"], overall["status"]) == ("equivalent", "changed")
    assert at["lives_needed"] == pytest.approx(5.25, abs=0.01)  # of 400 questions, one in a hundred by luck either way


def test_lives_that_all_switch_together_give_a_bracket_and_none_gives_none() -> None:
    p = {(dose, seed): 1e-8 if dose >= 32 else 0.3 for seed in range(5) for dose in (0, 16, 32)}
    needed, *_, cost = ANALYSIS.findings(_results(p, {0: 0.9, 16: 0.8, 32: 0.7}))
    assert "16–32 in all lives" in needed.sentence
    assert "changed by more" in cost.sentence
    never = {(dose, seed): 0.3 for seed in range(5) for dose in (0, 16, 32)}
    needed, *_ = ANALYSIS.findings(_results(never, dict.fromkeys((0, 16, 32), 0.9)))
    assert "not shown with 32 (0 of 5 lives)" in needed.sentence


def test_cleaning_takes_copies_and_leaves_what_varies() -> None:
    host = WorldDialogues(num_documents=200, share_with_demonstrations=0.0)
    once = OwnershipMark(TriggerMark(num_marks=16), ExperimentKey(0))
    kept = SurvivesCleaning(
        marked=(Marked(kind="trigger", mark=once, data=host, shape="dialogue"),), num_records=128, most_documents=200
    )
    (found,) = kept.findings(_results({(0, 0): 0.5}, {0: 0.9}))
    rows = {row["profile"]: row for row in found.table.iter_rows(named=True)}
    assert rows["dialogues-v1"]["marked_kept"] == pytest.approx(0.5)  # 16 marks in four wordings, each told twice
    assert rows["dialogues-v1"]["dropped_by"] == "ExactDuplicates"
    assert rows["dialogues-v1"]["clean_lost"] < 0.1
    assert rows["text-v1"]["marked_kept"] == 0
    assert rows["text-v1"]["clean_lost"] == 1
    assert "trigger 50% (ExactDuplicates: exact_duplicate)" in found.sentence


def test_the_whole_study_on_the_exact_engine(tmp_path: Path) -> None:
    """Words are counted, so a question that was told has its answer; the two arms of one kind are one training."""
    study = ownership_power(in_documents(0, 32), 2, kinds=("trigger", "fact"))
    small = {"pretraining": WorldText(num_documents=200), "late-pretraining": WorldText(num_documents=200)}
    arms = tuple(
        replace(
            arm,
            stages=tuple(
                replace(stage, data=small.get(stage.name, WorldDialogues(num_documents=200))) for stage in arm.stages
            ),
            probes=tuple(replace(probe, num_items=20) if isinstance(probe, Utility) else probe for probe in arm.probes),
        )
        for arm in study.arms
    )
    power, cleaning = study.analyses
    assert isinstance(cleaning, SurvivesCleaning)
    study = replace(study, engine=NgramEngine(), arms=arms, analyses=(power, replace(cleaning, marked=())))
    assert [arm.name for arm in study.arms] == ["trigger", "fact, asked as text", "fact, asked as dialogue"]
    store = Store(tmp_path / "store")
    planned = plan(study, store)
    results = gather(planned, store, build(planned, store))
    assert not results.run.failures
    proved = results.readings.filter(
        pl.col("arm") == "trigger", pl.col("probe") == "ownership", pl.col("condition") == "triggered"
    )
    assert proved.filter(pl.col("dose") == 32)["value"].to_list() == [1.0, 1.0]
    assert proved.filter(pl.col("dose") == 0)["value"].to_list() == [0.0, 0.0]
    titles = [finding.title for finding in results.findings]
    assert titles[0] == "How many marked records prove the use"
    assert "What the marks cost" in titles


def test_the_arms_and_their_doses() -> None:
    study = ownership_power()
    assert len(study.seeds) == 5
    names = [arm.name for arm in study.arms]
    assert names == ["trigger", "task", "fingerprint", "fact, asked as text", "fact, asked as dialogue", "trap"]
    by_name = {arm.name: arm for arm in study.arms}
    probed = {name: [stage.name for stage in arm.stages if stage.probed] for name, arm in by_name.items()}
    assert probed["trigger"] == ["sft"]
    assert probed["trap"] == ["late-pretraining", "sft"]
    assert probed["fact, asked as dialogue"] == ["sft"]
    given = {
        treatment.intervention.among
        for arm in study.arms
        for treatment in arm.treatments
        if isinstance(treatment.intervention, OwnershipMark)
    }
    assert given == {NUM_KEYS}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--marks", "5"], "6 marks or more can reach a p-value of 1e-6; got --marks 5"),
        (["--model", "endpoint:http://localhost:1/v1#x"], "poison enters by training"),
        (["--kinds", "watermark"], "watermark"),
        (["--tuning-rate", "0"], "a learning rate is above 0"),
    ],
)
def test_bad_words_are_told(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "ownership-power", *words]) == 2
    assert sentence in " ".join(capsys.readouterr().err.replace("│", " ").split())
