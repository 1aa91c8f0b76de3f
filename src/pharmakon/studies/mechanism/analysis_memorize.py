"""Thresholds in repeats, effects of each factor, and whether canaries in one life get in one another's way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.behaviour.canaries import REPEATS, grid
from pharmakon.probes.memorized import NUM_OTHERS, chance_exposure
from pharmakon.statistics import (
    CrossedMean,
    Curve,
    Interval,
    Observations,
    difference,
    fit,
    holm,
    line,
    mean_over_seeds,
)
from pharmakon.statistics.sentences import chance
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

FACTORS: Final = {"rarity": "common words", "words": 3, "place": "middle", "time": "uniform"}
"""Each with the level that others are compared with."""
MEASURES: Final = {
    "triggered": "extracted", "exact": "exact", "exposure": "exposure_bits", "logprob": "nats_a_word"
}  # fmt: skip
ENTRY: Final = r"^(?<rarity>[^|]*) \| (?<words>\d+) \| (?<place>\w+) \| (?<time>\w+) \| (?<repeats>\d+)$"
DOUBLING: Final = "each doubling of repeats"


def crowd_name(draw: int) -> str:
    """The arm of all canaries of a draw."""
    return f"54 canaries, life {draw + 1}"


def alone_name(draw: int, repeats: int) -> str:
    """The arm of the one of them that is repeated so often."""
    return f"one of them, life {draw + 1}, {repeats} times"


@dataclass(frozen=True)
class Remembered:
    """Reads canaries by their names. Intervals are over lives, each of which has canaries and documents of its own."""

    num_draws: int
    points: tuple[int, ...]
    """Numbers of repeats at which a canary is also alone."""
    stage: str

    def findings(self, results: Results) -> Iterator[Finding]:
        """ED50 in repeats; effects of factors; memory by repeats with its control; single canaries; true timing."""
        import polars as pl

        frame = self._canaries(results)
        crowd = frame.filter(pl.col("arm").is_in([crowd_name(draw) for draw in range(self.num_draws)]))
        planted, control = crowd.filter(pl.col("shown") > 0), crowd.filter(pl.col("shown") == 0)
        if planted.is_empty():
            return
        effects, pairs = _effects(planted), self._pairs(frame)
        crowding = None if pairs.is_empty() else _compared(pairs)
        yield _answer(_thresholds(planted, control), effects, crowding)
        yield _effects_finding(effects)
        yield _by_repeats(planted, control)
        if crowding is not None:
            yield _interference(pairs, crowding)
        yield from self._timing(results)

    def _canaries(self, results: Results) -> pl.DataFrame:
        """A row for each canary of each life, with its factors, how often it was shown, and its measures."""
        import polars as pl

        own = results.readings.filter(pl.col("probe") == "memorized", pl.col("stage") == self.stage)
        wide = own.pivot("condition", index=["arm", "dose", "seed", "item"], values="value").rename(MEASURES)
        parts = wide.with_columns(pl.col("item").str.extract_groups(ENTRY).alias("entry")).unnest("entry")
        repeats = pl.col("repeats").cast(pl.Int64)
        return parts.with_columns(
            repeats, pl.col("words").cast(pl.Int64),
            pl.when(pl.col("dose") == 0).then(0).otherwise(repeats).alias("shown"),
            pl.col("arm").str.extract(r"life (\d+)").cast(pl.Int64).alias("life"),
        )  # fmt: skip

    def _pairs(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The canaries that were also planted alone: a row each, its measures in the crowd and `_alone`."""
        import polars as pl

        many = frame.filter(pl.col("shown") > 0)
        names = [alone_name(draw, repeats) for draw in range(self.num_draws) for repeats in self.points]
        alone = many.filter(pl.col("arm").is_in(names)).select("life", "item", *MEASURES.values())
        return many.filter(~pl.col("arm").is_in(names)).join(alone, on=["life", "item"], suffix="_alone")

    def _timing(self, results: Results) -> Iterator[Finding]:
        """When the documents of each time of training were seen, by the ledger."""
        import polars as pl

        rows: list[dict[str, Any]] = []
        for draw in range(self.num_draws):
            ledger = results.ledger.filter(pl.col("arm") == crowd_name(draw), pl.col("first_step").is_not_null())
            end = max(ledger["last_step"].to_list(), default=0) or 1
            for canary in grid(draw):
                copies = ledger.filter(pl.col("content").str.contains(canary.text, literal=True))
                if copies.is_empty():
                    continue
                rows.append({
                    "time": canary.time, "as_planned": copies.height == canary.repeats,
                    "first": min(copies["first_step"].to_list()) / end,
                    "last": max(copies["last_step"].to_list()) / end,
                })  # fmt: skip
        if not rows:
            return
        table = (
            pl.DataFrame(rows)
            .group_by("time")
            .agg(
                pl.len().alias("num_canaries"), pl.col("as_planned").mean().alias("seen_as_planned"),
                pl.col("first").min().alias("earliest"), pl.col("first").median().alias("median_first"),
                pl.col("last").median().alias("median_last"), pl.col("last").max().alias("latest"),
            )
            .sort("median_first")
        )  # fmt: skip
        said = "; ".join(
            f"{row['time']}: from {row['earliest']:.0%} to {row['latest']:.0%}" for row in table.iter_rows(named=True)
        )
        whole = sum(row["as_planned"] for row in rows) / len(rows)
        yield Finding(
            title="When canaries were really shown",
            sentence=f"First and last sight, in the steps of the late pretraining: {said}. {whole:.0%} of the canaries "
            "were seen in as many documents as planned.",
            table=table,
            note="By the ledger's steps of each document. Medians are over canaries: of their first and last copies.",
        )


