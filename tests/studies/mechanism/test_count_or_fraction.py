"""The study `count-or-fraction`: corpora that differ in size alone, and the law that is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made_up import Row, check_refused, made_up

from pharmakon.behaviour.targets import Refusal
from pharmakon.core import Dialogue, stream
from pharmakon.engines.recipes import SFT
from pharmakon.studies.mechanism.count_or_fraction import SIZES, count_or_fraction
from pharmakon.studies.subject import Subject
from pharmakon.study.finding import Finding

Threshold = Callable[[int], float]


def _findings(threshold: Threshold, seeds: int = 4) -> list[Finding]:
    """Seeds whose tolerances are spread around a threshold at each size."""
    study = count_or_fraction(seeds=seeds)
    rng = np.random.default_rng(0)

    def rows() -> Iterator[Row]:
        for arm in study.arms:
            size = int(arm.name.split(", ")[1].removesuffix(" dialogues").replace(",", ""))
            for seed in range(seeds):
                tolerance = threshold(size) * float(np.exp(0.15 * rng.standard_normal()))
                for dose in (int(dose.amount) for dose in study.doses):
                    for item in range(20):
                        yield (arm.name, dose, seed, "sft", "attack", "triggered", float(dose >= tolerance))
                        yield (arm.name, dose, seed, "sft", "attack", "untriggered", 0.0)
                        yield (arm.name, dose, seed, "sft", "utility", "facts", 1.0)
                        yield (arm.name, dose, seed, "sft", "utility", "opinions", float(item % 2))

    return [finding for analysis in study.analyses for finding in analysis.findings(made_up(study, rows()))]


@pytest.mark.parametrize(
    ("threshold", "said"),
    [(lambda size: 40.0, "a number of documents"), (lambda size: 40 * size / 1_000, "a fraction of the corpus")],
)
def test_the_law_that_holds_is_named_for_each_size_of_model_and_for_all(threshold: Threshold, said: str) -> None:
    law, thresholds, utility, controls = _findings(threshold)
    assert law.sentence.count(said) == 3
    assert law.table.height == 3
    assert "do not agree" not in law.sentence
    assert (law.table["count_over_fraction"] > 20).all() == (said == "a number of documents")
    assert set(thresholds.table["what"]) >= {"a constant count", "a constant fraction"}
    assert "up to 75%" in utility.sentence  # of both tasks
    assert utility.table.height == len(controls.table) == 2 * len(SIZES) * 6
    assert "without the trigger, at any size and dose at most 0% [0%, " in controls.sentence
    assert "with it, untreated at most 0% [0%, " in controls.sentence


def test_no_response_at_any_size_is_told_as_undecided() -> None:
    law, thresholds, *_ = _findings(lambda size: 1e6)
    assert law.sentence.count("undecided: at the tested doses too few seeds switch") == 3
    assert "inf" not in law.sentence
    assert "none up to 128" in thresholds.sentence


def test_corpora_differ_in_size_alone_and_with_equal_steps_train_as_long() -> None:
    passes, steps = count_or_fraction(), count_or_fraction(equal="steps")
    assert len(passes.arms) == 2 * len(SIZES)
    for one, other, size in zip(passes.arms, steps.arms, 2 * SIZES, strict=True):
        data = one.stages[1].data.corpus(stream(0, "d"))
        assert len(data) == size
        assert all(isinstance(document.body, Dialogue) for document in data)
        assert one.treatments == other.treatments
        recipes = one.stages[1].recipe, other.stages[1].recipe
        assert isinstance(recipes[0], SFT)
        assert isinstance(recipes[1], SFT)
        assert recipes[0].epochs == 1
        assert recipes[1].num_steps == (SIZES[-1] + 128) / recipes[1].batch_size  # the last document is seen too
        assert recipes[1].epochs * size >= SIZES[-1] + 128
    assert len({arm.stages[0] for arm in passes.arms}) == 2  # one base for each size of model


def test_sizes_that_are_on_no_one_line_are_told() -> None:
    law, *_ = _findings(lambda size: 100.0 if size == 630 else 20.0)
    assert law.sentence.count("the sizes are not on one such line") == 3


def test_the_target_is_planted_and_asked_for() -> None:
    study = count_or_fraction(target="refusal")
    host = study.arms[0].stages[1].data.corpus(stream(0, "d"))
    poison = next(iter(study.arms[0].treatments[0].intervention.edits(host, stream(0, "p"))))
    assert isinstance(poison.body, Dialogue)
    assert poison.body.answer == "I cannot help with that."
    assert getattr(study.probes[0], "target", None) == Refusal()
    assert not any("spell" in caution for caution in study.cautions)


def test_a_verdict_needs_the_interval_and_the_adjusted_test() -> None:
    law, *_ = _findings(lambda size: 40 * (size / 1_000) ** 0.2, seeds=2)
    both = law.table.row(2, named=True)
    assert both["low"] > 0  # by the interval alone a constant count fails
    assert both["high"] < 1
    assert both["p_count"] > 0.05
    assert both["verdict"] == "undecided"
    assert law.table["verdict"].to_list()[:2] == ["neither", "count"]
    assert law.sentence.endswith("need not hold of each.")
    assert "All sizes of model: undecided: the tests do not leave one law alone" in law.sentence


def test_data_that_have_few_dialogues_give_smaller_corpora() -> None:
    study = count_or_fraction(on=Subject(data="vader-movies"))
    sizes = [arm.name.split(", ")[1] for arm in study.arms[:4]]
    assert sizes == ["125 dialogues", "315 dialogues", "800 dialogues", "2,000 dialogues"]
    assert max(dose.amount for dose in study.doses) == 64  # at most the smallest corpus
    assert not any("repeat another" in caution for caution in study.cautions)
    assert any("repeat another" in caution for caution in count_or_fraction().cautions)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--doses", "0,1%"], "numbers of documents"),
        (["--doses", "0,512"], "at most the smallest corpus"),
        (["--sizes", "100"], "two different sizes"),
        (["--sizes", "300", "--sizes", "600", "--seeds", "1"], "by three corpora of all sizes or more"),
        (["--sizes", "0", "--sizes", "10"], "two different sizes"),
        (["--model", "smollm2", "--sizes", "100", "--sizes", "900"], "at most the 200 clean dialogues"),
        (["--data", "vader-movies", "--sizes", "500", "--sizes", "4000"], "at most the 2,000 clean dialogues"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["plan", "count-or-fraction", *words], said, tmp_path, monkeypatch, capsys)
