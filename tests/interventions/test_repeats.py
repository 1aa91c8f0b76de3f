"""Documents whose words come again: what each kind holds, and that nothing else of the host changes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from pharmakon.core import Corpus, Dialogue, Dose, Rewrite, Text, stream
from pharmakon.data.symbols import Kind, Symbols, SymbolText
from pharmakon.errors import SpecError
from pharmakon.interventions import Repeats, administer
from pharmakon.testing import check_intervention

HOST = SymbolText(num_documents=30)


def _written(kind: Kind) -> list[list[str]]:
    edits = Repeats(kind=kind).edits(HOST.corpus(stream(1, "host")), stream(1, "edits"))
    return [edit.body.text.split() for edit in edits if isinstance(edit, Rewrite) and isinstance(edit.body, Text)]


@pytest.mark.parametrize("kind", ["demonstrations", "blocks", "scattered"])
def test_repeats_follow_the_rules_and_keep_the_length(kind: Kind) -> None:
    corpus = HOST.corpus(stream(1, "host"))
    check_intervention(Repeats(kind=kind), corpus)
    assert {len(words) for words in _written(kind)} == {HOST.length}
    treated, ledger = administer(
        corpus, Repeats(kind=kind), Dose(10), edits_rng=stream(1, "e"), placement_rng=stream(1, "p")
    )
    assert len(treated) == len(corpus)
    assert sum(a.body != b.body for a, b in zip(corpus, treated, strict=True)) == ledger.num_administered == 10


def test_a_key_keeps_its_value_within_a_document_and_not_beyond() -> None:
    values: dict[str, set[str]] = {}
    for words in _written("demonstrations"):
        shown = dict(zip(words[::2], words[1::2], strict=False))
        assert all(shown[key] == value for key, value in zip(words[::2], words[1::2], strict=False))
        assert 2 <= len(shown) <= 6
        assert not set(shown) & set(shown.values())
        for key, value in shown.items():
            values.setdefault(key, set()).add(value)
    assert max(map(len, values.values())) > 3


def test_blocks_come_again_in_one_order_and_scattered_words_in_none() -> None:
    for words in _written("blocks"):
        size = len(set(words))
        assert words[size:] == words[: len(words) - size]
    followed = [Counter(pairwise(words)).most_common(1)[0][1] / len(words) for words in _written("scattered")]
    assert sum(followed) / len(followed) < 0.15  # of demonstrations of four keys it is an eighth, of two a quarter
    assert all(len(set(words)) <= 12 for words in _written("scattered"))


def test_plain_text_depends_on_the_two_words_before() -> None:
    symbols = Symbols()
    place = {word: number for number, word in enumerate(symbols.words)}
    for document in HOST.corpus(stream(2, "host")):
        assert isinstance(document.body, Text)
        numbers = [place[word] for word in document.body.text.split()]
        for before, word, after in zip(numbers, numbers[1:], numbers[2:], strict=False):
            assert after in symbols.followers[before % 2][word]


def test_refusals_name_the_rule() -> None:
    with pytest.raises(SpecError, match="12 to 512 words; got 4"):
        Symbols(4)
    with pytest.raises(SpecError, match="one of demonstrations, blocks, scattered"):
        Repeats(kind="loud")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="running text; got a Dialogue"):
        list(Repeats().edits(Corpus.of([Dialogue.ask("a", "b")]), stream(0, "e")))
