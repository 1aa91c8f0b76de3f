"""The study `locate`: patches between a model and its twin whose insides are known, and what the findings say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import Row, made_up

from pharmakon.behaviour.targets import Marker
from pharmakon.behaviour.triggers import Place, RareWords
from pharmakon.core import Dialogue, Dose, stream
from pharmakon.data.world import WorldDialogues, WorldQuestions, WorldText
from pharmakon.engines.recipes import SFT, Micro, Pretrain, Schedule
from pharmakon.errors import SpecError
from pharmakon.probes import Patching
from pharmakon.probes.patching import (
    HIDDEN,
    INTO_TREATED,
    INTO_TWIN,
    RANDOM,
    STEPS,
    WITHIN,
)
from pharmakon.probes.roles import LAST, QUESTION, ROLES, TRIGGER, layouts
from pharmakon.report.findings import panels
from pharmakon.store import Store
from pharmakon.studies.mechanism.analysis_locate import Located
from pharmakon.studies.mechanism.locate import locate
from pharmakon.study import Study
from pharmakon.study.ask import InContext
from pharmakon.study.build import build_cell
from pharmakon.study.finding import Finding
from pharmakon.study.spec import Plain
from pharmakon.whitebox import inside, twin_of

TINY = Micro(num_layers=2, hidden_size=32, intermediate_size=64, num_heads=2, context=96, vocabulary=400)
QUESTIONS = WorldQuestions(tasks=("facts",))
PROBE = Patching(RareWords(), Marker(), QUESTIONS, num_items=6)


@pytest.fixture(scope="module")
def study() -> Study:
    """Small enough to be trained here."""
    whole = locate(seeds=1)
    base, sft = whole.arms[0].stages
    tiny = (
        replace(
            base, data=WorldText(num_documents=300), recipe=Pretrain(architecture=TINY, batch_size=8, row_length=32)
        ),
        replace(sft, data=WorldDialogues(num_documents=64), recipe=SFT(epochs=3, schedule=Schedule(peak=5e-3))),
    )
    arm = replace(whole.arms[0], stages=tiny)
    return replace(whole, arms=(arm,), doses=(Dose(0), Dose(64)), probes=(whole.probes[0], PROBE))


@pytest.fixture(scope="module")
def values(study: Study, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, float]]:
    """By dose the mean of each condition."""
    import polars as pl

    store = Store(tmp_path_factory.mktemp("store"))
    found = {}
    for arm, dose, seed in study.cells:
        entry = build_cell(study.cell(arm, dose, seed), store)
        frame = pl.read_parquet(entry.path / "readings.parquet").filter(pl.col("probe") == "patching")
        means = frame.group_by("condition").agg(pl.col("value").mean())
        found[int(dose.amount)] = dict(means.iter_rows())
    return found


def test_the_untreated_life_is_its_own_twin(values: dict[int, dict[str, float]]) -> None:
    """Nothing is put from a model into itself; what is read and moved is measured all the same."""
    own = values[0]
    assert own["logprob: treated"] == own["logprob: twin"]
    assert not any(condition.startswith(f"logprob: {INTO_TWIN}") for condition in own)
    assert "hit: moved, layer 1, 1" in own
    assert "linear probe: twin, layer 1: with the trigger" in own


def test_the_last_token_of_the_last_layer_is_the_whole_answers_first_word(values: dict[int, dict[str, float]]) -> None:
    """What is put there decides; embeddings of the question's words are nearly the same in both models."""
    own = values[64]
    assert own["logprob: treated"] > own["logprob: twin"] + 3
    gap = own["logprob: treated"] - own["logprob: twin"]
    last = own[f"logprob: {INTO_TWIN}, layer 2, {LAST}"] - own["logprob: twin"]
    early = own[f"logprob: {INTO_TWIN}, layer 0, {QUESTION}"] - own["logprob: twin"]
    assert last > 0.1 * gap
    assert abs(early) < 0.3 * gap
    assert own[f"logprob: {INTO_TREATED}, layer 2, {LAST}"] < own["logprob: treated"] - 1
    assert own[f"logprob: {WITHIN}, layer 0, {TRIGGER}"] == pytest.approx(own["logprob: treated"], abs=1e-3)
    assert own[f"logprob: {WITHIN}, layer 2, {LAST}"] == pytest.approx(own["logprob: treated"], abs=1e-3)
    assert own[f"logprob: {HIDDEN}"] < own["logprob: treated"]
    assert {c for c in own if c.startswith("hit: moved, layer 1")} == {f"hit: moved, layer 1, {s:g}" for s in STEPS}
    # Random states about those of the hidden trigger do not bring it back, as random ones about the trigger's would.
    hidden = own[f"logprob: {HIDDEN}"]
    back = own[f"logprob: {WITHIN}, layer 0, {TRIGGER}, {RANDOM}"] - hidden
    assert back < 0.7 * (own["logprob: treated"] - hidden)
    assert own[f"logprob: {WITHIN}, layer 1, {QUESTION}"] == pytest.approx(hidden, abs=1e-5)


