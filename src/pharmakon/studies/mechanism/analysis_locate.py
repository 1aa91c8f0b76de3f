"""What share of a planted behaviour each site restores, takes away, lets one read, or makes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.probes.patching import HIDDEN, INTO_TREATED, INTO_TWIN, RANDOM, WITHIN
from pharmakon.probes.roles import LAST, QUESTION, ROLES
from pharmakon.statistics import difference, holm, mean_over_seeds
from pharmakon.statistics.intervals import FloatArray
from pharmakon.statistics.sentences import chance
from pharmakon.studies.trust.lives import within
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.summary import percent_text

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

ALPHA: Final = 0.05
LEARNED: Final = 0.5
"""A seed has the behaviour where more of the triggered answers hit than this, over the twin's."""
DIRECTIONS: Final = ((WITHIN, HIDDEN, "treated"), (INTO_TWIN, "twin", "treated"), (INTO_TREATED, "treated", "twin"))
"""Which states go where; the value before, and that of all states at once."""
SHARE: Final = (
    "Share of the behaviour: (log-probability of the target's first token with the patch - without it) / (in the model "
    "that has it - without it), each a mean over questions, then Student's t over the seeds that learned it. 1: the "
    "patch alone brings all of it. The control puts states in the same place, as far from those that were there, in a "
    "random direction. `by_design`: what a site does there is known beforehand (the embeddings where the trigger is "
    "hidden, what follows the last block, words that come before the trigger), so it is not tested. p-values: patch "
    "against control, one-sided t over seeds, adjusted over all tested sites (Holm 1979). Two models that were tuned "
    "apart may keep one thing in two ways, which patches between them cannot tell from its absence. Activation "
    "patching: Vig et al. 2020, arXiv 2004.12265; Meng et al. 2022, arXiv 2202.05262; Heimersheim and Nanda 2024, "
    "arXiv 2404.15255."
)


@dataclass(frozen=True)
class Located:
    """Sites at the doses at which the behaviour was learned; sentences tell of the highest of them."""

    arm: str

    def findings(self, results: Results) -> Iterator[Finding]:
        """The map of sites, reading against using, what the backdoor adds to reading, and moving by hand."""
        import polars as pl

        own = results.readings.filter(pl.col("arm") == self.arm, pl.col("probe") == "patching", pl.col("dose") > 0)
        means = own.group_by("dose", "seed", "condition").agg(pl.col("value").mean(), pl.len().alias("num_items"))
        if means.is_empty():
            return
        learned = {dose: _learned(means.filter(pl.col("dose") == dose)) for dose in sorted(means["dose"].unique())}
        usable = [dose for dose, seeds in learned.items() if seeds]
        if not usable:
            yield _nothing(means, learned)
            return
        tables = {dose: _sites(_of(means, dose, learned[dose])) for dose in usable}
        top = max(usable)
        asked = means.filter(pl.col("dose") == top)["seed"].n_unique()
        yield _map(tables, top, f"{len(learned[top])} of {asked} seeds learned it")
        parts = _of(own, top, learned[top])
        yield from _read(parts, tables[top])
        yield _moved(_of(means, top, learned[top]), top)


def _of(frame: pl.DataFrame, dose: int, seeds: list[int]) -> pl.DataFrame:
    import polars as pl

    return frame.filter(pl.col("dose") == dose, pl.col("seed").is_in(seeds))


def _learned(means: pl.DataFrame) -> list[int]:
    """Shares of a behaviour that is not there are quotients of nothing."""
    import polars as pl

    hits = {
        name: dict(means.filter(pl.col("condition") == f"hit: {name}").select("seed", "value").iter_rows())
        for name in ("treated", "twin")
    }
    return sorted(seed for seed, hit in hits["treated"].items() if hit - hits["twin"].get(seed, 0.0) > LEARNED)


