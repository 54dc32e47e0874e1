"""A rank that has done its work ends with 0, whatever a thread of gloo still holds."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# A tensor of a collective that its thread lets go of late: here anything that aborts when the interpreter goes down.
CODE = """
import atexit, os, sys
from torch import distributed
from zephyr_train.worker import leave_group
class Held:
    def __del__(self, abort=os.abort):
        abort()
held = Held()
atexit.register(print, "exit functions ran")
if sys.argv[1]:
    distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=0, world_size=1)
    atexit.register(lambda: print("closed" if not distributed.is_initialized() else "open"))
print("work done", end="")
leave_group()
"""


def child(store: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CODE, store], capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_interpreter_is_not_taken_down(tmp_path: Path) -> None:
    done = child(str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "work doneclosed\nexit functions ran\n"


def test_without_a_group_too() -> None:
    assert child("").returncode == 0
