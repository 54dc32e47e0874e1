"""What is not whole is never taken for it: killed, damaged, overtaken or unwritable builds."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.zephyr_train.small_chat import SmallSource, small_chat
from tests.zephyr_train.test_token_sets import CUT, TEST, TRAIN, build, stream
from zephyr_core import manifest
from zephyr_core.errors import NoSpace
from zephyr_train.tokenizing.token_sets import token_set


def damaged(folder: Path, how: str) -> None:
    path = folder / "train.arrow"
    if how == "no manifest":
        (folder / manifest.NAME).unlink()
    elif how == "truncated":
        os.truncate(path, path.stat().st_size - 8)
    elif how == "one byte":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "absent":
        path.unlink()
    elif how == "other digest":
        content = json.loads((folder / manifest.NAME).read_text())
        content["digest"] = "0" * 64
        manifest.write_json(folder / manifest.NAME, {**content, "self_digest": manifest.self_digest(content)})
    elif how == "free field":
        content = json.loads((folder / manifest.NAME).read_text())
        manifest.write_json(folder / manifest.NAME, {**content, "faults": [], "source": "another"})
    elif how == "no splits":
        content = json.loads((folder / manifest.NAME).read_text())
        del content["splits"]
        manifest.write_json(folder / manifest.NAME, {**content, "self_digest": manifest.self_digest(content)})


HOW = ["no manifest", "truncated", "one byte", "absent", "other digest", "free field", "no splits"]


@pytest.mark.parametrize("how", HOW)
def test_what_is_not_whole_is_built_again_and_said(tmp_path, news, how: str):
    first = build(tmp_path)
    damaged(first.path, how)
    again = build(tmp_path)
    assert again.manifest["files"] == manifest.list_files(first.path)
    files = [{name: entry["sha256"] for name, entry in tokens.manifest["files"].items()} for tokens in (first, again)]
    assert files[0] == files[1]
    assert {**again.manifest, "files": {}, "self_digest": ""} == {**first.manifest, "files": {}, "self_digest": ""}
    assert any("will be rebuilt" in line for line in news())
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]


class Rival(SmallSource):
    """While its rows are read, another process finishes the same set."""

    def table(self, split: str) -> pa.Table:
        if split == "test" and not self.name.startswith("done"):
            self.name = "done"
            self.first = token_set(SmallSource("pairs", self.tables), small_chat(), CUT, self.folder)
            (self.first.path / "theirs").touch()
        return super().table(split)


def test_when_another_process_was_first_its_files_are_used(tmp_path, news):
    source = Rival("pairs", {"train": TRAIN, "test": TEST})
    source.folder = tmp_path
    tokens = build(tmp_path, source)
    assert tokens.path == source.first.path
    assert (tokens.path / "theirs").exists()
    assert any("another process" in line for line in news())
    assert len(list(tmp_path.iterdir())) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.zephyr_train import test_token_sets as here
from tests.zephyr_train.small_chat import SmallSource

class Killed(SmallSource):
    def table(self, split):
        if split == "test":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().table(split)

here.build(Path(sys.argv[1]), Killed("pairs", {"train": here.TRAIN, "test": here.TEST}))
"""


def test_what_a_killed_process_left_is_never_taken_for_whole(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    [partial] = tmp_path.iterdir()
    assert (partial / "train.arrow").is_file(), "the process did not get as far as this test needs"
    alive = partial.with_name(partial.name.replace(partial.name.split(".")[-2], str(os.getppid())))
    shutil.copytree(partial, alive)
    tokens = build(tmp_path)
    assert stream(tokens.train_file).num_rows == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, tokens.path.name])


def test_a_folder_that_cannot_be_written_is_an_error_with_a_hint(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NoSpace, match="cannot be written") as fault:
        build(tmp_path / "file")
    assert "another folder" in fault.value.hint


def test_a_failed_build_leaves_nothing(tmp_path):
    class Unreadable(SmallSource):
        def table(self, split: str) -> pa.Table:
            raise OSError(5, "input/output error")

    with pytest.raises(OSError, match="input/output"):
        build(tmp_path, Unreadable("pairs", {"train": TRAIN}))
    assert list(tmp_path.iterdir()) == []
