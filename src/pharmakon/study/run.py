"""Run a study: build the cells that are missing, side by side, and gather the results."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pharmakon.core import Dialogue, Dose, stream
from pharmakon.errors import InputError, PharmakonError, RunError, SpecError
from pharmakon.extras import EXTRAS, need
from pharmakon.store import Key, Store, identify
from pharmakon.study.ask import placed
from pharmakon.study.build import build_cell, shared_stages, train
from pharmakon.study.inside import check_inside
from pharmakon.study.plan import Plan, Planned
from pharmakon.study.prepare import prepare, prepared
from pharmakon.study.spec import Cell

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Pool:
    """How many worker processes, one thread each; 0 works in this process. Never part of a result's identity."""

    workers: int = 0

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise InputError(f"the number of workers is 0 (this process) or more; got {self.workers}")


@dataclass(frozen=True, slots=True)
class Progress:
    """What has happened so far. `now` says what was just finished."""

    num_cells: int
    num_cached: int
    num_built: int
    num_failed: int
    seconds: float
    now: str = ""

    @property
    def num_done(self) -> int:
        """Cells that need no more work."""
        return self.num_cached + self.num_built + self.num_failed


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that could not be built, and why. The other cells go on."""

    arm: str
    dose: float
    seed: int
    reason: str


def build(
    plan: Plan,
    store: Store,
    pool: Pool = Pool(),
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    study_file: Path | None = None,
) -> tuple[Failure, ...]:
    """Build every missing cell of a plan; `study_file` is the user's own file that the specifications come from.

    The stages that all cells share come first; meanwhile the other workers prepare corpora. A failed cell is
    reported and the others go on; errors of input or specification end the run, finished cells stay in the store.
    """
    begun = time.monotonic()
    missing = plan.missing
    failures: list[Failure] = []
    built = 0
    num_cached = plan.num_unique - len(missing)

    def tell(now: str = "") -> None:
        seconds = time.monotonic() - begun
        on_progress(Progress(plan.num_unique, num_cached, built, len(failures), seconds, now))

    tell()
    if not missing:
        return ()
    _check(plan, missing, store)
    with _executor(pool, study_file) as executor:
        starts = [executor.submit(_build_start, store.root, cell) for cell in _one_for_each_start(missing)]
        others = missing if pool.workers else ()
        for planned in others:  # what fails here fails again when the cell is built, and is told then
            executor.submit(_prepare_ahead, store.root, planned.cell)
        _finish(starts, what="the stages that all cells share")
        tell("shared stages")
        running: dict[Future[Any], Planned] = {}
        waiting = deque(missing)
        while waiting or running:
            while waiting and (pool.workers or not running):  # in this process one by one, told of and stopped at once
                planned = waiting.popleft()
                running[executor.submit(_build_one, store.root, planned.cell)] = planned
            for done in _finished(running):
                planned = running.pop(done)
                reason = done.result()
                if reason is None:
                    built += 1
                else:
                    failures.append(Failure(planned.arm.name, planned.dose.amount, planned.seed, reason))
                tell(f"{planned.arm.name}, dose {planned.dose.amount:g}, seed {planned.seed}")
    return tuple(failures)


def _check(plan: Plan, missing: Sequence[Planned], store: Store) -> None:
    """Before anything is trained: what is not there or not to be seen, doses too large or alike, empty contexts."""
    if (extra := getattr(plan.study.engine, "extra", "")) in EXTRAS:
        need(extra)
    for largest in _largest_of_each_arm(missing):
        cell, doses = largest.cell, plan.study.doses_of(largest.arm)
        check_inside(cell.engine, cell.probes)
        for stage in cell.stages:
            if stage.shared:
                continue
            num_host = prepare(prepared(cell, stage), store).result["num_host"]
            if any(given.treatment.stage == stage.name for given in cell.treatments):
                _check_doses(doses, num_host)
        for around in cell.contexts:
            it = placed(cell, around, store)
            if it.corpus is not None and any(given.treatment.stage == around.name for given in cell.treatments):
                _check_doses(doses, it.corpus.result["num_host"])
            rng = stream(cell.seed, "context", around.name)
            check = getattr(it.context, "check", None)  # of a context that takes long to show a prompt
            if check is None:
                it.context.around([Dialogue.ask("?")], rng)
            else:
                check(rng)


def _check_doses(doses: Sequence[Dose], num_host: int) -> None:
    """Two shares of a small corpus can be the same number of documents: they would count twice."""
    counts: dict[int, float] = {}
    for dose in doses:
        count = dose.num_edits(num_host)
        if count in counts:
            both = f"{counts[count]:g} and {dose.amount:g}"
            way_out = "Leave one out, or give a larger corpus"
            raise SpecError(
                f"doses are different numbers of documents; {both} are both {count} of {num_host}. {way_out}"
            )
        counts[count] = dose.amount


def _largest_of_each_arm(missing: Sequence[Planned]) -> list[Planned]:
    largest: dict[str, Planned] = {}
    for planned in missing:
        if planned.dose.amount >= largest.setdefault(planned.arm.name, planned).dose.amount:
            largest[planned.arm.name] = planned
    return list(largest.values())


def _one_for_each_start(missing: Sequence[Planned]) -> list[Cell]:
    starts: dict[Key, Cell] = {}
    for planned in missing:
        shared = shared_stages(planned.cell)
        if shared:
            starts.setdefault(identify((planned.cell.engine, shared)), planned.cell)
    return list(starts.values())


def _finish(futures: Sequence[Future[str | None]], what: str) -> None:
    running = set(futures)
    while running:
        for done in _finished(running):
            running.remove(done)
            reason = done.result()
            if reason is not None:
                raise RunError(f"{what} could not be built: {reason}")


def _finished(running: Iterable[Future[Any]]) -> set[Future[Any]]:
    """Waits until one or more are done."""
    while True:
        # With a time limit, for polars replaces the handler of SIGINT: a wait without one does not hear Ctrl-C.
        done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        if done:
            return done


@contextmanager
def _executor(pool: Pool, study_file: Path | None) -> Iterator[Executor]:
    if not pool.workers:
        yield _Here()
        return
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # read by the libraries of the workers when they start
    executor = ProcessPoolExecutor(
        pool.workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(study_file,)
    )
    try:
        yield executor
    except BaseException as error:
        # Neither Ctrl-C nor an error waits for the cells that are being built: the store takes a kill at any moment.
        for process in list((executor._processes or {}).values()):
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            way_out = "Finished cells are kept; run again to go on, with fewer --workers if memory is short"
            raise RunError(f"a worker process was ended from outside (out of memory?). {way_out}") from error
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Here(Executor):
    """Runs each task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _start_worker(study_file: Path | None) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    if study_file is not None:
        load_file(study_file)