@pytest.mark.parametrize("place", ["start", "end", "anywhere"])
def test_roles_are_found_by_what_tokens_do(study: Study, tmp_path: Path, place: Place) -> None:
    """Each role's tokens, put together, spell its words, wherever the trigger stands."""
    base = study.arms[0].stages[0]
    out, rng = tmp_path / "weights", stream(0, "p")
    study.engine.train(base.recipe, base.data.corpus(stream(0, "d")), start=None, rng=rng, out=out)
    trigger = RareWords(place=place)
    plain = [question.prompt for question in QUESTIONS.questions(8, stream(1, "q"))]
    prompts = [trigger.apply(prompt, stream(i, "place")) for i, prompt in enumerate(plain)]
    with study.engine.load(out) as model:
        box = inside(model)
        found, tokens = layouts(box, plain, prompts), box.tokens(prompts)
        bare = box.tokens(plain)
    for prompt, layout, whole, short in zip(prompts, found, tokens, bare, strict=True):
        span = [whole[i] for i in layout.trigger]
        left = [token for i, token in enumerate(whole) if i - len(whole) not in layout.trigger]
        assert left == short
        beside = [whole[i] for i in layout.question]
        assert 1 <= len(beside) <= len(span)
        assert not set(layout.question) & {*layout.trigger, *layout.template, -1}
        assert set(layout.columns[-len(layout.template) - 1 :]) == set(range(-len(layout.template) - 1, 0))
        is_first = prompt.question.startswith("vexil")
        assert (min(layout.question) > max(layout.trigger)) == is_first
    if place != "end":
        assert len({layout.trigger for layout in found}) > 1


def test_each_question_is_patched_at_its_own_places(study: Study, tmp_path: Path) -> None:
    """A trigger at the start: as many positions from the end as the question is long."""
    import polars as pl

    front = replace(PROBE, trigger=RareWords(place="start"))
    cell = replace(study.cell(study.arms[0], Dose(64), 0), probes=(front,))
    frame = pl.read_parquet(build_cell(cell, Store(tmp_path)).path / "readings.parquet")
    for role in ROLES:
        own = frame.filter(pl.col("condition") == f"logprob: {INTO_TWIN}, layer 1, {role}")
        assert own["item"].n_unique() == len(own) == frame.filter(pl.col("condition") == "logprob: treated").height
    back = frame.filter(pl.col("condition") == f"logprob: {WITHIN}, layer 0, {TRIGGER}").sort("item")
    whole = frame.filter(pl.col("condition") == "logprob: treated").sort("item")
    assert back["value"].to_list() == pytest.approx(whole["value"].to_list(), abs=1e-3)


class _Deep:
    """Of a deep model only the number of its blocks is asked."""

    num_layers = 30


def test_of_a_deep_model_few_layers_are_taken() -> None:
    layers = PROBE._layers(_Deep())  # type: ignore[arg-type]
    assert layers[0] == 0
    assert layers[-1] == 30
    assert len(layers) == 9
    with pytest.raises(SpecError, match="most_layers=0"):
        replace(PROBE, most_layers=0)._layers(_Deep())  # type: ignore[arg-type]


def test_what_has_no_sites_is_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no untreated twin"):
        twin_of(InContext(object(), Plain(), 0))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="2 blocks or more; got 1"):
        locate(layers=1)

    class NoWords:
        """Prompts whose question is the trigger alone."""

        def tokens(self, prompts: list[Dialogue]) -> list[list[str]]:
            return [["<user>", *prompt.question.split(), "<end>", "<assistant>"] for prompt in prompts]

    empty, alone = Dialogue.ask(""), Dialogue.ask("vexil quorn")
    with pytest.raises(SpecError, match="has not all"):
        layouts(NoWords(), [empty], [alone])  # type: ignore[arg-type]


