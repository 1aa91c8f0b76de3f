"""Sentence vectors of an encoder: mean over its tokens, of length 1 (Reimers and Gurevych, arXiv 1908.10084)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 32  # texts
MOST_KNOWN = 200_000  # texts that an encoder remembers before it forgets them


def embed(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Unit vectors in float32, shape [texts, width]. The folder is in the layout of Hugging Face.

    What was encoded before in this process is remembered. Texts are cut at the length that the encoder was made for.
    """
    encoder = _encoder(folder.resolve())
    return encoder.vectors(texts)


@lru_cache(maxsize=2)
def _encoder(folder: Path) -> _Encoder:
    return _Encoder(folder)


class _Encoder:
    def __init__(self, folder: Path) -> None:
        from pharmakon.engines.torch.allocator import prepare

        prepare()
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.network: Any = AutoModel.from_pretrained(folder, trust_remote_code=False, use_safetensors=True).eval()
        self.longest = _longest(folder, self.network.config)
        self.known: dict[str, np.ndarray] = {}

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Texts of one length share a batch, without padding: so no other text can change a vector."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if len(self.known) + len(new) > MOST_KNOWN:
            self.known.clear()
            new = list(dict.fromkeys(texts))
        by_length: dict[int, list[tuple[str, list[int]]]] = defaultdict(list)
        ids = self.tokenizer(new, truncation=True, max_length=self.longest)["input_ids"] if new else []
        for text, tokens in zip(new, ids, strict=True):
            by_length[len(tokens)].append((text, tokens))
        for same in by_length.values():
            for start in range(0, len(same), BATCH):
                chosen = same[start : start + BATCH]
                for (text, _), vector in zip(chosen, self._encode([tokens for _, tokens in chosen]), strict=True):
                    self.known[text] = vector
        width = self.network.config.hidden_size
        return np.stack([self.known[text] for text in texts]) if texts else np.zeros((0, width), np.float32)

    def _encode(self, ids: list[list[int]]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            tokens = torch.tensor(ids)
            hidden = self.network(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
            vectors: np.ndarray = torch.nn.functional.normalize(hidden.mean(1), dim=1).numpy()
        return vectors


def _longest(folder: Path, config: Any) -> int:
    """Tokens of a text: what sentence-transformers' own file says, else what the network can take."""
    path = folder / "sentence_bert_config.json"
    said = json.loads(path.read_text(encoding="utf-8")).get("max_seq_length") if path.is_file() else None
    return int(said or config.max_position_embeddings)
