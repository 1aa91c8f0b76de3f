"""`pharmakon doctor`: what is installed, what this machine can do, what is cached; for what is missing, the way out."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from pharmakon import __version__
from pharmakon.extras import EXTRAS, install, missing

if TYPE_CHECKING:
    from rich.console import Console

app = App(name="doctor", help_format="plaintext", version_flags=[], suppress_keyboard_interrupt=False)
SECRETS = ("PHARMAKON_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "HTTPS_PROXY", "PIP_INDEX_URL")
"""Variables that may hold a key or a password: only whether they are set is told."""
MAX_SECONDS = 120
"""For torch to start and be measured."""
Facts = dict[str, Any]


@app.default
def doctor(*, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> None:
    """Say what is installed, what this machine can do, what is cached, and the way out where a thing is missing.

    Nothing is changed, fetched or sent.

    Parameters
    ----------
    as_json
        The same as JSON, for a report of a bug: without keys, and with ~ for your home folder.
    """
    from rich.console import Console

    with Console(stderr=True).status("looking at this machine"):
        facts = without_home(examine())
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        show(facts, Console(highlight=False))


def examine() -> Facts:
    """All that is known, as JSON can hold it. A missing thing has a `way_out`."""
    from pharmakon.store import default_root

    root = default_root()
    return {
        "pharmakon": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "features": [*features()],
        "machine": machine(root),
        "store": store(root),
        "assets": [*assets()],
        "tools": [*tools()],
        "environment": {name: "set" if os.environ.get(name) else "not set" for name in SECRETS},
    }


def features() -> Iterator[Facts]:
    """What each extra is for, with the versions of the libraries that it names."""
    yield _feature("", "studies on the ngram engine, cleaning, statistics, the HTML report", ())
    for extra, it in EXTRAS.items():
        if extra != "dev":
            yield _feature(extra, it.feature, missing(extra))


def _feature(extra: str, feature: str, absent: Sequence[str]) -> Facts:
    libraries = _libraries(extra)
    lost = [name for name, (found, _) in libraries.items() if not found]
    names = {name.replace("-", "_").lower() for name in lost}
    lost += [module for module in absent if module not in names]
    wrong = [f"{name} {found}, not {wanted}" for name, (found, wanted) in libraries.items() if found and wanted]
    facts: Facts = {
        "feature": feature,
        "extra": extra,
        "installed": not lost and not wrong,
        "libraries": {name: found for name, (found, _) in libraries.items()},
        "missing": lost,
        "wrong_version": wrong,
    }
    return facts if facts["installed"] else {**facts, "way_out": install(extra) if extra else "pip install pharmakon"}


def _libraries(extra: str) -> dict[str, tuple[str | None, str]]:
    """Name -> (its version if installed, the versions that are needed if this is not one), from the metadata."""
    from packaging.requirements import Requirement

    try:
        lines = requires("pharmakon") or []
    except PackageNotFoundError:  # run from a folder that was never installed
        return {}
    found: dict[str, tuple[str | None, str]] = {}
    for wanted in map(Requirement, lines):
        marker = str(wanted.marker or "")
        if ("extra ==" in marker) != bool(extra) or (wanted.marker and not wanted.marker.evaluate({"extra": extra})):
            continue
        if wanted.name == "pharmakon":
            for other in sorted(wanted.extras):
                found.update(_libraries(other))
            continue
        try:
            have = version(wanted.name)
        except PackageNotFoundError:
            found[wanted.name] = (None, "")
            continue
        fits = wanted.specifier.contains(have, prereleases=True)
        found[wanted.name] = (have, "" if fits else str(wanted.specifier))
    return found


def machine(root: Path) -> Facts:
    """Cores, memory and disk; with torch the speed of its arithmetic and the graphics processors."""
    disk = shutil.disk_usage(_nearest(root))
    facts: Facts = {
        "cores": os.cpu_count(),
        "cores_usable": usable_cores(),
        "memory_gb": _gb(memory()),
        "disk_free_gb": _gb(disk.free),
    }
    return {**facts, **_torch(facts["cores_usable"])}


def _torch(threads: int) -> Facts:
    """What `engines.torch.machine` says, from a process of its own."""
    if "torch" in missing("torch"):
        return {"torch": None, "not_measured": "torch is not installed", "way_out": install("torch")}
    command = [sys.executable, "-P", "-m", "pharmakon.engines.torch.machine", str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_SECONDS, check=False)
        if done.returncode == 0:
            return {"torch": json.loads(done.stdout)}
        last = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        last = f"not done after {MAX_SECONDS} s"
    except (OSError, ValueError) as error:
        last = str(error)
    way_out = "pip install --force-reinstall torch"
    return {"torch": None, "not_measured": f"torch is installed and does not work: {last}", "way_out": way_out}


def usable_cores() -> int:
    """The cores that this process may use: those it is bound to, and no more than a container grants."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _line("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def memory() -> int | None:
    """Bytes of memory, no more than a container grants; None where the system does not say."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    limit = _line("/sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def store(root: Path) -> Facts:
    """Where finished cells and assets are kept, and how much they take."""
    nearest = next(place for place in (root, *root.parents, Path()) if place.exists())
    facts: Facts = {
        "path": str(root),
        "from": "PHARMAKON_HOME" if os.environ.get("PHARMAKON_HOME") else "the user's cache folder",
        "size_mb": round(_size(root) / 1e6, 1),
        "writable": nearest.is_dir() and os.access(nearest, os.W_OK),
    }
    return facts if facts["writable"] else {**facts, "way_out": "set PHARMAKON_HOME to a folder that you may write to"}


def assets() -> Iterator[Facts]:
    """The named models and data of others, and whether each is in the cache. Their content is not checked here."""
    from pharmakon.data.assets import ASSETS, assets_root

    root = assets_root()
    there = {place.name for place in root.iterdir() if place.is_dir()} if root.is_dir() else set()
    for name, asset in ASSETS.items():
        places = [root / place for place in there if re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{8,}}", place)]
        cached = any(not file.name.startswith(".") for place in places for file in place.iterdir())
        yield {"name": name, "cached": cached, "about": str(getattr(asset, "about", ""))}


def tools() -> Iterator[Facts]:
    """The programs that fetch assets."""
    from pharmakon.extras import is_there

    pip = {"name": "pip", "installed": is_there("pip"), "feature": "fetching assets from PyPI"}
    yield pip if pip["installed"] else {**pip, "way_out": "python -m ensurepip"}
    npm = {"name": "npm", "installed": shutil.which("npm") is not None, "feature": "fetching assets from npm"}
    yield npm if npm["installed"] else {**npm, "way_out": "install Node.js, which brings it"}


def without_home(value: Any) -> Any:
    """The same with ~ for the user's home folder, in every text."""
    if isinstance(value, dict):
        return {key: without_home(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_home(inner) for inner in value]
    home = os.path.expanduser("~").rstrip("/\\")
    return re.sub(rf"(?<![\w.-]){re.escape(home)}(?![\w-])", "~", value) if isinstance(value, str) and home else value


def show(facts: Facts, console: Console) -> None:
    """Print the facts, a section each."""
    from rich.table import Table
    from rich.text import Text

    def section(title: str, rows: list[tuple[str, str, str]]) -> None:
        table = Table(
            box=None, show_header=False, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold"
        )
        table.add_column(style="cyan")
        table.add_column(min_width=7)
        table.add_column()
        for name, state, about in rows:
            style = {"yes": "green", "missing": "yellow"}.get(state, "")
            table.add_row(Text(name), Text(state, style=style), Text(about))
        console.print(table)
        console.print()

    console.print(
        f"Pharmakon {facts['pharmakon']}, Python {facts['python']}, {facts['system']}", markup=False, soft_wrap=True
    )
    console.print()
    section(
        "Features", [(it["extra"] or "core", _state(it["installed"]), _told(it)) for it in _once(facts["features"])]
    )
    section("This machine", [*_machine_rows(facts["machine"])])
    kept = facts["store"]
    way_out = "" if kept["writable"] else f". It cannot be written: {kept['way_out']}"
    size = f"{kept['size_mb']:,.1f} MB"
    section("Store", [("place", _state(kept["writable"]), f"{kept['path']} ({kept['from']}), {size}{way_out}")])
    section("Assets", [(it["name"], "cached" if it["cached"] else "–", it["about"]) for it in facts["assets"]])
    section("Programs", [(it["name"], _state(it["installed"]), _told(it)) for it in facts["tools"]])
    section("Environment", [(name, "", state) for name, state in facts["environment"].items()])


def _state(good: bool) -> str:
    return "yes" if good else "missing"


def _once(features: Sequence[Facts]) -> Iterator[Facts]:
    """The features, each library with the first that names it; those of the core are many and not named."""
    named = set(features[0]["libraries"])
    for it in features:
        yield {**it, "libraries": {name: it["libraries"][name] for name in it["libraries"] if name not in named}}
        named.update(it["libraries"])


def _told(it: Facts) -> str:
    """The feature; where it is stopped, by what, and the way out."""
    if it["installed"]:
        found = ", ".join(f"{name} {number}" for name, number in it.get("libraries", {}).items() if number)
        return f"{it['feature']} ({found})" if found else str(it["feature"])
    lost = ", ".join([*it.get("missing", []), *it.get("wrong_version", [])])
    return f"{it['feature']}: {it['way_out']}" + (f" (missing: {lost})" if lost else "")


def _machine_rows(it: Facts) -> Iterator[tuple[str, str, str]]:
    yield "cores", str(it["cores_usable"]), f"usable, of {it['cores']}"
    yield "memory", "not known" if it["memory_gb"] is None else f"{it['memory_gb']:g} GB", ""
    yield "free disk", f"{it['disk_free_gb']:g} GB", "where the store is"
    if it["torch"] is None:
        yield "speed", "missing", f"not measured, {it['not_measured']}: {it['way_out']}"
        return
    found = it["torch"]
    threads = found["threads"]
    for kind in ("float32", "bfloat16"):
        alone = found[f"{kind}_one_thread"]
        both = f"matrix product, {threads} threads; {alone:,.0f} with one" if threads > 1 else "matrix product"
        yield kind, f"{found[kind]:,.0f} GF/s", both
    for device in found["devices"]:
        size = f"{device['memory_gb']:g} GB" if device["memory_gb"] else ""
        yield "GPU", size, f"{device['name']} ({device['kind']})"
    if not found["devices"]:
        seen = shutil.which("nvidia-smi") is not None
        why = f"; there is an NVIDIA driver that torch {found['torch']} does not use" if seen else ""
        yield "GPU", "none", f"work is done on the processor{why}"


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above that is there."""
    return next((place for place in (path, *path.parents) if place.is_dir()), Path())


def _size(folder: Path) -> int:
    """Bytes of the files below; what vanishes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _gb(size: int | None) -> float | None:
    return None if size is None else round(size / 1e9, 1)
