"""The command line: parse, call one function, print."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Group, Parameter

from pharmakon import __version__
from pharmakon.errors import InputError, PharmakonError, RunError

if TYPE_CHECKING:
    from pharmakon.catalogue import FoundStudy
    from pharmakon.study import Plan, Study
    from pharmakon.study.results import Results
    from pharmakon.study.simulation import Simulation

HELP = """Give training data a measured dose of an intervention, and measure the response of the model.

pharmakon run sft-backdoor            a whole study, on this machine, in minutes
pharmakon run sft-backdoor --help     its options
pharmakon list                        what there is
pharmakon doctor                      what is installed, and what this machine can do
"""

app = App(
    name="pharmakon",
    help=HELP,
    version=__version__,
    version_flags=["--version"],
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
HELP_FLAGS = ("--help", "-h")
COMMANDS: dict[str, str] = {
    "doctor": "Say what is installed, what this machine can do, what is cached, and what brings what is missing.",
    "assets": "List, fetch, find or remove the data and models of others that studies name.",
    "export": "Write the results of a run, one of its models, or its questions, for other tools.",
    "mark": "Mark a data set with a secret key, so that its use can be proved later.",
    "manifest": "Record what the records of a data set are; check a data set against it.",
    "verify": "Say with a p-value whether a model was trained on a data set that you have marked.",
}
"""Name -> what it does. Each is `app` of a module of that name in `commands`, imported when it is called."""
for _name, _about in COMMANDS.items():
    app.command(f"pharmakon.commands.{_name}:app", name=_name, help=_about)
Word = Annotated[str, Parameter(allow_leading_hyphen=True)]
RUNNING = Group("How it runs (no part of a result)")


@dataclass(frozen=True)
class Where:
    """Where results live and how many processes work: never part of a result's identity."""

    workers: int
    store: Path
    out: Path


def main() -> None:
    """Run the command line: answers are exit code 0, sentences about bad input 2, an interrupt 130."""
    try:
        sys.exit(answer(sys.argv[1:]))
    except KeyboardInterrupt:
        _say("Stopped. Finished cells are kept; run the same command again to go on.")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def answer(tokens: Sequence[str]) -> int:
    """Do what the words say; the exit code: 0, unless the command gives another as its answer."""
    from cyclopts import CycloptsError

    try:
        code = app(list(tokens), exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _say(f"{str(error).strip().splitlines()[0]} See --help.")
        return 2
    except PharmakonError as error:
        _say(str(error))
        return 2
    except ImportError as error:
        from pharmakon.extras import way_out

        if (sentence := way_out(error)) is None:
            raise
        _say(sentence)
        return 2
    except BrokenPipeError:  # whoever read the output has read enough
        raise
    except OSError as error:
        _say(f"{error.strerror or error}: {error.filename or 'a file'}")
        return 2
    return code if isinstance(code, int) else 0


def _say(sentence: str) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False).print(f"pharmakon: {sentence}", markup=False, soft_wrap=True)


@app.command(help_flags=[])
def run(study: Word, /, *words: Word) -> None:
    """Run a study: pharmakon run sft-backdoor --doses 0,8,16 --seeds 5. Its own options: pharmakon run STUDY --help

    Parameters
    ----------
    study
        A name from `pharmakon list`, or path/to/file.py:function for a study of your own.
    words
        Options of the study and of the run.
    """
    _with_study("run", study, words, _run)


@app.command(help_flags=[])
def plan(study: Word, /, *words: Word) -> None:
    """Print the cells of a study, what is cached, and about how long the rest takes. Nothing is built.

    Parameters
    ----------
    study
        A name from `pharmakon list`, or path/to/file.py:function for a study of your own.
    words
        Options of the study and of the run.
    """
    _with_study("plan", study, words, _plan)


@app.command(name="list")
def list_() -> None:
    """List studies, interventions, filters, probes, scorers and engines, with those that other packages bring."""
    from rich.console import Console
    from rich.table import Table

    from pharmakon.catalogue import KINDS, parts

    console = Console()
    for kind in KINDS:
        table = Table(
            box=None, show_header=False, padding=(0, 2, 0, 0), title=kind, title_justify="left", title_style="bold"
        )
        table.add_column(no_wrap=True, style="cyan")
        table.add_column()
        for part in parts(kind):
            table.add_row(part.name, part.about)
        console.print(table)
        console.print()


