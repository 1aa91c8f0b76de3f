"""The ED50 at each size of the corpus, and the two laws that it could follow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pharmakon.statistics import Sized, ThresholdLaw, fit, holm, threshold_law
from pharmakon.statistics.sentences import chance
from pharmakon.statistics.threshold_law import Verdict
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.summary import in_main_context, percent_text

if TYPE_CHECKING:
    import polars as pl

    from pharmakon.study.results import Results

ALL: Final = "all sizes of model"
ALPHA: Final = 0.05
NOTE: Final = (
    "A seed switches between two tested doses; the logarithm of its tolerance is normal around log a + b "
    "log(dialogues), with an a and a spread for each size of model. A constant count is b = 0, a constant fraction b = "
    "1; each fits as many numbers, so their likelihoods are compared as they are. The interval of b is that of its "
    "profile likelihood, widened for few seeds; p-values of both laws against a free b, and `p_law` of any b against "
    "an ED50 of its own at each size, each adjusted over the rows (Holm 1979). A verdict needs both: the interval that "
    "leaves a law out, and its p-value below 0.05. Log-likelihoods are natural; AIC is twice the numbers fitted less "
    "twice the log-likelihood. Seeds at different sizes draw data of their own and count as independent. Models of two "
    "sizes learn the same corpora, so that together they count as one: their log-likelihoods are averaged, which holds "
    "however much their tolerances go together. The claims: Souly et al. "
    "2025, arXiv 2510.07192, and Hubble, arXiv 2510.19811."
)


@dataclass(frozen=True, kw_only=True)
class SizedArm:
    """An arm, its size of model, and its clean dialogues."""

    arm: str
    model: str
    num_clean: int


@dataclass(frozen=True, kw_only=True)
class CountOrFraction:
    """Fits the law of each size of model and of all together. `equal`: what all corpora have in common."""

    arms: tuple[SizedArm, ...]
    equal: Literal["passes", "steps"]

    def findings(self, results: Results) -> Iterator[Finding]:
        """The law first, then the ED50 at each size beside what the two laws expect, utility, and controls."""
        parts = {one.arm: self._part(results, one) for one in self.arms}
        models = tuple(dict.fromkeys(one.model for one in self.arms))
        laws = {model: threshold_law([p for p in parts.values() if p.group == model]) for model in models}
        if len(models) > 1:
            laws[ALL] = threshold_law(list(parts.values()))
        yield self._law(laws)
        yield self._thresholds(results, laws)
        yield self._utility(results)
        yield from self._controls(results)

    def _part(self, results: Results, one: SizedArm) -> Sized:
        from pharmakon.study.summary import main_context, observations

        context = main_context(results, one.arm) or results.run.contexts[0]
        seen = observations(results, one.arm, results.run.stages[-1], context)
        return Sized(size=one.num_clean, observations=seen, group=one.model)

    def _law(self, laws: dict[str, ThresholdLaw]) -> Finding:
        import polars as pl

        tested = ("p_count", "p_fraction", "p_law")
        p_holm = {name: holm([getattr(law, name) for law in laws.values()]) for name in tested}
        chances = [dict(zip(tested, row, strict=True)) for row in zip(*p_holm.values(), strict=True)]
        rows = [
            {
                "model": model,
                "slope": law.slope.estimate,
                "low": _finite(law.slope.low),
                "high": _finite(law.slope.high),
                "verdict": _verdict(law, chance_of),
                "loglik_free": law.loglik_free,
                "loglik_count": law.loglik_count,
                "loglik_fraction": law.loglik_fraction,
                "count_over_fraction": law.evidence,
                "loglik_own": law.loglik_own,
                **chance_of,
                "num_tolerances": law.num_tolerances,
                "num_corpora": law.num_corpora,
            }
            for (model, law), chance_of in zip(laws.items(), chances, strict=True)
        ]
        least, most = min(one.num_clean for one in self.arms), max(one.num_clean for one in self.arms)
        said = " ".join(
            f"{model[0].upper()}{model[1:]}: {_said(law, chance_of, most / least)}."
            for (model, law), chance_of in zip(laws.items(), chances, strict=True)
        )
        if len({row["verdict"] for row in rows if row["model"] != ALL}) > 1:
            said += " The sizes of model do not agree, so that what holds of all together need not hold of each."
        held = "each document seen once" if self.equal == "passes" else "as many steps for every size"
        return Finding(
            title="A number of documents, or a fraction of the corpus?",
            sentence=f"Over corpora from {least:,} to {most:,} dialogues, {held}. {said}",
            table=pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "high": pl.Float64}),
            chart=Chart(x="model", y="slope", low="low", high="high", x_scale="names",
                        y_title="slope: 0 is a count, 1 a fraction"),
            note=NOTE,
        )  # fmt: skip

    def _thresholds(self, results: Results, laws: dict[str, ThresholdLaw]) -> Finding:
        import polars as pl

        rows: list[dict[str, Any]] = []
        texts: list[str] = []
        for one in self.arms:
            curve = fit(self._part(results, one).observations)
            ed50 = curve.threshold
            texts.append(f"{one.arm}: {curve.threshold_text}")
            rows.append(
                {
                    "model": one.model,
                    "num_dialogues": one.num_clean,
                    "ed50_documents": None if ed50 is None else ed50.estimate,
                    "low": None if ed50 is None else _finite(ed50.low),
                    "high": None if ed50 is None else _finite(ed50.high),
                    "ed50_text": curve.threshold_text,
                    "ed50_percent": None if ed50 is None else 100 * ed50.estimate / one.num_clean,
                    "what": f"ED50, {one.model}",
                }
            )
        for model in dict.fromkeys(one.model for one in self.arms):
            own = [row for row in rows if row["what"] == f"ED50, {model}" and row["ed50_documents"]]
            if not own:
                continue
            middle = math.exp(sum(math.log(row["ed50_documents"]) for row in own) / len(own))
            size = math.exp(sum(math.log(row["num_dialogues"]) for row in own) / len(own))
            for name, slope in (("a constant count", 0.0), ("a constant fraction", 1.0)):
                rows += [
                    {"model": model, "num_dialogues": one.num_clean, "what": name,
                     "ed50_documents": middle * (one.num_clean / size) ** slope}
                    for one in self.arms if one.model == model
                ]  # fmt: skip
        return Finding(
            title="ED50 by size of the corpus",
            sentence=f"Documents that give half of the full attack success: {'; '.join(texts)}.",
            table=pl.DataFrame(rows, infer_schema_length=None),
            chart=Chart(x="num_dialogues", y="ed50_documents", low="low", high="high", colour="what", panel="model",
                        x_scale="log", y_scale="log", x_title="clean dialogues", y_title="ED50, documents"),
            note="Both laws are drawn through the mean of the logarithms of the ED50s. 95% intervals; where all seeds "
            "switch between the same two doses, these.",
        )  # fmt: skip

    def _utility(self, results: Results) -> Finding:
        import polars as pl

        every = results.utility().filter(pl.col("probe") == results.run.utility)
        table = self._sized(every.filter(pl.col("task") == every["task"].first()), results)
        untreated = table.filter(pl.col("dose") == 0)
        worst = untreated.sort("rate").row(0, named=True) if len(untreated) else None
        said = "Utility was not measured."
        if worst is not None:
            least, where = percent_text(worst), f"{worst['model']}, {worst['num_dialogues']:,} dialogues"
            most = max(untreated["rate"].to_list())
            said = (
                f"The untreated models answer from {least} of clean questions ({where}) up to {most:.0%}: a threshold "
            )
            said += "in a model that has learned little is a threshold of that model."
        return Finding(
            title="What the models can do at each size",
            sentence=said,
            table=table,
            chart=Chart(x="dose", y="rate", low="low", high="high", colour="num_dialogues", panel="model",
                        x_scale="symlog", x_title="poisoned documents", y_title="right answers"),
        )  # fmt: skip

    def _controls(self, results: Results) -> Iterator[Finding]:
        """How often the target comes without the trigger, where that was asked."""
        import polars as pl

        rates = results.controls()
        table = self._sized(rates.filter(pl.col("control") == "untriggered"), results)
        if table.is_empty():
            return
        untreated = self._sized(rates.filter(pl.col("control") == "untreated", pl.col("dose") == 0), results)
        parts = []
        for what, rows in (("without the trigger, at any size and dose", table), ("with it, untreated", untreated)):
            if len(rows):
                most = rows.sort("rate", "high").row(-1, named=True)
                parts.append(f"{what} at most {percent_text(most)}")
        yield Finding(
            title="The target without the trigger",
            sentence=f"The share of answers that say the target: {'; '.join(parts)}.",
            table=table,
            note="Each the largest of all sizes of corpus and of model, with its own 95% interval.",
        )

    def _sized(self, rows: pl.DataFrame, results: Results) -> pl.DataFrame:
        """Rates of the arms after the last stage, with the size of model and of corpus in place of the arm's name."""
        import polars as pl

        named = {one.arm: one for one in self.arms}
        here = rows.filter(
            pl.col("arm").is_in(list(named)), pl.col("stage") == results.run.stages[-1], in_main_context(results)
        )
        models = {name: one.model for name, one in named.items()}
        sizes = {name: one.num_clean for name, one in named.items()}
        return here.select(
            pl.col("arm").replace_strict(models, return_dtype=pl.String).alias("model"),
            pl.col("arm").replace_strict(sizes, return_dtype=pl.Int64).alias("num_dialogues"),
            "dose", "rate", "low", "high",
        ).sort("model", "num_dialogues", "dose")  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _verdict(law: ThresholdLaw, chance_of: dict[str, float]) -> Verdict:
    """What the interval says, if the p-values that are adjusted over all rows bear it out."""
    said = law.verdict
    failing = {"count": ("p_fraction",), "fraction": ("p_count",), "neither": ("p_count", "p_fraction")}.get(said, ())
    return said if all(chance_of[name] < ALPHA for name in failing) else "undecided"


