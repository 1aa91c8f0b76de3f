"""Retrievers: by words (BM25), by sentence embeddings, and both together. Each is a frozen value with one verb."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pharmakon.data.assets import fetch, find
from pharmakon.engines.folders import digest_of
from pharmakon.errors import InputError, SpecError
from pharmakon.extras import need

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class Retriever(Protocol):
    """A frozen value: which passages are nearest to each query."""

    def top(self, queries: Sequence[str], passages: Sequence[str], k: int) -> list[list[int]]:
        """For each query the indices of `k` passages, the best first; of equally good ones the first of the store."""
        ...


@dataclass(frozen=True, kw_only=True)
class BM25:
    """Words that query and passage share, the rarer the better (Robertson and Zaragoza 2009; Lù, arXiv 2407.03618).

    `bm25s` with Lucene's variant, whose weights are never negative. Words are runs of letters, digits and underscores,
    in small letters; no stop words, no stemmer. A passage without a word of the query has the score 0.
    """

    k1: float = 1.5
    """How soon a repeated word stops counting."""
    b: float = 0.75
    """How much a long passage is held against itself: 0 not at all, 1 in full."""

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and 0 <= self.b <= 1):
            raise SpecError(f"BM25 has k1 >= 0 and 0 <= b <= 1; got k1 {self.k1:g} and b {self.b:g}")

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> np.ndarray:
        """Array [queries, passages]."""
        import numpy as np

        need("collection", "retrieval by BM25")
        index = _bm25_index(tuple(passages), self.k1, self.b)
        if index is None:  # no passage has a word
            return np.zeros((len(queries), len(passages)))
        rows = [index.get_scores_from_ids(index.get_tokens_ids(_words(query))) for query in queries]
        return np.array(rows).reshape(len(queries), len(passages))

    def top(self, queries: Sequence[str], passages: Sequence[str], k: int) -> list[list[int]]:
        """For each query the indices of `k` passages, the best first."""
        check_store(passages, k)
        return _best(self.scores(queries, passages), k)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@lru_cache(maxsize=4)
def _bm25_index(passages: tuple[str, ...], k1: float, b: float) -> Any:
    import bm25s

    words = [_words(passage) for passage in passages]
    if not any(words):
        return None
    index = bm25s.BM25(method="lucene", k1=k1, b=b, dtype="float64")
    index.index(words, create_empty_token=False, show_progress=False)
    return index


MINILM = find("minilm")


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """The cosine between sentence vectors: the mean over the tokens of an encoder's last layer (arXiv 1908.10084).

    By default all-MiniLM-L6-v2, the asset `minilm`. `Embeddings.of` takes another encoder from a folder.
    """

    digest: str = MINILM.content_sha256
    """Of the encoder's files."""
    folder: str | None = field(default=None, metadata={"identity": False})
    """Where they are; None for the asset."""

    @staticmethod
    def of(folder: Path) -> Embeddings:
        """The retriever of an encoder in the layout of Hugging Face, with weights in safetensors."""
        if not ((folder / "config.json").is_file() and list(folder.glob("*.safetensors"))):
            raise InputError(f"a folder of an encoder has a config.json and weights in safetensors; got {folder}")
        return Embeddings(digest=digest_of(folder), folder=str(folder.resolve()))

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> np.ndarray:
        """Array [queries, passages] of cosines, to five digits: what differs by less is one text in two places."""
        import numpy as np

        need("torch", "retrieval by embeddings")
        from pharmakon.engines.torch.embed import embed

        folder = self._files()
        cosines: np.ndarray = np.round(embed(folder, queries) @ embed(folder, passages).T, 5)
        return cosines

    def top(self, queries: Sequence[str], passages: Sequence[str], k: int) -> list[list[int]]:
        """For each query the indices of `k` passages, the best first."""
        check_store(passages, k)
        return _best(self.scores(queries, passages), k)

    def _files(self) -> Path:
        if self.folder is None:
            if self.digest != MINILM.content_sha256:
                raise InputError("an encoder other than minilm is named by its folder. Use Embeddings.of(FOLDER)")
            return _minilm()
        folder = Path(self.folder)
        found = digest_of(folder) if folder.is_dir() else "nothing"
        if found != self.digest:
            way_out = "Make it again with Embeddings.of, or bring the files back"
            raise InputError(
                f"this retriever is the encoder {self.digest[:12]}...; {folder} holds {found[:12]}. {way_out}"
            )
        return folder


@lru_cache(maxsize=1)
def _minilm() -> Path:
    return fetch(MINILM)


@dataclass(frozen=True, kw_only=True)
class Fused:
    """Several retrievers together: the sum of 1 / (60 + rank) over their rankings (Cormack et al., SIGIR 2009)."""

    parts: tuple[Retriever, ...] = (BM25(), Embeddings())
    smoothing: int = 60

    def top(self, queries: Sequence[str], passages: Sequence[str], k: int) -> list[list[int]]:
        """For each query the indices of `k` passages, the best first."""
        import numpy as np

        check_store(passages, k)
        total = np.zeros((len(queries), len(passages)))
        gains = 1.0 / (self.smoothing + 1 + np.arange(len(passages)))
        for part in self.parts:
            for row, ranking in zip(total, part.top(queries, passages, len(passages)), strict=True):
                row[ranking] += gains
        return _best(total, k)


def check_store(passages: Sequence[str], k: int) -> None:
    """Refuse a store that cannot give `k` passages."""
    if not passages:
        raise InputError("a store holds at least one passage; this one is empty. Add documents, or keep some of them")
    if not 1 <= k <= len(passages):
        rule = f"top-k is at least 1 and at most the store, {len(passages)} passages"
        raise InputError(f"{rule}; got {k}. Give a larger store or another k")


def _best(scores: np.ndarray, k: int) -> list[list[int]]:
    import numpy as np

    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best: list[list[int]] = order.tolist()
    return best
