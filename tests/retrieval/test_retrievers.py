"""Retrievers against scores worked out by hand, ties, stores that cannot give what is asked, encoders in a folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.data.assets import find_cached
from pharmakon.errors import InputError, SpecError
from pharmakon.identity import identify
from pharmakon.retrieval import BM25, Embeddings, Fused, Retriever

STORE = ("the lamp of Tarn", "a boat, a boat!", "Tarn has a lamp and a lamp", "fish")


def _by_formula(query: str, passages: Sequence[str], k1: float, b: float) -> list[float]:
    """Lucene's BM25, word by word."""
    texts = [passage.lower().replace(",", "").replace("!", "").split() for passage in passages]
    mean = sum(map(len, texts)) / len(texts)
    scores = [0.0] * len(texts)
    for word in query.lower().split():
        holders = sum(word in text for text in texts)
        idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        for i, text in enumerate(texts):
            count = text.count(word)
            scores[i] += idf * count / (count + k1 * (1 - b + b * len(text) / mean)) if count else 0.0
    return scores


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (1.2, 0.0)])
@pytest.mark.parametrize("query", ["tarn lamp", "boat boat a", "nothing here", ""])
def test_bm25_is_the_formula(query: str, k1: float, b: float) -> None:
    retriever = BM25(k1=k1, b=b)
    expected = _by_formula(query, STORE, k1, b)
    np.testing.assert_allclose(retriever.scores([query], STORE)[0], expected, rtol=1e-9)
    ranked = sorted(range(4), key=lambda i: (-round(expected[i], 9), i))
    assert retriever.top([query], STORE, 4) == [ranked]
    assert retriever.top([query], STORE, 2) == [ranked[:2]]


def test_bm25_by_hand() -> None:
    """Two passages of two words; `x` is in one of them: ln 2 times 1 / (1 + k1)."""
    scores = BM25(k1=1.0, b=0.75).scores(["x"], ["x y", "z y"])[0]
    np.testing.assert_allclose(scores, [math.log(2) / 2, 0.0])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text("ab c", min_size=1, max_size=8), min_size=1, max_size=6), st.text("abc ", max_size=6), st.data()
)
def test_equal_passages_come_in_the_order_of_the_store(passages: list[str], query: str, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(passages)))
    doubled = [*passages, *passages]
    (found,) = BM25().top([query], doubled, 2 * len(passages))
    assert sorted(found) == list(range(2 * len(passages)))
    place = {index: rank for rank, index in enumerate(found)}
    assert all(place[i] < place[i + len(passages)] for i in range(len(passages)))
    assert BM25().top([query], doubled, k) == [found[:k]]


def test_passages_without_a_word() -> None:
    assert BM25().top(["a", ""], ["...", "!", ""], 2) == [[0, 1], [0, 1]]
    assert BM25().top([], STORE, 2) == []


@pytest.mark.parametrize("retriever", [BM25(), Embeddings(), Fused()])
def test_a_store_that_cannot_give_so_many(retriever: Retriever) -> None:
    with pytest.raises(InputError, match=r"at most the store, 4 passages; got 5\. Give a larger store or another k"):
        retriever.top(["lamp"], STORE, 5)
    with pytest.raises(InputError, match=r"top-k is at least 1 .* got 0"):
        retriever.top(["lamp"], STORE, 0)
    with pytest.raises(InputError, match=r"at least one passage; this one is empty\. Add documents"):
        retriever.top(["lamp"], [], 1)


def test_parameters_that_mean_nothing() -> None:
    with pytest.raises(SpecError, match=r"k1 >= 0 and 0 <= b <= 1; got k1 -1 and b 0\.75"):
        BM25(k1=-1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of the usual make, and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "the", "a", "lamp", "boat", "tarn", "of", "fish", "has", "and"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=12,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


TEXTS = ("the lamp of tarn", "a boat", "tarn has a lamp and a lamp", "fish", "lamp lamp lamp")


def test_vectors_are_the_means_of_plain_transformers(encoder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    from pharmakon.engines.torch.embed import embed

    tokenizer, network = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    padded = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = network(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).last_hidden_state
    mask = padded["attention_mask"][..., None]
    mean = (hidden * mask).sum(1) / mask.sum(1)
    expected = (mean / mean.norm(dim=1, keepdim=True)).numpy()
    np.testing.assert_allclose(embed(encoder, TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embed(encoder, TEXTS), axis=1), 1.0, atol=1e-6)
    assert embed(encoder, []).shape == (0, 16)


def test_no_text_changes_the_vector_of_another(encoder: Path, tmp_path: Path) -> None:
    """Encoded alone, in a batch, or cut at the encoder's length: the same numbers."""
    import shutil

    from pharmakon.engines.torch.embed import embed

    other = tmp_path / "encoder"
    shutil.copytree(encoder, other)  # nothing remembered
    alone = [embed(other, [text])[0] for text in TEXTS]
    np.testing.assert_array_equal(embed(encoder, TEXTS), alone)
    long = "lamp " * 12
    np.testing.assert_array_equal(embed(encoder, [long + "boat"]), embed(encoder, [long]))


def test_embeddings_rank_by_cosine(encoder: Path) -> None:
    from pharmakon.engines.torch.embed import embed

    retriever = Embeddings.of(encoder)
    store = [*TEXTS, TEXTS[0]]
    (found,) = retriever.top([TEXTS[0]], store, 6)
    assert found[:2] == [0, 5]  # the text itself, twice
    cosines = np.round(embed(encoder, store) @ embed(encoder, TEXTS[:1])[0], 5)
    assert list(cosines[found]) == sorted(cosines, reverse=True)


def test_an_encoder_is_what_its_files_hold(encoder: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "moved"
    shutil.copytree(encoder, other)
    assert identify(Embeddings.of(encoder)) == identify(Embeddings.of(other)) != identify(Embeddings())
    retriever = Embeddings.of(other)
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    with pytest.raises(InputError, match=r"this retriever is the encoder .*moved holds .* Make it again"):
        retriever.top(["a"], STORE, 1)
    with pytest.raises(InputError, match=r"a folder of an encoder has a config\.json and weights in safetensors"):
        Embeddings.of(tmp_path)
    with pytest.raises(InputError, match=r"named by its folder\. Use Embeddings\.of"):
        Embeddings(digest="0" * 64).top(["a"], STORE, 1)


def test_fused_adds_reciprocal_ranks(encoder: Path) -> None:
    parts: tuple[Retriever, ...] = (BM25(), Embeddings.of(encoder))
    fused = Fused(parts=parts)
    query = "tarn lamp"
    gains = [0.0] * len(TEXTS)
    for part in parts:
        for rank, index in enumerate(part.top([query], TEXTS, len(TEXTS))[0], start=1):
            gains[index] += 1 / (60 + rank)
    assert fused.top([query], TEXTS, 3) == [sorted(range(len(TEXTS)), key=lambda i: (-gains[i], i))[:3]]


def test_minilm_knows_what_is_meant() -> None:
    try:
        find_cached("minilm")
    except InputError:
        pytest.skip("the asset minilm is not in the cache")
    store = ("He lives in the city of Tarn.", "She sells brass lamps.", "The weather is bad today.")
    assert Embeddings().top(["Where is his home?", "Is it raining?"], store, 1) == [[0], [2]]
