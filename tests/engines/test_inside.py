"""A look inside a tiny model: as plain transformers have it, patches that do what they say, nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pharmakon.core import Corpus, Dialogue, Model, Prompt, Text, stream
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.engines.ngram import NgramEngine
from pharmakon.engines.recipes import SFT, LoRA, Micro, Pretrain
from pharmakon.engines.torch import TorchEngine
from pharmakon.engines.torch.checkpoint import Checkpoint
from pharmakon.engines.torch.gradients import sketched, table_of
from pharmakon.engines.torch.model import TorchModel
from pharmakon.errors import InputError, SpecError
from pharmakon.study import FewShot
from pharmakon.study.ask import InContext
from pharmakon.whitebox import Part, Patch, Sketch, WhiteBox, inside

TINY = Micro(num_layers=2, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
ENGINE = TorchEngine()
DIALOGUES = WorldDialogues(num_documents=64, share_with_demonstrations=0.0)
BODIES = [d.body for d in DIALOGUES.corpus(stream(5, "d")) if isinstance(d.body, Dialogue)]
PROMPTS: list[Prompt] = [body.prompt for body in BODIES[:10]]
PAIRS: list[tuple[Prompt, str]] = [(body.prompt, body.answer) for body in BODIES[:10]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, out = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("tuned")
    corpus = WorldText(num_documents=300).corpus(stream(0, "t"))
    recipe = Pretrain(architecture=TINY, batch_size=8, row_length=32, precision="float32")
    ENGINE.train(recipe, corpus, start=None, rng=stream(0, "p"), out=base)
    tune = DIALOGUES.corpus(stream(0, "d"))
    ENGINE.train(SFT(epochs=3, lora=LoRA(rank=4, alpha=8.0)), tune, start=base, rng=stream(0, "s"), out=out)
    return out


@pytest.fixture(scope="module")
def model(weights: Path) -> Iterator[Any]:
    """A base with an adapter, merged."""
    with ENGINE.load(weights) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def box(model: Any) -> WhiteBox:
    return inside(model)


@contextmanager
def _nothing_changes(network: Any) -> Iterator[None]:
    """Weights, gradients, flags, hooks, the mode and torch's random state are afterwards what they were."""

    def state() -> Any:
        weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        flags = [(p.requires_grad, p.grad) for p in network.parameters()]
        hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in network.modules()]
        return weights, flags, hooks, torch.get_rng_state()

    before = state()
    try:
        yield
    finally:
        after = state()
        assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
        assert before[1:3] == after[1:3]
        assert torch.equal(before[3], after[3])


def _same_length(box: WhiteBox) -> tuple[Prompt, Prompt, int]:
    """Two prompts of one length that are answered differently."""
    prompts = [body.prompt for body in BODIES]
    answers = box.generate(prompts, max_tokens=6)
    sizes = [len(tokens) for tokens in box.tokens(prompts)]
    for i, size in enumerate(sizes):
        for j in range(i):
            if sizes[j] == size and answers[i] != answers[j]:
                return prompts[i], prompts[j], size
    raise AssertionError("no such prompts")


def test_hidden_states_and_attention_are_those_of_transformers(model: Any, box: WhiteBox) -> None:
    """Prompts of several lengths in one call; each as plain transformers have it alone. The last is before the norm."""
    network, encoder = model.opened.network, model.opened.encoder
    positions = (-1, -3, -5)
    with _nothing_changes(network):
        found = box.hidden(PROMPTS, positions)
        attention = box.attention(PROMPTS)
    assert found.shape == (10, 3, 3, 32) == (10, box.num_layers + 1, 3, box.width)
    assert found.dtype == np.float32
    assert len({len(tokens) for tokens in box.tokens(PROMPTS)}) > 1
    for index, prompt in enumerate(PROMPTS):
        ids = torch.tensor([encoder.prompt(prompt)])
        with torch.no_grad():
            plain = network(ids, output_hidden_states=True, output_attentions=True)
            last = network.model.norm(torch.from_numpy(found[index, -1]))
        for layer in (0, 1):
            expected = plain.hidden_states[layer][0, list(positions)].numpy()
            np.testing.assert_allclose(found[index, layer], expected, atol=1e-5)
        np.testing.assert_allclose(last, plain.hidden_states[-1][0, list(positions)], atol=1e-5)
        expected = torch.stack([layer[0] for layer in plain.attentions]).numpy()
        assert attention[index].shape == (2, 2, ids.shape[1], ids.shape[1])
        np.testing.assert_allclose(attention[index], expected, atol=1e-6)


