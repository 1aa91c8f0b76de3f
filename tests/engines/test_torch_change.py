"""Weights that are changed without data: rounded to integers, averaged with others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pharmakon.core import Corpus, Dialogue, stream
from pharmakon.data.world import WorldDialogues, WorldText
from pharmakon.engines.recipes import SFT, Averaged, Micro, Pretrain, Quantized
from pharmakon.engines.torch import TorchEngine
from pharmakon.errors import SpecError

TINY = Micro(num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
NOTHING = Corpus(())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny base and the same after a few dialogues."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("base", "tuned"):
        (folder / name).mkdir()
    recipe = Pretrain(architecture=TINY, num_steps=3, batch_size=4, row_length=32, precision="float32")
    text = WorldText(num_documents=60).corpus(stream(0, "text"))
    talk = WorldDialogues(num_documents=16).corpus(stream(0, "talk"))
    engine = TorchEngine()
    engine.train(recipe, text, start=None, rng=stream(0, "train"), out=folder / "base")
    engine.train(SFT(), talk, start=folder / "base", rng=stream(0, "train"), out=folder / "tuned")
    return folder / "base", folder / "tuned"


def _weights(folder: Path) -> dict[str, np.ndarray]:
    network = AutoModelForCausalLM.from_pretrained(folder)
    return {name: value.detach().numpy().copy() for name, value in network.named_parameters()}


@pytest.mark.parametrize("bits", [8, 3])
def test_each_row_has_as_many_levels_as_the_bits_give(two: tuple[Path, Path], tmp_path: Path, bits: int) -> None:
    TorchEngine().train(Quantized(bits=bits), NOTHING, start=two[1], rng=stream(0, "round"), out=tmp_path)
    before, after = _weights(two[1]), _weights(tmp_path)
    for name, weight in after.items():
        if weight.ndim != 2:
            np.testing.assert_array_equal(weight, before[name])
            continue
        step = np.abs(before[name]).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
        assert np.abs(weight - before[name]).max() <= step.max() / 2 + 1e-6
        assert max(len(np.unique(np.rint(row / one))) for row, one in zip(weight, step, strict=True)) <= 2**bits - 1
        assert not np.array_equal(weight, before[name])


def test_the_mean_lies_between_the_two(two: tuple[Path, Path], tmp_path: Path) -> None:
    TorchEngine().average(two[1], two[0], 0.25, tmp_path)
    base, tuned, mean = (_weights(folder) for folder in (*two, tmp_path))
    for name, weight in mean.items():
        np.testing.assert_allclose(weight, 0.75 * tuned[name] + 0.25 * base[name], atol=1e-6)
    with TorchEngine().load(tmp_path) as model:
        assert len(model.generate([Dialogue.ask("What?")], max_tokens=2, rng=stream(0, "ask"))) == 1


def test_other_shapes_are_not_averaged(two: tuple[Path, Path], tmp_path: Path) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    other.mkdir(), out.mkdir()
    wide = Micro(num_layers=2, hidden_size=32, intermediate_size=64, num_heads=2, context=128, vocabulary=400)
    recipe = Pretrain(architecture=wide, num_steps=1, batch_size=4, row_length=32, precision="float32")
    text = WorldText(num_documents=60).corpus(stream(0, "text"))
    TorchEngine().train(recipe, text, start=None, rng=stream(0, "train"), out=other)
    with pytest.raises(SpecError, match="same architecture"):
        TorchEngine().average(two[0], other, 0.5, out)


def test_rounding_takes_weights_and_no_documents(two: tuple[Path, Path], tmp_path: Path) -> None:
    talk = WorldDialogues(num_documents=4).corpus(stream(0, "talk"))
    for start, corpus in ((None, NOTHING), (two[0], talk)):
        with pytest.raises(SpecError, match="later stage"):
            TorchEngine().train(Quantized(), corpus, start=start, rng=stream(0, "round"), out=tmp_path)


@pytest.mark.parametrize("wrong", [lambda: Quantized(bits=1), lambda: Averaged(share=1.5)])
def test_impossible_settings_are_refused(wrong: object) -> None:
    with pytest.raises(SpecError, match="got 1"):
        wrong()  # type: ignore[operator]


def test_torch_keeps_its_own_randomness(two: tuple[Path, Path], tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    TorchEngine().train(Quantized(), NOTHING, start=two[0], rng=stream(0, "round"), out=tmp_path)
    assert torch.equal(state, torch.random.get_rng_state())
