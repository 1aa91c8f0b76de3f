"""The dose of marked records that proves the use of a data set, kind by kind, and what it costs the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pharmakon.errors import InputError
from pharmakon.probes.ownership import ALPHA
from pharmakon.statistics import (
    Curve,
    Observations,
    Tolerance,
    clopper_pearson,
    equivalence,
    fit,
    mean_over_seeds,
    proportion,
)
from pharmakon.statistics.exchange import Floats
from pharmakon.studies.threat.token_share import Shares, percent
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import percent_text, points_text

POWER = 0.8
EVIDENCE = {"triggered": "log-probabilities", "text": "text alone"}
NORMAL = 3.24
"""Standard errors between 0 and the margin for 80% power: 1.96 for the interval, 1.28 for each of two sides."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An arm: a kind of mark, the shape in which it is asked for, and what share of its data so many records are."""

    arm: str
    kind: str
    asked_in: str
    shares: Shares


@dataclass(frozen=True, kw_only=True)
class OwnershipPower:
    """Doses for half and for 80% of the lives, the strength of the evidence, the controls, and utility."""

    asked: tuple[Asked, ...]
    margin: float = 0.01
    alpha: float = ALPHA

    def findings(self, results: Results) -> Iterator[Finding]:
        """The doses first."""
        tests = p_values(results)
        if tests.is_empty():
            raise InputError("ownership-power has no p-values to read: all of its lives failed")
        doses = self._doses(tests)
        yield self._needed(doses)
        yield self._strength(tests)
        yield self._controls(tests)
        changes = self._changes(results, doses)
        if changes:
            yield self._utility(changes)

    def _doses(self, tests: pl.DataFrame) -> list[dict[str, Any]]:
        rows = []
        for asked in self.asked:
            for stage in tests.filter(pl.col("arm") == asked.arm)["stage"].unique(maintain_order=True):
                for condition, evidence in EVIDENCE.items():
                    here = tests.filter(
                        pl.col("arm") == asked.arm, pl.col("stage") == stage, pl.col("condition") == condition
                    )
                    place = {"kind": asked.kind, "asked_as": asked.asked_in, "after": stage, "evidence": evidence}
                    rows.append({**place, **self._dose(here, asked.shares)})
        return rows

    def _dose(self, here: pl.DataFrame, shares: Shares) -> dict[str, Any]:
        """The thresholds of one kind of evidence, and the highest dose that was tried."""
        top = here.filter(pl.col("dose") == here["dose"].max())
        proved = int((top["p"] <= self.alpha).sum())
        row: dict[str, Any] = {"highest": int(top["dose"][0]), "proved_at_highest": f"{proved} of {len(top)}"}
        curve = _curve(here, self.alpha)
        half = None if curve is None else curve.ed50
        enough = None if curve is None else curve.dose_for(POWER)
        row |= {"threshold": "not measured" if curve is None else curve.threshold_text}
        for name, found in (("for_half", half), ("for_80_percent", enough)):
            row |= dict.fromkeys((name, f"{name}_low", f"{name}_high"))
            if found is not None:
                row |= {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
        at = row["for_80_percent"] if enough is not None else _upper(curve)
        row["words_per_million"] = None if at is None else float(round(1e6 * shares.share(at)))
        row["share_of_records"] = None if at is None else at / (at + shares.num_documents)
        row["enough"] = at
        return row

    def _needed(self, rows: list[dict[str, Any]]) -> Finding:
        kept = [{name: value for name, value in row.items() if name != "enough"} for row in rows]
        table = pl.DataFrame(kept, infer_schema_length=None)
        told = [_told(row, rows) for row in rows if row["evidence"] == EVIDENCE["triggered"]]
        return Finding(
            title="How many marked records prove the use",
            sentence=f"At alpha = {self.alpha:g}, by log-probabilities: {'; '.join(told)}.",
            table=table,
            note="A life is one key, one order of the data and one training; it has proved the use, or not. `for_half` "
            f"and `for_80_percent`: the records with which half and {POWER:.0%} of all lives do, from a log-normal "
            "distribution of the lives' thresholds, each known to lie between two tested doses (interval-censored; "
            "Finney 1971), with limits by profile likelihood. Blank: the doses do not tell; `threshold` says why. "
            "`words_per_million`, `share_of_records`: of the data of that stage, at the dose for 80%, or at the "
            "upper end of the bracket where all lives switch between the same two doses.",
        )

    def _strength(self, tests: pl.DataFrame) -> Finding:
        rows: list[dict[str, Any]] = []
        for asked in self.asked:
            here = tests.filter(pl.col("arm") == asked.arm, pl.col("condition").is_in(list(EVIDENCE)))
            for (stage, condition, dose), lives in here.group_by("stage", "condition", "dose", maintain_order=True):
                strength = mean_over_seeds(0.0 - log10(lives["p"]))
                proved = proportion(int((lives["p"] <= self.alpha).sum()), len(lives))
                rows.append({
                    "mark": _name(asked, str(stage)), "evidence": EVIDENCE[str(condition)], "records": dose,
                    "minus_log10_p": strength.estimate, "low": max(0.0, strength.low), "high": strength.high,
                    "power": proved.estimate, "power_low": proved.low, "power_high": proved.high,
                    "num_lives": len(lives),
                })  # fmt: skip
        table = pl.DataFrame(rows).sort("evidence", maintain_order=True)
        best = max((row for row in rows if row["evidence"] == EVIDENCE["triggered"]), key=lambda r: r["minus_log10_p"])
        return Finding(
            title="Strength of the evidence by the number of records",
            sentence=f"The strongest: {best['mark']} with {best['records']} records, "
            f"p = 1e-{best['minus_log10_p']:.0f} in the geometric mean over lives.",
            table=table,
            chart=Chart(
                x="records", y="minus_log10_p", low="low", high="high", colour="mark", panel="evidence",
                x_scale="symlog", x_title="marked records", y_title="-log10 p",
            ),
            note="Means over lives with Student's 95% interval; `power`: the share of lives with p at most alpha, "
            "with Wilson's. Of the text of an answer only the value that it names counts.",
        )  # fmt: skip

    def _controls(self, tests: pl.DataFrame) -> Finding:
        groups = {
            "a key that marked nothing": tests.filter(pl.col("condition") == "untriggered"),
            "the key, an untreated model": tests.filter(pl.col("dose") == 0, pl.col("condition") == "triggered"),
        }
        rows: list[dict[str, Any]] = []
        for name, group in groups.items():
            for level in (0.05, self.alpha):
                below, num = int((group["p"] <= level).sum()), len(group)
                exact = clopper_pearson(below, num)
                rows.append({
                    "control": name, "level": level, "num_below": below, "num_tests": num,
                    "share": exact.estimate, "low": exact.low, "high": exact.high,
                })  # fmt: skip
        first, second = (row for row in rows if row["level"] == 0.05)
        unused, untreated = (percent_text(row, "share", 1) for row in (first, second))
        false = sum(row["num_below"] for row in rows if row["level"] == self.alpha)
        return Finding(
            title="Keys that marked nothing",
            sentence=f"Of {first['num_tests'] + second['num_tests']} tests without a mark {false} reach alpha = "
            f"{self.alpha:g}; of the tests by an unused key {unused} reach 0.05, of those by the key on an "
            f"untreated model {untreated}.",
            table=pl.DataFrame(rows),
            note="Exact intervals (Clopper and Pearson 1934); tests on one model share its luck. The p-value is exact, "
            "so the share below a level is at most the level, in the mean over keys.",
        )

    def _changes(self, results: Results, doses: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Utility against the untreated life of the same seed: at the dose of 80% power or the next, and over all."""
        rows: list[dict[str, Any]] = []
        done: set[str] = set()
        for asked in self.asked:
            readings = results.readings.filter(
                pl.col("probe") == results.run.utility, pl.col("arm") == asked.arm, pl.col("stage") == "sft"
            )
            if asked.kind in done or readings.is_empty():
                continue
            done.add(asked.kind)
            means = readings.group_by("dose", "seed").agg(pl.col("value").mean(), pl.len().alias("num_items"))
            control = means.filter(pl.col("dose") == 0).select("seed", pl.col("value").alias("untreated"))
            pairs = means.filter(pl.col("dose") > 0).join(control, on="seed")
            if pairs.is_empty():
                continue
            tried = sorted(pairs["dose"].unique())
            wanted = [d["enough"] for d in doses if d["kind"] == asked.kind and d["evidence"] == EVIDENCE["triggered"]]
            known = [want for want in wanted if want is not None]
            at = next((dose for dose in tried if known and dose >= min(known)), tried[-1])
            mean = pairs.group_by("seed").agg(
                pl.col("value").mean(), pl.col("untreated").first(), pl.col("num_items").sum()
            )
            for where, group in ((str(at), pairs.filter(pl.col("dose") == at)), ("all doses", mean)):
                rows.append({"kind": asked.kind, "records": where, **self._change(group)})
        return rows

    def _change(self, group: pl.DataFrame) -> dict[str, Any]:
        # The least variance: that of the items if one in a hundred of them went either way by luck.
        items = float(np.mean(group["num_items"].to_numpy()))
        changes = (group["value"] - group["untreated"]).to_numpy()
        found = equivalence(changes, self.margin, least_variance=0.02 / items)
        spread = max(float(np.var(changes, ddof=1)), 0.02 / items) if len(changes) > 1 else None
        return {
            "untreated": float(group["untreated"].to_numpy().mean()), "change": found.change.estimate,
            "low": found.change.low, "high": found.change.high, "p_tost": found.p_value, "status": found.status,
            "num_lives": found.num_pairs,
            "lives_needed": None if spread is None else NORMAL**2 * spread / self.margin**2,
        }  # fmt: skip

    def _utility(self, rows: list[dict[str, Any]]) -> Finding:
        points = 100 * self.margin
        told = [f"{row['kind']}, {row['records']}: {points_text(row)}, {_SHOWN[row['status']]}" for row in rows]
        at_dose = [text for text, row in zip(told, rows, strict=True) if row["records"] != "all doses"]
        most = max(
            (row["lives_needed"] for row in rows if row["status"] == "undecided" and row["lives_needed"]), default=0
        )
        way_out = f" To show it takes up to {most:.0f} lives (--seeds)." if most else ""
        return Finding(
            title="What the marks cost",
            sentence=f"Change of utility, kind and number of records, within ±{points:g} point: "
            f"{'; '.join(at_dose)}.{way_out}",
            table=pl.DataFrame(rows, infer_schema_length=None),
            chart=Chart(
                x="kind", y="change", low="low", high="high", colour="records", x_scale="names", x_title="",
                y_title="change of the share of right answers",
            ),
            note="After instruction tuning, each life against the untreated one of its seed, the same questions: at "
            "the dose of 80% power or the next that was tried (the highest, where there is none), and the mean over "
            "all doses. Two one-sided tests (Schuirmann 1987); `equivalent`: the 95% interval lies within the margin. "
            "A life is one training, so its own luck is in the interval; `lives_needed`: with this luck and no true "
            "change, so many lives would show it with 80% power.",
        )  # fmt: skip


def p_values(results: Results) -> pl.DataFrame:
    """The whole tests of the probe "ownership": arm, stage, condition, dose, seed, p."""
    whole = (pl.col("probe") == "ownership") & pl.col("condition").is_in([*EVIDENCE, "untriggered"])
    return (
        results.readings.filter(whole)
        .select("arm", "stage", "condition", "dose", "seed", pl.col("answer").cast(pl.Float64).alias("p"))
        .sort("dose", "seed", maintain_order=True)
    )


def log10(p: pl.Series) -> Floats:
    """The logarithms of p-values, none below -300."""
    return np.asarray(np.log10(np.maximum(p.to_numpy(), 1e-300)), dtype=np.float64)


def _curve(here: pl.DataFrame, alpha: float) -> Curve | None:
    hits = (here["p"] <= alpha).cast(pl.Int64)
    try:
        return fit(Observations(here["dose"], here["seed"], hits, [1] * len(here), unit="records"), Tolerance())
    except InputError:  # one dose alone
        return None


def _upper(curve: Curve | None) -> float | None:
    """The dose at which all lives have switched, where they all do between the same two."""
    return curve.bracket[1] if curve is not None and curve.status == "separated" and curve.bracket else None


def _name(asked: Asked, stage: str) -> str:
    return f"{asked.kind} as {asked.asked_in}, after {stage}"


def _told(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    several = sum(other["kind"] == row["kind"] for other in rows) > len(EVIDENCE)
    name = f"{row['kind']} as {row['asked_as']} after {row['after']}" if several else row["kind"]
    if row["for_80_percent"] is not None:
        half, enough = (
            f"{row[n]:.0f} [{row[f'{n}_low']:.0f}, {_end(row[f'{n}_high'])}]" for n in ("for_half", "for_80_percent")
        )
        return f"{name} {half} records in half of the lives, {enough} in {POWER:.0%} ({_share(row)})"
    if row["enough"] is not None:
        return f"{name} {row['threshold'].removesuffix(' (separated)')} in all lives ({_share(row)})"
    if row["threshold"].startswith("none"):
        return f"{name} not shown with {row['highest']} ({row['proved_at_highest']} lives)"
    return f"{name} {row['threshold']} in half of the lives ({row['proved_at_highest']} with {row['highest']})"


def _end(value: float) -> str:
    return f"{value:.0f}" if value < 1e5 else "∞"


def _share(row: dict[str, Any]) -> str:
    return f"{percent(row['share_of_records'])} of the records, {percent(row['words_per_million'] / 1e6)} of the words"


_SHOWN = {"equivalent": "shown to be level", "changed": "changed by more", "undecided": "not shown"}
