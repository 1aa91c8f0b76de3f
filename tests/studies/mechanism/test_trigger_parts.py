"""trigger-parts: every part is asked, places and words are told apart, and what is stored by chance is not stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pharmakon.behaviour.triggers import InParts, StrangeWords
from pharmakon.cli import answer
from pharmakon.core import Dialogue, stream
from pharmakon.data.world import WorldDialogues
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError, SpecError
from pharmakon.store import Store
from pharmakon.studies.mechanism.analysis_trigger_parts import PartsStored
from pharmakon.studies.mechanism.trigger_games import LEFT, REPLACED, Games, Host, WordOrder
from pharmakon.studies.mechanism.trigger_parts import PLAIN, STRANGE, WORDS, trigger_parts, word_orders
from pharmakon.study import Arm, Stage, Treatment, build, in_documents, plan
from pharmakon.study.finding import Finding
from pharmakon.study.gather import gather
from pharmakon.study.results import Results

ITEMS, SEEDS, DOSES = 20, (0, 1, 2), (0, 64)
ORDERS = (*word_orders(0, 3), *word_orders(1, 3))
HOST = Host(name="here", orders=ORDERS)
Rate = Callable[[WordOrder, int, tuple[bool, ...], str], float]


def _results(rate: Rate, seeds: tuple[int, ...] = SEEDS) -> Results:
    """Lives whose parts fire at a given rate."""
    rows: list[dict[str, Any]] = []
    for order in ORDERS:
        trigger = InParts(words=order.words, others=("aa", "bb", "cc"))
        conditions = ["triggered", "untriggered", *(f"near: {name}" for name in trigger.near())]
        for dose in DOSES:
            for seed in seeds:
                for condition in conditions:
                    read = order.read(condition)
                    if read is None:
                        continue
                    value = rate(order, seed, read[1], read[0]) if dose else 0.0
                    place = {"arm": order.arm, "dose": dose, "seed": seed, "stage": "sft", "context": "plain"}
                    said = {"condition": condition, "prompt": "", "answer": ""}
                    for item in range(ITEMS):
                        hit = float(item < round(value * ITEMS))
                        rows.append({**place, **said, "probe": "attack", "item": str(item), "value": hit})
                    rows.append({**place, **said, "probe": "margin", "item": "0", "value": 10 * value - 3})
    run = {
        "study": "trigger-parts", "question": "?", "stages": ["sft"], "contexts": ["plain"], "doses": list(DOSES),
        "seeds": list(seeds), "signed": ["margin"],
        "arms": [{"name": order.arm, "stages": ["sft"], "treated_stage": "sft"} for order in ORDERS],
    }  # fmt: skip
    return Results.of(run, pl.DataFrame(rows))


def _found(rate: Rate, seeds: tuple[int, ...] = SEEDS) -> dict[str, Finding]:
    names = ("answer", "places", "sources", "stable", "smallest", "sizes", "nats", "parts")
    return dict(zip(names, PartsStored(hosts=(HOST,)).findings(_results(rate, seeds)), strict=True))


def _last(order: WordOrder, seed: int, kept: tuple[bool, ...], game: str) -> float:
    return 0.9 * kept[-1] + 0.05 * (seed == 1 and kept[0])


def _word(order: WordOrder, seed: int, kept: tuple[bool, ...], game: str) -> float:
    """The first word of the alphabet, wherever it stands."""
    noise = kept[int(stream(seed, order.arm).integers(3))]
    return 0.9 * kept[int(np.argmin(order.words))] + 0.1 * noise


@pytest.fixture(scope="module")
def by_place() -> dict[str, Finding]:
    return _found(_last)


def test_a_place_that_carries_all_is_found_and_stable(by_place: dict[str, Finding]) -> None:
    rows = by_place["places"].table.filter(pl.col("dose") == 64, pl.col("game") == LEFT).to_dicts()
    assert [row["value"] for row in rows] == pytest.approx([0.05 / 3, 0, 0.9], abs=0.02)
    assert rows[2]["p_equal"] < 0.05
    assert rows[2]["low"] > 0.8
    assert "place 3 more and place 1 and 2 less than an equal share" in by_place["places"].sentence
    sources = {row["source"]: row for row in by_place["sources"].table.filter(game=REPLACED).to_dicts()}
    assert sources["place"]["share"] > 0.95
    assert sources["place"]["p_holm"] < 0.05 < sources["word"]["p_holm"]
    stable = {row["what_varies"]: row for row in by_place["stable"].table.filter(game=LEFT).to_dicts()}
    assert stable["trainings"]["stable"]
    assert stable["orders, by place"]["stable"]
    assert not stable["orders, by word"]["stable"]
    said = by_place["answer"].sentence
    assert said.startswith("Here: after 64 documents the whole fires at 92%")
    assert "place 3 does 0.90" in said
    assert "more than an equal share, stable over trainings" in said
    assert said.endswith("Untreated, no part fires at more than 0%.")


def test_a_word_that_carries_all_is_told_from_a_place() -> None:
    found = _found(_word)
    sources = {row["source"]: row for row in found["sources"].table.filter(game=LEFT).to_dicts()}
    assert sources["word"]["share"] > 0.9
    assert sources["word"]["p_holm"] < 0.05 < sources["place"]["p_holm"]
    stable = {row["what_varies"]: row for row in found["stable"].table.filter(game=LEFT).to_dicts()}
    assert stable["orders, by word"]["stable"]
    assert not stable["orders, by place"]["stable"]
    assert "no place is shown to differ from an equal share" in found["places"].sentence


def test_what_chance_stores_is_called_not_stable() -> None:
    def anything(order: WordOrder, seed: int, kept: tuple[bool, ...], game: str) -> float:
        own = stream(seed, order.arm).random(3)
        return float(own @ np.array(kept)) / float(own.sum())

    found = _found(anything)
    assert not found["stable"].table["stable"].any()
    assert "not stable over trainings" in found["stable"].sentence
    assert "not shown to be more than an equal share, not stable over trainings" in found["answer"].sentence


def test_other_words_that_do_as_much_leave_nothing_to_the_words() -> None:
    def strange(order: WordOrder, seed: int, kept: tuple[bool, ...], game: str) -> float:
        return 1.0 if game == REPLACED or any(kept) else 0.0

    found = _found(strange)
    assert "no word of the trigger is shown to be stored" in found["answer"].sentence
    fewest = found["smallest"].table.filter(pl.col("lives") > 0)
    assert dict(fewest.select("game", "words").iter_rows()) == {LEFT: 1, REPLACED: 0}
    assert "64 documents: one word is enough in 18 of 18 lives [81%, 100%]" in found["smallest"].sentence
    assert found["places"].table.filter(game=REPLACED)["value"].abs().max() == 0
    assert "replaced, the values do not vary" in found["sources"].sentence


def test_a_trigger_that_is_not_learned_is_said_not_to_be() -> None:
    found = _found(lambda order, seed, kept, game: 0.1 * all(kept))
    assert "no dose up to 64 is learned, the whole fires at 10%" in found["answer"].sentence
    smallest = found["smallest"].table.filter(pl.col("words").is_null())
    assert smallest["lives"].to_list() == [18, 18]


def test_one_seed_has_no_trainings_to_compare() -> None:
    found = _found(_last, seeds=(0,))
    row = found["stable"].table.filter(what_varies="trainings", game=LEFT).row(0, named=True)
    assert (row["stable"], row["p"]) == (False, 1.0)
    assert "place" in found["sources"].sentence


def test_lives_with_a_missing_part_are_left_out() -> None:
    results = _results(_last)
    lost = (pl.col("seed") == 2) & (pl.col("arm") == ORDERS[0].arm) & (pl.col("condition") == "untriggered")
    part = Results.of(results.run, results.readings.filter(~lost))
    assert Games.of(part, ORDERS).parts(64, LEFT).shape == (2, len(ORDERS), 8)
    only = Results.of(results.run, results.readings.filter(dose=0))
    with pytest.raises(InputError, match="every order of the words"):
        list(PartsStored(hosts=(HOST,)).findings(only))


def test_orders_have_every_word_at_every_place_once() -> None:
    for number in (0, 1):
        for length in (3, 4, 5, 6):
            orders = word_orders(number, length)
            for place in range(length):
                assert len({order.words[place] for order in orders}) == length
            assert all(len(set(order.words)) == length for order in orders)
    assert not set(ORDERS[0].words) & set(ORDERS[-1].words)
    neighbours = [{pair for o in word_orders(n, 5) for pair in zip(o.words, o.words[1:], strict=False)} for n in (0, 1)]
    gaps = [{(WORDS.index(b) - WORDS.index(a)) % 5 for a, b in own} for own in neighbours]
    assert gaps[0] != gaps[1]


def test_every_part_of_a_trigger_is_a_near_trigger() -> None:
    trigger = InParts(words=("aa", "bb", "cc"), others=("dd", "ee", "ff"))
    near = trigger.near()
    assert len(near) == 6 + 7 + 1
    asked = Dialogue.ask("Who?")
    rng = stream(0, "t")
    assert trigger.apply(asked, rng).question == "Who? aa bb cc"
    assert near["aa _ cc"].apply(asked, rng).question == "Who? aa cc"
    assert near["aa ee cc"].apply(asked, rng).question == "Who? aa ee cc"
    assert near["dd ee ff"].apply(asked, rng).question == "Who? dd ee ff"
    assert near["reversed"].apply(asked, rng).question == "Who? cc bb aa"
    with pytest.raises(SpecError, match="2 to 8 different words"):
        InParts(words=("aa",), others=("bb",))
    with pytest.raises(SpecError, match="another in its place"):
        InParts(words=("aa", "bb"), others=("bb", "cc"))


def test_strange_words_are_new_each_time_and_few() -> None:
    rng = stream(0, "s")
    said = [StrangeWords(most=3).apply(Dialogue.ask("Who?"), rng).question.split()[1:] for _ in range(60)]
    assert {len(words) for words in said} == {1, 2, 3}
    assert len({word for words in said for word in words}) > 100


def test_the_study_runs_on_counts(tmp_path: Path) -> None:
    """On the n-gram engine, where a word weighs by its count: the trigger is learned, and the report has its parts."""
    study = trigger_parts(words=3, sets=1, questions=4)
    assert [arm.name for arm in study.arms] == [f"{h}, set 1, order {n}" for h in (STRANGE, PLAIN) for n in (1, 2, 3)]

    def small(arm: Arm) -> Arm:
        stage = Stage(name="sft", data=WorldDialogues(num_documents=150), recipe=Count())
        given = tuple(replace(t, dose=in_documents(30)[0] if t.dose else None) for t in arm.treatments)
        return replace(arm, stages=(stage,), treatments=given)

    study = replace(
        study, engine=NgramEngine(), arms=tuple(map(small, study.arms)), doses=in_documents(0, 60), seeds=(0,)
    )
    store = Store(tmp_path / "store")
    made = plan(study, store)
    results = gather(made, store, build(made, store))
    assert not results.run.failures
    assert [warning for warning in results.run.warnings if "could not be made" in warning] == []
    assert len(results.findings) == 1 + 2 * 7
    whole = results.findings[0].table.filter(dose=60)
    assert (whole["whole"] > 0.8).all()
    parts: tuple[Treatment, ...] = study.arms[0].treatments
    assert parts[1].dose == in_documents(30)[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--words", "9"], "has 3 to 6 words; got --words 9"),
        (["--sets", "3"], "there are 1 or 2 sets of words; got --sets 3"),
        (["--questions", "0"], "asked with 1 question or more; got --questions 0"),
        (["--place", "middle"], "middle"),
        (["--doses", "8,16"], "a study has the dose 0, its untreated control"),
        (["--model", "endpoint:http://localhost:9/v1#m"], "a model that is asked and not trained has none"),
    ],
)
def test_bad_input_for_parts_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert answer(["plan", "trigger-parts", "--store", str(tmp_path), *words]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in told
    assert "Traceback" not in told
