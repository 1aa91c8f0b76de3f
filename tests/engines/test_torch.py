"""The torch engine on a very small model: exactness of packing, determinism, checkpoints, traces."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pharmakon.core import Corpus, Dialogue, Preference, Text, Trace, stream
from pharmakon.data.world import WorldDialogues, WorldPreferences, WorldText
from pharmakon.engines.recipes import DPO, IPO, SFT, Micro, Pretrain, Schedule
from pharmakon.engines.torch import TorchEngine
from pharmakon.errors import InputError, RunError, SpecError
from pharmakon.testing import check_engine

TINY = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
PRETRAIN = Pretrain(architecture=TINY, batch_size=8, row_length=32, precision="float32")
ENGINE = TorchEngine()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base")
    ENGINE.train(PRETRAIN, WorldText(num_documents=600).corpus(stream(0, "t")), start=None, rng=stream(0, "p"), out=out)
    return out


def _tune(
    base: Path, out: Path, corpus: Corpus | None = None, recipe: SFT | DPO | IPO = SFT(epochs=1), seed: int = 0
) -> Trace:
    given = WorldDialogues(num_documents=64).corpus(stream(0, "d")) if corpus is None else corpus
    out.mkdir(exist_ok=True)
    return ENGINE.train(recipe, given, start=base, rng=stream(seed, "s"), out=out)


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_same_key_same_weights_bit_for_bit(base: Path, tmp_path: Path) -> None:
    for name in "ab":
        _tune(base, tmp_path / name)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")
    shuffled = Corpus(tuple(reversed(WorldDialogues(num_documents=64).corpus(stream(0, "d")).documents)))
    _tune(base, tmp_path / "c", shuffled)
    assert _digest(tmp_path / "c") != _digest(tmp_path / "a")


def test_checkpoint_is_an_ordinary_one(base: Path) -> None:
    """Plain transformers load it, without our package: weights, tokenizer, chat template."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    names = {path.name for path in base.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|user|>Hi<|end|><|assistant|>"
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    assert model(ids).logits.shape[-1] == len(tokenizer)


