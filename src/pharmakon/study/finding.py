"""What a study finds beyond curves and rates: a sentence, the table behind it, and how it is drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from pharmakon.errors import InputError, SpecError

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

FINDINGS: Final = "findings.json"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """How the table of a finding is drawn; the names of its columns."""

    x: str
    y: str
    low: str | None = None
    """With `high`, the ends of the interval of `y`."""
    high: str | None = None
    colour: str | None = None
    """A column whose values are series."""
    panel: str | None = None
    """A column whose values have a chart each."""
    x_title: str = ""
    y_title: str = ""
    x_scale: Literal["linear", "log", "symlog", "names"] = "linear"
    """`names`: x holds names, in the order of the table."""
    y_scale: Literal["linear", "log"] = "linear"
    is_map: bool = False
    """A cell for each value of x and of `colour`, shaded by `y`, with its number: a heat map."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a study found. `table` is tidy, its column names carry the units."""

    title: str
    sentence: str
    table: pl.DataFrame
    chart: Chart | None = None
    note: str = ""
    """How it was measured, what it cannot tell, and the source of the method."""

    def __post_init__(self) -> None:
        named = {} if self.chart is None else asdict(self.chart)
        wanted = [named.get(name) for name in ("x", "y", "low", "high", "colour", "panel")]
        missing = [name for name in wanted if name is not None and name not in self.table.columns]
        if missing:
            known = ", ".join(self.table.columns)
            raise SpecError(f"a chart draws columns of its table; {missing[0]!r} is not one of {known}")
        if self.chart is not None and self.chart.is_map and self.chart.colour is None:
            raise SpecError("a map has a column for its rows; give the chart a `colour`")


@runtime_checkable
class Analysis(Protocol):
    """A frozen value that reads the results of a study, or simulates beside them, and says what it found."""

    def findings(self, results: Results) -> Iterator[Finding]: ...


def write_findings(findings: Iterable[Finding]) -> str:
    """Findings as JSON: each its texts and its table by columns. What is not a number is null."""
    records = [
        {
            "title": finding.title,
            "sentence": finding.sentence,
            "note": finding.note,
            "chart": None if finding.chart is None else asdict(finding.chart),
            "table": {name: _plain(finding.table[name]) for name in finding.table.columns},
        }
        for finding in findings
    ]
    return json.dumps(records, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def read_findings(path: Path) -> tuple[Finding, ...]:
    """The findings of a file that `write_findings` made; none where there is no file."""
    import polars as pl

    if not path.is_file():
        return ()
    try:
        records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        known = {item.name for item in fields(Chart)}
        return tuple(
            Finding(
                title=str(record["title"]),
                sentence=str(record["sentence"]),
                note=str(record["note"]),
                chart=Chart(**{k: v for k, v in record["chart"].items() if k in known}) if record["chart"] else None,
                table=pl.DataFrame(record["table"], strict=False),
            )
            for record in records
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SpecError) as error:
        raise InputError(f"{path} cannot be read: {error}. Run the study again") from None


def _plain(column: pl.Series) -> Sequence[Any]:
    if column.dtype.is_float():
        column = column.set(~column.is_finite(), None)
    if column.dtype.is_nested() or column.dtype.is_temporal():
        return [None if value is None else str(value) for value in column]
    return column.to_list()
