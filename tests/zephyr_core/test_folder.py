"""A folder is whole or not there, for one writer at a time, with real processes that are killed."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import News
from zephyr_core import folder as folders
from zephyr_core import manifest
from zephyr_core.errors import NoSpace, RunInProgress
from zephyr_core.folder import build_once, damage, discard, faults, lock, older_of, partial_of, publish, restore


def python(code: str, *words: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def whole(folder: Path, text: str = "rows", **content: object) -> Path:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "rows.txt").write_text(text)
    (folder / "card.txt").write_text("a card")
    manifest.write(folder, {"kind": "test", **content})
    return folder


# ---- lock ---------------------------------------------------------------------------------------

HOLD = """
import subprocess, sys, time
from pathlib import Path
from zephyr_core.folder import lock
with lock(Path(sys.argv[1]), busy="busy") as descriptor:
    if len(sys.argv) > 2:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(descriptor,), stdout=2)
        print(child.pid, flush=True)
    else:
        print("held", flush=True)
    time.sleep(60)
"""


def test_of_two_holders_the_second_is_refused_and_a_kill_lets_go(tmp_path: Path) -> None:
    lock_file = tmp_path / "deep" / "lock"
    with python(HOLD, lock_file) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with (
            pytest.raises(RunInProgress, match="another run is writing") as caught,
            lock(lock_file, busy="another run is writing"),
        ):
            pass
        assert caught.value.exit_code == 2
        holder.kill()
        holder.wait()
    with lock(lock_file):
        pass


def test_whoever_waits_gets_the_lock_and_says_once_that_it_waits(tmp_path: Path) -> None:
    messages: list[str] = []
    with python(HOLD, tmp_path / "lock") as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        threading.Timer(0.5, holder.kill).start()
        with lock(tmp_path / "lock", patience=math.inf, on_wait=lambda: messages.append("waiting")):
            assert holder.wait(5) == -signal.SIGKILL
    assert messages == ["waiting"]


def test_patience_ends(tmp_path: Path) -> None:
    start = time.monotonic()
    with lock(tmp_path / "lock"), pytest.raises(RunInProgress), lock(tmp_path / "lock", patience=0.3):
        pass
    assert 0.3 <= time.monotonic() - start < 5


def test_a_child_with_the_descriptor_keeps_the_lock_of_a_killed_holder(tmp_path: Path) -> None:
    with python(HOLD, tmp_path / "lock", "child") as holder:
        assert holder.stdout
        child = int(holder.stdout.readline())
        holder.kill()
        holder.wait()
    try:
        with pytest.raises(RunInProgress), lock(tmp_path / "lock"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
    with lock(tmp_path / "lock", patience=5):
        pass


def test_a_lock_file_removed_by_its_holder_locks_nobody_out_and_nobody_in(tmp_path: Path) -> None:
    lock_file, inside = tmp_path / "work" / "lock", []

    def second() -> None:
        with lock(lock_file, patience=5):
            inside.append(lock_file.exists())
            time.sleep(0.3)

    with lock(lock_file):
        waiter = threading.Thread(target=second)
        waiter.start()
        time.sleep(0.3)
        shutil.rmtree(lock_file.parent)
    while not inside:
        time.sleep(0.01)
    with pytest.raises(RunInProgress), lock(lock_file):
        pass
    waiter.join()
    assert inside == [True], "the waiter holds a file that others see"


def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(folders.fcntl, "flock", refuse)
    with (
        pytest.raises(NoSpace, match=r"lock cannot be locked: Function not implemented") as caught,
        lock(tmp_path / "lock"),
    ):
        pass
    assert "Lustre" in str(caught.value.hint)


def test_a_lock_that_cannot_be_made_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(NoSpace, match="lock cannot be written: a file is in the way") as caught,
        lock(tmp_path / "file" / "lock"),
    ):
        pass
    assert caught.value.exit_code == 4 and caught.value.hint


# ---- publish, restore, discard ------------------------------------------------------------------

KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from zephyr_core import folder
rename, times = Path.rename, []
def once(self, target):
    times.append(target)
    if len(times) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = once
folder.publish(folder.partial_of(Path(sys.argv[1])), Path(sys.argv[1]))
"""


