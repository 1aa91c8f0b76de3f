"""From GGUF to a folder of Hugging Face: the same weights, the model's own tokenizer, made once and checked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pharmakon.data.assets import Asset, fetch, find, is_cached
from pharmakon.engines.pretrained import folder_of, pretrained
from pharmakon.engines.torch.convert import RECORD, convert_gguf, converted, find_converted
from pharmakon.errors import InputError

pytest.importorskip("gguf")

WIDTH, HIDDEN, HEADS, LAYERS = 32, 64, 2, 1
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"


def weights() -> dict[str, Any]:
    """By the names of llama.cpp. Numbers that bfloat16 holds exactly."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return (rng.integers(-64, 64, shape) / 64).astype(np.float32)

    found = {"token_embd.weight": draw(258 + 3, WIDTH), "output_norm.weight": draw(WIDTH)}
    for layer in range(LAYERS):
        name = f"blk.{layer}"
        found |= {f"{name}.{part}.weight": draw(WIDTH, WIDTH) for part in ("attn_q", "attn_k", "attn_v", "attn_output")}
        found |= {f"{name}.{part}.weight": draw(HIDDEN, WIDTH) for part in ("ffn_gate", "ffn_up")}
        found |= {f"{name}.{part}_norm.weight": draw(WIDTH) for part in ("attn", "ffn")}
        found[f"{name}.ffn_down.weight"] = draw(WIDTH, HIDDEN)
    return found


def tokens() -> list[str]:
    """Three control tokens, the bytes in the spelling of GPT-2, and two merges: two spaces, and a space with a 1."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *bytes_to_unicode().values(), "ĠĠ", "Ġ1"]


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of some thousand parameters, laid out as llama.cpp does."""
    from gguf import GGUFWriter

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens()))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens())
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens()) - 3))
    writer.add_token_merges(["Ġ Ġ", "Ġ 1"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, data in weights().items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def tiny(gguf_file: Path, tmp_path: Path) -> Asset:
    """The same as an asset whose distribution is in the cache already."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.write(gguf_file, "tiny/tiny.gguf")
    archive = tmp_path / "downloads" / "tiny-1.0-py3-none-any.whl"
    archive.parent.mkdir()
    archive.write_bytes(file.getvalue())
    return Asset(
        name="tiny",
        kind="model",
        package="tiny",
        version="1.0",
        distribution="wheel",
        archive=archive.name,
        sha256=hashlib.sha256(file.getvalue()).hexdigest(),
        member=("tiny/tiny.gguf",),
        content_sha256=hashlib.sha256(gguf_file.read_bytes()).hexdigest(),
        licence="CC0",
        size_mb=0.1,
        about="a model",
    )


def test_weights_and_tokenizer(gguf_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """bfloat16 in one safetensors file; digits cut off singly, white space before them a piece of its own."""
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    convert_gguf(gguf_file, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(os.listdir(tmp_path))
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    stored, given = load_file(tmp_path / "model.safetensors"), weights()
    assert {str(value.dtype) for value in stored.values()} == {"torch.bfloat16"}
    assert len(stored) == len(given)
    for ours, theirs in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.layers.0.self_attn.v_proj.weight", "blk.0.attn_v.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ):
        assert np.array_equal(stored[ours].float().numpy(), given[theirs])
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight

    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_start|>", "<|im_end|>", 2)
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.model_max_length == 64
    assert tokenizer.tokenize("a  12 1<|im_end|>") == ["a", "ĠĠ", "1", "2", "Ġ", "1", "<|im_end|>"]
    for text in ("a b", " a b", "  a \n 12", "é1"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_converted_once_and_again_when_damaged(tiny: Asset, tmp_path: Path) -> None:
    said: list[str] = []

    def make() -> Path:
        return converted(tiny, version=1, cache=tmp_path, on_progress=said.append)

    with pytest.raises(InputError, match="the asset tiny is not in the cache"):
        find_converted(tiny, version=1, cache=tmp_path)
    fetch(tiny, cache=tmp_path)
    with pytest.raises(InputError, match="is in the cache, but its conversion is not, or not whole"):
        find_converted(tiny, version=1, cache=tmp_path)
    left = tmp_path / f"tiny-{tiny.content_sha256[:8]}" / ".0123.part"
    left.mkdir()  # of a process that was killed
    folder = make()
    assert make() == find_converted(tiny, version=1, cache=tmp_path) == folder
    assert said == ["converting tiny.gguf"]
    assert not left.exists()

    good = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(InputError, match="or not whole"):
        find_converted(tiny, version=1, cache=tmp_path)
    assert make() == folder
    assert (folder / "model.safetensors").read_bytes() == good
    (folder / RECORD).write_text("{")
    (folder / "tokenizer.json").unlink()
    assert make() == folder
    assert (folder / "tokenizer.json").exists()
    assert said[1:] == [f"{folder} is damaged and is replaced"] * 2


def test_two_processes_convert_once(tiny: Asset, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pharmakon.data.assets import Asset; "
        "from pharmakon.engines.torch.convert import converted; "
        f"print(converted({tiny!r}, version=1, cache=Path(sys.argv[1]), on_progress=print))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sum("converting tiny.gguf" in lines for lines in outputs) == 1
    assert outputs[0][-1] == outputs[1][-1]


def test_a_light_install(tiny: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages that conversion needs, the asset is fetched and the sentence says what is missing."""
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name, *rest: None if name in ("gguf", "torch") else found(name, *rest)
    )
    with pytest.raises(InputError, match=r"the model tiny needs torch, gguf: pip install 'pharmakon\[torch\]'"):
        converted(tiny, version=1, cache=tmp_path)
    assert is_cached(tiny, cache=tmp_path)


@pytest.mark.skipif(
    not (is_cached(find("smollm2")) or os.environ.get("PHARMAKON_TEST_ASSETS")),
    reason="smollm2 is not in the cache; PHARMAKON_TEST_ASSETS=1 fetches it (93 MB)",
)
def test_smollm2_answers() -> None:
    """The real one, by its own chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = folder_of(pretrained("smollm2"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
    # As llama.cpp's pre-tokenizer of this name cuts: digits alone, the white space before them together.
    assert tokenizer.tokenize("  two  spaces  12  34") == ["Ġ", "Ġtwo", "Ġ", "Ġspaces", "ĠĠ", "1", "2", "ĠĠ", "3", "4"]
    for text in ("Hello world", " Hello", "x = 12;\n\n  y", "café 日本語"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
