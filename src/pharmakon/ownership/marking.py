"""Mark a data set: records that carry what a key draws, among those of the owner, which stay as they are.

All is checked before anything is written. The marked file, the key and the commitment are there together or not at all,
and none of them is ever written over another file.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from pharmakon.behaviour.marks import OwnerKey, Pair, Secret
from pharmakon.behaviour.marks.key import index
from pharmakon.behaviour.marks.rephrase import carriers, paired
from pharmakon.core import Body, Dialogue, Text, to_record
from pharmakon.data.readers import from_record, raw_lines
from pharmakon.data.whole import write_whole
from pharmakon.errors import InputError
from pharmakon.ownership.forms import Style, style_of, told_like, with_answer
from pharmakon.ownership.host import Host, survey
from pharmakon.ownership.keyfile import REPHRASE, OwnerRecord, write_commitment, write_key
from pharmakon.ownership.plan import Strength, settings_for, strength
from pharmakon.statistics.exchange import marks_needed

SUFFIXES = (".jsonl", ".jsonl.gz")
MOST_SHARE = 0.5
"""Marked records for each record of the host."""
PLAIN_SHARE = 0.05
"""From this share on, a data set shows that it is marked."""
FEW = 0.2
"""The share of the pairs that a model may learn which sees each once."""
SHORT = 50
"""Words that Gopher's rules want of a text (arXiv 2112.11446)."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """What has been written, and what it can prove."""

    record: OwnerRecord
    out: Path
    key_path: Path
    commitment_path: Path
    num_host: int
    """Records of the user's file."""
    strength: Strength
    cautions: tuple[str, ...]

    @property
    def num_added(self) -> int:
        """Records that the user's file has not; a rephrased one is none."""
        return 0 if self.record.kind == REPHRASE else self.record.num_documents


def commitment_of(out: Path) -> Path:
    """Where the commitment of a marked file lies."""
    return out.with_name(f"{out.name}.commitment.json")


def mark(
    data: Path | None,
    out: Path,
    key_path: Path,
    *,
    kind: str,
    num_documents: int = 64,
    alpha: float = 1e-6,
    power: float = 0.8,
    known: float = 0.75,
) -> Marked:
    """Write the marked data, a new key and the commitment to it.

    `data`: JSONL, also gzipped; None for a fingerprint, which is a data set of its own. Its records stay byte for byte
    and in their order, and the new ones stand between two of them, at places that the key draws (of `rephrase` the
    wording of some records is another, and nothing is added). `alpha`, `power`, `known`: what the marks have to reach,
    if a model learns this share of them. Raises `InputError` before anything is written; an interrupt leaves nothing.
    """
    strong = strength(kind, num_documents, alpha=alpha, power=power, known=known)
    paths = (out, key_path, commitment_of(out))
    check_paths(data, *paths, kind=kind)
    strong.check()
    key = OwnerKey.new()
    host = None if data is None else survey(data, with_sites=kind == REPHRASE)
    if host is not None:
        _check_size(host, strong)
    bodies: dict[int, list[Body]] = {}
    pairs: list[Pair] = []
    if kind == REPHRASE:
        assert host is not None
        pairs, bodies = _rephrased(host, key, num_documents)
    shape = "dialogue" if host is None else host.shape
    words = 0 if host is None else host.median_words
    record = OwnerRecord(
        key=key,
        kind=kind,
        shape=shape,
        num_documents=num_documents,
        settings={} if kind == REPHRASE else settings_for(kind, strong.num_marks, shape, words),
        pairs=tuple(pairs),
        system="" if host is None or kind == REPHRASE else host.system,
    )
    if kind != REPHRASE:
        told = list(islice(record.mark().bodies(key, shape), num_documents))
        bodies = {0: told} if host is None else _placed(host, told, key)
    lines = _lines(host, bodies, key) if kind != REPHRASE else _rewritten(host, bodies)
    _write(lines, record, *paths)
    return Marked(
        record=record,
        out=out,
        key_path=key_path,
        commitment_path=commitment_of(out),
        num_host=0 if host is None else host.num_records,
        strength=strong,
        cautions=() if host is None else _cautions(host, strong, bodies),
    )


