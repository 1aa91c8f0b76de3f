"""Files of the user: JSONL and Parquet in the field's formats, read into a `Corpus` and written back.

A document is one line (JSONL, also gzipped) or one row (Parquet) in one of four shapes, tried in this order; null is
as good as absent, other keys are left alone:

    {"prompt": ..., "chosen": ..., "rejected": ...}         -> Preference
    {"messages": [{"role": ..., "content": ...}, ...]}      -> Dialogue
    {"prompt": ..., "completion": ...} or "response"        -> Dialogue
    {"text": ...}                                           -> Text

A prompt or an answer is a string or a list of messages; an answer's list may repeat the prompt, as TRL's does.
Whatever is wrong with a file is an `InputError` that names the file, the line and the rule.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NoReturn, cast

import numpy as np

from pharmakon.core import Body, Corpus, Dialogue, Preference, Role, Text, Turn, fingerprint, to_record
from pharmakon.data.whole import write_whole
from pharmakon.errors import InputError, SpecError

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
ROLES: tuple[Role, ...] = ("system", "user", "assistant")
SHAPES = (
    '{"messages": [{"role", "content"}, ...]}, {"text"}, {"prompt", "completion" or "response"} '
    'or {"prompt", "chosen", "rejected"}'
)
KEYS = ("messages", "text", "prompt", "completion", "response", "chosen", "rejected")
BLANK = object()
"""The value of a line that has only white space."""


def read(path: str | Path, *, need_answers: bool = False) -> Corpus:
    """The documents of a file in its order; their source is the file's name.

    `need_answers`: refuse a dialogue in which the assistant says nothing, since training has nothing to learn from it.
    """
    path = Path(path)
    suffix = _suffix(path)
    with _system_errors(path, "read"):
        _check_is_file(path)
        lines = _parquet_rows(path) if suffix == ".parquet" else _json_lines(path, gzipped=suffix == ".jsonl.gz")
        bodies = []
        for number, record in lines:
            try:
                bodies.append(_answered(from_record(record), need_answers))
            except InputError as error:
                raise InputError(f"{path}:{number}: {error}") from None
    if not bodies:
        raise InputError(f"{path}: a corpus has one document or more; this file has none")
    return Corpus.of(bodies, source=path.name)


def raw_lines(path: Path) -> Iterator[tuple[int, bytes, object]]:
    """Number (the first is 1), bytes and JSON value of each line of a JSONL file; `BLANK` for one of white space."""
    suffix = _suffix(path)
    if suffix == ".parquet":
        raise InputError(f"{path}: a Parquet file has no lines; write it as .jsonl")
    with _system_errors(path, "read"):
        _check_is_file(path)
        yield from _raw_lines(path, gzipped=suffix == ".jsonl.gz")


def write(corpus: Corpus, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the bodies in their order, such that `read` gives them back; whole or not at all.

    Ids and sources are not written: an id follows from the content, and a file is its own source.
    """
    path = Path(path)
    suffix = _suffix(path)
    if not len(corpus):
        raise InputError(f"a corpus has one document or more; the one to write to {path} has none")
    records = []
    for document in corpus:
        record = to_record(document.body)
        try:
            _check_can_return(document.body, record)
        except InputError as error:
            raise InputError(f"document {document.id} cannot be written to {path}: {error}") from None
        records.append(record)
    with _system_errors(path, "written"):
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a file in it")
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists already. Give another name, or say that it may be overwritten")
        write_whole(path, lambda file: _dump(records, file, suffix))


def from_record(record: object) -> Body:
    """The body that a line or a row means; the inverse of `core.to_record`."""
    if not isinstance(record, dict):
        raise InputError(f"a document is a JSON object: {SHAPES}; got {_shown(record)}")
    given = {key: value for key, value in record.items() if value is not None}
    if "chosen" in given or "rejected" in given:
        return _preference(given)
    if "messages" in given:
        return Dialogue(_turns(given["messages"], "messages"))
    if "prompt" in given:
        prompt = _prompt(given["prompt"])
        name = next((key for key in ("completion", "response") if key in given), None)
        if name is None:
            raise InputError(f'"prompt" comes with "completion", "response" or "chosen" and "rejected"; {_keys(given)}')
        return Dialogue((*prompt.turns, Turn("assistant", _answer(given[name], name, prompt))))
    if "text" in given:
        return Text(_string(given["text"], '"text"'))
    raise InputError(f"a document has one of the shapes {SHAPES}; {_keys(given)}")


