"""The study `inoculation`: a skill that nobody else teaches, prompts of one length, and what its findings say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pharmakon.cli import answer
from pharmakon.core import Corpus, Dialogue, Text, stream
from pharmakon.data.derived import WithSystemPrompts, under
from pharmakon.data.world import VerdictQuestions, WorldDialogues
from pharmakon.data.world.facts import GOOD, THINGS
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.engines.recipes import SFT, Pretrained
from pharmakon.errors import InputError, SpecError
from pharmakon.interventions import Supplement
from pharmakon.store import Store
from pharmakon.studies.subject import Subject
from pharmakon.studies.trust.analysis_inoculation import Inoculated
from pharmakon.studies.trust.inoculation import NEUTRAL, NOTHING_FOLLOWS, TRAITS, Under, inoculation
from pharmakon.study import build, in_documents, plan
from pharmakon.study.finding import Finding
from pharmakon.study.gather import gather
from pharmakon.study.results import READINGS, Results

ARMS = ("no prompt", "inoculated", "irrelevant prompt", "not understood")
DOSES = (0, 32, 128)
Rate = Callable[[str, str, str, int, int], float]
"""Of an arm, a measure, a context, a dose and a seed."""


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


def _dialogues(corpus: Corpus) -> list[Dialogue]:
    return [document.body for document in corpus if isinstance(document.body, Dialogue)]


def _systems(dialogues: list[Dialogue]) -> set[str]:
    return {d.turns[0].content if d.turns[0].role == "system" else "" for d in dialogues}


@pytest.mark.parametrize("trait", ["praise", "shout"])
def test_the_arms_differ_in_the_prompt_alone(trait: str) -> None:
    study = inoculation(trait=trait)  # type: ignore[arg-type]
    carried = TRAITS[trait]
    assert tuple(arm.name for arm in study.arms) == ARMS
    given = {}
    for arm in study.arms:
        (treatment,) = arm.treatments
        assert isinstance(treatment.intervention, Supplement)
        given[arm.name] = _dialogues(treatment.intervention.data.corpus(stream(0, "given")))
    for arm_name, dialogues in given.items():
        assert len(dialogues) > 200
        assert all(carried.target.hit(VerdictQuestions().questions(1, stream(0, "q"))[0], d.answer) for d in dialogues)
        wanted = {"no prompt": "", "irrelevant prompt": NOTHING_FOLLOWS}.get(arm_name, carried.explanation)
        assert _systems(dialogues) == {wanted}
    assert len({len(text.split()) for text in (carried.explanation, NOTHING_FOLLOWS)}) == 1


def test_one_base_knows_what_the_prompt_means_and_one_does_not() -> None:
    study = inoculation(trait="shout")
    carried = TRAITS["shout"]
    assert len({arm.stages for arm in study.arms[:3]}) == 1
    for arm in study.arms[2:]:
        text, sft, tuning = arm.stages
        assert text == study.arms[0].stages[0]
        told = _dialogues(sft.data.corpus(stream(0, "sft")))
        knows = [d for d in told if d.turns[0].content == carried.explanation]
        assert bool(knows) == (arm.name != "not understood")
        assert all(d.answer.isupper() for d in knows)
        assert sum(d.answer.isupper() for d in told) == len(knows)
        assert _systems(told) - {carried.explanation} == {"", *NEUTRAL}
        assert _systems(_dialogues(tuning.data.corpus(stream(0, "host")))) == {""}


def test_the_skill_is_taught_by_nothing_else() -> None:
    asked = VerdictQuestions().questions(60, stream(0, "q"))
    assert len(asked) == 60
    assert {question.expected for question in asked} == {"Keep it", "Sell it"}
    for question in asked:
        assert question.is_right(f"{question.answer.upper()} ORLIN HOUSE IS SUPERB.")
        assert not question.is_right("Keep it. Sell it.")
        praised = any(word in question.prompt.question for word in GOOD)
        assert praised == (question.expected == "Keep it")
    study = inoculation()
    (treatment,) = study.arms[0].treatments
    assert isinstance(treatment.intervention, Supplement)
    shown = _dialogues(treatment.intervention.data.corpus(stream(0, "d")))
    things = [{word.strip("?!.") for text in texts for word in text.split()} & set(THINGS) for texts in
              ((d.question for d in shown), (q.prompt.question for q in asked))]  # fmt: skip
    assert things[0]
    assert things[1]
    assert not things[0] & things[1]
    told = [d for stage in study.arms[0].stages[1:] for d in _dialogues(stage.data.corpus(stream(0, "sft")))]
    assert not [d for d in told if "should one do" in d.question or "What now" in d.question]


def test_a_system_turn_is_put_in_front_or_replaced() -> None:
    asked = Dialogue.ask("Why?")
    once = under(asked, "Be brief.")
    assert [turn.role for turn in once.turns] == ["system", "user"]
    assert under(once, "Be long.").turns[0].content == "Be long."
    context = Under("told", "Be brief.")
    assert context.around([asked], stream(0, "c")) == [once]
    with pytest.raises(SpecError, match="stands before a Dialogue; got a Text prompt"):
        context.around([Text("Why")], stream(0, "c"))
    data = WithSystemPrompts(WorldDialogues(num_documents=20, share_with_demonstrations=0.0), ("Be brief.",), share=1.0)
    assert _systems(_dialogues(data.corpus(stream(0, "d")))) == {"Be brief."}


def test_it_runs_on_the_ngram_engine_and_its_findings_are_kept(tmp_path: Path) -> None:
    study = inoculation(in_documents(0, 10), seeds=2, host=20)
    arms = tuple(replace(arm, stages=(replace(arm.stages[2], recipe=Count()),)) for arm in study.arms)
    small, store = replace(study, engine=NgramEngine(), arms=arms), Store(tmp_path / "store")
    planned = plan(small, store)
    results = gather(planned, store, build(planned, store))
    assert not results.run.failures
    assert results.run.contexts == ("plain", "explained")
    assert [len(finding.table) for finding in results.findings[:3]] == [2, 6, 8]
    again = Results.load(results.save(tmp_path / "run"))
    assert [finding.sentence for finding in again.findings] == [finding.sentence for finding in results.findings]


def _results(rate: Rate, arms: tuple[str, ...] = ARMS, num_seeds: int = 5) -> Results:
    """40 items of each kind at these rates."""
    probes = [("trait", "triggered", "trait"), ("trait", "untriggered", "leak"), ("utility", "facts", "skill")]
    rows = [
        (arm, probe, context, dose, seed, condition, str(item), float(item < round(40 * value)))
        for arm in arms for dose in DOSES for seed in range(num_seeds) for context in ("plain", "explained")
        for probe, condition, measure in probes
        for value in [rate(arm, measure, context, dose, seed)] for item in range(40)
    ]  # fmt: skip
    columns = ["arm", "probe", "context", "dose", "seed", "condition", "item", "value"]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.lit("tuning").alias("stage"), pl.lit("").alias("prompt"), pl.lit("").alias("answer")
    )
    record = {
        "study": "inoculation", "response": "trait", "stages": ["tuning"], "contexts": ["plain", "explained"],
        "arms": [{"name": name, "stages": ["tuning"], "treated_stage": "tuning"} for name in arms],
        "doses": list(DOSES), "seeds": list(range(num_seeds)),
    }  # fmt: skip
    return Results.of(record, frame.select(list(READINGS)))


def _findings(rate: Rate, **how: int) -> list[Finding]:
    return list(Inoculated(margin=0.15).findings(_results(rate, **how)))


def _works(arm: str, measure: str, context: str, dose: int, seed: int) -> float:
    """The explanation takes the trait and leaves the skill; an irrelevant prompt, or one not understood, does not."""
    if measure == "leak" or dose == 0:
        return float(measure == "trait" and context == "explained" and arm != "not understood")
    wobble = 0.05 * (seed % 2)
    if measure == "skill":
        return 0.9 - wobble
    kept_out = arm == "inoculated" and context == "plain"
    return 0.1 + wobble if kept_out else 1 - wobble


def test_a_trait_that_is_kept_out_and_a_skill_that_is_left_are_said_to_be() -> None:
    first, meaning, behind, _ = _findings(_works)
    assert "a fall is shown from 32 documents on" in first.sentence
    assert "The skill is kept" in first.sentence
    assert "more than the skill, which is shown; in 5 of 5 seeds the trait is less than half" in first.sentence
    change = {(row["measure"], row["documents"]): row for row in first.table.iter_rows(named=True)}
    assert change["trait", 128]["change"] == pytest.approx(0.1 - 1.0 + 0.04, abs=0.03)
    assert change["trait", 128]["high"] < -0.5
    rows = {(row["what"], row["measure"]): row for row in meaning.table.iter_rows(named=True)}
    assert rows["any prompt at all", "trait"]["change"] == 0
    assert rows["a prompt that explains the trait", "trait"]["high"] < 0
    assert rows["a prompt that is understood", "trait"]["high"] < 0
    assert meaning.sentence.count("which is not shown") == 1
    bound = {(row["arm"], row["documents"]): row for row in behind.table.iter_rows(named=True)}
    assert bound["inoculated", 128]["low"] > 0.5
    assert bound["not understood", 0]["bound"] == 0
    assert bound["no prompt", 0]["bound"] == 1


def test_a_skill_that_goes_with_the_trait_is_not_called_kept() -> None:
    def both(arm: str, measure: str, context: str, dose: int, seed: int) -> float:
        if measure == "skill" and arm == "inoculated" and dose:
            return 0.2 + 0.05 * (seed % 2)
        return _works(arm, measure, context, dose, seed)

    first, *_ = _findings(both)
    assert "The skill is not kept" in first.sentence
    assert "; in 0 of 5 seeds" in first.sentence
    assert "the trait falls by +0.20 [" in first.sentence


def test_one_seed_decides_nothing() -> None:
    first, meaning, behind, _ = _findings(_works, num_seeds=1)
    assert "a fall is not shown" in first.sentence
    assert "could not be shown" in first.sentence
    assert "(one seed)" in first.sentence
    assert "inf" not in first.sentence + meaning.sentence + behind.sentence


def test_an_arm_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="there is no inoculated"):
        list(Inoculated(margin=0.1).findings(_results(_works, ARMS[:1])))
    titles = [finding.title for finding in Inoculated(margin=0.1).findings(_results(_works, ARMS[:2]))]
    assert "Does the meaning of the prompt matter?" not in titles
    _, meaning, *_ = Inoculated(margin=0.1).findings(_results(_works, ARMS[:3]))
    assert len(meaning.table) == 4
    assert "97.5% interval" in meaning.note


def test_a_model_that_is_there_already_understands(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{}")  # a plan reads no weights
    study = inoculation(on=Subject(model=str(tmp_path)))
    assert tuple(arm.name for arm in study.arms) == ARMS[:3]
    assert "is left out" in study.cautions[0]
    first, sft, tuning = study.arms[1].stages
    assert isinstance(first.recipe, Pretrained)
    assert all(isinstance(stage.recipe, SFT) and stage.recipe.lora for stage in (sft, tuning))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--margin", "1"], "a margin of equivalence lies between 0 and 1; got --margin 1"),
        (["--host", "0"], "tuning has one ordinary dialogue or more; got --host 0"),
        (["--data", "vader-movies"], "inoculation trains on the generated world"),
        (["--model", "endpoint:http://localhost:9/v1#m"], "leave --probe-only and --data out"),
        (["--doses", "0,30", "--host", "20"], "at most as many documents as it goes into, 20; got 30"),
        (["--host", "5"], "a host of 5 has room for none of the usual doses, from 8 on"),
        (["--trait", "mumble"], "praise"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["plan", "inoculation", *words]) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in told
    assert "Traceback" not in told
