"""Curves, intervals, exact tests, power: numpy, scipy and statsmodels only.

`fit(Observations(...))` gives a `Curve`; everything else answers one question about rates of seeds at doses.
"""

from pharmakon.statistics.agreement import Agreement, agreement
from pharmakon.statistics.correlation import mean_correlation, seed_correlations
from pharmakon.statistics.crossed import CrossedMean, crossed_equivalence, crossed_mean, mean_of_rates
from pharmakon.statistics.crossing import Crossing, zero_crossing
from pharmakon.statistics.curve import Curve, Family, fit
from pharmakon.statistics.decay import Decay, decay, dose_reaching
from pharmakon.statistics.difference import Difference, difference, excess, independent
from pharmakon.statistics.direction import Direction, held_out_scores
from pharmakon.statistics.effect import Test, dose_effect, holm
from pharmakon.statistics.equivalence import Equivalence, equivalence
from pharmakon.statistics.exchange import (
    Exchange,
    Sequential,
    exchange_test,
    marks_needed,
    named_power,
    named_scores,
    pair_scores,
    rank_scores,
)
from pharmakon.statistics.intervals import (
    Interval,
    clopper_pearson,
    clustered_proportion,
    intraclass_correlation,
    mean_over_seeds,
    proportion,
)
from pharmakon.statistics.line import Line, Slope, line
from pharmakon.statistics.log_dose import Shapes, compare_shapes, log_slope
from pharmakon.statistics.loglogistic import LogLogistic
from pharmakon.statistics.observations import Observations
from pharmakon.statistics.power import smallest_detectable_rate
from pharmakon.statistics.ranking import Ranked, rank_documents
from pharmakon.statistics.ratio import ratio
from pharmakon.statistics.retention import Retention, Window, retention, therapeutic_window
from pharmakon.statistics.shapley import shapley
from pharmakon.statistics.solution import Status
from pharmakon.statistics.stepwise import lowest_from, raised_from
from pharmakon.statistics.threshold_law import Sized, ThresholdLaw, threshold_law
from pharmakon.statistics.tolerance import Tolerance

__all__ = [
    "Agreement",
    "CrossedMean",
    "Crossing",
    "Curve",
    "Decay",
    "Difference",
    "Direction",
    "Equivalence",
    "Exchange",
    "Family",
    "Interval",
    "Line",
    "LogLogistic",
    "Observations",
    "Ranked",
    "Retention",
    "Sequential",
    "Shapes",
    "Sized",
    "Slope",
    "Status",
    "Test",
    "ThresholdLaw",
    "Tolerance",
    "Window",
    "agreement",
    "clopper_pearson",
    "clustered_proportion",
    "compare_shapes",
    "crossed_equivalence",
    "crossed_mean",
    "decay",
    "difference",
    "dose_effect",
    "dose_reaching",
    "equivalence",
    "excess",
    "exchange_test",
    "fit",
    "held_out_scores",
    "holm",
    "independent",
    "intraclass_correlation",
    "line",
    "log_slope",
    "lowest_from",
    "marks_needed",
    "mean_correlation",
    "mean_of_rates",
    "mean_over_seeds",
    "named_power",
    "named_scores",
    "pair_scores",
    "proportion",
    "raised_from",
    "rank_documents",
    "rank_scores",
    "ratio",
    "retention",
    "seed_correlations",
    "shapley",
    "smallest_detectable_rate",
    "therapeutic_window",
    "threshold_law",
    "zero_crossing",
]