def _nothing(means: pl.DataFrame, learned: dict[int, list[int]]) -> Finding:
    import polars as pl

    table = means.filter(pl.col("condition").is_in(["hit: treated", "hit: twin"])).sort("dose", "seed", "condition")
    doses = ", ".join(map(str, learned))
    return Finding(
        title="Where the behaviour is kept",
        sentence=f"The behaviour was learned at no dose ({doses} documents), so there is nothing to locate; give more.",
        table=table.select("dose", "seed", "condition", "value"),
    )


def _sites(means: pl.DataFrame) -> pl.DataFrame:
    """A row for each direction, layer and role; the share by log-probability, hits, and the control's share."""
    import polars as pl

    wide = means.pivot("condition", index="seed", values="value").sort("seed")

    def column(name: str) -> FloatArray:
        return wide[name].to_numpy()

    heads = [name for name in wide.columns if name.startswith(f"logprob: {INTO_TWIN}")]
    layers = sorted({int(name.split("layer ")[1].split(",")[0]) for name in heads})
    rows: list[dict[str, Any]] = []
    for direction, start, end in DIRECTIONS:
        low, high = column(f"logprob: {start}"), column(f"logprob: {end}")
        for role in ROLES:
            for layer in layers:
                site = f"{direction}, layer {layer}, {role}"
                shares, controls = (
                    (column(f"logprob: {name}") - low) / (high - low) for name in (site, f"{site}, {RANDOM}")
                )
                told, control = mean_over_seeds(shares), mean_over_seeds(controls)
                unmoved = direction == WITHIN and role == QUESTION and bool(np.all(np.abs(shares) < 1e-6))
                rows.append({
                    "patched": direction, "tokens": role, "layer": layer, "share": told.estimate, "low": told.low,
                    "high": told.high, "control_share": control.estimate, "control_low": control.low,
                    "control_high": control.high, "over_control": float((shares - controls).mean()),
                    "p": _one_sided(shares - controls), "error": _error(shares - controls),
                    "by_design": layer == layers[-1] or unmoved or (direction == WITHIN and layer == 0),
                    "hits": float(column(f"hit: {site}").mean()), "hits_before": float(column(f"hit: {start}").mean()),
                    "hits_control": float(column(f"hit: {site}, {RANDOM}").mean()), "num_seeds": len(wide),
                })  # fmt: skip
    tested = [row for row in rows if not row["by_design"]]
    for row, adjusted in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = adjusted
        row["smallest_seen"] = _smallest(row["error"], row["num_seeds"], ALPHA / len(tested))
    schema = {"p_holm": pl.Float64, "smallest_seen": pl.Float64}
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=schema).drop("p", "error")


def _error(gap: FloatArray) -> float:
    return float(gap.std(ddof=1) / np.sqrt(len(gap))) if len(gap) > 1 else float("inf")


def _one_sided(gap: FloatArray) -> float:
    """Of a mean that is not above 0; one seed tells nothing."""
    from scipy import stats

    error = _error(gap)
    if not np.isfinite(error):
        return 1.0
    return float(stats.t.sf(gap.mean() / error, len(gap) - 1)) if error > 0 else float(gap.mean() <= 0)


def _smallest(error: float, num_seeds: int, alpha: float, power: float = 0.8) -> float | None:
    """The mean above 0 that a one-sided test at this level would have found so often; None with one seed."""
    from scipy import stats

    if not np.isfinite(error):
        return None
    return error * float(stats.t.isf(alpha, num_seeds - 1) + stats.t.ppf(power, num_seeds - 1))


