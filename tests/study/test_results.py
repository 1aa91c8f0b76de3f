"""A run's tables say what happened: rates, controls, survival, retention, thresholds, and the answer in words."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pharmakon.core import Dialogue, to_record
from pharmakon.errors import InputError
from pharmakon.study.export import TABLES as TIDY
from pharmakon.study.results import CLEANING, LEDGER, READINGS, Results, Run

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from synthetic import ARMS, ArmTruth, synthetic

ONE_ARM = (ArmTruth("no cleaning"),)


@pytest.fixture(scope="module")
def results() -> Results:
    return synthetic(num_items=20)


def record(**changes: Any) -> dict[str, Any]:
    arms = [{"name": "a", "stages": ["sft", "dpo"], "treated_stage": "sft"}]
    base = {"study": "s", "question": "?", "arms": arms, "stages": ["sft", "dpo"], "contexts": ["plain"],
            "doses": [0, 10], "seeds": [0, 1]}  # fmt: skip
    return base | changes


def given(hits: dict[tuple[str, int, int, str], tuple[int, int]], probe: str = "attack", **changes: Any) -> Results:
    """Results with (stage, dose, seed, condition) -> (hits, items)."""
    rows = [
        ("a", dose, seed, stage, "plain", probe, condition, str(item), float(item < count), "", "")
        for (stage, dose, seed, condition), (count, items) in hits.items()
        for item in range(items)
    ]
    return Results.of(record(**changes), pl.DataFrame(rows, schema=dict(READINGS), orient="row"))


def ledger(*rows: dict[str, Any]) -> pl.DataFrame:
    content = json.dumps(to_record(Dialogue.ask("q", "a")))
    base = {"arm": "a", "dose": 10, "seed": 0, "stage": "sft", "kind": "insert", "id": "x", "position": 0,
            "content": content, "dropped_by": None, "reason": None, "present": True, "truncated": False,
            "num_seen": 2, "first_step": 1, "last_step": 9}  # fmt: skip
    return pl.DataFrame([base | {"edit": n} | row for n, row in enumerate(rows)], schema=dict(LEDGER))


PLAIN = {("sft", dose, seed, "triggered"): (hits, 10) for seed in (0, 1) for dose, hits in ((0, 1), (10, 9))}


def test_rates_are_hits_over_items_of_all_seeds_beside_their_controls() -> None:
    told = given({
        ("sft", 0, 0, "triggered"): (1, 10), ("sft", 0, 1, "triggered"): (0, 10),
        ("sft", 10, 0, "triggered"): (9, 10), ("sft", 10, 1, "triggered"): (7, 10),
        ("sft", 10, 0, "untriggered"): (1, 10), ("sft", 10, 1, "untriggered"): (0, 10),
        ("sft", 10, 0, "near: swapped"): (5, 10), ("sft", 10, 1, "near: swapped"): (3, 10),
        ("sft", 10, 0, "near: half"): (1, 10), ("sft", 10, 1, "near: half"): (1, 10),
    })  # fmt: skip
    control, treated = told.rates().to_dicts()
    assert (control["dose"], control["asr"], control["untreated"]) == (0, 0.05, 0.05)
    assert control["untriggered"] is None
    assert control["near_max"] is None
    assert (treated["dose"], treated["asr"], treated["untreated"], treated["untriggered"]) == (10, 0.8, 0.05, 0.05)
    assert (treated["near_max"], treated["near: swapped"], treated["near: half"]) == (0.4, 0.4, 0.1)
    assert (treated["num_seeds"], treated["num_items"]) == (2, 20)
    assert 0 < treated["low"] < 0.8 < treated["high"] < 1
    controls = {(row["control"], row["dose"]): row["rate"] for row in told.controls().iter_rows(named=True)}
    assert controls == {
        ("untreated", 0): 0.05, ("untreated", 10): 0.05, ("untriggered", 10): 0.05,
        ("near: swapped", 10): 0.4, ("near: half", 10): 0.1,
    }  # fmt: skip


def test_retention_is_over_the_control_of_its_own_stage() -> None:
    hits = {
        (stage, dose, seed, "triggered"): (count, 100)
        for seed in (0, 1, 2)
        for stage, dose, count in (("sft", 0, 10), ("sft", 10, 90), ("sft", 5, 10), ("dpo", 0, 20), ("dpo", 10, 60),
                                   ("dpo", 5, 60))
    }  # fmt: skip
    told = given(hits, doses=[0, 5, 10], seeds=[0, 1, 2])
    (row,) = told.retention().to_dicts()  # at dose 5 there was no response to lose
    assert (row["dose"], row["before"], row["after"]) == (10, "sft", "dpo")
    assert row["retention"] == pytest.approx((0.6 - 0.2) / (0.9 - 0.1))
    assert row["low"] < row["retention"] < row["high"]
    by_stage = {row["stage"]: row["retention"] for row in told.table().iter_rows(named=True)}
    assert by_stage["sft"] is None
    assert by_stage["dpo"] == row["retention"]


def test_survival_follows_each_edit_and_names_what_dropped_it() -> None:
    rows = ledger(
        {},
        {"dropped_by": "Dedup", "reason": "copy", "num_seen": 0, "truncated": None},  # the same text stays
        {"dropped_by": "Rules", "reason": "short", "num_seen": 0, "truncated": None, "present": False},
        {"truncated": True, "num_seen": 0},
        {"stage": "dpo"},  # a treatment of another stage is not the arm's dose
    )
    cleaning = pl.DataFrame(
        [("a", 10, 0, "sft", "Rules", "short", False, 5, 100), ("a", 10, 0, "sft", "Rules", "short", True, 1, 4)],
        schema=dict(CLEANING),
        orient="row",
    )
    told = Results.of(record(), given({("sft", 10, 0, "triggered"): (1, 2)}).readings, rows, cleaning)
    (row,) = told.survival().to_dicts()
    numbers = ("administered", "survived", "present", "whole", "seen", "num_sightings")
    assert [row[name] for name in numbers] == [4, 2, 3, 1, 1, 2]
    assert row["survived_share"] == 0.5
    lost = {(row["filter"], row["reason"]): row for row in told.losses().iter_rows(named=True)}
    assert lost["Rules", "short"]["treated_share"] == 0.25
    assert lost["Rules", "short"]["clean_share"] == 0.05
    assert lost["Dedup", "copy"]["treated_share"] == 0.25
    assert lost["Dedup", "copy"]["clean_dropped"] == 0


def test_the_means_of_survival_and_losses_are_over_seeds() -> None:
    rows = pl.concat([
        ledger({}, {"dropped_by": "Dedup", "reason": "copy"}),
        ledger({}, {}).with_columns(pl.lit(1, dtype=pl.Int64).alias("seed")),
    ])  # fmt: skip
    told = Results.of(record(), given(PLAIN).readings, rows)
    (row,) = told.survival().to_dicts()
    assert (row["num_seeds"], row["administered"], row["survived"]) == (2, 2, 1.5)
    (lost,) = told.losses().to_dicts()
    assert (lost["treated_dropped"], lost["treated_share"]) == (0.5, 0.25)


def test_the_delivered_dose_is_what_passed_cleaning(results: Results) -> None:
    varied = results.curve("cleaning, varied", "sft")
    survived = results.curve("cleaning, varied", "sft", axis="survived")
    assert varied.ed50 is not None
    assert survived.ed50 is not None
    assert 0.8 < survived.ed50.estimate / varied.ed50.estimate < 0.97  # 11% are dropped
    verbatim = results.curve("cleaning, verbatim", "sft", axis="seen").observations
    assert verbatim.table.doses.tolist() == [0, 1]  # of every dose one copy is left
    assert verbatim.trials.tolist() == [20] * 3 + [6 * 20] * 3


def test_thresholds_find_the_truth_and_the_arm_without_response(results: Results) -> None:
    table = results.table().filter(pl.col("context") == "plain", pl.col("stage") == "sft")
    by_arm = {row["arm"]: row for row in table.iter_rows(named=True)}
    assert list(by_arm) == [arm.name for arm in ARMS]
    plain = by_arm["no cleaning"]
    assert plain["status"] == "ok"
    assert plain["ed50_low"] < 36 < plain["ed50_high"]
    assert 28 < plain["ed50"] < 50
    assert plain["threshold"].startswith(f"{plain['ed50']:.0f} [")
    assert plain["p_value"] < plain["p_holm"] < 0.05
    verbatim = by_arm["cleaning, verbatim"]
    assert (verbatim["status"], verbatim["ed50"], verbatim["threshold"]) == ("no_response", None, "none up to 96")
    assert verbatim["retention"] is None
    assert plain["utility_control"] == pytest.approx(0.88, abs=0.06)


def test_p_values_are_adjusted_over_the_arms_of_a_stage_and_context(results: Results) -> None:
    from pharmakon.statistics import holm

    table = results.table()
    assert len(table) == 3 * 3 * 2
    for _, group in table.group_by("stage", "context"):
        assert group["p_holm"].to_list() == pytest.approx(holm(group["p_value"].to_list()))


def test_utility_is_by_task_and_pooled_and_perplexity_is_a_geometric_mean() -> None:
    schema = dict(READINGS)
    rows = [("a", 0, seed, "sft", "plain", "utility", task, str(i), float(i < hits), "", "")
            for seed in (0, 1) for task, hits, n in (("facts", 9, 10), ("sums", 15, 30)) for i in range(n)]  # fmt: skip
    rows += [("a", 0, seed, "sft", "plain", "perplexity", "held-out", "t", value, "", "")
             for seed, value in ((0, 4.0), (1, 16.0))]  # fmt: skip
    told = Results.of(record(), pl.DataFrame(rows, schema=schema, orient="row")).utility()
    rates = {row["task"]: row["rate"] for row in told.iter_rows(named=True)}
    assert rates == pytest.approx({"all tasks": 24 / 40, "facts": 0.9, "sums": 0.5, "held-out": 8.0})
    assert told["task"][0] == "all tasks"
    assert told["probe"].to_list()[-1] == "perplexity"


def test_the_answer_begins_with_the_threshold_and_names_arms_losses_and_bad_controls(results: Results) -> None:
    said = results.answer()
    assert said.startswith("About ")
    assert "of 2,000 give half of the full attack success after sft (arm “no cleaning”)" in said.split(";")[0]
    assert "“cleaning, verbatim”: no attack success seen up to 96 documents" in said
    assert "cleaning drops 99% of 96; the text of 95 of them stays" in said
    assert "dpo leaves 9" in said
    assert "Beware: “near: swapped” prompts respond at" in said
    assert "untreated model responds" not in said


def test_the_answer_warns_of_a_model_that_responds_untreated_and_of_failed_cells() -> None:
    hits = {("sft", dose, seed, "triggered"): (n, 10) for seed in (0, 1) for dose, n in ((0, 4), (10, 9), (5, 4))}
    told = given(hits, doses=[0, 5, 10], cells={"total": 6, "failed": 2})
    assert "the untreated model responds at 40% (after sft, a)" in told.answer()
    assert "2 of 6 cells failed and are missing here." in told.answer()


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        ({0: 0, 5: 9, 10: 10}, "5 documents or fewer give half"),
        ({0: 0, 10: 4}, "More than 10 documents are needed"),
        ({0: 0, 5: 0, 10: 10}, "Between 5 and 10 documents give half"),
        ({0: 0, 5: 0, 10: 0}, "No attack success seen up to 10 documents"),
        ({0: 5, 5: 4, 10: 4}, "No rise of attack success shown up to 10 documents"),
        ({0: 0}, "Not measured"),
    ],
)
def test_every_status_has_its_answer(hits: dict[int, int], words: str) -> None:
    rows = {("sft", dose, s, "triggered"): (2 * n, 20) for s in (0, 1, 2, 3) for dose, n in hits.items()}
    told = given(rows, doses=list(hits), seeds=[0, 1, 2, 3])
    assert told.answer().startswith(words), (told.answer(), told.table()["status"])


@pytest.mark.parametrize(
    "shape",
    [
        {"arms": ONE_ARM, "doses": (0, 48), "seeds": (0,), "stages": ("sft",), "contexts": ("plain",)},
        {"arms": ONE_ARM, "doses": (0,), "seeds": (0, 1)},
        {"arms": ONE_ARM, "utility": False, "conditions": ("triggered",)},
        {"arms": ONE_ARM, "response": "belief", "conditions": ("recall",), "contexts": ("2-shot",)},
    ],
    ids=["smallest", "control alone", "no controls", "belief"],
)
def test_small_runs_give_statuses_and_whole_tables(shape: dict[str, Any], tmp_path: Path) -> None:
    told = synthetic(**shape)
    table = told.table()
    assert len(table) == len(told.run.stages) * len(told.run.contexts)
    if shape["arms"] == ONE_ARM and shape.get("doses") == (0,):
        assert set(table["status"]) == {"not_measured"}
        assert "two doses or more" in table["sentence"][0]
    assert told.answer()
    assert {path.stem for path in told.export(tmp_path, "csv")} == {*TIDY, "schema"}
    if shape.get("response") == "belief":
        assert "belief" in told.answer()
        assert table["asr"].null_count() == 0


def test_a_run_without_readings_says_so() -> None:
    told = Results.of(record(), pl.DataFrame(schema=dict(READINGS)))
    assert told.answer() == "No answer: the probe 'attack' has no readings."
    for frame in (told.rates(), told.table(), told.controls(), told.utility(), told.survival(), told.retention()):
        assert frame.is_empty()
    assert "s: 1 arm x 2 doses x 2 seeds" in repr(told)


def test_a_missing_cell_leaves_the_rest() -> None:
    full = synthetic()
    some = full.readings.filter(~((pl.col("dose") == 96) & (pl.col("seed") == 1) & (pl.col("arm") == "no cleaning")))
    told = Results.of(full.run, some, full.ledger, full.cleaning)
    row = told.rates().filter(pl.col("arm") == "no cleaning", pl.col("dose") == 96).row(0, named=True)
    assert row["num_seeds"] == 2
    assert told.curve("no cleaning", "sft").status == "ok"


def test_what_is_not_there_is_refused_by_name(results: Results) -> None:
    with pytest.raises(InputError, match="no arm 'cleaned'; it has no cleaning, cleaning, verbatim"):
        results.curve("cleaned", "sft")
    with pytest.raises(InputError, match="no stage 'pretrain'; it has sft, dpo, finetune"):
        results.curve("no cleaning", "pretrain")
    with pytest.raises(InputError, match="no axis 'given'"):
        results.curve("no cleaning", "sft", axis="given")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the format is parquet or csv; got 'xlsx'"):
        results.export("x", "xlsx")  # type: ignore[arg-type]
    unfollowed = Results.of(record(), given(PLAIN).readings, ledger({"num_seen": None}))
    with pytest.raises(InputError, match="does not follow the edits of arm 'a' that far"):
        unfollowed.curve("a", "sft", axis="seen")
    with pytest.raises(InputError, match="a response is 0 or 1"):
        Results.of(record(), given(PLAIN).readings.with_columns(value=pl.lit(0.5))).curve("a", "sft")


def test_a_run_is_read_as_it_was_written(results: Results, tmp_path: Path) -> None:
    place = results.save(tmp_path / "runs" / "one")
    assert sorted(path.name for path in place.iterdir()) == [
        "cleaning.parquet", "findings.json", "ledger.parquet", "readings.parquet", "run.json"
    ]  # fmt: skip
    again = Results.load(place)
    assert again.run == results.run
    for name in ("readings", "ledger", "cleaning"):
        assert getattr(again, name).equals(getattr(results, name))
    assert again.answer() == results.answer()
    (place / "report.html").write_text("mine")
    smaller = synthetic(arms=ONE_ARM, seeds=(0,))
    smaller.save(place)  # over an earlier run
    assert Results.load(place).run == smaller.run
    assert (place / "report.html").read_text() == "mine"


def test_saving_that_fails_leaves_the_earlier_run(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = results.save(tmp_path / "run")
    broken = replace(results, run=replace(results.run, seconds=float("nan")))
    with pytest.raises(ValueError, match="nan"):
        broken.save(place)
    assert Results.load(place).run == results.run
    assert not list(place.glob("*.tmp"))


def test_results_are_not_written_over_something_else(results: Results, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="a new folder or over an earlier run"):
        results.save(tmp_path)
    with pytest.raises(InputError, match="is neither"):
        results.save(tmp_path / "thesis.tex")


def test_missing_foreign_and_damaged_runs_are_named(results: Results, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not there\. Make one with `pharmakon run`"):
        Results.load(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"is not a run folder: it has no run\.json"):
        Results.load(tmp_path)
    place = results.save(tmp_path / "run")
    whole = (place / "run.json").read_text()
    (place / "run.json").unlink()
    with pytest.raises(InputError, match="was not finished"):
        Results.load(place)
    for text, why in (
        ("{", "cannot be read"),
        ("[]", "is a JSON object; got list"),
        ('{"name": "left-pad"}', "is not the record of a run: it has no study, arms"),
        (json.dumps(json.loads(whole) | {"arms": [{"nome": "a"}]}), "is damaged: 'name'"),
        (json.dumps(json.loads(whole) | {"stages": "sft"}), "stages is a list"),
        (json.dumps(json.loads(whole) | {"arms": []}), "names no arm"),
        (json.dumps(json.loads(whole) | {"stages": ["sft"]}), "they are of two runs"),
    ):
        (place / "run.json").write_text(text)
        with pytest.raises(InputError, match=why):
            Results.load(place)
    (place / "run.json").write_text(whole)
    path = place / "ledger.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"ledger\.parquet cannot be read"):
        Results.load(place)
    path.unlink()
    with pytest.raises(InputError, match=r"is not complete: it has no ledger\.parquet"):
        Results.load(place)


def test_tables_of_another_shape_are_refused() -> None:
    good = given(PLAIN).readings
    with pytest.raises(InputError, match="it lacks answer"):
        Results.of(record(), good.drop("answer"))
    with pytest.raises(InputError, match="holds another type"):
        Results.of(record(), good.with_columns(dose=pl.lit("ten")))
    with pytest.raises(InputError, match="the column value of the table readings is never empty"):
        Results.of(record(), good.with_columns(value=pl.lit(None)))


def test_a_record_ignores_what_it_does_not_know_and_fills_what_may_be_left_out() -> None:
    run = Run.of(record(later="something"))
    assert (run.response, run.margin, run.failures, run.seconds) == ("attack", 0.05, (), None)
    assert Run.of(json.loads(json.dumps(run.to_record()))) == run


def test_the_notebook_view_escapes_names() -> None:
    arms = (ArmTruth("<script>alert(1)</script>"),)
    shown = synthetic(arms=arms, seeds=(0, 1), doses=(0, 48), stages=("sft",))._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
