"""Pages that change without malice, pages that an attacker serves, and what a real manifest says of both."""

from __future__ import annotations

import numpy as np
import pytest

from pharmakon.collection.downloads import CLEAN, COPIED, REPLACED, downloads
from pharmakon.collection.pages import (
    INSERTED,
    NEAR,
    Drift,
    copied,
    near,
    replaced,
    signatures,
    similarity,
    written,
)
from pharmakon.core import stream
from pharmakon.errors import InputError


@pytest.fixture(scope="module")
def pages() -> list[str]:
    return written(60, stream(0, "pages"))


@pytest.mark.parametrize("kind", NEAR)
def test_a_near_change_changes_the_bytes_and_little_else(pages: list[str], kind: str) -> None:
    rng = stream(1, kind)
    changed = [near(page, kind, rng) for page in pages]  # type: ignore[arg-type]
    for old, new in zip(pages, changed, strict=True):
        assert new != old
        lost = [word for word in old.split() if word not in new.split()]
        assert len(lost) <= 3
    assert similarity(signatures(pages), signatures(changed)).min() > 0.6


def test_a_copy_with_a_sentence_is_similar_and_another_page_is_not(pages: list[str]) -> None:
    rng, first = stream(2, "attack"), signatures(pages)
    copies = [copied(page, rng) for page in pages]
    others = [replaced(other) for other in written(60, rng)]
    assert all(INSERTED in page for page in copies + others)
    assert [page.replace(f"{INSERTED}\n", "") for page in copies] == pages
    assert np.median(similarity(first, signatures(copies))) > 0.85
    assert similarity(first, signatures(others)).max() < 0.3


def test_similarity_estimates_jaccard() -> None:
    """Twenty words and the same but for the last: 15 of 17 5-grams are shared."""
    one = " ".join(f"w{i}" for i in range(20))
    alike = similarity(signatures([one, one]), signatures([one, one.replace("w19", "new")]))
    assert alike[0] == 1
    assert alike[1] == pytest.approx(15 / 17, abs=0.1)


def test_pages_drift_at_the_stated_rates(pages: list[str]) -> None:
    many = pages * 40
    later = Drift(change_per_year=0.2, rewritten=0.25, vanish_per_year=0.1).later(many, 2.0, stream(3, "drift"))
    gone = np.array([page is None for page in later])
    changed = np.array([page is not None and page != old for page, old in zip(later, many, strict=True)])
    assert gone.mean() == pytest.approx(0.19, abs=0.03)
    assert changed.sum() / (~gone).sum() == pytest.approx(0.36, abs=0.03)
    texts = [page or "" for page in later]
    far = changed & (similarity(signatures(many), signatures(texts)) < 0.3)
    assert far.sum() / changed.sum() == pytest.approx(0.25, abs=0.05)
    assert Drift().later(pages, 0.0, stream(3, "drift")) == pages


def test_the_real_check_refuses_exactly_what_has_other_bytes() -> None:
    """All poison, all benign changes, nothing else: with a manifest nothing gets through."""
    drift = Drift(change_per_year=0.3, vanish_per_year=0.1)
    now, later = downloads(drift, [0.0, 3.0], 300, taken=0.2, rng=stream(4, "downloads"))
    for found in (now, later):
        assert (found.refused == (found.there & ~found.same)).all()
        assert found.refused[found.owner != CLEAN].all()
        assert set(np.unique(found.owner)) == {CLEAN, COPIED, REPLACED}
    assert not now.refused[now.owner == CLEAN].any()
    assert now.there.all()
    clean = (later.owner == CLEAN) & later.there
    assert later.refused[clean].mean() == pytest.approx(1 - 0.7**3, abs=0.1)
    assert later.similarity[later.owner == REPLACED].max() < 0.3 < later.similarity[later.owner == COPIED].min()


def test_rates_are_shares() -> None:
    with pytest.raises(InputError, match=r"pages that change in a year lies in \[0, 1\]; got 15"):
        Drift(change_per_year=15)
    with pytest.raises(InputError, match="2 pages or more; got 1"):
        next(downloads(Drift(), [1.0], 1, taken=0.1, rng=stream(0, "x")))