def load_file(path: Path) -> Any:
    """The module of a user's Python file, under a name that the workers give it too."""
    name = path.stem
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"a study file is a Python file; got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _note(sentence: str) -> None:
    print(f"pharmakon: {sentence}", file=sys.stderr)


def _task(work: Callable[[], object]) -> str | None:
    """Do the work; the reason if it failed for a reason of its own."""
    try:
        work()
    except RunError as error:
        return str(error)
    except MemoryError:
        return "out of memory; use fewer --workers, a smaller batch or a smaller model"
    except (PharmakonError, OSError):
        raise
    except Exception as error:  # a fault of somebody's intervention, probe or engine: named with its place
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"
    return None


def _build_start(root: Path, cell: Cell) -> str | None:
    store = Store(root, report=_note)
    return _task(lambda: list(train(cell, shared_stages(cell), store)))


def _prepare_all(root: Path, cell: Cell) -> None:
    store = Store(root, report=_note)
    for stage in cell.stages:
        if not stage.shared:
            prepare(prepared(cell, stage), store)
    for context in cell.contexts:
        placed(cell, context, store)


def _prepare_ahead(root: Path, cell: Cell) -> str | None:
    return _task(lambda: _prepare_all(root, cell))


def _build_one(root: Path, cell: Cell) -> str | None:
    store = Store(root, report=_note)
    return _task(lambda: build_cell(cell, store))