def test_a_kill_between_the_two_renames_gives_the_older_folder_back(tmp_path: Path) -> None:
    out = whole(tmp_path / "out", "old")
    whole(partial_of(out), "new")
    with python(KILLED_BETWEEN, out) as killed:
        assert killed.wait() == -signal.SIGKILL
    assert not out.exists(), "it was killed too late or too early"
    restore(out)
    assert (out / "data" / "rows.txt").read_text() == "old" and damage(out) is None
    publish(partial_of(out), out)
    assert (out / "data" / "rows.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_publishing_after_such_a_kill_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole(older_of(out), "old")
    publish(whole(partial_of(out), "new"), out)
    assert (out / "data" / "rows.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_restored_folder_never_takes_the_place_of_a_published_one(tmp_path: Path) -> None:
    out = whole(tmp_path / "out", "new")
    whole(older_of(out), "old")
    restore(out)
    assert (out / "data" / "rows.txt").read_text() == "new"


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    out = tmp_path / "out"
    out.symlink_to(tmp_path / "disk" / "set")
    for text in ("first", "second"):
        publish(whole(partial_of(out), text), out)
        assert out.is_symlink() and (out / "data" / "rows.txt").read_text() == text
        assert [path.name for path in (tmp_path / "disk").iterdir()] == ["set"]
    discard(out)
    assert out.is_symlink() and out.is_dir() and not any(out.iterdir())
    build_once(out, whole)
    assert out.is_symlink() and damage(out) is None


def test_a_folder_is_renamed_before_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, remove = whole(tmp_path / "out"), shutil.rmtree

    def killed(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise KeyboardInterrupt
        remove(path, ignore_errors=True)

    monkeypatch.setattr(folders.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        discard(out)
    assert not out.exists()
    monkeypatch.undo()
    discard(out)
    assert list(tmp_path.iterdir()) == [], "what was left goes, and nothing to discard is no error"


# ---- build_once ---------------------------------------------------------------------------------

BUILD = """
import sys, time
from pathlib import Path
from zephyr_core import folder, manifest
def build(partial):
    print("building", flush=True)
    sys.stdin.readline()
    (partial / "rows.txt").write_text(sys.argv[2])
    manifest.write(partial, {"kind": "test"})
folder.build_once(Path(sys.argv[1]), build)
"""


def builder(folder: Path, text: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", BUILD, str(folder), text]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "building\n"
    return process


def test_of_two_that_build_at_once_the_first_to_finish_is_used_by_both(tmp_path: Path) -> None:
    first, second = (builder(tmp_path / "set", text) for text in ("first", "second"))
    first.communicate("\n")
    _, output = second.communicate("\n")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "another process has built" in output
    assert (tmp_path / "set" / "rows.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_a_killed_build_left_goes_when_the_next_one_builds(tmp_path: Path) -> None:
    killed, living = builder(tmp_path / "set", "killed"), builder(tmp_path / "set", "living")
    killed.kill()
    killed.communicate()
    build_once(tmp_path / "set", whole)
    assert len(list(tmp_path.iterdir())) == 2, "the whole folder, and that of the build that still runs"
    living.communicate("\n")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_damaged_folder_is_built_again_and_a_whole_one_is_not(tmp_path: Path, news: News) -> None:
    builds: list[Path] = []

    def build(partial: Path) -> None:
        builds.append(whole(partial))

    for expected in (1, 1):
        build_once(tmp_path / "set", build)
        assert len(builds) == expected
    (tmp_path / "set" / "card.txt").write_text("a carp")
    build_once(tmp_path / "set", build)
    assert len(builds) == 2 and damage(tmp_path / "set") is None
    assert news()[-1].endswith("is damaged: card.txt has changed: another sha256; it will be rebuilt")


# ---- damage -------------------------------------------------------------------------------------


def rewrite(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads((folder / manifest.NAME).read_text())
    change(content)
    (folder / manifest.NAME).write_text(json.dumps(content))


DAMAGES: list[tuple[str, Callable[[Path], object]]] = [
    ("manifest.json is missing", lambda folder: (folder / manifest.NAME).unlink()),
    ("manifest.json is damaged", lambda folder: (folder / manifest.NAME).write_text("{")),
    ("manifest.json is damaged", lambda folder: rewrite(folder, lambda content: content.update(files=[]))),
    ("data/rows.txt is missing", lambda folder: (folder / "data" / "rows.txt").unlink()),
    ("data/rows.txt has 2,000 bytes, not 4", lambda folder: (folder / "data" / "rows.txt").write_text("x" * 2000)),
    ("data/rows.txt has changed: another sha256", lambda folder: (folder / "data" / "rows.txt").write_text("rowz")),
]


@pytest.mark.parametrize(("message", "how"), DAMAGES)
def test_each_damage_is_named(tmp_path: Path, message: str, how: Callable[[Path], object]) -> None:
    folder = whole(tmp_path / "set")
    assert damage(folder) is None
    how(folder)
    assert damage(folder) == message
    assert damage(folder, hashed=False) == message, "the file has another time of change"


def test_all_faults_are_listed_and_files_that_nobody_named_when_asked(tmp_path: Path) -> None:
    folder = whole(tmp_path / "set")
    (folder / "card.txt").unlink()
    (folder / "data" / "rows.txt").write_text("other")
    (folder / "data" / "stray.txt").touch()
    listed = ["card.txt is missing", "data/rows.txt has 5 bytes, not 4"]
    assert list(map(str, faults(folder))) == listed
    assert list(map(str, faults(folder, strays=True))) == [*listed, "data/stray.txt is not in the manifest"]


def test_only_the_named_files_are_compared_and_each_must_be_in_the_manifest(tmp_path: Path) -> None:
    folder = whole(tmp_path / "set")
    (folder / "card.txt").unlink()
    assert damage(folder, names=["data/rows.txt"]) is None
    assert damage(folder, names=["data/rows.txt", "other.txt"]) == "other.txt is not in the manifest"


def test_a_folder_made_of_something_else_is_damaged_by_its_digest(tmp_path: Path) -> None:
    folder = whole(tmp_path / "set", digest="abc")
    assert damage(folder, digest="abc") is None
    assert damage(folder, digest="abd") == "manifest.json has the digest of something else"
