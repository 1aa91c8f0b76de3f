"""Studies: arms x doses x seeds, planned, run and gathered."""

from pharmakon.study.options import Doses, first_seeds, in_documents, in_fractions, parse_doses
from pharmakon.study.plan import Plan, plan
from pharmakon.study.run import Pool, Progress, build
from pharmakon.study.spec import Arm, Context, FewShot, Plain, Stage, Study, Treatment

__all__ = [
    "Arm", "Context", "Doses", "FewShot", "Plain", "Plan", "Pool", "Progress", "Stage", "Study", "Treatment", "build",
    "first_seeds", "in_documents", "in_fractions", "parse_doses", "plan",
]  # fmt: skip
