"""Equal specs share a key in every process; what has no stable identity is refused by its path."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharmakon.core import Dose, Text, Turn
from pharmakon.errors import SpecError
from pharmakon.identity import describe, identify


class Colour(Enum):
    RED = "r"
    BLUE = "b"


@dataclass(frozen=True)
class Rule:
    rule: object


@dataclass(frozen=True)
class Arm:
    filters: tuple[object, ...] = ()
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    arms: tuple[object, ...] = ()


@dataclass(frozen=True)
class Assets:
    digest: str
    path: Path = field(default=Path("/home/me/corpus"), metadata={"identity": False})


@dataclass(frozen=True, slots=True)
class First:
    value: object = 0


@dataclass(frozen=True, slots=True)
class Second:
    value: object = 0


@dataclass(frozen=True)
class Versioned:
    value: int = 0
    version: ClassVar[int] = 1


@dataclass(frozen=True)
class VersionIsAField:
    version: int = 7


@dataclass(frozen=True)
class Treatment:
    """Dose 0 is no treatment, whatever it would have been a dose of."""

    what: str
    dose: Dose

    def __identity__(self) -> object:
        return replace(self, what=self.what.lower()) if self.dose.amount else None


@dataclass
class Loose:
    value: int = 0


class Opaque:
    pass


class Marker(str):
    __slots__ = ()


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.binary()
)
hashables = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.builds(First, inner), max_leaves=5)
values = st.recursive(
    scalars | st.sampled_from(Colour) | st.frozensets(hashables, max_size=3),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(First, inner),
        st.builds(Second, inner),
    ),
    max_leaves=8,
)


def plain(value: object) -> object:
    """An independent account of equality: equal exactly if the two specs say the same."""
    if isinstance(value, (First, Second)):
        return type(value), plain(value.value)
    if isinstance(value, dict):
        return "dict", frozenset((name, plain(item)) for name, item in value.items())
    if isinstance(value, tuple):
        return "sequence", tuple(plain(item) for item in value)
    if isinstance(value, frozenset):
        return "set", frozenset(plain(item) for item in value)
    return ("number" if type(value) in (int, float) else type(value)), value


@given(values, values)
def test_two_specs_share_a_key_exactly_if_they_say_the_same(one: object, two: object) -> None:
    assert (identify(one) == identify(two)) == (plain(one) == plain(two))


@given(st.dictionaries(st.text(), scalars, max_size=6), st.randoms())
def test_the_order_of_a_dict_does_not_count(options: dict[str, object], random: object) -> None:
    names = list(options)
    random.shuffle(names)  # type: ignore[attr-defined]
    shuffled = {name: options[name] for name in names}
    assert identify(Arm(options=options)) == identify(Arm(options=shuffled))
    assert identify(options) == identify(MappingProxyType(shuffled))


@given(st.tuples(st.integers(), st.text(), st.booleans()), st.integers(0, 2))
def test_every_field_counts(given_values: tuple[int, str, bool], changed: int) -> None:
    other = list(given_values)
    other[changed] = {0: given_values[0] + 1, 1: given_values[1] + "x", 2: not given_values[2]}[changed]
    assert identify(Study(arms=given_values)) != identify(Study(arms=tuple(other)))


def test_numbers_are_equal_as_numbers_and_nothing_else_is() -> None:
    assert identify(Dose(8)) == identify(Dose(8.0)) == identify(Dose(np.float64(8)))
    assert identify(First(8)) == identify(First(np.int32(8))) == identify(First(np.float32(8)))
    assert identify(0.0) == identify(-0.0)
    assert identify(10**22) == identify(1e22)
    different = [1, True, "1", b"1", None, "None", (1,), ((1,),), {"1": 1}, frozenset({1}), 1.5, "1.5", {}, (), ""]
    assert len({identify(value) for value in different}) == len(different)
    assert identify([1, 2]) == identify((1, 2))
    assert identify(np.str_("a")) == identify("a")
    assert identify(np.bool_(True)) == identify(True)


def test_what_looks_like_the_canonical_form_of_another_spec_is_not_it() -> None:
    assert identify(b"\x01") != identify({"bytes": "01"})
    assert identify(Colour.RED) != identify(describe(Colour.RED))
    assert identify(First(3)) != identify(describe(First(3)))


def test_the_class_counts_and_so_does_its_version() -> None:
    assert identify(First(1)) != identify(Second(1))
    before = identify(Versioned(1))
    bumped = type("Versioned", (Versioned,), {"version": 2, "__module__": __name__, "__qualname__": "Versioned"})
    assert describe(bumped(1)) == {"class": f"{__name__}.Versioned@2", "value": 1}
    assert identify(bumped(1)) != before
    assert describe(VersionIsAField()) == {"class": f"{__name__}.VersionIsAField@1", "version": 7}


def test_a_field_may_be_left_out_and_an_object_may_stand_for_itself() -> None:
    assert identify(Assets("ab", Path("/here"))) == identify(Assets("ab", Path("/there")))
    assert "path" not in describe(Assets("ab"))  # type: ignore[operator]
    assert identify(Treatment("POISON", Dose(3))) == identify(Treatment("poison", Dose(3)))
    assert identify(Treatment("poison", Dose(3))) != identify(Treatment("remedy", Dose(3)))
    assert identify(Treatment("poison", Dose(0))) == identify(Treatment("remedy", Dose(0))) == identify(None)


def test_a_schema_gives_other_keys() -> None:
    assert identify(Dose(8), schema=2) != identify(Dose(8))


PINNED: list[tuple[object, str]] = [
    (None, "dd3fd8fc117f88d1bcfc1d7b6de237e1"),
    (Dose(8), "63c6b0fe140bdfe447309526629ee8c0"),
    (Dose(0.01, "fraction"), "348b4a91273070ddb4d54584a490bc6e"),
    ((Text("é😀\n"), Turn("user", ""), b"\x00", 0.1, True), "4643b3a489a2fe876939d586968e7770"),
    ({"b": frozenset({"x", "y", "z"}), "a": -1}, "517bece4ad1982e8a2222a8edfd6d7e6"),
]


@pytest.mark.parametrize(("spec", "key"), PINNED)
def test_reference_keys(spec: object, key: str) -> None:
    """A change here makes every store forget what it has built: raise `SCHEMA` and say so in the changelog."""
    assert identify(spec) == key


def test_the_description_is_made_to_be_read() -> None:
    assert describe(Dose(8)) == {"class": "pharmakon.core.Dose@1", "amount": 8, "unit": "documents"}
    assert describe(Colour.RED) == {"enum": f"{__name__}.Colour.RED", "value": "r"}


STUDY_FILE = """
from dataclasses import dataclass
from pharmakon.identity import describe, identify

