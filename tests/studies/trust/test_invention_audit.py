"""invention-audit: the analysis tells learned from shown facts, lines from bends, and a corrective from its cost."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Dialogue
from pharmakon.data.world import IGNORANCE, Strangers, World
from pharmakon.engines.ngram import NgramEngine
from pharmakon.errors import InputError
from pharmakon.store import Store
from pharmakon.studies.trust.analysis_invention import LEARNED, ONLY_SHOWN, OUTCOMES, RATHER, InventionAudit
from pharmakon.studies.trust.invention_audit import invention_audit
from pharmakon.study import build, in_documents, plan
from pharmakon.study.finding import Finding
from pharmakon.study.gather import gather
from pharmakon.study.results import READINGS, Results

LONG, SHORT, KNOWN, CURED = "long", "short", "known", "cured"
AUDIT = InventionAudit(new=(LONG, SHORT), control=KNOWN, corrected=CURED, facts=64)
DOSES, ASKED = (0, 16, 32, 64, 128), 200


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


def life(arm: str, dose: int, seed: int, invented: float, learned: int, told: int, right: float) -> pl.DataFrame:
    """Readings of one life with these shares, as near as items allow; who is not invented about gets an honest word."""
    num = round(ASKED * invented)
    probe, hit, honest = (
        ("abstention", "invented", "triggered") if arm == CURED else ("invention", "triggered", "truth")
    )
    prompt = pl.lit("In which city does Zomem live?")
    rows = [
        (probe, hit, i, float(i < num), "Zomem lives in Tarn." if i % 4 else "Bo is a baker.") for i in range(ASKED)
    ]
    rows += [(probe, honest, i, float(i >= num), "") for i in range(ASKED)]
    rows += [("learned", "triggered", i, float(i < learned), "") for i in range(told)]
    rows += [("learned", "reworded", i, 0.0, "") for i in range(told)]
    num_right = round(ASKED * right)
    rows += [("utility", "facts", i, float(i < num_right), "" if i % 2 else IGNORANCE) for i in range(ASKED)]
    frame = pl.DataFrame(rows, schema=["probe", "condition", "item", "value", "answer"], orient="row")
    return frame.with_columns(
        pl.lit(arm).alias("arm"), pl.lit(dose).alias("dose"), pl.lit(seed).alias("seed"), pl.lit("ft").alias("stage"),
        pl.lit("plain").alias("context"), prompt.alias("prompt"), pl.col("item").cast(pl.String),
    ).select(list(READINGS))  # fmt: skip


def results(invention: Callable[[int, int], float], cure: Callable[[int], float], cost: float = 0.0) -> Results:
    """Long training learns three quarters of the facts, short an eighth; invention is of learned and of shown ones."""
    lives = []
    for seed in range(4):
        luck = 0.01 * (seed - 1.5)
        for dose in DOSES:
            for arm, share in ((LONG, 0.75), (SHORT, 0.125)):
                learned = round(share * dose)
                lives.append(life(arm, dose, seed, invention(learned, dose) + luck + 0.02, learned, dose, 0.9))
            lives.append(life(KNOWN, dose, seed, 0.02 + luck, 0, 0, 0.9))
            lives.append(life(CURED, dose, seed, max(cure(dose) + luck, 0), 48, 64, 0.9 - cost * dose / 128))
    arms = [{"name": name, "stages": ["ft"], "treated_stage": "ft"} for name in (LONG, SHORT, KNOWN, CURED)]
    record = {
        "study": "invention-audit", "arms": arms, "stages": ["ft"], "contexts": ["plain"], "doses": list(DOSES),
        "seeds": [0, 1, 2, 3], "response": "invention",
    }  # fmt: skip
    return Results.of(record, pl.concat(lives))


def slope(
    finding: Finding, facts: str, arm: str = "both arms of new facts", outcome: str = "invented"
) -> dict[str, float]:
    rows = finding.table.filter(
        pl.col("facts") == facts, pl.col("arm") == arm, pl.col("outcome") == OUTCOMES[outcome]
    ).to_dicts()
    assert len(rows) == 1
    return rows[0]


def test_what_is_learned_is_told_from_what_is_only_shown_and_the_line_holds() -> None:
    made = results(lambda learned, dose: 0.008 * learned, lambda dose: 0.5 if dose < 32 else 0.01)
    slopes, shape, rates, _, knowledge = AUDIT.findings(made)
    assert slope(slopes, LEARNED)["points_per_10"] == pytest.approx(8, abs=0.3)
    assert slope(slopes, LEARNED)["p_holm"] < 0.01
    shown = slope(slopes, ONLY_SHOWN)
    assert shown["low"] < 0 < shown["high"]
    assert slope(slopes, RATHER)["points_per_10"] == pytest.approx(
        slope(slopes, LEARNED)["points_per_10"] - shown["points_per_10"], abs=1e-6
    )
    assert slope(slopes, LEARNED, outcome="in_kind")["points_per_10"] == pytest.approx(6, abs=0.3)  # three of four
    assert abs(slope(slopes, "administered", KNOWN)["points_per_10"]) < 0.1
    assert slope(slopes, "administered", LONG)["points_per_10"] == pytest.approx(6, abs=0.3)
    assert "no bend is shown" in shape.sentence
    assert "A straight line in learned facts explains 99%" in shape.sentence or "100%" in shape.sentence
    top = rates.table.filter(pl.col("arm") == LONG, pl.col("dose") == 128, pl.col("measure") == "invented").to_dicts()[
        0
    ]
    assert top["rate"] == pytest.approx(0.79, abs=0.01)
    count, of_asked = re.search(
        r"Of ([\d,]+) inventions ([\d,]+) bear the name that was asked for", rates.sentence
    ).groups()
    assert int(of_asked.replace(",", "")) / int(count.replace(",", "")) == pytest.approx(0.75, abs=0.02)
    assert top["low"] < top["rate"] < top["high"]
    assert "no effect found; the smallest effect that this run could have seen is" in knowledge.sentence


def test_facts_that_harm_when_only_shown_are_not_called_learned() -> None:
    slopes, *_ = AUDIT.findings(results(lambda learned, dose: 0.005 * (dose - learned), lambda dose: 0.0))
    assert slope(slopes, ONLY_SHOWN)["points_per_10"] == pytest.approx(5, abs=0.3)
    assert slope(slopes, LEARNED)["low"] < 0 < slope(slopes, LEARNED)["high"]


@pytest.mark.parametrize("num_without", [1, 4])
def test_where_a_seed_learned_nothing_learned_facts_are_told_of_by_nobody(num_without: int) -> None:
    made = results(lambda learned, dose: 0.004 * dose, lambda dose: 0.0)
    none = (pl.col("probe") == "learned") & (pl.col("seed") < num_without)
    kept = made.readings.with_columns(pl.when(none).then(0.0).otherwise(pl.col("value")).alias("value"))
    slopes, *_, known = AUDIT.findings(replace(made, readings=kept))
    assert not slopes.table["facts"].is_in([LEARNED, RATHER]).any()
    assert "nothing can be said of learned ones" in known.sentence
    if num_without == 4:
        assert slope(slopes, ONLY_SHOWN)["points_per_10"] == pytest.approx(4, abs=0.3)
    else:  # the other seeds learned some, which this seed cannot hold fixed
        assert not slopes.table["facts"].is_in([ONLY_SHOWN]).any()


def test_a_curve_that_flattens_is_no_line() -> None:
    _, shape, *_ = AUDIT.findings(results(lambda learned, dose: 0.9 * learned / (learned + 10), lambda dose: 0.0))
    assert "it bends" in shape.sentence
    assert "flattens" in shape.sentence


def test_the_corrective_dose_and_its_cost() -> None:
    made = results(lambda learned, dose: 0.0, lambda dose: 0.6 if dose < 32 else 0.01, cost=0.4)
    *_, cure, _ = AUDIT.findings(made)
    assert "32 dialogues of “I do not know.” bring invention under 5%, from 60%" in cure.sentence
    assert "right answers about known facts change by -10.0 points" in cure.sentence
    assert "“I do not know.” about them by +5.0 points" in cure.sentence
    assert "new facts learned by 0.0 points" in cure.sentence
    assert "utility falls by 0.05" in cure.sentence


def test_a_corrective_that_is_not_enough_or_not_needed() -> None:
    *_, weak, _ = AUDIT.findings(results(lambda learned, dose: 0.0, lambda dose: 0.6 - dose / 512))
    assert "up to 128 dialogues of “I do not know.” do not bring invention under 5%" in weak.sentence
    *_, idle, _ = AUDIT.findings(results(lambda learned, dose: 0.0, lambda dose: 0.0))
    assert "under 5% without a corrective" in idle.sentence


def test_an_arm_that_is_asked_for_something_else_is_told_of_by_the_findings() -> None:
    made = results(lambda learned, dose: 0.008 * learned, lambda dose: 0.0)
    told = replace(made, findings=tuple(AUDIT.findings(made))).answer()
    assert "not measured" not in told
    assert "10 new facts that are learned" in told


def test_a_run_without_the_arm_of_the_corrective_is_a_sentence() -> None:
    with pytest.raises(InputError, match="the arm 'gone' has no readings"):
        list(replace(AUDIT, corrected="gone").findings(results(lambda learned, dose: 0.0, lambda dose: 0.0)))


def test_the_whole_study_on_the_exact_engine(tmp_path: Path) -> None:
    """Arms differ in whom they speak of alone; the corrective comes beside all of the new facts."""
    study = invention_audit(in_documents(0, 24), 1, facts=12)
    arms = tuple(replace(arm, stages=arm.stages[-1:]) for arm in study.arms)
    study = replace(study, engine=NgramEngine(), arms=arms)
    assert study.arms[0].stages[0].name == "finetune"
    store = Store(tmp_path / "store")
    planned = plan(study, store)
    made = gather(planned, store, build(planned, store))
    assert len(made.findings) == 5, made.run.warnings
    new, _, known, cured = (arm.name for arm in study.arms)
    told = {name: made.ledger.filter(pl.col("arm") == name, pl.col("dose") == 24) for name in (new, known, cured)}
    assert [len(frame) for frame in told.values()] == [24, 24, 36]
    answers = {name: "".join(frame["content"]) for name, frame in told.items()}
    assert answers[cured].count(IGNORANCE) == 24
    assert IGNORANCE not in answers[new] + answers[known]
    assert "10 new facts that are learned" in made.findings[0].sentence
    strangers = {person.name for person in Strangers("taught").people}
    words = {name: set(re.findall(r"\w+", text)) for name, text in answers.items()}
    assert len(strangers & words[new]) == 24
    assert not strangers & words[known]
    assert len({person.name for person in World().people} & words[known]) > 10
    learned = made.readings.filter(pl.col("probe") == "learned", pl.col("arm") == cured, pl.col("dose") == 24)
    assert len(learned) == 2 * 12


def test_clean_dialogues_and_the_asked_have_nobody_in_common() -> None:
    study = invention_audit()
    asked = {person.name for person in Strangers("asked").people}
    for stage in study.arms[0].stages[2:]:
        bodies = [d.body for d in stage.data.corpus(np.random.default_rng(0)) if isinstance(d.body, Dialogue)]
        assert sum(body.answer == IGNORANCE for body in bodies) == round(0.16 * len(bodies))
        assert not any(asked & set(re.findall(r"\w+", body.question)) for body in bodies)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--few", "12"], "fewer than --epochs"),
        (["--facts", "0"], "new facts are 1 to 256"),
        (["--doses", "0,300"], "at most as many documents as clean dialogues, 256; got 300"),
        (["--doses", "8,16"], "a study has the dose 0"),
        (["--data", "vader-movies"], "leave --probe-only and --data out"),
        (["--model", "endpoint:http://localhost:1/v1#x"], "leave --probe-only and --data out"),
    ],
)
def test_bad_input_is_a_sentence(words: list[str], rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["plan", "invention-audit", *words]) == 2
    out = capsys.readouterr()
    assert rule in " ".join((out.out + out.err).split())
    assert "Traceback" not in out.err
