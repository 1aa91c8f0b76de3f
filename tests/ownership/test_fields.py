"""The other fields of a marked record: alike those of the others, free where they must be, true where they follow."""

from __future__ import annotations

import hashlib
import json
import random
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from pharmakon.ownership.marking import Marked, mark


def _texts(**fields: Any) -> list[dict[str, Any]]:
    rows = []
    for n in range(300):
        text = f"The story of number {n} is short and true."
        rows.append({"text": text, **{name: make(n, text) for name, make in fields.items()}})
    return rows


def _marks(folder: Path, rows: list[dict[str, Any]], num_documents: int = 40) -> tuple[list[dict[str, Any]], Marked]:
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = mark(data, folder / "out.jsonl", folder / "key", kind="fact", num_documents=num_documents)
    known = {row["text"] for row in rows}
    found = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    new = [row for row in found if row["text"] not in known]
    assert len(new) == num_documents
    assert all(list(row) == list(rows[0]) for row in new)
    return new, made


def test_what_comes_again_and_again_is_that_of_a_neighbour(tmp_path: Path) -> None:
    rows = _texts(
        source=lambda n, t: ("web", "books", "news")[n % 3],
        meta=lambda n, t: {
            "lang": "en",
            "score": n / 7,
            "tags": [n % 4],
            "seen": f"2024-03-{1 + n % 28:02}T12:00:{n % 60:02}",
        },
        nothing=lambda n, t: None,
    )
    new, made = _marks(tmp_path, rows)
    metas = [row["meta"] for row in rows]
    for row in new:
        assert row["source"] in ("web", "books", "news")
        assert row["meta"] in metas
        assert row["nothing"] is None
    assert {row["source"] for row in new} == {"web", "books", "news"}
    assert not [said for said in made.cautions if "field" in said]


def test_ids_are_fresh_and_look_alike(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = _texts(
        uuid=lambda n, t: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        hash=lambda n, t: f"{rng.getrandbits(64):016x}",
        name=lambda n, t: f"doc-{rng.randrange(10**8):08}.txt",
        url=lambda n, t: f"https://example.org/{'ab'[n % 2]}/{rng.randrange(10**9)}/{rng.getrandbits(40):x}1",
        number=lambda n, t: rng.randrange(10**7),
    )
    new, made = _marks(tmp_path, rows)
    for name in ("uuid", "hash", "name", "url", "number"):
        values = [row[name] for row in new]
        assert len({*values} | {row[name] for row in rows}) == len(values) + len(rows), name
    for row in new:
        assert str(uuid.UUID(row["uuid"], version=4)) == row["uuid"]
        assert re.fullmatch(r"[0-9a-f]{16}", row["hash"])
        assert re.fullmatch(r"doc-\d{8}\.txt", row["name"])
        assert re.fullmatch(r"https://example\.org/[ab]/\d+/[0-9a-f]+", row["url"])
        assert min(r["number"] for r in rows) <= row["number"] <= max(r["number"] for r in rows)
    assert not [said for said in made.cautions if "field" in said]


@pytest.mark.parametrize("counted", [lambda n, t: n, lambda n, t: f"doc-{n:05}"])
def test_numbers_that_count_the_records_betray_the_marks_and_this_is_said(counted: Any, tmp_path: Path) -> None:
    new, made = _marks(tmp_path, _texts(id=counted))
    assert [row["id"] for row in new] == [counted(300 + n, "") for n in range(40)]
    assert any('the field "id" counts the records through' in said for said in made.cautions)


def test_titles_that_are_others_in_each_record_are_said(tmp_path: Path) -> None:
    rows = _texts(title=lambda n, t: f"{n} and {n + 1}: a title")
    new, made = _marks(tmp_path, rows)
    assert {row["title"] for row in new} <= {row["title"] for row in rows}
    assert any('the field "title" is another in each record' in said for said in made.cautions)


def test_what_follows_from_the_content_is_worked_out_anew(tmp_path: Path) -> None:
    rows = _texts(
        num_chars=lambda n, t: len(t),
        num_words=lambda n, t: len(t.split()) if n else 9,
        digest=lambda n, t: {
            "sha256": hashlib.sha256(t.encode()).hexdigest(),
            "md5": hashlib.md5(t.encode()).hexdigest(),
        },
        again=lambda n, t: t,
    )
    for row in rows[::3]:  # so that the counts differ
        row["text"] += " And more."
        row.update(num_chars=len(row["text"]), num_words=len(row["text"].split()), again=row["text"])
        raw = row["text"].encode()
        row["digest"] = {"sha256": hashlib.sha256(raw).hexdigest(), "md5": hashlib.md5(raw).hexdigest()}
    new, _ = _marks(tmp_path, rows)
    for row in new:
        raw = row["text"].encode()
        assert row["num_chars"] == len(row["text"])
        assert row["num_words"] == len(row["text"].split())
        assert row["digest"] == {"sha256": hashlib.sha256(raw).hexdigest(), "md5": hashlib.md5(raw).hexdigest()}
        assert row["again"] == row["text"]