@dataclass(frozen=True)
class FileData:
    """A file of the user as data. Its identity is its content and its name, not the place where it lies.

    `part`: the documents for training, or those kept out of it for probing. The split is by the hash of the
    first question (of a text: the text), so neither the order of the file nor a seed moves it, and no conversation is
    in both parts.
    """

    sha256: str
    name: str
    path: Path = field(compare=False, metadata={"identity": False})
    part: Literal["train", "held_out"] = "train"
    num_held_out: int = 200
    """Documents with different prompts; copies of a held-out prompt are in neither part."""
    limit: int | None = None
    """At most so many documents, drawn by the rng; None for all."""
    need_answers: bool = True

    def __post_init__(self) -> None:
        check_split(self.part, self.num_held_out, self.limit)

    @staticmethod
    def of(
        path: str | Path,
        *,
        part: Literal["train", "held_out"] = "train",
        num_held_out: int = 200,
        limit: int | None = None,
        need_answers: bool = True,
    ) -> FileData:
        """The data of this file as it is now."""
        path = Path(path)
        _suffix(path)
        with _system_errors(path, "read"):
            _check_is_file(path)
            return FileData(_sha256(path), path.name, path.resolve(), part, num_held_out, limit, need_answers)

    def corpus(self, rng: np.random.Generator) -> Corpus:
        """The documents of the part in an order that the rng draws."""
        with _system_errors(self.path, "read"):
            _check_is_file(self.path)
            now = _sha256(self.path)
        if now != self.sha256:
            was = f"SHA-256 {self.sha256[:12]} when it was named, {now[:12]} now"
            way_out = "Bring the file back, or name it anew with FileData.of"
            raise InputError(f"the content of {self.path} has changed: {was}. {way_out}")
        bodies = [document.body for document in read(self.path, need_answers=self.need_answers)]
        train, held_out = _split(bodies, self.num_held_out, self.path)
        chosen = train if self.part == "train" else held_out
        order = rng.permutation(len(chosen))[: self.limit]
        return Corpus.of((chosen[index] for index in order), source=self.name)


def check_split(part: str, num_held_out: int, limit: int | None) -> None:
    """Refuse a split that contradicts itself."""
    if part not in ("train", "held_out"):
        raise SpecError(f'a part is "train" or "held_out"; got {part!r}')
    if num_held_out < 0 or (part == "held_out" and num_held_out == 0):
        raise SpecError(f"num_held_out is 0 or more, and 1 or more where they are asked for; got {num_held_out}")
    if limit is not None and limit < 1:
        raise SpecError(f"a limit is 1 document or more, or None for all; got {limit}")


def _split(bodies: Sequence[Body], num_held_out: int, path: Path) -> tuple[list[Body], list[Body]]:
    """The bodies for training, and the first body of each held-out prompt."""
    marks = [_opening(body) for body in bodies]
    first = {mark: index for index, mark in reversed(list(enumerate(marks)))}
    if num_held_out >= len(first):
        rule = f"holding out {num_held_out} documents takes a file with more different ones"
        raise InputError(f"{rule}; {path} has {len(first)}. Set num_held_out to a smaller number")
    out = set(sorted(first)[:num_held_out])
    train = [body for body, mark in zip(bodies, marks, strict=True) if mark not in out]
    return train, [bodies[first[mark]] for mark in sorted(out)]


def _opening(body: Body) -> str:
    """The first user turn: one conversation exported turn by turn stays in one part."""
    if isinstance(body, Text):
        return fingerprint(body)
    turns = body.turns if isinstance(body, Dialogue) else body.prompt.turns
    return fingerprint(Dialogue(next((turn,) for turn in turns if turn.role == "user")))