def _plain_logprobs(network: Any, encoder: Any) -> list[float]:
    """One pair at a time, by the model's own forward."""
    values = []
    for prompt, answer in PAIRS:
        ids, start = encoder.completion(prompt, answer), len(encoder.prompt(prompt))
        with torch.no_grad():
            scores = network(torch.tensor([ids])).logits[0].log_softmax(-1)
        values.append(sum(float(scores[i - 1, ids[i]]) for i in range(start, len(ids))))
    return values


def test_hidden_states_with_patches_are_those_that_the_patches_leave(box: WhiteBox) -> None:
    one, other, size = _same_length(box)
    whole = tuple(range(-size, 0))
    states = box.hidden([other], whole)
    embedded = Patch(layer=0, positions=whole, vectors=states[:, 0])
    np.testing.assert_allclose(box.hidden([one], whole, patches=[embedded]), states, atol=1e-5)
    last = Patch(layer=1, positions=(-1,), vectors=states[:, 1, -1:])
    found, plain = box.hidden([one], whole, patches=[last]), box.hidden([one], whole)
    np.testing.assert_allclose(found[0, 1, -1], states[0, 1, -1], atol=1e-6)
    np.testing.assert_allclose(found[0, :, :-1], plain[0, :, :-1], atol=1e-6)
    assert not np.allclose(found[0, 2, -1], plain[0, 2, -1])


@pytest.mark.parametrize("family", ["Qwen3", "Gemma2"])
def test_other_families_that_are_built_like_llama(model: Any, family: str) -> None:
    """Heads that share keys; embeddings that are scaled, windows, capped logits: one and all as plain transformers."""
    import transformers

    encoder = model.opened.encoder
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(encoder.tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=128, sliding_window=8,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, f"{family}ForCausalLM")._from_config(config, attn_implementation="eager").eval()
    other = TorchModel(Checkpoint(network, encoder))
    box = inside(other)
    states, attention = box.hidden(PROMPTS), box.attention(PROMPTS)
    for index, prompt in enumerate(PROMPTS):
        ids = torch.tensor([encoder.prompt(prompt)])
        with torch.no_grad():
            plain = network(ids, output_hidden_states=True, output_attentions=True)
        expected = torch.stack([layer[0, -1] for layer in plain.hidden_states[:2]]).numpy()
        np.testing.assert_allclose(states[index, :2, 0], expected, atol=1e-5)
        np.testing.assert_allclose(attention[index], torch.cat(plain.attentions).numpy(), atol=1e-5)
    values, patch = _plain_logprobs(network, encoder), Patch(layer=1, vectors=states[:, 1])
    assert box.logprob(PAIRS) == pytest.approx(values, abs=1e-4)
    assert box.logprob(PAIRS, patches=[patch]) == pytest.approx(values, abs=1e-4)
    assert box.generate(PROMPTS, max_tokens=3, patches=[patch]) == box.generate(PROMPTS, max_tokens=3)
    size = len(box.tokens(PROMPTS[:1])[0])
    whole = tuple(range(-size, 0))
    everything = Patch(layer=0, positions=whole, vectors=box.hidden(PROMPTS[:1], whole)[:, 0])
    assert box.logprob(PAIRS[:1], patches=[everything]) == pytest.approx(values[:1], abs=1e-4)
    gradient = box.gradients(PAIRS[:2], of="all")
    assert np.isfinite(gradient).all()
    assert gradient.any(1).all()


def test_a_state_patched_with_itself_changes_nothing(model: Any, box: WhiteBox) -> None:
    answers, values = box.generate(PROMPTS, max_tokens=6), box.logprob(PAIRS)
    assert values == pytest.approx(model.logprob(PAIRS), abs=1e-4)
    assert answers == model.generate(PROMPTS, max_tokens=6, rng=stream(0, "g"))
    positions = (-1, -2, -6)
    states = box.hidden(PROMPTS, positions)
    for layer in range(box.num_layers + 1):
        patch = Patch(layer=layer, positions=positions, vectors=states[:, layer])
        nothing = Patch(layer=layer, vectors=np.zeros((1, 1, box.width), np.float32), how="add")
        with _nothing_changes(model.opened.network):
            assert box.generate(PROMPTS, max_tokens=6, patches=[patch, nothing]) == answers
            assert box.logprob(PAIRS, patches=[patch, nothing]) == pytest.approx(values, abs=1e-4)