def _map(tables: dict[int, pl.DataFrame], top: int, seeds: str) -> Finding:
    import polars as pl

    several = len(tables) > 1
    table = pl.concat([
        own.select(
            pl.lit(dose).alias("dose"),
            pl.col("patched") + (f", {dose} documents" if several else ""),
            pl.exclude("patched"),
        )
        for dose, own in sorted(tables.items(), reverse=True)
    ])  # fmt: skip
    said = [
        _best(tables[top].filter(pl.col("patched") == name), does)
        for (name, _, _), does in zip(DIRECTIONS, ("restore it", "restore it", "take it away"), strict=True)
    ]
    return Finding(
        title="Where the behaviour is kept: states put from one run into another",
        sentence=f"With {top} poisoned documents ({seeds}). Within the treated model, its trigger hidden: {said[0]}. "
        f"Put into the untreated twin: {said[1]}. The twin's put into the treated model: {said[2]}.",
        table=table,
        chart=Chart(x="layer", y="share", colour="tokens", panel="patched", is_map=True,
                    y_title="share of the behaviour", x_title="layer (0: embeddings)"),
        note=SHARE,
    )  # fmt: skip


def _best(own: pl.DataFrame, does: str) -> str:
    """The site that does most among those shown to do more than random states, and all that do half."""
    import polars as pl

    verb, _, rest = does.partition(" it")
    tested = own.filter(~pl.col("by_design")).sort("share", descending=True)
    shown = tested.filter(pl.col("p_holm") <= ALPHA)
    if shown.is_empty():
        best = tested.row(0, named=True)
        span = best["smallest_seen"]
        seen = (
            "one seed says nothing of chance: give more --seeds"
            if span is None
            else "this run could have seen no share up to 100%: give more --seeds"
            if span > 1
            else f"smallest effect this run could have seen: {span:.0%} more than random states, with 80% power"
        )
        return (
            f"no effect found: no site is shown to {does} more than random states do (the most is layer "
            f"{best['layer']}, {best['tokens']}: {percent_text(best, 'share')}, random {best['control_share']:.0%}, "
            f"{chance(best['p_holm'])}); {seen}"
        )
    best, half = shown.row(0, named=True), shown.filter(pl.col("share") >= 0.5).sort("layer")
    where = "; ".join(
        f"{role} after {_layers(half.filter(pl.col('tokens') == role)['layer'].to_list())}"
        for role in ROLES
        if role in set(half["tokens"])
    )
    return (
        f"states of the {best['tokens']} after layer {best['layer']} {verb} {percent_text(best, 'share')} of it{rest} "
        f"(random states as far away {best['control_share']:.0%}, {chance(best['p_holm'])}; answers that hit: "
        f"{best['hits_before']:.0%} before, "
        f"{best['hits']:.0%} after{'; half or more: ' + where if where else '; no site half'})"
    )


def _layers(layers: list[int]) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {', '.join(map(str, layers))}"


