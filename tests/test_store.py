"""What was built once is not built again; what is damaged is not used; nothing half-written is taken for an entry."""

from __future__ import annotations

import errno
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharmakon import __version__
from pharmakon.core import Dose
from pharmakon.errors import InputError, SpecError, StoreError
from pharmakon.store import Entry, Key, Store, default_root, identify

KEY = identify("a cell")
OTHER = identify("another cell")


def write(folder: Path) -> dict[str, object]:
    (folder / "weights").mkdir()
    (folder / "weights" / "model.bin").write_bytes(bytes(range(256)))
    (folder / "readings.jsonl").write_text('{"value": 1.0}\n')
    return {"asr": 0.1 + 0.2, "name": "é\ud83d", "rows": (1, None)}


def must_not_build(folder: Path) -> dict[str, object]:
    raise AssertionError("this was built already")


def rooms(store: Store, room: str) -> list[Path]:
    return sorted((store.root / room).glob("*"))


def spoil(path: Path, position: int = 5) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_built_once_then_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.get("cells", KEY) is None
    assert not store.has("cells", KEY)
    assert not store.root.exists()  # looking writes nothing
    built = store.build("cells", KEY, write)
    assert built.result == {"asr": 0.1 + 0.2, "name": "é\ud83d", "rows": [1, None]}
    assert (built.path / "weights" / "model.bin").read_bytes() == bytes(range(256))
    assert store.has("cells", KEY)
    for again in (store, Store(tmp_path / "store")):
        assert again.build("cells", KEY, must_not_build) == again.get("cells", KEY) == built
    assert rooms(store, "tmp") == []
    assert store.verify(built) is None


@dataclass(frozen=True)
class Given:
    dose: Dose
    file: Path = field(default=Path("/home/somebody/corpus.jsonl"), metadata={"identity": False})


def test_the_record_says_what_was_built_and_nothing_about_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", "a secret of the environment")
    entry = Store(tmp_path).build("cells", KEY, write, spec=Given(Dose(8)))
    text = (entry.path / "record.json").read_text()
    record = json.loads(text)
    assert record == entry.record
    assert record["spec"]["dose"] == {"class": "pharmakon.core.Dose@1", "amount": 8, "unit": "documents"}
    assert (record["schema"], record["kind"], record["key"]) == (1, "cells", KEY)
    assert record["versions"] == {"pharmakon": __version__}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["created"])
    assert 0 <= record["seconds"] < 60
    assert record["files"]["weights/model.bin"] == {
        "size": 256,
        "sha256": "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880",
    }
    assert set(record["files"]) == {"weights/model.bin", "readings.jsonl"}
    for secret in (
        str(tmp_path),
        socket.gethostname(),
        getpass.getuser() + "/",
        "/home",
        "a secret of the environment",
    ):
        assert secret not in text


def test_numpy_scalars_in_a_result_are_numbers(tmp_path: Path) -> None:
    entry = Store(tmp_path).build("cells", KEY, lambda folder: {"n": np.int64(3), "x": np.float32(0.5)})
    assert entry.result == {"n": 3, "x": 0.5}


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (lambda folder: {"loss": float("nan")}, "Out of range float values"),
        (lambda folder: {"model": object()}, "object is not JSON"),
        (lambda folder: {"weights": str(folder / "model.bin")}, "names its temporary folder"),
        (lambda folder: (folder / "record.json").write_text("mine") and {}, "wrote record.json"),
        (lambda folder: (folder / "link").symlink_to("/etc/hostname") or {}, "wrote link; write regular files"),
    ],
)
def test_what_cannot_be_recorded_is_refused_and_leaves_nothing(tmp_path: Path, result: object, why: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=why):
        store.build("cells", KEY, result)  # type: ignore[arg-type]
    assert store.get("cells", KEY) is None
    assert rooms(store, "tmp") == rooms(store, "cells") == []


def test_a_spec_without_identity_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="a lambda has no stable identity"):
        Store(tmp_path).build("cells", KEY, must_not_build, spec=(lambda: 0,))


@pytest.mark.parametrize(
    "error", [ValueError("the loss was not a number"), KeyboardInterrupt(), FileNotFoundError(2, "?")]
)
def test_a_builders_exception_leaves_nothing_and_propagates(tmp_path: Path, error: BaseException) -> None:
    def fail(folder: Path) -> dict[str, object]:
        write(folder)
        raise error

    store = Store(tmp_path)
    with pytest.raises(type(error)) as caught:
        store.build("cells", KEY, fail)
    assert caught.value is error
    assert rooms(store, "tmp") == []
    assert store.get("cells", KEY) is None
    assert store.build("cells", KEY, write).result["asr"] == 0.1 + 0.2  # the claim is free again