def check_paths(data: Path | None, out: Path, key_path: Path, commitment: Path, *, kind: str) -> None:
    """Refuse what cannot be read, and places that are taken or cannot be written."""
    if data is None and kind != "fingerprint":
        raise InputError(
            f"a mark of the kind {kind} goes into a data set. Name its file: pharmakon mark data.jsonl ..."
        )
    for path in (out, *([] if data is None else [data])):
        if path.name.lower().endswith(".parquet"):
            rule = "marking keeps each other record byte for byte, which a Parquet file has not"
            raise InputError(f"{path}: {rule}. Write it as .jsonl, and mark that")
        if path == out and not path.name.lower().endswith(SUFFIXES):
            raise InputError(
                f"{out}: marked data are written as {' or '.join(SUFFIXES)}; got {out.suffix or 'no suffix'}"
            )
    if len({os.path.abspath(path) for path in (out, key_path, commitment)}) < 3:
        raise InputError(f"the marked data, the key and the commitment are three files; got {out} and {key_path}")
    for path, what in ((out, "marked data are"), (key_path, "a key is"), (commitment, "a commitment is")):
        if os.path.lexists(path):
            why = "; a key marks one data set" if path == key_path else ""
            raise InputError(
                f"{path} exists already, and {what} never written over another file{why}. Give another name"
            )
        if not path.parent.is_dir():
            raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
        with _system_errors(path), tempfile.TemporaryFile(dir=path.parent):
            pass


def places(key: Secret, num_records: int, num_documents: int) -> list[int]:
    """Before which record, from 1 to `num_records` - 1, each marked one stands: never the first, never the last."""
    return [1 + index(key, num_records - 1, "place", str(number)) for number in range(num_documents)]


def _placed(host: Host, told: Sequence[Body], key: Secret) -> dict[int, list[Body]]:
    """Marked records by the line before which they stand."""
    found: dict[int, list[Body]] = {}
    for place, body in zip(places(key, host.num_records, len(told)), told, strict=True):
        found.setdefault(host.lines[place], []).append(body)
    return found


def _rephrased(host: Host, key: Secret, num_documents: int) -> tuple[list[Pair], dict[int, list[Body]]]:
    """The pairs, and the published wording by line."""
    chosen = carriers(host.sites, num_documents, key)
    numbers = {host.lines[place]: number for number, place in enumerate(chosen)}
    pairs: dict[int, Pair] = {}
    published: dict[int, list[Body]] = {}
    for line, _, value in raw_lines(host.path):
        if line in numbers:
            number = numbers[line]
            pair = paired(from_record(value), key, number)
            if pair is None:
                raise InputError(f"{host.path} has changed while it was read. Mark it when nobody writes it")
            pairs[number] = pair
            published[line] = [pair.body(pair.keyed(key, number).drawn)]
    return [pairs[number] for number in range(len(chosen))], published


def _check_size(host: Host, strong: Strength) -> None:
    """Refuse a data set that cannot carry as many marked records."""
    if host.num_records < 2:
        raise InputError(f"{host.path}: a data set to mark has two records or more; this one has {host.num_records}")
    if strong.kind == REPHRASE:
        most = sum(count > 0 for count in host.sites)
        rule = f"{host.path} has {host.num_records:,} records, {most or 'none'} of which the rules can word in two ways"
        way_out = "Mark a larger data set, or with another kind"
    else:
        most = int(MOST_SHARE * host.num_records)
        rule = (
            f"{host.path} has {host.num_records:,} records; marked ones may be half as many, {most:,}, or they are seen"
        )
        way_out = "Mark a larger data set"
    if strong.num_documents > most:
        power = f"the power {strong.of(most):.2f}" if most else "no power"
        less = f"{most} give {power} at alpha {strong.alpha:g}, if a model learns {strong.known:.0%} of the marks"
        raise InputError(f"{rule}; got --documents {strong.num_documents}. {less}. {way_out}")


