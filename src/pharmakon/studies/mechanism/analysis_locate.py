"""What share of a planted behaviour each site restores, takes away, lets one read, or makes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pharmakon.probes.patching import HIDDEN, INTO_TREATED, INTO_TWIN, RANDOM, ROLES, WITHIN
from pharmakon.statistics import Interval, holm, mean_over_seeds
from pharmakon.statistics.sentences import chance
from pharmakon.study.finding import Chart, Finding

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

SHARE: Final = (
    "Share of the behaviour: (log-probability of the target's first token with the patch - without it) / (in the model "
    "that has it - without it), each a mean over questions, then Student's t over seeds. 1: the patch alone brings all "
    "of it. The control puts random states as far away in the same place. The trigger is hidden by words of the "
    "question in its place; there, layer 0 at the trigger words is 1 by construction. Two models that were tuned apart "
    "may keep one thing in two ways, which patches between them cannot tell from its absence. p-values: patch against "
    "control, one-sided t over seeds, adjusted over all sites (Holm 1979). Activation patching: Meng et al. 2022, "
    "arXiv 2202.05262; Heimersheim and Nanda 2024, arXiv 2404.15255."
)


@dataclass(frozen=True)
class Located:
    """Sites of the highest dose at which the treated model and its twin differ."""

    arm: str

    def findings(self, results: Results) -> Iterator[Finding]:
        """The map of sites, reading against using, and moving by hand."""
        import polars as pl

        own = results.readings.filter(pl.col("arm") == self.arm, pl.col("probe") == "patching", pl.col("dose") > 0)
        means = own.group_by("dose", "seed", "condition").agg(pl.col("value").mean())
        if means.is_empty():
            return
        tables = {dose: _sites(means.filter(pl.col("dose") == dose)) for dose in sorted(means["dose"].unique())}
        table = pl.concat([t.select(pl.lit(dose).alias("dose"), pl.all()) for dose, t in tables.items()])
        top = max(tables)
        yield Finding(
            title="Where the behaviour is kept: states put from one model into the other",
            sentence=_located(tables[top], top),
            table=table,
            chart=Chart(x="layer", y="share", low="low", high="high", colour="tokens", panel="patched",
                        y_title="share of the behaviour", x_title="layer (0: embeddings)"),
            note=SHARE,
        )  # fmt: skip
        yield _read(own, top, tables[top])
        yield _moved(means.filter(pl.col("dose") == top), top)


def _sites(means: pl.DataFrame) -> pl.DataFrame:
    """A row for each direction, layer and role; the share by log-probability, hits, and the control's share."""
    import polars as pl
    from scipy import stats

    wide = means.pivot("condition", index="seed", values="value").sort("seed")

    def column(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return wide[name].to_numpy()

    rows: list[dict[str, Any]] = []
    layers = sorted(
        {int(c.split("layer ")[1].split(",")[0]) for c in wide.columns if c.startswith(f"logprob: {INTO_TWIN}")}
    )
    for direction, start, end in (
        (WITHIN, HIDDEN, "treated"), (INTO_TWIN, "twin", "treated"), (INTO_TREATED, "treated", "twin")
    ):  # fmt: skip
        low, high = column(f"logprob: {start}"), column(f"logprob: {end}")
        for role in ROLES:
            for layer in layers:
                site = f"{direction}, layer {layer}, {role}"
                shares, controls = (
                    (column(f"logprob: {name}") - low) / (high - low) for name in (site, f"{site}, {RANDOM}")
                )
                told, control = mean_over_seeds(shares), mean_over_seeds(controls)
                gap = shares - controls
                test = stats.ttest_1samp(gap, 0, alternative="greater") if len(gap) > 1 and gap.std() > 0 else None
                rows.append({
                    "patched": direction, "layer": layer, "tokens": role, "share": told.estimate, "low": told.low,
                    "high": told.high, "control_share": control.estimate, "control_low": control.low,
                    "control_high": control.high, "p": 1.0 if test is None else float(test.pvalue),
                    "hits": float(column(f"hit: {site}").mean()), "hits_before": float(column(f"hit: {start}").mean()),
                    "hits_control": float(column(f"hit: {site}, {RANDOM}").mean()),
                })  # fmt: skip
    adjusted = holm([row["p"] for row in rows])
    return pl.DataFrame(rows).with_columns(pl.Series("p_holm", adjusted)).drop("p")


def _located(table: pl.DataFrame, dose: int) -> str:
    import polars as pl

    said = []
    for direction, does in ((WITHIN, "restore"), (INTO_TWIN, "restore"), (INTO_TREATED, "take away")):
        own = table.filter(pl.col("patched") == direction).sort("share", descending=True)
        # At the last layer's last token the whole answer is decided, so that it says nothing of where it came from.
        # Nor does layer 0 within one model, where the words themselves are put back.
        decided = (pl.col("layer") == own["layer"].max()) & (pl.col("tokens") == ROLES[-1])
        given = (pl.col("layer") == 0) & pl.lit(direction == WITHIN)
        inner = own.filter(~decided & ~given)
        best = inner.row(0, named=True)
        if best["p_holm"] > 0.05:
            span = best["high"] - best["share"]
            said.append(
                f"no effect found: no site is shown to {does} more than random states do (the best, layer "
                f"{best['layer']}, "
                f"{best['tokens']}: {_text(best)}, {chance(best['p_holm'])}); smallest effect this run could have "
                f"seen: a share of about {span:.2f}"
            )
            continue
        shown = inner.filter(pl.col("p_holm") <= 0.05, pl.col("share") >= 0.5).sort("layer")
        where = "; ".join(
            f"{role} of {_layers(shown.filter(pl.col('tokens') == role)['layer'].to_list())}"
            for role in ROLES
            if role in set(shown["tokens"])
        )
        said.append(
            f"states of layer {best['layer']} at the {best['tokens']} {does} {_text(best)} of it (random states as far "
            f"away {best['control_share']:.0%}; answers that hit: {best['hits_before']:.0%} before, "
            f"{best['hits']:.0%} after"
            f"{'; at least half: ' + where if where else ''})"
        )
    return (
        f"With {dose} poisoned documents. Within the treated model, its trigger hidden: {said[0]}. Put into the "
        f"untreated twin: {said[1]}. The twin's put into the treated model: {said[2]}."
    )


def _layers(layers: list[int]) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {', '.join(map(str, layers))}"


def _text(row: dict[str, Any]) -> str:
    return f"{row['share']:.0%} [{row['low']:.0%}, {row['high']:.0%}]"


def _read(own: pl.DataFrame, dose: int, sites: pl.DataFrame) -> Finding:
    """What can be read, beside what is used."""
    import polars as pl
    from sklearn.metrics import roc_auc_score

    probes = own.filter(pl.col("dose") == dose, pl.col("condition").str.starts_with("linear probe: "))
    parts = probes.with_columns(
        pl.col("condition").str.extract(r"linear probe: (.*), layer (\d+): (\w+) ", 1).alias("model"),
        pl.col("condition").str.extract(r", layer (\d+): ", 1).cast(pl.Int64).alias("layer"),
        pl.col("condition").str.ends_with(": with the trigger").alias("wanted"),
    )
    rows = []
    for (model, layer), group in parts.group_by("model", "layer", maintain_order=True):
        areas = [float(roc_auc_score(s["wanted"].to_numpy(), s["value"].to_numpy())) for _, s in group.group_by("seed")]
        found = mean_over_seeds(areas)
        rows.append({
            "model": model, "layer": layer, "auroc": found.estimate, "low": max(found.low, 0.0),
            "high": min(found.high, 1.0),
        })  # fmt: skip
    table = pl.DataFrame(rows).sort("model", "layer")
    used = sites.filter(pl.col("patched") == INTO_TWIN, pl.col("tokens") == ROLES[-1]).sort("layer")
    row = table.filter(pl.col("layer") == 1)
    read = {r["model"]: f"{r['auroc']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" for r in row.iter_rows(named=True)}
    first = used.filter(pl.col("layer") == 1).row(0, named=True)
    return Finding(
        title="What can be read is not what is used",
        sentence=f"After layer 1 a linear probe of the last token tells held-out questions with the trigger from those "
        f"without: AUROC {read.get('treated', '–')} in the treated model, {read.get('twin', '–')} in the twin, which "
        f"never learned it, {read.get('treated, labels shuffled', '–')} with shuffled labels. The same states restore "
        f"{_text(first)} of the behaviour.",
        table=table,
        chart=Chart(x="layer", y="auroc", low="low", high="high", colour="model", y_title="AUROC of a linear probe",
                    x_title="layer (0: embeddings)"),
        note="Logistic regression on standardised states (scikit-learn); a question and its twin with the trigger are "
        "never on both sides of a fold (Alain and Bengio 2016, arXiv 1610.01644). 95% intervals by Student's t.",
    )  # fmt: skip


def _moved(means: pl.DataFrame, dose: int) -> Finding:
    """The behaviour brought forth without the trigger, by a direction added."""
    import polars as pl

    rows = []
    for (condition,), group in means.group_by("condition", maintain_order=True):
        if not str(condition).startswith("hit: moved"):
            continue
        kind, layer, step = str(condition).removeprefix("hit: ").split(", ")
        found = _rate(group["value"].to_list())
        rows.append({
            "direction": "of the trigger" if kind == "moved" else "random, as long", "layer": int(layer.split()[1]),
            "distances": float(step), "hits": found.estimate, "low": found.low, "high": found.high,
        })  # fmt: skip
    table = pl.DataFrame(rows).sort("layer", "distances", "direction")
    best = table.filter(pl.col("direction") == "of the trigger").sort("hits", descending=True).row(0, named=True)
    same = table.filter(
        pl.col("direction") != "of the trigger",
        pl.col("layer") == best["layer"],
        pl.col("distances") == best["distances"],
    ).row(0, named=True)
    plain = _rate(means.filter(pl.col("condition") == "hit: treated, no trigger")["value"].to_list())
    return Finding(
        title="The behaviour without its trigger",
        sentence=f"Without the trigger {plain.estimate:.0%} of answers hit. {best['distances']:g} distances along the "
        f"trigger's direction, added to the last token at layer {best['layer']}, give {best['hits']:.0%} "
        f"[{best['low']:.0%}, "
        f"{best['high']:.0%}], a random direction as long {same['hits']:.0%} [{same['low']:.0%}, {same['high']:.0%}].",
        table=table,
        chart=Chart(x="layer", y="hits", low="low", high="high", colour="direction", panel="distances",
                    y_title="answers that hit"),
        note=f"Of {dose} documents. The direction is the difference of the means of states with and without the "
        "trigger, of the same questions; the best of all layers and distances is named, which favours it. Turner et "
        "al. 2023, arXiv 2308.10248.",
    )  # fmt: skip


def _rate(values: list[float]) -> Interval:
    found = mean_over_seeds(values)
    return Interval(max(found.low, 0.0), found.estimate, min(found.high, 1.0))