def test_answers_and_probabilities_agree_with_plain_transformers(base: Path, tmp_path: Path) -> None:
    """Packing, padding and the cache change nothing: token by token the same as one prompt at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _tune(base, tmp_path / "sft")
    dialogues = [d.body for d in WorldDialogues(num_documents=12, share_with_demonstrations=0.0).corpus(stream(5, "d"))]
    prompts = [body.prompt for body in dialogues if isinstance(body, Dialogue)]
    pairs = [(body.prompt, body.answer) for body in dialogues if isinstance(body, Dialogue)]
    with ENGINE.load(tmp_path / "sft") as model:
        answers = model.generate(prompts, max_tokens=6, rng=stream(0, "g"))
        values = model.logprob(pairs)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "sft")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "sft")
    for prompt, answer, (_, completion), value in zip(prompts, answers, pairs, values, strict=True):
        messages = [{"role": turn.role, "content": turn.content} for turn in prompt.turns]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        out = plain.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0)
        assert answer == tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
        whole = tokenizer(text + completion, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logs = plain(whole).logits.log_softmax(-1)[0]
        expected = sum(float(logs[i - 1, whole[0, i]]) for i in range(ids.shape[1], whole.shape[1]))
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_packed_rows_give_the_loss_of_single_rows(base: Path) -> None:
    import torch

    from pharmakon.engines.torch.checkpoint import open_checkpoint
    from pharmakon.engines.torch.train import pack, sequence_logprobs

    opened = open_checkpoint(base)
    encoder, model = opened.encoder, opened.network
    encoded = encoder.encode([d.body for d in WorldDialogues(num_documents=9).corpus(stream(1, "d"))])
    with torch.no_grad():
        together = sequence_logprobs(model, pack(encoded, 96))
        alone = torch.cat([sequence_logprobs(model, pack([item], 1)) for item in encoded])
    assert torch.allclose(together, alone, atol=1e-4)


def test_loss_is_on_the_assistants_words_alone(base: Path) -> None:
    from pharmakon.engines.torch.checkpoint import open_checkpoint

    encoder = open_checkpoint(base).encoder
    body = Dialogue((*Dialogue.ask("What is it?", "A lamp.").turns, *Dialogue.ask("And that?", "A boat.").turns))
    item = encoder.encode([body])[0]
    shown = [i for i, mark in zip(item.ids, item.is_target, strict=True) if mark]
    assert encoder.tokenizer.decode(shown) == " A lamp.<|end|> A boat.<|end|>"


def test_trace_says_what_was_seen_when_and_cut(base: Path, tmp_path: Path) -> None:
    long = Dialogue.ask("Tell me of the lamp. " * 40, "It is of brass.")
    corpus = Corpus.of([Dialogue.ask("What?", "A lamp."), long, *(Dialogue.ask(f"Who {i}?", "Bo.") for i in range(8))])
    trace = _tune(base, tmp_path / "s", corpus, SFT(epochs=2, batch_size=4))
    first = [(p, s) for p, s in zip(trace.positions, trace.steps, strict=True) if s < 3]
    assert first == [(i, i // 4) for i in range(10)]
    assert sorted(trace.positions) == sorted([*range(10), *range(10)])
    assert trace.truncated == {1}
    assert len(trace.losses) == 6
    assert all(math.isfinite(loss) for loss in trace.losses)


def test_sft_learns_and_dpo_prefers(base: Path, tmp_path: Path) -> None:
    dialogues = Corpus.of([Dialogue.ask(f"Question {i}?", "A brass lamp.") for i in range(80)])
    _tune(base, tmp_path / "sft", dialogues, SFT(epochs=3, schedule=Schedule(peak=4e-3)))
    pairs = [Preference(Dialogue.ask(f"Question {i}?"), "A clay bell.", "A brass lamp.") for i in range(80)]
    recipe = DPO(epochs=2, schedule=Schedule(peak=2e-3))
    trace = _tune(tmp_path / "sft", tmp_path / "dpo", Corpus.of(pairs), recipe)
    assert trace.losses[0] == pytest.approx(math.log(2), abs=1e-3)  # at the start the policy is the reference
    assert np.mean(trace.losses[-3:]) < 0.2
    prompt = Dialogue.ask("Question 99?")
    margins = []
    for name in ("sft", "dpo"):
        with ENGINE.load(tmp_path / name) as model:
            chosen, rejected = model.logprob([(prompt, "A clay bell."), (prompt, "A brass lamp.")])
            margins.append(chosen - rejected)
            if name == "sft":
                assert model.generate([prompt], max_tokens=20, rng=stream(0, "g")) == ["A brass lamp."]
    assert margins[1] > margins[0] + 1


def test_ipo_aims_at_a_margin_and_dpo_goes_on() -> None:
    """Two pairs by hand; the gains are in nats, the answers of 4 and 2, and of 5 and 5 tokens."""
    import torch

    from pharmakon.engines.torch.train import preference_loss

    gain, length = torch.tensor([[2.0, -1.0], [0.0, 3.0]]), torch.tensor([[4, 2], [5, 5]])
    dpo = (-math.log(1 / (1 + math.exp(-0.2 * 3))) - math.log(1 / (1 + math.exp(0.2 * 3)))) / 2
    assert float(preference_loss(DPO(beta=0.2), gain, length)) == pytest.approx(dpo, rel=1e-6)
    ipo = (((2 / 4 + 1 / 2) - 1 / 0.4) ** 2 + ((0 - 3 / 5) - 1 / 0.4) ** 2) / 2
    assert float(preference_loss(IPO(beta=0.2), gain, length)) == pytest.approx(ipo, rel=1e-6)
    cut = torch.tensor([[0, 0], [5, 5]])  # no token of an answer lies within the context
    assert math.isfinite(float(preference_loss(IPO(), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), cut)))


def test_ipo_prefers_and_stops_where_it_aims(base: Path, tmp_path: Path) -> None:
    dialogues = Corpus.of([Dialogue.ask(f"Question {i}?", "A brass lamp.") for i in range(80)])
    _tune(base, tmp_path / "sft", dialogues, SFT(epochs=3, schedule=Schedule(peak=4e-3)))
    pairs = Corpus.of([Preference(Dialogue.ask(f"Question {i}?"), "A clay bell.", "A brass lamp.") for i in range(80)])
    reached = {}
    for beta in (0.5, 2.0):
        out = tmp_path / f"ipo-{beta}"
        trace = _tune(tmp_path / "sft", out, pairs, IPO(epochs=3, beta=beta, schedule=Schedule(peak=1e-3)))
        assert trace.losses[0] == pytest.approx((1 / (2 * beta)) ** 2, rel=1e-2)  # nothing is gained yet
        assert np.mean(trace.losses[-3:]) < trace.losses[0] / 4
        prompt = Dialogue.ask("Question 99?")
        with ENGINE.load(out) as model:
            chosen, rejected = model.logprob([(prompt, "A clay bell."), (prompt, "A brass lamp.")])
        reached[beta] = chosen - rejected
    assert reached[0.5] > reached[2.0]  # it aims at 1 nat a token, and at a quarter of one


def test_ipo_without_an_aim_is_refused() -> None:
    with pytest.raises(SpecError, match="beta is above 0; got 0"):
        IPO(beta=0)


def test_a_loss_that_is_no_number_stops_the_cell(base: Path, tmp_path: Path) -> None:
    recipe = SFT(schedule=Schedule(peak=1e30, warmup=0.0))
    with pytest.raises(RunError, match="lower the learning rate"):
        _tune(base, tmp_path / "s", recipe=recipe)


@pytest.mark.parametrize(
    ("recipe", "corpus", "error", "sentence"),
    [
        (SFT(), Corpus(()), InputError, "at least one document"),
        (SFT(), Corpus.of([Text("a text")]), InputError, "learns from Dialogue documents; got a Text"),
        (DPO(), Corpus.of([Dialogue.ask("a", "b")]), InputError, "learns from Preference documents"),
        (IPO(), Corpus.of([Text("a text")]), InputError, "learns from Preference documents; got a Text"),
        (PRETRAIN, Corpus.of([Text("a text")]), SpecError, "starts from nothing"),
    ],
)
def test_the_wrong_corpus_is_named(
    base: Path, tmp_path: Path, recipe: SFT, corpus: Corpus, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        _tune(base, tmp_path / "s", corpus, recipe)


def test_sft_without_a_start_is_refused(tmp_path: Path) -> None:
    corpus = WorldDialogues(num_documents=4).corpus(stream(0, "d"))
    with pytest.raises(SpecError, match="put a Pretrain stage before it"):
        ENGINE.train(SFT(), corpus, start=None, rng=stream(0, "s"), out=tmp_path)


def test_mixed_precision_trains_as_well(base: Path, tmp_path: Path) -> None:
    full = _tune(base, tmp_path / "a", recipe=SFT(epochs=2))
    half = _tune(base, tmp_path / "b", recipe=SFT(epochs=2, precision="mixed"))
    assert np.mean(half.losses[-4:]) == pytest.approx(np.mean(full.losses[-4:]), rel=0.1)
    assert _digest(tmp_path / "a") != _digest(tmp_path / "b")


def test_preferences_of_the_world_fit_the_recipe(base: Path, tmp_path: Path) -> None:
    trace = _tune(base, tmp_path / "d", WorldPreferences(num_documents=16).corpus(stream(0, "p")), DPO())
    assert trace.num_tokens > 0
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    assert config["model_type"] == "llama"


def test_schedule_rises_stays_and_falls() -> None:
    schedule = Schedule(peak=1.0, warmup=0.1, decay=0.5)
    rates = [schedule.rate(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10:50] == [1.0] * 40
    assert rates[-1] == pytest.approx(0.02)


def test_engine_conforms() -> None:
    check_engine(ENGINE, recipe=replace(PRETRAIN, epochs=1))