@pytest.mark.parametrize(
    ("kind", "key", "why"),
    [
        ("../cells", KEY, "a kind is a lower-case word"),
        ("locks", KEY, "a kind is a lower-case word, not answers, locks, quarantine, tmp; got 'locks'"),
        ("cells", "ab", "a key is 32 hexadecimal digits; got 'ab'"),
        ("cells", KEY + "\n", "a key is 32 hexadecimal digits"),
    ],
)
def test_a_kind_and_a_key_cannot_lead_elsewhere(tmp_path: Path, kind: str, key: str, why: str) -> None:
    with pytest.raises(InputError, match=re.escape(why)):
        Store(tmp_path).has(kind, Key(key))


def test_entries_remove_and_size(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = sorted(identify(n) for n in range(5))
    for key in keys:
        store.build("cells", key, write)
    store.build("weights", KEY, write)
    assert [entry.key for entry in store.entries("cells")] == keys
    assert list(store.entries("nothing")) == []
    size = store.size()
    assert size == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) > 6 * 256
    assert store.remove("cells", keys[0])
    assert not store.remove("cells", keys[0])
    assert store.get("cells", keys[0]) is None
    assert [entry.key for entry in store.entries("cells")] == keys[1:]
    assert store.size() < size
    assert rooms(store, "tmp") == []


# Damage


def flip(entry: Entry) -> None:
    spoil(entry.path / "weights" / "model.bin")


def cut(entry: Entry) -> None:
    os.truncate(entry.path / "readings.jsonl", 3)


def lose(entry: Entry) -> None:
    (entry.path / "readings.jsonl").unlink()


def cut_record(entry: Entry) -> None:
    os.truncate(entry.path / "record.json", 100)


def lose_record(entry: Entry) -> None:
    (entry.path / "record.json").unlink()


def swap_record(entry: Entry) -> None:
    (entry.path / "record.json").write_text("[1, 2]")


def embellish(entry: Entry) -> None:
    file = entry.path / "record.json"
    file.write_text(file.read_text().replace('"asr": 0.3', '"asr": 0.9'))


DAMAGES = {
    flip: "weights/model.bin does not have its sha256",
    cut: "readings.jsonl has 3 bytes, not 15",
    lose: "readings.jsonl is missing",
    cut_record: "record.json is not JSON",
    lose_record: "record.json is missing",
    swap_record: "record.json is not a record",
    embellish: "record.json does not have its sha256",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("same_process", [True, False])
def test_a_damaged_entry_is_set_aside_reported_and_built_again(
    tmp_path: Path, damage: object, same_process: bool
) -> None:
    said: list[str] = []
    store = Store(tmp_path, report=said.append)
    entry = store.build("cells", KEY, write)
    assert store.get("cells", KEY)
    damage(entry)  # type: ignore[operator]
    spoilt = {path.name: path.read_bytes() for path in entry.path.rglob("*") if path.is_file()}
    if not same_process:
        store = Store(tmp_path, report=said.append)
    assert store.get("cells", KEY) is None
    (aside,) = rooms(store, "quarantine")
    assert {path.name: path.read_bytes() for path in aside.rglob("*") if path.is_file()} == spoilt  # nothing is lost
    (message,) = said
    assert message.startswith(f"cells {KEY} was damaged ({DAMAGES[damage]}); moved to {aside}")  # type: ignore[index]
    rebuilt = store.build("cells", KEY, write)
    assert rebuilt == Store(tmp_path).get("cells", KEY)
    assert len(said) == 1


def test_build_sets_a_damaged_entry_aside_itself_and_warns_by_default(tmp_path: Path) -> None:
    store = Store(tmp_path)
    flip(store.build("cells", KEY, write))
    with pytest.warns(RuntimeWarning, match="was damaged"):
        rebuilt = store.build("cells", KEY, write)
    assert store.verify(rebuilt) is None
    assert not list(store.entries("quarantined"))


def test_has_and_entries_see_what_is_visible_without_reading(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entry = store.build("cells", KEY, write)
    flip(entry)
    assert store.has("cells", KEY)
    assert store.verify(entry) == "weights/model.bin does not have its sha256"
    cut(entry)
    assert not store.has("cells", KEY)
    assert list(store.entries("cells")) == []
    assert rooms(store, "quarantine") == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_flipped_byte_reaches_the_user(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        built = Store(Path(folder)).build("cells", KEY, write)
        names = ["record.json", *built.record["files"]]
        path = built.path / data.draw(st.sampled_from(names))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, 10_000)) % len(content)] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        found = Store(Path(folder), report=lambda message: None).get("cells", KEY)
        # A flip in the white space of the record, or 1e2 for 100, may say the same.
        assert found is None or (found == built and path.name == "record.json")