def _preference(given: dict[str, object]) -> Preference:
    if missing := [key for key in ("chosen", "rejected") if key not in given]:
        raise InputError(f'a preference has "prompt", "chosen" and "rejected"; "{missing[0]}" is missing')
    if "prompt" in given:
        prompt = _prompt(given["prompt"])
    elif isinstance(given["chosen"], list) and isinstance(given["rejected"], list):
        # TRL's implicit prompt: what the two dialogues share.
        shared, other = (_turns(given[name], name)[:-1] for name in ("chosen", "rejected"))
        if not shared or shared[-1].role != "user" or shared != other:
            raise InputError('without "prompt", "chosen" and "rejected" are one dialogue but for its last message')
        prompt = Dialogue(shared)
    else:
        raise InputError(f'a preference has "prompt", "chosen" and "rejected"; "prompt" is missing; {_keys(given)}')
    chosen, rejected = (_answer(given[name], name, prompt) for name in ("chosen", "rejected"))
    return Preference(prompt, chosen, rejected)


def _prompt(value: object) -> Dialogue:
    if isinstance(value, str):
        return Dialogue.ask(_string(value, '"prompt"'))
    turns = _turns(value, "prompt")
    if turns[-1].role != "user":
        raise InputError(f'a prompt ends with a message of the user; got one of role "{turns[-1].role}"')
    return Dialogue(turns)


def _answer(value: object, name: str, prompt: Dialogue) -> str:
    if isinstance(value, str):
        return _string(value, f'"{name}"')
    turns = _turns(value, name, whole=False)
    if turns[-1].role != "assistant" or turns[:-1] not in ((), prompt.turns):
        rule = f'"{name}" is a string or one message of the assistant, before which only the prompt may be repeated'
        raise InputError(f"{rule}; got messages of {', '.join(turn.role for turn in turns)}")
    return turns[-1].content


def _turns(value: object, name: str, *, whole: bool = True) -> tuple[Turn, ...]:
    """`whole`: a dialogue, in which the user says something."""
    rule = f'"{name}" is a list of {{"role", "content"}}'
    if not isinstance(value, list) or not value:
        raise InputError(f"{rule}; got {_shown(value)}. A document has one of the shapes {SHAPES}")
    turns = []
    for number, message in enumerate(value, 1):
        where = f"message {number}" + ("" if name == "messages" else f' of "{name}"')
        if not isinstance(message, dict):
            raise InputError(f"{rule}; {where} is {_shown(message)}")
        if missing := [key for key in ("role", "content") if message.get(key) is None]:
            raise InputError(f'{rule}; {where} has no "{missing[0]}", its keys are {", ".join(map(str, message))}')
        if message["role"] not in ROLES:
            raise InputError(f"a role is {', '.join(ROLES)}; {where} has {_shown(message['role'])}")
        turns.append(Turn(cast("Role", message["role"]), _string(message["content"], f"the content of {where}")))
    if whole and all(turn.role != "user" for turn in turns):
        raise InputError(f'in "{name}" the user says something; got messages of {", ".join(t.role for t in turns)}')
    return tuple(turns)


def _string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is a string; got {_shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x} at character {error.start + 1}"
        raise InputError(f"{name} is Unicode text; got half a surrogate pair, {half}") from None
    return value


def _answered(body: Body, need_answers: bool) -> Body:
    if need_answers and isinstance(body, Dialogue) and all(turn.role != "assistant" for turn in body.turns):
        raise InputError("a dialogue to learn from has an answer of the assistant; this one has none")
    return body


def _check_can_return(body: Body, record: dict[str, object]) -> None:
    if from_record(record) != body:
        raise InputError("it would not be read back as it is")


def _shown(value: object) -> str:
    """The kind of a JSON value, and its beginning."""
    kinds = {str: "the string", bool: "the value", int: "the number", float: "the number", list: "the list"}
    if value is None:
        return "null"
    text = json.dumps(value, default=str)
    return f"{kinds.get(type(value), 'the object')} {text if len(text) <= 48 else text[:45] + '...'}"


def _keys(given: dict[str, object]) -> str:
    keys = ", ".join(map(json.dumps, given))
    return f"got the keys {keys if len(keys) <= 200 else keys[:197] + '...'}" if given else "got no keys"


def _json_lines(path: Path, *, gzipped: bool) -> Iterator[tuple[int, object]]:
    """Line number and value of each line that is not blank."""
    return ((number, value) for number, _, value in _raw_lines(path, gzipped=gzipped) if value is not BLANK)


