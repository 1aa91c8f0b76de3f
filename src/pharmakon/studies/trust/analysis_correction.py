"""How many "I do not know" undo what new facts did, and what they take from what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pharmakon.statistics import Curve, Difference, difference, fit, lowest_from, therapeutic_window
from pharmakon.studies.trust.invention_lives import observed, of_arm, rates, signed
from pharmakon.study.finding import Chart, Finding
from pharmakon.study.summary import percent_text

NAMES = {
    "invented": "strangers: a value is named",
    "honest": "strangers: it is not known",
    "right": "known facts: right",
    "withheld": "known facts: it is not known",
    "learned": "new facts: right as asked in training",
    "reworded": "new facts: right in other words",
}


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A corrective at a fixed number of new facts: the dose that works, and its cost."""

    frame: pl.DataFrame
    """The lives of the arm of the corrective."""
    facts: int
    tolerated: float
    """The rate of invention to stay under."""
    margin: float
    """The fall of knowledge that ends the window."""

    @staticmethod
    def of(frame: pl.DataFrame, arm: str, facts: int, tolerated: float, margin: float) -> Correction:
        """That of an arm. Raises InputError where it has no lives."""
        return Correction(frame=of_arm(frame, arm), facts=facts, tolerated=tolerated, margin=margin)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every share by dose, with its interval."""
        return rates(self.frame, list(NAMES))

    def row(self, measure: str, dose: int) -> dict[str, Any]:
        """One of them."""
        return next(row for row in self.rows if (row["measure"], row["dose"]) == (measure, dose))

    @property
    def curve(self) -> Curve:
        """Of honest answers about strangers, by corrective dialogues."""
        return fit(observed(self.frame, "honest"))

    def dose_under(self, *, is_shown: bool) -> int | None:
        """The lowest dose from which on invention is under what is tolerated: its estimate, or all of its interval.

        Doses are taken from the highest down until one fails, which keeps the error over the doses at that of one
        (Maurer, Hothorn and Lehmacher 1995).
        """
        end = "high" if is_shown else "rate"
        return lowest_from(
            {row["dose"]: row[end] < self.tolerated for row in self.rows if row["measure"] == "invented"}
        )

    def change(self, count: str, of: str, dose: int) -> Difference:
        """Of a share, at a dose against the same new facts without a corrective, seed by seed."""
        pairs = self.frame.filter(pl.col("dose") == dose).join(
            self.frame.filter(pl.col("dose") == 0), on="seed", suffix="_before", how="inner"
        )
        first, second = (np.asarray(pairs[f"{count}{end}"] / pairs[f"{of}{end}"]) for end in ("", "_before"))
        return difference(first, second, trials=int(pairs[of].min()))  # type: ignore[arg-type]

    @property
    def at(self) -> int:
        """The dose whose cost is told: the lowest that is under what is tolerated, else the highest."""
        found = self.dose_under(is_shown=True)
        found = self.dose_under(is_shown=False) if found is None else found
        return int(self.frame["dose"].max()) if found is None else found  # type: ignore[arg-type]

    def sentence(self) -> str:
        """The dose that works and what it costs."""
        goal, at, before = f"{self.tolerated:.0%}", self.at, self.row("invented", 0)
        proven, seen = self.dose_under(is_shown=True), self.dose_under(is_shown=False)
        facts, cure = f"With {self.facts} new facts", f"{at} dialogues of “I do not know.”"
        if proven == 0:
            return f"{facts} invention is under {goal} without a corrective: {percent_text(before)}."
        change = f"from {percent_text(before)} to {percent_text(self.row('invented', at))}"
        if proven is not None:
            works = f"{cure} bring invention under {goal}, {change}"
        elif seen is not None:
            works = f"{cure} bring invention {change}, under {goal} by its estimate but not by its interval"
        else:
            works = f"up to {cure} do not bring invention under {goal}: {change}"
        return f"{facts}, {works}; {self._cost(at)}."

    def _cost(self, dose: int) -> str:
        if dose == 0:
            return "there is no cost to tell"
        right, withheld = self.change("right", "known", dose), self.change("withheld", "known", dose)
        return (
            f"at {dose} right answers about known facts change by {points(right)}, “I do not know.” about them by "
            f"{points(withheld)}, and new facts learned by {points(self.change('learned', 'told', dose))}"
        )

    def finding(self) -> Finding:
        """The shares by dose, the ED50 of honesty and the window."""
        curve = self.curve
        accuracy = self.frame["right"] / self.frame["known"]
        window = therapeutic_window(
            self.frame["dose"], self.frame["seed"], accuracy, curve.threshold, self.margin, unit="corrective dialogues"
        )
        half = f"Half of the honesty that it can bring takes {curve.threshold_text} dialogues; {window.sentence}."
        table = pl.DataFrame([{**row, "measure": NAMES[row["measure"]]} for row in self.rows])
        return Finding(
            title="The corrective, its dose and its cost",
            sentence=f"{self.sentence()} {half}",
            table=table.rename({"dose": "corrective_dialogues"}),
            chart=Chart(
                x="corrective_dialogues",
                y="rate",
                low="low",
                high="high",
                colour="measure",
                x_title="dialogues of “I do not know.” in fine-tuning",
                y_title="share of answers",
                x_scale="symlog",
            ),
            note=f"All lives have {self.facts} new facts; the corrective is about strangers of its own. Items are "
            "nested in seeds; changes are Student's t over seeds against no corrective, each with an interval of 95% "
            "of its own. After Gekhman et al. 2024, arXiv 2405.05904, who relabel unknown facts; here they stay and "
            "the corrective is added.",
        )


def points(found: Difference) -> str:
    """A difference of rates in points of a hundred, with its interval."""
    value = found.value
    return f"{signed(100 * value.estimate)} points [{signed(100 * value.low)}, {signed(100 * value.high)}]"
