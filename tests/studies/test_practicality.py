"""All routes in one study: prices, what is refused, and that the parts' lives are used again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pharmakon.cli import answer
from pharmakon.errors import InputError, SpecError
from pharmakon.store import identify
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.practicality import Prices, practicality
from pharmakon.studies.threat.sft_backdoor import sft_backdoor
from pharmakon.studies.threat.verdict import UNDEFENDED, Verdict
from pharmakon.study import Study


@pytest.fixture(scope="module")
def study() -> Study:
    return practicality(annotated=False)


def _verdict(study: Study) -> Verdict:
    (verdict,) = study.analyses
    assert isinstance(verdict, Verdict)
    return verdict


def test_each_route_has_its_arm_and_each_defence_its_undefended_route(study: Study) -> None:
    routes = _verdict(study).routes
    assert {route.arm for route in routes} == {arm.name for arm in study.arms}
    plain = {route.name for route in routes if route.defence == UNDEFENDED}
    assert {route.name for route in routes} == plain


def test_the_lives_of_the_parts_are_used_again(study: Study) -> None:
    part = sft_backdoor()
    built = {identify(part.cell(arm, dose, seed)) for arm, dose, seed in part.cells}
    mine = [identify(study.cell(*cell)) for cell in study.cells if cell[0].name in ("dialogues", "dialogues, cleaned")]
    assert len(mine) == 42
    assert set(mine) <= built


def test_a_patrolled_site_lets_in_a_share_and_a_manifest_nothing(study: Study) -> None:
    reach = {(route.name, route.defence): route.reach().estimate for route in _verdict(study).routes}
    assert 0.02 < reach["crowd-edited site", UNDEFENDED] < 0.3
    assert reach["crowd-edited site", "24 h old revisions"] < reach["crowd-edited site", UNDEFENDED]
    assert reach["lapsed domains", "manifest"] == 0
    assert reach["contributed dialogues", UNDEFENDED] == 1


def test_prices_come_from_options_or_from_a_file_that_has_all(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    wanted = replace(Prices(), price_per_edit=3.0)
    file.write_text(json.dumps(asdict(wanted)))
    assert Prices().read(file) == wanted
    with pytest.raises(InputError, match="in a file or in options; got both"):
        replace(Prices(), price_per_pair=9.0).read(file)
    file.write_text(json.dumps({"price_per_edit": 1}))
    with pytest.raises(InputError, match=r"names every price: .* it lacks price_per_domain, records_per_domain"):
        Prices().read(file)
    file.write_text(json.dumps({**asdict(wanted), "price_per_edit": "free"}))
    with pytest.raises(InputError, match="price_per_edit is a number; got 'free'"):
        Prices().read(file)
    file.write_text(json.dumps({**asdict(wanted), "price_per_mile": 2}))
    with pytest.raises(InputError, match="'price_per_mile', which is no price"):
        Prices().read(file)
    file.write_text("{")
    with pytest.raises(InputError, match="is a JSON file of prices"):
        Prices().read(file)


def test_what_makes_no_sense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--price-per-edit", "0"), ("--delay-hours", "0"), ("--data", "vader-tweets"), ("--seeds", "0")):
        assert answer(["run", "practicality", *words, "--no-annotated", "--store", str(tmp_path)]) == 2
        assert capsys.readouterr().err.startswith("pharmakon: ")
    with pytest.raises(SpecError, match="asked and not trained has none"):
        practicality(on=Subject(model="endpoint:http://localhost:9/v1#m"))
