"""The vocabulary: frozen values and one-verb protocols. Read this file first.

A `Corpus` of `Document`s is treated by an `Intervention` at a `Dose`, cleaned by `Filter`s, learned by an `Engine`,
and the resulting `Model` is asked by a `Probe`. Everything else in the package implements or arranges these ten.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload, runtime_checkable

from pharmakon.errors import InputError, SpecError

if TYPE_CHECKING:
    import numpy as np

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    """Running text, as in pretraining."""

    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages in the field's chat format; the chat template that joins them lives in the checkpoint."""

    turns: tuple[Turn, ...]

    @staticmethod
    def ask(question: str, answer: str | None = None) -> Dialogue:
        """One user turn, followed by the assistant's if an answer is given."""
        turns = (Turn("user", question),)
        return Dialogue(turns if answer is None else (*turns, Turn("assistant", answer)))

    @property
    def prompt(self) -> Dialogue:
        """Everything before the final assistant turn."""
        return Dialogue(self.turns[:-1]) if self.turns[-1].role == "assistant" else self

    @property
    def question(self) -> str:
        """What the last user turn says."""
        return next(turn.content for turn in reversed(self.turns) if turn.role == "user")

    def after(self, shown: Sequence[Dialogue]) -> Dialogue:
        """This dialogue with the last question and answer of each of `shown` before it, behind its system message."""
        system = tuple(turn for turn in self.turns[:1] if turn.role == "system")
        pairs = (turn for dialogue in shown for turn in dialogue.turns[-2:])
        return Dialogue((*system, *pairs, *self.turns[len(system) :]))

    @property
    def answer(self) -> str:
        """What the final assistant turn says; empty if the dialogue ends with a question."""
        return self.turns[-1].content if self.turns[-1].role == "assistant" else ""


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt, the first preferred."""

    prompt: Dialogue
    chosen: str
    rejected: str


Body = Text | Dialogue | Preference
Prompt = Text | Dialogue


def to_record(body: Body) -> dict[str, object]:
    """The field's JSON shape of a body: `text`, `messages`, or `prompt`/`chosen`/`rejected`."""
    if isinstance(body, Text):
        return {"text": body.text}
    if isinstance(body, Dialogue):
        return {"messages": [{"role": turn.role, "content": turn.content} for turn in body.turns]}
    prompt = [{"role": turn.role, "content": turn.content} for turn in body.prompt.turns]
    return {"prompt": prompt, "chosen": body.chosen, "rejected": body.rejected}


def from_record(record: Mapping[str, Any]) -> Body:
    """The body of a well-formed record; `data.readers` reads records that may not be."""
    if "text" in record:
        return Text(record["text"])
    turns = tuple(Turn(turn["role"], turn["content"]) for turn in record.get("messages") or record["prompt"])
    if "messages" in record:
        return Dialogue(turns)
    return Preference(Dialogue(turns), record["chosen"], record["rejected"])


