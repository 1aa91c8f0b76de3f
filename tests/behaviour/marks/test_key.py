"""Keys: what is drawn from them is uniform, separate for each label, and nowhere written."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from pharmakon.behaviour.marks import ExperimentKey, OwnerKey
from pharmakon.behaviour.marks.key import index, pick, shuffled
from pharmakon.errors import InputError, SpecError
from pharmakon.identity import identify


def test_a_draw_is_hmac_sha256_of_labels_behind_their_lengths() -> None:
    """The construction is pinned: key files of today must be readable by later versions."""
    secret = bytes(range(32))
    message = b"\0\0\0\x04fact" + b"\0\0\0\x01" + b"7"
    assert OwnerKey(secret).derive("fact", "7") == hmac.digest(secret, message, hashlib.sha256)


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_other_labels_are_another_draw(one: list[str], other: list[str]) -> None:
    """Also where they are the same letters, parted in another way."""
    key = ExperimentKey(1)
    assert (key.derive(*one) == key.derive(*other)) == (one == other)


def test_draws_are_uniform_over_keys_and_over_labels() -> None:
    for draws in (
        [index(ExperimentKey(number), 16, "answer", "3") for number in range(3_000)],
        [index(ExperimentKey(5), 16, "answer", str(number)) for number in range(3_000)],
    ):
        counts = [draws.count(value) for value in range(16)]
        assert chisquare(counts).pvalue > 1e-3


def test_every_order_is_as_likely() -> None:
    orders = [tuple(shuffled(ExperimentKey(number), "abc", "order")) for number in range(3_000)]
    assert len(set(orders)) == 6
    assert chisquare([orders.count(order) for order in sorted(set(orders))]).pvalue > 1e-3
    assert sorted(shuffled(ExperimentKey(0), [2, 2, 1], "x")) == [1, 2, 2]
    assert pick(ExperimentKey(0), ["only"], "x") == "only"


def test_new_keys_differ_and_none_is_shown_or_recorded() -> None:
    one, other = OwnerKey.new(), OwnerKey.new()
    assert one.secret != other.secret
    for shown in (repr(one), str(one), f"{one}", repr({"key": one})):
        assert one.secret.hex() not in shown
        assert repr(one.secret) not in shown
    with pytest.raises(SpecError, match="never written in a record"):
        identify(one)
    assert identify(ExperimentKey(1)) != identify(ExperimentKey(2))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_256_bits(size: int) -> None:
    with pytest.raises(InputError, match=f"has 256 bits; this one has {8 * size}"):
        OwnerKey(bytes(size))
