"""A lack of memory is told as one, with the ways out that a run has left."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from tests.zephyr_train.jobs import job
from zephyr_core.errors import EnvironmentLack
from zephyr_core.process import PARENT, failure, follow
from zephyr_train.launch import _of_the_rank
from zephyr_train.training.out_of_memory import clear_memory_errors, ways_out


def allocate() -> None:
    torch.empty(2**50, dtype=torch.uint8)


def overflow() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation")


def fill() -> None:
    bytearray(2**62)


@pytest.mark.parametrize(("act", "words"), [(allocate, "allocate"), (overflow, "2.00 GiB"), (fill, "MemoryError")])
def test_every_librarys_words_are_one_error(act: Any, words: str) -> None:
    with pytest.raises(EnvironmentLack, match=r"^a worker ran out of memory: ") as lack, clear_memory_errors("do this"):
        act()
    assert words in str(lack.value) and "\n" not in str(lack.value) and lack.value.hint == "do this"


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="shapes"), clear_memory_errors("do this"):
        raise ValueError("shapes differ")


@pytest.mark.parametrize(
    ("changes", "ways"),
    [
        ({"micro_batch_size": 2}, "a micro_batch_size below 2, more GPUs with `--zero 3` or `--lora`"),
        ({"micro_batch_size": 1, "world": 2, "backend": "ddp"}, "`--zero 3`, more GPUs or `--lora`"),
        (
            {"micro_batch_size": 1, "world": 8, "backend": "deepspeed-3", "options": {"lora": True}},
            "more GPUs or a shorter max_length",
        ),
    ],
)
def test_ways_out_are_those_that_are_left(tmp_path: Path, changes: dict[str, Any], ways: str) -> None:
    assert ways_out(job(tmp_path, **changes)) == f"use {ways}; with --fresh, since that is another run"


def test_the_reference_pass_holds_the_whole_model_on_each_gpu(tmp_path: Path) -> None:
    hint = ways_out(job(tmp_path, step="reference"))
    assert hint == "use a micro_batch_size below 2 or GPUs that hold the whole model"


RANK = """
import os, sys
from pathlib import Path
import torch
from torch import distributed
from zephyr_core.process import as_worker
from zephyr_train.training.out_of_memory import clear_memory_errors
distributed.init_process_group("gloo")
with as_worker(Path(sys.argv[1])), clear_memory_errors("use --lora"):
    if os.environ["RANK"] == "1":
        raise eval(sys.argv[2])
    distributed.barrier()
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("torch.OutOfMemoryError('CUDA out of memory.')", 4, "a worker ran out of memory: CUDA out of memory."),
        pytest.param(
            "KeyError('weight')", 70, "rank 1 failed with KeyError: 'weight'; its trace in", marks=pytest.mark.slow
        ),
    ],
)
def test_one_rank_of_two_is_told_behind_the_launchers_summary(
    tmp_path: Path, fault: str, code: int, words: str
) -> None:
    """The launcher prints a summary of its own, longer than what is shown of a log."""
    (tmp_path / "rank.py").write_text(RANK)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), PARENT: "0"}
    log = tmp_path / "log.txt"
    ended = follow([*launcher, str(tmp_path / "rank.py"), str(tmp_path), fault], log=log, environment=environment)
    told = failure(tmp_path, _of_the_rank(ended), log)
    assert ended.code != 0 and told.exit_code == code and str(told).startswith(words)
    assert told.hint == ("use --lora" if code == 4 else None)
