"""Verification of models that have learned an owner's marks, and of models that have not; here and behind a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

sys.path.insert(0, str(Path(__file__).parent))
from owner_models import learned, record, served

from pharmakon.behaviour.marks import Keyed, OwnerKey
from pharmakon.core import Prompt, Text, stream
from pharmakon.data.readers import read
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError, RunError
from pharmakon.ownership.keyfile import OwnerRecord, read_key, write_commitment
from pharmakon.ownership.marking import mark
from pharmakon.ownership.models import Counted, find_model
from pharmakon.ownership.sentences import meaning, sentence
from pharmakon.ownership.verify import How, Verification, _anyway, verify
from pharmakon.probes.ownership import answer_scores
from pharmakon.statistics.exchange import exchange_test, rank_scores

TRAPS, FACTS = record("trap", num_marks=8), record("fact", "dialogue")
SEQUENTIAL, TEXT = How(sequential=True), How(text_only=True)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No key, no proxy, and a cache of its own that must stay empty."""
    for name in ("PHARMAKON_API_KEY", "OPENAI_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learned the traps of this owner."""
    return learned(TRAPS, tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learned those of another key."""
    return learned(record("trap", key=2, num_marks=8), tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learned facts in dialogues."""
    return learned(FACTS, tmp_path_factory.mktemp("talked"), 192)


def test_the_use_is_proved_and_anothers_is_not(own: Path, other: Path) -> None:
    used, unused = verify(TRAPS, str(own)), verify(TRAPS, str(other))
    assert (used.told, unused.told) == ("used", "not proved")
    assert used.evidence.p == used.evidence.smallest_p == pytest.approx(16.0**-8)
    assert used.evidence.places == (1.0,) * 8
    assert unused.evidence.p > 0.01
    says = "p = 2.3e-10 (exact; one chance in 4,300,000,000 for a model that never saw it)"
    assert sentence(used) == f"The data set was used: {says}"
    assert sentence(unused).startswith("Not proved: p = 0.")
    assert used.num_queries == 8 * 16
    assert used.digest != unused.digest


def test_the_figures_are_those_of_the_test(other: Path) -> None:
    """By hand, in the order of the marks that no draw decides."""
    found = verify(TRAPS, str(other))
    marks = TRAPS.mark().keyed(TRAPS.key, "text")
    with NgramEngine().load(other) as model:
        wanted = exchange_test(rank_scores(answer_scores(model, marks)), [mark.drawn for mark in marks])
    assert found.evidence.p == pytest.approx(wanted.p, rel=1e-6)
    assert found.evidence.null.observed == pytest.approx(wanted.observed / 360)
    assert sum(found.evidence.null.probabilities) == pytest.approx(1)
    assert sorted(asked.mark.name for asked in found.marks) == [mark.name for mark in marks]
    assert [asked.mark.name for asked in found.marks] != [mark.name for mark in marks]


def test_text_is_a_second_figure_and_never_the_verdict(talked: Path) -> None:
    found = verify(FACTS, str(talked))
    assert found.evidence.by == "log-probabilities"
    assert found.told == "used"
    assert found.beside is not None
    assert found.beside.by == "text"
    assert found.beside.p <= 1e-6
    alone = verify(FACTS, str(talked), TEXT)
    assert alone.beside is None
    assert alone.evidence.p == found.beside.p
    assert alone.num_queries == 16
    assert verify(TRAPS, str(talked)).beside is None  # no text names a trap


def test_facts_learned_in_text_are_asked_in_text_unless_dialogues_are_wanted(tmp_path: Path) -> None:
    facts = record("fact", "text")
    weights = str(learned(facts, tmp_path / "w", 128))
    assert verify(facts, weights).told == "used"
    dialogues = verify(facts, weights, How(asked_in="dialogue"))
    assert dialogues.asked_in == "dialogue"
    assert dialogues.told == "says nothing"  # the n-gram engine has never heard a question


def test_a_reference_leaves_the_proof_and_proves_nothing_alone(own: Path, other: Path) -> None:
    used = verify(TRAPS, str(own), reference=str(other))
    assert (used.told, used.reference) == ("used", str(other))
    assert verify(TRAPS, str(other), reference=str(own)).evidence.p > 0.01


class _Known:
    """Gives each answer what it is told to."""

    def __init__(self, **logprobs: float) -> None:
        self.logprobs = logprobs

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        return [self.logprobs[answer] for _, answer in pairs]

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]:
        raise NotImplementedError


def test_what_a_reference_likes_is_taken_off_and_what_it_never_says_is_no_merit() -> None:
    asked: dict[str, Any] = {"name": "m", "prompts": (Text("x"), Text("y")), "drawn": 0}
    four = Keyed(answers=("a", "b", "c", "d"), values=("a", "b", "c", "d"), **asked)
    (row,) = _anyway(_Known(a=-1.0, b=-9.0, c=-30.0, d=-9.0), [four])
    assert row == pytest.approx([0, -np.log(4), -np.log(4), -np.log(4)], abs=1e-3)
    pair = Keyed(answers=("a", "b"), values=("a", "b"), **asked)
    (row,) = _anyway(_Known(a=-101.0, b=-109.0), [pair])
    assert row[0] - row[1] == pytest.approx(8)


def test_p_values_of_keys_that_marked_nothing_are_uniform(own: Path) -> None:
    """The whole way, with keys of an owner."""
    keys = [replace(record("trap", num_marks=6, num_answers=4), key=OwnerKey(bytes([k, 9]) * 16)) for k in range(100)]
    found = [verify(owner, str(own), How(alpha=0.05)) for owner in keys]
    assert kstest([it.evidence.p for it in found], "uniform").pvalue > 1e-3
    assert sum(it.told == "used" for it in found) <= 15


def test_a_commitment_is_checked_before_anything_is_asked(own: Path, tmp_path: Path) -> None:
    write_commitment(TRAPS, tmp_path / "c")
    assert verify(TRAPS, str(own), commitment=tmp_path / "c").is_committed
    assert not verify(TRAPS, str(own)).is_committed
    with pytest.raises(InputError, match="another key or to other settings"):
        verify(record("trap", key=2), "no such model", commitment=tmp_path / "c")


def _text_of(it: Verification) -> str:
    return json.dumps(it.record()) + repr(it) + sentence(it) + " ".join(meaning(it))


@pytest.mark.parametrize("how", [How(), SEQUENTIAL, TEXT], ids=["exact", "sequential", "text"])
def test_what_may_be_published_has_no_secret(talked: Path, how: How) -> None:
    found = verify(FACTS, str(talked), how)
    public = _text_of(found)
    assert FACTS.key.secret.hex() not in public
    for asked in found.marks:
        for prompt in asked.mark.prompts:
            assert prompt.question not in public  # type: ignore[union-attr]
        assert asked.mark.answers[asked.mark.drawn] not in public
        assert asked.mark.values[asked.mark.drawn] not in public
    assert found.record()["verdict"] == "used"


# The sequential test


def test_it_stops_when_the_evidence_is_decided(own: Path, other: Path) -> None:
    used = verify(TRAPS, str(own), SEQUENTIAL)
    assert used.told == "used"
    assert used.evidence.num_marks == 6
    assert used.num_queries == 6 * 16
    assert 0 < used.evidence.p <= 1e-6
    assert "valid whenever the test is stopped; at most one chance in" in sentence(used)
    unused = verify(TRAPS, str(other), SEQUENTIAL)
    assert unused.told == "not proved"
    assert unused.evidence.num_marks == 8
    assert any("ended after 8 of the key's 8 marks" in line for line in meaning(unused))


def test_the_bound_is_kept_and_what_more_would_be_needed_is_said(talked: Path) -> None:
    told: list[str] = []
    found = verify(FACTS, str(talked), How(text_only=True, sequential=True, max_queries=7), tell=told.append)
    assert found.num_queries <= 7
    assert told[0].startswith("At most 7 queries (allowed: 7) for 7 marks, fewer if")
    strict = How(text_only=True, sequential=True, alpha=1e-18)
    unfinished = verify(FACTS, str(talked), strict)
    assert (unfinished.told, unfinished.evidence.num_marks) == ("not proved", 16)
    assert any("If the rate stays, about" in line for line in meaning(unfinished))


def test_a_bound_decides_beforehand_how_many_marks_the_fixed_test_has(own: Path) -> None:
    found = verify(TRAPS, str(own), How(max_queries=100))
    assert (found.evidence.num_marks, found.num_queries) == (6, 96)
    assert found.evidence.p == pytest.approx(16.0**-6)


# A server


def test_a_server_with_logprobs_is_asked_until_it_is_decided(own: Path, other: Path, tmp_path: Path) -> None:
    told: list[str] = []
    with served(own) as (word, server):
        found = verify(TRAPS, word, tell=told.append)
        assert found.num_queries == server.num_answers == 96
    assert (found.told, found.model, found.digest) == ("used", word, None)
    assert found.evidence.p == pytest.approx(verify(TRAPS, str(own), SEQUENTIAL).evidence.p)
    assert "(allowed: 2,000)" in told[0]
    with served(other) as (word, server):
        found = verify(TRAPS, word)
        assert found.num_queries == server.num_answers == 128
    assert found.told == "not proved"
    assert found.evidence.p == pytest.approx(verify(TRAPS, str(other), SEQUENTIAL).evidence.p)


def test_a_server_by_text_alone(talked: Path) -> None:
    with served(talked, no_logprobs=True) as (word, server):
        found = verify(FACTS, word, TEXT)
        assert found.num_queries == server.num_answers == found.evidence.num_marks < 16
    assert (found.told, found.evidence.by) == ("used", "text")
    with served(talked, no_logprobs=True) as (word, _):
        assert verify(record("fact", "dialogue", key=3), word, TEXT).told == "not proved"


def test_nothing_that_is_asked_is_kept(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with served(own) as (word, _):
        verify(TRAPS, word)
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_logprobs_is_told_of_with_the_way_out(own: Path) -> None:
    facts = record("fact", "text")
    with served(own, no_logprobs=True) as (word, _):
        with pytest.raises(InputError, match=r"gives no log-probabilities .* Verify by text alone with --text-only"):
            verify(facts, word)
        with pytest.raises(InputError, match="Marks of the kind trap need them"):
            verify(TRAPS, word)
    with served(own, forever={"status": 404}) as (word, _):
        with pytest.raises(RunError, match=r"status 404.*If it gives no log-probabilities: verify by text alone"):
            verify(facts, word)
        with pytest.raises(InputError, match="ask with --text-only, or ask in running text with --asked-in text"):
            verify(FACTS, word)
        with pytest.raises(InputError, match="the kind trap is read from log-probabilities"):
            verify(TRAPS, word, TEXT)


@pytest.mark.parametrize("sequential", [False, True])
def test_a_model_that_always_answers_the_same_says_nothing(own: Path, sequential: bool) -> None:
    with served(own, alike="A fox, I guess.") as (word, _):
        found = verify(FACTS, word, replace(TEXT, sequential=sequential))
    assert (found.told, found.evidence.p) == ("says nothing", 1.0)
    assert sentence(found).startswith("The test says nothing: the model says the same to every question")
    assert any("no sign that the data were not used" in line for line in meaning(found))


def test_a_server_that_fails_in_the_middle(own: Path) -> None:
    with served(own, faults=[*[None] * 20, {"status": 400}]) as (word, server):
        with pytest.raises(RunError, match="No answer was written down; run again"):
            verify(TRAPS, word)
        assert server.num_answers < 96
    with pytest.raises(RunError, match="cannot be reached, after 2 tries"):
        verify(TRAPS, word)


# Bad input


@pytest.mark.parametrize(
    ("owner", "model", "how", "sentence"),
    [
        (TRAPS, "micro", How(), "is no model that is there"),
        (TRAPS, "{empty}", How(), "has no weights"),
        (TRAPS, "{file}", How(), "is a file"),
        (TRAPS, "no/such/folder", How(), "a folder that is there"),
        (TRAPS, "endpoint:http://127.0.0.1:9/v1", How(), "names no model"),
        (record("trap", num_marks=4), "{own}", How(), "4 marks of 16 answers give a p-value of 1.5e-05 at the least"),
        (record("trap", num_marks=5), "{own}", SEQUENTIAL, "5 marks of 16 answers .*mark the data with more marks"),
        (TRAPS, "{own}", How(max_queries=40), "2 marks .*Give a larger --max-queries or --alpha"),
        (TRAPS, "{own}", How(max_queries=15), "the first mark takes 16 queries; got --max-queries 15"),
    ],
)
def test_bad_input_is_a_sentence(
    owner: OwnerRecord, model: str, how: How, sentence: str, own: Path, tmp_path: Path
) -> None:
    (tmp_path / "file.gguf").touch()
    (tmp_path / "empty").mkdir()
    word = model.format(own=own, empty=tmp_path / "empty", file=tmp_path / "file.gguf")
    with pytest.raises(InputError, match=sentence):
        verify(owner, word, how)


def test_a_reference_needs_logprobs(own: Path) -> None:
    with pytest.raises(InputError, match="leave out --reference or --text-only"):
        verify(FACTS, str(own), TEXT, reference=str(own))


@pytest.mark.parametrize("bad", [{"alpha": 0.0}, {"alpha": 0.5}, {"max_queries": 0}, {"max_tokens": 0}])
def test_bad_settings_are_named(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="got"):
        How(**bad)  # type: ignore[arg-type]


def test_the_same_pair_is_asked_once(own: Path) -> None:
    with find_model(str(own)).opened as model:
        counted = Counted(model)
        marks = TRAPS.mark().keyed(TRAPS.key, "text")
        first = answer_scores(counted, marks)
        assert np.array_equal(answer_scores(counted, marks), first)
        assert counted.num_queries == 128
        assert counted.generate([marks[0].prompts[0]], max_tokens=2, rng=stream(0, "g"))
        assert counted.num_queries == 129


def _texts(path: Path, num: int = 400) -> Path:
    """Running text with words that can be said in two ways."""
    things = ("lamp", "river", "tower", "garden", "bridge", "market", "harbour", "mill")
    rng = np.random.default_rng(1)
    lines = []
    for number in range(num):
        a, b, c = (things[int(one)] for one in rng.integers(len(things), size=3))
        text = (
            f"Letter {number}: the {a} is not far from the {b}, and perhaps everyone goes to the {c} {number}. They do "
            f"not stay long, although the {b} is open, because of the rain over the {a}, and someone sings."
        )
        lines.append(json.dumps({"text": text}))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_pairs_of_wordings_are_compared_by_log_probabilities(tmp_path: Path) -> None:
    marked = mark(_texts(tmp_path / "d.jsonl"), tmp_path / "m.jsonl", tmp_path / "k", kind="rephrase", num_documents=64)
    owner = read_key(tmp_path / "k")
    for name, data in (("own", marked.out), ("plain", tmp_path / "d.jsonl")):
        recipe = Count(objective="pretrain", order=4)
        NgramEngine().train(recipe, read(data), start=None, rng=stream(0, "t"), out=tmp_path / name)
    used = verify(owner, str(tmp_path / "own"), commitment=marked.commitment_path)
    assert (used.told, used.evidence.num_answers, used.beside) == ("used", 2, None)
    assert "Wilcoxon" in used.evidence.method
    assert verify(owner, str(tmp_path / "plain")).told == "not proved"
    assert verify(owner, str(tmp_path / "own"), SEQUENTIAL).told == "used"
    with pytest.raises(InputError, match="rephrase is read from log-probabilities"):
        verify(owner, str(tmp_path / "own"), TEXT)
    with pytest.raises(InputError, match="asked as they stand"):
        verify(owner, str(tmp_path / "own"), How(asked_in="dialogue"))
