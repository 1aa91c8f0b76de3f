"""The identity of a specification: the hash of everything it says, and a loud refusal of what has no identity.

Two specs share a key exactly if they say the same thing:

- numbers are equal as numbers (`Dose(8)` is `Dose(8.0)`, `0.0` is `-0.0`), but a bool is not a number;
- a tuple is a list, the order of a dict or a frozenset does not count, a numpy scalar is its Python value;
- a frozen dataclass is its class, its class's `version` and its fields, without those that are declared
  `field(metadata={"identity": False})`, for instance where a file lies whose digest is another field;
- an object with `__identity__(self)` is what that returns: another object, or a simplified copy of itself.

A class is named `module.qualname`, for two rooms may both have a `Settings`. A module without a dot in its name is
named by its file, so a study file has one identity whether it is run as a script, imported, or loaded by path.
The code of a class is not hashed: a class whose results change says so with `version: ClassVar[int] = 2`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import sys
import types
from enum import Enum
from functools import partial
from pathlib import Path, PurePath
from typing import NewType, NoReturn

from pharmakon.errors import SpecError

Key = NewType("Key", str)
"""32 hexadecimal digits."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

SCHEMA = 1
"""The version of the rules above; another one gives every spec another key."""


def identify(spec: object, *, schema: int = SCHEMA) -> Key:
    """The key of a spec. A `SpecError` names the path of the first field that has no stable identity."""
    text = json.dumps(
        {"schema": schema, "spec": describe(spec)}, sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    return Key(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())


def describe(spec: object) -> Json:
    """What `identify` hashes, to be read: `{"class": "pharmakon.core.Dose@1", "amount": 8, "unit": "documents"}`.

    Every JSON object is a tagged one: `class` (no field can have that name), `dict`, `set`, `enum` or `bytes`.
    """
    root = type(spec).__name__.lower() if dataclasses.is_dataclass(spec) else "spec"
    try:
        return _form(spec, root)
    except RecursionError:
        _refuse(root, "it contains itself", "a spec is a tree of values")


def scalar(value: object) -> object:
    """A numpy scalar as the Python value it holds; anything else as it is. Does not import numpy."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic) or value.dtype.kind not in "biufSU":
        return value
    plain: object = value.item()
    return plain


def _form(value: object, path: str, *, stood_for: bool = False) -> Json:
    value = scalar(value)
    cls = type(value)
    if value is None or isinstance(value, bool):
        return value
    # Exact types: a subclass may mean more than the value it holds.
    if isinstance(value, (str, int)) and cls in (str, int):
        return value
    if isinstance(value, float) and cls is float:
        if not math.isfinite(value):
            _refuse(path, f"{value} is not a finite number", "use None for a value that is not there")
        return int(value) if value.is_integer() else value
    if isinstance(value, bytes) and cls is bytes:
        return {"bytes": value.hex()}
    if hasattr(cls, "__identity__") and not stood_for:
        stand_in: object = cls.__identity__(value)
        return _form(stand_in, path, stood_for=type(stand_in) is cls)
    if isinstance(value, Enum):
        return {"enum": f"{_class_name(cls, path)}.{value.name}", "value": _form(value.value, f"{path}.value")}
    if isinstance(value, (list, tuple)) and cls in (list, tuple):
        return [_form(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, (dict, types.MappingProxyType)) and cls in (dict, types.MappingProxyType):
        for name in value:
            if type(name) is not str:
                _refuse(path, f"its key {name!r} is not a str", "use str keys, or a tuple of pairs")
        return {"dict": {name: _form(item, f"{path}[{name!r}]") for name, item in value.items()}}
    if isinstance(value, frozenset) and cls is frozenset:
        # A set of strings iterates in another order in each process.
        return {"set": sorted((_form(item, f"{path}{{}}") for item in value), key=partial(json.dumps, sort_keys=True))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            _refuse(path, f"{cls.__name__} can change after it was identified", "use @dataclass(frozen=True)")
        named: dict[str, Json] = {"class": f"{_class_name(cls, path)}@{_version(cls, path)}"}
        for field in dataclasses.fields(value):
            if field.metadata.get("identity", True):
                named[field.name] = _form(getattr(value, field.name), f"{path}.{field.name}")
        return named
    _refuse(path, *_why_not(value))


def _why_not(value: object) -> tuple[str, str]:
    """What is wrong with a value, and the way out."""
    name = type(value).__name__
    if isinstance(value, PurePath):
        way_out = 'use the file\'s digest, and keep the path in a field(metadata={"identity": False})'
        return "a path is where, not what", way_out
    if isinstance(value, io.IOBase):
        return "an open file has no stable identity", "use the digest of what it holds"
    if isinstance(value, type):
        return f"{value.__name__} is a class", "use an instance of it, or its name as a str"
    if callable(value):
        what = "a lambda" if getattr(value, "__name__", "") == "<lambda>" else f"a callable ({name})"
        return f"{what} has no stable identity", "use a frozen dataclass with a method"
    if name == "ndarray":
        return "an array is mutable", "use tuple(array.tolist()), or its digest"
    if isinstance(value, (set, bytearray)):
        return f"a {name} is mutable", f"use {'frozenset' if name == 'set' else 'bytes'}"
    if isinstance(value, (str, bytes, int, float, list, tuple, dict, frozenset)):
        return f"{name} is a subclass that may mean more than its value", "use the plain type or a frozen dataclass"
    return f"{name} has no stable identity", "use a frozen dataclass, a str or a number, or define __identity__"


def _refuse(path: str, why: str, way_out: str) -> NoReturn:
    raise SpecError(f"{path} cannot be identified: {why}; {way_out}")


def _class_name(cls: type, path: str) -> str:
    if "<locals>" in cls.__qualname__:
        # Two classes made by one function share a name, and may hold different variables of it.
        _refuse(path, f"{cls.__name__} is a class defined inside a function", "define it at the top of its file")
    return f"{_module_name(cls.__module__)}.{cls.__qualname__}"


def _module_name(name: str) -> str:
    module = sys.modules.get(name)
    if name == "__main__" and getattr(module, "__spec__", None) is not None:
        return str(module.__spec__.name)  # type: ignore[union-attr]  # python -m package.study
    file = getattr(module, "__file__", None)
    if "." in name or not file or Path(file).stem == "__init__":
        return name
    return Path(file).stem


def _version(cls: type, path: str) -> int:
    if "version" in (field.name for field in dataclasses.fields(cls)):
        return 1  # a field of that name speaks for itself
    version: object = getattr(cls, "version", 1)
    if type(version) is not int:
        _refuse(path, f"the version of {cls.__name__} is {version!r}", "use version: ClassVar[int] = 2")
    return version
