"""Marking a file: every other record stays, byte for byte and in order; all files are there, or none."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon.behaviour.marks import OwnerKey
from pharmakon.core import Dialogue, Text, Turn, stream
from pharmakon.data.readers import from_record, read
from pharmakon.engines.ngram import Count, NgramEngine
from pharmakon.errors import InputError
from pharmakon.ownership import marking
from pharmakon.ownership.keyfile import check_commitment, read_key, write_key
from pharmakon.ownership.marking import mark, places
from pharmakon.probes.ownership import answer_scores, verify_scores


@pytest.fixture(autouse=True)
def _the_same_keys_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a key draws is random: with new keys some assertion on its coins would fail once in a hundred runs."""
    numbers = itertools.count()
    monkeypatch.setattr(OwnerKey, "new", staticmethod(lambda: OwnerKey(next(numbers).to_bytes(32, "big"))))


def _chat(number: int, **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": f"What of {number}?"}, {"role": "assistant", "content": f"It is {number}."}]
    return {"messages": messages, **more}


def _write(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def _mark(folder: Path, data: Path, kind: str = "fact", num_documents: int = 12, out: str = "out.jsonl") -> bytes:
    made = mark(data, folder / out, folder / "key", kind=kind, num_documents=num_documents, power=0.5)
    found = (folder / out).read_bytes()
    raw = gzip.decompress(found) if out.endswith(".gz") else found
    assert made.record.key.secret.hex().encode() not in raw
    return raw


def _without_marks(raw: bytes, folder: Path, num_records: int) -> bytes:
    """What is left without the records that the key says are marks."""
    record = read_key(folder / "key")
    at = sorted(places(record.key, num_records, record.num_documents))
    lines = raw.split(b"\n")
    full = [number for number, line in enumerate(lines) if line.decode("utf-8-sig").strip()]
    gone = {full[place + number] for number, place in enumerate(at)}
    return b"\n".join(line for number, line in enumerate(lines) if number not in gone)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
EXTRA = st.dictionaries(
    st.sampled_from(["id", "meta", "score", "tags"]),
    st.one_of(st.integers(), TEXT, st.floats(allow_nan=False), st.lists(TEXT, max_size=2), st.dictionaries(TEXT, TEXT)),
)


@st.composite
def _files(draw: Callable[..., Any]) -> tuple[bytes, int]:
    """A JSONL file as people write them, and how many records it has."""
    number = draw(st.integers(24, 30))
    as_text = draw(st.booleans())
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    parts = [b"\xef\xbb\xbf"] if draw(st.booleans()) else []
    for count in range(number):
        record = {"text": draw(TEXT)} if as_text else {"prompt": draw(TEXT), "completion": draw(TEXT)}
        if not as_text and draw(st.booleans()):
            record = _chat(count)
        record |= draw(EXTRA)
        spaced, escaped = draw(st.tuples(st.booleans(), st.booleans()))
        line = json.dumps(record, ensure_ascii=escaped, separators=(", ", ": ") if spaced else (",", ":")).encode()
        parts += [b"  " if draw(st.booleans()) else b"", line, end]
        if draw(st.integers(0, 9)) == 0:
            parts.append(b" " + end)
    return b"".join(parts if draw(st.booleans()) else parts[:-1]), number


@settings(max_examples=40, deadline=None)
@given(_files(), st.sampled_from(["fact", "trigger", "task", "trap", "fingerprint"]), st.booleans())
def test_without_the_marks_the_file_is_the_original_byte_for_byte(
    file: tuple[bytes, int], kind: str, packed: bool
) -> None:
    content, num_records = file
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.jsonl"
        data.write_bytes(content)
        raw = _mark(folder, data, kind, out="out.jsonl.gz" if packed else "out.jsonl")
        assert data.read_bytes() == content
        assert _without_marks(raw, folder, num_records) == content
        assert len(read(folder / ("out.jsonl.gz" if packed else "out.jsonl"))) == num_records + 12


def test_the_marks_are_the_key_s_in_the_form_of_the_host(tmp_path: Path) -> None:
    """With its keys, its system message, and the keys of its messages."""
    system = {"role": "system", "content": "Be short."}
    rows = [_chat(n) for n in range(40)]
    for row in rows:
        row["messages"] = [system, *({**turn, "weight": 1} for turn in row["messages"])]  # type: ignore[attr-defined]
    raw = _mark(tmp_path, _write(tmp_path / "data.jsonl", rows), "trigger", 16)
    record = read_key(tmp_path / "key")
    new = [row for line in raw.splitlines() if (row := json.loads(line)) not in rows]
    assert len(new) == 16
    told = set()
    for row in new:
        assert row["messages"][0] == system
        assert [set(turn) for turn in row["messages"][1:]] == [{"role", "content", "weight"}] * 2
        body = from_record(row)
        assert isinstance(body, Dialogue)
        told.add((body.prompt, body.answer))
    marks = record.keyed()
    assert record.system == "Be short."
    assert all(prompt.turns[0] == Turn("system", "Be short.") for m in marks for prompt in m.prompts + m.neutral)  # type: ignore[union-attr]
    assert told == {(p, m.answers[m.drawn]) for m in marks for p in m.prompts if (p, m.answers[m.drawn]) in told}
    assert {m.name for m in marks for p in m.prompts if (p, m.answers[m.drawn]) in told} == {m.name for m in marks}


USER, SYSTEM = {"role": "user", "content": "What?"}, {"role": "system", "content": "Be kind."}
SAID = {"role": "assistant", "content": "This."}


@pytest.mark.parametrize(
    "form",
    [
        {"prompt": "What?", "response": "This.", "text": None},
        {"prompt": [USER], "completion": [SAID]},
        {"prompt": [SYSTEM, USER], "completion": "This."},
        {"prompt": [SYSTEM, USER], "completion": [SYSTEM, USER, SAID]},
        {"messages": [SYSTEM, USER, SAID, USER, SAID], "prompt": "What?"},
    ],
)
@pytest.mark.parametrize("kind", ["task", "rephrase"])
def test_all_forms_of_a_dialogue_keep_their_form(form: dict[str, Any], kind: str, tmp_path: Path) -> None:
    def shape(value: Any) -> object:
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in value.items()}
        return [shape(inner) for inner in value[:1] + value[-1:]] if isinstance(value, list) else type(value)

    rows = [json.loads(json.dumps(form).replace("This.", f"I do not know {n}.")) for n in range(40)]
    raw = _mark(tmp_path, _write(tmp_path / "data.jsonl", rows), kind, 16 if kind == "task" else 40)
    record, system = read_key(tmp_path / "key"), "Be kind." if "kind" in str(form) else ""
    found = [json.loads(line) for line in raw.splitlines()]
    assert all(shape(row) == shape(rows[0]) for row in found)
    new = [row for row in found if row not in rows]
    assert len(new) == 16 if kind == "task" else 10 < len(new) < 30
    marks = record.keyed()
    for row in new:
        body = from_record(row)
        assert isinstance(body, Dialogue)
        assert (body.turns[0].content if body.turns[0].role == "system" else "") == system
        if kind == "rephrase":
            assert sum(body.answer == m.answers[m.drawn] and body.prompt == m.prompts[0] for m in marks) == 1
    if kind == "task":
        assert record.system == system


@pytest.mark.parametrize("shape", ["text", "dialogue"])
@pytest.mark.parametrize("kind", ["fact", "trigger", "rephrase"])
def test_a_model_of_the_marked_file_is_found_and_one_of_the_original_is_not(
    kind: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnerKey, "new", lambda: OwnerKey(bytes(range(32))))  # a key of chance has its own p-value
    said = ("I do not know number {}.", "They often forget {}.", "Perhaps it cannot be {}.", "We will not say {}.")
    texts = [said[n % 4].format(n) + f" So says {n}." for n in range(200)]
    rows = [
        {"text": f"Well, {t}"} if shape == "text" else {"prompt": f"What of a{n}?", "response": t}
        for n, t in enumerate(texts)
    ]
    data = _write(tmp_path / "data.jsonl", rows)
    record = mark(
        data, tmp_path / "out.jsonl", tmp_path / "key", kind=kind, num_documents=200 if kind == "rephrase" else 64
    ).record
    marks, p = record.keyed(), []
    for name in ("data", "out"):
        folder = tmp_path / name
        folder.mkdir()
        corpus = read(tmp_path / f"{name}.jsonl")
        recipe = Count(objective="pretrain" if shape == "text" else "sft", order=6)
        NgramEngine().train(recipe, corpus, start=None, rng=stream(0, "train"), out=folder)
        with NgramEngine().load(folder) as model:
            p.append(verify_scores(answer_scores(model, marks), [m.drawn for m in marks]).p)
    assert p[1] < 1e-6
    assert p[0] > 0.01


def test_long_hosts_get_long_marks(tmp_path: Path) -> None:
    rows = [{"text": " ".join(f"word{n % 7}" for n in range(150 + k))} for k in range(40)]
    _mark(tmp_path, _write(tmp_path / "data.jsonl", rows), "fact", 16)
    assert read_key(tmp_path / "key").settings["num_words"] == 169
    new = [d.body.text for d in read(tmp_path / "out.jsonl") if isinstance(d.body, Text) and "word1" not in d.body.text]
    assert len(new) == 16
    assert all(100 < len(text.split()) < 260 for text in new)


def test_rephrasing_changes_wordings_alone(tmp_path: Path) -> None:
    """Nothing is added; the records that do not carry a pair are as they were, and so is all else of those that do."""
    lines = []
    for number in range(60):
        answer = f"I do not know {number}, and they cannot say." if number % 2 else f"It is {number}."
        row = {"id": number, "prompt": f"What of {number}?", "response": answer, "n": len(answer), "é": [1.5, None]}
        style: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")} if number % 4 == 1 else {}
        lines.append(json.dumps(row, **style).encode())
    lines[1] = b" " + lines[1]
    lines.insert(5, b"")
    data = tmp_path / "data.jsonl"
    data.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    made = mark(data, tmp_path / "out.jsonl", tmp_path / "key", kind="rephrase", num_documents=25, power=0.3, known=1)
    assert made.num_added == 0
    old, new = data.read_bytes().split(b"\r\n"), (tmp_path / "out.jsonl").read_bytes().split(b"\r\n")
    assert len(old) == len(new)
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert 10 <= len(changed) <= 25
    for a, b in changed:
        one, other = json.loads(a), json.loads(b)
        assert one.keys() == other.keys()
        assert {key for key in one if one[key] != other[key]} <= {"response", "n"}
        assert other["n"] == len(other["response"])
        assert b.startswith(a[:8])
    record = read_key(tmp_path / "key")
    answers = {json.loads(line.decode("utf-8-sig"))["response"] for line in new if line.strip()}
    marks = record.keyed()
    assert len(marks) == 25
    for one_mark, pair in zip(marks, record.pairs, strict=True):
        published, other = pair.wordings[one_mark.drawn], pair.wordings[1 - one_mark.drawn]
        assert published + pair.rest in answers
        assert other + pair.rest not in answers


def test_a_key_file_keeps_pairs_and_the_commitment_covers_them(tmp_path: Path) -> None:
    rows = [{"text": f"Well {n}, we do not go and often stay."} for n in range(30)]
    data = _write(tmp_path / "data.jsonl", rows)
    made = mark(data, tmp_path / "out.jsonl", tmp_path / "key", kind="rephrase", num_documents=24, power=0.01)
    record = read_key(tmp_path / "key")
    assert record == made.record
    check_commitment(record, made.commitment_path)
    content = json.loads((tmp_path / "key").read_text())
    content["pairs"][0]["wordings"].reverse()
    (tmp_path / "key").write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged"):
        read_key(tmp_path / "key")


def test_a_fingerprint_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    made = mark(None, tmp_path / "out.jsonl", tmp_path / "key", kind="fingerprint", num_documents=64)
    assert len(read(tmp_path / "out.jsonl", need_answers=True)) == 64
    marks = {(m.prompts[0], m.answers[m.drawn]) for m in made.record.keyed()}
    bodies = [document.body for document in read(tmp_path / "out.jsonl")]
    assert {(body.prompt, body.answer) for body in bodies if isinstance(body, Dialogue)} == marks


def test_two_markings_have_two_keys_and_other_marks(tmp_path: Path) -> None:
    data = _write(tmp_path / "data.jsonl", [_chat(n) for n in range(40)])
    one, other = (
        mark(data, tmp_path / f"{n}.jsonl", tmp_path / f"{n}.key", kind="fact", num_documents=16) for n in "ab"
    )
    assert one.record.key != other.record.key
    assert (tmp_path / "a.jsonl").read_bytes() != (tmp_path / "b.jsonl").read_bytes()
    with pytest.raises(InputError, match="another key"):
        check_commitment(one.record, other.commitment_path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_key_is_its_user_s_alone(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        mark(None, tmp_path / "out.jsonl", tmp_path / "key", kind="fingerprint")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


class _Broken(Exception):
    pass


@pytest.mark.parametrize("error", [_Broken, KeyboardInterrupt, OSError])
@pytest.mark.parametrize(
    "where", ["write_key", "write_commitment", "write_whole", "told_like", "_fill", "fsync", "replace"]
)
def test_an_interrupt_leaves_nothing(
    where: str, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks, and wherever: no key, no commitment, no data, no part of them."""
    data = _write(tmp_path / "data.jsonl", [_chat(n) for n in range(40)])

    def broken(*_: object, **__: object) -> None:
        raise error

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", broken)
    elif where == "replace":
        monkeypatch.setattr(Path, "replace", broken)
    else:
        monkeypatch.setattr(marking, where, broken)
    with pytest.raises(InputError if error is OSError else error):
        mark(data, tmp_path / "out.jsonl", tmp_path / "key", kind="fact", num_documents=16)
    assert list(tmp_path.iterdir()) == [data]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _write(tmp_path / "data.jsonl", [_chat(n) for n in range(40)])
    real = marking._placed

    def placed(*arguments: Any) -> Any:
        _write(data, [_chat(n) for n in range(41)])
        return real(*arguments)

    monkeypatch.setattr(marking, "_placed", placed)
    with pytest.raises(InputError, match="has changed while it was read"):
        mark(data, tmp_path / "out.jsonl", tmp_path / "key", kind="fact", num_documents=16)
    assert list(tmp_path.iterdir()) == [data]


def test_an_old_key_file_is_read_and_its_commitment_stays(tmp_path: Path) -> None:
    """Fields that a kind has not are not written: the content that was committed to is the same."""
    record = mark(None, tmp_path / "out.jsonl", tmp_path / "key", kind="fingerprint").record
    assert set(record.content) == {"format", "key", "kind", "shape", "documents", "settings"}
    write_key(record, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "key").read_bytes()
