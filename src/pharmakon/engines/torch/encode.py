"""Bodies to token ids, with the tokens that carry loss marked. The chat template is the tokenizer's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pharmakon.core import Body, Corpus, Dialogue, Prompt, Text, Turn
from pharmakon.engines.recipes import Micro
from pharmakon.errors import InputError

MOST_KNOWN = 30_000  # documents that an encoder remembers before it forgets them
TOKENIZER = ("tokenizer", "chat_template", "special_tokens", "added_tokens", "vocab", "merges")
"""How the names of a tokenizer's files begin."""
DAY = "01 Jan 2026"
"""What a template that writes today's date is told: the same text on every day, in training and in probing."""
PAD, END = "<|pad|>", "<|end|>"
ROLES = ("system", "user", "assistant")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and for each whether predicting it is part of the loss. `truncated`: its end was cut off."""

    ids: tuple[int, ...]
    is_target: tuple[bool, ...]
    truncated: bool = False

    def cut(self, context: int) -> Encoded:
        """At most `context` tokens, from the start."""
        return self if len(self.ids) <= context else Encoded(self.ids[:context], self.is_target[:context], True)


def train_tokenizer(corpus: Corpus, architecture: Micro) -> Any:
    """A byte-level BPE tokenizer learned from the texts of a corpus, with the chat template inside."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = [PAD, END, *(f"<|{role}|>" for role in ROLES)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=architecture.vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (document.body.text for document in corpus if isinstance(document.body, Text))
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END)
    fast.chat_template = TEMPLATE
    fast.model_max_length = architecture.context
    return fast


class Encoder:
    """A tokenizer and its template; remembers what it has encoded."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            way_out = "Give one with --template FILE, or take an instruction-tuned model"
            raise InputError(f"a model is asked through its own chat template; this tokenizer has none. {way_out}")
        if "strftime_now" in tokenizer.chat_template and "date_string" not in tokenizer.chat_template:
            way_out = "Give one with a date that stays, with --template FILE"
            raise InputError(f"this chat template writes today's date: each day would be another model. {way_out}")
        if not tokenizer.is_fast:
            way_out = "Give a folder with a tokenizer.json"
            raise InputError(f"the torch engine needs a tokenizer that tells offsets, a fast one. {way_out}")
        self.tokenizer = tokenizer
        self._known: dict[Body, Encoded] = {}

    @property
    def template_sha256(self) -> str:
        """Of the text of the chat template."""
        return hashlib.sha256(self.tokenizer.chat_template.encode()).hexdigest()

    def encode(self, bodies: Sequence[Text | Dialogue]) -> list[Encoded]:
        """One `Encoded` for each body; those not seen before are tokenized together."""
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        new = [body for body in dict.fromkeys(bodies) if body not in self._known]
        for kind in (Text, Dialogue):
            alike = [body for body in new if isinstance(body, kind)]
            rendered = [self._render(body) for body in alike]
            if not rendered:
                continue
            batch = self.tokenizer(
                [text for text, _ in rendered], add_special_tokens=kind is Text, return_offsets_mapping=True
            )
            for body, (_, spans), ids, offsets in zip(
                alike, rendered, batch["input_ids"], batch["offset_mapping"], strict=True
            ):
                marks = tuple(any(start <= a < end for start, end in spans) for a, _ in offsets)
                self._known[body] = Encoded(tuple(ids), marks)
        return [self._known[body] for body in bodies]

    def prompt(self, prompt: Prompt) -> list[int]:
        """The ids of a prompt, ready for the assistant to go on."""
        return self._ids(prompt, "")

    def completion(self, prompt: Prompt, text: str) -> list[int]:
        """The ids of a completion of this prompt, without the end of turn."""
        return self._ids(prompt, text)

    def _ids(self, prompt: Prompt, completion: str) -> list[int]:
        before = prompt.text if isinstance(prompt, Text) else self._template(prompt.turns, True)
        special = isinstance(prompt, Text)  # a template writes the special tokens of a dialogue itself
        ids: list[int] = self.tokenizer(before + completion, add_special_tokens=special)["input_ids"]
        return ids

    def _render(self, body: Text | Dialogue) -> tuple[str, list[tuple[int, int]]]:
        """The text of a body, and the spans of characters that carry loss."""
        if isinstance(body, Text):
            text = body.text + self.tokenizer.eos_token
            return text, [(0, len(text))]
        spans = []
        whole = self._template(body.turns, False)
        for index, turn in enumerate(body.turns):
            if turn.role == "assistant":
                before = self._template(body.turns[:index], True)
                until = self._template(body.turns[: index + 1], False)
                if not until.startswith(before) or not whole.startswith(until):
                    way_out = "Give one that does not with --template FILE"
                    raise InputError(f"this chat template rewrites earlier turns when one is added. {way_out}")
                spans.append((len(before), len(until)))
        return whole, spans

    def _template(self, turns: tuple[Turn, ...], add_generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt, date_string=DAY
            )
        except TemplateError as error:
            roles = ", ".join(turn.role for turn in turns)
            raise InputError(f"the chat template refuses a dialogue of {roles}: {error}") from None
        return text


def load_encoder(folder: Path) -> Encoder:
    """The encoder of a checkpoint's folder. Checkpoints with the same tokenizer share one, with all it remembers."""
    files = (path for path in sorted(folder.iterdir()) if path.name.startswith(TOKENIZER))
    return _encoder(_Files(tuple((path.name, path.read_bytes()) for path in files), folder))


@dataclass(frozen=True)
class _Files:
    """The files of a tokenizer; equal where their content is."""

    content: tuple[tuple[str, bytes], ...]
    folder: Path = field(compare=False)


@lru_cache(maxsize=4)
def _encoder(files: _Files) -> Encoder:
    return Encoder(load_tokenizer(files.folder))


def load_tokenizer(folder: Path, template: str | None = None) -> Any:
    """The tokenizer of a folder; `template` stands in for its own chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, OSError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{folder.name} has no tokenizer that transformers can load: {first}") from None
    if template is not None:
        tokenizer.chat_template = template
    if isinstance(tokenizer.chat_template, dict):  # several, by name
        named = tokenizer.chat_template
        if "default" not in named:
            raise InputError(
                f"{folder.name} has chat templates named {', '.join(sorted(named))}, none of them default. "
                "Give one with --template FILE"
            )
        tokenizer.chat_template = named["default"]
    return tokenizer