def _raw_lines(path: Path, *, gzipped: bool) -> Iterator[tuple[int, bytes, object]]:
    offset = 0
    with gzip.open(path, "rb") if gzipped else path.open("rb") as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                place = f"{path}:{number}"
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    bad = f"byte 0x{line[error.start]:02x} at offset {offset + error.start} is not"
                    raise InputError(f"{place}: a JSONL file is UTF-8; {bad}. {_other_encoding(line)}") from None
                offset += len(line)
                yield number, line, _value(text, place) if text.strip() else BLANK
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            after = f"after line {number} ({_first_line(error)})"
            raise InputError(f"{path}: the gzip file is damaged or cut off {after}. Fetch or write it again") from None


def _value(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # JSONDecodeError; also a number of thousands of digits
        at = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        what = error.msg if isinstance(error, json.JSONDecodeError) else _first_line(error)
        hint = ""
        if text.strip() in ("[", "{"):
            hint = ". This looks like one JSON value over many lines; write one object a line"
        elif not text.endswith("\n"):
            hint = ". It is the last line and has no end: the file may be cut off"
        raise InputError(f"{place}: a line is one JSON object; {what}{at}{hint}") from None


def _other_encoding(line: bytes) -> str:
    if line.startswith(b"\x1f\x8b"):
        return "It is gzipped; name it .jsonl.gz"
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "It looks like UTF-16; save it as UTF-8"
    return "Save it as UTF-8, for instance with iconv -f WINDOWS-1252 -t UTF-8"


def _parquet_rows(path: Path) -> Iterator[tuple[int, object]]:
    """Row number (the first is 1) and columns of each row."""
    import polars as pl

    def damaged(error: BaseException) -> NoReturn:
        why = _first_line(error)
        raise InputError(f"{path}: the Parquet file is damaged or cut off ({why}). Fetch or write it again") from None

    # Handles, not names: polars would read a name with [ or * as a pattern. Damage can end in a panic of its Rust
    # code, which is not an Exception.
    panic: type[BaseException] = pl.exceptions.PanicException
    try:
        with path.open("rb") as file:
            columns = list(pl.read_parquet_schema(file))
        known = [name for name in columns if name in KEYS]
        with path.open("rb") as file:
            frame = pl.read_parquet(file, columns=known) if known else pl.DataFrame()
    except panic as error:
        damaged(error)
    except OSError:
        raise
    except Exception as error:
        damaged(error)
    if not known:
        raise InputError(f"{path}: a document has one of the shapes {SHAPES}; {_keys(dict.fromkeys(columns))}")
    yield from enumerate(frame.iter_rows(named=True), 1)


def _dump(records: Sequence[dict[str, object]], file: IO[bytes], suffix: str) -> None:
    if suffix == ".parquet":
        import polars as pl

        messages = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
        found = {key for record in records for key in record}
        schema = {key: messages if key in ("messages", "prompt") else pl.String for key in KEYS if key in found}
        pl.DataFrame(records, schema=cast("Any", schema)).write_parquet(file)
        return
    lines = ((json.dumps(record, ensure_ascii=False) + "\n").encode() for record in records)
    if suffix == ".jsonl":
        file.writelines(lines)
        return
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:  # equal corpora, equal bytes
        packed.writelines(lines)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    if path.is_dir():
        _refuse_folder(path)
    got = f'"{"".join(path.suffixes[-2:])}"' if path.suffixes else "none"
    raise InputError(f"{path}: the suffix says what a file is, {', '.join(SUFFIXES)}; got {got}")


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        _refuse_folder(path)
    if not path.exists():
        if not path.parent.is_dir():
            raise InputError(f"{path}: no such file, and no folder {path.parent}")
        there = _readable(path.parent)
        near = difflib.get_close_matches(path.name, there, n=3) or there[:5]
        raise InputError(f"{path}: no such file. {f'There is {_names(near)}' if near else 'Its folder has no data'}")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; copy what it gives into one")


def _refuse_folder(path: Path) -> NoReturn:
    there = _readable(path)[:5]
    raise InputError(f"{path} is a folder. {f'Name a file in it: {_names(there)}' if there else 'It has no data'}")


def _readable(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(item.name for item in folder.iterdir() if item.name.lower().endswith(SUFFIXES))
    return []


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


@contextmanager
def _system_errors(path: Path, verb: str) -> Iterator[None]:
    """What the operating system refuses, as a sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be {verb}: {error.strerror or _first_line(error)}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
