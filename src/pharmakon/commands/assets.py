"""pharmakon assets: the data and models of others that studies name, and the cache they are kept in."""

from __future__ import annotations

from cyclopts import App

from pharmakon.commands import tell
from pharmakon.errors import InputError

app = App(
    name="assets",
    help="List, fetch, find or remove the data and models of others that studies name.",
    help_format="plaintext",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.command(name="list")
def list_() -> None:
    """List the assets: what each is, how large, under which licence, and whether it is in the cache."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pharmakon.data.assets import ASSETS, assets_root, is_cached

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True, style="cyan")
    table.add_column("kind", no_wrap=True)
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("cached", no_wrap=True)
    table.add_column("about, licence")
    for asset in ASSETS.values():
        cached = "yes" if is_cached(asset) else "no"
        about = Text.assemble(asset.about, "\n", (asset.licence, "dim"))
        table.add_row(asset.name, asset.kind, f"{asset.size_mb:g}", cached, about)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "\nMB: of the download. Models of a hub are named hf:ORG/NAME and kept in the cache of huggingface_hub."
        f"\nCache: {assets_root()}",
        markup=False,
        soft_wrap=True,
    )


@app.command
def fetch(*names: str) -> None:
    """Fetch assets, check them, and put them in the cache; a model is converted too. What is there is only checked.

    Parameters
    ----------
    names
        Names from `pharmakon assets list`, or hf:ORG/NAME[@REVISION] for a model of the hub.
    """
    from pharmakon.data.assets import find

    if not names:
        raise InputError("fetch takes at least one name; pharmakon assets list shows them")
    for name in names:
        if not name.startswith("hf:"):
            find(name)  # before the first download, not after
    for name in names:
        _fetch(name)


@app.command
def path(name: str) -> None:
    """Print where an asset lies, and nothing else. Nothing is fetched.

    Parameters
    ----------
    name
        A name from `pharmakon assets list`.
    """
    from pharmakon.data.assets import find, find_cached

    _refuse_hub(name, "path", "its command `hf cache list` shows them")
    if find(name).kind == "model":
        from pharmakon.engines.pretrained import find_folder, pretrained

        print(find_folder(pretrained(name)))
    else:
        print(find_cached(name))


@app.command
def remove(*names: str) -> None:
    """Take assets out of the cache, with what was made of them. They can be fetched again.

    Parameters
    ----------
    names
        Names from `pharmakon assets list`.
    """
    from pharmakon.data.assets import find
    from pharmakon.data.assets import remove as remove_

    if not names:
        raise InputError("remove takes at least one name; pharmakon assets list shows them")
    for name in names:
        _refuse_hub(name, "remove", "its command `hf cache rm` removes them")
        find(name)
    for name in names:
        freed = remove_(name)
        tell(f"{name}: {freed / 1e6:.1f} MB removed" if freed else f"{name}: was not in the cache")


def _fetch(name: str) -> None:
    """One asset, with a bar while its download grows."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    from pharmakon.data.assets import fetch as fetch_
    from pharmakon.data.assets import find
    from pharmakon.engines.pretrained import folder_of, pretrained

    if name.startswith("hf:"):
        tell(str(folder_of(pretrained(name))))  # huggingface_hub has bars of its own
        return
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    shown = console.is_terminal
    bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not shown)
    task = bar.add_task(name)

    def note(sentence: str) -> None:
        console.print(f"{name}: {sentence}", markup=False, soft_wrap=True)

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        (bar.start if done < total else bar.stop)()

    try:
        if find(name).kind == "model":
            found = folder_of(pretrained(name), on_progress=note, on_bytes=show)
        else:
            found = fetch_(name, on_progress=note, on_bytes=show)
    finally:
        bar.stop()
    tell(str(found))


def _refuse_hub(name: str, verb: str, way_out: str) -> None:
    if name.startswith("hf:"):
        raise InputError(f"{verb} knows assets by name; models of a hub are huggingface_hub's: {way_out}")
