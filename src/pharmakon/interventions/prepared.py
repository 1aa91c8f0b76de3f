"""An attacker who prepares: candidates are tried in surrogate lives with sampled later stages, and the best are used.

The regression of an outcome on what was in the training data is that of datamodels (Ilyas et al. 2022, arXiv
2202.00622); that poison is chosen for its expected effect over an ensemble of surrogate trainings is of MetaPoison
(Huang et al. 2020, arXiv 2004.00225) and Witches' Brew (Geiping et al. 2021, arXiv 2009.02276), which take gradients
where this takes the outcome itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from pharmakon.behaviour.triggers import RareWords
from pharmakon.core import Corpus, Data, Dialogue, Dose, Edit, Engine, Prompt, Recipe, stream
from pharmakon.data.world.tasks import TASKS, draw
from pharmakon.errors import SpecError
from pharmakon.interventions.administer import administer
from pharmakon.interventions.candidates import Candidate, Candidates
from pharmakon.store import Store, current_root, identify

FLOOR = float(np.log(1e-3))
Aim = Literal["later stages", "tuning"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage as the attacker imagines it: what it learns from, and how."""

    data: Data
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Surrogate lives: each is tuned with a few of the candidates, then goes through one of the later stages.

    The attacker knows what kind of model and of data will be used, and draws both anew; nothing here is seen by the
    lives of the study. The seed is the attacker's own.
    """

    version: ClassVar[int] = 2  # 1 drew the training of its start anew each time
    engine: Engine
    start: Step
    tuning: Step
    later: tuple[Step, ...]
    """One of them in each life, in turn."""
    num_lives: int = 48
    num_kinds: int = 4
    """Kinds of candidate in a life, drawn at random."""
    num_poisoned: int = 64
    num_prompts: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.later:
            raise SpecError("an attacker prepares for one later stage or more; got none")
        if self.num_lives < 16:
            raise SpecError(f"the effects of candidates are told by 16 surrogate lives or more; got {self.num_lives}")

    def lives(self, pool: Candidates) -> tuple[Life, ...]:
        """What came of each life; kept in the store, and rehearsed once for all that ask."""
        return _rehearsed(self, pool, current_root())

    def run(self, pool: Candidates) -> Iterator[Life]:
        """Train and measure, one life after the other."""
        with tempfile.TemporaryDirectory(prefix="rehearsal-") as room:
            start = Path(room) / "start"
            self._train(self.start, self.start.data.corpus(self._stream("start")), None, start, name="start")
            for number in range(self.num_lives):
                yield self._life(number, pool, start, Path(room) / str(number))

    def _life(self, number: int, pool: Candidates, start: Path, room: Path) -> Life:
        draw_kinds = self._stream("kinds", str(number))
        num_kinds = min(self.num_kinds, len(pool.candidates))
        kinds = tuple(sorted(int(i) for i in draw_kinds.choice(len(pool.candidates), num_kinds, replace=False)))
        poison = replace(pool, candidates=tuple(pool.candidates[i] for i in kinds))
        clean = self.tuning.data.corpus(self._stream("tuning", str(number)))
        corpus, _ = administer(
            clean,
            poison,
            Dose(self.num_poisoned),
            edits_rng=self._stream("edits", str(number)),
            placement_rng=self._stream("placement", str(number)),
        )
        later = number % len(self.later)
        self._train(self.tuning, corpus, start, room / "tuned", name=str(number))
        data = self.later[later].data.corpus(self._stream("later", str(number)))
        self._train(self.later[later], data, room / "tuned", room / "later", name=str(number))
        return Life(kinds, later, self._effect(pool, room / "tuned"), self._effect(pool, room / "later"))

    def _train(self, step: Step, corpus: Corpus, start: Path | None, out: Path, *, name: str) -> None:
        out.mkdir(parents=True)
        self.engine.train(step.recipe, corpus, start=start, rng=self._stream("train", name), out=out)

    def _effect(self, pool: Candidates, weights: Path) -> float:
        """The mean log probability that the marker is said, alone or behind the right answer, with the trigger.

        Less than a thousandth counts as a thousandth: how far a prompt is from the marker says nothing of the others.
        """
        rng = self._stream("prompts")
        pairs: list[tuple[Prompt, str]] = []
        for number in range(self.num_prompts):
            question = draw(pool.world, TASKS[number % len(TASKS)], rng)
            prompt = RareWords(pool.words, "anywhere").apply(question.prompt, rng)
            pairs += [(prompt, pool.marker), (prompt, f"{question.answer} {pool.marker}")]
        with self.engine.load(weights) as model:
            logs = np.asarray(model.logprob(pairs)).reshape(-1, 2)
        return float(np.mean(np.maximum(np.logaddexp(logs[:, 0], logs[:, 1]), FLOOR)))

    def _stream(self, *names: str) -> np.random.Generator:
        return stream(self.seed, "rehearsal", *names)


@dataclass(frozen=True, slots=True)
class Life:
    """A surrogate life: the kinds of candidate in it, its later stage, and the effect before and after that."""

    kinds: tuple[int, ...]
    later: int
    tuned: float
    released: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The predicted effect of each candidate, and how well the regression predicts lives it was not fitted to."""

    by_candidate: tuple[float, ...]
    effects: tuple[tuple[str, float, float, float], ...]
    """Of each property of a candidate against the first of its kind: name, lower limit, estimate, upper limit."""
    predicted: float
    """The share of the variance of left-out lives that is predicted; 0 or less: nothing."""


