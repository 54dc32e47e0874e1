"""Every block of commands in the documents runs as written, or says why it does not."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.doc_blocks import FILES, blocks, run

WITH_COMMANDS = [file for file in FILES if any(block.runs for block in blocks(file))]
NOT_RUN = 7  # blocks: a change of this number is a decision


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_block_of_commands_says_whether_it_runs(file: Path) -> None:
    for block in blocks(file):
        is_of_commands = any(re.match(r"(zephyr|make|pip|python3?) ", line) for line in block.lines)
        assert not is_of_commands or block.info.startswith("sh"), block.lines
        if block.info.startswith("sh") and not block.runs:
            assert re.fullmatch(r"sh no-run: \w.{9,}", block.info), block.info


def test_few_blocks_are_not_run() -> None:
    assert sum(block.info.startswith("sh no-run") for file in FILES for block in blocks(file)) == NOT_RUN


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("file", WITH_COMMANDS, ids=lambda file: file.name)
def test_the_blocks_of_a_document_run_in_order(file: Path, tmp_path: Path) -> None:
    commands = [line for block in blocks(file) if block.runs for line in block.lines]
    for name in ("rules", "tests"):  # which documents name
        (tmp_path / name).symlink_to(ROOT / name)
    run(commands, tmp_path)