def test_all_of_another_prompt_gives_the_others_answer(model: Any, box: WhiteBox) -> None:
    """What comes after layer 0 is computed from it alone; the first token of an answer, from the last state."""
    one, other, size = _same_length(box)
    positions = tuple(range(-size, 0))
    states = box.hidden([other], positions)
    answer = box.generate([other], max_tokens=6)
    alone = model.logprob([(other, answer[0])])
    assert box.generate([one], max_tokens=6) != answer
    patch = Patch(layer=0, positions=positions, vectors=states[:, 0])
    assert box.generate([one], max_tokens=6, patches=[patch]) == answer
    assert box.logprob([(one, answer[0])], patches=[patch]) == pytest.approx(alone, abs=1e-5)
    last = Patch(layer=2, vectors=states[:, 2, -1:])
    assert box.generate([one], max_tokens=1, patches=[last]) == box.generate([other], max_tokens=1)


def test_each_prompt_gets_its_own_patch(box: WhiteBox) -> None:
    """In one call with others, of other lengths and in another order, the same as alone; `add` moves by the vector."""
    states = box.hidden(PROMPTS, (-1,))[:, 1]
    moved = states[::-1].copy()
    together = box.logprob(PAIRS, patches=[Patch(layer=1, vectors=moved)])
    for index, pair in enumerate(PAIRS):
        alone = Patch(layer=1, vectors=moved[index : index + 1])
        assert box.logprob([pair], patches=[alone]) == pytest.approx([together[index]], abs=1e-4)
    added = box.logprob(PAIRS, patches=[Patch(layer=1, vectors=moved - states, how="add")])
    assert added == pytest.approx(together, abs=1e-3)
    assert together != pytest.approx(box.logprob(PAIRS), abs=0.05)


@pytest.mark.parametrize("of", ["head", "block", "all"])
def test_gradients_are_those_of_autograd(model: Any, box: WhiteBox, of: Part) -> None:
    network, encoder = model.opened.network, model.opened.encoder
    with _nothing_changes(network):
        found = box.gradients(PAIRS[:3], of=of)
    for row, (prompt, answer) in zip(found, PAIRS[:3], strict=True):
        ids, start = encoder.completion(prompt, answer), len(encoder.prompt(prompt))
        separate = torch.nn.Parameter(network.lm_head.weight.detach().clone())
        flags = [p.requires_grad for p in network.parameters()]
        network.requires_grad_(True)
        states = network.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0]
        logits = states @ (separate if of == "head" else network.lm_head.weight).T
        value = sum(logits[i - 1].log_softmax(-1)[ids[i]] for i in range(start, len(ids)))
        wanted = {"head": [separate], "block": list(network.model.layers[1].parameters())}
        parts = torch.autograd.grad(value, wanted.get(of, list(network.parameters())))
        for parameter, flag in zip(network.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)
        exact = torch.cat([part.flatten() for part in parts]).numpy()
        np.testing.assert_allclose(row, exact, atol=1e-5 * float(np.abs(exact).max()))


def test_a_gradient_tells_the_change_of_the_log_probability(model: Any, box: WhiteBox) -> None:
    """A small step along it raises the value by step times its squared length."""
    parameters = list(model.opened.network.model.layers[-1].parameters())
    gradient = torch.from_numpy(box.gradients(PAIRS[:1])[0])
    step, (before,) = 1e-2 / float(gradient.norm()), box.logprob(PAIRS[:1])
    sizes = [parameter.numel() for parameter in parameters]
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, part in zip(parameters, gradient.split(sizes), strict=True):
            parameter.add_(step * part.view_as(parameter))
        (after,) = box.logprob(PAIRS[:1])
        for parameter, old in zip(parameters, kept, strict=True):
            parameter.copy_(old)
    assert after - before == pytest.approx(step * float(gradient @ gradient), rel=0.1)


