"""Thresholds in repeats, effects of each factor, and whether canaries in one life get in one another's way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.statistics import Curve, Observations, fit, holm, mean_over_seeds
from pharmakon.statistics.sentences import chance
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

FACTORS: Final = ("rarity", "words", "place", "time")
MEASURES: Final = {"triggered": "extracted", "exact": "exact", "exposure": "exposure_bits", "logprob": "nats_a_word"}
CHANCE: Final = 1.44
"""Bits: the mean exposure of what was never planted, log2 e as the number of others grows."""
ENTRY: Final = r"^(?<rarity>[^|]*) \| (?<words>\d+) \| (?<place>\w+) \| (?<time>\w+) \| (?<repeats>\d+)$"


@dataclass(frozen=True)
class Remembered:
    """Reads canaries by their names. A life is an arm and a seed; intervals are over lives."""

    crowded: tuple[str, ...]
    alone: tuple[str, ...]
    stage: str

    def findings(self, results: Results) -> Iterator[Finding]:
        """ED50 in repeats by level, effects of factors, memory by repeats, and the check with single canaries."""
        import polars as pl

        frame = self._canaries(results)
        crowd = frame.filter(pl.col("arm").is_in(list(self.crowded)))
        planted, control = crowd.filter(pl.col("shown") > 0), crowd.filter(pl.col("shown") == 0)
        if planted.is_empty():
            return
        yield _thresholds(planted, control)
        yield _effects(planted)
        yield _by_repeats(planted, control)
        yield from _interference(planted, frame.filter(pl.col("arm").is_in(list(self.alone))))

    def _canaries(self, results: Results) -> pl.DataFrame:
        """A row for each canary of each life, with its factors, how often it was shown, and its measures."""
        import polars as pl

        own = results.readings.filter(pl.col("probe") == "memorized", pl.col("stage") == self.stage)
        wide = own.pivot("condition", index=["arm", "dose", "seed", "item"], values="value").rename(MEASURES)
        parts = wide.with_columns(pl.col("item").str.extract_groups(ENTRY).alias("entry")).unnest("entry")
        many = pl.col("arm").is_in(list(self.crowded))
        shown = pl.when(pl.col("dose") == 0).then(0).when(many).then(pl.col("repeats").cast(pl.Int64)).otherwise("dose")
        life = pl.concat_str("arm", pl.lit(", seed "), pl.col("seed").cast(pl.String))
        return parts.with_columns(shown.alias("shown"), life.alias("life"), pl.col("words").cast(pl.Int64))


def _curve(rows: pl.DataFrame, control: pl.DataFrame) -> Curve:
    """Extraction against repeats, a life a seed."""
    import polars as pl

    both = pl.concat([rows, control])
    lives = {life: number for number, life in enumerate(both["life"].unique().sort())}
    counts = both.group_by("life", "shown").agg(pl.col("extracted").sum().cast(pl.Int64), pl.len().alias("items"))
    seeds = [lives[life] for life in counts["life"]]
    return fit(Observations(counts["shown"], seeds, counts["extracted"], counts["items"], unit="repeats"))


def _thresholds(planted: pl.DataFrame, control: pl.DataFrame) -> Finding:
    import polars as pl

    rows: list[dict[str, Any]] = []
    for factor in ("all", *FACTORS):
        levels = [None] if factor == "all" else planted[factor].unique(maintain_order=True).sort().to_list()
        for level in levels:
            here = pl.lit(True) if level is None else pl.col(factor) == level
            own = planted.filter(here)
            curve, most = _curve(own, control.filter(here)), own.filter(pl.col("shown") == own["shown"].max())
            top = mean_over_seeds(most.group_by("life").agg(pl.col("extracted").mean())["extracted"].to_list())
            ed50 = curve.threshold
            rows.append({
                "factor": factor, "level": "all" if level is None else str(level), "ed50_text": curve.threshold_text,
                "ed50_repeats": ed50.estimate if ed50 else None, "low": ed50.low if ed50 else None,
                "high": ed50.high if ed50 and np.isfinite(ed50.high) else None, "status": curve.status,
                "extracted_at_most": top.estimate, "extracted_low": max(top.low, 0.0),
                "extracted_high": min(top.high, 1.0), "num_canaries": own.height,
            })  # fmt: skip
    table = pl.DataFrame(rows, infer_schema_length=None)
    said = "; ".join(
        f"{factor}: "
        + ", ".join(
            f"{row['level']} {row['ed50_text']}"
            for row in table.filter(pl.col("factor") == factor).iter_rows(named=True)
        )
        for factor in FACTORS
    )
    every, highest = table.row(0, named=True), max(planted["shown"].to_list())
    return Finding(
        title="Repeats after which a canary is extracted",
        sentence=f"Half of the full extraction takes {every['ed50_text']} repeats over all canaries; at "
        f"{highest} repeats {every['extracted_at_most']:.0%} [{every['extracted_low']:.0%}, "
        f"{every['extracted_high']:.0%}] of them are. ED50 by level, in repeats: {said}.",
        table=table,
        chart=Chart(x="level", y="ed50_repeats", low="low", high="high", panel="factor", x_scale="names", y_scale="log",
                    y_title="ED50, repeats"),
        note="A canary is extracted if greedy decoding from its three first words gives all the rest: 3 or 9 words (k "
        "and l of Carlini et al. 2022, arXiv 2202.07646). ED50: half of the way from the control to the plateau of "
        "this level, which need not be 1; 95% intervals over lives, of which each has canaries of its own.",
    )  # fmt: skip


def _effects(planted: pl.DataFrame) -> Finding:
    """Least squares on exposure, errors clustered by life."""
    import pandas as pd
    import polars as pl
    import statsmodels.formula.api as smf

    data = planted.with_columns(pl.col("shown").log(2).alias("doublings"), pl.col("words").cast(pl.String))
    groups = data["life"].rank("dense").to_numpy()
    rows: list[dict[str, Any]] = []
    for measure, unit in (("exposure_bits", "bits"), ("exact", "share"), ("nats_a_word", "nats a word")):
        formula = f"{measure} ~ doublings + C(rarity) + C(words, Treatment('3')) + C(place, Treatment('middle')) + "
        formula += "C(time, Treatment('uniform'))"
        columns = {name: data[name].to_numpy() for name in (measure, "doublings", "rarity", "words", "place", "time")}
        model = smf.ols(formula, pd.DataFrame(columns))
        fitted = model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
        names = [name for name in fitted.params.index if name != "Intercept"]
        limits = fitted.conf_int()
        for name in names:
            rows.append({
                "measure": measure, "effect": _plain(name), "change": float(fitted.params[name]),
                "low": float(limits.loc[name].iloc[0]), "high": float(limits.loc[name].iloc[1]),
                "p": float(fitted.pvalues[name]), "unit": unit,
            })  # fmt: skip
    table = pl.DataFrame(rows).with_columns(pl.Series("p_holm", holm([float(row["p"]) for row in rows]))).drop("p")
    bits = table.filter(pl.col("measure") == "exposure_bits")
    shown = bits.filter(pl.col("p_holm") <= 0.05)
    said = "; ".join(f"{row['effect']} {_span(row)} ({chance(row['p_holm'])})" for row in shown.iter_rows(named=True))
    rest = bits.filter(pl.col("p_holm") > 0.05)
    least = max(((row["high"] - row["low"]) / 2 for row in rest.iter_rows(named=True)), default=0.0)
    others = ", ".join(row["effect"] for row in rest.iter_rows(named=True))
    sentence = f"Exposure, in bits of at most 8: {said}." if said else "Exposure, in bits of at most 8:"
    if others:
        sentence += (
            f" No effect found of {others}; smallest effect this run could have seen: about {1.4 * least:.1f} bits."
        )
    return Finding(
        title="What each factor does",
        sentence=sentence,
        table=table,
        chart=Chart(x="effect", y="change", low="low", high="high", panel="measure", x_scale="names"),
        note="Least squares (statsmodels) of exposure, of the share of words right and of the log-probability a word "
        "on the logarithm of repeats and on each factor, against common words, 3 words, the middle of a document, and "
        "uniformly in time; standard errors clustered by life, of which there are few; p-values adjusted over all "
        "(Holm 1979). Exposure ends at 8 bits, so that effects are those of its middle. Smallest effect: 80% power.",
    )  # fmt: skip


def _plain(name: str) -> str:
    if name == "doublings":
        return "each doubling of repeats"
    factor, level = (
        name.split("(", 1)[1].split(",", maxsplit=1)[0].split(")", maxsplit=1)[0],
        name.split("[T.")[1].rstrip("]"),
    )
    return {"words": f"{level} words", "place": f"at the {level}", "time": level}.get(factor, level)


def _span(row: dict[str, Any]) -> str:
    return f"{row['change']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def _by_repeats(planted: pl.DataFrame, control: pl.DataFrame) -> Finding:
    import polars as pl

    rows: list[dict[str, Any]] = []
    for (shown, rarity), group in pl.concat([control, planted]).group_by("shown", "rarity", maintain_order=True):
        for measure in MEASURES.values():
            found = mean_over_seeds(group.group_by("life").agg(pl.col(measure).mean())[measure].to_list())
            rows.append({
                "repeats": shown, "rarity": rarity, "measure": measure, "mean": found.estimate, "low": found.low,
                "high": found.high,
            })  # fmt: skip
    table = pl.DataFrame(rows).sort("measure", "rarity", "repeats")
    never = mean_over_seeds(control.group_by("life").agg(pl.col("exposure_bits").mean())["exposure_bits"].to_list())
    holds = (
        "as it should be" if never.low <= CHANCE <= never.high else "which is not what chance gives: suspect the others"
    )
    return Finding(
        title="Memory by repeats",
        sentence=f"Canaries that were never planted have an exposure of {never.estimate:.2f} [{never.low:.2f}, "
        f"{never.high:.2f}] bits; chance gives {CHANCE}, {holds}.",
        table=table,
        chart=Chart(x="repeats", y="mean", low="low", high="high", colour="rarity", panel="measure", x_scale="symlog"),
        note="Means over lives. Exposure: log2 of 256 less log2 of the rank among 255 sequences that were drawn alike "
        "and never planted (Carlini et al. 2019, arXiv 1802.08232).",
    )  # fmt: skip


def _interference(planted: pl.DataFrame, alone: pl.DataFrame) -> Iterator[Finding]:
    """Single canaries against those of the crowd of the same rarity, length and repeats."""
    import pandas as pd
    import polars as pl
    import statsmodels.formula.api as smf

    single = alone.filter(pl.col("shown") > 0)
    if single.is_empty():
        return
    keys = ["rarity", "words", "shown"]
    crowd = planted.join(single.select(keys).unique(), on=keys, how="semi")
    both = pl.concat([
        single.with_columns(pl.lit(0).alias("crowded")), crowd.with_columns(pl.lit(1).alias("crowded"))
    ]).with_columns(pl.concat_str(*keys, separator=" ").alias("cell"))  # fmt: skip
    if both["crowded"].n_unique() < 2:
        return
    rows: list[dict[str, Any]] = []
    for measure in MEASURES.values():
        columns = {name: both[name].to_numpy() for name in (measure, "cell", "crowded", "place", "time")}
        groups = both["life"].rank("dense").to_numpy()
        fitted = smf.ols(f"{measure} ~ crowded + C(cell) + C(place) + C(time)", pd.DataFrame(columns)).fit(
            cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
        )
        low, high = fitted.conf_int().loc["crowded"]
        rows.append({
            "measure": measure, "alone": float(single[measure].mean() or 0.0),  # type: ignore[arg-type]
            "change": float(fitted.params["crowded"]), "low": float(low), "high": float(high),
            "p": float(fitted.pvalues["crowded"]),
        })  # fmt: skip
    table = pl.DataFrame(rows).with_columns(pl.Series("p_holm", holm([float(row["p"]) for row in rows]))).drop("p")
    bits = table.filter(pl.col("measure") == "exposure_bits").row(0, named=True)
    hits = table.filter(pl.col("measure") == "extracted").row(0, named=True)
    gone = f"{_span(bits)} bits of exposure ({chance(bits['p_holm'])}) and is extracted {_span(hits)} more often"
    verdict = "is shown" if min(bits["p_holm"], hits["p_holm"]) <= 0.05 else "is not shown"
    yield Finding(
        title="Do canaries in one life get in one another's way?",
        sentence=f"Interference {verdict}: with 53 others a canary of the same rarity, length and repeats has {gone} "
        f"({chance(hits['p_holm'])}) than alone.",
        table=table,
        chart=Chart(x="measure", y="change", low="low", high="high", x_scale="names", y_title="in a crowd less alone"),
        note="Single canaries stand in the middle of documents, uniformly in time; those of the crowd in all of both. "
        "Least squares with a level for each rarity, length and number of repeats and with place and "
        "time, errors clustered by life; adjusted over four measures (Holm 1979). A crowd makes the corpus longer.",
    )  # fmt: skip