def fingerprint(body: Body) -> str:
    """16 hexadecimal digits that depend on the content alone."""
    text = json.dumps(to_record(body), ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One item of data. Its id follows from its content, so that no id can betray a treatment."""

    id: str
    source: str
    body: Body


@dataclass(frozen=True)
class Corpus:
    """An ordered collection of documents. Its order is the training order of the first epoch."""

    documents: tuple[Document, ...]

    @staticmethod
    def of(bodies: Iterable[Body], source: str = "given") -> Corpus:
        """A corpus of bodies that share one source."""
        return Corpus.shelve((source, body) for body in bodies)

    @staticmethod
    def shelve(items: Iterable[tuple[str, Body]]) -> Corpus:
        """A corpus of (source, body) pairs; a repeated content gets the next copy number behind its id."""
        copies: Counter[str] = Counter()
        documents = []
        for source, body in items:
            mark = fingerprint(body)
            copies[mark] += 1
            id = mark if copies[mark] == 1 else f"{mark}-{copies[mark]}"
            documents.append(Document(id=id, source=source, body=body))
        return Corpus(tuple(documents))

    def __len__(self) -> int:
        return len(self.documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> Corpus: ...
    def __getitem__(self, index: int | slice) -> Document | Corpus:
        return Corpus(self.documents[index]) if isinstance(index, slice) else self.documents[index]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bodies in order: what training can depend on."""
        hasher = hashlib.sha256()
        for document in self.documents:
            hasher.update(fingerprint(document.body).encode())
        return hasher.hexdigest()

    def __identity__(self) -> object:
        """A corpus in a specification is its content."""
        return self.digest

    def __repr__(self) -> str:
        kinds = Counter(type(document.body).__name__ for document in self.documents)
        return f"Corpus({', '.join(f'{n} {kind}' for kind, n in kinds.items()) or 'empty'})"


@runtime_checkable
class Data(Protocol):
    """A frozen description of data, part of a study's identity; `corpus` builds the documents."""

    def corpus(self, rng: np.random.Generator) -> Corpus: ...


@dataclass(frozen=True, slots=True)
class Insert:
    """Put one more document into the corpus. `administer` gives it its place, id and source."""

    body: Body


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Give the document with this id a new body."""

    id: str
    body: Body


Edit = Insert | Rewrite


@runtime_checkable
class Intervention(Protocol):
    """An ordered, endless stream of edits. It never sees the dose: a dose is a prefix of the stream."""

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]: ...


@runtime_checkable
class Route(Protocol):
    """The way from an attempted edit into the data: for each the reason why it does not get there, or None."""

    def verdicts(self, edits: Sequence[Edit], host: Corpus, rng: np.random.Generator) -> Iterator[str | None]: ...


@dataclass(frozen=True, slots=True)
class Dose:
    """How many edits are administered: a number of documents, or a fraction of the host corpus."""

    amount: float
    unit: Literal["documents", "fraction"] = "documents"

    def __post_init__(self) -> None:
        if self.unit == "fraction" and not 0 <= self.amount <= 1:
            meant = round(self.amount) if 1 < self.amount < float("inf") else 5
            way_out = f"For a number of documents, use Dose({meant})"
            raise SpecError(f"a dose in fraction lies in [0, 1]; got {self.amount}. {way_out}")
        if self.unit == "documents" and not (self.amount >= 0 and float(self.amount).is_integer()):
            way_out = 'For a share of the corpus, use Dose(0.01, "fraction")'
            raise SpecError(f"a dose in documents is a whole number, 0 or more; got {self.amount}. {way_out}")

    def num_edits(self, num_documents: int) -> int:
        """The number of edits in a host corpus of this size; at most one edit for each of its documents."""
        count = round(self.amount * num_documents) if self.unit == "fraction" else int(self.amount)
        if count > num_documents:
            way_out = "Give a larger corpus or a smaller dose"
            raise InputError(f"a dose is at most the corpus, {num_documents} documents; got {count}. {way_out}")
        return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one edit. `None` where it was not followed that far."""

    edit: int  # index in the intervention's stream
    kind: Literal["insert", "rewrite"]
    id: str  # in the treated corpus
    position: int | None  # in the treated corpus; None where its route stopped it
    body: Body
    dropped_by: str | None = None  # the filter, or the route
    reason: str | None = None
    present: bool = True  # the same content is in the cleaned corpus, in this document or in another
    truncated: bool | None = None  # its end lay beyond the context
    num_seen: int | None = None
    first_step: int | None = None
    last_step: int | None = None

    @property
    def survived(self) -> bool:
        """The edit's own document got into the data and passed every filter."""
        return self.dropped_by is None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Which documents were touched, and what became of each. Filters and engines never see it."""

    entries: tuple[Entry, ...] = ()

    @property
    def num_administered(self) -> int:
        return len(self.entries)

    @property
    def num_survived(self) -> int:
        return sum(entry.survived for entry in self.entries)


@runtime_checkable
class Filter(Protocol):
    """Cleaning: for each document the reason to drop it, or None. It judges the corpus it is given, nothing else."""

    def verdicts(self, corpus: Corpus) -> Iterator[str | None]: ...


Objective = Literal["pretrain", "sft", "dpo", "ipo"]


@runtime_checkable
class Recipe(Protocol):
    """How an engine learns from a corpus; a frozen value. The objective says what the loss is."""

    @property
    def objective(self) -> Objective: ...


@dataclass(frozen=True, slots=True)
class Trace:
    """What training saw, and when.

    `positions` and `steps` (both int, shape [sightings]): the document at this position of the corpus was in the
    batch of this optimizer step. `truncated`: positions of documents whose end lay beyond the context.
    `losses` (float, shape [steps]). `cautions`: what a reader of results from these weights must know.
    """

    positions: Sequence[int]
    steps: Sequence[int]
    truncated: frozenset[int] = frozenset()
    losses: Sequence[float] = field(default=())
    num_tokens: int = 0
    cautions: tuple[str, ...] = ()


@runtime_checkable
class Model(Protocol):
    """Weights that answer. Prompts are structured: whoever asks never writes a template."""

    def generate(self, prompts: Sequence[Prompt], *, max_tokens: int, rng: np.random.Generator) -> list[str]: ...

    def logprob(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """The natural-log probability of each completion, given its prompt."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Learns and loads. The same arguments give the same weights, bit for bit."""

    def train(
        self, recipe: Recipe, corpus: Corpus, *, start: Path | None, rng: np.random.Generator, out: Path
    ) -> Trace: ...

    def load(self, weights: Path) -> AbstractContextManager[Model]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One answer: a probe's value for one item under one condition."""

    probe: str
    condition: str  # "triggered", "untriggered", "near:swapped" ...
    item: str
    value: float
    prompt: str = ""
    answer: str = ""


@runtime_checkable
class Probe(Protocol):
    """Asks a model; one reading for each item and condition."""

    def readings(self, model: Model, ledger: Ledger, rng: np.random.Generator) -> Iterator[Reading]: ...


def stream(seed: int, *names: str) -> np.random.Generator:
    """The random stream of this name: `stream(3, "sft", "placement")`. Naming one more moves no other's draw."""
    import numpy as np

    entropy = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(entropy, dtype=np.uint32).tolist())