@app.command
def report(run: Path, *, out: Path | None = None) -> None:
    """Rebuild the page of a run.

    Parameters
    ----------
    run
        The folder of a run, as `pharmakon run` printed it.
    out
        Where to write the page; by default report.html in that folder.
    """
    from rich.console import Console

    from pharmakon.report import write_report
    from pharmakon.study.results import Results
    from pharmakon.study.simulation import RECORD, Simulated

    made = Simulated.load(run) if (run / RECORD).is_file() else Results.load(run)
    path = write_report(made, out or run / "report.html")
    Console().print(f"Report: {path}", markup=False, soft_wrap=True)


def _with_study(
    verb: str, name: str, words: Sequence[str], act: Callable[[FoundStudy, Study | Simulation, Where, str], None]
) -> None:
    """Call `act` with the study that the words describe: the function's signature is its command line."""
    if name in HELP_FLAGS:
        app.help_print([verb])
        return
    from pharmakon.catalogue import find_study
    from pharmakon.store import default_root
    from pharmakon.study import Study
    from pharmakon.study.simulation import Simulation

    found = find_study(name)
    command = " ".join((f"pharmakon run {name}", *words))

    cores, here = os.cpu_count() or 1, Path("runs")

    def call(workers: int = cores, store: Path | None = None, out: Path = here, **options: Any) -> None:
        made = found.function(**options)
        if not isinstance(made, Study | Simulation):
            raise InputError(f"{name} returns a Study or a Simulation; it returned a {type(made).__name__}")
        act(found, made, Where(workers, store or default_root(), out), command)

    own = _typed(found.function)
    where = [
        _option("workers", int, cores, "Worker processes, one thread each; 0 works in this process."),
        _option("store", Path | None, None, "Where finished cells are kept; by default the user's cache folder."),
        _option("out", Path, here, "Where the folder of this run goes."),
    ]
    if taken := {parameter.name for parameter in own} & {parameter.name for parameter in where}:
        raise InputError(
            f"{name} has a parameter {min(taken)!r}, which is an option of every run; give it another name"
        )
    call.__signature__ = inspect.Signature([*own, *where])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *where)}
    call.__doc__ = inspect.getdoc(found.function)
    study_app = App(
        name=f"pharmakon {verb} {name}", help_format="markdown", version_flags=[], suppress_keyboard_interrupt=False
    )
    study_app.default(call)
    study_app(list(words), exit_on_error=False, print_error=False, result_action="return_value")


