"""The group of a run's processes is closed before they end; a failed one is left to those who end it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import distributed

from tests.zephyr_train.jobs import job
from zephyr_train.training.group import group


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


def test_it_is_closed_when_all_went_well(tmp_path: Path, begin: None) -> None:
    with group(job(tmp_path)):
        assert distributed.is_initialized()
    assert not distributed.is_initialized()


def test_a_failure_does_not_wait_for_other_ranks(tmp_path: Path, begin: None) -> None:
    with pytest.raises(OSError, match="full"), group(job(tmp_path)):
        raise OSError("full")
    assert distributed.is_initialized()


def test_without_a_group_there_is_nothing_to_close(tmp_path: Path) -> None:
    with group(job(tmp_path)):
        pass
    assert not distributed.is_initialized()