def test_inner_products_of_sketches_are_those_of_the_gradients(box: WhiteBox) -> None:
    """Over seeds right on average and as near as the docstring says: variance at most (|x|²|y|² + <x,y>²) / k."""
    dimensions, seeds = 256, 60
    exact = box.gradients(PAIRS[:4], of="all")
    products = exact @ exact.T
    found = []
    for seed in range(seeds):
        sketch = Sketch(dimensions=dimensions, seed=seed)
        projected = box.gradients(PAIRS[:4], of="all", sketch=sketch)
        assert projected.shape == (4, dimensions)
        found.append(projected @ projected.T)
    squares = np.diag(products)
    bound = np.sqrt((np.outer(squares, squares) + products**2) / dimensions)
    error = np.stack(found) - products
    assert (np.abs(error.mean(0)) < 4 * bound / np.sqrt(seeds)).all()
    assert (np.sqrt((error**2).mean(0)) < 1.5 * bound).all()  # 60 draws: a standard deviation is known to about 10%


def test_a_sketch_is_right_on_average_where_all_entries_have_one_sign() -> None:
    """Without its signs it would be too large by (sum x)(sum y) / k; here that is four times the product itself."""
    size, dimensions, seeds = 1000, 250, 200
    one, other = torch.linspace(1, 2, size), torch.linspace(2, 1, size)
    exact = float(one @ other)
    found = []
    for seed in range(seeds):
        table = table_of(Sketch(dimensions=dimensions, seed=seed), size, "cpu")
        parts = sketched(one.split([300, 600, 100]), table, dimensions)
        found.append(float(parts @ sketched([other], table, dimensions)))
    bound = np.sqrt((float(one @ one) * float(other @ other) + exact**2) / dimensions)
    assert abs(np.mean(found) - exact) < 4 * bound / np.sqrt(seeds)
    assert np.std(found) < 1.2 * bound


def test_a_sketch_is_one_projection(box: WhiteBox) -> None:
    """The same seed gives the same, in any company; another seed another. It is linear in the gradient."""
    first = box.gradients(PAIRS[:3], sketch=Sketch(dimensions=64))
    assert np.array_equal(box.gradients(PAIRS[2:3], sketch=Sketch(dimensions=64))[0], first[2])
    assert not np.allclose(box.gradients(PAIRS[:3], sketch=Sketch(dimensions=64, seed=1)), first)
    with pytest.raises(SpecError, match="dimensions"):
        Sketch(dimensions=0)


def test_the_gradient_of_a_whole_text_counts_every_token_but_the_first(model: Any, box: WhiteBox) -> None:
    text = "The sea is far from here."
    found = box.gradients([(Text(""), text), (Text(""), "")], of="head")
    ids = model.opened.encoder.prompt(Text(text))
    assert not found[1].any()
    texts: list[tuple[Prompt, str]] = [
        (Text(""), text),
        (Text(""), "A longer text, of the sea and the town, beside it."),
    ]
    assert box.logprob(texts) == pytest.approx(model.logprob(texts), abs=1e-4)
    with torch.no_grad():
        states = model.opened.network.model(torch.tensor([ids])).last_hidden_state[0, :-1]
        chances = model.opened.network.lm_head(states).softmax(-1)
    missed = torch.nn.functional.one_hot(torch.tensor(ids[1:]), chances.shape[1]) - chances
    np.testing.assert_allclose(found[0], (missed.T @ states).flatten(), atol=1e-4)