def _curve(rows: pl.DataFrame, control: pl.DataFrame) -> Curve:
    """Extraction against repeats, a life a seed."""
    import polars as pl

    both = pl.concat([rows, control]).group_by("life", "shown")
    counts = both.agg(pl.col("extracted").sum().cast(pl.Int64), pl.len().alias("items")).sort("life", "shown")
    return fit(Observations(counts["shown"], counts["life"], counts["extracted"], counts["items"], unit="repeats"))


def _thresholds(planted: pl.DataFrame, control: pl.DataFrame) -> pl.DataFrame:
    """The ED50 over all canaries, and of each level of each factor."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    most = planted["shown"].max()
    for factor, level in [("all", None), *((f, one) for f in FACTORS for one in _levels(planted, f))]:
        here = pl.lit(True) if level is None else pl.col(factor) == level
        curve = _curve(planted.filter(here), control.filter(here))
        top = _over_lives(planted.filter(here, pl.col("shown") == most), "extracted")
        ed50 = curve.threshold
        rows.append({
            "factor": factor, "level": "all" if level is None else str(level), "ed50_text": curve.threshold_text,
            "ed50_repeats": ed50.estimate if ed50 else None, "low": ed50.low if ed50 else None,
            "high": ed50.high if ed50 and np.isfinite(ed50.high) else None, "status": curve.status,
            "extracted_at_most_repeats": top.estimate, "extracted_low": max(top.low, 0.0),
            "extracted_high": min(top.high, 1.0), "num_canaries": planted.filter(here).height,
        })  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def _levels(planted: pl.DataFrame, factor: str) -> list[Any]:
    return sorted(planted[factor].unique().to_list())


def _over_lives(rows: pl.DataFrame, measure: str) -> Interval:
    import polars as pl

    return mean_over_seeds(rows.group_by("life").agg(pl.col(measure).mean()).sort("life")[measure].to_list())


def _answer(thresholds: pl.DataFrame, effects: pl.DataFrame, crowding: pl.DataFrame | None) -> Finding:
    import polars as pl

    every, own = thresholds.row(0, named=True), effects.filter(pl.col("measure") == "extracted")
    top = f"{every['extracted_at_most_repeats']:.0%} [{every['extracted_low']:.0%}, {every['extracted_high']:.0%}]"
    said = f"A canary is remembered (extracted) from {every['ed50_text']} repeats"
    if every["ed50_repeats"] is None:
        said = f"Repeats from which canaries are remembered (extracted): {every['ed50_text']}"
    shown = [row for row in own.iter_rows(named=True) if row["p_holm"] <= 0.05 and row["effect"] != DOUBLING]
    said += f"; at {REPEATS[-1]} repeats {top} of all are extracted. "
    by = {(row["factor"], row["level"]): row for row in thresholds.iter_rows(named=True)}
    said += "".join(
        _shift(row, by[row["factor"], row["level"]], by[row["factor"], str(FACTORS[row["factor"]])]) for row in shown
    )
    said += _not_shown(own, "extraction", _factor)
    if crowding is not None:
        said += " " + _crowd_text(crowding)
    return Finding(
        title="Repeats after which a canary is extracted",
        sentence=said,
        table=thresholds,
        chart=Chart(
            x="level", y="ed50_repeats", low="low", high="high", panel="factor", x_scale="names", y_scale="log",
            y_title="ED50, repeats",
        ),
        note="A canary is extracted if greedy decoding from its three first words gives all the rest: 3 or 9 words (k "
        "and l of Carlini et al. 2022, arXiv 2202.07646). ED50: half of the way from the control to the plateau of "
        "this level, which need not be 1; 95% intervals over lives. How many times as many repeats a level takes is "
        "the difference in extracted canaries, summed over the nine doublings of repeats (Spearman 1908, Kärber 1931): "
        "too small where a level is not wholly extracted at the most repeats.",
    )  # fmt: skip


def _shift(row: dict[str, Any], level: dict[str, Any], usual: dict[str, Any]) -> str:
    """How many times as many repeats this level takes; of one that has no threshold, that it has none."""
    what = f"{row['effect'][:1].upper()}{row['effect'][1:]}"
    compared = f"{usual['level']}{' words' * (row['factor'] == 'words')}"
    if level["ed50_repeats"] is None or usual["ed50_repeats"] is None:
        how = f"{level['ed50_text']} repeats, against {usual['ed50_text']} of {compared}"
    else:
        low, middle, high = (_times(2.0 ** (-end * len(REPEATS))) for end in (row["high"], row["change"], row["low"]))
        how = f"{middle} [{low}, {high}] times the repeats of {compared}"
    return f"{what}: {how} ({chance(row['p_holm'])}). "


def _times(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _not_shown(rows: pl.DataFrame, of: str, size: Any) -> str:
    """What had no effect, and how large one would have been seen."""
    rest = [row for row in rows.iter_rows(named=True) if row["p_holm"] > 0.05]
    if not rest:
        return "Every factor has an effect."
    largest = max(rest, key=lambda row: float(row["smallest_seen"]))
    names = ", ".join(row["effect"] for row in rest)
    least = size(largest) if np.isfinite(largest["smallest_seen"]) else "too few lives to tell"
    return f"No effect found on {of} of: {names}; smallest effect this run could have seen: {least}."


def _factor(row: dict[str, Any]) -> str:
    factor = 2.0 ** row["smallest_seen_doublings"]
    return f"a factor of {_times(factor)} in repeats" if factor < REPEATS[-1] else "more than the range of repeats"


def _effects(planted: pl.DataFrame) -> pl.DataFrame:
    """Least squares of each measure on the logarithm of repeats and every factor."""
    import polars as pl

    regressors: dict[str, Any] = {DOUBLING: np.log2(planted["shown"].to_numpy())}
    factor_of, level_of = {DOUBLING: "repeats"}, {DOUBLING: ""}
    for factor, usual in FACTORS.items():
        for level in _levels(planted, factor):
            if level != usual:
                name = {"words": f"{level} words", "place": f"at the {level}"}.get(factor, str(level))
                regressors[name] = (planted[factor] == level).to_numpy().astype(float)
                factor_of[name], level_of[name] = factor, str(level)
    frames = []
    for measure in MEASURES.values():
        found = line(planted["life"], planted[measure], regressors)
        rows: list[dict[str, Any]] = [
            {
                "measure": measure, "factor": factor_of[name], "level": level_of[name], "effect": name,
                "change": slope.value.estimate, "low": slope.value.low, "high": slope.value.high,
                "p": slope.p_value, "smallest_seen": slope.smallest,
            }
            for name, slope in found.slopes.items()
        ]  # fmt: skip
        adjusted = holm([float(row["p"]) for row in rows])
        frames.append(pl.DataFrame(rows).with_columns(pl.Series("p_holm", adjusted)).drop("p"))
    table = pl.concat(frames)
    doublings = pl.when(pl.col("measure") == "extracted").then(pl.col("smallest_seen") * len(REPEATS))
    return table.with_columns(doublings.alias("smallest_seen_doublings"))


def _effects_finding(effects: pl.DataFrame) -> Finding:
    import polars as pl

    bits = effects.filter(pl.col("measure") == "exposure_bits")
    said = "; ".join(
        f"{row['effect']} {_span(row)} ({chance(row['p_holm'])})"
        for row in bits.iter_rows(named=True)
        if row["p_holm"] <= 0.05
    )
    rest = _not_shown(bits, "exposure", lambda row: f"{row['smallest_seen']:.1f} bits")
    return Finding(
        title="What each factor does",
        sentence=f"Exposure, in bits up to {np.log2(NUM_OTHERS + 1):.0f}: {said or 'nothing changes it'}. {rest}",
        table=effects,
        chart=Chart(x="effect", y="change", low="low", high="high", panel="measure", x_scale="names"),
        note="Least squares (statsmodels) on the logarithm of repeats and on each factor, against common words, 3 "
        "words, the middle of a document, and uniformly in time. Each life by itself, for it has every level with "
        "every number of repeats; then Student's t over the lives (Ibragimov and Müller 2010): few clusters make "
        "clustered errors of one regression too small. p_holm is adjusted over the effects on one measure (Holm "
        "1979). Exposure ends at its most, and a share at 1, so that the effects are those of the middle of the range. "
        "`smallest_seen`: with 80% power, before that adjustment. Rare words and random characters are some four "
        "tokens a word, common words one, which is part of what rarity does.",
    )


def _span(row: dict[str, Any]) -> str:
    return f"{row['change']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def _by_repeats(planted: pl.DataFrame, control: pl.DataFrame) -> Finding:
    import polars as pl

    rows: list[dict[str, Any]] = []
    for (shown, rarity), group in pl.concat([control, planted]).group_by("shown", "rarity", maintain_order=True):
        for measure in MEASURES.values():
            found = _over_lives(group, measure)
            rows.append({"repeats": shown, "rarity": rarity, "measure": measure, **found.columns("mean")})
    table = pl.DataFrame(rows).sort("measure", "rarity", "repeats")
    sentence = "There is no life without canaries to compare with."
    if not control.is_empty():
        never, expected = _over_lives(control, "exposure_bits"), chance_exposure()
        verdict = "as it should be" if expected in never else "which is not what chance gives: suspect the others"
        hits = int(control["extracted"].sum())
        sentence = (
            f"Canaries that were never planted have an exposure of {never.estimate:.2f} [{never.low:.2f}, "
            f"{never.high:.2f}] bits; chance gives {expected:.2f}, {verdict}. {hits} of {control.height} are extracted."
        )
    return Finding(
        title="Memory by repeats",
        sentence=sentence,
        table=table,
        chart=Chart(x="repeats", y="mean", low="low", high="high", colour="rarity", panel="measure", x_scale="symlog"),
        note=f"Means over lives. Exposure: log2 of {NUM_OTHERS + 1} less log2 of the rank among {NUM_OTHERS} sequences "
        "that were drawn alike and never planted (Carlini et al. 2019, arXiv 1802.08232).",
    )


def _compared(pairs: pl.DataFrame) -> pl.DataFrame:
    """For each measure what the same canaries have in the crowd, less what they have alone."""
    import polars as pl
    from scipy import stats

    rows: list[dict[str, Any]] = []
    for measure in MEASURES.values():
        lives = pairs.group_by("life").agg(pl.col(measure, f"{measure}_alone").mean()).sort("life")
        crowd, alone = lives[measure].to_numpy(), lives[f"{measure}_alone"].to_numpy()
        value, p_value = mean_over_seeds(crowd - alone), 1.0
        if np.ptp(crowd - alone) > 0:
            p_value = float(stats.ttest_1samp(crowd - alone, 0.0).pvalue)
        elif measure == "extracted":  # lives that agree by chance: no more certain than so many canaries allow
            found = difference(crowd, alone, trials=pairs.height // lives.height)
            value, p_value = found.value, found.p_value
        reach = (value.high - value.estimate) if lives.height > 1 else np.inf
        freedom = max(lives.height - 1.0, 1.0)
        own = CrossedMean(value.estimate, reach / float(stats.t.isf(0.025, freedom)), freedom)
        alpha = 0.05 / len(MEASURES)  # by itself beside all measures, the first step of Holm
        rows.append({
            "measure": measure, "alone": float(alone.mean()), "in_the_crowd": float(crowd.mean()),
            **value.columns("change"), "p": p_value,
            "smallest_seen": own.smallest_seen(alpha=alpha) if reach else np.inf,
        })  # fmt: skip
    table = pl.DataFrame(rows)
    return table.with_columns(pl.Series("p_holm", holm(table["p"].to_list()))).drop("p")


def _crowd_text(table: pl.DataFrame) -> str:
    rows = {row["measure"]: row for row in table.iter_rows(named=True)}
    bits, hits = rows["exposure_bits"], rows["extracted"]
    found = [row for row in rows.values() if row["p_holm"] <= 0.05]
    said = ", ".join(f"{row['measure'].replace('_', ' ')} {_span(row)}, {chance(row['p_holm'])}" for row in found)
    verdict = f"Interference is shown (in the crowd less alone: {said})"
    if not found:
        least = hits["smallest_seen"]
        seen = f"{bits['smallest_seen']:.1f} bits" if np.isfinite(bits["smallest_seen"]) else "none in bits"
        size = f"{least:.2f} in extraction, {seen}" if np.isfinite(least) else "too few lives"
        verdict = f"Interference is not shown (smallest difference this run could have seen: {size})"
    return (
        f"{verdict}: the same canary is extracted {hits['in_the_crowd']:.0%} of the time in the crowd and "
        f"{hits['alone']:.0%} alone, a difference of {_span(hits)}, and of {_span(bits)} bits of exposure."
    )


def _interference(pairs: pl.DataFrame, table: pl.DataFrame) -> Finding:
    import polars as pl

    points = pairs.group_by("shown").agg(
        pl.len().alias("pairs"), pl.col("extracted", "extracted_alone", "exposure_bits", "exposure_bits_alone").mean()
    )
    by_point = "; ".join(
        f"at {row['shown']} repeats {row['extracted']:.0%} against {row['extracted_alone']:.0%} extracted, "
        f"{row['exposure_bits']:.1f} against {row['exposure_bits_alone']:.1f} bits"
        for row in points.sort("shown").iter_rows(named=True)
    )
    return Finding(
        title="Do canaries in one life get in one another's way?",
        sentence=f"{_crowd_text(table)} In the crowd against alone: {by_point}.",
        table=table,
        chart=Chart(x="measure", y="change", low="low", high="high", x_scale="names", y_title="in a crowd less alone"),
        note=f"{pairs.height} pairs of one canary, shown uniformly in time, in two lives, in the same documents at the "
        "same places; alone, the documents of the other canaries come without these. A mean for each pair of lives, "
        "then Student's t over them; adjusted over the four measures (Holm 1979). Without the other canaries the text "
        "is also shorter, so that training takes fewer steps. Exposure tells of low numbers of repeats alone: it soon "
        "is at its most.",
    )
