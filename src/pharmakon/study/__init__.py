"""Studies: arms x doses x seeds, planned, run and gathered."""

from pharmakon.study.finding import Analysis, Chart, Finding
from pharmakon.study.options import Doses, first_seeds, in_documents, in_fractions, parse_doses
from pharmakon.study.plan import Plan, plan
from pharmakon.study.run import Pool, Progress, build
from pharmakon.study.simulation import Simulation, Trial
from pharmakon.study.spec import Arm, Context, FewShot, Plain, Stage, Study, Treatment

__all__ = [
    "Analysis", "Arm", "Chart", "Context", "Doses", "FewShot", "Finding", "Plain", "Plan", "Pool", "Progress",
    "Simulation", "Stage", "Study", "Treatment", "Trial", "build", "first_seeds", "in_documents", "in_fractions",
    "parse_doses", "plan",
]  # fmt: skip