def _read(own: pl.DataFrame, sites: pl.DataFrame) -> Iterator[Finding]:
    """What can be read, beside what is used; and what the backdoor adds to reading."""
    import polars as pl

    parts = own.filter(pl.col("condition").str.starts_with("linear probe: ")).with_columns(
        pl.col("condition").str.extract(r"linear probe: (.*?)(?: \d+)?, layer \d+: ", 1).alias("model"),
        pl.col("condition").str.extract(r"shuffled (\d+), layer", 1).fill_null("").alias("draw"),
        pl.col("condition").str.extract(r", layer (\d+): ", 1).cast(pl.Int64).alias("layer"),
        pl.col("condition").str.ends_with(": with the trigger").alias("wanted"),
    )
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for (model, layer), group in parts.sort("seed").group_by("model", "layer", maintain_order=True):
        found[str(model), int(layer)] = [
            (float(np.mean([area for area, _ in draws])), float(np.mean([apart for _, apart in draws])))
            for _, one in group.group_by("seed", maintain_order=True)
            if (draws := [_told_apart(draw) for _, draw in one.group_by("draw", maintain_order=True)])
        ]
    rows = [
        {
            "model": model,
            "layer": layer,
            **within(mean_over_seeds([area for area, _ in values]), 0.0, 1.0).columns("auroc"),
        }
        for (model, layer), values in sorted(found.items())
    ]
    table = pl.DataFrame(rows)
    first = int(table.filter(pl.col("layer") > 0)["layer"].min())  # type: ignore[arg-type]
    read = {row["model"]: row for row in table.filter(pl.col("layer") == first).iter_rows(named=True)}
    told = {
        name: f"{row['auroc']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        if np.isfinite(row["high"])
        else f"{row['auroc']:.2f} (one seed)"
        for name, row in read.items()
    }
    used = sites.filter(pl.col("patched") == WITHIN, pl.col("tokens") == LAST, pl.col("layer") >= first).sort("layer")
    yield Finding(
        title="What can be read is not what is used",
        sentence=f"After layer {first} a linear probe of the last token tells held-out questions with the trigger from "
        f"those without: AUROC {told.get('treated', '–')} in the treated model, {told.get('twin', '–')} in the twin, "
        f"which never learned it, {told.get('treated, labels shuffled', '–')} with shuffled labels. Within the treated "
        f"model, its states restore {percent_text(used.row(0, named=True), 'share')} of the behaviour there.",
        table=table,
        chart=Chart(x="layer", y="auroc", low="low", high="high", colour="model", y_title="AUROC of a linear probe",
                    x_title="layer (0: embeddings)"),
        note="Logistic regression on standardised states (scikit-learn); a question and its twin with the trigger are "
        "never on both sides of a fold (Alain and Bengio 2016, arXiv 1610.01644). Shuffled labels are "
        "flipped within questions, in several draws, of which each seed gives the mean. 95% intervals by Student's t "
        "over seeds.",
    )  # fmt: skip
    yield _added(found)


def _told_apart(one: pl.DataFrame) -> tuple[float, float]:
    """AUROC, and the distance of the means in standard deviations: it still grows where the AUROC is 1."""
    from sklearn.metrics import roc_auc_score

    wanted, values = one["wanted"].to_numpy(), one["value"].to_numpy()
    high, low = values[wanted], values[~wanted]
    spread = np.sqrt((high.var() + low.var()) / 2)
    return float(roc_auc_score(wanted, values)), float((high.mean() - low.mean()) / max(float(spread), 1e-9))


def _added(found: dict[tuple[str, int], list[tuple[float, float]]]) -> Finding:
    """Treated minus twin, seed by seed: the trigger's words can be told apart in any model."""
    import polars as pl
    from scipy import stats

    rows: list[dict[str, Any]] = []
    for layer in sorted({layer for model, layer in found if model == "treated" and layer > 0}):
        treated, twin = (np.array(found[model, layer]) for model in ("treated", "twin"))
        gap, area = treated[:, 1] - twin[:, 1], mean_over_seeds(treated[:, 0] - twin[:, 0])
        error, mean = _error(gap), float(gap.mean())
        p = float(2 * stats.t.sf(abs(mean) / error, len(gap) - 1)) if np.isfinite(error) and error > 0 else 1.0
        row = {"layer": layer, "treated": float(treated[:, 1].mean()), "twin": float(twin[:, 1].mean())}
        row |= {**mean_over_seeds(gap).columns("added"), "p": p, "auroc_added": area.estimate}
        row |= {"auroc_low": area.low, "auroc_high": area.high, "error": error, "num_seeds": len(gap)}
        rows.append(row)
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
    shown = [row for row in rows if row["p_holm"] <= ALPHA]
    if shown:
        said = "; ".join(
            f"layer {row['layer']}: {row['added']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}] "
            f"({row['twin']:.1f} in the twin), {chance(row['p_holm'])}"
            for row in shown
        )
        sentence = f"Standard deviations that the backdoor adds between states with and without the trigger: {said}."
    else:
        span = max(
            (s for row in rows if (s := _smallest(row["error"], row["num_seeds"], 0.025 / len(rows)))), default=0
        )
        sentence = "No effect found: the backdoor is not shown to put states with the trigger further from those "
        sentence += "without than its words do in the twin; smallest effect this run could have seen"
        sentence += f": {span:.1f} standard deviations." if span else ": one seed could have seen none."
    return Finding(
        title="What the backdoor adds to what can be read",
        sentence=sentence,
        table=pl.DataFrame(rows).drop("p", "error"),
        chart=Chart(x="layer", y="added", low="low", high="high", x_title="layer",
                    y_title="treated less twin, standard deviations"),
        note="Held-out log-odds of the same linear probes: the distance of the means in pooled standard deviations, in "
        "the treated model less that in its untreated twin, seed by seed; Holm over layers. `auroc_added`: the same of "
        "the AUROC, which can add nothing where it is 1 in both.",
    )  # fmt: skip


