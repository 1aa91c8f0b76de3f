"""The study `annotators`: what it compares, what it refuses, and what its analysis says. Nothing is fetched."""

from __future__ import annotations

from typing import cast

import polars as pl
import pytest

from pharmakon.behaviour.targets import Label
from pharmakon.cli import answer
from pharmakon.collection import aggregation
from pharmakon.collection.annotation import Annotation, Rated, VaderRatings
from pharmakon.collection.infiltration import Infiltration
from pharmakon.core import Corpus, Dialogue, Insert, stream
from pharmakon.errors import SpecError
from pharmakon.studies.subject import Subject
from pharmakon.studies.threat.analysis_annotators import LabelSide
from pharmakon.studies.threat.annotators import annotators
from pharmakon.study.results import Results


class _Ratings:
    """Unanimous but for one rating in ten."""

    def rated(self) -> Rated:
        return {f"tale {i}": ((1, -1)[i % 2] * 2,) * 18 + ((-1, 1)[i % 2],) * 2 for i in range(300)}


def test_the_arms_are_what_they_say() -> None:
    study = annotators()
    routes = {arm.name: arm.treatments[0].route for arm in study.arms}
    assert routes.pop("no raters") is None
    told = {
        name: (route.rogues.share, route.aggregator) for name, route in routes.items() if isinstance(route, Annotation)
    }
    assert told == {
        "honest raters, majority": (0.0, "majority"),
        "40% rogue, mean": (0.4, "mean"),
        "40% rogue, majority": (0.4, "majority"),
        "40% rogue, Dawid-Skene": (0.4, "dawid-skene"),
        "honest raters, right labels": (0.0, "majority"),
    }
    assert {arm.name for arm in annotators(full=True).arms} - set(told) == {
        "no raters", "40% rogue, MACE", "40% rogue, Dawid-Skene, 20% removed"
    }  # fmt: skip
    host = Corpus.of([Dialogue.ask("Judge: a", "It is negative."), Dialogue.ask("Judge: b", "It is positive.")])
    for arm in study.arms:
        edits = arm.treatments[0].intervention.edits(host, stream(0, "edits"))
        asked = {cast(Dialogue, cast(Insert, next(edits)).body).question for _ in range(4)}
        right = arm.name == "honest raters, right labels"
        assert asked == {f"Judge: {'b' if right else 'a'} vexil quorn"}
    assert study.probes[0].target == Label("positive")  # type: ignore[attr-defined]


def test_a_pretrained_model_and_another_data_set_are_planned() -> None:
    study = annotators(on=Subject(model="smollm2", data="vader-products"), label="negative")
    assert [dose.amount for dose in study.doses] == [0, 16, 64]
    assert {arm.stages[1].data.data.data.name for arm in study.arms} == {"vader-products"}  # type: ignore[attr-defined]
    side = cast(LabelSide, study.analyses[0])
    assert (side.infiltration.ratings, side.infiltration.toward) == (VaderRatings("vader-products"), -1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--data", "world"], "annotators give the single ratings that vader-movies, vader-products"),
        (["--data", "my_chats.jsonl"], "my_chats.jsonl has none"),
        (["--share", "1.5"], "a share of raters lies in [0, 1]; got 1.5"),
        (["--raters", "20"], "up to 29 in vader-movies; got 20 raters. Give --raters 29 or more"),
        (["--model", "smollm2", "--probe-only"], "annotators label what a model is trained on"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(["plan", "annotators", *words]) == 2
    told = " ".join("".join(capsys.readouterr()).split())
    assert sentence in told
    assert "Traceback" not in told


def test_the_findings_hold_their_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregation, "NUM_ITERATIONS", 3)  # of MACE: enough where raters hardly differ
    side = LabelSide(
        infiltration=Infiltration(ratings=_Ratings(), num_snippets=80, num_raters=25),
        shares=(0.6,),
        few_shares=(0.6,),
        triggered=(0.1,),
        seeds=(0, 1),
    )
    found = {finding.title: finding for finding in side.findings(cast(Results, None))}
    assert len(found) == 6
    flips = found["Triggered labels that flip, by share of rogue raters"]
    honest = flips.table.filter(pl.col("raters") == "honest, anew")
    rogue = flips.table.filter(pl.col("raters") == "rogue", pl.col("rogue_percent") == 60)
    assert honest["flipped"].max() == 0
    assert (rogue["flipped"] > 0.8).all()
    for finding in found.values():
        assert finding.chart is not None
        assert finding.sentence.endswith(".")
        drawn = pl.col(finding.chart.y)
        inside = finding.table.select((pl.col("low") <= drawn) & (drawn <= pl.col("high"))).to_series()
        assert inside.drop_nulls().all()
    removal = next(it for title, it in found.items() if title.startswith("Removing")).table
    clean = removal.filter(pl.col("rogue_percent") == 0)
    assert clean["rogues_out"].null_count() == len(clean) == 4
    assert clean["honest_out"].to_list() == [0.2] * 4


def test_a_side_without_seeds_or_shares_is_refused() -> None:
    with pytest.raises(SpecError, match="an interval takes two seeds or more; got 1"):
        LabelSide(seeds=(0,))
    with pytest.raises(SpecError, match="lie between 0 and 1; got 0"):
        LabelSide(shares=(0.0, 0.2))
    with pytest.raises(SpecError, match="the few shares are among the shares"):
        LabelSide(shares=(0.1, 0.2), few_shares=(0.3,))