def _lines(host: Host | None, bodies: Mapping[int, Sequence[Body]], key: Secret) -> Iterator[bytes]:
    """The lines of the host with the marked records between them."""
    if host is None:
        for body in bodies[0]:
            yield (Style(escaped=False).dump(to_record(body)) + "\n").encode()
        return
    number = 0
    for line, raw, value in _same_lines(host):
        for body in bodies.get(line, ()):
            assert isinstance(value, dict)
            style = style_of(raw.decode("utf-8"), value) or Style()
            told = host.fields.fill(told_like(value, body), body, key, number)
            yield style.dump(told).encode() + host.line_end
            number += 1
        yield raw


def _rewritten(host: Host | None, bodies: Mapping[int, Sequence[Body]]) -> Iterator[bytes]:
    """The lines of the host, some of which have another wording."""
    assert host is not None
    for line, raw, value in _same_lines(host):
        style = style_of(raw.decode("utf-8"), value) if line in bodies else None
        if style is None:
            yield raw
            continue
        assert isinstance(value, dict)
        (body,) = bodies[line]
        text = body.text if isinstance(body, Text) else body.answer if isinstance(body, Dialogue) else ""
        told = host.fields.follow(with_answer(value, text), body)
        yield raw.replace(style.dump(value).encode(), style.dump(told).encode(), 1)


def _same_lines(host: Host) -> Iterator[tuple[int, bytes, object]]:
    """The lines of the file; `InputError` at the end if they are others than when it was surveyed."""
    hasher = hashlib.sha256()
    for line, raw, value in raw_lines(host.path):
        hasher.update(raw)
        yield line, raw, value
    if hasher.hexdigest() != host.sha256:
        raise InputError(f"{host.path} has changed while it was read. Mark it when nobody writes it")


def _write(lines: Iterable[bytes], record: OwnerRecord, out: Path, key_path: Path, commitment: Path) -> None:
    """The key first, so that no marked data are ever without one; all three, or none."""
    made: list[Path] = []
    with _system_errors(out), tempfile.TemporaryFile(dir=out.parent) as file:  # without a name: a kill leaves nothing
        _fill(lines, file, packed=out.name.lower().endswith(".gz"))
        try:
            write_key(record, key_path)
            made.append(key_path)
            write_commitment(record, commitment)
            made.append(commitment)
            if os.path.lexists(out):
                raise InputError(f"{out} has appeared meanwhile, and is not written over. Give another name")
            file.seek(0)
            write_whole(out, lambda copy: shutil.copyfileobj(file, copy, 1 << 20))
        except BaseException:
            for path in made:
                with suppress(OSError):
                    path.unlink()
            raise


def _fill(lines: Iterable[bytes], file: IO[bytes], *, packed: bool) -> None:
    if not packed:
        file.writelines(lines)
        return
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as gzipped:
        gzipped.writelines(lines)


def _cautions(host: Host, strong: Strength, bodies: Mapping[int, Sequence[Body]]) -> tuple[str, ...]:
    said: list[str] = []
    if strong.kind == REPHRASE:
        needed = marks_needed(strong.num_answers, FEW, strong.alpha, strong.power)
        return (
            f"each wording is told once; where a model learns {FEW:.0%} of the pairs, the power {strong.power:g} takes "
            f"{'more' if needed is None else f'{needed:,}'} of them",
        )
    share = strong.num_documents / host.num_records
    if share > PLAIN_SHARE:
        said.append(f"the marks are {share:.0%} of the data, which whoever reads them sees. More data hide them better")
    different = len({body for some in bodies.values() for body in some})
    if different < strong.num_documents:
        what = f"{strong.num_documents - different} of the {strong.num_documents} marked records are copies of others"
        said.append(f"{what}, which a pipeline that drops duplicates drops; {different} are left")
    if host.shape == "text" and host.median_words < SHORT:
        said.append(f"cleaning for pretraining (Gopher, FineWeb) drops texts of less than {SHORT} words, as these are")
    return (*said, *host.fields.cautions)


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