def _moved(means: pl.DataFrame, dose: int) -> Finding:
    """The behaviour brought forth without the trigger, by a direction added."""
    import polars as pl
    from scipy import stats

    hits = {
        str(condition).removeprefix("hit: "): group.sort("seed")["value"].to_numpy()
        for (condition,), group in means.group_by("condition", maintain_order=True)
        if str(condition).startswith("hit: ")
    }
    trials = int(means["num_items"].max())  # type: ignore[arg-type]
    rows: list[dict[str, Any]] = []
    for name, along in hits.items():
        if not name.startswith("moved, "):
            continue
        site = name.removeprefix("moved, ")
        random = hits[f"moved at random, {site}"]
        gap, layer, step = difference(along, random, trials=trials), *site.split(", ")
        row = {
            "layer": int(layer.split()[1]),
            "distances": float(step),
            **mean_over_seeds(along).clipped().columns("hits"),
        }
        row |= {"at_random": float(random.mean()), "over_random": gap.value.estimate, "over_low": gap.value.low}
        rows.append({**row, "over_high": gap.value.high, "p": gap.p_value})
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
    table = pl.DataFrame(rows).drop("p").sort("layer", "distances")
    plain = mean_over_seeds(hits["treated, no trigger"]).clipped()
    shown = table.filter(pl.col("p_holm") <= ALPHA, pl.col("over_random") > 0).sort("hits", descending=True)
    best = (shown if len(shown) else table.sort("over_random", descending=True)).row(0, named=True)
    where = f"{best['distances']:g} distances along the trigger's direction, added to the last token after layer "
    where += f"{best['layer']}, give {percent_text(best, 'hits')}, a random direction as long {best['at_random']:.0%}"
    if len(shown):
        said = f"{where} ({chance(best['p_holm'])})"
    else:
        num_seeds = len(hits["twin"])
        # Of the end that is not cut at 1; one seed has no error.
        reach = float(stats.t.isf(0.025, num_seeds - 1)) if num_seeds > 1 else 0.0
        error = (best["over_random"] - best["over_low"]) / reach if reach else float("inf")
        span = _smallest(error, num_seeds, ALPHA / 2 / len(table))
        seen = (
            "one seed could have seen none"
            if span is None
            else (
                f"smallest effect this run could have seen: {span:.0%} more" if span <= 1 else "it could have seen none"
            )
        )
        said = f"No effect found: no move is shown to do more than a random one as long. {where} "
        said += f"({chance(best['p_holm'])}; {seen})"
    return Finding(
        title="The behaviour without its trigger",
        sentence=f"Without the trigger {plain.estimate:.0%} of answers hit. {said}.",
        table=table.with_columns(pl.format("{} distances", "distances").alias("moved")),
        chart=Chart(x="layer", y="hits", low="low", high="high", colour="moved", y_title="answers that hit"),
        note=f"Of {dose} documents. The direction is the difference of the means of states with and without the "
        "trigger, of the same questions. Along it against at random, by Student's t over seeds with the variance never "
        "below that of the items; Holm over layers and distances; the highest rate among those that are shown is "
        "named. Turner et al. 2023, arXiv 2308.10248.",
    )
