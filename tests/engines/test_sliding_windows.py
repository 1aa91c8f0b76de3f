"""Models some of whose layers look back through a window: packed rows and shared starts read them as they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from pharmakon.core import Dialogue, stream
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.engines.recipes import Micro
from pharmakon.engines.torch.checkpoint import Checkpoint
from pharmakon.engines.torch.encode import Encoder, train_tokenizer
from pharmakon.engines.torch.model import TorchModel
from pharmakon.engines.torch.train import attention_masks, pack, sequence_logprobs
from pharmakon.errors import InputError

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "sliding_window": 4,
    "initializer_range": 0.3,
}  # fmt: skip
HALF = {"Qwen2": {"use_sliding_window": True, "max_window_layers": 1}}  # the second of two layers has the window
DIALOGUES = [
    document.body
    for document in WorldDialogues(num_documents=12, share_with_demonstrations=0.0).corpus(stream(5, "d"))
    if isinstance(document.body, Dialogue)
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    text = WorldText(num_documents=200).corpus(stream(0, "t"))
    return Encoder(train_tokenizer(text, Micro(context=128, vocabulary=400)))


@pytest.fixture(params=["Qwen2", "Gemma2", "Mistral"])
def model(request: pytest.FixtureRequest, encoder: Encoder) -> TorchModel:
    family = request.param
    make = getattr(transformers, f"{family}Config")
    config = make(vocab_size=len(encoder.tokenizer), **SIZES, **HALF.get(family, {}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, f"{family}ForCausalLM")._from_config(config, attn_implementation="eager")
    return TorchModel(Checkpoint(network.eval(), encoder))


def _plain(network: Any, ids: list[int], start: int) -> torch.Tensor:
    scores = network(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    return sum((scores[i - 1, ids[i]] for i in range(start, len(ids))), torch.zeros(()))


def test_packed_log_probabilities_and_gradients_are_those_of_one_sequence_at_a_time(model: TorchModel) -> None:
    encoder, network = model.opened.encoder, model.opened.network
    pairs = [(dialogue.prompt, dialogue.answer) for dialogue in DIALOGUES]
    plain = []
    for prompt, answer in pairs:
        ids, start = encoder.completion(prompt, answer), len(encoder.prompt(prompt))
        plain.append(_plain(network, ids, start))
    assert model.logprob(pairs) == pytest.approx([value.item() for value in plain], abs=1e-3)
    network.requires_grad_(True)
    packed = sequence_logprobs(network, pack(model.encoded(pairs), 96)).sum()
    parameters = list(network.parameters())
    expected = torch.autograd.grad(torch.stack(plain).sum(), parameters)
    for found, wanted in zip(torch.autograd.grad(packed, parameters), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


def test_answers_behind_a_shared_start_are_those_of_one_prompt_at_a_time(model: TorchModel) -> None:
    encoder, network = model.opened.encoder, model.opened.network
    prompts = [dialogue.prompt.after([DIALOGUES[0]]) for dialogue in DIALOGUES[1:]]
    assert len({len(encoder.prompt(prompt)) for prompt in prompts}) > 1  # some are padded
    answers = model.answers(prompts, 5)
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = encoder.prompt(prompt)
        start = len(ids)
        while len(ids) < start + 5:
            with torch.no_grad():
                token = int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            if token in model.opened.ends:
                break
            ids.append(token)
        assert answer == encoder.tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


def test_layers_that_attend_in_another_way_are_refused(encoder: Encoder) -> None:
    config = SimpleNamespace(layer_types=["full_attention", "chunked_attention"], sliding_window=None)
    rows = pack(encoder.encode(DIALOGUES), 64)
    with pytest.raises(InputError, match="chunked_attention"):
        attention_masks(config, rows, "cpu", torch.float32)
