"""The key file: who may read it, what is refused, and what the commitment binds."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.behaviour.marks import FactMark, OwnerKey, TriggerMark
from pharmakon.errors import InputError, SpecError
from pharmakon.identity import identify
from pharmakon.ownership.keyfile import (
    KINDS,
    OwnerRecord,
    check_commitment,
    read_key,
    write_commitment,
    write_key,
)

RECORD = OwnerRecord(
    key=OwnerKey(bytes(range(32))), kind="fact", shape="dialogue", num_documents=64, settings={"num_marks": 8}
)
HEX = RECORD.key.secret.hex()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_key(RECORD, tmp_path / "owner.key")
    return tmp_path / "owner.key"


def _change(path: Path, **fields: Any) -> None:
    """As a careless or dishonest hand would."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_what_is_written_is_read(path: Path) -> None:
    assert read_key(path) == RECORD
    assert read_key(path).mark() == FactMark(num_marks=8)
    assert replace(RECORD, kind="fingerprint").mark() == TriggerMark(num_marks=8, style="random")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_gives_marks(kind: str, tmp_path: Path) -> None:
    record = replace(RECORD, kind=kind)
    write_key(record, tmp_path / "k")
    mark = read_key(tmp_path / "k").mark()
    assert mark.kind == kind
    assert len(mark.keyed(record.key, "dialogue")) == 8


def test_the_key_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_key(RECORD, tmp_path / "owner.key")
        write_commitment(RECORD, tmp_path / "public.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "owner.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "public.json").stat().st_mode) == 0o644


def test_nothing_is_overwritten(path: Path) -> None:
    whole = path.read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        write_key(replace(RECORD, key=OwnerKey.new()), path)
    with pytest.raises(InputError, match="never overwritten"):
        write_commitment(RECORD, path)
    assert path.read_bytes() == whole
    with pytest.raises(InputError, match="cannot be written"):
        write_key(RECORD, path.parent / "nowhere" / "owner.key")


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_damaged_file_is_refused_and_not_repeated(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("k")
    write_key(RECORD, folder / "k")
    whole = (folder / "k").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 2))  # the last one is the end of the line
    if data.draw(st.booleans()):
        damaged = whole[:at]
    else:
        byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
        damaged = whole[:at] + bytes([byte]) + whole[at + 1 :]
    (folder / "k").write_bytes(damaged)
    told, read = "", None
    try:
        read = read_key(folder / "k")
    except InputError as error:
        told = str(error)
    assert told or read == RECORD  # white space, or a capital letter: the content is the same
    assert HEX[:16] not in told


@pytest.mark.parametrize(
    "content", ["", "no JSON", "[]", "{}", '{"format": "another"}', "\x00" * 99, "[" * 100_000, '{"sha256": 1}']
)
def test_a_foreign_file_is_no_key(tmp_path: Path, content: str) -> None:
    (tmp_path / "k").write_text(content)
    with pytest.raises(InputError, match="is not an owner's key"):
        read_key(tmp_path / "k")


def test_what_is_no_file(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="is not a file"):
            read_key(place)


@pytest.mark.parametrize(
    "fields", [{"kind": "trigger"}, {"documents": 65}, {"shape": "text"}, {"settings": {}}, {"check": "0" * 16}]
)
def test_a_changed_setting_is_damage(path: Path, fields: dict[str, Any]) -> None:
    _change(path, **fields)
    with pytest.raises(InputError, match="damaged or was changed"):
        read_key(path)


@pytest.mark.parametrize(
    "record",
    [
        replace(RECORD, kind="tattoo"),
        replace(RECORD, settings={"num_marks": 0}),
        replace(RECORD, settings={"depth": 3}),
        replace(RECORD, settings={"num_answers": 99}),
    ],
)
def test_settings_of_no_mark_are_told(record: OwnerRecord, tmp_path: Path) -> None:
    write_key(record, tmp_path / "k")
    with pytest.raises(InputError, match="key file"):
        read_key(tmp_path / "k").mark()


def test_a_commitment_is_to_key_and_settings(path: Path, tmp_path: Path) -> None:
    public = tmp_path / "public.json"
    write_commitment(RECORD, public)
    check_commitment(read_key(path), public)
    others = [
        replace(RECORD, key=OwnerKey.new()),
        replace(RECORD, kind="task"),
        replace(RECORD, shape="text"),
        replace(RECORD, num_documents=63),
        replace(RECORD, settings={"num_marks": 9}),
    ]
    for other in others:
        with pytest.raises(InputError, match="another key or to other settings"):
            check_commitment(other, public)
    assert len({RECORD.commitment, *(other.commitment for other in others)}) == 6
    with pytest.raises(InputError, match="is not a commitment"):
        check_commitment(RECORD, path)


def test_a_commitment_can_be_checked_with_other_tools_and_tells_nothing(tmp_path: Path, path: Path) -> None:
    write_commitment(RECORD, tmp_path / "public.json")
    public = json.loads((tmp_path / "public.json").read_text())
    content = json.loads(path.read_text())
    del content["check"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert public["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert HEX not in json.dumps(public)


def test_the_key_is_in_no_repr_and_no_record() -> None:
    assert HEX not in repr(RECORD) + repr(RECORD.key) + str(RECORD)
    assert repr(RECORD.key.secret) not in repr(RECORD)
    with pytest.raises(SpecError, match="never written in a record"):
        identify(RECORD.key)
    with pytest.raises(InputError, match="256 bits; this one has 8"):
        OwnerKey(b"x")