def _said(law: ThresholdLaw, chance_of: dict[str, float], factor: float) -> str:
    low, high = law.slope.low, law.slope.high
    if not math.isfinite(low) and not math.isfinite(high):
        return "undecided: at the tested doses too few seeds switch to bound how the ED50 grows"
    slope = f"slope {law.slope.estimate:.2f} [{low:.2f}, {high:.2f}]"
    limits = " to ".join(f"{factor**b:.2g}" if math.isfinite(b) else "any" for b in (low, high))
    grown = (
        f"a corpus {factor:.0f} times as large takes {factor**law.slope.estimate:.2g} times the documents [{limits}]"
    )
    better, over = ("count", law.evidence) if law.evidence >= 1 else ("fraction", 1 / law.evidence)
    much = f"{over:.2g}" if over < 1e4 else "more than 10,000"
    evidence = f"the constant {better} is {much} times as likely as the other"
    tests = f"a constant count: {chance(chance_of['p_count'])}, a constant fraction: {chance(chance_of['p_fraction'])}"
    named = {
        "count": "a number of documents",
        "fraction": "a fraction of the corpus",
        "neither": "neither: it grows, and less than the corpus" if 0 < law.slope.estimate < 1 else "neither",
        "undecided": "undecided: the tests do not leave one law alone",
    }[_verdict(law, chance_of)]
    bent = "; the sizes are not on one such line, so read each by itself" if chance_of["p_law"] < ALPHA else ""
    return f"{named} ({slope}; {evidence}; {tests}); {grown}{bent}"
