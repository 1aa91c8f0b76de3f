"""What is written is read back; whatever is wrong with a file is a sentence that names the file, the line, the rule."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pharmakon.core import Body, Corpus, Data, Dialogue, Preference, Text, Turn
from pharmakon.data.readers import SUFFIXES, FileData, from_record, read, write
from pharmakon.errors import InputError, SpecError
from pharmakon.identity import identify

strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
turns = st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), strings)
dialogues = st.lists(turns, max_size=4).map(lambda some: Dialogue((*some, Turn("user", "Why?"))))
answered = st.builds(lambda asked, answer: Dialogue((*asked.turns, Turn("assistant", answer))), dialogues, strings)
bodies = st.one_of(st.builds(Text, strings), dialogues, answered, st.builds(Preference, dialogues, strings, strings))
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(path: Path, content: str | bytes | None = None, *, need_answers: bool = False) -> str:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        read(path, need_answers=need_answers)
    return str(caught.value)


def contents(corpus: Corpus) -> list[Body]:
    return [document.body for document in corpus]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{suffix}"

    @quick
    @given(st.lists(bodies, min_size=1, max_size=8))
    def check(given_bodies: list[Body]) -> None:
        corpus = Corpus.of(given_bodies, source=path.name)
        write(corpus, path, overwrite=True)
        assert read(path) == corpus

    check()
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_equal_corpora_are_equal_bytes(tmp_path: Path) -> None:
    corpus = Corpus.of([Text("a"), Dialogue.ask("b", "c")])
    for suffix in SUFFIXES:
        write(corpus, tmp_path / f"one{suffix}")
        write(corpus, tmp_path / f"two{suffix}")
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
OTHER = {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("record", "body"),
    [
        ({"text": "t", "url": 3}, Text("t")),
        ({"messages": [USER, ANSWER], "text": "rendered"}, Dialogue.ask("q", "a")),
        ({"messages": None, "text": "t"}, Text("t")),
        ({"prompt": "q", "completion": "a"}, Dialogue.ask("q", "a")),
        ({"prompt": [USER], "response": [ANSWER]}, Dialogue.ask("q", "a")),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, Preference(Dialogue.ask("q"), "a", "b")),
        ({"prompt": [USER], "chosen": [ANSWER], "rejected": "b"}, Preference(Dialogue.ask("q"), "a", "b")),
        (
            {"prompt": "q", "chosen": [USER, ANSWER], "rejected": [USER, OTHER], "messages": [USER, ANSWER]},
            Preference(Dialogue.ask("q"), "a", "b"),
        ),
        ({"chosen": [USER, ANSWER], "rejected": [USER, OTHER]}, Preference(Dialogue.ask("q"), "a", "b")),
    ],
)
def test_the_shapes_of_the_field(record: dict[str, object], body: Body, tmp_path: Path) -> None:
    assert from_record(record) == body
    (tmp_path / "data.jsonl").write_text(json.dumps(record), "utf-8")
    assert contents(read(tmp_path / "data.jsonl")) == [body]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"messages": "hello"}, '"messages" is a list of {"role", "content"}; got the string "hello"'),
        ({"messages": []}, "got the list []"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, 'user, assistant; message 2 has the string "tool"'),
        ({"messages": [{"role": ["user"], "content": "x"}]}, 'message 1 has the list ["user"]'),
        ({"messages": [{"from": "human", "value": "x"}]}, 'message 1 has no "role", its keys are from, value'),
        ({"messages": [{"role": "user", "content": None}]}, 'has no "content"'),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "content of message 1 is a string; got the"),
        ({"messages": [ANSWER]}, "the user says something; got messages of assistant"),
        ({"text": 5}, '"text" is a string; got the number 5'),
        ({"text": "\ud83d"}, "half a surrogate pair, \\ud83d at character 1"),
        ({"prompt": "q"}, '"prompt" comes with "completion", "response" or "chosen" and "rejected"; got the'),
        ({"prompt": [USER, ANSWER], "completion": "a"}, 'ends with a message of the user; got one of role "assistant"'),
        ({"prompt": "q", "chosen": "a"}, '"rejected" is missing'),
        ({"prompt": "other", "chosen": [USER, ANSWER], "rejected": "b"}, '"chosen" is a string or one message'),
        ({"chosen": "a", "rejected": "b"}, '"prompt" is missing'),
        ({"chosen": [USER, ANSWER], "rejected": [ANSWER, USER, OTHER]}, "one dialogue but for its last message"),
        ({"conversations": []}, '{"prompt", "chosen", "rejected"}; got the keys "conversations"'),
        ({}, "got no keys"),
        ([1, 2], "a document is a JSON object"),
        (None, "got null"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(record: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    message = refusal(path, f'{{"text": "fine"}}\n\n{json.dumps(record)}\n{{"text": "fine"}}\n')
    assert message.startswith(f"{path}:3: ")
    assert said in message


def test_answers_are_needed_only_where_one_says_so(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"messages": [USER]}), "utf-8")
    assert contents(read(path)) == [Dialogue.ask("q")]
    assert refusal(path, need_answers=True) == (
        f"{path}:1: a dialogue to learn from has an answer of the assistant; this one has none"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a"}\n{"text": }\n', ":2: a line is one JSON object; Expecting value at column 10"),
        ('{"text": "a"}\n{"text": "b', ":2: .*It is the last line and has no end: the file may be cut off"),
        ('[\n{"text": "a"}\n]\n', ":1: .*looks like one JSON value over many lines; write one object a line"),
        ('{"text": "a"}\n{"text": "\xe9"}\n'.encode("latin-1"), ":2: .*UTF-8; byte 0xe9 at offset 24 is not. .*iconv"),
        ('{"text": "a"}\n'.encode("utf-16"), ":1: .*looks like UTF-16"),
        (gzip.compress(b'{"text": "a"}\n'), ":1: .*gzipped; name it .jsonl.gz"),
        ("[" * 200_000 + "\n", ":1: a line is one JSON object"),
        ("9" * 5_000 + "\n", ":1: a line is one JSON object"),
        ("", ": a corpus has one document or more; this file has none"),
        ("\n \r\n\n", ": a corpus has one document or more; this file has none"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(content: str | bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    assert re.match(re.escape(str(path)) + said, refusal(path, content))


def test_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b\\u2028c"}')
    assert contents(read(tmp_path / "data.jsonl")) == [Text("a"), Text("b\u2028c")]


def test_a_cut_gzip_file_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"text": "a"}\n' * 10)
    assert "damaged or cut off after line" in refusal(tmp_path / "data.jsonl.gz", whole[:-12])
    assert "damaged or cut off after line 0 (Not a gzipped file" in refusal(
        tmp_path / "data.jsonl.gz", b'{"text": "a"}'
    )


def test_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a"}', "utf-8")
    assert refusal(tmp_path / "trian.jsonl").endswith("no such file. There is train.jsonl")
    assert refusal(tmp_path / "no" / "train.jsonl").endswith(f"no such file, and no folder {tmp_path / 'no'}")
    assert refusal(tmp_path).endswith("is a folder. Name a file in it: train.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.jsonl")
    assert refusal(tmp_path / "train.csv").endswith('.jsonl, .jsonl.gz, .parquet; got ".csv"')
    assert refusal(tmp_path / ("x" * 300 + ".jsonl")).endswith("cannot be read: File name too long")


def test_parquet_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pl.DataFrame({"text": ["a", None], "id": [1, 2]}).write_parquet(path)
    assert refusal(path).startswith(f"{path}:2: a document has one of the shapes")
    pl.DataFrame({"question": ["a"], "answer": ["b"]}).write_parquet(path)
    assert refusal(path).endswith('got the keys "question", "answer"')
    pl.DataFrame({"text": [b"\xff"]}).write_parquet(path)
    assert '"text" is a string; got' in refusal(path)
    pl.DataFrame({"text": []}, schema={"text": pl.String}).write_parquet(path)
    assert refusal(path).endswith("this file has none")


def test_a_name_is_not_a_pattern(tmp_path: Path) -> None:
    for name in ("part[1].parquet", "*.parquet"):
        write(Corpus.of([Text(name)]), tmp_path / name)
    write(Corpus.of([Text("other")]), tmp_path / "part1.parquet")
    assert contents(read(tmp_path / "part[1].parquet")) == [Text("part[1].parquet")]
    assert contents(read(tmp_path / "*.parquet")) == [Text("*.parquet")]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_is_a_sentence(suffix: str, tmp_path: Path) -> None:
    """Cut or flipped anywhere, a file gives a corpus or an `InputError`, nothing else."""
    path = tmp_path / f"data{suffix}"
    write(Corpus.of([Dialogue.ask("héllo" * 9, "x" * n) for n in range(60)]), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(80):
        damaged = bytearray(whole[: rng.integers(len(whole))] if trial % 2 else whole)
        for _ in range(4 if damaged and not trial % 2 else 0):
            damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with suppress(InputError):
            read(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        read(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["user", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "prompt", "chosen", "rejected", "text", "role", "content"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_any_json_value_is_a_body_or_a_sentence(value: object) -> None:
    with suppress(InputError):
        assert isinstance(from_record(value), Text | Dialogue | Preference)


def test_writing_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    write(Corpus.of([Text("first")]), path)
    with pytest.raises(InputError, match="exists already"):
        write(Corpus.of([Text("second")]), path)
    for wrong in (Dialogue((Turn("assistant", "a"),)), Text("\ud83d"), Preference(Dialogue.ask("q", "a"), "b", "c")):
        with pytest.raises(InputError, match=r"document [0-9a-f]{16} cannot be written"):
            write(Corpus.of([Text("second"), wrong]), path, overwrite=True)
    with pytest.raises(InputError, match="one document or more"):
        write(Corpus.of([]), path, overwrite=True)
    with pytest.raises(InputError, match="there is no folder"):
        write(Corpus.of([Text("a")]), tmp_path / "no" / "data.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write(Corpus.of([Text("a")]), tmp_path / "folder.jsonl", overwrite=True)
    assert contents(read(path)) == [Text("first")]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["data.jsonl", "folder.jsonl"]


# FileData


def data_file(folder: Path, some: list[Body]) -> Path:
    folder.mkdir(exist_ok=True)
    write(Corpus.of(some), folder / "data.jsonl", overwrite=True)
    return folder / "data.jsonl"


def test_identity_is_content_not_place(tmp_path: Path) -> None:
    texts: list[Body] = [Text(str(n)) for n in range(9)]
    one, two = (FileData.of(data_file(tmp_path / place, texts), num_held_out=2) for place in "ab")
    other = FileData.of(data_file(tmp_path / "c", texts[1:]), num_held_out=2)
    assert isinstance(one, Data)
    assert one == two
    assert identify(one) == identify(two)
    assert len({identify(spec) for spec in (one, other, replace(one, part="held_out"), replace(one, limit=3))}) == 4


def test_the_split_is_by_what_is_asked(tmp_path: Path) -> None:
    texts: list[Body] = [Text(str(n % 40)) for n in range(80)]
    asked_twice: list[Body] = [Dialogue.ask(str(n), answer) for n in range(40) for answer in "ab"]
    for some in (texts, asked_twice):
        train = FileData.of(data_file(tmp_path, some), num_held_out=10)
        rng = np.random.default_rng
        learned = contents(train.corpus(rng(0)))
        probed = contents(replace(train, part="held_out").corpus(rng(0)))
        asked = [body if isinstance(body, Text) else body.prompt for body in probed if not isinstance(body, Preference)]
        assert len(probed) == len(set(asked)) == 10
        assert not {str(prompt) for prompt in asked} & {str(getattr(body, "prompt", body)) for body in learned}
        assert len(learned) == 60
        assert learned != contents(train.corpus(rng(1)))
        assert sorted(map(str, learned)) == sorted(map(str, contents(train.corpus(rng(1)))))
        assert learned == contents(train.corpus(rng(0)))
        backwards = FileData.of(data_file(tmp_path, some[::-1]), num_held_out=10, part="held_out")
        shown = {str(getattr(body, "prompt", body)) for body in contents(backwards.corpus(rng(0)))}
        assert shown == {str(prompt) for prompt in asked}
        nested = FileData.of(data_file(tmp_path, some), num_held_out=5, part="held_out").corpus(rng(0))
        assert set(contents(nested)) < set(probed)


def test_a_limit_takes_a_share(tmp_path: Path) -> None:
    texts: list[Body] = [Text(str(n)) for n in range(40)]
    data = FileData.of(data_file(tmp_path, texts), num_held_out=0, limit=7)
    assert len(data.corpus(np.random.default_rng(0))) == 7
    assert {document.source for document in data.corpus(np.random.default_rng(0))} == {"data.jsonl"}


def test_data_that_cannot_be_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = data_file(tmp_path, [Text("a"), Text("a"), Dialogue.ask("b", "c")])
    with pytest.raises(InputError, match=r"holding out 200 documents takes .* has 2. Set num_held_out"):
        FileData.of(path).corpus(rng)
    data = FileData.of(path, num_held_out=1)
    write(Corpus.of([Text("new")]), path, overwrite=True)
    with pytest.raises(InputError, match=r"has changed: SHA-256 .* Bring the file back, or name it anew"):
        data.corpus(rng)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        data.corpus(rng)
    with pytest.raises(InputError, match="no such file"):
        FileData.of(path)
    with pytest.raises(SpecError, match="num_held_out"):
        replace(data, part="held_out", num_held_out=0)
    with pytest.raises(SpecError, match="limit"):
        replace(data, limit=0)