# Several processes

WORKER = """
import json, os, random, sys
from pathlib import Path
from pharmakon.store import Store, identify

root, log, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = Store(root)
keys = [identify(n) for n in range(20)]
random.Random(seed % 2).shuffle(keys)  # two of the three meet at every key

def builder(key):
    def write(folder):
        with open(log, "a") as file:
            file.write(key + "\\n")
        for part in range(20):
            (folder / f"{part}.bin").write_bytes(key.encode() * 2000)
        return {"by": seed, "key": key}
    return write

print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([store.build("cells", key, builder(key)).result for key in keys]))
"""


def test_racing_processes_build_each_key_exactly_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WORKER, str(tmp_path / "store"), str(log), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    results = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sorted(log.read_text().split()) == sorted(identify(n) for n in range(20))
    views = [{result["key"]: result["by"] for result in one} for one in results]
    assert views[0] == views[1] == views[2]
    store = Store(tmp_path / "store")
    assert all(store.verify(entry) is None for entry in store.entries("cells"))
    assert rooms(store, "tmp") == rooms(store, "quarantine") == []


def test_threads_of_one_process_build_a_key_once(tmp_path: Path) -> None:
    store, barrier, built = Store(tmp_path), threading.Barrier(4), []

    def builder(folder: Path) -> dict[str, object]:
        built.append(folder)
        return write(folder)

    def work() -> None:
        barrier.wait()
        store.build("cells", KEY, builder)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_a_builder_may_build_what_it_needs(tmp_path: Path) -> None:
    def treated(folder: Path) -> dict[str, object]:
        assert Store(tmp_path).sweep() == 0  # a store opened meanwhile does not take this folder for a dead one's
        assert folder.exists()
        return {"from": store.build("cells", OTHER, write).key}

    store = Store(tmp_path)
    assert store.build("cells", KEY, treated).result == {"from": OTHER}


HALF = """
import sys
from pathlib import Path
from pharmakon.store import Store, identify

def write(folder):
    (folder / "readings.jsonl").write_text("half of i")
    print("half", flush=True)
    sys.stdin.readline()

Store(Path(sys.argv[1])).build("cells", identify("a cell"), write)
"""


def test_a_claim_is_respected_while_its_process_lives_and_free_when_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HALF, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "half\n"
        store = Store(tmp_path)
        (unfinished,) = rooms(store, "tmp")
        assert (unfinished / "readings.jsonl").exists()
        assert store.get("cells", KEY) is None
        worker.send_signal(signal.SIGKILL)
    assert worker.returncode == -signal.SIGKILL
    assert unfinished.exists()  # nobody could tidy up
    assert store.get("cells", KEY) is None
    assert Store(tmp_path).get("cells", KEY) is None
    assert not unfinished.exists()
    assert (store.build("cells", KEY, write).path / "readings.jsonl").read_text() == '{"value": 1.0}\n'