def _typed(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a study as options, with doses read from a word."""
    from typing import get_type_hints

    from pharmakon.study import Doses

    hints = get_type_hints(function, include_extras=True)
    typed = []
    for parameter in inspect.signature(function).parameters.values():
        kind = hints.get(parameter.name, str)
        if kind in (Doses, Doses | None):
            shown = _shown if parameter.default else False
            kind = Annotated[kind, Parameter(converter=_doses, n_tokens=1, negative=(), show_default=shown)]
        elif kind in (int, int | None):
            kind = Annotated[kind, Parameter(converter=_whole)]
        typed.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))
    return typed


def _doses(kind: object, tokens: Sequence[Any]) -> Any:
    from pharmakon.study import parse_doses

    return parse_doses([token.value for token in tokens])


def _whole(kind: object, tokens: Sequence[Any]) -> int:
    """Not as the library does, which rounds 2.5 to 2."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"a whole number is needed, got {tokens[0].value!r}.") from None


def _shown(doses: Any) -> str:
    return ",".join(f"{100 * d.amount:g}%" if d.unit == "fraction" else f"{d.amount:g}" for d in doses)


def _option(name: str, kind: Any, default: object, about: str) -> inspect.Parameter:
    annotation = Annotated[kind, Parameter(help=about, group=RUNNING)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _plan(found: FoundStudy, study: Study | Simulation, where: Where, command: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from pharmakon.store import Store
    from pharmakon.study import plan as look
    from pharmakon.study.simulation import Simulation

    if isinstance(study, Simulation):
        Console().print(
            f"{study.name}: {study.question}\nNothing is trained, so that there is nothing to plan: run it."
        )
        return
    planned = look(study, Store(where.store, report=_say))
    console = Console()
    console.print(f"{study.name}: {study.question}", markup=False)
    table = Table("arm", "dose", "seeds", "cached", box=None, padding=(0, 2, 0, 0))
    for arm in study.arms:
        for dose in sorted(study.doses_of(arm), key=lambda dose: dose.amount):
            cells = [cell for cell in planned.cells if cell.arm is arm and cell.dose == dose]
            table.add_row(arm.name, f"{dose.amount:g}", str(len(cells)), str(sum(cell.cached for cell in cells)))
    console.print(table)
    console.print(_estimate(planned, where.workers), markup=False, soft_wrap=True)


def _estimate(planned: Plan, workers: int) -> str:
    total, missing = planned.num_unique, len(planned.missing)
    text = f"{len(planned.cells)} cells, {total} different lives; {total - missing} cached, {missing} to build"
    seconds = planned.seconds(workers)
    if not missing:
        return f"{text}: nothing to do."
    if seconds is None:
        return f"{text}; no estimate of the time, since nothing like it was built here before."
    return f"{text}: roughly {_time(seconds)} with {max(1, workers)} workers."


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _simulate(simulation: Simulation, where: Where, command: str) -> None:
    """Do a simulation: it takes seconds, so that it is done anew each time."""
    from rich.console import Console

    from pharmakon.report import print_simulated, write_report
    from pharmakon.study.simulation import simulate

    console = Console()
    console.print(f"[bold]{simulation.name}[/bold]  {simulation.question}", highlight=False)
    with console.status("simulating"):
        made = simulate(simulation, command=command)
    folder = made.save(where.out / f"{simulation.name}-{simulation.key[:8]}")
    page = write_report(made, folder / "report.html")
    print_simulated(made, console)
    console.print(f"\nRun: {folder}\nReport: {page}", markup=False, highlight=False, soft_wrap=True)


def _run(found: FoundStudy, study: Study | Simulation, where: Where, command: str) -> None:
    from pharmakon.study.simulation import Simulation

    if isinstance(study, Simulation):
        _simulate(study, where, command)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from pharmakon.store import Store
    from pharmakon.study import Pool, Progress, build
    from pharmakon.study import plan as look
    from pharmakon.study.gather import gather

    console = Console()
    store = Store(where.store, report=_say)
    planned = look(study, store)
    console.print(f"[bold]{study.name}[/bold]  {study.question}", highlight=False)
    console.print(_estimate(planned, where.workers), markup=False, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[cached]} cached"),
        TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    last = Progress(0, 0, 0, 0, 0.0)
    with Bar(*columns, console=console, transient=True) as bar:
        guess = planned.seconds(where.workers)
        task = bar.add_task("shared stages", total=planned.num_unique, cached=0, left="")

        def show(progress: Progress) -> None:
            nonlocal last
            last = progress
            waiting = progress.num_cells - progress.num_done
            left = guess - progress.seconds if guess else 0.0
            if progress.num_built > 1 and started:
                left = waiting * (progress.seconds - started[0]) / progress.num_built
            if progress.now == "shared stages":
                started.append(progress.seconds)
            text = f"about {_time(max(0.0, left))} left" if waiting and left > 0 else ""
            bar.update(
                task,
                description=progress.now or "shared stages",
                completed=progress.num_done,
                cached=progress.num_cached,
                left=text,
            )

        started: list[float] = []
        failures = build(planned, store, Pool(where.workers), on_progress=show, study_file=found.file)
    results = gather(planned, store, failures, seconds=last.seconds, command=command)
    from pharmakon.report import print_results, write_report

    folder = where.out / f"{study.name}-{results.run.key[:8]}"
    page = folder / "report.html"
    if planned.missing or not page.is_file() or not _is_of(folder, results):
        results.save(folder)
        write_report(results, page)
    print_results(results, console)
    console.print(f"\nRun: {folder}\nReport: {page}", markup=False, highlight=False, soft_wrap=True)
    if failures:
        raise RunError(f"{len(failures)} cells failed, the first: {failures[0].reason}")


def _is_of(folder: Path, results: Results) -> bool:
    """The saved run tells of the same failures, versions and findings, and where its models are."""
    from pharmakon.study.finding import FINDINGS, write_findings

    try:
        saved = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        found = (folder / FINDINGS).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    now = json.loads(json.dumps(results.run.to_record()))
    same = all(saved.get(name) == now[name] for name in ("failures", "versions", "lives"))
    return same and found == write_findings(results.findings)


if __name__ == "__main__":
    main()