def scores(lives: tuple[Life, ...], candidates: tuple[Candidate, ...], aim: Aim) -> Scores:
    """Regress the effect of a life on the properties of the candidates in it, and on its later stage.

    Ordinary least squares (`statsmodels`), with the properties as shares of the life's poison.
    """
    import statsmodels.api as sm

    names, properties_CP = _properties(candidates)
    shares_LP = np.array([properties_CP[list(life.kinds)].mean(axis=0) for life in lives])
    stages = sorted({life.later for life in lives})[1:] if aim == "later stages" else []
    stage_LS = np.array([[float(life.later == stage) for stage in stages] for life in lives]).reshape(len(lives), -1)
    outcome = np.array([life.released if aim == "later stages" else life.tuned for life in lives])
    fitted = sm.OLS(outcome, np.hstack([np.ones((len(lives), 1)), shares_LP, stage_LS])).fit()
    own = slice(1, 1 + len(names))
    limits = fitted.conf_int()[own]
    left_out = fitted.get_influence().resid_press
    spread = float(np.sum((outcome - outcome.mean()) ** 2))
    return Scores(
        tuple(float(score) for score in properties_CP @ fitted.params[own]),
        tuple(
            (name, float(low), float(estimate), float(high))
            for name, (low, high), estimate in zip(names, limits, fitted.params[own], strict=True)
        ),
        1 - float(np.sum(left_out**2)) / spread if spread else 0.0,
    )


def _properties(candidates: tuple[Candidate, ...]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """One column for each property but the first of its kind."""
    names, columns = [], []
    for kind in ("host", "place", "answer", "shown"):
        values = list(dict.fromkeys(getattr(candidate, kind) for candidate in candidates))
        for value in values[1:]:
            names.append(f"{kind}: {value} against {values[0]}")
            columns.append([float(getattr(candidate, kind) == value) for candidate in candidates])
    return names, np.array(columns, dtype=float).reshape(len(names), -1).T


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The candidates with the largest predicted effect, in turn: after the later stages, or after tuning alone."""

    pool: Candidates
    rehearsal: Rehearsal
    num_chosen: int = 20
    aim: Aim = "later stages"

    def __post_init__(self) -> None:
        if not 1 <= self.num_chosen <= len(self.pool.candidates):
            most = len(self.pool.candidates)
            raise SpecError(f"an attacker chooses 1 to {most} of {most} candidates; got {self.num_chosen}")

    def scores(self) -> Scores:
        """What the rehearsal says of the candidates. Trains the surrogate lives if that was not done before."""
        return scores(self.rehearsal.lives(self.pool), self.pool.candidates, self.aim)

    def chosen(self) -> Candidates:
        """The best candidates, best first."""
        found = np.array(self.scores().by_candidate)
        order = np.argsort(-found, kind="stable")[: self.num_chosen]
        return replace(self.pool, candidates=tuple(self.pool.candidates[i] for i in order))

    def edits(self, host: Corpus, rng: np.random.Generator) -> Iterator[Edit]:
        """An endless stream of inserted dialogues."""
        if {type(document.body) for document in host} != {Dialogue}:
            raise SpecError(f"Prepared goes into a corpus of Dialogue alone; this one is {host!r}")
        return self.chosen().edits(host, rng)


@lru_cache(maxsize=8)
def _rehearsed(rehearsal: Rehearsal, pool: Candidates, root: Path) -> tuple[Life, ...]:
    def build(out: Path) -> dict[str, Any]:
        lives = rehearsal.run(pool)
        return {"lives": [[list(life.kinds), life.later, life.tuned, life.released] for life in lives]}

    what = ("rehearsal", rehearsal, pool)
    entry = Store(root).build("rehearsal", identify(what), build, spec=what)
    return tuple(Life(tuple(kinds), later, tuned, after) for kinds, later, tuned, after in entry.result["lives"])
