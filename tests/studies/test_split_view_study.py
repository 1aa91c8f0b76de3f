"""The study of lapsed domains: its findings from small lists, and its command line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.collection.addresses import AddressFile, Zipf
from pharmakon.collection.lapse import Market
from pharmakon.collection.pages import Drift
from pharmakon.errors import InputError
from pharmakon.studies.threat.analysis_split_view import SplitViewTrial
from pharmakon.study import Finding

SMALL = ["--num-records", "100000", "--num-domains", "2000", "--draws", "6", "--pages", "40"]


def found_by(trial: SplitViewTrial) -> dict[str, Finding]:
    return {finding.title: finding for finding in trial.findings()}


def test_a_list_of_three_domains_that_have_all_lapsed(tmp_path: Path) -> None:
    """One price of 10, 6 + 3 + 1 records: 10 dollars buy 60%, 20 buy 90%; every target is one domain away."""
    path = tmp_path / "list.txt"
    urls = [f"https://{host}.example/{i}" for host, count in (("a", 6), ("b", 3), ("c", 1)) for i in range(count)]
    path.write_text("\n".join(urls))
    market = Market(lapsed=1.0, price=10.0, spread=0.0)
    small = SplitViewTrial(
        listing=AddressFile.of(path), market=market, budget=20.0, num_draws=3, num_pages=30, drift=Drift()
    )
    found = found_by(small)
    costs = found["What a dose costs"].table
    assert costs["records"].to_list() == [1, 1, 1]
    assert costs["dollars"].to_list() == costs["low"].to_list() == costs["high"].to_list() == [10.0, 10.0, 10.0]
    assert "20 dollars buy 90% [90%, 90%]" in found["What a dose costs"].sentence
    by_budget = dict(found["Dose by budget"].table.select("budget_dollars", "dose_percent").iter_rows())
    assert by_budget[20.0] == pytest.approx(90)
    assert by_budget[60.0] == pytest.approx(100)
    spread = found["How the records are spread over domains"]
    assert spread.table["percent_of_records"].to_list() == pytest.approx([60, 100])
    assert "a.example (6), b.example (3), c.example (1)" in spread.sentence
    assert "no address was contacted" in found["What a dose costs"].note
    assert "Held against published lists" not in found


def test_dose_rises_with_lapses_and_money_and_is_nothing_without(tmp_path: Path) -> None:
    small = Zipf(num_records=100_000, num_domains=2_000)
    trial = SplitViewTrial(listing=small, market=Market(lapsed=0.03), num_draws=20, num_pages=200)
    found = found_by(trial)
    by_lapsed = found["Dose by share of lapsed domains"].table
    for (_budget,), group in by_lapsed.group_by("budget"):
        doses = group.sort("lapsed_domains_percent")["dose_percent"].to_list()
        assert doses[0] == 0
        assert doses == sorted(doses)
    doses = found["Dose by budget"].table["dose_percent"].to_list()
    assert doses == sorted(doses)
    exact = found["An exact integrity check: poison stopped, clean data lost"].table
    assert exact["poison_let_through"].to_list() == [0] * len(exact)
    assert exact["clean_refused_percent"].is_sorted()
    checks = found["A check with tolerance"].table
    copies = checks.filter(pl.col("attacker") == "copies the old page")
    assert copies["poison_through_percent"].is_sorted()
    assert copies["clean_refused_percent"].is_sorted(descending=True)
    assert copies["poison_through_percent"][0] == 0
    others = checks.filter((pl.col("attacker") == "serves another page") & (pl.col("check") != "none"))
    assert others["poison_through_percent"].max() == 0


def test_without_lapsed_domains_or_money_the_dose_is_nothing() -> None:
    small = Zipf(num_records=10_000, num_domains=200)
    for market, budget in ((Market(lapsed=0.0), 60.0), (Market(lapsed=0.2), 0.0)):
        trial = SplitViewTrial(listing=small, market=market, budget=budget, num_draws=4, num_pages=20, years=0.0)
        found = found_by(trial)
        assert "buy 0% [0%, 0%] of the records" in found["What a dose costs"].sentence
    assert (
        "0.01% is out of reach"
        in found_by(SplitViewTrial(listing=small, market=Market(lapsed=0.0), num_draws=4, num_pages=20))[
            "What a dose costs"
        ].sentence
    )


def test_the_same_seed_gives_the_same_findings() -> None:
    small = Zipf(num_records=10_000, num_domains=200)
    one, same, other = (
        [f.table.rows() for f in SplitViewTrial(listing=small, num_draws=4, num_pages=20, seed=seed).findings()]
        for seed in (0, 0, 1)
    )
    assert one == same != other


def test_the_command_runs_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "split-view", *SMALL, "--out", str(tmp_path), "--price-per-domain", "8", "--lapsed", "0.1"]
    assert answer(words) == 0
    assert "With 10% of the domains lapsed, 60 dollars buy" in " ".join(capsys.readouterr().out.split())
    folder = next(tmp_path.iterdir())
    titles = [finding["title"] for finding in json.loads((folder / "findings.json").read_text())]
    assert titles[0] == "What a dose costs"
    assert "Dose by share of lapsed domains" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lapsed", "4.4"], "the share of lapsed domains lies in [0, 1]; got 4.4"),
        (["--lapse-per-year", "-0.1"], "lapses in a year lies in [0, 1]"),
        (["--price-per-domain", "0"], "the price of a domain is a number above 0; got 0"),
        (["--price-per-domain", "-2"], "the price of a domain is a number above 0; got -2"),
        (["--price-per-domain"], "--price-per-domain"),
        (["--budget", "-1"], "a budget is 0 or more; got -1"),
        (["--years", "-1"], "0 or more; got -1"),
        (["--change-per-year", "15"], "pages that change in a year lies in [0, 1]"),
        (["--draws", "1"], "an interval takes 2 draws or more; got 1"),
        (["--pages", "1"], "2 pages or more; got 1"),
        (["--num-domains", "0"], "at least one domain"),
        (["--addresses", "none.txt"], "none.txt: no such file"),
        (["--field", "link"], "give it with --addresses"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "split-view", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_options_of_a_simulated_list_and_a_list_of_ones_own_exclude_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "list.txt"
    path.write_text("https://a.example/\nnot an address\n")
    assert answer(["run", "split-view", "--addresses", str(path), "--exponent", "2"]) == 2
    assert "are of a simulated list" in capsys.readouterr().err
    assert answer(["run", "split-view", "--addresses", str(path), "--draws", "3", "--out", str(tmp_path)]) == 2
    assert f"{path}:2: an address is a URL such as" in capsys.readouterr().err


def test_a_trial_checks_itself() -> None:
    with pytest.raises(InputError, match="the years since the list was published are 0 or more"):
        SplitViewTrial(years=float("nan"))