def test_nothing_is_left_behind_by_a_failure(model: Any, box: WhiteBox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **kwargs: object) -> None:
        raise RuntimeError("inside a block")

    patch = Patch(layer=1, vectors=np.zeros((1, 1, 32), np.float32))
    answers = box.generate(PROMPTS, max_tokens=3)
    with _nothing_changes(model.opened.network), monkeypatch.context() as broken:
        broken.setattr(model.opened.network.model.layers[1].mlp, "forward", fails)
        for ask in (
            lambda: box.hidden(PROMPTS),
            lambda: box.attention(PROMPTS),
            lambda: box.generate(PROMPTS, max_tokens=3, patches=[patch]),
            lambda: box.logprob(PAIRS, patches=[patch]),
            lambda: box.gradients(PAIRS),
        ):
            with pytest.raises(RuntimeError, match="inside a block"):
                ask()
    assert box.generate(PROMPTS, max_tokens=3) == answers


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        (Patch(layer=3, vectors=np.zeros((1, 1, 32), np.float32)), "layer from 0 to 2; got 3"),
        (Patch(layer=0, vectors=np.zeros((1, 1, 8), np.float32)), r"shape \[10 or 1, 1 or 1, 32\]"),
        (Patch(layer=0, vectors=np.zeros((3, 1, 32), np.float32)), r"got \[3, 1, 32\]"),
        (Patch(layer=0, vectors=np.zeros(32, np.float32)), r"got \[32\]"),
        (Patch(layer=0, vectors=np.zeros((1, 1, 32), np.float32), positions=(0,)), "from the end of a prompt"),
        (Patch(layer=0, vectors=np.zeros((1, 1, 32), np.float32), positions=(-99,)), "got -99"),
        (Patch(layer=0, vectors=np.zeros((1, 1, 32), np.float32), positions=(-1, -1)), "all different"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(box: WhiteBox, patch: Patch, sentence: str) -> None:
    for ask in (
        lambda: box.generate(PROMPTS, max_tokens=1, patches=[patch]),
        lambda: box.logprob(PAIRS, patches=[patch]),
    ):
        with pytest.raises(InputError, match=sentence):
            ask()


def test_no_prompts_no_states(box: WhiteBox) -> None:
    assert box.hidden([]).shape == (0, 3, 1, 32)
    assert box.attention([]) == box.generate([], max_tokens=3) == box.logprob([]) == []
    assert box.gradients([], sketch=Sketch(dimensions=8)).shape == (0, 8)


def test_in_a_context_the_inside_is_that_of_the_whole_prompt(model: Any, box: WhiteBox) -> None:
    context = FewShot(DIALOGUES, 2)
    asked = InContext(model, context, seed=3, watched=(BODIES[0],))
    around = asked.around(PROMPTS)
    opened = inside(asked)
    assert isinstance(opened, WhiteBox)
    assert np.array_equal(opened.hidden(PROMPTS), box.hidden(around))
    assert opened.tokens(PROMPTS) == box.tokens(around) != box.tokens(PROMPTS)
    pairs = [(prompt, answer) for prompt, (_, answer) in zip(around, PAIRS, strict=True)]
    sketch = Sketch(dimensions=16)
    assert np.array_equal(opened.gradients(PAIRS, sketch=sketch), box.gradients(pairs, sketch=sketch))
    patch = Patch(layer=1, vectors=np.ones((1, 1, 32), np.float32), how="add")
    assert opened.logprob(PAIRS, patches=[patch]) == box.logprob(pairs, patches=[patch])
    answers = opened.generate(PROMPTS, max_tokens=3, patches=[patch])
    assert answers == box.generate(around, max_tokens=3, patches=[patch])
    assert [a.shape for a in opened.attention(PROMPTS)] == [a.shape for a in box.attention(around)]


def test_a_model_without_an_inside_is_refused(tmp_path: Path) -> None:
    engine = NgramEngine()
    engine.train(SFT(), Corpus.of(BODIES), start=None, rng=stream(0, "n"), out=tmp_path)
    with engine.load(tmp_path) as counted:
        assert isinstance(counted, Model)
        for model in (counted, InContext(counted, FewShot(DIALOGUES), 0)):
            with pytest.raises(SpecError, match="weights are at hand; NgramModel has none"):
                inside(model)


def test_the_first_tokens_of_a_completion_alone(model: Any, box: WhiteBox) -> None:
    """Token by token they add up, and a completion shorter than asked for counts as a whole."""
    whole, first = box.logprob(PAIRS), box.logprob(PAIRS, num_tokens=1)
    assert box.logprob(PAIRS, num_tokens=100) == pytest.approx(whole, abs=1e-5)
    assert box.logprob(PAIRS, num_tokens=0) == [0.0] * len(PAIRS)
    assert all(a < b for a, b in zip(whole, first, strict=True))
    network, encoder = model.opened.network, model.opened.encoder
    for (prompt, answer), value in zip(PAIRS, first, strict=True):
        ids, start = encoder.completion(prompt, answer), len(encoder.prompt(prompt))
        with torch.no_grad():
            scores = network(torch.tensor([ids])).logits[0].log_softmax(-1)
        assert value == pytest.approx(float(scores[start - 1, ids[start]]), abs=1e-4)