KILLED_ANYWHERE = """
import os, shutil, signal, sys
from pathlib import Path
from pharmakon.store import Store, identify
import filelock

root, key = Path(sys.argv[1]), identify("a cell")
events = 0

def write(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "weights").write_bytes(bytes(100))
    (folder / "readings").write_bytes(b"a whole file")
    return {"answer": 42}

def die_at(last):
    def hook(event, arguments):
        global events
        if event == "open" or event.startswith(("os.", "shutil.", "fcntl.")):
            events += 1
            if events == last:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

unfinished = finished = 0
for last in range(1, 1000):
    child = os.fork()
    if not child:
        die_at(last)
        Store(root).build("cells", key, write)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    said = []
    tmp = list(root.glob("tmp/*"))
    store = Store(root, report=said.append)
    entry = store.get("cells", key)
    if entry is None:
        unfinished += bool(tmp)
        entry = store.build("cells", key, write)
    else:
        finished += 1
    assert entry.result == {"answer": 42} and store.verify(entry) is None, last
    assert not said and not list(root.glob("tmp/*")) and not list(root.glob("quarantine/*")), (last, said)
    shutil.rmtree(root)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        break
print(last, unfinished, finished)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_every_step_of_a_build_there_is_an_entry_or_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_ANYWHERE, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    steps, unfinished, finished = map(int, done.stdout.split())
    assert steps > 20
    assert unfinished > 10
    assert finished > 1


def test_what_is_not_the_stores_is_left_alone_by_sweep(tmp_path: Path) -> None:
    for name in ("notes", f"UPPER-{KEY}-1-ab", f"locks-{KEY}-1-ab", f"cells-{KEY}-123-ab12"):
        (tmp_path / "tmp" / name).mkdir(parents=True)
    store = Store(tmp_path)
    assert [path.name for path in rooms(store, "tmp")] == [f"UPPER-{KEY}-1-ab", f"locks-{KEY}-1-ab", "notes"]


# Disks


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_builder_that_meets_a_full_disk(tmp_path: Path) -> None:
    def fill(folder: Path) -> dict[str, object]:
        write(folder)
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")
        return {}

    store = Store(tmp_path)
    sentence = (
        f"the disk is full: needed to write cells {KEY} under {tmp_path}; free space or give another place with --store"
    )
    with pytest.raises(StoreError, match=f"^{re.escape(sentence)}$"):
        store.build("cells", KEY, fill)
    assert rooms(store, "tmp") == rooms(store, "cells") == []


def test_a_full_disk_as_rust_libraries_tell_it(tmp_path: Path) -> None:
    def fill(folder: Path) -> dict[str, object]:
        raise RuntimeError("IoError: No space left on device (os error 28)")

    with pytest.raises(StoreError, match="the disk is full"):
        Store(tmp_path).build("cells", KEY, fill)


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC])
def test_an_error_about_the_users_own_file_is_not_the_stores(tmp_path: Path, code: int) -> None:
    def read(folder: Path) -> dict[str, object]:
        raise OSError(code, os.strerror(code), "/elsewhere/data.jsonl")

    with pytest.raises(OSError, match=r"/elsewhere/data\.jsonl") as caught:
        Store(tmp_path).build("cells", KEY, read)
    assert caught.value.errno == code


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 pages."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_at_any_step(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    outcomes = []
    for pages in range(6):
        filler = small_disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 4096 * pages))
        try:
            store.build("cells", KEY, write)
            outcomes.append("built")
        except StoreError as error:
            outcomes.append(str(error).partition(":")[0])
            assert store.get("cells", KEY) is None
        assert rooms(store, "tmp") == rooms(store, "quarantine") == []
        filler.unlink()
        assert store.build("cells", KEY, write).result["rows"] == [1, None]
        assert store.remove("cells", KEY)
    assert outcomes[:3] == ["the disk is full"] * 3  # the first file, the second file, the record
    assert outcomes[-1] == "built"


def test_a_builder_larger_than_the_disk(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    with pytest.raises(StoreError, match="the disk is full"):
        store.build("cells", KEY, lambda folder: {"n": (folder / "big").write_bytes(bytes(1 << 20))})
    assert store.size() == 0


def test_a_disk_that_may_only_be_read_is_read(small_disk: Path) -> None:
    said: list[str] = []
    store = Store(small_disk / "store")
    store.build("cells", KEY, write)
    flip(store.build("cells", OTHER, write))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = Store(small_disk / "store", report=said.append)
    assert store.build("cells", KEY, must_not_build).result["rows"] == [1, None]
    assert store.get("cells", OTHER) is None
    assert "is damaged" in said[0]
    assert "it is not used" in said[0]
    with pytest.raises(
        StoreError, match=r"the store cannot be written \(Read-only file system\): needed to write cells"
    ):
        store.build("cells", OTHER, write)


def test_a_missing_permission_is_told(tmp_path: Path) -> None:
    if not hasattr(os, "geteuid"):
        pytest.skip("needs user ids")
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below a folder only its owner may enter
        os.chmod(folder, 0o755 if os.geteuid() == 0 else 0o555)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            store = Store(Path(folder) / "store")
            assert store.get("cells", KEY) is None
            with pytest.raises(StoreError, match=r"cannot be written \(Permission denied\).*--store"):
                store.build("cells", KEY, write)
        finally:
            if root:
                os.seteuid(0)
            os.chmod(folder, 0o755)


def test_a_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    store = Store(tmp_path / "store")
    assert not store.has("cells", KEY)
    with pytest.raises(StoreError, match="cannot be written"):
        store.build("cells", KEY, write)


def test_a_thousand_entries_are_planned_quickly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    model = store.build("cells", KEY, write).path
    keys = [identify(n) for n in range(1000)]
    for key in keys:
        place = tmp_path / "cells" / key[:2] / key
        shutil.copytree(model, place)
        (place / "record.json").write_text((place / "record.json").read_text().replace(KEY, key))
    start = time.perf_counter()
    assert all(store.has("cells", key) for key in keys)
    with capsys.disabled():
        print(f"\n1,000 cached cells are found in {time.perf_counter() - start:.3f} s")


def test_the_default_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHARMAKON_HOME", "~/lab")
    assert default_root() == Path.home() / "lab"
    monkeypatch.setenv("PHARMAKON_HOME", "")
    assert default_root().name.lower() in ("pharmakon", "cache")