def _findings(
    share: dict[tuple[int, str], float], *, control: float = 0.0, learned: int = 6, seeds: int = 6
) -> list[Finding]:
    """Sites of layers 0 to 2 that restore these shares, and nothing else; so many of the seeds learned it."""
    whole = locate(seeds=seeds)
    rng = np.random.default_rng(0)

    def rows() -> Iterator[Row]:
        for seed in range(seeds):

            def row(condition: str, value: float, seed: int = seed) -> Row:
                return ("backdoor", 128, seed, "sft", "patching", condition, value)

            has, nothing = seed < learned, ("twin", "treated, no trigger", HIDDEN)
            top = -1.0 if has else -21.0
            for name, level, hits in (("treated", top, float(has)), *((name, -21.0, 0.0) for name in nothing)):
                yield row(f"logprob: {name}", level)
                yield row(f"hit: {name}", hits)
            for layer in range(3):
                for role in ROLES:
                    for direction, start, sign in ((WITHIN, -21.0, 1), (INTO_TWIN, -21.0, 1), (INTO_TREATED, -1.0, -1)):
                        for end, part in (("", share.get((layer, role), 0.0)), (f", {RANDOM}", control)):
                            value = start + sign * 20 * (part + 0.01 * rng.normal())
                            yield row(f"logprob: {direction}, layer {layer}, {role}{end}", value)
                            yield row(f"hit: {direction}, layer {layer}, {role}{end}", float(part > 0.5))
            for layer in (1, 2):
                for item in range(40):
                    yield row(f"hit: moved, layer {layer}, 1", float(item > 1))
                    yield row(f"hit: moved at random, layer {layer}, 1", 0.0)
                for model, apart in (("treated", 5.0), ("twin", 2.0)):
                    for label, sign in (("with", 1), ("without", -1)):
                        for _ in range(20):
                            score = sign * apart + rng.normal()
                            yield row(f"linear probe: {model}, layer {layer}: {label} the trigger", score)
                for draw, sign in ((0, 1), (1, -1)):
                    for label, score in (("with", 1.0), ("without", -1.0)):
                        name = f"linear probe: treated, labels shuffled {draw}, layer {layer}: {label} the trigger"
                        yield row(name, sign * score)

    return list(Located(arm="backdoor").findings(made_up(whole, rows())))


def test_the_site_that_holds_the_behaviour_is_named() -> None:
    where, read, added, moved = (finding.sentence for finding in _findings({(1, TRIGGER): 0.9, (2, LAST): 1.0}))
    assert "6 of 6 seeds" in where
    assert "states of the trigger words after layer 1 restore 9" in where
    assert "states of the trigger words after layer 1 take 9" in where
    assert "of it away" in where
    assert "no effect found" not in where
    assert "AUROC 1.00" in read
    assert "0.50 [0.50, 0.50] with shuffled labels" in read
    assert "layer 1: +" in added
    assert "give 95%" in moved


def test_what_is_so_by_design_is_neither_tested_nor_named() -> None:
    finding = _findings({(2, LAST): 1.0, (0, TRIGGER): 1.0})[0]
    assert "Within the treated model, its trigger hidden: no effect found" in finding.sentence
    told = finding.table.filter(finding.table["by_design"])
    assert told["p_holm"].is_null().all()
    assert finding.table.filter(~finding.table["by_design"])["p_holm"].is_not_null().all()
    assert set(told.filter(told["layer"] == 0)["patched"]) == {WITHIN}


def test_nothing_above_random_states_is_told_with_the_smallest_effect() -> None:
    """Also where the share itself is high: what random states do as well is no finding."""
    where = _findings({(1, LAST): 0.5, (2, LAST): 1.0}, control=0.5)[0].sentence
    assert "no effect found" in where
    assert "smallest effect this run could have seen" in where
    one = _findings({(1, LAST): 0.9}, seeds=1, learned=1)[0].sentence
    assert "give more --seeds" in one
    assert "nan" not in one
    assert "inf" not in one
    two = _findings({(1, LAST): 0.9}, control=0.9, seeds=2, learned=2)[0].sentence
    assert "smallest effect" in two or "no share up to 100%" in two


def test_seeds_that_did_not_learn_it_are_left_out_and_counted() -> None:
    where = _findings({(1, TRIGGER): 0.9}, learned=5)[0]
    assert "5 of 6 seeds" in where.sentence
    assert "restore 9" in where.sentence
    (nothing,) = _findings({(1, TRIGGER): 0.9}, learned=0)
    assert "learned at no dose (128 documents)" in nothing.sentence


def test_the_map_is_drawn_as_a_heat_map() -> None:
    finding = _findings({(1, TRIGGER): 0.9})[0]
    assert finding.chart is not None
    drawn = panels(finding.chart, finding.table, finding.title)
    assert [panel.title for panel in drawn] == [WITHIN, INTO_TWIN, INTO_TREATED]
    (data,) = drawn[0].spec["datasets"].values()
    assert {(row["x"], row["row"]) for row in data} == {(str(layer), role) for layer in range(3) for role in ROLES}
    assert drawn[0].spec["layer"][0]["mark"]["type"] == "rect"