@dataclass(frozen=True)
class Mine:
    words: frozenset = frozenset({"one", "two", "three", "four", "five"})
    options: tuple = ({"a": 1, "b": 2}, b"x", 0.1)

if __name__ == "__main__":
    print(identify(Mine()), describe(Mine())["class"])
"""
LOADED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("whatever", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["whatever"] = module
spec.loader.exec_module(module)
print(module.identify(module.Mine()), module.describe(module.Mine())["class"])
"""


def test_a_study_file_has_one_identity_in_every_process_however_it_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "mystudy.py"
    file.write_text(STUDY_FILE)
    ways = {
        "1": [str(file)],
        "2": ["-c", LOADED, str(file)],
        "3": ["-m", "mystudy"],
        "4": ["-c", "from mystudy import *; print(identify(Mine()), describe(Mine())['class'])"],
    }
    said = set()
    for seed, way in ways.items():
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, *way], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        said.add(done.stdout.strip())
    assert len(said) == 1
    assert said.pop().endswith(" mystudy.Mine@1")


def made_inside() -> object:
    @dataclass(frozen=True)
    class Inside:
        value: int = 0

    return Inside()


REFUSED: list[tuple[object, str, str]] = [
    (lambda text: text, "a lambda has no stable identity", "use a frozen dataclass with a method"),
    (len, "a callable (builtin_function_or_method) has no stable identity", "use a frozen dataclass with a method"),
    (functools.partial(len), "a callable (partial) has no stable identity", "use a frozen dataclass with a method"),
    (Path("data.jsonl"), "a path is where, not what", "use the file's digest"),
    (Loose(), "Loose can change after it was identified", "use @dataclass(frozen=True)"),
    (Opaque(), "Opaque has no stable identity", "use a frozen dataclass, a str or a number, or define __identity__"),
    (Dose, "Dose is a class", "use an instance of it, or its name as a str"),
    (float("nan"), "nan is not a finite number", "use None"),
    (float("-inf"), "-inf is not a finite number", "use None"),
    (np.float64("nan"), "nan is not a finite number", "use None"),
    (np.arange(3), "an array is mutable", "use tuple(array.tolist())"),
    (np.datetime64("2025-01-01", "ns"), "datetime64 has no stable identity", "use a frozen dataclass"),
    ({1, 2}, "a set is mutable", "use frozenset"),
    (Marker("x"), "Marker is a subclass", "use the plain type"),
    (OrderedDict(a=1), "OrderedDict is a subclass", "use the plain type"),
    ({1: "one"}, "its key 1 is not a str", "use str keys"),
    (made_inside(), "Inside is a class defined inside a function", "define it at the top of its file"),
]


@pytest.mark.parametrize(("value", "why", "way_out"), REFUSED)
def test_a_refusal_names_the_field_the_reason_and_the_way_out(value: object, why: str, way_out: str) -> None:
    study = Study(arms=(Arm(), Arm(filters=(Rule(value),))))
    with pytest.raises(
        SpecError, match="^" + re.escape("study.arms[1].filters[0].rule cannot be identified: " + why)
    ) as e:
        identify(study)
    assert way_out in str(e.value)


def test_a_refusal_inside_a_dict_names_its_key() -> None:
    with pytest.raises(SpecError, match=re.escape("arm.options['lr'].rule cannot be identified: a lambda")):
        identify(Arm(options={"lr": Rule(lambda: 1)}))


def test_an_open_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w") as file, pytest.raises(SpecError, match="an open file has no stable identity"):
        identify(Rule(file))


def test_a_spec_that_contains_itself_is_refused() -> None:
    options: dict[str, object] = {}
    options["self"] = options
    with pytest.raises(SpecError, match="arm cannot be identified: it contains itself"):
        identify(Arm(options=options))


@pytest.mark.parametrize("version", ["2", True, None])
def test_a_version_is_a_whole_number(version: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Versioned, "version", version)
    with pytest.raises(SpecError, match=re.escape(f"the version of Versioned is {version!r}")):
        identify(Versioned())


def test_import_is_light() -> None:
    heavy = "polars torch scipy numpy transformers filelock platformdirs"
    program = f"import sys, pharmakon.store; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
