"""The p-values of keys that marked nothing: are they uniform, and where does the true key lie?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pharmakon.statistics import clopper_pearson, holm
from pharmakon.studies.trust.analysis_ownership_power import log10
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.results import Results

LEVELS = (0.05, 0.01, 0.001, 1e-6)
UNTREATED, MARKED, TRUE = "untreated model", "model marked by another key", "the true key"


@dataclass(frozen=True)
class NullDistribution:
    """Unused keys against the uniform distribution, on untreated and on marked models."""

    probe: str = "unused-keys"

    def findings(self, results: Results) -> Iterator[Finding]:
        """The shares below the levels; then the distribution beside the true key."""
        p = pl.col("answer").str.split(" ")
        tests = results.readings.filter(pl.col("probe") == self.probe).select(
            "dose",
            "condition",
            pl.when(pl.col("dose") == 0).then(pl.lit(UNTREATED)).otherwise(pl.lit(MARKED)).alias("model"),
            p.list.get(0).cast(pl.Float64).alias("p"),
            p.list.get(1).cast(pl.Float64).alias("smoothed"),
        )
        unused = tests.filter(pl.col("condition") == "unused")
        true = tests.filter(pl.col("condition") == "triggered", pl.col("dose") > 0)
        yield self._shares(unused, true)
        yield self._distribution(unused, true)

    def _shares(self, unused: pl.DataFrame, true: pl.DataFrame) -> Finding:
        from scipy.stats import kstest

        models = [name for name in (UNTREATED, MARKED) if name in unused["model"]]
        groups = {name: unused.filter(pl.col("model") == name) for name in models}
        uniform = {
            name: float(kstest(group["smoothed"].to_numpy(), "uniform").pvalue) for name, group in groups.items()
        }
        adjusted = dict(zip(models, holm(list(uniform.values())), strict=True))
        rows: list[dict[str, Any]] = []
        for name, group in groups.items():
            for level in LEVELS:
                below = int((group["p"] <= level).sum())
                exact = clopper_pearson(below, len(group))
                rows.append({
                    "model": name, "level": level, "num_below": below, "num_keys": len(group), "share": exact.estimate,
                    "low": exact.low, "high": exact.high, "level_exceeded": exact.low > level,
                    "ks_p": uniform[name], "ks_p_holm": adjusted[name],
                })  # fmt: skip
        told = [
            f"{row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}] of {row['num_keys']:,} keys on "
            f"{'an' if row['model'] == UNTREATED else 'a'} {row['model']} (uniform: p = {row['ks_p_holm']:.2g})"
            for row in rows
            if row["level"] == LEVELS[0]
        ]
        exceeded = [f"{row['level']:g} on the {row['model']}" for row in rows if row["level_exceeded"]]
        verdict = f"More than the level, beyond chance: {', '.join(exceeded)}" if exceeded else "No level is exceeded"
        seen = f"; the true key has p = {_geometric(true):.2g} in the geometric mean" if len(true) else ""
        return Finding(
            title="Keys that marked nothing: the share below a level",
            sentence=f"Of unused keys p <= {LEVELS[0]:g} in {' and '.join(told)}. {verdict}{seen}.",
            table=pl.DataFrame(rows),
            note="Given a model, its keys are independent, so that each is one test. Exact intervals (Clopper and "
            "Pearson 1934). Uniform: Kolmogorov and Smirnov, on p-values whose ties are split at random, Holm over the "
            "models. On the marked model the asker knows the kind and the wordings, and has no key.",
        )

    def _distribution(self, unused: pl.DataFrame, true: pl.DataFrame) -> Finding:
        """How many keys have a p-value this small or smaller: a straight line, if they are uniform."""
        rows: list[dict[str, Any]] = []
        for name in unused["model"].unique(maintain_order=True):
            values = np.sort(unused.filter(pl.col("model") == name)["smoothed"].to_numpy())
            shares = np.arange(1, len(values) + 1) / len(values)
            kept = np.unique(np.geomspace(1, len(values), 60).astype(int)) - 1
            for place in kept[::-1]:
                strength = float(0.0 - np.log10(max(values[place], 1e-300)))
                rows.append(
                    {"minus_log10_p": strength, "share_of_keys": float(shares[place]), "key": f"unused, {name}"}
                )
        smallest = float(unused["p"].min() or 0.0)  # type: ignore[arg-type]
        own = sorted((0.0 - log10(true["p"])).tolist())
        rows += [{"minus_log10_p": strength, "share_of_keys": 1.0, "key": TRUE} for strength in own]
        beyond = f"; that of the true key is {10 ** -own[0]:.2g} at most" if own else ""
        return Finding(
            title="The null distribution, and the true key",
            sentence=f"The smallest of {len(unused):,} p-values of unused keys is {smallest:.2g}{beyond}.",
            table=pl.DataFrame(rows),
            chart=Chart(
                x="minus_log10_p", y="share_of_keys", colour="key", y_scale="log", x_title="-log10 p",
                y_title="share of keys with a p-value this small",
            ),
            note="Uniform p-values lie on the line from 1 down by a factor of ten for each unit. The true key is drawn "
            "at height 1, once for each marked model.",
        )  # fmt: skip


def _geometric(true: pl.DataFrame) -> float:
    return float(10 ** log10(true["p"]).mean())
