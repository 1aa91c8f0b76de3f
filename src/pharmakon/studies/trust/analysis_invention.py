"""Invention against new facts: shown and learned, line or bend; what becomes of known facts; what corrects it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pharmakon.statistics import Line, Slope, holm, line, mean_over_seeds
from pharmakon.studies.trust.analysis_correction import Correction
from pharmakon.studies.trust.invention_lives import OF, lives, of_arm, rates, signed
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.results import Results
from pharmakon.study.summary import percent_text

PER = 10
"""Slopes are told for so many facts, in points of a hundred."""
LEARNED, ONLY_SHOWN, LONGER = "learned", "shown and not learned", "longer training alone"
RATHER = "learned rather than only shown"
BOTH = "both arms of new facts"
OUTCOMES = {
    "invented": "invention about strangers",
    "in_kind": "the same, values of what was asked for alone",
    "right": "right answers about known facts",
}


@dataclass(frozen=True, kw_only=True)
class InventionAudit:
    """Slopes of invention and of knowledge on new facts, whether the line holds, and the corrective."""

    new: tuple[str, str]
    """The arms of new facts, the longer training first."""
    control: str
    """That of known facts."""
    corrected: str
    """That of the corrective."""
    facts: int
    """New facts in it."""
    tolerated: float = 0.05
    """The rate of invention that the corrective is to come under."""
    margin: float = 0.05
    """The fall of knowledge that ends its window."""

    def findings(self, results: Results) -> Iterator[Finding]:
        """The answer and the slopes; the shape; the rates; the corrective; the knowledge."""
        frame = lives(results)
        cure = Correction.of(frame, self.corrected, self.facts, self.tolerated, self.margin)
        slopes = self._slopes(frame)
        yield self._slope_finding(slopes, cure, frame)
        yield self._shape(frame)
        yield self._rates(frame)
        yield cure.finding()
        yield self._knowledge(slopes)

    def _slopes(self, frame: pl.DataFrame) -> list[dict[str, Any]]:
        """A row for each outcome and regressor; p-values adjusted over all of them."""
        both = pl.concat([of_arm(frame, arm) for arm in self.new])
        rows: list[dict[str, Any]] = []
        for outcome in OUTCOMES:
            joint = fitted(both, outcome, self._regressors(both))
            rows += [_row(outcome, BOTH, name, joint) for name in joint.slopes]
            if {LEARNED, ONLY_SHOWN, LONGER} <= set(
                joint.slopes
            ):  # the same regression in other terms: the difference of its two slopes
                terms = {"all": both["told"].to_numpy(), RATHER: both["learned"].to_numpy()}
                rather = fitted(both, outcome, {**terms, LONGER: self._regressors(both)[LONGER]})
                rows.append(_row(outcome, BOTH, RATHER, rather))
            for arm in (*self.new, self.control):
                own = of_arm(frame, arm)
                found = fitted(own, outcome, {"administered": own["dose"].to_numpy()})
                rows.append(_row(outcome, arm, "administered", found))
        adjusted = holm([row["p_value"] for row in rows])
        return [{**row, "p_holm": p_value} for row, p_value in zip(rows, adjusted, strict=True)]

    def _regressors(self, both: pl.DataFrame) -> dict[str, Any]:
        """Learned facts, the longer training, and facts that were only shown; without what some seed cannot tell apart.

        Where that is so of learned facts, others learned some, whose effect would be taken for that of shown ones.
        """
        learned = both["learned"].to_numpy().astype(float)
        is_long = (both["arm"] == self.new[0]).to_numpy().astype(float)
        kept: dict[str, Any] = {}
        for name, column in ((LEARNED, learned), (LONGER, is_long), (ONLY_SHOWN, both["told"].to_numpy() - learned)):
            if name == ONLY_SHOWN and LEARNED not in kept and learned.any():
                continue
            columns = np.column_stack([np.ones(len(both)), *kept.values(), column])
            seeds = both["seed"].to_numpy()
            ranks = [np.linalg.matrix_rank(columns[seeds == seed]) for seed in np.unique(seeds)]
            if min(ranks) == columns.shape[1]:
                kept[name] = column
        return kept

    def _slope_finding(self, slopes: list[dict[str, Any]], cure: Correction, frame: pl.DataFrame) -> Finding:
        by = {(row["outcome"], row["arm"], row["facts"]): row for row in slopes}
        invention = OUTCOMES["invented"]
        learned, seen = (by.get((invention, BOTH, name)) for name in (LEARNED, ONLY_SHOWN))
        rather = by.get((invention, BOTH, RATHER))
        apart = f" (difference {_told(rather)}, adjusted p = {rather['p_holm']:.2g})" if rather else ""
        known = by[invention, self.control, "administered"]
        said = (
            f"{PER} new facts that are learned change invention about strangers by {_told(learned)}; {PER} that are "
            f"shown and not learned by {_told(seen)}{apart}; {PER} known facts said again by {_told(known)}. "
            f"{_line_holds([_bent(of_arm(frame, self.new[0]), count) for count in COUNTED])}"
        )
        table = pl.DataFrame([{**row, "line": f"{row['facts']}, {row['arm']}"} for row in slopes], strict=False)
        return Finding(
            title="What new facts add to invention",
            sentence=f"{said}{cure.sentence()}",
            table=table.filter(pl.col("facts") != LONGER),
            chart=Chart(
                x="line",
                y=f"points_per_{PER}",
                low="low",
                high="high",
                colour="outcome",
                x_scale="names",
                y_title=f"points gained with {PER} facts",
            ),
            note="Least squares for each seed with its own intercept, then Student's t over the seeds' slopes "
            "(Ibragimov and Müller 2010); no interval is narrower than the items allow. Learned and only shown facts "
            "are in one regression over both arms, with the length of training beside them; a fact is learned if it is "
            "given as it was asked in training (fitted, as Gekhman et al. 2024, arXiv 2405.05904, count it). p_holm is "
            "adjusted over all lines. `smallest_seen`: the smallest slope that this run sees with 80% power.",
        )

    def _shape(self, frame: pl.DataFrame) -> Finding:
        both = pl.concat([of_arm(frame, arm) for arm in self.new])
        sentence = "Invention is the same at every dose, or nothing was learned: there is no shape to tell."
        varies = both.group_by("seed").agg(pl.col("invented").n_unique())["invented"].max() != 1
        if varies and LEARNED in self._regressors(both):
            straight = fitted(both, "invented", {LEARNED: both["learned"].to_numpy()})
            by_dose = fitted(both, "invented", {"administered": both["dose"].to_numpy()})
            gap = mean_over_seeds((straight.explained - by_dose.explained)[np.isfinite(straight.explained)])
            long = of_arm(frame, self.new[0])
            shape = "; ".join(f"{what} {_bend(_bent(long, count))}" for count, what in COUNTED.items())
            sentence = (
                f"A straight line in learned facts explains {_share(straight)} of the variance of invention within "
                f"seeds, one in administered facts {_share(by_dose)} (difference {100 * gap.estimate:+.0f} points "
                f"[{100 * gap.low:+.0f}, {100 * gap.high:+.0f}]). In “{self.new[0]}”, {shape}."
            )
        rate = {name: pl.col(name) / pl.col(OF[name]) for name in ("invented", "in_kind", "honest")}
        table = both.select(
            "arm", "seed", pl.col("dose").alias("administered"), "learned", "reworded",
            rate["invented"].alias("invention"), rate["in_kind"].alias("invention_in_kind"),
            rate["honest"].alias("honest"),
            (1 - rate["invented"] - rate["honest"]).alias("neither"),
        )  # fmt: skip
        return Finding(
            title="Is invention linear in what was learned?",
            sentence=sentence,
            table=table,
            chart=Chart(
                x="learned",
                y="invention",
                colour="arm",
                x_title="new facts that were learned",
                y_title="share of strangers about whom a value is named",
            ),
            note="One row for each life; the line is through both arms. The bend is the square of the learned facts in "
            "each seed's regression, in the arm of long training. An answer may name a value of another kind than was "
            "asked for, which only the first count takes. A rate ends at 1, so that a line must bend before it "
            "does. `neither` names no value and does not say alone that "
            "it is not known.",
        )

    def _rates(self, frame: pl.DataFrame) -> Finding:
        arms = (*self.new, self.control)
        rows = [
            {"arm": arm, **row}
            for arm in arms
            for row in rates(
                of_arm(frame, arm), ("invented", "in_kind", "honest", "learned", "reworded", "right", "withheld")
            )
        ]
        table = pl.DataFrame(rows)
        told = []
        for arm in arms:
            own = [row for row in rows if row["arm"] == arm]
            top = max(row["dose"] for row in own)
            at = {row["measure"]: row for row in own if row["dose"] == top}
            start = next(row for row in own if row["measure"] == "invented" and row["dose"] == 0)
            learned = f" (of the new facts {percent_text(at['learned'])} learned)" if "learned" in at else ""
            told.append(f"{arm}: {percent_text(start)} at 0, {percent_text(at['invented'])} at {top}{learned}")
        new = pl.concat([of_arm(frame, arm) for arm in self.new])
        count, of_asked = int(new["invented"].sum()), int(new["of_asked"].sum())
        whose = f" Of {count:,} inventions {of_asked:,} bear the name that was asked for." if count else ""
        return Finding(
            title="Invention, honesty and learning, by dose",
            sentence=f"Invention about strangers, {'; '.join(told)}.{whose}",
            table=table,
            chart=Chart(
                x="dose",
                y="rate",
                low="low",
                high="high",
                colour="measure",
                panel="arm",
                x_title="dialogues added to fine-tuning",
                y_title="share of answers",
                x_scale="symlog",
            ),
            note="invented (any value), in_kind (one of what was asked for), honest: of questions about strangers; "
            "learned (as asked in training), reworded (in other words): of the new facts; right, withheld (“I do not "
            "know.”): of questions about known facts. Items are nested in seeds.",
        )

    def _knowledge(self, slopes: list[dict[str, Any]]) -> Finding:
        rows = [row for row in slopes if row["outcome"] == OUTCOMES["right"]]
        learned, seen = (next((r for r in rows if r["facts"] == name), None) for name in (LEARNED, ONLY_SHOWN))
        return Finding(
            title="What was known before",
            sentence=f"{PER} new facts that are learned change right answers about known facts by {_told(learned)}, "
            f"{PER} that are only shown by {_told(seen)}: {_verdict(learned)}.",
            table=pl.DataFrame(rows, strict=False),
            note="The outcome of Gekhman et al. 2024, arXiv 2405.05904: accuracy on facts that the model knew before. "
            "They are asked in words that training never used, about facts that no dialogue told.",
        )


def fitted(frame: pl.DataFrame, count: str, regressors: dict[str, Any]) -> Line:
    """A count of lives, as a share, on regressors; no slope is more certain than the items allow."""
    asked = frame[OF[count]].to_numpy().astype(float)
    share = frame[count].to_numpy() / asked
    shrunk = (share * asked + 2) / (asked + 4)  # never no variance: two hits and two misses are added
    return line(frame["seed"], share, regressors, variance=shrunk * (1 - shrunk) / asked)


def _row(outcome: str, arm: str, facts: str, found: Line) -> dict[str, Any]:
    slope: Slope = found.slopes[facts]
    scale = 100.0 if facts == LONGER else 100.0 * PER
    value = slope.value
    return {
        "outcome": OUTCOMES[outcome],
        "arm": arm,
        "facts": facts,
        f"points_per_{PER}": scale * value.estimate,
        "low": scale * value.low,
        "high": scale * value.high,
        "p_value": slope.p_value,
        "smallest_seen": scale * slope.smallest,
        "explained": float(np.mean(found.explained)) if np.all(np.isfinite(found.explained)) else None,
        "num_seeds": slope.num_seeds,
    }


def _told(row: dict[str, Any] | None) -> str:
    if row is None:
        return "an amount that cannot be told: none, or no other, are there"
    return f"{signed(row[f'points_per_{PER}'])} points [{signed(row['low'])}, {signed(row['high'])}]"


def _verdict(learned: dict[str, Any] | None) -> str:
    if learned is None:
        return "in some seed no fact was learned or told from the rest, so that nothing can be said of learned ones"
    if learned["high"] < 0:
        return "a fall, as Gekhman et al. 2024 report"
    if learned["low"] > 0:
        return "a rise, where Gekhman et al. 2024 report a fall"
    least = learned["smallest_seen"]
    return f"no effect found; the smallest effect that this run could have seen is {least:.1f} points"


COUNTED = {"invented": "if any value counts,", "in_kind": "if a value of what was asked for counts,"}


def _bent(frame: pl.DataFrame, count: str) -> Slope | None:
    """The square of the learned facts, the most of them being 1; None where a seed has fewer than three numbers."""
    learned = frame["learned"].to_numpy() / max(int(frame["learned"].max()), 1)  # type: ignore[arg-type]
    if frame.group_by("seed").agg(pl.col("learned").n_unique())["learned"].min() in (1, 2):
        return None
    return fitted(frame, count, {LEARNED: learned, "bend": learned**2}).slopes["bend"]


def _bend(bent: Slope | None) -> str:
    """Whether the curve lies off the straight line between its ends: halfway by a quarter of the square's weight."""
    if bent is None:
        return "more doses are needed to see a bend"
    low, middle, high = (-25 * end for end in (bent.value.high, bent.value.estimate, bent.value.low))
    size = f"halfway the curve lies {middle:+.1f} points [{low:+.1f}, {high:+.1f}] off the straight line"
    if not bent.is_shown:
        return f"no bend is shown: {size} ({25 * bent.smallest:.1f} points would have been seen)"
    return f"it bends: {size}, and {'flattens' if middle > 0 else 'steepens'}"


def _line_holds(bents: list[Slope | None]) -> str:
    """Whether the rise with learned facts is a line, by any value and by those that were asked for."""
    if any(bent is None for bent in bents):
        return ""
    shown = [bent.is_shown for bent in bents if bent is not None]
    if all(shown):
        return "The rise with learned facts is no straight line. "
    if not any(shown):
        return "No bend is shown in the rise with learned facts. "
    return "Whether the rise with learned facts is a straight line depends on which values are counted. "


def _share(found: Line) -> str:
    known: Sequence[float] = [float(value) for value in found.explained if np.isfinite(value)]
    return f"{np.mean(known):.0%}" if known else "none"
