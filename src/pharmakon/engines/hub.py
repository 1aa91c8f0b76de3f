"""Models of a hub, through huggingface_hub: its cache, its credentials, its settings (HF_ENDPOINT, HF_HUB_OFFLINE).

Only the files of `folders.MODEL_FILES` are fetched. When a connection breaks, huggingface_hub goes on where it stopped;
after a process that was ended, the files that are whole are kept, and the others begin again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pharmakon.engines.folders import MODEL_FILES, OTHER_FILES, PICKLES, is_model_file, sha256_of
from pharmakon.errors import InputError
from pharmakon.extras import need

COMMIT = re.compile("[0-9a-f]{40}")
NAME = re.compile(r"hf:((?:[\w-][\w.-]*/)?[\w-][\w.-]*)(?:@([\w][\w./-]*))?")


@dataclass(frozen=True, slots=True)
class HubName:
    """hf:ORG/NAME or hf:ORG/NAME@REVISION."""

    repository: str
    revision: str | None

    @staticmethod
    def parse(text: str) -> HubName:
        """The parts of a name."""
        found = NAME.fullmatch(text)
        if found is None or ".." in text:
            rule = "a model of the hub is named hf:ORG/NAME, or hf:ORG/NAME@REVISION"
            raise InputError(f"{rule}; got {text!r}")
        return HubName(found[1], found[2])

    def __str__(self) -> str:
        return f"hf:{self.repository}" + (f"@{self.revision}" if self.revision else "")


def commit_of(name: HubName) -> str:
    """The commit that the name means now; without a network, the one that the cache of huggingface_hub knows."""
    if name.revision and COMMIT.fullmatch(name.revision):
        return name.revision
    library = _library()
    with _explained(name):
        return str(library.HfApi().resolve_revision(name.repository, revision=name.revision).resolved)


def snapshot(name: HubName, commit: str) -> Path:
    """The folder of a commit, whole: fetched, unless it is there."""
    library = _library()
    wanted = {"allow_patterns": list(MODEL_FILES), "ignore_patterns": [*OTHER_FILES, *PICKLES]}
    with _explained(name):
        try:  # a commit does not change, so nobody need be asked
            found = library.snapshot_download(name.repository, revision=commit, local_files_only=True, **wanted)
        except FileNotFoundError:
            found = library.snapshot_download(name.repository, revision=commit, **wanted)
        folder = Path(found)
        names = sorted(path.name for path in folder.iterdir() if is_model_file(path.name))
        for file in names:
            if not _is_whole(folder / file):
                library.hf_hub_download(name.repository, file, revision=commit, force_download=True)
            if not _is_whole(folder / file):
                raise InputError(f"{file} of {name} is not the file that the hub names, even after fetching it again")
    if "config.json" not in names or not any(file.endswith(".safetensors") for file in names):
        rule = "a model has a config.json and weights in safetensors; formats that can run code are not read"
        raise InputError(f"{rule}; {name} has {', '.join(names) or 'neither'}. Choose another revision or model")
    return folder


def _is_whole(path: Path) -> bool:
    """The cache names large files by their SHA-256. Small ones, which the hub names otherwise, are not checked."""
    if not path.is_symlink():
        return True
    blob = path.readlink()
    return blob.parent.name != "blobs" or not re.fullmatch("[0-9a-f]{64}", blob.name) or sha256_of(path) == blob.name


def _library() -> Any:
    need("hub")
    import huggingface_hub

    return huggingface_hub


@contextmanager
def _explained(name: HubName) -> Iterator[None]:
    """The errors of the hub as sentences. Their own text is not repeated: it may hold what a server wrote."""
    from huggingface_hub import errors

    revision = name.revision or "main"
    try:
        yield
    except errors.GatedRepoError:
        way_out = "Ask for access on its page, then give the token with `hf auth login` or HF_TOKEN"
        raise InputError(f"{name} is gated, and the hub does not let this user in. {way_out}") from None
    except errors.RepositoryNotFoundError:
        way_out = "Check the name; for a private one give a token with `hf auth login` or HF_TOKEN"
        raise InputError(f"the hub has no model {name.repository}, or hides it. {way_out}") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{name.repository} has no revision {revision}. Leave it out for the newest") from None
    except errors.HFValidationError:
        raise InputError(f"a model of the hub is named hf:ORG/NAME; the hub allows no {name.repository!r}") from None
    except (errors.RevisionResolutionError, errors.LocalEntryNotFoundError, errors.HfHubHTTPError) as error:
        raise _unreachable(name, revision, error) from None
    except OSError as error:
        if isinstance(error, FileNotFoundError | ConnectionError):
            raise _unreachable(name, revision, error) from None
        raise InputError(f"the cache of huggingface_hub cannot be used: {error.strerror or error}") from None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("httpx2", "httpx", "httpcore", "httpcore2"):
            raise
        raise _unreachable(name, revision, error) from None


def _unreachable(name: HubName, revision: str, error: BaseException) -> InputError:
    from huggingface_hub import constants

    cause: BaseException | None = error
    while cause is not None and type(cause).__name__ in ("RevisionResolutionError", "LocalEntryNotFoundError"):
        cause = cause.__cause__
    response = getattr(cause, "response", None)
    why = f"it answered {response.status_code}" if response is not None else type(cause or error).__name__
    what = f"revision {revision} of {name.repository} is not whole in the cache of huggingface_hub"
    way_out = (
        f"Try again with a network, or get it elsewhere (`hf download {name.repository} --local-dir FOLDER`) "
        "and give the folder as the model"
    )
    return InputError(f"the hub {constants.ENDPOINT} could not be reached ({why}), and {what}. {way_out}")
